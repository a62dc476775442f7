"""Edge budgets: all combinations in fractions, other solvers, and what the two directions share."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.edge_budget import MEASURES, EdgeBudget
from instances.generate import uniform_family
from instances.objectives import FixedSize
from instances.subset_sum import SubsetSum
from solvers.exact import edge_choice, front_kernels
from solvers.exact.budget import Budget
from solvers.exact.choice_knapsack import Relaxed, steps
from solvers.exact.fronts import fronts
from solvers.select import select
from solvers.solution import Solution, Status
from solvers.solve import solve

grid = st.integers(-40, 40).map(lambda k: k / 16)
floats = st.floats(-3, 3, allow_subnormal=False)


def drawn(
    rng: np.random.Generator, r: int = 4, n: int = 4, b: int = 1, spread: float = 0.3, **asked
) -> EdgeBudget:  # type: ignore[no-untyped-def]
    return EdgeBudget(rng.uniform(-1, 1, (b, r, n)), rng.normal(0, spread, (b, r)), **asked)


def best(instance: EdgeBudget, b: int) -> Fraction | None:
    """Try all combinations: the least count, or the least total (of squares for rms)."""
    r, n = instance.coefficients.shape[1:]
    usable = np.ones((r, n), bool) if instance.available is None else instance.available[b]
    power = 2 if instance.measure == "rms" else 1
    rows = []
    for i in range(r):
        options: dict[int, Fraction] = {}
        for mask in itertools.product([False, True], repeat=n):
            if (np.array(mask) & ~usable[i]).any():
                continue
            kept = sum(Fraction(float(a)) for a in instance.coefficients[b, i][list(mask)])
            cost = abs(Fraction(float(instance.targets[b, i])) - kept) ** power
            options[sum(mask)] = min(cost, options.get(sum(mask), cost))
        rows.append(list(options.items()))
    limit = None if instance.error_limit is None else Fraction(instance.error_limit) ** power
    if limit is not None and instance.measure == "rms":
        limit *= r
    answers = []
    for combination in itertools.product(*rows):
        count = sum(k for k, _ in combination)
        costs = [cost for _, cost in combination]
        total = max(costs) if instance.measure == "max" else sum(costs, Fraction(0))
        if limit is None and count <= (instance.budget or 0):
            answers.append(total)
        elif limit is not None and total <= limit:
            answers.append(Fraction(count))
    return min(answers, default=None)


def as_objective(instance: EdgeBudget, value: Fraction) -> float:
    if instance.measure == "rms" and not instance.counts:
        return math.sqrt(value / instance.targets.shape[1])
    return float(value)


def judge_claims(instance: EdgeBudget, solution: Solution) -> None:
    """Hold status, objective and bound of every problem against the true optimum."""
    for b in range(len(instance)):
        value = best(instance, b)
        if value is None:
            assert solution.status[b] in (Status.INFEASIBLE, Status.NO_SOLUTION)
            continue
        optimum = as_objective(instance, value)
        slack = instance.slack[b]
        assert solution.status[b] in (Status.OPTIMAL, Status.FEASIBLE)
        assert solution.bound[b] <= optimum + 1e-15 * optimum
        assert solution.objective[b] >= optimum - slack
        if solution.status[b] == Status.OPTIMAL:
            assert solution.objective[b] <= optimum + 2 * slack


@settings(max_examples=120)
@given(
    st.sampled_from([grid, floats]).flatmap(
        lambda numbers: st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=1, max_size=4)
    ),
    st.sampled_from(MEASURES),
    st.one_of(st.integers(0, 13), st.sampled_from([0.0, 0.25, 0.7, 1.3, 4.0])),
)
def test_against_all_combinations(rows: list[list[float]], measure: str, asked: float) -> None:
    table = np.array(rows)[None]
    budget, limit = (asked, None) if isinstance(asked, int) else (None, asked)
    instance = EdgeBudget(table[:, :, :3], table[:, :, 3], budget, limit, measure)
    solution = solve(instance, "budget")
    judge_claims(instance, solution)
    value = best(instance, 0)
    if value is None:
        assert solution.status[0] == Status.INFEASIBLE
    elif instance.measure != "rms" or not instance.counts:  # a square root may round past a limit
        assert solution.status[0] == Status.OPTIMAL
    judge_claims(instance, solve(instance, Budget(exact=False)))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("asked", [{"budget": 7}, {"error_limit": 0.1}], ids=str)
def test_ragged_batches(measure: str, asked: dict[str, float], rng: np.random.Generator) -> None:
    available = rng.random((5, 4, 4)) < 0.6
    available[0] = False
    instance = drawn(rng, b=5, measure=measure, available=available, **asked)
    solution = solve(instance, "budget")
    assert not (solution.mask & ~available.reshape(5, -1)).any()
    judge_claims(instance, solution)
    assert set(solution.status) <= {Status.OPTIMAL, Status.INFEASIBLE}


@pytest.mark.parametrize("solver", ["scip", "cp-sat", "cbc", "highs"])
@pytest.mark.parametrize("measure", ["sum", "max"])
def test_other_solvers_come_to_the_same(
    solver: str, measure: str, rng: np.random.Generator
) -> None:
    instance = drawn(rng, 5, 5, b=2, measure=measure, budget=6)
    exact, other = solve(instance, "budget"), solve(instance, solver)
    assert (exact.status == Status.OPTIMAL).all()
    assert np.allclose(other.objective, exact.objective, rtol=0, atol=1e-7)
    assert (other.bound <= exact.objective).all()
    limit = float(exact.objective[0]) * 1.01
    within = replace(instance, budget=None, error_limit=limit).part(0, 1)
    exact, other = solve(within, "budget"), solve(within, solver)
    assert exact.status[0] == Status.OPTIMAL
    assert other.objective[0] == exact.objective[0]
    assert other.status[0] == Status.OPTIMAL


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("r", [3, 60])
def test_the_two_directions_are_dual(measure: str, r: int, rng: np.random.Generator) -> None:
    """The fewest edges for the best total of K edges are K, and one edge less is a larger total."""
    instance = drawn(rng, r, 9, measure=measure, budget=2 * r)
    best_total = solve(instance, "budget")
    limit = float(best_total.objective[0]) * (1 + 1e-12)
    fewest = solve(replace(instance, budget=None, error_limit=limit), "budget")
    assert best_total.status[0] == fewest.status[0] == Status.OPTIMAL
    kept = int(fewest.objective[0])
    assert kept <= 2 * r
    less = solve(replace(instance, budget=kept - 1), "budget")
    assert less.bound[0] > limit


@pytest.mark.parametrize("measure", ["sum", "rms"])
@pytest.mark.parametrize("asked", [{"budget": 150}, {"error_limit": 0.5}], ids=str)
def test_the_relaxation_is_off_by_one_step_at_most(
    measure: str, asked: dict[str, float], rng: np.random.Generator
) -> None:
    instance = drawn(rng, 100, 10, measure=measure, **asked)
    exact, relaxed = solve(instance, Budget(exact=True)), solve(instance, Budget(exact=False))
    assert exact.status[0] == Status.OPTIMAL
    assert relaxed.bound[0] <= exact.objective[0] <= relaxed.objective[0]
    costs = fronts(SubsetSum(instance.coefficients[0], instance.targets[0])).errors
    costs = costs**2 if measure == "rms" else costs
    ladder = steps(costs)
    if instance.counts:
        assert relaxed.objective[0] - relaxed.bound[0] <= ladder.edges.max()
        return
    dropped = [s.objective[0] ** 2 * 100 if measure == "rms" else s.objective[0]
               for s in (relaxed, exact)]  # fmt: skip
    used = np.cumsum(ladder.edges)
    assert dropped[0] - dropped[1] <= ladder.gain[np.searchsorted(used, 150, side="right")]


@pytest.mark.parametrize("budget", [10, 90, 200, 700])
def test_against_a_plain_dynamic_program(budget: int, rng: np.random.Generator) -> None:
    """Over all weights and all numbers of edges, with no relaxation."""
    instance = drawn(rng, 200, 12, budget=budget)
    least = np.zeros(budget + 1)
    for row in fronts(SubsetSum(instance.coefficients[0], instance.targets[0])).errors:
        before, least = least, least + row[0]
        for size in range(1, min(len(row), budget + 1)):
            least[size:] = np.minimum(least[size:], before[:-size] + row[size])
    solution = solve(instance, "budget")
    assert solution.status[0] == Status.OPTIMAL
    assert solution.objective[0] == pytest.approx(least[-1], rel=1e-13)
    assert solution.bound[0] == pytest.approx(least[-1], rel=1e-12)


def test_too_much_work_leaves_the_relaxation(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = drawn(rng, 30, 10, budget=41)
    relaxed = solve(instance, Budget(exact=False))
    monkeypatch.setattr("solvers.exact.budget._MOST_WORK", 1.0)
    assert (solve(instance, "budget").mask == relaxed.mask).all()


@pytest.mark.parametrize("price", [0.0, 0.01, 0.3, 5.0])
def test_any_price_gives_a_bound(price: float, rng: np.random.Generator) -> None:
    instance = drawn(rng, 40, 8, budget=50)
    best_total = float(solve(instance, "budget").objective[0])
    rows = SubsetSum(instance.coefficients[0], instance.targets[0])
    for enough in (0.0, 0.05, 0.4):
        front = fronts(rows, enough)
        open_ = np.where(front.complete, np.inf, 0.0)
        relaxed = Relaxed.at(front.errors, front.looked, open_, price)
        assert relaxed.bound(50) <= best_total


@pytest.mark.parametrize("measure", MEASURES)
def test_one_budget_for_all_is_better_than_one_each(measure: str, rng: np.random.Generator) -> None:
    neurons = drawn(rng, 20, 8, b=6, measure=measure, budget=25)
    together = EdgeBudget(
        neurons.coefficients.reshape(1, 120, 8), neurons.targets.reshape(1, 120), 150, None, measure
    )
    alone, whole = solve(neurons, "budget"), solve(together, "budget")
    stitched = alone.mask.reshape(1, -1)
    assert whole.objective[0] <= together.evaluate(stitched)[0][0]
    assert whole.mask.sum() <= 150


@pytest.mark.parametrize("measure", MEASURES)
def test_the_ends_of_the_scale(measure: str, rng: np.random.Generator) -> None:
    instance = drawn(rng, 12, 10, measure=measure, budget=0)
    nothing = solve(instance, "budget")
    assert nothing.status[0] == Status.OPTIMAL
    assert not nothing.mask.any()
    for budget in (120, 10**12):
        everything = solve(replace(instance, budget=budget), "budget")
        alone = solve(SubsetSum(instance.coefficients[0], instance.targets[0]), "mitm")
        assert everything.status[0] == Status.OPTIMAL
        mask = alone.mask.reshape(1, -1)
        assert everything.objective[0] == instance.verdict(mask).objective[0]


@pytest.mark.parametrize("measure", MEASURES)
def test_limits_out_of_reach_and_beyond_need(measure: str, rng: np.random.Generator) -> None:
    instance = drawn(rng, 6, 5, measure=measure, error_limit=1e-9)
    solution = solve(instance, "budget")
    assert solution.status[0] == Status.INFEASIBLE
    loose = solve(replace(instance, error_limit=1e3), "budget")
    assert (loose.status[0], loose.objective[0]) == (Status.OPTIMAL, 0)


@pytest.mark.parametrize("n", [0, 1, 6, 11])
def test_fronts_against_every_size_alone(n: int) -> None:
    rows = uniform_family(15, n, seed=n)
    front = fronts(rows)
    assert front.complete.all()
    for size in range(n + 1):
        one = solve(SubsetSum(rows.coefficients, rows.targets, FixedSize(size)), "mitm")
        for b in range(15):
            helps = size < front.errors.shape[1] and front.errors[b, size] < np.inf
            if helps:
                assert front.errors[b, size] == one.error[b]
                assert front.mask(rows, np.full(15, size))[b].sum() == size
            else:
                fewer = front.errors[b, : size + 1].min()
                assert fewer <= one.error[b]


def test_fronts_end_where_errors_are_small_enough() -> None:
    rows = uniform_family(50, 12, seed=3)
    whole, short = fronts(rows), fronts(rows, 0.01)
    assert short.looked.mean() < whole.looked.mean()
    for b in range(50):
        looked = short.looked[b]
        assert (short.errors[b, :looked] == whole.errors[b, :looked])[: whole.looked[b]].all()
        assert short.complete[b] or short.errors[b, looked - 1] <= 0.01


def test_candidates_beyond_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """With tables of six candidates, in Python's integers, the fronts are the same."""
    rows = uniform_family(4, 9, seed=1)
    expected = fronts(rows)
    monkeypatch.setattr(front_kernels, "MAX_IN_TABLES", 6)
    wide = SubsetSum(np.column_stack([rows.coefficients, np.full(4, 2.0**200)]), rows.targets)
    found = fronts(wide)
    assert (found.errors == expected.errors).all()
    assert (found.subsets == expected.subsets).all()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("asked", [{"budget": 200}, {"error_limit": 0.04}], ids=str)
def test_the_guess_changes_nothing(
    measure: str,
    asked: dict[str, float],
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fronts that end early, or much too early, give the answer of whole ones."""
    limits = {"sum": 12.0, "max": 0.2, "rms": 0.06}
    asked = {"error_limit": limits[measure]} if "error_limit" in asked else asked
    instance = drawn(rng, 400, 10, measure=measure, **asked)
    expected = solve(instance, "budget")
    assert expected.status[0] == Status.OPTIMAL
    monkeypatch.setattr("solvers.exact.budget._SAMPLE", 50)
    found = solve(instance, "budget")
    assert found.status[0] == Status.OPTIMAL
    assert found.objective[0] == pytest.approx(expected.objective[0], rel=1e-14)
    monkeypatch.setattr(edge_choice.Choice, "enough", property(lambda _: 10.0))
    found = solve(instance, "budget")
    assert found.status[0] == Status.OPTIMAL
    assert found.objective[0] == pytest.approx(expected.objective[0], rel=1e-14)


def test_numbers_of_any_size() -> None:
    for size in (1e300, 1e-300):
        coefficients = size * np.array([[[1.0, 0.25, -0.5], [1.0, 0.25, -0.5]]])
        instance = EdgeBudget(coefficients, size * np.array([[0.8, -0.4]]), 2)
        solution = solve(instance, "budget")
        assert solution.status[0] == Status.OPTIMAL
        assert solution.objective[0] == pytest.approx(0.3 * size)


def test_a_time_limit_is_kept(rng: np.random.Generator) -> None:
    instance = drawn(rng, 30, 40, budget=100)
    solution = solve(instance, Budget(), time_limit=0.3)
    assert solution.seconds < 2
    assert solution.status[0] in (Status.FEASIBLE, Status.OPTIMAL)
    assert solution.bound[0] <= solution.objective[0]


def test_who_is_chosen(rng: np.random.Generator) -> None:
    assert select(drawn(rng, budget=1)) == Budget()
    assert not Budget().supports(uniform_family(1, 5))
    assert not Budget().supports(drawn(rng, 1, 49, budget=1))
    available = np.arange(49)[None, None, :] < 48
    assert Budget().supports(drawn(rng, 1, 49, budget=1, available=available))
