"""Solvers of data-aware neurons: against all subsets, other backends, and each other."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.neurons import NORMS, Neurons
from instances.subset_sum import SubsetSum
from solvers.heuristic.coordinate_descent import CoordinateDescent
from solvers.heuristic.lns import Lns
from solvers.registry import get_solver
from solvers.select import select
from solvers.solution import Status
from solvers.solve import solve

MIPS = ("scip", "highs", "cbc", "cp-sat")


def draw(d: int, n: int, b: int = 2, samples: int = 12, seed: int = 0, **given: object) -> Neurons:
    """Sparse inputs that are not negative, as after a ReLU."""
    rng = np.random.default_rng(seed)
    inputs = np.abs(rng.normal(size=(samples, d))) * (rng.random((samples, d)) < 0.6)
    return Neurons(inputs, rng.uniform(-1, 1, (b, d, n)), rng.uniform(-0.5, 0.5, (b, d)), **given)  # type: ignore[arg-type]


def least(instance: Neurons) -> np.ndarray:
    """Try every mask."""
    n = instance.num_candidates
    masks = ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1).astype(bool)
    found = []
    for b in range(len(instance)):
        many = Neurons(
            instance.inputs,
            np.broadcast_to(instance.coefficients[b], (1 << n, *instance.coefficients.shape[1:])),
            np.broadcast_to(instance.targets[b], (1 << n, instance.targets.shape[1])),
            instance.norm, instance.ridge, instance.budget,
            None if instance.available is None
            else np.broadcast_to(instance.available[b], (1 << n, *instance.available.shape[1:])),
        )  # fmt: skip
        objective, violation = many.evaluate(masks)
        found.append(objective[violation == 0].min())
    return np.array(found)


@settings(max_examples=40)
@given(
    norm=st.sampled_from(NORMS), ridge=st.sampled_from([0.0, 0.1]),
    budget=st.none() | st.integers(0, 5), seed=st.integers(0, 999), ragged=st.booleans(),
)  # fmt: skip
def test_lns_and_sphere_against_all_masks(
    norm: float, ridge: float, budget: int | None, seed: int, ragged: bool
) -> None:
    available = np.random.default_rng(seed).random((2, 3, 3)) < 0.8 if ragged else None
    instance = draw(3, 3, seed=seed, norm=norm, ridge=ridge, budget=budget, available=available)
    optimum = least(instance)
    found = solve(instance, Lns(kicks=60))
    assert (found.violation == 0).all()
    assert (found.objective >= optimum - instance.slack).all()
    assert not (found.status == Status.OPTIMAL).any() or (optimum == 0).any()
    if norm == 2:
        exact = solve(instance, "sphere")
        assert (exact.status == Status.OPTIMAL).all()
        assert exact.objective == pytest.approx(optimum, abs=float(instance.slack.max()))
        assert (exact.bound <= optimum + instance.slack).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("budget", [None, 4])
def test_every_backend_finds_the_least(norm: float, budget: int | None) -> None:
    instance = draw(4, 3, norm=norm, ridge=0.05, budget=budget)
    optimum = least(instance)
    for name in MIPS:
        if not get_solver(name).supports(instance):
            assert norm == 2
            continue
        solution = solve(instance, name)
        assert solution.objective == pytest.approx(optimum, rel=1e-9), name
        assert (solution.bound <= optimum).all(), name
        assert (solution.bound >= optimum - 1e-5).all(), name


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_a_start_and_a_gap_prove_64_candidates(norm: float) -> None:
    instance = draw(16, 4, b=1, samples=24, seed=3, norm=norm, ridge=0.01)
    start = solve(instance, "lns")
    proof = solve(instance, "highs", start=start.mask, abs_gap=1e-5)
    assert (proof.status == Status.OPTIMAL).all()
    assert start.objective[0] <= proof.objective[0] + 1e-5


def test_sphere_proves_80_candidates_and_lns_had_found_them() -> None:
    instance = draw(16, 5, b=4, samples=40, seed=3, ridge=0.01)
    proof = solve(instance, "sphere")
    assert (proof.status == Status.OPTIMAL).all()
    found = solve(instance, "lns")
    assert np.exp(np.log(found.objective / proof.objective).mean()) < 1.01


def test_sphere_stopped_early_has_a_true_bound() -> None:
    instance = draw(24, 5, b=1, samples=60, seed=3, ridge=0.01)
    stopped = solve(instance, "sphere", time_limit=0.5)
    found = solve(instance, "lns")
    assert stopped.seconds < 2
    assert stopped.status[0] in (Status.FEASIBLE, Status.OPTIMAL)
    assert stopped.bound[0] <= found.objective[0]


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_rank_deficient_inputs_are_handled(ridge: float) -> None:
    base = draw(4, 3, samples=2, ridge=ridge)
    inputs = np.array(base.inputs)
    inputs[:, 2] = inputs[:, 0]  # equal inputs
    inputs[:, 3] = 0.0  # a dead one
    instance = Neurons(inputs, base.coefficients, base.targets, ridge=ridge)
    optimum = least(instance)
    assert solve(instance, "sphere").objective == pytest.approx(optimum, abs=1e-12)
    for name in ("lns", "error-feedback", "coordinate-descent"):
        assert (solve(instance, name).objective >= optimum - 1e-12).all()
    constant = Neurons(np.ones((5, 4)), base.coefficients, base.targets)
    assert solve(constant, "sphere").objective == pytest.approx(least(constant), abs=1e-12)


def test_coordinate_descent_is_below_error_feedback_is_below_independent() -> None:
    base = draw(60, 6, b=20, ridge=0.1)
    rng = np.random.default_rng(0)  # inputs as data has them: far fewer directions than pixels
    inputs = np.abs(rng.normal(size=(300, 8)) @ rng.normal(size=(8, 60)))
    instance = Neurons(inputs, base.coefficients, base.targets, ridge=0.1)
    rows = SubsetSum(instance.coefficients.reshape(-1, 6), instance.targets.reshape(-1))
    alone = solve(rows, "mitm").mask.reshape(20, -1)
    independent = instance.evaluate(alone)[0]
    feedback, descent = (
        solve(instance, name).objective for name in ("error-feedback", "coordinate-descent")
    )
    assert feedback.mean() < independent.mean() / 2
    assert descent.mean() < feedback.mean()
    polished = solve(instance, "coordinate-descent", start=alone).objective
    assert (polished <= independent).all()


def test_many_candidates_a_weight_are_left_to_meet_in_the_middle() -> None:
    instance = draw(5, 18, b=3, samples=20, ridge=0.1)
    descent = solve(instance, "coordinate-descent")
    assert descent.objective.max() < 1e-3
    fewer = Neurons(instance.inputs, instance.coefficients[:, :, :6], instance.targets, ridge=0.1)
    assert descent.objective.mean() < solve(fewer, "coordinate-descent").objective.mean()


def test_ragged_weights_keep_to_what_is_available() -> None:
    available = np.random.default_rng(0).random((4, 6, 5)) < 0.6
    instance = draw(6, 5, b=4, available=available)
    for name in ("error-feedback", "coordinate-descent", "lns", "sphere"):
        assert (solve(instance, name).violation == 0).all(), name


def test_equal_seeds_give_equal_masks() -> None:
    instance = draw(8, 4, b=3)
    one, two = (solve(instance, Lns(kicks=50, seed=7, threads=t)) for t in (1, 2))
    assert (one.mask == two.mask).all()


def test_who_is_chosen() -> None:
    assert select(draw(3, 3)) == get_solver("sphere")
    assert select(draw(3, 3, norm=1.0)) == get_solver("interval-tree")
    with pytest.raises(ValueError, match="choose .*cp-sat"):
        solve(draw(3, 3, norm=1.0), "sphere")


def test_a_limit_in_a_process_of_its_own() -> None:
    instance = draw(30, 6, b=200, samples=50)
    solution = solve(instance, Lns(kicks=100_000), time_limit=1.0)
    assert solution.seconds < 2.5
    assert (solution.violation == 0).all()


@pytest.mark.parametrize("budget", [0, 5, 14, 30, 1000])
def test_descent_keeps_to_a_budget(budget: int) -> None:
    instance = replace(draw(12, 4, b=6, samples=60, ridge=0.1), budget=budget)
    found, near = solve(instance, "coordinate-descent"), solve(instance, "lns")
    kept = found.mask.sum(axis=1)
    assert (kept <= budget).all()
    assert (found.violation == 0).all()
    ratio = found.objective / near.objective
    assert np.exp(np.log(ratio).mean()) < 1.06
    again = solve(instance, "coordinate-descent", start=near.mask)
    assert (again.objective <= near.objective * (1 + 1e-12)).all()
    free = solve(replace(instance, budget=None), "coordinate-descent")
    if budget == 1000:
        assert (found.objective <= free.objective * 1.1).all()
    assert not CoordinateDescent().supports(replace(draw(2, 13), budget=3))
