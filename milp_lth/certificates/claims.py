"""The rows of a run of which something is said to be proved, and samples of them."""

from collections.abc import Iterator

import numpy as np

from instances.arrays import IntArray
from instances.philox import Stream, uniform
from milp_lth.ledger import Chunk, Ledger
from solvers.solution import Status

_SAMPLE_LAYER = 2**16 - 2  # a stream that no layer of a source uses
_DRAWN_TOGETHER = 1 << 20


def count_claims(ledger: Ledger) -> int:
    """Return how many rows are claimed to be optimal or infeasible."""
    return sum(len(_claims(chunk)) for chunk in ledger.chunks())


def sampled_claims(
    ledger: Ledger, seed: int, size: int | None = None
) -> Iterator[tuple[Chunk, IntArray]]:
    """Yield the chunks with their rows of which something is claimed, counted from their start.

    Parameters
    ----------
    ledger
        What is recorded.
    seed
        Of the sample: the run's own, so that whoever checks the run proves the same rows. A larger
        sample holds the smaller ones.
    size
        How many rows; None, or as many as there are: all.
    """
    chosen = None if size is None else _sample(seed, count_claims(ledger), size)
    first = 0
    for chunk in ledger.chunks():
        claims = _claims(chunk)
        if chosen is not None:
            mine = chosen[(chosen >= first) & (chosen < first + len(claims))] - first
            first, claims = first + len(claims), claims[mine]
        if len(claims):
            yield chunk, claims


def _claims(chunk: Chunk) -> IntArray:
    return np.flatnonzero(np.isin(chunk.status, (Status.OPTIMAL, Status.INFEASIBLE)))


def _sample(seed: int, count: int, size: int) -> IntArray:
    places, draws = np.zeros(0, np.int64), np.zeros(0)
    for begin in range(0, count, _DRAWN_TOGETHER):
        more = np.arange(begin, min(begin + _DRAWN_TOGETHER, count))
        places = np.concatenate([places, more])
        draws = np.concatenate([draws, uniform(Stream(seed, _SAMPLE_LAYER), more)])
        least = np.argsort(draws)[:size]
        places, draws = places[least], draws[least]
    return np.sort(places)
