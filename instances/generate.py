"""Families of random instances, each determined by a seed.

Coefficients are matrix 0 of layer 0 of the seed's stream, targets matrix 1, planted masks matrix 2
(factors of products: matrices 0 and 3).
"""

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.objectives import Closest, Objective
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream, normal, uniform
from instances.subset_sum import SubsetSum

_CLOSEST = Closest()


def uniform_family(
    num_rows: int,
    num_candidates: int,
    *,
    seed: int = 0,
    objective: Objective = _CLOSEST,
    target_range: float = 0.5,
    unit: float = UNIT_RAW,
) -> SubsetSum:
    """Coefficients uniform on [−1, 1), the setting of Lueker 1998.

    Parameters
    ----------
    num_rows, num_candidates
        The shape (b, n).
    seed
        Determines every number.
    objective
        What is asked of each row.
    target_range
        Targets are uniform on [−target_range, target_range).
    unit
        Grid of the coefficients, a power of two; the targets are on no grid of it.

    Raises
    ------
    ValueError
        When a number is out of range.
    """
    coefficients = uniform(Stream(seed), _counters(num_rows, num_candidates), unit=unit)
    return _instance(coefficients, seed, objective, target_range)


def normal_family(
    num_rows: int,
    num_candidates: int,
    *,
    seed: int = 0,
    objective: Objective = _CLOSEST,
    target_range: float = 0.5,
) -> SubsetSum:
    """Draw standard normal coefficients; parameters as for `uniform_family`."""
    coefficients = normal(Stream(seed), _counters(num_rows, num_candidates))
    return _instance(coefficients, seed, objective, target_range)


def product_family(
    num_rows: int,
    num_candidates: int,
    *,
    seed: int = 0,
    objective: Objective = _CLOSEST,
    target_range: float = 0.5,
) -> SubsetSum:
    """Products of a factor on [0, 1) and one on [−1, 1): one half of Pensia's two-layer gadget.

    Parameters as for `uniform_family`.
    """
    counters = _counters(num_rows, num_candidates)
    u = np.abs(uniform(Stream(seed), counters, unit=UNIT_FACTOR))
    v = uniform(Stream(seed, matrix=3), counters, unit=UNIT_FACTOR)
    return _instance(u * v, seed, objective, target_range)


def planted_family(
    num_rows: int,
    num_candidates: int,
    *,
    seed: int = 0,
    objective: Objective = _CLOSEST,
    unit: float = UNIT_RAW,
) -> tuple[SubsetSum, BoolArray]:
    """Uniform coefficients whose targets are the exact sums of masks drawn beforehand.

    Parameters as for `uniform_family`; returns the instance and the masks, shape (b, n). On a
    coarse `unit` other masks may reach the same targets.
    """
    counters = _counters(num_rows, num_candidates)
    coefficients = uniform(Stream(seed), counters, unit=unit)
    mask = uniform(Stream(seed, matrix=2), counters) >= 0
    targets = np.where(mask, coefficients, 0.0).sum(axis=1)
    return SubsetSum(coefficients, targets, objective), mask


def _instance(
    coefficients: FloatArray, seed: int, objective: Objective, target_range: float
) -> SubsetSum:
    targets = uniform(Stream(seed, matrix=1), np.arange(len(coefficients)), unit=2.0**-52)
    return SubsetSum(coefficients, targets * target_range, objective)


def _counters(
    num_rows: int, num_candidates: int
) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    if num_rows < 1 or num_candidates < 0:
        raise ValueError(f"{num_rows} rows of {num_candidates} candidates: give at least one row")
    return np.arange(num_rows * num_candidates).reshape(num_rows, num_candidates)
