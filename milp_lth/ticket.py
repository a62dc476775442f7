"""The ticket: the random network under its masks, a plain PyTorch module."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from instances.arrays import BoolArray
from milp_lth.constructions.drawn_layer import DrawnLayer
from milp_lth.network import build_modules, frozen_linear
from milp_lth.source import Source


@dataclass(frozen=True)
class TicketSettings:
    """What a ticket is, apart from its masks: enough to draw its weights again.

    `steps` are those of the target, see `milp_lth.network.Network`; `input_range` is the domain on
    which the ticket was made to approximate it.
    """

    source: Source
    assignment: str
    input_range: tuple[float, float]
    steps: tuple[str, ...]
    layers: tuple[DrawnLayer, ...]


class TicketLayer(nn.Module):
    """``V relu(U x)`` under its masks, in the place of one linear layer of the target.

    Every hidden unit keeps one entry of U, so U is held as that entry, `u` (num_units,), and its
    column, `input_of`. All weights are frozen at what was drawn; masks are bool buffers, True =
    kept.

    Parameters
    ----------
    drawn
        What the layer's weights are drawn from.
    v_mask
        Shape (num_outputs, num_units), bool: the kept entries of V.
    dtype
        Of the weights, torch.float32 or torch.float64; both hold what was drawn exactly.
    """

    u: torch.Tensor
    v: torch.Tensor
    input_of: torch.Tensor
    u_mask: torch.Tensor
    v_mask: torch.Tensor

    def __init__(self, drawn: DrawnLayer, v_mask: BoolArray, dtype: torch.dtype) -> None:
        super().__init__()
        self.num_inputs = drawn.num_inputs
        self.has_bias = drawn.has_bias
        self.nonnegative = drawn.nonnegative
        self.u = nn.Parameter(torch.tensor(drawn.u(), dtype=dtype), requires_grad=False)
        self.v = nn.Parameter(torch.tensor(drawn.v(), dtype=dtype), requires_grad=False)
        keeps = torch.tensor(drawn.input_of >= 0)
        kept = torch.tensor(v_mask) & keeps
        self.register_buffer("input_of", torch.tensor(drawn.input_of).clamp(min=0))
        self.register_buffer("u_mask", kept.any(dim=0))  # a unit that no output keeps is dropped
        self.register_buffer("v_mask", kept)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs of shape (..., d_in) to outputs of shape (..., d_out)."""
        if self.has_bias:
            x = torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)
        hidden = torch.relu(x[..., self.input_of] * (self.u * self.u_mask))
        return functional.linear(hidden, self.v * self.v_mask)

    def half_weights(self, sign: int) -> torch.Tensor:
        """Return what the units of one sign sum to: shape (num_outputs, num_inputs), float64."""
        serves = self.u_mask & (self.u * sign > 0)
        products = (self.v.double() * self.v_mask) * (self.u.double() * serves)
        sums = products.new_zeros(products.shape[0], self.num_inputs)
        return sums.index_add_(1, self.input_of, products)


class FoldedLayer(nn.Module):
    """``W⁺ relu(x) − W⁻ relu(−x) + b``: what a ticket layer computes, without hidden units."""

    positive: torch.Tensor
    negative: torch.Tensor
    bias: torch.Tensor

    def __init__(self, positive: torch.Tensor, negative: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.positive = nn.Parameter(positive, requires_grad=False)
        self.negative = nn.Parameter(negative, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs of shape (..., d_in) to outputs of shape (..., d_out)."""
        up = functional.linear(torch.relu(x), self.positive, self.bias)
        return up - functional.linear(torch.relu(-x), self.negative)


class Folded(nn.Sequential):
    """A ticket folded to the target's shape."""

    max_half_difference: float
    """max |W⁺ − W⁻| over the layers that have both halves; 0 where none has."""


class Ticket(nn.Module):
    """The random network under its masks, with the target's forward signature.

    A plain module: it can be copied, saved, moved and exported like any other, and holds nothing
    that could be trained.
    """

    settings: TicketSettings

    def __init__(
        self, settings: TicketSettings, v_masks: Sequence[BoolArray], dtype: torch.dtype
    ) -> None:
        super().__init__()
        layers = [
            TicketLayer(drawn, mask, dtype)
            for drawn, mask in zip(settings.layers, v_masks, strict=True)
        ]
        self.body = nn.Sequential(*build_modules(settings.steps, layers))
        self.settings = settings

    @property
    def layers(self) -> tuple[TicketLayer, ...]:
        """The pruned layers, in order."""
        return tuple(module for module in self.body if isinstance(module, TicketLayer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map a batch of inputs to outputs, as the target does."""
        result: torch.Tensor = self.body(x)
        return result

    def fold(self, to: str | None = None) -> Folded:
        """Return a network of the target's shape that computes what the ticket computes.

        Parameters
        ----------
        to
            None: the pair W⁺ and W⁻ for every layer whose inputs may have both signs, one Linear
            elsewhere. "target": one Linear everywhere, (W⁺ + W⁻)/2; then only as close to the
            ticket as `Folded.max_half_difference` tells.

        Raises
        ------
        ValueError
            When `to` is something else.
        """
        if to not in (None, "target"):
            raise ValueError(f"fold to {to!r}: give None or 'target'")
        folded: list[nn.Module] = []
        difference = 0.0
        for layer in self.layers:
            num_weights = layer.num_inputs - layer.has_bias
            sums = layer.half_weights(1)
            positive, bias = sums[:, :num_weights], sums[:, num_weights:].sum(dim=1)
            negative = positive if layer.nonnegative else layer.half_weights(-1)[:, :num_weights]
            difference = max(difference, float((positive - negative).abs().max()))
            positive, negative, mean, bias = (
                t.to(layer.v.dtype) for t in (positive, negative, (positive + negative) / 2, bias)
            )
            if layer.nonnegative or to == "target":
                folded.append(frozen_linear(mean, bias if layer.has_bias else None))
            else:
                folded.append(FoldedLayer(positive, negative, bias))
        network = Folded(*build_modules(self.settings.steps, folded))
        network.max_half_difference = difference
        return network

    def edges(self) -> dict[str, int | float]:
        """Count edges: source_dense, source_block, kept_u, kept_v, alive and per_weight.

        `source_dense` are all entries of U and V; `source_block` those that are left when every
        hidden unit keeps one input; `kept_u` and `kept_v` the kept ones; `alive` those of them that
        lie on a path from an input (or a constant 1) to an output; `per_weight` is (kept_u +
        kept_v) / weights of the target, biases included.
        """
        counts = dict.fromkeys(("source_dense", "source_block", "kept_u", "kept_v", "alive"), 0)
        num_weights = 0
        for layer, (from_input, to_output) in zip(self.layers, self._alive_units(), strict=True):
            num_outputs, num_units = layer.v.shape
            counts["source_dense"] += num_units * (layer.num_inputs + num_outputs)
            counts["source_block"] += num_units * (1 + num_outputs)
            counts["kept_u"] += int(layer.u_mask.sum())
            counts["kept_v"] += int(layer.v_mask.sum())
            counts["alive"] += int((from_input & to_output.any(dim=0)).sum())
            counts["alive"] += int((to_output & from_input).sum())
            num_weights += num_outputs * layer.num_inputs
        return counts | {"per_weight": (counts["kept_u"] + counts["kept_v"]) / num_weights}

    def _alive_units(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return per layer the units an input reaches and the edges of V that reach an output."""
        forward: list[torch.Tensor] = []
        reached: torch.Tensor | None = None  # inputs of the layer that the ticket's inputs reach
        for layer in self.layers:
            inputs = torch.ones(layer.num_inputs, dtype=torch.bool, device=layer.u_mask.device)
            if reached is not None:
                inputs[: len(reached)] = reached
            units = layer.u_mask & inputs[layer.input_of]
            forward.append(units)
            reached = (layer.v_mask & units).any(dim=1)
        backward: list[torch.Tensor] = []
        needed: torch.Tensor | None = None  # the layer's outputs that reach an output of the ticket
        for layer in reversed(self.layers):
            edges = layer.v_mask if needed is None else layer.v_mask & needed[:, None]
            edges = edges & layer.u_mask
            backward.append(edges)
            units = edges.any(dim=0)
            needed = torch.zeros(layer.num_inputs, dtype=torch.bool, device=units.device)
            needed[layer.input_of[units]] = True
            needed = needed[: layer.num_inputs - layer.has_bias]
        return list(zip(forward, reversed(backward), strict=True))
