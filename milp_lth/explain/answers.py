"""Where the masks that are explained come from: solved on the spot, or a run's records."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray
from instances.subset_sum import SubsetSum
from milp_lth.ledger import DIGESTS, Ledger
from milp_lth.reduction import Part, Reduction
from milp_lth.solving import solve_chunks
from solvers.exact.meet_in_the_middle import MAX_CANDIDATES

PATIENCE = 20.0
"""Seconds for weights with more candidates than can be solved in a moment."""

Ranges = Sequence[tuple[int, int, int]]
"""Rows that are asked for: the place of a part, the first row, and the row behind the last."""


class Answered(NamedTuple):
    """The answers to some rows of one part."""

    place: int
    start: int
    mask: BoolArray
    """Shape (rows, n)."""
    status: NDArray[np.uint8]

    def instance(self, part: Part) -> SubsetSum:
        """State the problems again that were answered."""
        return part.instance(self.start, self.start + len(self.mask))


class Answers(Protocol):
    """Where masks come from."""

    @property
    def recorded(self) -> bool:
        """Whether they were found before, by whatever was asked then."""
        ...

    def rows(self, ranges: Ranges) -> Iterator[Answered]:
        """Yield the answers to rows, in pieces that follow each other."""
        ...


@dataclass(frozen=True)
class Solved:
    """Answers that are found when they are asked for.

    Parameters
    ----------
    reduction
        The problems.
    time_limit
        Seconds, for all rows that are asked for together; None: as long as it takes, but
        `PATIENCE` where there are so many candidates that it may take for ever.
    """

    reduction: Reduction
    time_limit: float | None = None

    @property
    def recorded(self) -> bool:
        """False."""
        return False

    def rows(self, ranges: Ranges) -> Iterator[Answered]:
        """Solve the rows."""
        parts = self.reduction.parts
        others = {p: [(0, len(part))] for p, part in enumerate(parts)}
        for p, start, stop in ranges:
            others[p] = [(0, start), (stop, len(parts[p]))]
        limit = self.time_limit
        if limit is None:
            halves = [parts[p].half for p, _, _ in ranges]
            most = max(int((half.units >= 0).sum(axis=1).max()) for half in halves)
            limit = math.inf if most <= MAX_CANDIDATES else PATIENCE
        for chunk in solve_chunks(self.reduction, time_limit=limit, done=others):
            mask = chunk.mask(parts[chunk.part].shape[1])
            yield Answered(chunk.part, chunk.start, mask, chunk.status)


@dataclass(frozen=True)
class Recorded:
    """Answers that a finished run recorded.

    Raises
    ------
    ValueError
        When the run is not finished.
    """

    reduction: Reduction
    ledger: Ledger

    def __post_init__(self) -> None:
        if DIGESTS not in self.ledger.figures():
            folder = self.ledger.folder
            raise ValueError(f"{folder}: not finished: milp-lth resume {folder}")

    @property
    def recorded(self) -> bool:
        """True."""
        return True

    def rows(self, ranges: Ranges) -> Iterator[Answered]:
        """Read the rows.

        Raises
        ------
        ValueError
            When a record is damaged, or does not fit the problems.
        """
        done = self.ledger.done()
        for p, start, stop in ranges:
            width = self.reduction.parts[p].shape[1]
            starts = [first for first, _ in done.get(p, [])]
            for k in range(max(0, bisect_right(starts, start) - 1), len(starts)):
                if starts[k] >= stop:
                    break
                chunk = self.ledger.chunk(p, starts[k])
                first, last = max(start, chunk.start), min(stop, chunk.stop)
                rows = slice(first - chunk.start, last - chunk.start)
                yield Answered(p, first, chunk.mask(width)[rows], chunk.status[rows])
                start = last
            if start < stop:
                raise ValueError(f"{self.ledger.folder}: part {p}, row {start} is not recorded")
