"""Greedy imitation on Gram matrices: each step against brute force, and what it comes to."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from instances.neuron_selection import NeuronSelection
from milp_lth.rivals.imitation import forward, imitation

GRID = np.linspace(0, 1, 4001)


def draw(n: int, rows: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Contributions, one column a neuron, some dead; and what is to be imitated."""
    rng = np.random.default_rng(seed)
    sigma = np.maximum(rng.normal(0.3, 1, (rows, n)), 0) * (rng.random(n) < 0.9)
    return sigma, sigma.mean(axis=1) + 0.05 * rng.normal(size=rows)


def moments(sigma: np.ndarray, f: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, float]:
    return torch.tensor(sigma.T @ sigma), torch.tensor(sigma.T @ f), float(f @ f)


def distance(sigma: np.ndarray, f: np.ndarray, a: np.ndarray) -> float:
    return math.fsum((sigma @ a - f) ** 2)


def best_of_grid(sigma: np.ndarray, f: np.ndarray, a: np.ndarray) -> float:
    """The least D after one step, every neuron and a grid of γ over its whole interval tried."""
    least = np.inf
    for i, share in enumerate(a):
        if share < 1:
            lowest = -share / (1 - share)
            gamma = lowest + (1 - lowest) * GRID
            moved = (1 - gamma) * (sigma @ a)[:, None] + gamma * sigma[:, [i]]
            least = min(least, float(((moved - f[:, None]) ** 2).sum(axis=0).min()))
    return least


@given(n=st.integers(1, 6), rows=st.integers(1, 8), seed=st.integers(0, 999))
def test_every_step_is_the_best_of_all_neurons_and_shares(n: int, rows: int, seed: int) -> None:
    sigma, f = draw(n, rows, seed)
    size = float(np.abs(sigma).max() + np.abs(f).max()) ** 2 * rows
    least = min(distance(sigma, f, np.eye(n)[i]) for i in range(n))
    for num_steps in range(4):
        path = imitation(*moments(sigma, f), num_steps=num_steps)
        last = path.discrepancies[-1]
        if len(path.kept) <= num_steps:  # it stopped before: no step gains anything
            assert least >= last - 1e-12 * size
            break
        assert last <= least + 1e-12 * size
        assert last == pytest.approx(least, abs=1e-6 * size)
        k = int(path.best.argmin())
        assert path.best[k] == last  # it never gets worse
        least = best_of_grid(sigma, f, path.coefficients[k])


@given(n=st.integers(1, 7), seed=st.integers(0, 999), corrective=st.booleans())
def test_what_is_told_is_true_and_no_better_than_the_best_set(
    n: int, seed: int, corrective: bool
) -> None:
    sigma, f = draw(n, seed=seed)
    path = imitation(*moments(sigma, f), corrective=corrective)
    optima = {}
    for k in range(1, n + 1):
        masks = [np.isin(np.arange(n), kept)[None] for kept in itertools.combinations(range(n), k)]
        problem = NeuronSelection(sigma[None], n, f[None])
        optima[k] = min(float(problem.evaluate(mask)[0][0]) for mask in masks) ** 2
    for k in range(1, n + 1):
        told, a = path.at_most(k)
        assert (a >= 0).all()
        assert a.sum() == pytest.approx(1, abs=1e-12)
        assert np.count_nonzero(a) <= k
        assert told == pytest.approx(distance(sigma, f, a), abs=1e-10)
        assert told >= optima[k] - 1e-10
        if corrective:
            assert told == pytest.approx(
                float(problem.evaluate((a > 0)[None])[0][0]) ** 2, abs=1e-9
            )
    assert path.at_most(n)[0] == pytest.approx(optima[n], rel=0.02, abs=1e-6)


def test_a_step_may_take_a_neuron_back() -> None:
    """The first neuron is the nearest, and the target's nearest mixture is one of the others."""
    sigma = np.array([[2.0, 0.0, 5.0], [1.0, -3.0, 2.0]])
    path = imitation(*moments(sigma, np.array([3.0, -1.0])))
    assert path.coefficients[1].tolist() == [1, 0, 0]
    assert path.kept[:4].tolist() == [1, 2, 3, 2]
    least, a = path.at_most(3)
    assert a == pytest.approx([0, 0.5, 0.5], abs=1e-6)
    assert least == pytest.approx(0.5)


@given(n=st.integers(1, 5), rows=st.integers(1, 8), seed=st.integers(0, 999))
def test_forward_selection_is_its_definition(n: int, rows: int, seed: int) -> None:
    sigma, f = draw(n, rows, seed)
    path = forward(*moments(sigma, f), num_steps=6)
    draws: list[int] = []
    best = np.full(n + 1, np.inf)
    for told in path.discrepancies:
        mean = [np.bincount([*draws, i], minlength=n) / (len(draws) + 1) for i in range(n)]
        values = [distance(sigma, f, a) for a in mean]
        draws.append(int(np.argmin(values)))
        assert told == pytest.approx(min(values), abs=1e-10)
        best[len(set(draws))] = min(best[len(set(draws))], told)
    assert len(draws) == 7
    assert (path.best == best).all()


def test_no_more_are_kept_than_asked_for() -> None:
    sigma, f = draw(12, 40)
    for select in (imitation, forward):
        path = select(*moments(sigma, f), num_kept=4)
        whole = select(*moments(sigma, f))
        assert path.kept.max() == 4
        assert path.best[4] >= whole.best[4]
        assert np.isinf(path.best[5:]).all()
    with pytest.raises(ValueError, match="keep 1 at least"):
        path.at_most(0)


def test_dead_neurons_alone_are_no_trouble() -> None:
    sigma, f = np.zeros((5, 3)), np.ones(5)
    for path in (
        imitation(*moments(sigma, f)),
        imitation(*moments(sigma, f), corrective=True),
        forward(*moments(sigma, f), num_steps=5),
    ):
        assert path.best.min() == 5.0
