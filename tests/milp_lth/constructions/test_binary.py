"""Binary random networks: ladders of doublings, and sums of whole numbers of steps."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch
from torch import nn

from instances.objectives import Sparsest
from instances.philox import Stream, uniform
from milp_lth.assembly import assemble
from milp_lth.constructions.binary_ladder import LADDER, BinaryLadder
from milp_lth.constructions.registry import theorem
from milp_lth.evaluation import evaluate
from milp_lth.finding import find_ticket
from milp_lth.networks.product import Product
from milp_lth.reduction import Reduction, reduce
from milp_lth.solving import solve_masks
from milp_lth.source import Source
from milp_lth.targets.data import Data
from milp_lth.ticket import Ticket
from milp_lth.ticket_files import load_ticket, save_ticket
from solvers.solution import Status
from solvers.solve import solve

RANGES = [(0.0, 1.0), (-1.0, 1.0)]
both_ranges = pytest.mark.parametrize("input_range", RANGES)


def mlp(*, bias: bool = True, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = nn.Linear(4, 6, bias=bias), nn.ReLU(), nn.Linear(6, 3, bias=bias)
    return nn.Sequential(*layers).to(dtype)


def reduced(
    module: nn.Module, input_range: tuple[float, float] = (0, 1), **source: Any
) -> Reduction:
    return reduce(module, Source(construction="binary", **source), input_range=input_range)


def sign(seed: int, layer: int, matrix: int, columns: int, rows: int) -> np.ndarray:
    """Return a random matrix ±1 in full, from the definition of the random numbers."""
    drawn = uniform(Stream(seed, layer, matrix), np.arange(rows * columns), unit=1.0)
    return (2 * drawn + 1).reshape(rows, columns)


def dense(ticket: Ticket, k: int) -> list[np.ndarray]:
    """Return all matrices of a layer, drawn in full, under the ticket's masks."""
    layer, drawn = ticket.layers[k], ticket.settings.layers[k]
    assert isinstance(drawn, BinaryLadder)
    seed, units = drawn.source.seed, drawn.num_units
    rows = np.arange(units)
    u_mask = np.zeros((units, drawn.num_inputs), bool)
    kept = layer.u_mask.numpy()
    u_mask[rows[kept], drawn.input_of[kept]] = True
    matrices = [sign(seed, k, 0, drawn.num_inputs, units) * u_mask]
    for level, (mask, parents) in enumerate(zip(layer.ladder_mask, drawn.parents, strict=True), 2):
        level_mask = np.zeros((units, units), bool)
        for place in (0, 1):
            kept = mask[:, place].numpy()
            level_mask[rows[kept], parents[kept, place]] = True
        matrices.append(sign(seed, k, LADDER + level, units, units) * level_mask)
    v = drawn.step * sign(seed, k, 1, units, drawn.num_outputs)
    return [*matrices, v * layer.v_mask.numpy()]


@both_ranges
def test_every_frozen_weight_is_what_was_drawn(input_range: tuple[float, float]) -> None:
    ticket = find_ticket(
        mlp(dtype=torch.float32), seed=7, construction="binary", input_range=input_range
    )
    for k, (layer, drawn) in enumerate(zip(ticket.layers, ticket.settings.layers, strict=True)):
        units, rows = drawn.num_units, np.arange(drawn.num_units)
        u = sign(7, k, 0, drawn.num_inputs, units)[rows, drawn.input_of]
        assert (layer.u.numpy() == np.where(drawn.input_of >= 0, u, 0)).all()
        assert layer.ladder.shape == (7, units, 2)
        for level, (weights, parents) in enumerate(
            zip(layer.ladder, drawn.parents, strict=True), 2
        ):
            drawn_there = sign(7, k, LADDER + level, units, units)[rows[:, None], parents]
            assert (weights.numpy() == np.where(parents >= 0, drawn_there, 0)).all()
            assert (weights.numpy()[parents >= 0] == 1).all()
        v = drawn.step * sign(7, k, 1, units, drawn.num_outputs)
        assert layer.v.dtype == torch.float32
        assert (layer.v.numpy() == v).all()
        masks = layer.u_mask, layer.ladder_mask, layer.v_mask
        assert all(mask.dtype == torch.bool for mask in masks)
    assert not any(p.requires_grad for p in ticket.parameters())


@both_ranges
@pytest.mark.parametrize("bias", [False, True])
def test_the_ticket_is_the_random_network_under_its_masks(
    input_range: tuple[float, float], bias: bool
) -> None:
    """A layer is ``bits + 1`` dense matrices with ReLUs between them; so is what it folds to."""
    ticket = find_ticket(mlp(bias=bias), construction="binary", input_range=input_range)
    x = np.random.default_rng(0).uniform(*input_range, (50, 4))
    hidden = x
    for k in range(2):
        *before, v = dense(ticket, k)
        assert len(before) == 8
        hidden = np.maximum(hidden, 0) if k else hidden
        if bias:
            hidden = np.column_stack([hidden, np.ones(len(x))])
        for matrix in before:
            hidden = np.maximum(hidden @ matrix.T, 0)
        hidden = hidden @ v.T
    assert np.allclose(ticket(torch.tensor(x)).numpy(), hidden, rtol=0, atol=1e-12)
    for dtype, relative in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        ticket = ticket.to(dtype)
        got, folded = (f(torch.tensor(x).to(dtype)) for f in (ticket, ticket.fold()))
        assert float((got - folded).abs().max()) <= relative * float(got.abs().max())


@both_ranges
def test_units_of_the_last_level_carry_powers_of_two(input_range: tuple[float, float]) -> None:
    reduction = reduced(mlp(), input_range, seed=3)
    for layout in reduction.layers:
        drawn = layout.drawn
        carried = np.eye(drawn.num_inputs)[drawn.input_of] * (drawn.input_of >= 0)[:, None]
        for edges, parents in zip(drawn.edges(), drawn.parents, strict=True):
            carried = (carried[parents] * edges[..., None]).sum(axis=1)
        powers = drawn.powers()
        expected = np.where(powers >= 0, np.exp2(powers), 0)[:, None]
        assert (carried == expected * np.eye(drawn.num_inputs)[drawn.input_of]).all()
    for part in reduction.parts:
        usable = part.half.units >= 0
        powers = np.where(usable, part.layer.drawn.powers()[part.half.units], -1)
        for of_input in powers:
            assert set(range(7)) <= set(of_input)
            assert (of_input == 7).sum() >= 8
        sizes = np.abs(part.instance().coefficients) / part.layer.drawn.step
        expected = np.where(usable, np.exp2(powers), 0)
        assert (sizes.reshape(-1, *expected.shape) == expected).all()


def on_grid(module: nn.Module, step: float) -> nn.Module:
    """Return the module with its weights at whole numbers of steps."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.round(p / step) * step)
    return module


@both_ranges
def test_weights_of_whole_steps_are_hit_exactly(input_range: tuple[float, float]) -> None:
    target = on_grid(mlp(), 2.0**-9)  # weights lie in ±1/2: 2⁸ steps are 1/2
    reduction = reduced(target, input_range, seed=5)
    assert {layout.drawn.step for layout in reduction.layers} == {2.0**-9}
    masks = solve_masks(reduction)
    for part, mask in zip(reduction.parts, masks, strict=True):
        assert (part.instance().judge(mask).error == 0).all()
    ticket = assemble(reduction, masks)
    low, high = input_range
    x = torch.round((low + (high - low) * torch.rand(200, 4, dtype=torch.float64)) * 256) / 256
    assert torch.equal(ticket(x), target(x))
    assert torch.equal(ticket.fold("target")(x), target(x))
    assert ticket.fold().max_half_difference == 0
    assert evaluate(ticket, target, x).max_logit_error == 0


def test_every_further_bit_halves_the_error() -> None:
    target, mean = mlp(seed=2), []
    for bits in (1, 2, 5, 6, 7, 8, 12):
        reduction = reduced(target, bits=bits, seed=1)
        errors = []
        for part, mask in zip(reduction.parts, solve_masks(reduction), strict=True):
            step, largest = part.layer.drawn.step, np.abs(part.layer.weight).max()
            assert largest <= 2**bits * step < 2 * largest
            assert part.layer.drawn.bits == bits
            assert part.layer.drawn.parents.shape[0] == bits - 1
            errors.append(part.instance().judge(mask).error / (step * 2**bits))
            assert errors[-1].max() <= 2.0 ** -(bits + 1)
        mean.append(float(np.concatenate(errors).mean()))
    assert mean == sorted(mean, reverse=True)
    assert mean[2] / mean[5] == pytest.approx(8, rel=0.35)


def test_rows_are_integer_programs() -> None:
    """CP-SAT proves that the answers are the best ones, and gives the same masks."""
    part = reduced(mlp(), bits=5, width=10, input_range=(-1, 1)).parts[1]
    rows = part.instance(0, 3)
    assert (rows.coefficients / part.layer.drawn.step % 1 == 0).all()
    one, other = solve(rows, "mitm"), solve(rows, "cp-sat")
    assert (one.mask == other.mask).all()
    assert (other.status == Status.OPTIMAL).all()


def test_sparsest_sums_are_near_the_fewest_signed_digits() -> None:
    """No sum of ±2ᵖ is shorter than the non-adjacent form of a number."""
    target = on_grid(mlp(bias=False), 2.0**-9)
    source = Source(construction="binary")
    part = reduce(target, source, objective=Sparsest(0.0), input_range=(0, 1)).parts[0]
    kept = solve(part.instance()).mask.sum(axis=1)
    steps = [int(abs(target) * 2**9) for target in part.layer.targets(part.half)]
    fewest = np.array([(3 * n ^ n).bit_count() for n in steps])
    assert (kept >= fewest).all()
    assert kept.sum() < 1.8 * fewest.sum()


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions(groups: int) -> None:
    torch.manual_seed(1)
    target = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, stride=2, groups=groups), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 3),
    ).double()  # fmt: skip
    target = on_grid(target, 2.0**-10)
    ticket = find_ticket(target, source=Source(construction="binary", bits=10), input_range=(-1, 1))
    x = torch.round(torch.randn(5, 2, 8, 8, dtype=torch.float64) * 64) / 64
    assert torch.equal(ticket(x), target(x))
    assert torch.equal(ticket.fold()(x), target(x))


def test_embeddings_are_looked_up() -> None:
    torch.manual_seed(0)
    target = on_grid(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2)).double(), 2.0**-5)
    ticket = find_ticket(target, construction="binary")
    x = torch.tensor([0, 3, 4])
    assert torch.equal(ticket(x), target(x))


def test_products_are_refused() -> None:
    with pytest.raises(ValueError, match="two-layer"):
        reduced(Product.of(torch.randn(3, 2)))


@pytest.mark.parametrize("assignment", ["matched", "block"])
@pytest.mark.parametrize("settings", [{"width": 1}, {"width": 3}, {"width": 9, "bits": 20}])
def test_narrow_ladders_are_still_ladders(
    assignment: str, settings: dict[str, int], tmp_path: Path
) -> None:
    source = Source(construction="binary", **settings)
    ticket = find_ticket(mlp(), source=source, assignment=assignment)
    x = torch.randn(20, 4, dtype=torch.float64)
    assert torch.allclose(ticket(x), ticket.fold()(x), rtol=0, atol=1e-12)
    save_ticket(ticket, tmp_path / "t.safetensors")
    assert torch.equal(load_ticket(tmp_path / "t.safetensors")(x), ticket(x))


@both_ranges
def test_edges_are_counted_as_a_graph_has_them(input_range: tuple[float, float]) -> None:
    """Kept and alive edges by brute force, on the dense matrices."""
    target, source = mlp(), Source(construction="binary", width=8, bits=3, seed=4)
    reduction = reduce(target, source, objective=Sparsest(0.05), input_range=input_range)
    ticket = assemble(reduction, solve_masks(reduction))
    first, last = ticket.layers
    last.v_mask[:, last.input_of == 2] = False  # whatever neuron 2 says, nobody listens
    first.v_mask[5] = False  # and neuron 5 says nothing
    graph, sources, ends, kept_v, before_v = nx.DiGraph(), [], [], 0, 0
    for k in range(2):
        *before, v = dense(ticket, k)
        kept_v += np.count_nonzero(v)
        before_v += sum(map(np.count_nonzero, before))
        for level, matrix in enumerate([*before, v]):
            below = ("x", k) if level == 0 else ("h", k, level)
            above = ("x", k + 1) if level == len(before) else ("h", k, level + 1)
            for row, column in zip(*np.nonzero(matrix), strict=True):
                graph.add_edge((*below, int(column)), (*above, int(row)))
        constant = first.num_inputs - 1 if k == 0 else last.num_inputs - 1
        sources.append(("x", k, constant))
    sources += [("x", 0, i) for i in range(4)]
    ends = [("x", 2, j) for j in range(3)]
    graph.add_nodes_from([*sources, *ends])
    reached = set().union(*(nx.descendants(graph, s) | {s} for s in sources))
    needed = set().union(*(nx.ancestors(graph, e) | {e} for e in ends))
    alive = sum(a in reached and b in needed for a, b in graph.edges)
    edges = ticket.edges()
    assert edges["kept_v"] == kept_v
    assert edges["kept_u"] == before_v
    assert edges["alive"] == alive < kept_v + before_v
    blocks = [drawn.num_units for drawn in ticket.settings.layers]
    assert edges["source_dense"] == sum(
        n * (d.num_inputs + 2 * n + d.num_outputs)
        for n, d in zip(blocks, ticket.settings.layers, strict=True)
    )
    assert before_v < edges["source_block"] < edges["source_dense"]


def test_units_that_no_output_needs_are_dropped() -> None:
    ticket = find_ticket(mlp(), construction="binary", input_range=(0, 1), objective=Sparsest(0.1))
    for k, layer in enumerate(ticket.layers):
        *before, v = dense(ticket, k)
        for matrix, above in zip(before, [*before[1:], v], strict=True):
            assert ((matrix != 0).any(axis=1) == (above != 0).any(axis=0)).all()
        assert 0 < layer.u_mask.sum() < len(layer.u_mask)


def test_the_ladder_does_not_depend_on_the_target() -> None:
    for one, other in zip(reduced(mlp()).layers, reduced(mlp(seed=9)).layers, strict=True):
        assert (one.drawn.parents == other.drawn.parents).all()
    other = reduced(mlp(), seed=1).layers[0].drawn.parents
    assert (reduced(mlp()).layers[0].drawn.parents != other).any()


def test_parts_of_a_layer_are_what_the_whole_has() -> None:
    reduction = reduced(mlp(), (-1, 1), width=10)
    for part in reduction.parts:
        whole, some = part.instance(), part.of_rows(4, 11).instance(4, 11)
        assert (whole.coefficients[4:11] == some.coefficients).all()
        assert (whole.targets[4:11] == some.targets).all()
    drawn = reduction.layers[0].drawn
    mask = np.random.default_rng(0).random(drawn.mask_shape) < 0.5
    layer = drawn.pruned(mask, torch.float64)
    piece = drawn.pruned(mask[2:4], torch.float64, first=2)
    assert torch.equal(piece.half_weights(-1), layer.half_weights(-1)[2:4])
    masks_alone = drawn.pruned(mask[2:4], torch.float64, first=2, weights=False)
    assert torch.equal(masks_alone.kept()[0], piece.kept()[0])
    assert torch.equal(masks_alone.connected(), piece.connected())


def test_tickets_survive_what_modules_go_through(tmp_path: Path) -> None:
    target = mlp(dtype=torch.float32)
    source = Source(construction="binary", bits=3, width=20)
    ticket = find_ticket(target, source=source)
    x = torch.randn(9, 4)
    expected = ticket(x)
    save_ticket(ticket, tmp_path / "t.safetensors")
    again = load_ticket(tmp_path / "t.safetensors")
    assert again.edges() == ticket.edges()
    assert again.settings.source == ticket.settings.source
    other = find_ticket(target, source=replace(source, seed=1))
    other.load_state_dict(ticket.state_dict())
    exported = torch.export.export(ticket, (x,)).module()
    for same in (again, other, exported, copy.deepcopy(ticket), ticket.double().float()):
        assert torch.equal(same(x), expected)


def set_parents(place: Any, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(t: dict[str, Any], s: dict[str, Any]) -> None:
        t["0.parents"][place] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda t, s: s["layers"][0].update(step=0.3),
        lambda t, s: s["layers"][0].update(step=-0.25),
        lambda t, s: s["layers"][0].update(step=float("nan")),
        lambda t, s: s["layers"][0].update(step=float("inf")),
        lambda t, s: s["layers"][0].update(step=2.0**200),
        lambda t, s: s["layers"][0].pop("step"),
        lambda t, s: s["layers"][0].update(width=9),
        lambda t, s: s["layers"][0].update(form={"kind": "factors"}),
        lambda t, s: s.update(bits=4),
        lambda t, s: s.update(bits=21),
        lambda t, s: s.update(seed=1),
        lambda t, s: s.update(distribution="uniform"),
        lambda t, s: t.pop("0.input_of"),
        lambda t, s: t.update({"0.input_of": t["0.input_of"] + 3}),
        lambda t, s: t.update({"0.input_of": t["0.input_of"].astype(np.int64)}),
        lambda t, s: t.update({"0.input_of": np.roll(t["0.input_of"], 1)}),
        lambda t, s: t.pop("0.parents"),
        lambda t, s: t.update({"0.parents": t["0.parents"].astype(np.int64)}),
        lambda t, s: t.update({"0.parents": t["0.parents"][:1]}),
        lambda t, s: t.update({"0.parents": t["0.parents"][0]}),
        lambda t, s: t.update({"0.parents": t["0.parents"][:, :-1]}),
        lambda t, s: t.update({"0.parents": t["0.parents"][..., :1]}),
        lambda t, s: t.update({"0.parents": np.zeros((), np.int32)}),
        set_parents((0, 0, 0), 32),
        set_parents((0, 0, 0), -2),
        set_parents((0, 0), (-1, 3)),
        set_parents((0, slice(None)), 5),
        set_parents((0, slice(None)), -1),
    ],
)
def test_damaged_tickets_are_refused(
    change: Callable[[dict[str, Any], dict[str, Any]], None], small: Path, tmp_path: Path
) -> None:
    tensors = safetensors.numpy.load_file(small)
    with safetensors.safe_open(small, framework="numpy") as file:
        stated = json.loads(file.metadata()["ticket"])
    change(tensors, stated)
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(safetensors.numpy.save(tensors, {"ticket": json.dumps(stated)}))
    with pytest.raises(ValueError, match=r"damaged\.safetensors"):
        load_ticket(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ticket of one layer, with 32 units at each of three levels."""
    path = tmp_path_factory.mktemp("binary") / "t.safetensors"
    torch.manual_seed(0)
    source = Source(construction="binary", width=8, bits=3)
    save_ticket(find_ticket(nn.Linear(3, 2), source=source), path)
    return path


@pytest.mark.parametrize(
    ("own", "drawn", "message"), [(True, -1, r"that are not \+1"), (False, 1, "another input")]
)
def test_edges_that_no_unit_may_keep_are_refused(
    own: bool, drawn: int, message: str, small: Path, tmp_path: Path
) -> None:
    """An edge of −1 between units of one input and sign; one of +1 between those of two."""
    layer = load_ticket(small).settings.layers[0]
    assert isinstance(layer, BinaryLadder)
    edges = sign(0, 0, LADDER + 3, layer.num_units, layer.num_units)
    u, carries = layer.u(), layer.parents[0, :, 0] >= 0
    same = (layer.input_of[:, None] == layer.input_of) & (u[:, None] == u)
    unit, parent = np.argwhere((same == own) & (edges == drawn) & carries)[0]
    layer.parents[1, unit] = parent, -1
    tensors = safetensors.numpy.load_file(small) | {"0.parents": layer.arrays()["parents"]}
    with safetensors.safe_open(small, framework="numpy") as file:
        content = safetensors.numpy.save(tensors, file.metadata())
    (tmp_path / "t.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_ticket(tmp_path / "t.safetensors")


def test_digits_at_the_defaults(digits: tuple[nn.Module, Data]) -> None:
    target, data = digits
    ticket = find_ticket(target, construction="binary", input_range=data.input_range)
    found = evaluate(ticket, target, data.x, data.y)
    assert found.agreement >= 0.99
    for layer, drawn in zip(ticket.layers, ticket.settings.layers, strict=True):
        assert drawn.bits == 8
        assert drawn.width == 24
        assert layer.v.abs().unique().tolist() == [drawn.step]


def test_the_theorem_is_named() -> None:
    assert "Sreenivasan" in theorem("binary").paper
