"""Solvers of shared units against enumeration: optima are optima, bounds are true."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from units_oracle import least_costs

from instances.shared_units import SharedUnits
from solvers.heuristic.shared_units import SharedUnitsSearch
from solvers.registry import get_solver
from solvers.select import select
from solvers.solution import Solution, Status
from solvers.solve import solve

EXACT = ["unit-sets", "cp-sat", "scip", "cbc", "highs"]
COSTS = [(1.0, 0.0), (3.0, 1.0), (0.0, 1.0), (0.3, 0.1)]


def drawn(
    seed: int, b: int = 3, m: int = 3, n: int = 5, tolerance: float = 0.1, **settings: Any
) -> SharedUnits:
    rng = np.random.default_rng(seed)
    coefficients = rng.uniform(-1, 1, (b, m, n))
    targets = rng.uniform(-1, 1, (b, m))
    if settings.get("structured"):  # reached by some set, within half the tolerance
        kept = rng.random((b, 1, n)) < 0.5
        targets = (coefficients * kept).sum(axis=2) + rng.uniform(-0.5, 0.5, (b, m)) * tolerance
        targets[-1] = 9.0
    return SharedUnits(coefficients, targets, tolerance, **settings)


def hold_claims(instance: SharedUnits, solution: Solution, optimum: np.ndarray) -> None:
    """Hold every claim against true optima; infinite where nothing is feasible."""
    objective, violation = instance.evaluate(solution.mask)
    assert (solution.objective == objective).all()
    feasible = violation == 0
    assert (solution.bound <= optimum).all()
    assert (objective[feasible] >= optimum[feasible]).all()
    assert not feasible[np.isinf(optimum)].any()
    proved = solution.status == Status.OPTIMAL
    assert (objective[proved] == optimum[proved]).all()
    assert np.isinf(optimum[solution.status == Status.INFEASIBLE]).all()


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("name", EXACT)
def test_exact_solvers_find_the_optimum(
    name: str, costs: tuple[float, float], structured: bool
) -> None:
    instance = drawn(
        5, tolerance=0.15, unit_cost=costs[0], edge_cost=costs[1], structured=structured
    )
    optimum = least_costs(instance)
    assert np.isfinite(optimum).any()
    solution = solve(instance, name)
    hold_claims(instance, solution, optimum)
    found = np.isfinite(optimum)
    assert (solution.feasible == found).all()
    assert (solution.objective[found] == optimum[found]).all()
    assert (solution.status[~found] == Status.INFEASIBLE).all()
    if instance.counts or name == "unit-sets":
        assert (solution.status[found] == Status.OPTIMAL).all()


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("name", ["unit-sets", "shared-units"])
@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 6),
    m=st.integers(1, 3),
    tolerance=st.sampled_from([0.0, 0.05, 0.4, 2.0]),
    costs=st.sampled_from(COSTS),
    share=st.sampled_from([0.3, 0.8, 1.0]),
)
def test_against_enumeration(
    name: str,
    structured: bool,
    seed: int,
    n: int,
    m: int,
    tolerance: float,
    costs: tuple[float, float],
    share: float,
) -> None:
    rng = np.random.default_rng(seed)
    coefficients = rng.integers(-4, 5, (2, m, n)) / 4
    targets = rng.integers(-6, 7, (2, m)) / 4 if rng.random() < 0.5 else rng.normal(size=(2, m))
    available = rng.random((2, m, n)) < share
    instance = SharedUnits(coefficients, targets, tolerance, *costs, structured, available)
    optimum = least_costs(instance)
    solution = solve(instance, name)
    hold_claims(instance, solution, optimum)
    if name == "unit-sets":
        assert set(solution.status) <= {Status.OPTIMAL, Status.INFEASIBLE}
    elif not structured:
        assert (solution.feasible == np.isfinite(optimum)).all()


@pytest.mark.parametrize("costs", [(1.0, 0.0), (2.0, 1.0)])
def test_what_is_proved_agrees_with_another_method(costs: tuple[float, float]) -> None:
    """Beyond enumeration: 12 units, where CP-SAT proves by the standard form."""
    instance = drawn(7, b=2, m=4, n=12, tolerance=0.05, unit_cost=costs[0], edge_cost=costs[1])
    tables, program = (solve(instance, name) for name in ("unit-sets", "cp-sat"))
    assert (tables.status == Status.OPTIMAL).all()
    assert (program.status == Status.OPTIMAL).all()
    assert (tables.objective == program.objective).all()


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("costs", COSTS)
def test_ragged_blocks_of_more_than_one_word(costs: tuple[float, float], structured: bool) -> None:
    """Nine units are eight words of sets, some of them unavailable to some outputs."""
    available = np.random.default_rng(6).random((4, 2, 9)) < 0.8
    instance = drawn(
        6, b=4, m=2, n=9, tolerance=0.1, unit_cost=costs[0], edge_cost=costs[1],
        structured=structured, available=available,
    )  # fmt: skip
    optimum = least_costs(instance)
    solution = solve(instance, "unit-sets")
    hold_claims(instance, solution, optimum)
    assert set(solution.status) <= {Status.OPTIMAL, Status.INFEASIBLE}
    assert (solution.feasible == np.isfinite(optimum)).all()


def test_the_search_comes_close() -> None:
    instance = drawn(1, b=12, m=8, n=16, tolerance=0.05)
    exact, found, plain = (
        solve(instance, solver)
        for solver in ("unit-sets", "shared-units", SharedUnitsSearch(rounds=0))
    )
    assert (exact.status == Status.OPTIMAL).all()
    assert (found.bound <= exact.objective).all()
    assert (found.objective >= exact.objective).all()
    assert found.objective.sum() <= 1.1 * exact.objective.sum()
    alone = solve(instance.sums()).mask.reshape(12, -1)
    assert found.objective.sum() <= plain.objective.sum() < instance.num_units(alone).sum()


def test_the_sparsest_answers_can_prove_an_optimum() -> None:
    """Outputs that ask for the same: the bound is met."""
    one = drawn(3, b=4, m=1, n=10)
    instance = SharedUnits(
        np.repeat(one.coefficients, 3, axis=1), np.repeat(one.targets, 3, axis=1), one.tolerance
    )
    solution = solve(instance, "shared-units")
    assert set(solution.status) <= {Status.OPTIMAL, Status.INFEASIBLE}


@pytest.mark.parametrize("name", ["unit-sets", "shared-units", "scip"])
def test_infeasible_blocks_are_told_apart(name: str) -> None:
    targets = np.array([[0.5, 0.25], [0.5, 9.0]])
    instance = SharedUnits(np.full((2, 2, 3), 0.25), targets, 0.01)
    solution = solve(instance, name)
    assert solution.status.tolist() == [Status.OPTIMAL, Status.INFEASIBLE]
    assert solution.objective[0] == 2


def test_whole_units_beyond_enumeration() -> None:
    """A planted set of 26 units is found; the local search finds one for fewer outputs."""
    instance = drawn(2, b=2, m=6, n=26, tolerance=0.05, structured=True)
    exact = solve(instance, "unit-sets")
    assert exact.status.tolist() == [Status.OPTIMAL, Status.INFEASIBLE]
    easy = drawn(2, b=2, m=2, n=40, tolerance=0.3, structured=True)
    found = solve(easy, "shared-units")
    assert found.feasible.tolist() == [True, False]
    assert found.mask[0].sum() <= 20


def test_numbers_beyond_64_bits_are_not_proved() -> None:
    instance = SharedUnits([[[1e300, 1e-300, 1.0], [1.0, 1.0, 1.0]]], [[1.0, 1.0]], 0.0)
    solution = solve(instance, "unit-sets")
    assert solution.status[0] in (Status.FEASIBLE, Status.OPTIMAL)
    assert (solution.bound <= least_costs(instance)).all()


@pytest.mark.parametrize("name", ["unit-sets", "shared-units"])
def test_a_start_is_never_made_worse(name: str) -> None:
    instance = drawn(4, b=3, m=3, n=10)
    start = solve(instance, "unit-sets").mask
    given, solution = instance.verdict(start), solve(instance, name, start=start)
    assert (solution.violation <= given.violation).all()
    same = solution.violation == given.violation
    assert (solution.objective <= given.objective)[same].all()


@pytest.mark.parametrize("name", ["unit-sets", "shared-units"])
@pytest.mark.parametrize("structured", [False, True])
def test_time_limits_hold(name: str, structured: bool) -> None:
    instance = drawn(8, b=60, m=32, n=28, tolerance=0.05, structured=structured)
    seen = np.zeros(60, bool)

    def record(first: int, part: Any) -> None:
        seen[first : first + len(part.bound)] = True

    began = time.monotonic()
    solution = solve(instance, name, time_limit=1.0, on_event=record)
    assert time.monotonic() - began - solution.stats["start_seconds"] <= 1.1 + 1.0 + 0.5
    assert solution.mask.shape == (60, instance.num_candidates)
    assert seen.all()


def test_equal_seeds_give_equal_masks() -> None:
    instance = drawn(9, b=5, m=4, n=12)
    for name in ("unit-sets", "shared-units"):
        assert (solve(instance, name).mask == solve(instance, name).mask).all()


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("name", ["unit-sets", "shared-units"])
def test_blocks_do_not_depend_on_their_neighbours(name: str, structured: bool) -> None:
    instance = drawn(10, b=4, m=4, n=12, structured=structured)
    together = solve(instance, name).mask
    for b in range(4):
        assert (solve(instance.part(b, b + 1), name).mask[0] == together[b]).all()


def test_who_is_chosen() -> None:
    assert select(drawn(0)) == get_solver("unit-sets")
    assert select(drawn(0, n=30)) == get_solver("shared-units")
    assert select(drawn(0, n=28, edge_cost=1.0, structured=True)) == get_solver("unit-sets")
    assert select(drawn(0, n=26, edge_cost=1.0)) == get_solver("shared-units")
    assert not get_solver("shared-units").supports(drawn(0, n=60))


def test_rounds_are_not_negative() -> None:
    with pytest.raises(ValueError, match="rounds"):
        SharedUnitsSearch(rounds=-1)
