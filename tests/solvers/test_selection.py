"""The branch and bound over neurons: against all masks, SCIP, and its own word when stopped."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from instances.neuron_selection import NeuronSelection
from solvers.exact.selection import _Best
from solvers.registry import get_solver
from solvers.select import select
from solvers.solution import Solution, Status
from solvers.solve import solve


def draw(n: int, size: int, b: int = 2, rows: int = 15, seed: int = 0) -> NeuronSelection:
    """What ReLUs contribute; some are dead."""
    rng = np.random.default_rng(seed)
    features = np.maximum(rng.normal(0.3, 1, (b, rows, n)), 0) * (rng.random((b, 1, n)) < 0.9)
    return NeuronSelection(features, size)


def least(instance: NeuronSelection, b: int) -> float:
    """Try every mask of the full size, each by scipy's non-negative least squares."""
    n, best = instance.num_candidates, np.inf
    off = instance.features[b] - instance.features[b].mean(axis=1, keepdims=True)
    for kept in itertools.combinations(range(n), min(instance.size, n)):
        corners = off[:, kept]
        rows = np.vstack([corners, np.ones(len(kept))])
        z, _ = nnls(rows, np.append(np.zeros(len(off)), 1.0))
        best = min(best, float(np.linalg.norm(corners @ z / z.sum())))
    return best


def judge_claims(solution: Solution, optimum: np.ndarray) -> None:
    instance = solution.instance
    assert (solution.violation == 0).all()
    assert (solution.status == Status.OPTIMAL).all()
    assert solution.objective == pytest.approx(optimum, abs=1e-9)
    assert (solution.bound <= optimum + instance.slack).all()
    assert (solution.bound >= solution.objective - instance.slack).all()


@settings(max_examples=25)
@given(
    n=st.integers(1, 8), size=st.integers(1, 9), rows=st.integers(1, 12), seed=st.integers(0, 999)
)
def test_against_every_mask(n: int, size: int, rows: int, seed: int) -> None:
    instance = draw(n, size, rows=rows, seed=seed)
    optimum = np.array([least(instance, b) for b in range(2)])
    judge_claims(solve(instance, "selection"), optimum)


@pytest.mark.parametrize(("n", "size", "seed"), [(14, 5, 6), (14, 5, 16), (12, 5, 15), (10, 4, 28)])
def test_where_exchanges_end_the_search_goes_on(n: int, size: int, seed: int) -> None:
    """The first answer is up to 40 % above the optimum."""
    instance = draw(n, size, b=1, seed=seed)
    first = _Best(instance.corners[0], size, None)
    first.grow(np.ones(n, bool), math.inf)
    optimum = least(instance, 0)
    assert first.distance > 1.002 * optimum
    judge_claims(solve(instance, "selection"), np.array([optimum]))


def test_enumeration_says_the_same() -> None:
    for size in (1, 3, 10):
        instance = draw(10, size, b=1)
        found, oracle = solve(instance, "selection"), solve(instance, "enumerate")
        judge_claims(oracle, found.objective)
        assert oracle.mask.sum() <= size


def test_scip_says_the_same_up_to_its_tolerance() -> None:
    instance = draw(9, 3, b=3)
    optimum = solve(instance, "selection").objective
    program = solve(instance, "scip")
    assert program.objective == pytest.approx(optimum, rel=1e-9)
    assert (program.bound <= optimum + instance.slack).all()
    assert (program.bound >= optimum - 1e-4).all()
    assert not get_solver("highs").supports(instance)


def test_targets_of_ones_own() -> None:
    base = draw(7, 2)
    targets = np.random.default_rng(1).normal(size=(2, 15))
    instance = NeuronSelection(base.features, 2, targets)
    found = solve(instance, "selection")
    assert found.objective == pytest.approx(solve(instance, "enumerate").objective, abs=1e-12)
    assert (found.status == Status.OPTIMAL).all()


def test_a_planted_mixture_is_found() -> None:
    base = draw(14, 4, rows=40)
    planted = np.array([1, 5, 6, 11])
    targets = base.features[:, :, planted] @ np.array([0.4, 0.3, 0.2, 0.1])
    instance = NeuronSelection(base.features, 4, targets)
    found = solve(instance, "selection")
    assert (found.status == Status.OPTIMAL).all()
    assert (found.objective <= instance.slack).all()


def test_equal_neurons_are_not_told_apart() -> None:
    """24 neurons of which 8 differ: about as much work as 8, where rounding breaks ties."""
    base = draw(8, 3, b=1)
    many = NeuronSelection(np.tile(base.features, 3), 3, base.targets)
    found, alone = solve(many, "selection"), solve(base, "selection")
    assert found.objective == pytest.approx(alone.objective, abs=1e-12)
    assert found.stats["nodes"] <= 1.5 * alone.stats["nodes"]


def test_stopped_early_it_has_a_true_bound() -> None:
    instance = draw(60, 12, b=1, rows=80)
    stopped = solve(instance, "selection", time_limit=0.7)
    assert stopped.seconds < 1.1 * 0.7 + 1
    assert stopped.status[0] == Status.FEASIBLE
    longer = solve(instance, "selection", time_limit=2.0, start=stopped.mask)
    assert 0 < stopped.bound[0] <= longer.bound[0] < longer.objective[0] <= stopped.objective[0]


def test_a_start_is_never_made_worse_nor_an_empty_one_kept() -> None:
    instance = draw(12, 4)
    proof = solve(instance, "selection")
    again = solve(instance, "selection", start=proof.mask)
    assert (again.objective <= proof.objective).all()
    judge_claims(solve(instance, "selection", start=np.zeros_like(proof.mask)), proof.objective)
    judge_claims(solve(instance, "selection", start=np.ones_like(proof.mask)), proof.objective)


def test_layers_do_not_depend_on_their_neighbours_or_units() -> None:
    instance = draw(12, 4, b=3)
    whole = solve(instance, "selection")
    for b in range(3):
        alone = solve(instance.part(b, b + 1), "selection")
        assert (alone.mask[0] == whole.mask[b]).all()
    scaled = NeuronSelection(instance.features * 2.0**20, 4)
    assert solve(scaled, "selection").objective == pytest.approx(2.0**20 * whole.objective)


def test_who_is_chosen() -> None:
    assert select(draw(5, 2)) == get_solver("selection")
    with pytest.raises(ValueError, match="choose .*selection"):
        solve(draw(5, 2), "sphere")
