"""Rows of floats as rows of integers that are ordered in exactly the same way.

Every coefficient of a row is a multiple of a power of two, its unit. The target need not be: where
it falls strictly between two multiples, only which quarter it falls into matters for comparing the
errors of two sums. So everything is counted in quarters of the unit, and the target becomes four
times the multiple below it plus 0 (on it), 1 (nearer to it), 2 (half-way) or 3.
"""

from fractions import Fraction
from math import ceil, floor, inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.compiled import compiled
from instances.subset_sum import SubsetSum

_MAX_SUM = 2.0**57  # units; quarters and their differences then stay below 2**61
_TINY, _FAR = 2.0**-900, 2.0**60  # targets and tolerances, in units, that floats can still compare


class Scaled(NamedTuple):
    """Rows in quarters of their units. Rows that 64 bits cannot hold do not `fit`: they are 0."""

    coefficients: IntArray
    """Shape (b, n), 0 where a candidate is unavailable."""
    target: IntArray
    """Shape (b,)."""
    low: IntArray
    high: IntArray
    """Shape (b,): a sum is within the tolerance when low ≤ sum ≤ high."""
    exponent: NDArray[np.int32]
    """Shape (b,): the unit is two to this power."""
    fits: BoolArray


def scale(instance: SubsetSum) -> Scaled:
    """Express every row of `instance` in quarters of its unit."""
    a = instance.coefficients
    if instance.available is not None:
        a = np.where(instance.available, a, 0.0)
    exponent, total = _units(np.ascontiguousarray(a).view(np.int64), np.abs(a))
    t, t_fits = _divided(instance.targets, exponent)
    limit = np.full(len(t), instance.tolerance or 0.0)
    tolerance, tolerance_fits = _divided(limit, exponent)
    fits = (total <= _MAX_SUM) & t_fits & tolerance_fits
    exponent[~fits], total[~fits], t[~fits], tolerance[~fits] = 0, 0.0, 0.0, 0.0
    quarters = np.ldexp(np.where(fits[:, None], a, 0.0), 2 - exponent[:, None]).astype(np.int64)
    # as far from 0 as any target need be: more than the total, which was rounded
    beyond = (total * (1 + 2.0**-40)).astype(np.int64) + 2
    whole = np.floor(t).astype(np.int64)
    rest = t - np.trunc(t)  # exact; t - floor(t) would be rounded where t is just below 0
    middle = np.where(rest < 0, -0.5, 0.5)
    quarter = np.where(rest == 0, 0, np.where(rest < middle, 1, np.where(rest == middle, 2, 3)))
    quarter[np.abs(whole) > beyond] = 0
    target = 4 * np.clip(whole, -beyond, beyond) + quarter
    low, high = -beyond, beyond
    if instance.tolerance is not None:
        low = -np.clip(_floor_of_sum(-t, tolerance), -beyond, beyond)
        high = np.clip(_floor_of_sum(t, tolerance), -beyond, beyond)
    return Scaled(quarters, target, 4 * low, 4 * high, exponent, fits)


def scale_row(instance: SubsetSum, b: int) -> tuple[list[int], int, int, int, Fraction]:
    """Express one row exactly in whole numbers of any size; its last entry is the unit."""
    numbers = _row(instance, b)
    unit = min((_lowest_bit(a) for a in numbers if a), default=Fraction(1))
    return _in_quarters(instance, b, [a / unit for a in numbers], unit)


def round_row(instance: SubsetSum, b: int) -> tuple[list[int], int, int, int, Fraction]:
    """Express one row as `scale_row` does, in a unit so coarse that every sum fits in 61 bits.

    Each coefficient is off by half a unit at most.
    """
    numbers = _row(instance, b)
    total = sum(map(abs, numbers), Fraction(1, 2**1000))
    unit = Fraction(2) ** (floor(total).bit_length() - 56 if total >= 1 else -55)
    while total / unit < 2**50:
        unit /= 2
    rounded = [Fraction(floor(a / unit + Fraction(1, 2))) for a in numbers]
    return _in_quarters(instance, b, rounded, unit)


def proven_bound(instance: SubsetSum, b: int, mask: BoolArray) -> float:
    """Return the error of a row's best mask, correctly rounded, as a bound.

    Infinite where it exceeds the tolerance by so little that rounding would hide it, and where it
    is larger than any float.
    """
    kept = [a for a, keep in zip(_row(instance, b), mask, strict=True) if keep]
    error = abs(Fraction(float(instance.targets[b])) - sum(kept))
    return rounded_bound(error, instance.tolerance)


def rounded_bound(error: Fraction, tolerance: float | None) -> float:
    """Round a least error, for `proven_bound`."""
    try:
        rounded = float(error)
    except OverflowError:
        return inf
    return inf if tolerance is not None and rounded <= tolerance < error else rounded


def _row(instance: SubsetSum, b: int) -> list[Fraction]:
    row = instance.coefficients[b]
    if instance.available is not None:
        row = np.where(instance.available[b], row, 0.0)
    return [Fraction(a) for a in row.tolist()]


def _in_quarters(
    instance: SubsetSum, b: int, coefficients: list[Fraction], unit: Fraction
) -> tuple[list[int], int, int, int, Fraction]:
    beyond = sum((abs(a) for a in coefficients), Fraction(2))
    t = Fraction(float(instance.targets[b])) / unit
    rest = t - floor(t)
    quarter = 0 if rest == 0 else 1 if rest < Fraction(1, 2) else 2 if rest * 2 == 1 else 3
    target = 4 * floor(t) + quarter if abs(t) <= beyond else int(4 * beyond) * (1 if t > 0 else -1)
    limit = beyond if instance.tolerance is None else Fraction(instance.tolerance) / unit
    low = 4 * ceil(max(t - limit, -beyond)) if t - limit <= beyond else int(4 * beyond)
    high = 4 * floor(min(t + limit, beyond)) if t + limit >= -beyond else -int(4 * beyond)
    if instance.tolerance is None:
        low, high = -int(4 * beyond), int(4 * beyond)
    return [4 * int(a) for a in coefficients], target, low, high, unit


def _lowest_bit(a: Fraction) -> Fraction:
    return Fraction(a.numerator & -a.numerator, a.denominator)


@compiled
def _units(bits, magnitudes):  # type: ignore[no-untyped-def]
    """Lowest bit of each row as an exponent, and the row's absolute sum in that unit."""
    b, n = bits.shape
    exponent = np.zeros(b, np.int32)
    total = np.zeros(b)
    for r in range(b):
        lowest = 2000
        for k in range(n):
            biased = (bits[r, k] >> 52) & 0x7FF
            fraction = bits[r, k] & 0xFFFFFFFFFFFFF
            if biased == 0 and fraction == 0:
                continue
            position = max(biased, 1) - 1075
            if biased > 0:
                fraction |= 1 << 52
            while fraction & 1 == 0:
                fraction >>= 1
                position += 1
            lowest = min(lowest, position)
        if lowest == 2000:
            lowest = 0
        exponent[r] = lowest
        for k in range(n):
            # two steps: 2**-lowest alone may be too large for a float
            total[r] += (
                magnitudes[r, k] * 2.0 ** (-(lowest // 2)) * 2.0 ** (-(lowest - lowest // 2))
            )
    return exponent, total


def _divided(values: FloatArray, exponent: NDArray[np.int32]) -> tuple[FloatArray, BoolArray]:
    """Divide by two to the power `exponent`; say where the quotient is exact and fits 64 bits."""
    with np.errstate(over="ignore", under="ignore"):
        quotient = np.ldexp(values, -exponent)
    size = np.abs(quotient)
    return quotient, (values == 0) | ((size >= _TINY) & (size <= _FAR))


def _floor_of_sum(x: FloatArray, y: FloatArray) -> IntArray:
    """⌊x + y⌋ for y ≥ 0, as if x + y were not rounded."""
    x_whole, y_whole = np.trunc(x), np.trunc(y)
    x_rest, y_rest = x - x_whole, y - y_whole  # exact
    s = x_rest + y_rest
    lost = (x_rest - (s - (s - x_rest))) + (y_rest - (s - x_rest))  # Knuth's two-sum
    below = (s == np.floor(s)) & (lost < 0)
    carry = np.floor(s).astype(np.int64) - below
    return np.asarray(x_whole.astype(np.int64) + y_whole.astype(np.int64) + carry)


def as_objects(row: tuple[list[int], int, int, int, Fraction]) -> tuple[Any, Any, Any, Any]:
    """Return a row of `scale_row` as arrays of Python integers, shapes (1, n), (1,), (1,), (1,)."""
    coefficients, target, low, high, _ = row
    matrix = np.empty((1, len(coefficients)), dtype=object)
    matrix[0, :] = coefficients
    target_, low_, high_ = (np.array([value], dtype=object) for value in (target, low, high))
    return matrix, target_, low_, high_
