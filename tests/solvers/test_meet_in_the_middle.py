"""The kernels of meet-in-the-middle against all subsets, and against two other oracles."""

import numpy as np
import pytest

from instances.generate import planted_family, uniform_family
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.subset_sum import SubsetSum
from solvers.exact import by_size, closest
from solvers.solution import Solution
from solvers.solve import solve

COUNTING = [Sparsest(1e-3), Sparsest(1e-9), FixedSize(5), FixedSize(7)]


def on_the_grid(instance: SubsetSum) -> SubsetSum:
    """Round the targets to multiples of 2⁻⁴⁶, so that all differences are exact floats."""
    return SubsetSum(instance.coefficients, np.rint(instance.targets * 2.0**46) * 2.0**-46)


def first_closest(instance: SubsetSum) -> np.ndarray:
    """Return the smallest mask among the closest by trying all subsets, in units of 2⁻⁵⁰."""
    n = instance.num_candidates
    coefficients = (instance.coefficients * 2.0**50).astype(np.int64)
    target = (instance.targets * 2.0**50).astype(np.int64)
    masks = np.empty(instance.coefficients.shape, bool)
    for b, row in enumerate(coefficients):
        sums = np.zeros(1, np.int64)
        for a in row:
            sums = np.concatenate([sums, sums + a])
        masks[b] = np.abs(target[b] - sums).argmin() >> np.arange(n) & 1 == 1
    return masks


def least_distance(instance: SubsetSum, b: int) -> float:
    """Return the least error of a row by searching one sorted half for every sum of the other."""
    halves = []
    for part in np.array_split(instance.coefficients[b], 2):
        sums = np.zeros(1)
        for a in part:
            sums = np.concatenate([sums, sums + a])
        halves.append(np.sort(sums))
    wanted = instance.targets[b] - halves[0]
    place = np.searchsorted(halves[1], wanted)
    above = halves[1][np.minimum(place, len(halves[1]) - 1)]
    below = halves[1][np.maximum(place - 1, 0)]
    return float(min(np.abs(wanted - above).min(), np.abs(wanted - below).min()))


def smallest_on_a_grid(row: np.ndarray, target: float) -> np.ndarray:
    """Return the smallest mask among the closest where sums take few values: reachable sets."""
    reachable = [{0.0}]
    for a in row:
        reachable.append(reachable[-1] | {s + a for s in reachable[-1]})
    distance = min(abs(target - s) for s in reachable[-1])
    goals = {target - distance, target + distance}
    mask = np.zeros(len(row), bool)
    for k in range(len(row) - 1, -1, -1):
        without = {g for g in goals if g in reachable[k]}
        mask[k] = not without
        goals = without or {g - row[k] for g in goals}
    return mask


@pytest.mark.parametrize("n", range(23))
def test_all_subsets(n: int) -> None:
    base = uniform_family(40 if n < 18 else 3, n, seed=n)
    targets = base.targets.copy()
    targets[::7] *= 1e3
    instance = on_the_grid(SubsetSum(base.coefficients, targets))
    assert (solve(instance, "mitm").mask == first_closest(instance)).all()


@pytest.mark.parametrize("n", [24, 27, 33, 40, 44, 45])
def test_large_rows(n: int) -> None:
    instance = on_the_grid(uniform_family(2, n, seed=n))
    solution = solve(instance, "mitm")
    assert solution.counts()["OPTIMAL"] == 2
    assert solution.error[0] == least_distance(instance, 0)


def test_the_largest_rows() -> None:
    """A subset planted among 48 candidates is met, though tables hold 44."""
    instance, _ = planted_family(2, 48, seed=1)
    assert (solve(instance, "mitm").objective == 0).all()


@pytest.mark.parametrize("n", [8, 11, 16, 21, 30, 37])
@pytest.mark.parametrize("off", [0.0, 2.0**-5, 2.0**-4])
def test_the_smallest_of_many_ties(n: int, off: float) -> None:
    planted, _ = planted_family(20, n, seed=n, unit=2.0**-3)
    instance = SubsetSum(planted.coefficients, planted.targets + off)
    mask = solve(instance, "mitm").mask
    for b in range(len(instance)):
        expected = smallest_on_a_grid(instance.coefficients[b], instance.targets[b])
        assert (mask[b] == expected).all()


def test_duplicates_within_a_half() -> None:
    base = uniform_family(40, 18, seed=1)
    coefficients = base.coefficients.copy()
    coefficients[:, 3] = coefficients[:, 5]
    coefficients[:, 12] = coefficients[:, 16]
    coefficients[:, 7] = 0.0
    instance = on_the_grid(SubsetSum(coefficients, base.targets))
    assert (solve(instance, "mitm").mask == first_closest(instance)).all()


def one_by_one(instance: SubsetSum) -> np.ndarray:
    rows = [solve(instance.part(b, b + 1), "mitm") for b in range(len(instance))]
    return np.concatenate([row.mask for row in rows])


@pytest.mark.parametrize("objective", [Closest(), *COUNTING], ids=str)
def test_rows_that_share_a_vector(objective: Objective, rng: np.random.Generator) -> None:
    """Tables are shared where neighbours have the same candidates, and only there."""
    vectors = uniform_family(4, 17, seed=5).coefficients
    coefficients = vectors[np.repeat([0, 1, 0, 2, 3, 2], 5)]
    available = np.repeat(rng.random((10, 17)) < 0.8, 3, axis=0)
    targets = uniform_family(30, 1, seed=6).targets
    for usable in (None, available):
        instance = SubsetSum(coefficients, targets, objective, usable)
        assert (solve(instance, "mitm").mask == one_by_one(instance)).all()


@pytest.mark.parametrize("objective", [Closest(), *COUNTING], ids=str)
@pytest.mark.parametrize("unit", [2.0**-46, 2.0**-3])
def test_candidates_beyond_the_tables(
    objective: Objective, unit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tables of six candidates, in Python's integers, the answers are the same."""
    planted, _ = planted_family(6, 11, seed=3, unit=unit)
    instance = SubsetSum(planted.coefficients, planted.targets + 0.3 * unit, objective)
    expected = solve(instance, "mitm")
    monkeypatch.setattr(closest, "MAX_IN_TABLES", 6)
    monkeypatch.setattr(by_size, "MAX_IN_TABLES", 6)
    # one more candidate, of no use, that 64 bits cannot hold beside the others
    wide = np.column_stack([instance.coefficients, np.full(6, 2.0**200)])
    assert_same(solve(SubsetSum(wide, instance.targets, objective), "mitm"), expected)


def assert_same(found: Solution, expected: Solution) -> None:
    feasible = expected.feasible
    assert (found.status == expected.status).all()
    assert (found.objective == expected.objective).all()
    assert (found.error[feasible] == expected.error[feasible]).all()
    assert (found.mask[:, : expected.mask.shape[1]] == expected.mask)[feasible].all()
    assert not found.mask[feasible][:, expected.mask.shape[1] :].any()


@pytest.mark.parametrize("objective", COUNTING, ids=str)
def test_counting_beyond_the_tables(objective: Objective) -> None:
    """Candidates that are of no use change nothing, though tables cannot hold them."""
    base = uniform_family(2, 20, seed=8, objective=objective)
    useless = np.full((2, 21), 2.0**9)
    wide = SubsetSum(np.column_stack([base.coefficients, useless]), base.targets, objective)
    assert_same(solve(wide, "mitm"), solve(base, "mitm"))


def test_sparsest_beyond_reach_comes_as_close_as_can_be() -> None:
    base = uniform_family(6, 18, seed=4).coefficients
    ends = np.where(np.arange(6) % 2, 1.0, -1.0) * 2.0**5
    instance = SubsetSum(base, ends, Sparsest(1e-3))
    solution = solve(instance, "mitm")
    assert solution.counts()["INFEASIBLE"] == 6
    assert (solution.mask == first_closest(SubsetSum(base, ends))).all()
