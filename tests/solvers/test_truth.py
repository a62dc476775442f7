"""Every solver against all masks of adversarial rows, exactly; `truth.py` tries a million."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from truth import PLAN, Fault, batches, hold, try_all, try_batch
from truth_batches import KINDS, LARGEST, TINY
from truth_judge import faults
from truth_laws import LAWS, broken_laws, differing
from truth_tables import table_of, whole

from instances.arbitrary_source import ArbitrarySource
from instances.edge_budget import EdgeBudget
from instances.files import CLASSES
from instances.instance import Instance
from instances.neuron_selection import NeuronSelection
from instances.neurons import Neurons
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.perturbed import PerturbedSubsetSum
from instances.shared_units import SharedUnits
from instances.subset_sum import SubsetSum
from instances.valued_knapsack import ValuedKnapsack
from solvers.registry import REGISTRY, available_solvers, get_solver
from solvers.solution import Status, derive_status
from solvers.solve import solve

ROWS = {"sums": 100, "perturbed": 100, "knapsacks": 100, "units": 40, "budgets": 20, "neurons": 10}
SEEDS = {
    "sums": (0, 1, 2, 4, 37),
    "perturbed": (0, 1, 5),
    "budgets": (0, 1, 2, 3, 4, 5),
    "neurons": (0, 1, 3, 12, 18, 25),
    "sources": (0, 1, 2, 3, 4, 6, 13, 22),
}
"""Enough to ask all there is; of the other kinds 0 and 1."""

BATCHES = [(kind, seed) for kind in KINDS for seed in SEEDS.get(kind, (0, 1))]


@pytest.mark.parametrize(("kind", "seed"), BATCHES)
def test_no_solver_says_what_is_false(kind: str, seed: int) -> None:
    tried = try_batch(kind, seed, ROWS.get(kind, 5))
    assert tried.faults == []
    assert all(counts["rows"] > 0 for counts in tried.counts.values())
    claims = sum(tried.counts.values(), Counter[str]())
    assert claims["OPTIMAL"] + claims["INFEASIBLE"] > 0


def asked_of(chosen: Iterable[tuple[str, int]]) -> set[tuple[str, str, bool, str]]:
    """Return what each solver is asked in some batches, without the numbers."""
    found = set()
    for kind, seed in chosen:
        instance = KINDS[kind].batch(seed, ROWS.get(kind, 5))
        task = re.sub(r"\d[\d.e+-]*", "#", instance.task)
        found |= {
            (name, type(instance).__name__, instance.linear, task)
            for name in available_solvers()
            if get_solver(name).supports(instance)
        }
    return found


def test_every_solver_is_asked_all_that_it_takes() -> None:
    asked = asked_of(BATCHES)
    assert {name for name, *_ in asked} == set(available_solvers())
    assert {name for _, name, *_ in asked} == {one.__name__ for one in CLASSES.values()}
    assert asked >= asked_of((kind, seed) for kind in KINDS for seed in range(25))


@pytest.mark.parametrize("name", LAWS)
def test_laws_hold_where_masks_are_too_many(name: str) -> None:
    given_rows = Counter[str]()
    for seed in range(4):
        given, broken = broken_laws(name, seed)
        assert broken == []
        given_rows += given
    signed = {"negated"} if name != "knapsack" else set()
    assert set(given_rows) == {"permuted", "scaled", "extended"} | signed


def test_laws_are_those_of_every_exact_solver() -> None:
    exact = {name for name in available_solvers() if REGISTRY[name].exact}
    assert exact - {"gurobi"} == set(LAWS)


def test_a_batch_that_does_not_end_is_a_fault() -> None:
    (tried,) = try_all([("sums", 1)], 1, patience=0.0)
    assert tried.faults == [Fault("sums", 1, 0, "?", "no end")]


FAST = ("mitm", "nearest", "greedy", "golden-ratio", "swaps", "beam", "differencing", "tabu")
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TIES = st.sampled_from([0.0, -0.0, 0.5, -0.5, 0.25, 1.0, TINY, -TINY, 1e300, -1e-300, LARGEST])


@st.composite
def rows(draw: st.DrawFn) -> SubsetSum:
    n = draw(st.integers(0, 6))
    number = draw(st.sampled_from([FLOATS, TIES, FLOATS | TIES]))
    tolerance = draw(st.sampled_from([0.0, TINY, 0.25, 1e-3, 1e300]))
    objectives: list[Objective] = [
        Closest(), Closest(tolerance), Sparsest(tolerance), FixedSize(n // 2),
        FixedSize(1, tolerance),
    ]  # fmt: skip
    allowed = [draw(st.booleans()) for _ in range(n)]
    return SubsetSum(
        np.reshape([draw(number) for _ in range(n)], (1, n)),
        [draw(number)],
        draw(st.sampled_from(objectives)),
        draw(st.none() | st.just(np.reshape(allowed, (1, n)))),
    )


@settings(max_examples=25)
@given(rows(), st.sampled_from(["cp-sat", "highs", "scip", "annealing", "rounding", "enumerate"]))
def test_any_floats(instance: SubsetSum, slow: str) -> None:
    table = table_of(instance)
    for name in (*FAST, slow):
        if get_solver(name).supports(instance):
            assert hold(instance, table, name)[0] == {}, name


ONE = np.ones((1, 1))
FOUND: dict[str, tuple[Instance, tuple[str, ...]]] = {
    "an error that no float holds": (
        SubsetSum([[LARGEST, LARGEST]], [-LARGEST], FixedSize(2)), ("mitm", "cp-sat"),
    ),
    "no variables": (SubsetSum(np.empty((1, 0)), [0.5], Sparsest(1.0)), ("cbc", "scip", "highs")),
    "rows of next to nothing": (SubsetSum([[TINY, -TINY]], [TINY]), ("cbc", "scip", "cbc-default")),
    "rows beyond all floats": (
        PerturbedSubsetSum([[LARGEST, 1.0]], [LARGEST], LARGEST), ("cp-sat", "cbc", "scip"),
    ),
    "a huge candidate that is not available": (
        SubsetSum([[-TINY, -1.0, 1e300]], [-TINY], Closest(0.0), [[True, True, False]]), ("cbc",),
    ),
    "costs that are no whole numbers": (
        SharedUnits(
            [[[TINY, 1e-300], [1.0, -TINY], [TINY, -1.0]]], [[TINY, 1.0, TINY]], 1e-9, 0.5, 0.1,
            True,
        ), ("unit-sets", "shared-units"),
    ),
    "costs beyond what CBC takes": (
        SharedUnits([[[0.5, -0.1, -0.6], [0.8, -1.0, -0.4]]], [[-0.5, -1.4]], 0.7, 1e300, 1.0),
        ("cbc", "scip", "highs", "cp-sat"),
    ),
    "weights that are large whole numbers": (
        ValuedKnapsack([[1.0, 2.0, 0.1]], [[2**50, 2**50, 3]], [2**50 + 2]), ("cp-sat", "scip"),
    ),
    "values beyond all floats": (
        ValuedKnapsack([[LARGEST, LARGEST]], [[1, 1]], [1]), ("cbc", "cbc-default", "knapsack"),
    ),
    "squares within a limit": (
        EdgeBudget([[[0.5, 0.25]]], [[0.75]], None, 0.1, "rms"), ("budget", "enumerate"),
    ),
    "a total beyond the limit by less than rounding": (
        EdgeBudget([[[-TINY], [-1e300]]], [[-TINY, -1e300]], None, 1e300), ("budget", "enumerate"),
    ),
    "a mean square that is rounded to its limit": (
        EdgeBudget(np.full((1, 4, 1), 0.5), [[TINY, 0.0, 0.0, 0.0]], None, 0.0, "rms"), ("budget",),
    ),
    "errors that rounding makes equal": (
        EdgeBudget([[[TINY], [-1.0]]], [[1.0, TINY]], None, 1.0), ("budget", "enumerate"),
    ),
    "neurons next to 0": (
        Neurons([[-0.7], [0.01]], [[[-0.0]]], [[-TINY]], 1.0), ("interval-tree", "scip", "cbc"),
    ),
    "squares that vanish": (
        Neurons([[0.0], [-7e-296]], [[[-0.75, -0.25, 0.5]]], [[-0.5]], 2.0, 0.0, 0),
        ("subset-choice", "sphere", "lns"),
    ),
    "inputs that are all 0": (
        Neurons([[0.0]], [[[0.5]]], [[1.0]]), ("error-feedback", "coordinate-descent", "sphere"),
    ),
    "neurons of many magnitudes": (
        NeuronSelection(
            [[[-1.7e12, 1.8e-18, -1.3e16, -1.1e17], [63.0, 6.6e-9, -1.1e2, 6.8e-9]]], 1,
            [[-0.085, 0.0]],
        ),
        ("selection", "scip"),
    ),
    "squares whose sum is 0": (
        NeuronSelection(
            [[[0.817814323071616, -0.6354031334203682, -0.9378921018569599]]], 4, [[-0.25182697]],
        ), ("scip",),
    ),
    "distances that vanish": (
        NeuronSelection([[[8e-297, 2e-296], [2e-296, 3e-296]]], 2, [[1.5e-296, 2e-296]]),
        ("selection", "enumerate"),
    ),
    "a source of next to nothing": (
        ArbitrarySource((TINY * ONE[None], ONE[None]), ONE, TINY * ONE), ("cp-sat", "scip"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
def test_what_once_was_false_or_failed(case: str) -> None:
    """The smallest of what the sweeps have found."""
    instance, names = FOUND[case]
    table = table_of(instance)
    for name in names:
        assert get_solver(name).supports(instance)
        wrong, counts = hold(instance, table, name)
        assert wrong == {}, name
        assert counts["rows"] == 1


def test_what_misses_a_limit_by_less_than_rounding_is_infeasible() -> None:
    instance = EdgeBudget([[[-1.0], [-1.0]]], [[1.0, TINY]], None, 1.0)
    assert solve(instance, "budget").status[0] == Status.INFEASIBLE


def test_what_no_row_states_is_not_taken() -> None:
    assert not get_solver("scip").supports(EdgeBudget(ONE[None], ONE, None, 0.1, "rms"))
    assert get_solver("scip").supports(EdgeBudget(ONE[None], ONE, 1, None, "rms"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Neurons(1e200 * ONE, 1e200 * ONE[None], ONE),
        lambda: NeuronSelection(LARGEST * ONE[None], 1, -LARGEST * ONE),
        lambda: EdgeBudget(LARGEST * ONE[None], LARGEST * ONE, 1),
    ],
)
def test_what_would_overflow_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="might overflow: scale"):
        make()


def test_a_search_among_optima_comes_to_an_end() -> None:
    """Two weights whose errors cancel: what is left of the squared error is rounding."""
    inputs = np.array([[-1.0000000000000007, -1.0000000000000004, 0.0, 1.0000000000000004]])
    coefficients = [[[0.2576857063859279], [-0.5552586375652027], [-0.8382907981231256],
                     [-0.5552586375652027]]]  # fmt: skip
    instance = Neurons(inputs, coefficients, [[0.25768570638592786, -0.0, -TINY, TINY]])
    solution = solve(instance, "lns")
    assert solution.objective[0] <= instance.slack[0]


def test_a_search_among_sets_that_rounding_alone_tells_apart_comes_to_an_end() -> None:
    """Every exchange seemed to bring two of these units nearer to what all but meets the target."""
    row = [[[1.0000000000000002, 1.0, 1.0000000000000004]]]
    instance = SharedUnits(row, [[2.0000000000000004]], TINY, 0.0, 1.0, structured=True)
    wrong, counts = hold(instance, table_of(instance), "shared-units")
    assert wrong == {}
    assert counts["OPTIMAL"] + counts["FEASIBLE"] == 1


def test_a_cost_is_not_limited_by_a_tolerance() -> None:
    instance = SharedUnits([[[0.5]]], [[0.5]], 0.1, 0.3)
    status, _ = derive_status(instance, *np.array([[0.0], [0.4], [0.3]]))
    assert status[0] == Status.NO_SOLUTION


FORGED: list[tuple[str, dict[str, Any]]] = [
    ("optimal", {"mask": [[True, False]], "objective": 0.25, "error": 0.25, "bound": 0.25}),
    ("bound", {"bound": 0.25}),
    ("objective", {"objective": 0.125}),
    ("violation", {"violation": 0.5, "status": Status.NO_SOLUTION}),
    ("infeasible", {"violation": 1.0, "status": Status.INFEASIBLE}),
    ("status", {"status": Status.NO_SOLUTION}),
    ("nan", {"bound": np.nan}),
    ("silent", {"status": Status.FEASIBLE}),
    ("claims", {"solver": "greedy", "bound": -0.5}),
]


@pytest.mark.parametrize(("what", "changes"), FORGED)
def test_the_judge_finds_what_is_forged(what: str, changes: dict[str, Any]) -> None:
    instance = SubsetSum([[0.5, 0.75]], [0.75])
    honest = solve(instance, "mitm")
    assert faults(instance, table_of(instance), honest) == {}
    arrays = {
        name: value if name == "solver" else np.reshape(value, getattr(honest, name).shape)
        for name, value in changes.items()
    }
    assert what in faults(instance, table_of(instance), replace(honest, **arrays))


def test_the_judge_wants_the_smallest_of_equal_masks() -> None:
    instance = SubsetSum([[0.5, 0.5]], [0.5])
    honest = solve(instance, "mitm")
    other = replace(honest, mask=~honest.mask)
    assert faults(instance, table_of(instance), other) == {"optimal": [0]}


def test_laws_tell_answers_apart() -> None:
    instance = SubsetSum([[0.5, 0.75]], [0.7])
    honest = solve(instance, "mitm")
    assert differing(honest, replace(honest, objective=honest.objective * 2), 2.0) == []
    assert differing(honest, replace(honest, objective=honest.objective * 2), 1.0) == [0]


def test_numbers_of_tables_are_exact() -> None:
    (numbers,), (exponent,) = whole(np.array([[0.75, -LARGEST, TINY, 0.0]]))
    assert [float(int(x) / 2**1074) for x in numbers[0]] == [0.75, -LARGEST, TINY, 0.0]
    assert exponent == -1074


def test_a_plan_has_every_kind_and_says_how_to_see_a_fault_again() -> None:
    assert set(PLAN) == {*KINDS, "laws"}
    assert sum(PLAN.values()) == pytest.approx(1.0)
    chosen = batches(1000, 3)
    assert {kind for kind, _ in chosen} == set(PLAN)
    assert len(set(chosen)) == len(chosen)
    assert "--replay 'wide sums' 17" in str(Fault("wide sums", 17, 4, "mitm", "bound"))
