"""Solvers of perturbed sums against all masks in fractions: optima, ties, bounds, statuses."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.generate import product_family, uniform_family
from instances.objectives import Closest, Objective, Sparsest
from instances.perturbed import PerturbedSubsetSum
from instances.subset_sum import SubsetSum
from solvers.exact.perturbed import MAX_CANDIDATES, Perturbed
from solvers.registry import get_solver
from solvers.select import select
from solvers.solution import Solution, Status
from solvers.solve import solve

OBJECTIVES: list[Objective] = [
    Closest(),
    Closest(0.0),
    Closest(2.0**-6),
    Sparsest(0.0),
    Sparsest(2.0**-6),
]
every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=str)


def best_mask(instance: PerturbedSubsetSum, b: int) -> tuple[np.ndarray, Fraction]:
    """The best mask of a row, feasible or not, and what it misses by: all of them, one by one."""
    n = instance.num_candidates
    a = [Fraction(x) for x in instance.coefficients[b].tolist()]
    p = [Fraction(x) for x in instance.perturbations[b].tolist()]
    target, tolerance = Fraction(float(instance.targets[b])), instance.tolerance
    allowed = range(n) if instance.available is None else np.flatnonzero(instance.available[b])
    found: list[tuple[Any, ...]] = []
    for code in range(2**n):
        kept = [k for k in range(n) if code >> k & 1]
        if not set(kept) <= set(allowed):
            continue
        away = abs(target - sum((a[k] for k in kept), Fraction(0)))
        miss = max(Fraction(0), away - sum((p[k] for k in kept), Fraction(0)))
        within = instance.counts and miss <= Fraction(tolerance or 0.0)
        rank = (0, len(kept), miss) if within else (1, miss, away)
        found.append((*rank, code, miss))
    *_, code, miss = min(found)
    return np.array([bool(code >> k & 1) for k in range(n)], np.bool_), miss


def hold_to_the_bit(instance: PerturbedSubsetSum, solution: Solution) -> None:
    """Hold masks, bounds and statuses against the oracle."""
    for b in range(len(instance)):
        mask, miss = best_mask(instance, b)
        if instance.tolerance is not None and miss > Fraction(instance.tolerance):
            assert solution.status[b] == Status.INFEASIBLE
        else:
            assert solution.status[b] == Status.OPTIMAL
            assert solution.bound[b] == (mask.sum() if instance.counts else float(miss))
        assert (solution.mask[b] == mask).all()


def on_a_grid(seed: int, n: int, objective: Objective, b: int = 2) -> PerturbedSubsetSum:
    """Few different numbers, so that masks tie; targets beside the grid, too."""
    rng = np.random.default_rng(seed)
    beside = rng.choice([0.0, 2.0**-7, -(2.0**-7), 2.0**-9, -1e-300, 1e-17], b)
    return PerturbedSubsetSum(
        rng.integers(-6, 7, (b, n)) / 64,
        rng.integers(-20, 21, b) / 64 + beside,
        rng.integers(0, 3, (b, n)) / 64 * (rng.random((b, 1)) < 0.8),
        objective,  # type: ignore[arg-type]
        rng.random((b, n)) < 0.8,
    )


@every_objective
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 6))
def test_the_best_mask_of_many_that_tie(objective: Objective, seed: int, n: int) -> None:
    instance = on_a_grid(seed, n, objective)
    hold_to_the_bit(instance, solve(instance, "perturbed"))


@every_objective
@settings(max_examples=25)
@given(
    data=st.data(),
    numbers=st.sampled_from(
        [
            st.floats(-1, 1),
            st.floats(-1, 1).map(lambda x: x * 2.0**-30) | st.floats(-1, 1),
            st.sampled_from([1.0, -1.0, 1 + 2.0**-52, 2.0**-55, 2.0**-100, 1e300, 5e-324, 0.1]),
        ]
    ),
)
def test_numbers_that_need_more_than_64_bits(
    objective: Objective, data: st.DataObject, numbers: st.SearchStrategy[float]
) -> None:
    n = data.draw(st.integers(1, 4))
    row = st.lists(numbers, min_size=n, max_size=n)
    a, p = data.draw(row), np.abs(data.draw(row)) * data.draw(st.sampled_from([0.01, 1.0]))
    kept = data.draw(st.integers(0, 2**n - 1))
    near = sum(a[k] + (-p[k], p[k])[kept % 2] for k in range(n) if kept >> k & 1)
    target = data.draw(numbers | st.just(near) | st.just(float(np.nextafter(near, 1))))
    instance = PerturbedSubsetSum([a], [target], [p], objective)  # type: ignore[arg-type]
    hold_to_the_bit(instance, solve(instance, "perturbed"))


@every_objective
@pytest.mark.parametrize("freedom", [2.0**-12, 0.001])
def test_rows_as_they_are_drawn(objective: Objective, freedom: float) -> None:
    """One number of 64 bits is enough for the first, two are needed for the second."""
    drawn = product_family(3, 9, seed=4)
    instance = PerturbedSubsetSum(drawn.coefficients, drawn.targets, freedom, objective)  # type: ignore[arg-type]
    hold_to_the_bit(instance, solve(instance, "perturbed"))


@every_objective
def test_rows_of_several_tables(objective: Objective) -> None:
    """The candidates beyond the tables, available or not, change nothing but their place."""
    small = on_a_grid(7, 9, objective, b=4)
    places = np.array([0, 1, 2, 12, 13, 14, 15, 16, 17])
    a, p, available = np.ones((4, 18)), np.ones((4, 18)), np.zeros((4, 18), bool)
    a[:, places], p[:, places] = small.coefficients, small.perturbations
    available[:, places] = small.available
    for unused in (0.0, 9.0):  # of no use, or out of reach: no different mask is better
        wide = PerturbedSubsetSum(
            np.where(available, a, unused),
            small.targets,
            np.where(available, p, 0.0),
            small.objective,
            None if unused else available,
        )
        mine, theirs = solve(wide, "perturbed"), solve(small, "perturbed")
        assert (mine.status == theirs.status).all()
        assert (mine.bound == theirs.bound).all()
        assert (mine.mask[:, places] == theirs.mask).all()
        assert mine.mask.sum() == theirs.mask.sum()


def test_more_candidates_than_the_oracle_can_try() -> None:
    rng = np.random.default_rng(3)
    a = rng.integers(-(2**20), 2**20, (3, 16))
    p, t = rng.integers(0, 9, (3, 16)), rng.integers(-(2**20), 2**20, 3)
    bits = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    solution = solve(PerturbedSubsetSum(a / 2**20, t / 2**20, p / 2**20), "perturbed")
    fewest = solve(PerturbedSubsetSum(a / 2**20, t / 2**20, p / 2**20, Sparsest(1e-5)), "perturbed")
    for b in range(3):
        away = np.abs(t[b] - bits @ a[b])
        miss = np.maximum(away - bits @ p[b], 0)
        assert (solution.mask[b] == bits[np.lexsort((away, miss))[0]]).all()
        beyond = np.where(miss <= 2**20 * 1e-5, 0, 99)
        assert (fewest.mask[b] == bits[np.lexsort((miss, bits.sum(axis=1) + beyond))[0]]).all()


@pytest.mark.parametrize("objective", [Closest(), Closest(1e-3), Sparsest(0.01)], ids=str)
def test_without_movement_it_is_a_subset_sum(objective: Objective) -> None:
    drawn = uniform_family(40, 11, seed=2, objective=objective)
    still = PerturbedSubsetSum(drawn.coefficients, drawn.targets, 0.0, objective)  # type: ignore[arg-type]
    mine, theirs = solve(still, "perturbed"), solve(drawn, "mitm")
    for name in ("violation", "error", "status", "bound"):
        assert (getattr(mine, name) == getattr(theirs, name)).all(), name
    assert (mine.mask == theirs.mask)[mine.feasible].all()


@pytest.mark.parametrize("name", ["cp-sat", "scip", "highs", "cbc"])
@pytest.mark.parametrize("objective", [Closest(), Sparsest(2.0**-6)], ids=str)
@pytest.mark.parametrize("freedom", [2.0**-8, 0.001])
def test_integer_programming_agrees(name: str, objective: Objective, freedom: float) -> None:
    drawn = uniform_family(3, 8, seed=6)
    available = np.arange(24).reshape(3, 8) % 7 > 0
    targets = np.append(drawn.targets[:2], 9.0)  # the last one is out of reach
    instance = PerturbedSubsetSum(
        drawn.coefficients,
        targets,
        freedom,
        objective,  # type: ignore[arg-type]
        available,
    )
    reference, solution = solve(instance, "perturbed"), solve(instance, name)
    feasible = reference.feasible
    assert (solution.feasible == feasible).all()
    assert (solution.objective[feasible] == reference.objective[feasible]).all()
    assert (solution.bound <= np.where(feasible, reference.objective, np.inf)).all()
    if instance.counts:
        assert (solution.status[feasible] == Status.OPTIMAL).all()
    else:
        lowered = get_solver(name).tolerance or 1e-9  # CP-SAT's way for programs has one, too
        assert (solution.bound >= reference.objective - 2e1 * lowered).all()


@pytest.mark.parametrize("name", ["cp-sat", "scip"])
def test_limits_that_are_met_exactly(name: str) -> None:
    """Planted: the sum, all its freedom and the tolerance together just reach the target."""
    rng = np.random.default_rng(8)
    a, p = rng.integers(-64, 64, (4, 8)) / 64, rng.integers(1, 4, (4, 8)) / 1024
    mask = rng.random((4, 8)) < 0.5
    targets = np.where(mask, a + p, 0).sum(axis=1) + 2.0**-11
    instance = PerturbedSubsetSum(a, targets, p, Sparsest(2.0**-11))
    reference, solution = solve(instance, "perturbed"), solve(instance, name)
    assert (reference.objective <= mask.sum(axis=1)).all()
    assert (solution.status == Status.OPTIMAL).all()
    assert (solution.objective == reference.objective).all()


@pytest.mark.parametrize("objective", [Closest(), Sparsest(2.0**-6)], ids=str)
def test_threads_chunks_and_a_process_of_its_own_change_nothing(objective: Objective) -> None:
    instance = on_a_grid(5, 10, objective, b=50)
    told = np.zeros(50, int)
    masks = np.zeros((50, 10), bool)

    def tell(first: int, part: Any) -> None:
        told[first : first + len(part.mask)] += 1
        masks[first : first + len(part.mask)] = part.mask

    whole = Perturbed(threads=3).propose(instance, np.inf, on_event=tell)
    assert (told == 1).all()
    assert (masks == whole.mask).all()
    for other in (
        Perturbed(threads=1).propose(instance, np.inf),
        solve(instance, "perturbed", time_limit=30),
    ):
        assert (other.mask == whole.mask).all()
        assert (other.bound == whole.bound).all()


def test_who_takes_them() -> None:
    wide = np.linspace(-1, 1, 30)[None]
    few = np.arange(30)[None] < MAX_CANDIDATES
    instance = PerturbedSubsetSum(wide, [0.3], 0.01, available=few)
    assert select(instance) == Perturbed()
    assert select(PerturbedSubsetSum(wide, [0.3], 0.01)) == get_solver("cp-sat")
    assert not Perturbed().supports(SubsetSum(wide, np.array([0.3])))
    with pytest.raises(ValueError, match="perturbed closest: choose cp-sat"):
        solve(PerturbedSubsetSum(wide, [0.3], 0.01), "perturbed")
