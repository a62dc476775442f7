"""The sixteen-lane kernel against the other one, and against all subsets."""

import numpy as np
import pytest

from instances.generate import planted_family, uniform_family
from instances.subset_sum import SubsetSum
from solvers.exact import meet_in_the_middle
from solvers.exact.lanes import MAX_CANDIDATES, MIN_CANDIDATES, closest_in_lanes, solve_in_lanes
from solvers.exact.scaling import scale
from solvers.solve import solve


def by_the_other_kernel(instance: SubsetSum, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    with monkeypatch.context() as patch:
        patch.setattr(
            meet_in_the_middle, "solve_in_lanes", lambda a, t, v, rows, mask: np.zeros(len(t), bool)
        )
        return solve(instance, "mitm").mask


@pytest.mark.parametrize("n", range(MIN_CANDIDATES, MAX_CANDIDATES + 1))
def test_both_kernels_agree(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = uniform_family(37 if n < 22 else 5, n, seed=n)
    available = np.ones(instance.coefficients.shape, bool)
    mask = np.zeros_like(available)
    scaled = scale(instance)
    rows = np.arange(len(instance))
    solved = solve_in_lanes(scaled.coefficients, scaled.target, available, rows, mask)
    assert solved.all()
    assert (mask == by_the_other_kernel(instance, monkeypatch)).all()


@pytest.mark.parametrize("n", [8, 9, 12, 13])
def test_all_subsets(n: int, rng: np.random.Generator) -> None:
    coefficients = rng.integers(-(2**40), 2**40, (50, n))
    target = rng.integers(-(2**40), 2**40, 50)
    subset, unique = closest_in_lanes(coefficients, target)
    sums = coefficients @ ((np.arange(2**n) >> np.arange(n)[:, None]) & 1)
    assert unique.all()
    assert (subset == np.abs(target[:, None] - sums).argmin(axis=1)).all()


@pytest.mark.parametrize("n", [8, 11, 16, 21])
def test_ties_are_left_to_the_other_kernel(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a coarse grid many subsets come equally close: the smallest must win all the same."""
    planted, _ = planted_family(200, n, seed=n, unit=2.0**-3)
    off = SubsetSum(planted.coefficients, planted.targets + 2.0**-5)
    halfway = SubsetSum(planted.coefficients, planted.targets + 2.0**-4)
    for instance in (planted, off, halfway):
        expected = by_the_other_kernel(instance, monkeypatch)
        assert (solve(instance, "mitm").mask == expected).all()


def test_duplicates_within_a_half(monkeypatch: pytest.MonkeyPatch) -> None:
    base = uniform_family(40, 18, seed=1)
    coefficients = base.coefficients.copy()
    coefficients[:, 3] = coefficients[:, 5]
    coefficients[:, 12] = coefficients[:, 16]
    coefficients[:, 7] = 0.0
    instance = SubsetSum(coefficients, base.targets)
    expected = by_the_other_kernel(instance, monkeypatch)
    assert (solve(instance, "mitm").mask == expected).all()


def test_ragged_rows_and_targets_out_of_reach(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = uniform_family(300, 16, seed=3)
    available = rng.random((300, 16)) < 0.8
    targets = base.targets.copy()
    targets[::10] *= 1e6
    instance = SubsetSum(base.coefficients, targets, available=available)
    expected = by_the_other_kernel(instance, monkeypatch)
    assert (solve(instance, "mitm").mask == expected).all()
