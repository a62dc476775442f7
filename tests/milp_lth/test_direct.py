"""The direct constructions: parallel random edges in the place of every weight."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from instances.objectives import Sparsest
from milp_lth.assembly import assemble
from milp_lth.evaluation import evaluate
from milp_lth.execution import execute
from milp_lth.finding import find_ticket
from milp_lth.network import Network, read_network
from milp_lth.reduction import reduce
from milp_lth.run import Run
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.solving import solve_masks
from milp_lth.source import Source
from milp_lth.ticket_files import load_ticket, save_ticket
from milp_lth.verification import check_run

both = pytest.mark.parametrize("construction", ["direct", "direct-shared"])


def target(*, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8, bias=bias), nn.ReLU(), nn.Linear(8, 3, bias=bias)).double()


def span(network: Network) -> tuple[float, float]:
    weights = [w for layer in network.layers for w in (layer.weight, layer.bias) if w is not None]
    return float(min(map(np.min, weights))), float(max(map(np.max, weights)))


@both
def test_edges_lie_between_the_extreme_weights(construction: str) -> None:
    reduction = reduce(target(), Source(seed=3, width=50, construction=construction))
    low, high = span(reduction.network)
    for part, layer in zip(reduction.parts, reduction.layers, strict=True):
        edges = part.instance().coefficients
        assert low <= edges.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < edges.max() <= high
        scale = 2.0 ** np.frexp(max(-low, high))[1]
        assert (np.ldexp(edges, 46) / scale % 1 == 0).all()
        by_output = edges.reshape(len(layer.weight), -1, 50)
        shared = (by_output == by_output[:, :1]).all()
        assert shared == (construction == "direct-shared")
        assert len(np.unique(by_output[:, 0])) == 50 * len(layer.weight)


@both
def test_what_is_planted_is_found(construction: str) -> None:
    module = target(bias=False)
    source = Source(seed=1, width=12, construction=construction)
    rng, everywhere = np.random.default_rng(0), []
    low, high = span(read_network(module))
    for part, linear in zip(reduce(module, source).parts, (module[0], module[2]), strict=True):
        weight = linear.weight.detach().numpy().reshape(-1)
        edges = part.instance().coefficients
        sums = (edges * (rng.random(edges.shape) < 0.3)).sum(axis=1)
        planted = (low < sums) & (sums < high) & (low < weight) & (weight < high)
        weight[planted] = sums[planted]  # the extremes stay: they determine what is drawn
        linear.weight.data = torch.tensor(weight.reshape(linear.weight.shape))
        everywhere.append(planted)
        assert planted.sum() > 5
    again = reduce(module, source)
    for part, mask, planted in zip(again.parts, solve_masks(again), everywhere, strict=True):
        assert (part.instance().judge(mask).error[planted] == 0).all()


@both
@pytest.mark.parametrize("bias", [False, True])
def test_the_ticket_computes_what_its_masks_keep(construction: str, bias: bool) -> None:
    module = target(bias=bias)
    reduction = reduce(module, Source(width=9, construction=construction), objective=Sparsest(0.05))
    masks = solve_masks(reduction)
    ticket = assemble(reduction, masks)
    x = torch.randn(50, 6, dtype=torch.float64)
    y, kept = x.numpy(), 0
    for part, mask in zip(reduction.parts, masks, strict=True):
        sums = np.where(mask, part.instance().coefficients, 0).sum(axis=1)
        sums = sums.reshape(part.layer.weight.shape)
        kept += mask.sum()
        y = np.maximum(y, 0) if part is not reduction.parts[0] else y
        y = y @ sums[:, : y.shape[1]].T + (sums[:, -1] if bias else 0)
    assert np.allclose(ticket(x).numpy(), y, rtol=0, atol=1e-12)
    assert np.allclose(ticket.fold()(x).numpy(), y, rtol=0, atol=1e-12)
    assert ticket.fold().max_half_difference == 0
    edges = ticket.edges()
    weights = sum(layer.weight.size for layer in reduction.layers)
    assert edges["source_dense"] == edges["source_block"] == 9 * weights
    assert edges["kept_u"] == 0
    assert edges["kept_v"] == kept
    assert edges["per_weight"] == kept / weights


def test_edges_to_outputs_that_lead_nowhere_are_not_alive() -> None:
    ticket = find_ticket(target(bias=False), width=9, construction="direct")
    first, last = ticket.layers
    last.v_mask[:, 2] = False
    first.v_mask[5] = False
    expected = int(first.v_mask.sum()) - int(first.v_mask[2].sum()) + int(last.v_mask.sum())
    assert ticket.edges()["alive"] == expected - int(last.v_mask[:, 5].sum())


@both
def test_float32_goes_in_and_out(construction: str, tmp_path: Path) -> None:
    module = target().float()
    ticket = find_ticket(module, width=20, construction=construction)
    x = torch.rand(30, 6)
    assert ticket(x).dtype == torch.float32
    assert all(layer.v.dtype == torch.float64 for layer in ticket.layers)
    save_ticket(ticket, tmp_path / "t.safetensors")
    for other in (copy.deepcopy(ticket), load_ticket(tmp_path / "t.safetensors")):
        assert torch.equal(other(x), ticket(x))
    exported = torch.export.export(ticket, (x,)).module()
    assert torch.equal(exported(x), ticket(x))
    assert evaluate(ticket, module, x).max_logit_error < 0.01


@both
def test_a_run_is_verified(construction: str, tmp_path: Path) -> None:
    settings = RunSettings("wine-mlp", construction=construction, width=14)
    figures = execute(Run(create_run(settings, tmp_path / "run")))
    assert figures["ticket"]["agreement"] > 0.95
    assert check_run(tmp_path / "run") == []


def test_an_assignment_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no hidden units"):
        RunSettings(construction="direct", assignment="block")
    with pytest.raises(ValueError, match="choose one of two-layer, direct"):
        Source(construction="winding")


def test_weights_beyond_exact_sums_are_refused() -> None:
    tiny = nn.Linear(2, 2, bias=False).double()
    tiny.weight.data *= 1e-290
    with pytest.raises(ValueError, match="rescale"):
        reduce(tiny, Source(construction="direct"))
