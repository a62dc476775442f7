"""The ticket: the random network under its masks, a plain PyTorch module."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from instances.arrays import BoolArray
from milp_lth.constructions.layout import DrawnLayer, PrunedLayer
from milp_lth.edges import count_edges
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
        self, settings: TicketSettings, masks: Sequence[BoolArray], dtype: torch.dtype
    ) -> None:
        super().__init__()
        layers = [
            drawn.pruned(mask, dtype) for drawn, mask in zip(settings.layers, masks, strict=True)
        ]
        self.body = nn.Sequential(*build_modules(settings.steps, layers))
        self.settings = settings

    @property
    def layers(self) -> tuple[PrunedLayer, ...]:
        """The pruned layers, in order."""
        return tuple(module for module in self.body if isinstance(module, PrunedLayer))

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
            negative = layer.half_weights(-1)[:, :num_weights] if layer.has_halves else positive
            difference = max(difference, float((positive - negative).abs().max()))
            positive, negative, mean, bias = (
                t.to(layer.v.dtype) for t in (positive, negative, (positive + negative) / 2, bias)
            )
            if not layer.has_halves or to == "target":
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
        return count_edges(self)

    def blocks(self, index: int, *, weights: bool = True) -> Iterator[tuple[int, PrunedLayer]]:
        """Yield one layer as a single piece, see `milp_lth.edges.Blocks`."""
        yield 0, self.layers[index]
