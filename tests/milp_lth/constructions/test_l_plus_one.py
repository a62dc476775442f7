"""L + 1 random matrices for L layers: copies of neurons, and raw edges between them."""

import itertools
import json
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn
from torch.nn import functional

from instances.objectives import Sparsest
from milp_lth.assembly import assemble
from milp_lth.constructions.l_plus_one import RawPruned, raw_reach
from milp_lth.edges import count_matrices
from milp_lth.evaluation import evaluate
from milp_lth.finding import find_ticket
from milp_lth.network import read_network
from milp_lth.reduction import Reduction, reduce
from milp_lth.solving import solve_chunks, solve_masks
from milp_lth.source import FIRST, Source
from milp_lth.targets.data import Data
from milp_lth.ticket import Ticket
from milp_lth.ticket_files import load_ticket, save_ticket

RANGES = [(0.0, 1.0), (-1.0, 1.0)]
DIMS = 6, 8, 5, 3


def mlp(dims: tuple[int, ...] = DIMS, *, bias: bool = True, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    module = nn.Sequential()
    for k, (d_in, d_out) in enumerate(itertools.pairwise(dims)):
        module.extend([nn.ReLU()] * (k > 0) + [nn.Linear(d_in, d_out, bias=bias)])
    return module.double()


def cnn() -> nn.Sequential:
    """Two convolutions with all that may stand between them, and a linear head."""
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(),
        nn.Conv2d(3, 4, (3, 2), stride=(1, 2), padding=1, padding_mode="replicate", bias=False),
        nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    nn.init.uniform_(module[1].running_var, 0.5, 1.5)
    return module.double().eval()


def laid_out(target: nn.Module, **options: Any) -> Reduction:
    low_high = options.pop("input_range", (0.0, 1.0))
    return reduce(target, Source(construction="l-plus-one", **options), input_range=low_high)


def found(target: nn.Module, **options: Any) -> Ticket:
    return find_ticket(target, construction="l-plus-one", **options)


def within(low_high: tuple[float, float], *shape: int) -> torch.Tensor:
    low, high = low_high
    return low + (high - low) * torch.rand(*shape, dtype=torch.float64)


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference, in units of the largest number."""
    return float(((one - other).abs().max() / other.abs().max()).detach())


@pytest.mark.parametrize("bias", [False, True])
def test_there_are_l_plus_1_matrices_and_the_later_ones_are_raw_draws(bias: bool) -> None:
    reduction = laid_out(mlp(bias=bias), width=(20, 7, 9), seed=3)
    ticket = assemble(reduction, solve_masks(reduction))
    matrices = [(count.layer, count.matrix) for count in count_matrices(ticket)]
    assert matrices == [(0, "U"), (0, "V"), (1, "edges"), (2, "edges")]
    assert len(matrices) == len(reduction.layers) + 1
    source = reduction.source
    for part, layer in zip(reduction.parts[1:], ticket.layers[1:], strict=True):
        drawn, candidates = part.layer.drawn, part.instance().coefficients
        d_in, d_out = drawn.num_inputs - bias, drawn.num_outputs
        assert candidates.shape == (d_out * drawn.num_inputs, drawn.width)
        assert layer.v.shape == layer.v_mask.shape == (d_out, drawn.width * drawn.num_inputs)
        for j, i, c in itertools.product(range(d_out), range(drawn.num_inputs), range(drawn.width)):
            column = c * d_in + i if i < d_in else drawn.width * d_in + c
            raw = source.draw(drawn.index, FIRST, layer.v.shape[1], np.array(j), np.array(column))
            assert candidates[j * drawn.num_inputs + i, c] == drawn.scale * raw
            assert layer.v[j, column].item() == drawn.scale * raw


@pytest.mark.parametrize("width", [None, 10, (8, 3, 5)])
@pytest.mark.parametrize("input_range", RANGES)
def test_every_copy_has_sums_of_its_own(
    width: int | tuple[int, ...] | None, input_range: tuple[float, float]
) -> None:
    """Of Burkholz' counts: ρ sums for a weight of the first or a middle layer, one of the last."""
    reduction = laid_out(mlp(), width=width, input_range=input_range)
    _, *rhos = width if isinstance(width, tuple) else [width or 24] * 3
    halves = 2 if input_range[0] < 0 else 1
    first = rhos[0] * 8 * (halves * 6 + 1)  # the constant is served by one half
    assert reduction.num_rows == first + rhos[1] * 5 * (8 + 1) + 3 * (5 + 1)
    assert [layer.drawn.copies for layer in reduction.layers] == [*rhos, 1]
    assert [layer.drawn.width for layer in reduction.layers[1:]] == rhos
    assert sum(layer.drawn.num_weights for layer in reduction.layers) == 8 * 7 + 5 * 9 + 3 * 6
    for part in reduction.parts:  # copy by copy the same targets
        copies = part.instance().targets.reshape(part.layer.drawn.copies, -1)
        assert (copies == copies[0]).all()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("input_range", RANGES)
def test_it_computes_what_the_target_computes(bias: bool, input_range: tuple[float, float]) -> None:
    target = mlp(bias=bias)
    ticket = found(target, input_range=input_range)
    x = within(input_range, 100, 6)
    with torch.no_grad():
        wanted = target(x)
        assert apart(ticket(x), wanted) < 1e-2
        folded = ticket.fold()
        assert [tuple(layer.weight.shape) for layer in list(folded)[2::2]] == [
            (24 * 5, 24 * 8),
            (3, 24 * 5),
        ]
        assert apart(folded(x), ticket(x)) < 1e-12
        # of copies in float32 each is rounded by itself, and edges enlarge what they differ by
        drawn = [layer.v.clone() for layer in ticket.layers]
        single, x32 = ticket.float(), x.float()
        for layer, v in zip(single.layers, drawn, strict=True):
            assert torch.equal(layer.v.double(), v)
        assert apart(single(x32), wanted) < 1e-2
        assert apart(single.fold()(x32), single(x32)) < 1e-4


def test_folding_to_the_target_takes_the_mean_of_copies() -> None:
    target = mlp()
    ticket = found(target, input_range=(0, 1))
    folded = ticket.fold(to="target")
    difference = 0.0
    for layer, new, old in zip(ticket.layers, list(folded)[::2], list(target)[::2], strict=True):
        assert new.weight.shape == old.weight.shape
        copies = layer.half_weights(1).unflatten(0, (layer.copies, -1))
        mean = copies.mean(dim=0)
        assert torch.equal(mean, torch.column_stack([new.weight, new.bias]))
        difference = max(difference, float((copies - mean).abs().max()))
    assert 0 < folded.max_half_difference == difference < 1e-2
    x = within((0, 1), 50, 6)
    assert apart(folded(x), target(x)) < 1e-2
    assert found(mlp((3, 2)), input_range=(0, 1)).fold(to="target").max_half_difference == 0


def test_the_layers_compute_what_their_masks_keep() -> None:
    """The dense view, by numpy, from matrices drawn in full."""
    target = mlp()
    ticket = found(target, width=(12, 4, 3), input_range=(0, 1), seed=5)
    x = within((0, 1), 20, 6)
    first, *others = ticket.layers
    hidden = np.column_stack([x, np.ones(20)])[:, first.input_of] * (first.u * first.u_mask).numpy()
    made = np.maximum(hidden, 0) @ (first.v * first.v_mask).numpy().T
    for layer, rho in zip(others, (4, 3), strict=True):
        fed = np.column_stack([np.maximum(made, 0), np.ones((20, rho))])
        made = fed @ (layer.v * layer.v_mask).numpy().T
    assert apart(ticket(x), torch.tensor(made)) < 1e-12
    evaluation = evaluate(ticket, target, x)
    for layer, measured, linear in zip(
        ticket.layers, evaluation.layers, list(target)[::2], strict=True
    ):
        weight = torch.column_stack([linear.weight.detach(), linear.bias.detach()]).repeat(
            layer.copies, 1
        )
        assert measured.max_error == float((layer.half_weights(1) - weight).abs().max())


def test_what_is_planted_is_found_exactly() -> None:
    """One copy of each neuron, so that each can be exact; then the ticket is the target."""
    rng, planted = np.random.default_rng(0), mlp((5, 6, 4), bias=False)
    options: dict[str, Any] = {"width": (10, 1), "seed": 2}
    for part, linear in zip(
        laid_out(planted, **options).parts, (planted[0], planted[2]), strict=True
    ):
        coefficients, scale = part.instance().coefficients, part.layer.drawn.scale
        most = scale * (0.25 if part.half.sign else raw_reach("uniform", 1))
        sums = np.zeros(len(coefficients))
        for k in range(coefficients.shape[1]):
            more = sums + coefficients[:, k]
            sums = np.where((np.abs(more) <= most) & (rng.random(len(sums)) < 0.8), more, sums)
        assert np.abs(sums).max() > most / 2  # so that the same source serves it
        linear.weight.data = torch.tensor(sums.reshape(linear.weight.shape))
    reduction = laid_out(planted, **options)
    masks = solve_masks(reduction)
    for part, mask in zip(reduction.parts, masks, strict=True):
        assert (part.instance().judge(mask).error == 0).all()
    x = within((0, 1), 20, 5)
    assert apart(assemble(reduction, masks)(x), planted(x)) < 1e-12


def test_convolutions_make_channels_in_copies(tmp_path: Path) -> None:
    target = cnn()
    ticket = found(target, input_range=(0, 1), width=(28, 20, 20))
    x = within((0, 1), 10, 2, 8, 6)
    with torch.no_grad():
        assert apart(ticket(x), target(x)) < 1e-2
        folded = ticket.fold()
        assert apart(folded(x), ticket(x)) < 1e-12
        assert folded.get_submodule("5").weight.shape == (20 * 4, 20 * 3, 3, 2)
        mean = ticket.fold(to="target")
        assert mean.get_submodule("5").weight.shape == (4, 3, 3, 2)
        assert apart(mean(x), target(x)) < 1e-3
    rows = [layer.drawn.num_outputs for layer in laid_out(target).layers]
    assert rows == [24 * 3 * 9, 24 * 4 * 6, 3]
    weight = torch.tensor(read_network(target).layers[1].weight).repeat(20, 1)
    error = float((ticket.layers[1].half_weights(1) - weight).abs().max())
    assert evaluate(ticket, target, x).layers[1].max_error == error < 0.1
    save_ticket(ticket, tmp_path / "t.safetensors")
    again = load_ticket(tmp_path / "t.safetensors", cnn())
    assert not ticket.training  # evaluated, and dropout still does nothing
    assert torch.equal(again(x), ticket(x))
    assert again.edges() == ticket.edges()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_files_hold_it(tmp_path: Path, dtype: torch.dtype) -> None:
    ticket = found(mlp().to(dtype), width=(9, 4, 3), seed=8)
    save_ticket(ticket, tmp_path / "t.safetensors")
    again = load_ticket(tmp_path / "t.safetensors")
    for a, b in zip(ticket.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert again.settings.source == ticket.settings.source
    assert again.edges() == ticket.edges()


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers[1].update(width=3),
        lambda layers: layers[1].update(width=0),
        lambda layers: layers[1].update(copies=1),
        lambda layers: layers[1].update(copies=0),
        lambda layers: layers[1].pop("scale"),
        lambda layers: layers[1].update(num_inputs=1),
        lambda layers: layers[0].update(copies=2),
        lambda layers: layers[0].pop("copies"),
        lambda layers: layers[2].update(copies=3),
        lambda layers: layers[2].update(num_outputs=2),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "t.safetensors"
    save_ticket(found(mlp(), width=(3, 4, 3)), path)
    tensors = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        stated = json.loads(file.metadata()["ticket"])
    change(stated["layers"])
    path.write_bytes(safetensors.numpy.save(tensors, {"ticket": json.dumps(stated)}))
    with pytest.raises(ValueError, match=r"t\.safetensors"):
        load_ticket(path)


def test_chunks_do_not_change_the_masks() -> None:
    reduction = reduce(mlp(), Source(construction="l-plus-one", width=6), objective=Sparsest(0.01))
    whole = solve_masks(reduction)
    for chunk_rows in (7, 50):
        masks = [np.zeros(part.shape, bool) for part in reduction.parts]
        for chunk in solve_chunks(reduction, chunk_rows=chunk_rows):
            chunk.write_to(masks)
        assert all((one == two).all() for one, two in zip(masks, whole, strict=True))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_living_edges_lie_on_paths_through_copies(bias: bool, seed: int) -> None:
    target = mlp((3, 4, 3, 2), bias=bias, seed=seed)
    with torch.no_grad():
        for linear in list(target)[::2]:
            linear.weight *= torch.rand_like(linear.weight) < 0.3
    reduction = reduce(
        target,
        Source(construction="l-plus-one", width=3, seed=seed),
        objective=Sparsest(0.1),
        input_range=(0, 1),
    )
    ticket = assemble(reduction, solve_masks(reduction))
    graph = nx.DiGraph()
    first, *others = ticket.layers
    for h in np.flatnonzero(first.u_mask):
        constant = bias and int(first.input_of[h]) == 3
        graph.add_edge("in", ("in", int(first.input_of[h])))
        graph.add_edge("constant" if constant else ("in", int(first.input_of[h])), ("h", 0, h))
    for j, h in np.argwhere(first.v_mask.numpy()):
        graph.add_edge(("h", 0, h), (1, j))
    for k, layer in enumerate(others, start=1):
        for j, column in np.argwhere(layer.v_mask.numpy()):
            constant = column >= layer.fan_in
            graph.add_edge(("constant", k, column) if constant else (k, column), (k + 1, j))
    starts = [n for n in graph if n == "constant" or n[0] in ("constant", "in")]
    graph.add_edges_from(("start", n) for n in starts)
    graph.add_edges_from(((3, j), "end") for j in range(2))
    alive = 0
    if "start" in graph and nx.has_path(graph, "start", "end"):
        reached = nx.descendants(graph, "start")
        needed = nx.ancestors(graph, "end")
        alive = sum(
            a in reached and b in needed and not (a == "in" or "start" in (a, b) or b == "end")
            for a, b in graph.edges
        )
    edges = ticket.edges()
    assert edges["alive"] == alive
    assert edges["kept_v"] == sum(int(layer.v_mask.sum()) for layer in ticket.layers)
    raw = sum(layer.v.numel() for layer in others)
    units, v = len(first.u), first.v.numel()
    assert edges["source_dense"] == units * (3 + bias) + v + raw
    assert edges["source_block"] == units + v + raw


class Chain(nn.Module):
    """A convolution, some steps, then a linear layer."""

    def __init__(self, steps: Any, second: nn.Module, *parts: nn.Module) -> None:
        super().__init__()
        self.one, self.two, self.parts = nn.Conv2d(1, 2, 3), second, nn.ModuleList(parts)
        self.steps = steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = functional.log_softmax(self.two(self.steps(self, self.one(x))), dim=-1)
        return y


PASSED = {
    "flatten": lambda m, x: torch.flatten(torch.relu(x), 1),
    "method": lambda m, x: x.tanh().flatten(start_dim=1),
    "view": lambda m, x: functional.leaky_relu(x).view(x.size(0), -1),
    "reshape": lambda m, x: functional.silu(x).contiguous().reshape((x.shape[0], -1)),
    "size": lambda m, x: torch.reshape(functional.relu(x, inplace=True), (x.size()[0], -1)),
    "pooling": lambda m, x: functional.avg_pool2d(functional.max_pool2d(x, 1), 1).flatten(1),
}
MIXED: dict[str, tuple[Any, str]] = {
    "fixed view": (lambda m, x: x.view(-1, 32), "operation 'view'"),
    "fixed count": (lambda m, x: x.view(x.size(0), 32), "operation 'view'"),
    "fixed batch": (lambda m, x: x.reshape(4, -1), "operation 'reshape'"),
    "other size": (lambda m, x: x.reshape(x.size(2), -1), "operation 'reshape'"),
    "other flatten": (lambda m, x: x.flatten(2).sum(2).repeat(1, 16), "operation 'flatten'"),
    "residual": (lambda m, x: (x + torch.relu(x)).flatten(1), "'one' .* one next step"),
    "added": (lambda m, x: (x + 1).flatten(1), "operation 'add'"),
    "softmax": (lambda m, x: torch.softmax(x, 1).flatten(1), "operation 'softmax'"),
    "norm": (lambda m, x: m.parts[0](x).flatten(1), "layer 'parts.0' .GroupNorm"),
    "prelu": (lambda m, x: m.parts[1](x).flatten(1), "layer 'parts.1' .PReLU"),
    "pooling features": (lambda m, x: m.parts[2](x.flatten(1)).repeat(1, 2), "MaxPool1d"),
    "hook": (lambda m, x: m.parts[3](x).flatten(1), "layer 'parts.3' .ReLU"),
    "data": (lambda m, x: x.flatten(1) if x.sum() > 0 else -x.flatten(1), "cannot be traced"),
    "features last": (lambda m, x: x, "takes features where"),
}


@pytest.mark.parametrize("steps", PASSED.values(), ids=PASSED)
def test_steps_that_copies_pass(steps: Any) -> None:
    torch.manual_seed(0)
    target = Chain(steps, nn.Linear(32, 3)).double()
    x = within((0, 1), 5, 1, 6, 6)
    ticket = found(target, input_range=(0, 1), width=(30, 16))
    assert isinstance(ticket.layers[1], RawPruned)
    assert apart(ticket(x), target(x)) < 1e-2


@pytest.mark.parametrize(("steps", "message"), MIXED.values(), ids=MIXED)
def test_steps_that_mix_copies_are_refused(steps: Any, message: str) -> None:
    parts = nn.GroupNorm(2, 2), nn.PReLU(2), nn.MaxPool1d(2), nn.ReLU()
    parts[3].register_forward_hook(lambda module, inputs, output: None)
    size = 4 if message.startswith("takes") else 32
    target = Chain(steps, nn.Linear(size, 3), *parts)
    target(torch.rand(4, 1, 6, 6))  # the target itself is sound
    with pytest.raises(ValueError, match=f"{message}.*--construction two-layer"):
        laid_out(target)


class Twice(nn.Module):
    """A layer that is called twice, and a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(torch.tanh(self.two(torch.tanh(self.two(self.one(x))))))
        return y


def shared() -> nn.Sequential:
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 2))
    module[2].weight, module[2].bias = module[0].weight, module[0].bias
    return module


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (nn.Sequential(nn.Conv2d(4, 4, 1, groups=2), nn.ReLU(), nn.Conv2d(4, 2, 1)), "groups"),
        (nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2)), "lookup"),
        (Twice(), "'two' is called 2 times"),
        (shared(), "several places"),
        (nn.LSTM(3, 4), "Recurrent"),
        (nn.Sequential(nn.Linear(3, 4), nn.MultiheadAttention(4, 2)), "part of another step"),
        (nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Flatten(), nn.Linear(12, 2)), "several out"),
        (nn.Sequential(nn.Conv1d(1, 2, 1), nn.MaxPool2d(1), nn.Conv1d(2, 1, 1)), "'1' .MaxPool2d"),
    ],
)
def test_networks_that_are_no_chain_are_refused(target: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}.*--construction two-layer"):
        laid_out(target)


def test_what_stands_around_the_layers_does_not_matter() -> None:
    torch.manual_seed(0)
    target = nn.Sequential(
        nn.LayerNorm(4), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3),
        nn.Softmax(dim=1),
    ).double().eval()  # fmt: skip
    ticket = found(target)
    x = within((-1, 1), 30, 4)
    assert apart(ticket(x), target(x)) < 1e-3
    assert len(read_network(target).layers) == 2
    assert found(nn.Linear(3, 2), width=10).layers[0].copies == 1


def test_the_scale_grows_with_fewer_draws() -> None:
    assert [raw_reach("uniform", width) for width in (1, 6, 12, 24, 95, 96)] == [
        0.25, 0.5, 0.5, 1.0, 1.0, 2.0,
    ]  # fmt: skip
    assert raw_reach("hyperbolic", 24) == 0.25


@pytest.mark.parametrize("distribution", ["normal", "hyperbolic", "signed-constant", "quantised-8"])
def test_other_distributions_serve(distribution: str) -> None:
    reduction = laid_out(mlp((4, 5, 3)), distribution=distribution, width=16)
    ticket = assemble(reduction, solve_masks(reduction))
    ticket, before = ticket.float(), [layer.v.clone() for layer in ticket.layers]
    assert all(torch.equal(a.v.double(), b) for a, b in zip(ticket.layers, before, strict=True))


def test_digits_is_agreed_on(digits: tuple[nn.Module, Data]) -> None:
    target, data = digits
    ticket = found(target, input_range=data.input_range)
    assert evaluate(ticket, target, data.x, data.y).agreement >= 0.99
