"""Sets where rounding decides, and sets with next to nothing in them."""

import math
from functools import partial

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.generate import uniform_family
from instances.library.named_set import NamedSet
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.philox import UNIT_RAW, Stream, uniform, words
from instances.subset_sum import SubsetSum

_SEED = 500
_COARSE = 2.0**-8


def _one_bit_apart(midpoints: FloatArray) -> FloatArray:
    """Leave every third number as it is, move the others to the next float above or below."""
    towards = np.resize([0.0, np.inf, -np.inf], len(midpoints))
    return np.where(towards == 0, midpoints, np.nextafter(midpoints, towards))


def _near_ties(n: int) -> SubsetSum:
    """Put each target half-way between two neighbours among all 2ⁿ sums."""
    base = uniform_family(20, n, seed=_SEED + n)
    middles = []
    for row, target in zip(base.coefficients, base.targets, strict=True):
        sums: IntArray = np.zeros(1, np.int64)
        for a in (row / UNIT_RAW).astype(np.int64):
            sums = np.concatenate([sums, sums + a])
        sums.sort()
        above = int(np.searchsorted(sums, target / UNIT_RAW))
        middles.append(math.ldexp(int(sums[above - 1] + sums[above]), -47))
    return SubsetSum(base.coefficients, _one_bit_apart(np.array(middles)))


def _near_ties_on_a_grid(num_rows: int, n: int) -> SubsetSum:
    """Put each target half-way between two multiples of a grid whose multiples are all sums."""
    base = uniform_family(num_rows, n, seed=_SEED + n, unit=_COARSE)
    middles = (np.floor(base.targets / _COARSE) + 0.5) * _COARSE
    return SubsetSum(base.coefficients, _one_bit_apart(middles))


def _huge_range(num_rows: int, n: int, exponent: int) -> SubsetSum:
    """Spread magnitudes evenly from 2^−exponent to 2^exponent; round the sum of a random mask."""
    counters = np.arange(num_rows * n).reshape(num_rows, n)
    drawn = uniform(Stream(_SEED + exponent), counters, unit=2.0**-20)
    mantissas = np.where(drawn < 0, drawn - 1, drawn + 1) / 2  # in [0.5, 1), of both signs
    exponents = np.array([2 * exponent * k // (n - 1) - exponent for k in range(n)])
    coefficients = np.ldexp(mantissas, exponents)
    keep = words(Stream(_SEED + exponent, matrix=1), counters)[..., 0] & 1 == 1
    sums = [math.fsum(row[kept]) for row, kept in zip(coefficients, keep, strict=True)]
    return SubsetSum(coefficients, np.array(sums))


def _two_ends(num_rows: int, n: int) -> SubsetSum:
    """Alternate between magnitudes near 2⁻⁹⁹⁶ and near 2⁹⁹⁶, the targets from row to row."""
    counters = np.arange(num_rows * n).reshape(num_rows, n)
    coarse, fine = (uniform(Stream(_SEED), counters, unit=unit) for unit in (2.0**-4, 2.0**-20))
    large = np.arange(n) % 2 == 1
    coefficients = np.where(large, np.ldexp(coarse, 996), np.ldexp(fine, -996))
    targets = uniform(Stream(_SEED, matrix=1), np.arange(num_rows), unit=2.0**-20)
    return SubsetSum(coefficients, np.ldexp(targets, np.resize([-996, 996], num_rows)))


def _zeros() -> SubsetSum:
    row = [0.0, 0.5, 0.0, -0.25, 0.0, 0.125, 0.0, 0.0]
    return SubsetSum(np.array([[0.0] * 8, row]).repeat(3, axis=0), np.resize([0.0, 0.3, -1.0], 6))


def _duplicates() -> SubsetSum:
    rows = [[0.125] * 24, [0.5, -0.5] * 12, [0.1, 0.2, 0.3] * 8, [1 / 3] * 23 + [1 / 7]]
    return SubsetSum(np.repeat(rows, 2, axis=0), np.tile([0.4, 0.0625], 4))


def _one() -> SubsetSum:
    return SubsetSum(np.full((5, 1), 0.5), np.array([0.0, 0.5, 0.25, 0.3, -1.0]))


def _unreachable(objective: Objective) -> SubsetSum:
    base = uniform_family(8, 8, seed=_SEED, objective=objective)
    return SubsetSum(base.coefficients, base.targets + np.tile([0.0, 100.0], 4), objective)


def _unavailable(objective: Objective) -> SubsetSum:
    base = uniform_family(9, 8, seed=_SEED + 1, objective=objective)
    available = np.arange(8) < np.arange(9)[:, None]  # 0 of them, 1 of them, … all of them
    return SubsetSum(base.coefficients, base.targets, objective, available)


def _trap(name: str, description: str, build: "partial[SubsetSum]") -> NamedSet:
    return NamedSet(name, description, "this library", build)


_HALF_WAY = "targets half-way between two neighbouring sums, or one bit off it"

TRAP_SETS = (
    _trap("near-ties-12", _HALF_WAY, partial(_near_ties, 12)),
    _trap("near-ties-16", _HALF_WAY, partial(_near_ties, 16)),
    _trap("near-ties-32", f"{_HALF_WAY}; all sums on the grid 2⁻⁸",
          partial(_near_ties_on_a_grid, 10, 32)),
    _trap("huge-range-16", "magnitudes from 2⁻⁴⁰ to 2⁴⁰; targets are rounded sums",
          partial(_huge_range, 10, 16, 40)),
    _trap("huge-range-ends-12", "magnitudes near 1e−300 and near 1e300 in every row",
          partial(_two_ends, 10, 12)),
    _trap("degenerate-zeros", "candidates that are 0", partial(_zeros)),
    _trap("degenerate-duplicates", "candidates that are equal: thousands of best masks",
          partial(_duplicates)),
    _trap("degenerate-one", "a single candidate", partial(_one)),
    _trap("degenerate-far", "targets beyond every sum, with a tolerance",
          partial(_unreachable, Closest(0.05))),
    _trap("degenerate-far-sparsest", "targets beyond every sum",
          partial(_unreachable, Sparsest(0.05))),
    _trap("degenerate-few", "only the first b of 8 candidates are available to row b",
          partial(_unavailable, Closest())),
    _trap("degenerate-few-fixed-3", "as degenerate-few: too few for the size in the first rows",
          partial(_unavailable, FixedSize(3))),
)  # fmt: skip
