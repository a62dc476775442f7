"""Tickets of any network as torch modules: shared layers, copies, dtypes, training, export."""

import copy
from typing import Any

import pytest
import torch
from kinds import KINDS, Kind, made, outputs
from torch import nn

from milp_lth.constructions.layout import PrunedLayer
from milp_lth.finding import find_ticket
from milp_lth.network import read_network
from milp_lth.ticket import Ticket

EVERY = [*KINDS]
SOME = ["residual", "untraceable", "gru", "attention", "encoder"]

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


def small(kind: str, dtype: torch.dtype = torch.float32, **options: Any) -> Ticket:
    return find_ticket(made(kind, dtype), width=8, **options)


def same(one: nn.Module, two: nn.Module, x: tuple[torch.Tensor, ...]) -> bool:
    with torch.no_grad():
        return torch.equal(outputs(one(*x)), outputs(two(*x)))


class Sharing(nn.Module):
    """A module that is called twice, two modules of one weight, modules behind two names."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.first, self.second = nn.Embedding(6, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight, self.second.bias = self.first.weight, self.first.bias
        self.again = self.first
        self.recurrent = nn.GRU(4, 4)
        self.many = nn.ModuleList([self.recurrent, self.recurrent])
        self.alone = nn.Linear(4, 4)
        self.alone.weight = self.first.weight  # a bias of its own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(torch.relu(self.first(self.words(x))))
        for part in self.many:
            y = part(y)[0]
        return self.alone(self.again(y))


def test_shared_weights_stay_shared() -> None:
    torch.manual_seed(0)
    target = Sharing()
    network = read_network(target)
    names = ["words", "first", "recurrent.layers.0.input", "recurrent.layers.0.hidden", "alone"]
    assert [layer.name for layer in network.layers] == names
    ticket = find_ticket(target, seed=1)
    assert len(ticket.layers) == 5
    for network_like in (ticket.body, ticket.fold(), copy.deepcopy(ticket).body):
        body: Any = network_like
        assert body.first is body.second
        assert body.first is body.again
        assert body.many[0] is body.many[1]
        assert body.many[0] is body.recurrent
        assert body.alone is not body.first
    x = torch.randint(6, (5, 3))
    assert float((ticket(x) - target(x)).detach().abs().max()) < 1e-3
    assert float((ticket.fold()(x) - ticket(x)).abs().max()) < 1e-5
    weights = sum(layer.weight.size for layer in network.layers)
    biases = sum(layer.bias.size for layer in network.layers if layer.bias is not None)
    edges = ticket.edges()
    assert edges["per_weight"] == (edges["kept_u"] + edges["kept_v"]) / (weights + biases)


def test_a_transformer_that_repeats_one_layer() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
    target = nn.Sequential(layer, layer, layer, nn.Linear(4, 2)).eval()
    ticket = find_ticket(target)
    assert len(ticket.layers) == 7
    x = torch.randn(2, 3, 4)
    assert float((ticket(x) - target(x)).detach().abs().max()) < 1e-3


@pytest.mark.parametrize("construction", ["two-layer", "direct"])
@pytest.mark.parametrize("kind", EVERY)
def test_copies_and_state_dicts(kind: str, construction: str) -> None:
    ticket, x = small(kind, construction=construction), KINDS[kind].inputs()
    assert same(copy.deepcopy(ticket), ticket, x)
    other = small(kind, construction=construction, seed=9)
    state = ticket.state_dict()
    assert state.keys() == other.state_dict().keys()
    assert not same(other, ticket, x)
    other.load_state_dict(state)
    assert same(other, ticket, x)
    assert same(other.fold(), ticket.fold(), x)  # the dense parts that it has now


@pytest.mark.parametrize("construction", ["two-layer", "direct"])
@pytest.mark.parametrize("kind", EVERY)
def test_another_dtype(kind: str, construction: str) -> None:
    """What was drawn is exact in float32: in float64 the ticket is that of the same target."""
    ticket = small(kind, construction=construction).to(torch.float64)
    target = made(kind).to(torch.float64)
    assert ticket.dtype == torch.float64
    x = KINDS[kind].inputs(torch.float64)
    with torch.no_grad():
        got, folded = outputs(ticket(*x)), outputs(ticket.fold()(*x))
        wanted = outputs(find_ticket(target, width=8, construction=construction)(*x))
    assert got.dtype == folded.dtype == torch.float64
    assert float((got - folded).abs().max()) <= 1e-12 * float(got.abs().max())
    # a norm that is folded into a layer is rounded to the target's dtype: the problems differ
    slack = 1e-3 if kind == "residual" else 1e-9
    assert float((got - wanted).abs().max()) <= slack * float(got.abs().max())


def test_training_mode_is_that_of_the_dense_parts() -> None:
    ticket, x = small("encoder"), KINDS["encoder"].inputs()
    still = ticket(*x)
    assert not any(module.training for module in ticket.body.modules())
    torch.manual_seed(0)
    assert not torch.equal(ticket.train()(*x), still)  # dropout
    assert not any(module.training for module in ticket.fold().modules())
    assert torch.equal(ticket.eval()(*x), still)
    ticket = small("conv2d")
    still = ticket(*(x := KINDS["conv2d"].inputs()))
    assert torch.equal(ticket.train()(*x), still)  # nothing in it trains


@pytest.mark.parametrize("kind", ["conv2d", "conv1d", "residual", "gru", "lstm", "encoder"])
@torch.no_grad()
def test_export(kind: str) -> None:
    for construction in ("two-layer", "direct"):
        ticket, x = small(kind, construction=construction), KINDS[kind].inputs()
        exported = torch.export.export(ticket, x).module()
        torch.testing.assert_close(exported(*x), ticket(*x), rtol=0, atol=1e-6)


def test_a_forward_may_ask_a_layer_for_its_numbers() -> None:
    class Asking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.conv = nn.Embedding(5, 6), nn.Conv1d(6, 4, 2, stride=2)
            self.last = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.words(x % self.words.num_embeddings).transpose(1, 2)
            y = self.conv(y[..., : self.conv.kernel_size[0] * self.conv.stride[0]])
            return self.last(y.mean(dim=2).view(-1, self.last.in_features))

    torch.manual_seed(0)
    target = Asking()
    for construction in ("two-layer", "direct"):
        ticket = find_ticket(target, construction=construction)
        x = torch.randint(50, (3, 7))
        for module in (ticket, ticket.fold(), ticket.fold(to="target"), copy.deepcopy(ticket)):
            assert float((module(x) - target(x)).detach().abs().max()) < 1e-3
        assert all(layer.numbers for layer in ticket.layers)


@pytest.mark.parametrize("kind", SOME)
def test_layers_know_their_place(kind: str) -> None:
    target, x = made(kind), KINDS[kind].inputs()
    network, ticket = read_network(target), small(kind)
    assert [layer.index for layer in ticket.layers] == list(range(len(network.layers)))
    for layer, wanted in zip(ticket.layers, network.layers, strict=True):
        part = ticket.body.get_submodule(wanted.name)
        assert part is layer
        assert isinstance(part, PrunedLayer)
    assert same(network.module(), network.module(), x)
    with torch.no_grad():
        away = outputs(network.module()(*x)) - outputs(target(*x))
    assert float(away.abs().max()) < 1e-5


def test_options_reach_the_target() -> None:
    target = made("several inputs")
    ticket = find_ticket(target)
    x, y = Kind(nn.Identity, ((5, 4), (5, 3))).inputs()
    one, two = ticket(x, y=y, sign=-1)[0], target(x, y, sign=-1)[0]
    assert float((one - two).detach().abs().max()) < 1e-3
