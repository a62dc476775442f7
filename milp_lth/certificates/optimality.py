"""Proofs that no subset does better, by code that shares nothing with the solvers.

The candidates are split in two halves (Horowitz and Sahni, "Computing partitions with applications
to the knapsack problem", J. ACM 1974); all sums of each are whole numbers of one unit. Every subset
is a pair of sums, so one look-up per sum of the first half finds the pair nearest to the target. A
certificate holds the hashes of both tables and what the look-ups found: whoever doubts it builds
the tables again, in any language, and compares.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray
from instances.objectives import FixedSize, Sparsest
from instances.subset_sum import SubsetSum
from solvers.solution import Status

MAX_CANDIDATES = 40
"""Two tables of a million sums: a tenth of a second."""

_ROOM = 1 << 62  # what 64 bits hold; rows beyond are summed in Python's own integers

Sums = NDArray[Any]
"""Whole numbers in ascending order: int64, or Python's."""


@dataclass(frozen=True)
class OptimalityCertificate:
    """What the sums of two halves say of every subset of one row's candidates.

    Attributes
    ----------
    exponent
        Sums are counted in units of 2 to this power.
    tables
        SHA-256 of the sums of the first and of the second half of the available candidates, as
        int64, least significant byte first, ascending; where sizes count, size by size from the
        empty subset on. Sums beyond 64 bits: decimal digits, a newline after each.
    feasible
        Whether any subset is within the tolerance, where there is one.
    least_count
        The fewest candidates whose sum is within the tolerance; None unless that is asked for, and
        where no subset is.
    least_error
        The least error of any subset, rounded to the nearest float64: of those of `least_count`
        candidates, or of the asked size, where sizes count. None where no subset has that size.
    num_best
        How many subsets have exactly this error.
    reached
        Whether the mask at hand is one of them.
    """

    exponent: int
    tables: tuple[str, str]
    feasible: bool
    least_count: int | None
    least_error: float | None
    num_best: int
    reached: bool


def certify_optimality(instance: SubsetSum, b: int, mask: BoolArray) -> OptimalityCertificate:
    """Prove what the best subset of row `b` is worth, and compare a mask with it.

    The mask may be any: what is proved is true of the row. `refuted` says what it means for a claim
    about the mask.

    Parameters
    ----------
    instance
        Any batch of SubsetSum problems.
    b
        The row.
    mask
        Shape (n,), the mask that is claimed to be best.

    Returns
    -------
    OptimalityCertificate
        Small: two hashes and what they stand for.

    Raises
    ------
    ValueError
        When the row has more than 40 available candidates.

    Examples
    --------
    >>> instance = SubsetSum([[0.5, 0.25, -0.125]], [0.4])
    >>> certificate = certify_optimality(instance, 0, np.array([True, False, True]))
    >>> certificate.exponent, certificate.least_error, certificate.num_best, certificate.reached
    (-3, 0.025000000000000022, 1, True)
    """
    n = instance.num_candidates
    usable = np.ones(n, np.bool_) if instance.available is None else instance.available[b]
    count = int(usable.sum())
    if count > MAX_CANDIDATES:
        raise ValueError(
            f"{count} candidates: their sums are too many, certify rows of up to {MAX_CANDIDATES}"
        )
    ratios = [a.as_integer_ratio() for a in instance.coefficients[b, usable].tolist()]
    unit = max((bottom for _, bottom in ratios), default=1)
    numbers = [top * (unit // bottom) for top, bottom in ratios]
    target = Fraction(float(instance.targets[b])) * unit
    room = sum(map(abs, numbers)) + abs(target) + 1 < _ROOM
    objective = instance.objective
    by_size = isinstance(objective, Sparsest | FixedSize)
    half = count // 2
    low, high = (_table(part, room, by_size) for part in (numbers[:half], numbers[half:]))
    limit = None if instance.tolerance is None else Fraction(instance.tolerance) * unit
    least_count = None
    if isinstance(objective, Sparsest):
        assert limit is not None
        least_count, best = _fewest(low, high, target, limit)
    else:
        size = objective.size if isinstance(objective, FixedSize) else None
        best = _nearest(_pairs(low, high, size), target)
    kept = sum(number for number, k in zip(numbers, mask[usable].tolist(), strict=True) if k)
    size_kept = int(mask.sum())
    right_size = least_count in (None, size_kept)
    if isinstance(objective, FixedSize):
        right_size = size_kept == objective.size
    return OptimalityCertificate(
        exponent=1 - unit.bit_length(),
        tables=(_digest(low), _digest(high)),
        feasible=best is not None and (limit is None or best.error <= limit),
        least_count=least_count,
        least_error=None if best is None else float(best.error / unit),
        num_best=0 if best is None else best.num_best,
        reached=best is not None
        and right_size
        and not bool(mask[~usable].any())
        and abs(target - kept) == best.error,
    )


def refuted(
    certificate: OptimalityCertificate, status: int, objective: float, gap: float = 0.0
) -> str | None:
    """Say what is wrong with a claim about the certificate's row, if anything is.

    Parameters
    ----------
    certificate
        What is proved.
    status
        A `Status`: only OPTIMAL and INFEASIBLE claim that something is proved.
    objective
        That of the mask at hand: an error, or for `Sparsest` a count.
    gap
        By how much a mask that is called OPTIMAL may be worse than the best.

    Returns
    -------
    str or None
        What contradicts the claim; None: nothing does.
    """
    c = certificate
    if status == Status.INFEASIBLE and c.feasible:
        return f"claimed infeasible, but some subset misses the target by {c.least_error} only"
    if status != Status.OPTIMAL:
        return None
    if not c.feasible:
        return "claimed optimal, but no subset is within the tolerance"
    if c.least_count is not None:
        if objective > c.least_count + gap:
            return f"claimed optimal with {objective:g} kept, but {c.least_count} suffice"
    elif not c.reached and (gap == 0 or objective > float(c.least_error or 0.0) + gap):
        return f"claimed optimal at {objective}, but {c.least_error} is reached"
    return None


class _Best(NamedTuple):
    error: Fraction
    """In units of the row."""
    num_best: int


def _table(numbers: list[int], room: bool, by_size: bool) -> list[Sums]:
    """Return all sums in ascending order; `by_size`: those of every size, from 0 on."""
    sums: Sums = np.zeros(1, np.int64 if room else object)
    sizes = np.zeros(1, np.int64)
    for number in numbers:
        sums = np.concatenate([sums, sums + number])
        sizes = np.concatenate([sizes, sizes + 1])
    if not by_size:
        return [np.sort(sums)]
    return [np.sort(sums[sizes == size]) for size in range(len(numbers) + 1)]


def _pairs(low: list[Sums], high: list[Sums], size: int | None) -> Iterable[tuple[Sums, Sums]]:
    """Return the tables whose pairs of sums are those of all subsets of this size; None: all."""
    if size is None:
        return [(low[0], high[0])]
    return [(low[k], high[size - k]) for k in range(len(low)) if 0 <= size - k < len(high)]


def _fewest(
    low: list[Sums], high: list[Sums], target: Fraction, limit: Fraction
) -> tuple[int | None, _Best | None]:
    """Return the least size of a sum within the limit, and the nearest sum of that size.

    Where none is within it: None, and the nearest of any size.
    """
    for size in range(len(low) + len(high) - 1):
        best = _nearest(_pairs(low, high, size), target)
        if best is not None and best.error <= limit:
            return size, best
    whole = [(np.sort(np.concatenate(low)), np.sort(np.concatenate(high)))]
    return None, _nearest(whole, target)


def _nearest(pairs: Iterable[tuple[Sums, Sums]], target: Fraction) -> _Best | None:
    """Return the least distance of the target from a sum of a pair, and how many have it.

    Sums are whole, so the target lies `rest` above a whole number: the nearest sum is the largest
    up to there or the smallest beyond.
    """
    floor = target.__floor__()
    rest = target - floor
    best: _Best | None = None
    for low, high in pairs:
        wanted = floor - low
        place = np.searchsorted(high, wanted, side="right")
        under, over = place > 0, place < len(high)
        for aims, found, sign in (
            (wanted[under], high[place[under] - 1], 1),
            (wanted[over], high[place[over]], -1),
        ):
            if len(aims) == 0:
                continue
            away = aims - found
            least = abs(away).min()
            error = Fraction(int(least)) + sign * rest
            if best is None or error <= best.error:
                met = found[abs(away) == least]
                ends = (np.searchsorted(high, met, side) for side in ("right", "left"))
                num_best = int(np.subtract(*ends).sum())
                tied = best is not None and error == best.error
                best = _Best(error, num_best + (best.num_best if tied and best else 0))
    return best


def _digest(table: list[Sums]) -> str:
    sha = hashlib.sha256()
    for sums in table:
        if sums.dtype == object:
            sha.update("".join(f"{number}\n" for number in sums).encode())
        else:
            sha.update(sums.astype("<i8").tobytes())
    return sha.hexdigest()
