"""Data-aware neurons by their subsets: a tree of intervals and a multiple-choice program."""

import math

import numpy as np
import pytest

from instances.library import known_optima, load_set
from instances.neurons import NORMS, Neurons
from solvers.exact.box_search import NO_BUDGET, shave
from solvers.exact.interval_tree import IntervalTree
from solvers.exact.subset_choice import SubsetChoice
from solvers.heuristic.lns import Lns
from solvers.registry import get_solver
from solvers.solution import Status
from solvers.solve import solve
from solvers.subset_sums import SubsetTables

LINEAR = (1.0, math.inf)
QUICK = Lns(kicks=20, threads=1)


def draw(seed: int, norm: float, d: int = 3, n: int = 3, b: int = 2) -> Neurons:
    """Neurons with whatever makes them awkward: dead and equal inputs, equal and no candidates."""
    rng = np.random.default_rng(seed)
    samples = int(rng.integers(1, 10))
    inputs = np.abs(rng.normal(size=(samples, d))) * (rng.random((samples, d)) < 0.6)
    coefficients = rng.uniform(-1, 1, (b, d, n))
    if seed % 3 == 0:
        inputs[:, -1] = inputs[:, 0]
    if seed % 4 == 0:
        inputs[:, int(rng.integers(d))] = 0.0
    if seed % 5 == 0:
        coefficients[:, :, 1] = coefficients[:, :, 0]
        coefficients[:, 0, 2] = 0.0
    targets = rng.uniform(-0.5, 0.5, (b, d))
    if seed % 7 == 0:
        targets = coefficients[:, :, 0].copy()  # an error of 0 may be reached
    return Neurons(
        inputs, coefficients, targets, norm,
        ridge=[0.0, 0.1][seed // 2 % 2],
        budget=int(rng.integers(0, 6)) if seed % 2 else None,
        available=rng.random((b, d, n)) < 0.8 if seed % 6 == 1 else None,
    )  # fmt: skip


def least(instance: Neurons) -> np.ndarray:
    """Try every mask."""
    n = instance.num_candidates
    masks = ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1).astype(bool)
    found = []
    for b in range(len(instance)):
        row = instance.part(b, b + 1)
        many = Neurons(
            row.inputs, np.repeat(row.coefficients, 1 << n, 0), np.repeat(row.targets, 1 << n, 0),
            row.norm, row.ridge, row.budget,
            None if row.available is None else np.repeat(row.available, 1 << n, 0),
        )  # fmt: skip
        objective, violation = many.evaluate(masks)
        found.append(objective[violation == 0].min())
    return np.array(found)


@pytest.mark.parametrize("norm", LINEAR)
def test_interval_tree_against_all_masks(norm: float) -> None:
    for seed in range(150):
        instance = draw(seed, norm)
        optimum = least(instance)
        proposal = IntervalTree(kicks=0 if seed % 4 else 20).propose(instance, math.inf)
        assert (proposal.bound <= optimum).all(), seed
        solution = solve(instance, IntervalTree(kicks=0))
        assert (solution.status == Status.OPTIMAL).all(), seed
        assert (np.abs(solution.objective - optimum) <= instance.slack).all(), seed


@pytest.mark.parametrize("norm", NORMS)
def test_subset_choice_against_all_masks(norm: float) -> None:
    for seed in range(100):
        instance = draw(seed, norm)
        optimum = least(instance)
        solver = SubsetChoice(kicks=20, intervals=seed % 3 > 0)
        proposal = solver.propose(instance, math.inf)
        objective, violation = instance.evaluate(proposal.mask)
        assert (violation == 0).all(), seed
        assert (proposal.bound <= optimum).all(), seed
        assert objective == pytest.approx(optimum, rel=1e-6, abs=1e-6), seed
        gap = 1e-6 + 1e-6 * optimum if norm != 2 else 1e-3 + 1e-6 * optimum
        assert (proposal.bound >= optimum - gap).all(), seed


@pytest.mark.parametrize("norm", NORMS)
def test_fewer_subsets_than_needed_prove_only_what_is_true(norm: float) -> None:
    for seed in range(40):
        instance = draw(seed, norm)
        optimum = least(instance)
        proposal = SubsetChoice(per_weight=1 + seed % 3, kicks=0).propose(instance, math.inf)
        objective, violation = instance.evaluate(proposal.mask)
        assert (violation == 0).all(), seed
        assert (proposal.bound <= optimum).all(), seed
        assert (objective >= optimum - instance.slack).all(), seed


@pytest.mark.parametrize("norm", LINEAR)
def test_intervals_hold_every_optimum(norm: float) -> None:
    for seed in range(100):
        instance = draw(seed, norm, b=1)
        n = instance.num_candidates
        masks = ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1).astype(bool)
        objective, violation = np.array(
            [np.concatenate(instance.evaluate(mask[None])) for mask in masks[:: 1 + seed % 5]]
        ).T
        objective[violation > 0] = np.inf
        limit = float(objective.min()) * 1.1 + 1e-9
        tables = SubsetTables.of(instance, 0)
        first, last = np.zeros_like(tables.num), tables.num - 1
        budget = NO_BUDGET if instance.budget is None else instance.budget
        columns = np.ascontiguousarray(instance.measured().T)
        weights = np.array(instance.targets[0])
        bound = shave(columns, norm, weights, tables, budget, limit, first, last)
        assert bound <= limit
        live = instance.inputs.any(axis=0) | (instance.ridge > 0)
        low, high = (tables.sums[np.arange(len(first)), k][live] for k in (first, last))
        for mask in masks[:: 1 + seed % 5][objective < limit]:
            sums = instance.kept_sums(mask[None])[0, live]
            assert ((low - 1e-12 <= sums) & (sums <= high + 1e-12)).all(), seed


@pytest.mark.parametrize("name", ["neurons-1-100", "neurons-inf-100"])
def test_a_hundred_candidates_are_proved_in_no_time(name: str) -> None:
    instance, optima = load_set(name), known_optima(name)
    solution = solve(instance, "interval-tree", time_limit=30)
    assert (solution.status == Status.OPTIMAL).all()
    assert solution.objective == pytest.approx(optima, rel=1e-12)
    found = solve(instance, "lns").objective
    assert np.exp(np.log(found / optima).mean()) <= 1.01


@pytest.mark.parametrize("name", ["neurons-1-48", "neurons-inf-48", "neurons-2-48"])
def test_subset_choice_proves_sets_of_the_library(name: str) -> None:
    instance = load_set(name).part(0, 2)
    solution = solve(instance, "subset-choice", rel_gap=1e-6)
    assert (solution.status == Status.OPTIMAL).all()
    assert solution.objective == pytest.approx(known_optima(name)[:2], rel=1e-6)


@pytest.mark.parametrize("name", ["interval-tree", "subset-choice"])
def test_stopped_early_they_keep_a_true_bound_and_the_start(name: str) -> None:
    rng = np.random.default_rng(0)
    inputs = np.abs(rng.normal(size=(60, 60)))
    instance = Neurons(inputs, rng.uniform(-1, 1, (1, 60, 4)), rng.uniform(-0.5, 0.5, (1, 60)), 1.0)
    start = solve(instance, QUICK)
    stopped = solve(instance, name, time_limit=1.5, start=start.mask)
    assert stopped.seconds < 4
    assert stopped.status[0] == Status.FEASIBLE
    assert stopped.objective[0] <= start.objective[0]
    assert stopped.bound[0] <= stopped.objective[0]


def test_who_takes_what() -> None:
    tree, choice = get_solver("interval-tree"), get_solver("subset-choice")
    for norm in NORMS:
        assert tree.supports(draw(1, norm)) == (norm != 2)
        assert choice.supports(draw(1, norm))
    many = Neurons(np.ones((3000, 2)), np.ones((1, 2, 2)), np.ones((1, 2)), 1.0)
    assert not tree.supports(many)


def test_lns_meets_budgets_in_every_norm() -> None:
    for norm in LINEAR:
        instance = draw(3, norm, d=8, n=3)
        tight = Neurons(instance.inputs, instance.coefficients, instance.targets, norm, budget=4)
        found, proof = solve(tight, "lns"), solve(tight, "interval-tree")
        assert (found.violation == 0).all()
        assert (proof.status == Status.OPTIMAL).all()
        assert found.objective == pytest.approx(proof.objective)
