"""Families of random instances, each determined by a seed.

Coefficients are matrix 0 of layer 0 of the seed's stream, targets matrix 1, planted masks matrix 2
(factors of products: matrices 0 and 3).
"""

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.objectives import Closest, Objective
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream, uniform
from instances.recipe import Recipe
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

    Returns
    -------
    SubsetSum
        Coefficients of shape (b, n), targets of shape (b,).

    Raises
    ------
    ValueError
        When a number is out of range.
    """
    recipe = _row_by_row(num_rows, num_candidates, seed, unit=unit)
    return SubsetSum.drawn(recipe, _targets(num_rows, seed, target_range), objective)


def normal_family(
    num_rows: int,
    num_candidates: int,
    *,
    seed: int = 0,
    objective: Objective = _CLOSEST,
    target_range: float = 0.5,
) -> SubsetSum:
    """Draw standard normal coefficients, by an integer-only table look-up.

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

    Returns
    -------
    SubsetSum
        Coefficients of shape (b, n), targets of shape (b,).

    Raises
    ------
    ValueError
        When a number is out of range.
    """
    recipe = _row_by_row(num_rows, num_candidates, seed, distribution="normal")
    return SubsetSum.drawn(recipe, _targets(num_rows, seed, target_range), objective)


def hyperbolic_family(
    num_rows: int,
    num_candidates: int,
    *,
    seed: int = 0,
    objective: Objective = _CLOSEST,
    target_range: float = 0.5,
) -> SubsetSum:
    """Coefficients of density proportional to ``1/|w|`` on [2⁻⁸, 1], of both signs.

    The setting of Orseau, Hutter and Rivasplata 2020, whose greedy is `golden-ratio`.

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

    Returns
    -------
    SubsetSum
        Coefficients of shape (b, n), targets of shape (b,).

    Raises
    ------
    ValueError
        When a number is out of range.
    """
    recipe = _row_by_row(num_rows, num_candidates, seed, distribution="hyperbolic")
    return SubsetSum.drawn(recipe, _targets(num_rows, seed, target_range), objective)


def product_family(
    num_rows: int,
    num_candidates: int,
    *,
    seed: int = 0,
    objective: Objective = _CLOSEST,
    target_range: float = 0.5,
) -> SubsetSum:
    """Products of a factor on [0, 1) and one on [−1, 1): one half of Pensia's two-layer gadget.

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

    Returns
    -------
    SubsetSum
        Coefficients of shape (b, n), targets of shape (b,).

    Raises
    ------
    ValueError
        When a number is out of range.
    """
    counters = _counters(num_rows, num_candidates)
    u = np.abs(uniform(Stream(seed), counters, unit=UNIT_FACTOR))
    v = uniform(Stream(seed, matrix=3), counters, unit=UNIT_FACTOR)
    return SubsetSum(u * v, _targets(num_rows, seed, target_range), objective)


def planted_family(
    num_rows: int,
    num_candidates: int,
    *,
    seed: int = 0,
    objective: Objective = _CLOSEST,
    unit: float = UNIT_RAW,
) -> tuple[SubsetSum, BoolArray]:
    """Uniform coefficients whose targets are the exact sums of masks drawn beforehand.

    Parameters
    ----------
    num_rows, num_candidates
        The shape (b, n).
    seed
        Determines every number.
    objective
        What is asked of each row.
    unit
        Grid of the coefficients, a power of two; on a coarse one other masks may reach the same
        targets.

    Returns
    -------
    instance
        Coefficients of shape (b, n), targets of shape (b,).
    mask
        Shape (b, n): the masks whose sums the targets are.

    Raises
    ------
    ValueError
        When a number is out of range.
    """
    counters = _counters(num_rows, num_candidates)
    coefficients = uniform(Stream(seed), counters, unit=unit)
    mask = uniform(Stream(seed, matrix=2), counters) >= 0
    targets = np.where(mask, coefficients, 0.0).sum(axis=1)
    return SubsetSum(coefficients, targets, objective), mask


def _targets(num_rows: int, seed: int, target_range: float) -> FloatArray:
    return uniform(Stream(seed, matrix=1), np.arange(num_rows), unit=2.0**-52) * target_range


def _row_by_row(
    num_rows: int,
    num_candidates: int,
    seed: int,
    *,
    unit: float = UNIT_RAW,
    distribution: str = "uniform",
) -> Recipe:
    """Say how a matrix is drawn of which every row is a row of candidates."""
    _check(num_rows, num_candidates)
    columns = np.arange(num_candidates)[None]
    return Recipe(Stream(seed), num_candidates, columns, unit=unit, distribution=distribution)


def _counters(num_rows: int, num_candidates: int) -> IntArray:
    _check(num_rows, num_candidates)
    return np.arange(num_rows * num_candidates).reshape(num_rows, num_candidates)


def _check(num_rows: int, num_candidates: int) -> None:
    if num_rows < 1 or num_candidates < 0:
        raise ValueError(f"{num_rows} rows of {num_candidates} candidates: give at least one row")
