"""Early-bird tickets: what is drawn and proved, what is searched, and that it settles early."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from milp_lth.rivals import early_bird as module
from milp_lth.rivals.early_bird import (
    GAP,
    HEADS_PRUNED,
    NEURONS_PRUNED,
    RULES,
    TRANSFORMER_SCHEDULE,
    dense_transformer,
    early_bird,
    gate_mass,
    gates_over_time,
    knapsack,
    knapsack_draw,
    mask_distance,
    quantile_draw,
    random_draw,
)
from milp_lth.rivals.found import Found
from milp_lth.rivals.task import Task, load_task
from milp_lth.rivals.training import Trained, train
from milp_lth.rivals.transformer import (
    Transformer,
    TransformerShape,
    Units,
    fixed_flops,
    flops,
    head_flops,
    neuron_flops,
    shrunk,
)
from solvers.solve import solve

SHAPE = TransformerShape(8, 8, 10, num_blocks=2, num_heads=6, num_neurons=20, width=24)
SCALE = 0.25
LAST = 10  # epochs


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the search of seed 0 is: it is made once."""
    return tmp_path_factory.mktemp("early_bird")


@pytest.fixture(scope="module")
def history(task: Task) -> list[Units]:
    return gates_over_time(task, seed=0, shape=SHAPE, scale=SCALE)


def found_by(task: Task, folder: Path, rule: str) -> Found:
    return early_bird(task, seed=0, shape=SHAPE, rule=rule, scale=SCALE, checkpoints=folder)


def drawn_gates(seed: int, spread: float = 0.1) -> Units:
    generator = torch.Generator().manual_seed(seed)

    def gates(number: int) -> tuple[torch.Tensor, ...]:
        return tuple(1 + spread * torch.randn(number, generator=generator) for _ in range(2))

    return Units(gates(SHAPE.num_heads), gates(SHAPE.num_neurons))


def budget_of(kept: Units) -> int:
    return flops(shrunk(Transformer(SHAPE, 0), *kept))


def counts(kept: Units) -> list[list[int]]:
    return [[int(mask.sum()) for mask in part] for part in kept]


def accuracy(found: Found, task: Task) -> float:
    assert task.test.y is not None
    with torch.no_grad():
        return float((found.network(task.test.x).argmax(dim=1) == task.test.y).double().mean())


def test_quantiles_prune_a_third_of_each_block_and_two_fifths_of_all() -> None:
    gates = drawn_gates(2)
    kept = quantile_draw(gates)
    for gate, mask in zip(gates.heads, kept.heads, strict=True):
        assert sorted(gate[~mask].tolist()) == sorted(gate.tolist())[:2]
    neurons, masks = torch.cat(gates.neurons), torch.cat(kept.neurons)
    assert sorted(neurons[~masks].tolist()) == sorted(neurons.tolist())[:16]
    assert counts(kept)[1] != [12, 12]  # not the same of both blocks


def test_gates_count_with_their_signs() -> None:
    gates = drawn_gates(1)
    gates.heads[0][3], gates.neurons[1][5] = -9.0, -9.0
    kept = quantile_draw(gates)
    assert not kept.heads[0][3]
    assert not kept.neurons[1][5]
    everything = knapsack_draw(gates, SHAPE, budget_of(Units(*(
        tuple(torch.ones(len(gate), dtype=torch.bool) for gate in part) for part in gates
    ))))  # fmt: skip
    assert counts(everything) == [[5, 6], [20, 19]]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_backends_prove_the_same_best_draw(seed: int, weighted: bool) -> None:
    """Not less is kept than by quantiles, with no more operations; four solvers prove it."""
    gates = drawn_gates(seed)
    quantiles = quantile_draw(gates)
    budget = budget_of(quantiles)
    instance = knapsack(gates, SHAPE, budget, weighted=weighted)
    gap = GAP * float(abs(instance.values).sum())
    solutions = [solve(instance, name, abs_gap=gap) for name in ("scip", "highs", "cbc")]
    assert [s.counts()["OPTIMAL"] for s in solutions] == [1] * 3
    assert len({float(s.objective[0]) for s in solutions}) == 1
    draws = [
        knapsack_draw(gates, SHAPE, budget, weighted=weighted, solver=name)
        for name in (None, "scip", "highs", "cbc")
    ]
    worth = gates
    if weighted:
        ratio = head_flops(SHAPE) / neuron_flops(SHAPE)
        worth = Units(tuple(ratio * gate for gate in gates.heads), gates.neurons)
    masses = [gate_mass(worth, draw) for draw in draws]
    assert masses == pytest.approx(masses[:1] * 4, rel=1e-8)
    for draw, mass in zip(draws, masses, strict=True):
        assert mass >= gate_mass(worth, quantiles) * (1 - 1e-6)
        assert budget_of(draw) <= budget


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_no_draw_of_so_many_heads_and_neurons_is_better(seed: int, share: float) -> None:
    """All heads cost the same, and so do all neurons: the best draw is found by counting."""
    gates = drawn_gates(seed)
    head, neuron, fixed = head_flops(SHAPE), neuron_flops(SHAPE), fixed_flops(SHAPE)
    budget = fixed + int(share * (12 * head + 40 * neuron))
    heads, neurons = (
        [0.0, *torch.cat(part).double().sort(descending=True).values.cumsum(0).tolist()]
        for part in gates
    )
    best = max(
        heads[h] + neurons[min(40, (budget - fixed - h * head) // neuron)]
        for h in range(13)
        if h * head <= budget - fixed
    )
    kept = knapsack_draw(gates, SHAPE, budget)
    assert gate_mass(gates, kept) == pytest.approx(best, rel=1e-12)
    assert budget_of(kept) <= budget


def test_a_budget_for_nothing_at_all() -> None:
    gates = drawn_gates(0)
    assert counts(knapsack_draw(gates, SHAPE, fixed_flops(SHAPE))) == [[0, 0], [0, 0]]
    with pytest.raises(ValueError, match=f"give {fixed_flops(SHAPE)} or more"):
        knapsack(gates, SHAPE, fixed_flops(SHAPE) - 1)
    with pytest.raises(ValueError, match="cbc-default proved no optimum"):
        knapsack_draw(gates, SHAPE, fixed_flops(SHAPE), solver="cbc-default")


def test_random_draws_keep_as_many_of_every_block() -> None:
    like = quantile_draw(drawn_gates(0))
    one, other = random_draw(like, 0), random_draw(like, 1)
    assert counts(one) == counts(other) == counts(like)
    assert mask_distance(one, other) != (0, 0)
    assert mask_distance(one, random_draw(like, 0)) == (0, 0)
    nothing = Units(*(tuple(torch.zeros_like(mask) for mask in part) for part in like))
    assert counts(random_draw(nothing, 0)) == [[0, 0], [0, 0]]


def test_the_distance_of_two_draws() -> None:
    one = quantile_draw(drawn_gates(0))
    other = Units((~one.heads[0], one.heads[1]), one.neurons)
    assert mask_distance(one, other) == (0.5, 0.0)


def test_draws_settle_early(history: list[Units]) -> None:
    """Draws change at first, and hardly any more in the second half of the search."""
    assert len(history) == LAST
    draws = [quantile_draw(gates) for gates in history]
    steps = [sum(mask_distance(one, other)) for one, other in pairwise(draws)]
    assert sum(steps[-4:]) < sum(steps[:4]) / 2
    chance = [2 * share * (1 - share) for share in (HEADS_PRUNED, NEURONS_PRUNED)]
    for draw, part in ((draws[1], 0.8), (draws[4], 0.3)):
        distance = mask_distance(draw, draws[-1])
        assert all(d < part * c for d, c in zip(distance, chance, strict=True))


def test_the_penalty_pulls_gates_to_zero(task: Task) -> None:
    one, two = (
        gates_over_time(task, seed=0, shape=SHAPE, penalty=penalty, scale=0.05)[-1]
        for penalty in (0.0, 0.01)
    )
    means = [float(torch.cat(gates.heads + gates.neurons).abs().mean()) for gates in (one, two)]
    assert means[1] < means[0] - 0.01


def test_a_penalty_is_not_in_the_curve(task: Task) -> None:
    def curve(penalty: float) -> list[float]:
        trained = train(
            Transformer(SHAPE, 0), task, TRANSFORMER_SCHEDULE, seed=0, scale=0.025,
            penalty=lambda: torch.tensor(penalty),
        )  # fmt: skip
        return [p.loss for p in trained.curve]

    assert curve(0.0) == curve(100.0)


def test_the_search_is_the_beginning_of_the_whole_one(
    task: Task, folder: Path, history: list[Units]
) -> None:
    """It stops after a fifth; the learning rates are those of the whole search."""
    found_by(task, folder, "quantile")
    searched = Transformer(SHAPE, 0)
    for gate in (gate for part in searched.gates() for gate in part):
        gate.requires_grad_(True)
    train(
        searched, task, TRANSFORMER_SCHEDULE, seed=0, scale=SCALE, epochs=range(2),
        checkpoint=folder / "search-0.0001.safetensors",
    )  # fmt: skip
    for gates, noted in zip(searched.gates(), history[1], strict=True):
        assert all(map(torch.equal, gates, noted))


@pytest.mark.parametrize("rule", RULES)
def test_what_is_found(task: Task, folder: Path, rule: str, history: list[Units]) -> None:
    found, quantiles = found_by(task, folder, rule), quantile_draw(history[1])
    assert isinstance(found.network, Transformer)
    whole = Transformer(SHAPE, 0)
    budget = budget_of(quantiles)
    kept = [[len(gate) for gate in part] for part in found.network.gates()]
    matrices = {name: p for name, p in found.network.named_parameters() if name in found.masks}
    assert found.kept == sum(matrix.numel() for matrix in matrices.values())
    assert found.source_dense == sum(
        p.numel() for name, p in whole.named_parameters() if name in found.masks
    )
    assert found.extra["flops"] == flops(found.network) <= budget < flops(whole)
    assert found.extra["flops_share"] == flops(found.network) / flops(whole)
    assert found.extra["training_share"] == 0.2 + found.extra["flops_share"]
    assert found.examples == (2 + LAST) * len(task.train.x)
    assert all(bool((gate == 1).all()) for part in found.network.gates() for gate in part)
    if rule == "knapsack":
        assert found.extra["gate_mass"] >= gate_mass(history[1], quantiles)
    elif rule != "knapsack-weighted":
        assert kept == counts(quantiles)
    assert accuracy(found, task) > 0.75


def test_training_goes_back_to_the_first_weights(
    task: Task, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, torch.Tensor]] = []

    def noting(network: Transformer, *given: Any, **asked: Any) -> Trained:
        started.append({n: p.detach().clone() for n, p in network.named_parameters()})
        return train(network, *given, **asked)

    monkeypatch.setattr(module, "train", noting)
    found = found_by(task, folder, "quantile")
    first = dict(Transformer(SHAPE, 0).named_parameters())
    assert all(torch.equal(started[0][name], first[name]) for name in first)
    for name, mask in found.masks.items():
        assert torch.equal(started[1][name].flatten(), first[name][mask])


def test_the_dense_transformer(task: Task) -> None:
    found = dense_transformer(task, seed=0, shape=SHAPE, scale=SCALE)
    assert found.kept == found.source_dense
    assert found.extra == {"flops": flops(Transformer(SHAPE, 0))}
    assert accuracy(found, task) > 0.9


def test_an_interrupted_draw_goes_on_to_the_same_weights(task: Task, tmp_path: Path) -> None:
    class Interrupted(Exception):  # noqa: N818
        pass

    told: list[tuple[int, int]] = []

    def stop(epoch: int, num_epochs: int) -> None:
        told.append((epoch, num_epochs))
        if epoch == 2:  # of 1 of the search and 4 of the training
            raise Interrupted

    asked: dict[str, Any] = {"seed": 1, "shape": SHAPE, "rule": "knapsack", "scale": 0.1}
    whole = early_bird(task, **asked)
    with pytest.raises(Interrupted):
        early_bird(task, **asked, on_epoch=stop, checkpoints=tmp_path)
    again = early_bird(task, **asked, on_epoch=lambda *at: told.append(at), checkpoints=tmp_path)
    assert told == [(1, 5), (2, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    one, other = again.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert again.curve == whole.curve
    assert again.extra == whole.extra


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"rule": "best"}, "choose one of quantile, knapsack"),
    ({"draw": 0.0}, "give a share of the search's epochs"),
    ({"draw": math.nan}, "give a share of the search's epochs"),
    ({"penalty": -1.0}, "penalty -1.0: give a finite number"),
    ({"scale": 0.0}, "give a positive number"),
]


@pytest.mark.parametrize(("asked", "remedy"), REFUSED, ids=range(len(REFUSED)))
def test_bad_input(task: Task, asked: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        early_bird(task, **{"seed": 0, "shape": SHAPE, **asked})


def test_no_label_of_the_test_part_is_looked_at(task: Task) -> None:
    assert task.test.y is not None
    shuffled = replace(task, test=replace(task.test, y=task.test.y.flip(0)))
    one, two = (early_bird(data, seed=0, shape=SHAPE, scale=0.05) for data in (task, shuffled))
    assert all(torch.equal(one.masks[name], mask) for name, mask in two.masks.items())
    state = one.network.state_dict()
    assert all(torch.equal(state[name], v) for name, v in two.network.state_dict().items())
    assert one.curve != two.curve
