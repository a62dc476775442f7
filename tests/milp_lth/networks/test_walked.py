"""Tickets of modules of every kind: close to their targets, foldable, plain modules."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from kinds import ATTENDING, KINDS, made, outputs
from torch import nn

from milp_lth.constructions.two_matrices import TwoPrunedMatrices
from milp_lth.evaluation import evaluate
from milp_lth.finding import find_ticket
from milp_lth.network import read_network
from milp_lth.networks.walked import Walked
from milp_lth.ticket import FoldedLayer, Ticket

CASES = [(kind, False) for kind in KINDS] + [(kind, True) for kind in ATTENDING]
CONSTRUCTIONS = ("two-layer", "direct")
DTYPES = {torch.float32: 1e-5, torch.float64: 1e-12}

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


def ticket_of(kind: str, dtype: torch.dtype = torch.float32, **options: Any) -> Ticket:
    return find_ticket(made(kind, dtype), **options)


def largest(x: torch.Tensor) -> float:
    return float(x.detach().abs().max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize(("kind", "products"), CASES)
@torch.no_grad()
def test_tickets_are_close_and_fold(
    kind: str, products: bool, construction: str, dtype: torch.dtype
) -> None:
    target = made(kind, dtype)
    before = copy.deepcopy(target.state_dict())
    ticket = find_ticket(target, construction=construction, products=products, seed=4)
    assert not any(p.requires_grad for p in ticket.parameters())
    assert target.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
    x = KINDS[kind].inputs(dtype)
    wanted, got = outputs(target(*x)), outputs(ticket(*x))
    assert got.dtype == dtype
    assert largest(got - wanted) <= 1e-3 * largest(wanted)
    folded = ticket.fold()
    assert not any(p.requires_grad for p in folded.parameters())
    assert largest(outputs(folded(*x)) - got) <= DTYPES[dtype] * largest(wanted)
    halves = [isinstance(module, FoldedLayer) for module in folded.modules()]
    assert sum(halves) == sum(layer.has_halves for layer in ticket.layers)
    plain = ticket.fold(to="target")
    assert not any(isinstance(module, FoldedLayer) for module in plain.modules())
    assert largest(outputs(plain(*x)) - wanted) <= 1e-3 * largest(wanted)
    assert 0 <= folded.max_half_difference < 0.1  # type: ignore[operator]


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_errors_of_weights_are_those_of_the_kept_edges(kind: str, construction: str) -> None:
    network = read_network(made(kind))
    ticket = ticket_of(kind, construction=construction)
    assert len(ticket.layers) == len(network.layers)
    errors = []
    for layer, wanted in zip(ticket.layers, network.layers, strict=True):
        weight = wanted.weight.astype(np.float64)
        bias = np.zeros((len(weight), 0)) if wanted.bias is None else wanted.bias[:, None]
        halves = [layer.half_weights(1).numpy()]
        away = np.abs(halves[0] - np.hstack([weight, bias]))
        if layer.has_halves:
            halves.append(layer.half_weights(-1).numpy())
            away = np.hstack([away, np.abs(halves[1][:, : weight.shape[1]] - weight)])
        errors.append(away)
        if isinstance(layer, TwoPrunedMatrices):  # the same from dense matrices
            u = np.zeros((layer.num_hidden, layer.num_inputs))
            u[np.arange(layer.num_hidden), layer.input_of] = layer.u * layer.u_mask
            v = (layer.v * layer.v_mask).numpy().astype(np.float64)
            for sign, half in zip((1, -1), halves, strict=False):
                first = sign * np.maximum(sign * u, 0) if layer.form.activated else u
                np.testing.assert_allclose(v @ first, half, rtol=0, atol=1e-15)
        assert np.median(away) < 2e-3 * np.abs(weight).max()
    (x, *more) = KINDS[kind].inputs()
    if not more:
        measured = evaluate(ticket, made(kind), x).layers
        for away, layer_error in zip(errors, measured, strict=True):
            assert layer_error.max_error == away.max()
            low = np.sort(away, axis=None)[(away.size - 1) // 2]
            assert layer_error.median_error == pytest.approx(low, rel=0.2)


def test_declared_inputs_need_one_half() -> None:
    ticket = ticket_of("conv2d", input_range=(0, 1))
    assert [layer.has_halves for layer in ticket.layers] == [False, False, False]
    assert [layer.has_halves for layer in ticket_of("conv2d").layers] == [True, False, False]
    x = KINDS["conv2d"].inputs()[0].abs()
    assert largest(ticket(x) - made("conv2d")(x)) <= 1e-3
    with pytest.raises(ValueError, match="negative"):
        evaluate(ticket, made("conv2d"), -x)


def test_what_is_left_dense_is_said() -> None:
    body = ticket_of("transposed").settings.body
    assert isinstance(body, Walked)
    assert [(one.name, one.kind) for one in body.dense] == [("0", "ConvTranspose2d")]
    assert body.described() == "Sequential; left dense: 0 (ConvTranspose2d)"
    with pytest.raises(ValueError, match=r"left dense: 0 \(ConvTranspose2d\)"):
        ticket_of("transposed", strict=True)
    for kind in KINDS.keys() - {"transposed"}:
        ticket_of(kind, strict=True, width=2)


class Looking(nn.Module):
    """A weight is used by itself, too, as a language model does with its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.middle = nn.Embedding(6, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.middle(self.words(x))
        return nn.functional.linear(y, self.words.weight)


def test_a_layer_whose_weight_is_used_by_itself_is_left_dense() -> None:
    ticket = find_ticket(Looking())
    assert [one.name for one in ticket.settings.body.dense] == ["words"]  # type: ignore[attr-defined]
    assert len(ticket.layers) == 1


def test_hooked_layers_are_left_dense() -> None:
    torch.manual_seed(0)
    norm = nn.utils.spectral_norm(nn.Conv2d(1, 2, 3))
    target = nn.Sequential(norm, nn.Flatten(), nn.Linear(8, 2)).eval()
    x = torch.randn(3, 1, 4, 4)
    ticket = find_ticket(target)
    assert ticket.settings.body.described() == "Sequential; left dense: 0 (Conv2d)"
    assert largest(ticket(x) - target(x)) < 1e-3
    mlp = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 2)).eval()
    ticket = find_ticket(mlp)
    assert largest(ticket(x[0]) - mlp(x[0])) < 1e-3


@pytest.mark.parametrize("kind", ["attention", "encoder"])
def test_attention_with_other_options_is_left_as_it_is(kind: str) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
    layer.self_attn = nn.MultiheadAttention(4, 2, add_bias_kv=True, batch_first=True)
    inside = layer if kind == "encoder" else layer.self_attn

    class Target(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside, self.last = inside, nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.inside(x) if kind == "encoder" else self.inside(x, x, x)[0]
            return self.last(y)

    target = Target().eval()
    ticket = find_ticket(target)
    x = torch.randn(2, 3, 4)
    for module in (ticket, ticket.fold(), target):  # torch's fast path among the ways
        with torch.inference_mode():
            assert largest(module(x) - target(x)) < 1e-3
    assert "(MultiheadAttention)" in ticket.settings.body.described()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.half(), r"float16.*\.float\(\)"),
        (lambda m: m.bfloat16(), r"'0' has weights of torch.bfloat16"),
        (lambda m: nn.init.constant_(m[3].weight, float("nan")), "'3' has weights that are NaN"),
        (lambda m: nn.init.constant_(m[3].bias, float("inf")), "'3' has weights that are NaN"),
    ],
)
def test_weights_that_cannot_be_approximated_are_refused(change: Any, message: str) -> None:
    target = made("conv2d")
    change(target)
    with pytest.raises(ValueError, match=message):
        find_ticket(target)


def test_what_cannot_be_copied_is_refused() -> None:
    target = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    nn.utils.prune.l1_unstructured(target[0], "weight", 1)
    with pytest.raises(ValueError, match=r"prune\.remove"):
        find_ticket(target)
    nn.utils.prune.remove(target[0], "weight")
    find_ticket(target)
