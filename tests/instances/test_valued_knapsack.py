"""Valued knapsacks: what is judged against fractions, what is found against a dynamic program."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.files import load_instance, save_instance
from instances.milp import MILP
from instances.mps import from_mps, to_mps
from instances.subset_sum import SubsetSum
from instances.valued_knapsack import ValuedKnapsack
from solvers.exact.cp_sat import CpSat
from solvers.exact.knapsack_table import KnapsackTable
from solvers.registry import available_solvers, get_solver
from solvers.solution import Status
from solvers.solve import solve

BACKENDS = [n for n in ("cp-sat", "cbc", "highs", "scip", "enumerate") if n in available_solvers()]
GAP = 1e-6

values = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=6, max_size=6)
weights = st.lists(st.integers(0, 10**6), min_size=6, max_size=6)


def knapsack(values: Any, weights: Any, capacity: Any) -> ValuedKnapsack:
    return ValuedKnapsack(values, weights, capacity)


def drawn(seed: int, b: int = 3, n: int = 9, whole: bool = False) -> ValuedKnapsack:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(-20, 60, (b, n)) if whole else rng.normal(0.5, 1, (b, n))
    weighing = rng.integers(0, 30, (b, n))
    return knapsack(numbers, weighing, weighing.sum(axis=1) * 2 // 5)


def least_given_up(instance: ValuedKnapsack, b: int) -> Fraction:
    """Return the optimum of row b: the best worth of every total weight, candidate by candidate."""
    best = {0: Fraction(0)}
    for v, w in zip(instance.values[b].tolist(), instance.weights[b].tolist(), strict=True):
        for weight, worth in list(best.items()):
            if weight + w <= instance.capacity[b]:
                more = max(worth + Fraction(v), best.get(weight + w, worth + Fraction(v)))
                best[weight + w] = max(more, worth) if w == 0 else more
    positive = sum((Fraction(v) for v in instance.values[b].tolist() if v > 0), Fraction(0))
    return positive - max(best.values())


@given(values, weights, st.integers(0, 10**6), st.integers(0, 63))
def test_the_judge_against_fractions(v: list[float], w: list[int], capacity: int, m: int) -> None:
    mask = (m >> np.arange(6) & 1 == 1)[None, :]
    objective, violation, error = knapsack([v], [w], [capacity]).verdict(mask)
    kept = [k for k in range(6) if mask[0, k]]
    positive = sum((Fraction(x) for x in v if x > 0), Fraction(0))
    given_up = positive - sum((Fraction(v[k]) for k in kept), Fraction(0))
    assert objective[0] == float(given_up) == error[0]
    assert violation[0] == max(sum(w[k] for k in kept) - capacity, 0)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("seed", range(3))
def test_backends_find_what_the_dynamic_program_finds(name: str, seed: int) -> None:
    instance = drawn(seed)
    optimum = [float(least_given_up(instance, b)) for b in range(len(instance))]
    solution = solve(instance, name, abs_gap=GAP)
    assert (solution.status == Status.OPTIMAL).all()
    assert solution.objective.tolist() == optimum
    assert (solution.bound <= optimum).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_whole_values_are_proved_without_a_gap(name: str) -> None:
    instance = drawn(7, whole=True)
    assert instance.counts
    solution = solve(instance, name)
    assert (solution.status == Status.OPTIMAL).all()
    assert solution.objective.tolist() == [float(least_given_up(instance, b)) for b in range(3)]


def test_a_hundred_candidates_of_two_weights() -> None:
    """What pruning heads and neurons asks for: few heavy candidates, many light ones."""
    rng = np.random.default_rng(1)
    worth = np.concatenate([rng.normal(1, 0.1, 12), rng.normal(1, 0.05, 96)]).astype(np.float32)
    weighing = np.repeat([26, 3], [12, 96])
    instance = knapsack(worth[None], weighing[None], [weighing.sum() * 3 // 5])
    optimum = float(least_given_up(instance, 0))
    assert solve(instance, KnapsackTable()).bound[0] == optimum
    proven = [
        solve(instance, solver, time_limit=20, abs_gap=GAP)
        for solver in (*map(get_solver, ("scip", "highs", "cbc")), CpSat(linearization_level=2))
    ]
    assert [s.counts()["OPTIMAL"] for s in proven] == [1] * 4
    assert [s.objective[0] for s in proven] == [optimum] * 4
    assert all(s.violation[0] == 0 for s in proven)


@pytest.mark.parametrize("spread", [0, 200])
def test_the_table_is_exact_to_the_last_bit(spread: int) -> None:
    """No gap; values of all sizes; of equal masks the smallest, as enumeration finds it."""
    rng = np.random.default_rng(spread)
    worth = rng.normal(0.5, 1, (4, 9)) * 2.0 ** rng.integers(-spread, spread + 1, (4, 9))
    worth[1] = np.round(worth[1])
    weighing = rng.integers(0, 5, (4, 9)) * 12
    instance = knapsack(worth, weighing, weighing.sum(axis=1) // 2 + 5)
    solution = solve(instance, KnapsackTable())
    assert (solution.status == Status.OPTIMAL).all()
    assert solution.objective.tolist() == [float(least_given_up(instance, b)) for b in range(4)]
    if spread == 0:  # else enumeration sees ties where the rounded objectives are equal
        assert (solution.mask == solve(instance, "enumerate").mask).all()
    limited = solve(instance, KnapsackTable(), time_limit=20)
    assert (limited.mask == solution.mask).all()


def test_what_the_table_takes() -> None:
    table = KnapsackTable()
    one = knapsack([[1.0, 1.0]], [[10**9, 1]], [10**9])
    assert not table.supports(one)
    assert table.supports(knapsack([[1.0, 1.0]], [[10**9, 10**8]], [10**9]))
    assert table.supports(ValuedKnapsack.tiny())
    assert not table.supports(SubsetSum.tiny())
    assert solve(knapsack([[1.0, 2.0]], [[0, 0]], [0]), table).mask.all()


def test_nothing_fits_and_everything_fits() -> None:
    base = drawn(3)
    for name in BACKENDS:
        none = knapsack(base.values, base.weights + 1, [0, 0, 0])
        assert not solve(none, name, abs_gap=GAP).mask.any(), name
        every = knapsack(base.values, base.weights, base.weights.sum(axis=1))
        solution = solve(every, name, abs_gap=GAP)
        assert (solution.mask == (base.values > 0)).all(), name
        assert not solution.objective.any()


def test_the_standard_form_says_what_the_judge_says(rng: np.random.Generator) -> None:
    instance = drawn(4)
    milp = instance.milp(1)
    for _ in range(40):
        mask = rng.random((3, 9)) < 0.4
        objective, violation = (numbers[1] for numbers in instance.evaluate(mask))
        x = np.append(mask[1], objective)
        sums = np.bincount(milp.rows, milp.values * x[milp.columns], len(milp.row_lower))
        assert milp.c @ x == objective
        assert sums[0] == pytest.approx(milp.row_lower[0], abs=1e-12)  # the value just suffices
        assert max(sums[1] - milp.row_upper[1], 0) == violation
        assert (milp.mask(x) == mask[1]).all()


def test_the_standard_form_as_text_and_back() -> None:
    milp = drawn(5).milp(0)
    again = from_mps(to_mps(milp))
    for name in MILP.__dataclass_fields__:
        if name not in ("sensitivity", "squared"):
            assert np.array_equal(getattr(again, name), getattr(milp, name)), name


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_files(suffix: str, tmp_path: Path) -> None:
    instance = drawn(6)
    path = tmp_path / f"instance{suffix}"
    save_instance(instance, path)
    again = load_instance(path)
    assert isinstance(again, ValuedKnapsack)
    for name in ("values", "weights", "capacity"):
        assert (getattr(again, name) == getattr(instance, name)).all()
    with pytest.raises(ValueError, match="'capacity' is missing"):
        ValuedKnapsack.from_fields({"values": [[1.0]], "weights": [[1]]})


def test_what_a_batch_says_of_itself() -> None:
    instance = drawn(0)
    assert (len(instance), instance.num_candidates, instance.tolerance) == (3, 9, None)
    assert not instance.counts
    assert instance.linear
    assert not instance.slack.any()
    assert not instance.weights.flags.writeable
    mask = np.ones((3, 9), bool)
    whole, part = instance.verdict(mask), instance.part(1, 2).verdict(mask[1:2])
    assert all(mine[1] == theirs[0] for mine, theirs in zip(whole, part, strict=True))
    assert instance.weight(mask).tolist() == instance.weights.sum(axis=1).tolist()
    assert solve(ValuedKnapsack.tiny(), "enumerate").mask.tolist() == [[False, True]]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"values": [[np.nan, 1.0]]}, "remove NaN"),
    ({"values": [1.0, 2.0]}, "give shapes"),
    ({"weights": [[1, 2, 3]]}, "give shapes"),
    ({"capacity": [[3]]}, "give shapes"),
    ({"weights": [[1, -1]]}, "weights: give whole numbers"),
    ({"weights": [[1, 0.5]]}, "weights: give whole numbers"),
    ({"weights": [[2**52 + 1, 2**52]]}, "common factor"),
    ({"capacity": [np.inf]}, "capacity: give whole numbers"),
    ({"capacity": [1.5]}, "capacity: give whole numbers"),
    ({"values": np.empty((0, 2)), "weights": np.empty((0, 2)), "capacity": []}, "empty batch"),
]


@pytest.mark.parametrize(("fields", "remedy"), BAD, ids=range(len(BAD)))
def test_bad_input(fields: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        knapsack(**{"values": [[1.0, 2.0]], "weights": [[1, 1]], "capacity": [1], **fields})


@pytest.mark.parametrize("mask", [np.ones((3, 9)), np.ones((1, 9), bool)])
def test_bad_masks(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="give bool and shape"):
        drawn(0).evaluate(mask)
