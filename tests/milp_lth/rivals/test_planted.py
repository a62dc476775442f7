"""Planted tickets: what is planted is there, and how close methods come to it."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch

from instances.arbitrary_source import ArbitrarySource
from instances.philox import Stream, uniform
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.planted import Planted, alive, how_close, plant, pruned
from milp_lth.rivals.planted_problems import PROBLEMS, Circle, Helix, ReluUnits
from milp_lth.rivals.planted_program import SparsestTicket
from milp_lth.rivals.planted_seeking import METHODS, planted_row, seek
from solvers.registry import get_solver
from solvers.solution import Status
from solvers.solve import judged, solve

NUM_EDGES = {
    ("relu", 2): 2, ("relu", 4): 4,  # a chain
    ("relu-2", 2): 4, ("relu-2", 4): 8,
    # 4 knots on each side of two axes, that at 0 with one edge; a constant; two lines over all
    ("circle", 2): 4 * 7 + 1 + 2 * 17, ("circle", 3): 4 * 7 + 1 + 16 + 1 + 2 * 2,
    ("circle", 4): 4 * 7 + 1 + 16 + 1 + 2 + 2 * 2,
    # 29 knots and a constant; the height is straight, sin starts at 0
    ("helix", 2): 29 * 2 + 1 + 2 * 29 + 1 + 2, ("helix", 3): 59 + 29 * 2 + 1 + 3 + 1 + 3 + 3,
}  # fmt: skip


def ticket_outputs(planted: Planted, x: np.ndarray) -> np.ndarray:
    inputs = torch.tensor(np.c_[x, np.ones(len(x))], dtype=torch.float32)
    outputs: np.ndarray = pruned(planted, planted.masks)(inputs).double().numpy()
    return outputs


def on_paths(masks: dict[str, torch.Tensor]) -> set[tuple[str, int, int]]:
    """The edges that lie on a path from an input to an output, by networkx."""
    graph = nx.DiGraph([("in", (0, i)) for i in range(next(iter(masks.values())).shape[1])])
    for k, mask in enumerate(masks.values()):
        graph.add_edges_from(((k, int(i)), (k + 1, int(j))) for j, i in mask.nonzero())
    graph.add_edges_from(((len(masks), j), "out") for j in range(len(mask)))
    reached = nx.descendants(graph, "in")
    leads = nx.ancestors(graph, "out")
    return {
        (name, int(j), int(i))
        for k, (name, mask) in enumerate(masks.items())
        for j, i in mask.nonzero()
        if (k, int(i)) in reached and (k + 1, int(j)) in leads
    }


def edges(masks: dict[str, torch.Tensor]) -> set[tuple[str, int, int]]:
    return {(n, int(j), int(i)) for n, mask in masks.items() for j, i in mask.nonzero()}


@pytest.mark.parametrize(("name", "depth"), NUM_EDGES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_ticket_has_the_stated_edges_and_all_are_of_use(
    name: str, depth: int, seed: int
) -> None:
    planted = plant(name, width=40, depth=depth, seed=seed)
    assert planted.size == NUM_EDGES[name, depth]
    assert on_paths(planted.masks) == edges(planted.masks)
    assert len(planted.masks) == depth
    for (_, layer), mask in zip(
        masked_layers(planted.network), planted.masks.values(), strict=True
    ):
        assert layer.mask.all()
        assert (layer.weight[mask] != 0).all()


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_relu_units_are_exact(depth: int, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-1, 1, (500, 2))
    got = ticket_outputs(plant("relu-2", width=16, depth=depth, seed=seed), x)
    assert np.abs(got - x.clip(0)).max() < 1e-6


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_circles_are_right_beyond_the_margin(depth: int, seed: int) -> None:
    planted = plant("circle", width=20, depth=depth, seed=seed)
    x = np.random.default_rng(seed).uniform(-1, 1, (2000, 2))
    got = ticket_outputs(planted, x)
    square = (x**2).sum(axis=1)
    assert (got[:, 0] == 0).all()
    assert np.abs(got[:, 1] / 16 + 0.375 - square).max() < 1 / 64 + 1e-6
    assert np.abs(got[:, 2] - 2 * got[:, 1] - 16 * (0.375 - 0.875)).max() < 1e-4
    rings = (square > 0.375).astype(int) + (square > 0.875)
    sure = np.abs(square[:, None] - [0.375, 0.875]).min(axis=1) > 1 / 64
    assert (got.argmax(axis=1) == rings)[sure].all()
    assert planted.truth.accuracy == 1.0
    assert planted.truth.loss < 0.2
    for part in (planted.train, planted.test):
        assert part.classes is not None
        radius = part.x[:, :2].double().square().sum(dim=1)
        assert torch.equal(part.classes, (radius > 0.375).long() + (radius > 0.875))
        assert part.classes.bincount().min() > 200


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_helix_is_the_polygon(depth: int, seed: int) -> None:
    planted = plant("helix", width=32, depth=depth, seed=seed)
    knots = np.linspace(-1, 1, 30)
    phi = 5 * np.pi + 3 * np.pi * knots  # as in the paper
    curve = np.stack([phi * np.cos(phi), phi * np.sin(phi), phi], axis=1) / (8 * np.pi)
    assert np.abs(ticket_outputs(planted, knots[:, None]) - curve).max() < 1e-5
    between = (knots[:-1] + knots[1:]) / 2
    middle = (curve[:-1] + curve[1:]) / 2
    assert np.abs(ticket_outputs(planted, between[:, None]) - middle).max() < 1e-5
    assert planted.truth.loss < 1e-11
    assert planted.truth.accuracy is None


@pytest.mark.parametrize(("name", "depth"), [("relu", 2), ("circle", 3), ("helix", 2)])
def test_all_else_is_as_it_was_drawn(name: str, depth: int) -> None:
    planted = plant(name, width=40, depth=depth, seed=3)
    layers = [layer.weight.double().numpy() for _, layer in masked_layers(planted.network)]
    for k, (weights, mask) in enumerate(zip(layers, planted.masks.values(), strict=True)):
        counters = np.arange(weights.size).reshape(weights.shape)
        bound = (6 / weights.shape[1]) ** 0.5
        drawn = uniform(Stream(3, k, 32), counters, unit=2.0**-23) * bound
        scale = 1.0
        if k == depth - 1:
            ratio = np.median(weights[~mask.numpy()] / drawn[~mask.numpy()])
            scale = 2.0 ** round(np.log2(ratio))
        kept = mask.numpy()
        assert np.allclose(weights[~kept], scale * drawn[~kept], rtol=1e-6, atol=0)
        assert np.abs(weights[kept]).max() <= scale * bound * (1 + 1e-6)


def test_the_truth_is_perfectly_close_to_itself() -> None:
    for name in PROBLEMS:
        planted = plant(name, width=32, seed=1)
        close = how_close(planted, planted.masks)
        assert close["size_ratio"] == close["recall"] == close["precision"] == 1.0
        assert (close["loss"], close["accuracy"]) == planted.truth
        assert close["kept"] == close["alive"] == close["truth_size"] == planted.size


def test_edges_on_no_path_are_not_counted() -> None:
    planted = plant("circle", width=32, depth=4, seed=0)
    generator = torch.Generator().manual_seed(0)
    masks = {n: torch.rand(m.shape, generator=generator) < 0.05 for n, m in planted.masks.items()}
    living = alive(masks)
    assert edges(living) == on_paths(masks)
    assert 0 < len(edges(living)) < len(edges(masks))
    one, other = (pruned(planted, m)(planted.test.x) for m in (masks, living))
    assert torch.allclose(one, other, rtol=1e-6, atol=1e-4)
    close = how_close(planted, masks)
    assert close["alive"] == len(edges(living))
    assert close["recall"] == len(edges(living) & edges(planted.masks)) / planted.size


def test_nothing_and_everything() -> None:
    planted = plant("relu", width=8)
    nothing = how_close(planted, {n: torch.zeros_like(m) for n, m in planted.masks.items()})
    assert nothing["size_ratio"] == nothing["recall"] == nothing["precision"] == 0.0
    everything = how_close(planted, {n: torch.ones_like(m) for n, m in planted.masks.items()})
    assert (everything["size_ratio"], everything["recall"]) == (12.0, 1.0)
    assert everything["precision"] == 2 / 24
    with pytest.raises(ValueError, match="masks of shapes"):
        how_close(planted, {"0.weight": torch.ones(8, 2, dtype=torch.bool)})


def test_a_seed_is_a_network() -> None:
    one, same, other = (plant("circle", width=20, depth=3, seed=s) for s in (5, 5, 6))
    for a, b in zip(one.network.parameters(), same.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(m, same.masks[n]) for n, m in one.masks.items())
    assert torch.equal(one.test.x, same.test.x)
    assert not torch.equal(one.train.x, one.test.x)
    assert not torch.equal(one.test.x, other.test.x)
    assert any(not torch.equal(m, other.masks[n]) for n, m in one.masks.items())


@pytest.mark.parametrize("seed", range(4))
def test_the_program_finds_the_fewest_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.uniform(-1, 1, (1, 3, 2)), rng.uniform(-1, 1, (1, 2, 3))
    inputs = rng.uniform(-1, 1, (8, 2))
    outputs = 0.8 * (inputs @ weights[0][0].T).clip(0) @ weights[1][0].T
    for tolerance in (0.2, 0.05, 0.001):
        program = SparsestTicket(ArbitrarySource(weights, inputs, outputs, tolerance=tolerance))
        truth = solve(program, "enumerate")
        for name in ("scip", "cp-sat"):
            found = judged(program, get_solver(name).propose(program, 20.0), name, 0.0)
            assert found.status[0] == truth.status[0]
            if truth.status[0] == Status.OPTIMAL:
                assert found.objective[0] == truth.objective[0]


def test_the_program_says_what_it_takes() -> None:
    tiny = SparsestTicket.tiny()
    assert solve(tiny, "enumerate").objective[0] == 2
    assert solve(SparsestTicket.from_fields(tiny.fields()), "scip").status[0] == Status.OPTIMAL
    deep = plant("relu", width=4, depth=3)
    with pytest.raises(ValueError, match="flips"):
        seek(deep, "program")
    for changed in ({"tolerance": None}, {"budget": 3}, {"norm": "1"}):
        with pytest.raises(ValueError, match="give"):
            SparsestTicket(replace(tiny.source, **changed))
    wide = ArbitrarySource((np.ones((1, 1, 7)), np.ones((1, 1, 1))), np.ones((2, 7)),
                           np.ones((2, 1)), tolerance=0.1)  # fmt: skip
    with pytest.raises(ValueError, match="at most 6"):
        SparsestTicket(wide)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_relu_is_found_by_solving_and_not_by_edge_popup(seed: int) -> None:
    planted = plant("relu", width=32, seed=seed)
    found = seek(planted, "program")
    ours = how_close(planted, found.masks)
    assert found.extra == {"bound": 2.0, "optimal": 1.0}  # no ticket is smaller
    assert ours["size_ratio"] == 1.0
    assert ours["loss"] < 1e-6
    trained = seek(planted, "edge-popup", scale=0.1)
    popup = how_close(planted, trained.masks)
    assert popup["alive"] <= planted.size
    assert popup["loss"] > 0.01  # a hundredth of what is to be computed, at the size that is enough
    assert trained.training == "masks"
    larger = how_close(planted, seek(planted, "edge-popup", density=0.5, scale=0.1).masks)
    assert larger["loss"] < popup["loss"] / 3
    assert larger["size_ratio"] > 2


def test_a_small_helix_is_found_edge_by_edge() -> None:
    planted = plant(Helix(1.0, 8), width=16, seed=0)
    found = seek(planted, "program")
    close = how_close(planted, found.masks)
    assert found.extra == {"bound": planted.size, "optimal": 1.0}
    assert close["recall"] == close["precision"] == 1.0
    for method in ("flips", "magnitude", "random"):
        other = how_close(planted, seek(planted, method, time_limit=2.0).masks)
        assert other["loss"] > 1e6 * close["loss"]
        assert other["alive"] <= planted.size + 1
        assert other["recall"] < 1


def test_edge_popup_learns_circles_and_does_not_get_there() -> None:
    planted = plant("circle", width=32, seed=0)
    chance = how_close(planted, seek(planted, "random", density=0.5).masks)["accuracy"]
    learned = how_close(planted, seek(planted, "edge-popup", density=0.5, scale=0.5).masks)
    assert chance < 0.55 < learned["accuracy"] < 0.95 < planted.truth.accuracy
    assert learned["size_ratio"] > 1


def test_searches_are_determined_by_their_seeds() -> None:
    planted = plant("relu-2", width=8)
    for method in METHODS:
        one, same = (seek(planted, method, seed=2, scale=0.01) for _ in range(2))
        assert all(torch.equal(mask, same.masks[name]) for name, mask in one.masks.items())
        assert all(not p.requires_grad for p in one.network.parameters())


def test_a_row_says_what_was_searched_and_how_close_it_got() -> None:
    row = planted_row("relu", 0, "random", width=8, scale=0.02)
    assert (row["problem"], row["method"], row["seed"], row["accuracy"]) == (
        "relu", "random", 0, None,
    )  # fmt: skip
    assert row["density"] == 2 / 24
    assert row.keys() >= {"loss", "truth_loss", "size_ratio", "recall", "precision", "seconds"}
    half = planted_row("circle", 0, "edge-popup", density=0.5, width=17, scale=0.02)
    assert half["density"] == 0.5
    assert 0 < half["accuracy"] <= 1


def test_bad_input_is_refused() -> None:
    for arguments, message in (
        (("spiral", 8, 2, 0), "unknown problem"),
        (("relu", 8, 1, 0), "at least 2 layers"),
        (("circle", 16, 2, 0), "needs 17 hidden units"),
        (("relu", 8, 2, -1), "seed"),
    ):
        name, width, depth, seed = arguments
        with pytest.raises(ValueError, match=message):
            plant(name, width=width, depth=depth, seed=seed)
    planted = plant("relu", width=4)
    with pytest.raises(ValueError, match="no classes"):
        planted.task()
    with pytest.raises(ValueError, match="unknown method"):
        seek(planted, "prayer")
    with pytest.raises(ValueError, match="density"):
        seek(planted, "random", density=1.5)
    with pytest.raises(ValueError, match="scale"):
        seek(planted, "edge-popup", scale=0.0)
    with pytest.raises(ValueError, match="unknown problem"):
        planted_row("spiral", 0, "random")
    for make in (
        lambda: ReluUnits(0), lambda: Circle((0.9, 0.4)), lambda: Circle(()),
        lambda: Helix(0.0), lambda: Helix(num_knots=1),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="give"):
            make()
    with pytest.raises(ValueError, match="add knots"):
        plant(Circle(num_knots=1), width=32)
