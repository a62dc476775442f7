"""Golden ratio: one pass over the candidates with a guarantee, in linear time, without search.

Candidates of the target's sign are put into buckets by size, (γ⁻ⁱ⁻¹, γ⁻ⁱ] for a ratio γ. From each
bucket, the largest first, one is picked, and kept where what rests of the target is not less than
it. If 0 ≤ rest ≤ R before, then 0 ≤ rest ≤ max(v, R − v) after a pick v ≤ R. So a pick between
R(1 − 1/γ) and R/γ brings R down to R/γ, whatever the target, and picks of successive buckets do
while γ is at most the golden ratio: R = γ¹⁻ⁱ is met by all of (γ⁻ⁱ⁻¹, γ⁻ⁱ] when γ² ≤ γ + 1.

To prefer for many rows of many candidates whose sizes cover all orders of magnitude, such as
hyperbolic ones. Orseau, Hutter and Rivasplata, "Logarithmic pruning is all you need", NeurIPS 2020.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.compiled import compilable, compiled
from instances.instance import Instance
from instances.objectives import Closest
from instances.subset_sum import SubsetSum
from solvers.solver import OnEvent, Proposal, nothing_known, put_rows

_LEAST, _GOLDEN = 1.01, (1 + math.sqrt(5)) / 2
_NUMBERS = 1 << 17  # looked at together: 1 MB in float64, in the cache


@dataclass(frozen=True)
class GoldenRatio:
    """One pick of each bucket, for the objective `Closest`; see `guaranteed_error`.

    Parameters
    ----------
    ratio
        γ, from 1.01 to the golden ratio, 1.618…: the smaller, the more buckets.

    Raises
    ------
    ValueError
        When `ratio` is out of range.
    """

    ratio: float = 1.5
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if not _LEAST <= self.ratio <= _GOLDEN:
            raise ValueError(f"ratio {self.ratio}: give a number from 1.01 to 1.618…")

    def supports(self, instance: Instance) -> bool:
        """Whether the rows are SubsetSum problems that ask for the least error."""
        return isinstance(instance, SubsetSum) and isinstance(instance.objective, Closest)

    def propose(
        self,
        instance: SubsetSum,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose what the pass keeps, without bounds; rows the clock leaves out are `start`."""
        whole = nothing_known(instance, start)
        began = time.monotonic()
        _compile()
        whole.stats["start_seconds"] = time.monotonic() - began
        deadline = time.monotonic() + time_limit
        for first, part in _parts(instance):
            if time.monotonic() > deadline:
                break
            proposal = nothing_known(part)
            proposal.mask[:], _ = _pruned(part, self.ratio)
            proposal.reported.status[:] = "done"
            put_rows(whole, first, proposal)
            if on_event is not None:
                on_event(first, proposal)
        return whole


def guaranteed_error(instance: SubsetSum, ratio: float = 1.5) -> FloatArray:
    """Return what the error of `GoldenRatio` cannot exceed, whatever the target in its bucket.

    It is R after the last bucket, where R begins as the power of the ratio above the target. With
    m successive buckets below that one that are not empty, it is at most γ⁻ᵐ of the power; beyond
    the reach of the candidates it is large. What float64 rounds on the way is included.

    Parameters
    ----------
    instance
        The batch.
    ratio
        As for `GoldenRatio`.

    Returns
    -------
    FloatArray
        Shape (b,).

    Raises
    ------
    ValueError
        When `ratio` is out of range.
    """
    GoldenRatio(ratio)  # refuses what is out of range
    return np.concatenate([_pruned(part, ratio)[1] for _, part in _parts(instance)])


@cache
def _compile() -> None:
    """Compile the kernel, or load it from numba's cache, by solving something small."""
    _pruned(SubsetSum.tiny(), _GOLDEN)


def _parts(instance: SubsetSum) -> Iterator[tuple[int, SubsetSum]]:
    """Cut the batch into parts, each with its first row."""
    step = max(1, _NUMBERS // max(1, instance.num_candidates))
    for first in range(0, len(instance), step):
        yield first, instance.part(first, first + step)


def _pruned(instance: SubsetSum, ratio: float) -> tuple[BoolArray, FloatArray]:
    """Return the masks, shape (b, n), and the errors that are guaranteed, shape (b,)."""
    shape, available = instance.coefficients.shape, instance.available
    usable = np.zeros(shape)  # always of one layout: another would be compiled anew
    np.copyto(usable, instance.coefficients, where=True if available is None else available)
    mask = np.zeros(shape, np.bool_)
    guaranteed = np.zeros(len(instance))
    edges, one = _edges(ratio)
    targets = np.array(instance.targets)
    _prune(usable, targets, edges, one, 1 / math.log2(ratio), mask, guaranteed)
    return mask, guaranteed


@cache
def _edges(ratio: float) -> tuple[FloatArray, int]:
    """Return the upper ends of the buckets, downwards, for all that float64 holds; which is 1."""
    largest = np.finfo(np.float64).max
    num = int(1024 / math.log2(ratio)) + 1
    with np.errstate(over="ignore"):
        powers = np.multiply.accumulate(np.full(num, ratio))
    powers = powers[powers < largest]
    return np.concatenate([[largest], powers[::-1], [1.0], 1 / powers]), len(powers) + 1


@compiled
def _prune(a, targets, edges, one, per_octave, mask, guaranteed):  # type: ignore[no-untyped-def]
    heads = np.full(edges.size, -1)  # the first candidate of each bucket,
    after = np.empty(a.shape[1], np.int64)  # and of each candidate the next in its bucket
    for r in range(a.shape[0]):
        rest = abs(targets[r])
        if rest == 0.0:
            continue
        sign = 1.0 if targets[r] > 0.0 else -1.0
        top = _bucket(rest, edges, one, per_octave)
        most = edges[top]
        last = top
        for k in range(a.shape[1] - 1, -1, -1):
            v = sign * a[r, k]
            if 0.0 < v <= most:
                i = _bucket(v, edges, one, per_octave)
                after[k] = heads[i]
                heads[i] = k
                last = max(last, i)
        rounded = 0.0
        for i in range(top, last + 1):
            k = heads[i]
            if k < 0:
                continue
            heads[i] = -1
            pick, least = k, np.inf
            while k >= 0:
                v = sign * a[r, k]
                left = max(v, most - v)
                if left < least:  # of equal ones the first
                    pick, least = k, left
                k = after[k]
            v = sign * a[r, pick]
            if rest >= v:
                rest -= v
                mask[r, pick] = True
            most = least
            rounded += 2.0**-52 * most  # twice what a difference up to `most` is rounded by
        guaranteed[r] = np.nextafter(most + rounded, np.inf)


@compilable
def _bucket(v, edges, one, per_octave):  # type: ignore[no-untyped-def]
    """Return the last bucket whose upper end is not below `v`: guessed, then compared.

    The guess, log₂ by a straight line in each octave, is near; it does not matter to the result.
    """
    mantissa, exponent = math.frexp(v)
    i = min(max(one - int((exponent + 2.0 * mantissa - 2.0) * per_octave), 0), edges.size - 1)
    while v > edges[i]:
        i -= 1
    while i + 1 < edges.size and v <= edges[i + 1]:
        i += 1
    return i
