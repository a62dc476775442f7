"""Pruned convolutions are two torch convolutions under their masks, and their edges are counted."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from milp_lth.constructions.layout import PrunedLayer
from milp_lth.finding import find_ticket
from milp_lth.reduction import reduce
from milp_lth.source import Source

CONVOLUTIONS: dict[str, Any] = {
    "plain": lambda: nn.Conv2d(3, 4, 3),
    "no bias": lambda: nn.Conv2d(3, 4, 3, bias=False),
    "padded": lambda: nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
    "same": lambda: nn.Conv2d(3, 4, 3, padding="same"),
    "groups": lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1),
    "depthwise": lambda: nn.Conv2d(4, 4, 3, groups=4, padding=1, padding_mode="circular"),
    "1d": lambda: nn.Conv1d(3, 4, 5, stride=2, padding=2),
}


def dense(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrices U (units × inputs) and V (rows × units) with zeros where they are pruned."""
    u = torch.zeros(layer.num_hidden, layer.num_inputs, dtype=torch.float64)
    for h in range(layer.num_hidden):
        if layer.u_mask[h]:
            u[h, layer.input_of[h]] = layer.u[h]
    return u, (layer.v * layer.v_mask).double()


def two_convolutions(target: Any, layer: Any, x: torch.Tensor) -> torch.Tensor:
    """V relu(U x), of each group for itself; a bias is a channel of ones, padding included."""
    u, v = dense(layer)
    dimensions = len(target.kernel_size)
    convolve = (functional.conv1d, functional.conv2d)[dimensions - 1]
    if target.padding == "same":
        pads = [p for k in reversed(target.kernel_size) for p in (k // 2, k // 2)]
    else:
        pads = [p for padding in reversed(target.padding) for p in (padding, padding)]
    mode = "constant" if target.padding_mode == "zeros" else target.padding_mode
    x = functional.pad(x, pads, mode)
    outputs = target.out_channels // target.groups
    places = int(np.prod(target.kernel_size))
    made = []
    for g, part in enumerate(x.chunk(target.groups, dim=1)):
        if target.bias is not None:
            part = torch.cat([part, torch.ones_like(part[:, :1])], dim=1)
        first = u.reshape(*u.shape, *[1] * dimensions)
        second = v.reshape(target.groups, outputs, places, -1)[g].transpose(1, 2)
        second = second.reshape(outputs, -1, *target.kernel_size)
        hidden = torch.relu(convolve(part, first))
        made.append(convolve(hidden, second, stride=target.stride, dilation=target.dilation))
    return torch.cat(made, dim=1)


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("low", [0, -1])
@torch.no_grad()
def test_a_pruned_convolution_is_two_under_masks(name: str, low: float) -> None:
    torch.manual_seed(1)
    target = CONVOLUTIONS[name]().double()
    ticket = find_ticket(target, width=9, input_range=(low, 1), seed=5)
    x = torch.randn(2, target.in_channels, *(8, 7)[: len(target.kernel_size)], dtype=torch.float64)
    wanted = two_convolutions(target, ticket.layers[0], x if low else x.abs())
    got = ticket(x if low else x.abs())
    assert got.shape == target(x).shape
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_edges_are_counted(name: str) -> None:
    torch.manual_seed(1)
    target = CONVOLUTIONS[name]()
    bias = target.bias is not None
    inputs = target.in_channels // target.groups + bias
    rows = target.out_channels * int(np.prod(target.kernel_size))
    weights = target.weight.numel() + (len(target.bias) if bias else 0)

    ticket = find_ticket(target, width=9)
    edges, units = ticket.edges(), 9 * inputs
    u, v = dense(ticket.layers[0])
    assert edges["source_dense"] == units * inputs + rows * units
    assert edges["source_block"] == units + rows * units
    assert edges["kept_u"] == int((u != 0).sum())
    assert edges["kept_v"] == int((v != 0).sum()) == edges["alive"] - edges["kept_u"]
    assert edges["per_weight"] == (edges["kept_u"] + edges["kept_v"]) / weights

    direct = find_ticket(target, width=9, construction="direct").edges()
    assert direct["source_dense"] == direct["source_block"] == rows * inputs * 9
    assert direct["kept_u"] == 0
    assert direct["per_weight"] == direct["kept_v"] / weights


def test_a_bias_is_kept_at_the_first_place_alone() -> None:
    torch.manual_seed(1)
    (layer,) = find_ticket(nn.Conv2d(3, 4, 3), width=9).layers
    constant = layer.half_weights(1)[:, -1].reshape(4, 9)
    assert bool(constant[:, 0].all())
    assert not constant[:, 1:].any()  # the closest sum to 0 is none at all


def test_counts_of_a_network_are_those_of_its_layers() -> None:
    torch.manual_seed(1)
    parts = [nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3, groups=2), nn.Linear(24, 3)]
    target = nn.Sequential(parts[0], nn.ReLU(), parts[1], nn.ReLU(), nn.Flatten(), parts[2])
    ticket = find_ticket(target, width=8, input_range=(0, 1))
    edges = ticket.edges()
    units = [8 * 2, 8 * 3, 8 * 25]
    dense_edges = [units[0] * (2 + 36), units[1] * (3 + 54), units[2] * (25 + 3)]
    assert edges["source_dense"] == sum(dense_edges)
    counted = [layer.kept() for layer in ticket.layers]
    assert edges["kept_u"] == sum(int(mask.sum()) for mask, _ in counted)
    assert edges["kept_v"] == sum(kept for _, kept in counted)
    assert edges["alive"] == edges["kept_u"] + edges["kept_v"]  # within each layer all lead on
    assert edges["per_weight"] == (edges["kept_u"] + edges["kept_v"]) / (40 + 114 + 75)
    assert all(isinstance(layer, PrunedLayer) for layer in ticket.layers)


def test_each_weight_is_a_subset_sum() -> None:
    """Row by row the problems are those of the kernel's entries, and the answers sum to them."""
    torch.manual_seed(1)
    target = nn.Conv2d(3, 4, (2, 3))
    reduction = reduce(target, Source(seed=2, width=8), input_range=(0, 1))
    (part,) = reduction.parts
    weight = target.weight.detach().numpy().astype(np.float64)
    assert len(part) == 4 * 6 * 4
    targets = part.instance().targets.reshape(4, 2, 3, 4)  # output, place, input
    np.testing.assert_array_equal(targets[..., :3], np.moveaxis(weight, 1, 3))
    np.testing.assert_array_equal(targets[:, 0, 0, 3], target.bias.detach().numpy())
    assert np.count_nonzero(targets[..., 3]) == 4
