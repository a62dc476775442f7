"""Which targets some subset serves: the length of a union of intervals, in whole numbers.

All numbers are counted in units of 2⁻⁴⁶, the grid of the candidates, so that nothing is rounded.
"""

import numpy as np

from instances.arrays import FloatArray, IntArray

GRID_BITS = 46
UNIT = 2.0**-GRID_BITS

ERRORS: FloatArray = 2.0 ** -np.arange(2.0, 27.0)
"""The errors for which lengths are computed."""

_FACTOR = 1 << GRID_BITS // 2


def draw_candidates(
    distribution: str, shape: tuple[int, ...], rng: np.random.Generator
) -> IntArray:
    """Draw candidates: "uniform" ones, or "products" of U[0, 1) and U[−1, 1)."""
    if distribution == "products":
        return rng.integers(0, _FACTOR, shape) * rng.integers(-_FACTOR, _FACTOR, shape)
    return rng.integers(-(1 << GRID_BITS), 1 << GRID_BITS, shape)


def sums_near(candidates: IntArray, reach: int) -> IntArray:
    """Return the sums of all subsets that lie in ± 2 · reach, sorted.

    The empty one, 0, is within `reach` of all targets in [−reach, reach]: to them nearest sums, and
    those on either side of one, are no farther away than that.
    """
    sums = np.zeros(1, np.int64)
    for a in candidates:
        sums = np.concatenate([sums, sums + a])
    return np.sort(sums[np.abs(sums) <= 2 * reach])


def covered_length(sums: IntArray, tolerance: int, reach: int) -> int:
    """Return how much of [−reach, reach] lies within `tolerance` of one of the sorted sums."""
    left = np.maximum(sums - tolerance, -reach)
    right = np.minimum(sums + tolerance, reach)
    left[1:] = np.maximum(left[1:], right[:-1])  # what the sums before have covered
    return int(np.maximum(right - left, 0).sum())


def length_bound(num_subsets: int, tolerance: int, reach: int) -> int:
    """Return what no union of so many intervals of twice the tolerance exceeds in [−reach, reach].

    The counting argument of theorem 2 of Pensia et al. 2020.
    """
    return min(2 * reach, num_subsets * 2 * tolerance)


def twice_farthest(sums: IntArray, reach: int) -> int:
    """Return twice the distance from the worst target in [−reach, reach] to its nearest sum.

    `sums` are those of `sums_near`.
    """
    ends = [2 * int(np.abs(sums - end).min()) for end in (-reach, reach)]
    twice_middle = sums[:-1] + sums[1:]
    inside = np.abs(twice_middle) <= 2 * reach
    return max(*ends, int(np.diff(sums)[inside].max(initial=0)))


def covered_lengths(sums: IntArray, tolerances: FloatArray, reach: int) -> IntArray:
    """Return `covered_length` for each tolerance; all are multiples of the unit."""
    return np.array([covered_length(sums, in_units(tolerance), reach) for tolerance in tolerances])


def in_units(value: float) -> int:
    """Return a length in units.

    Raises
    ------
    ValueError
        When it is no multiple of the unit.
    """
    units = value / UNIT
    if units != int(units):
        raise ValueError(f"{value}: give a multiple of 2**-{GRID_BITS}")
    return int(units)
