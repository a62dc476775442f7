"""The ticket: the random network under its masks, a plain PyTorch module."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from instances.arrays import BoolArray
from milp_lth.constructions.layout import DrawnLayer, PrunedLayer
from milp_lth.edges import count_edges
from milp_lth.networks.body import Body
from milp_lth.networks.forms import DENSE, Form
from milp_lth.networks.layer import lend_numbers
from milp_lth.source import Source


@dataclass(frozen=True)
class TicketSettings:
    """What a ticket is, apart from its masks: enough to draw its weights again.

    `body` is what the target is beside its layers, see `milp_lth.networks.body`; `input_range` is
    the domain on which the ticket was made to approximate it.
    """

    source: Source
    assignment: str
    input_range: tuple[float, float]
    body: Body
    layers: tuple[DrawnLayer, ...]


class FoldedLayer(nn.Module):
    """``W⁺ relu(x) − W⁻ relu(−x) + b``: what a ticket layer computes, without hidden units."""

    positive: torch.Tensor
    negative: torch.Tensor
    bias: torch.Tensor

    def __init__(
        self,
        positive: torch.Tensor,
        negative: torch.Tensor,
        bias: torch.Tensor,
        form: Form = DENSE,
    ) -> None:
        super().__init__()
        self.form = form
        self.positive = nn.Parameter(positive, requires_grad=False)
        self.negative = nn.Parameter(negative, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to outputs, as the target's layer does."""
        weight = torch.column_stack([self.positive, self.bias])
        up = self.form.apply(self.form.prepare(torch.relu(x), True), weight)
        return up - self.form.apply(self.form.prepare(torch.relu(-x), False), self.negative)


class Ticket(nn.Module):
    """The random network under its masks, with the target's forward signature.

    A plain module: it can be copied, saved, moved and exported like any other, and holds nothing
    that could be trained. `find_ticket`, `assemble` and `load_ticket` make one.

    Parameters
    ----------
    settings
        What it is drawn from, apart from its masks.
    masks
        Of the second matrix of every layer, or of its edges: shape (outputs, edges to each).
    dtype
        That of the random weights.
    """

    settings: TicketSettings

    def __init__(
        self, settings: TicketSettings, masks: Sequence[BoolArray], dtype: torch.dtype
    ) -> None:
        super().__init__()
        layers = [
            drawn.pruned(mask, dtype) for drawn, mask in zip(settings.layers, masks, strict=True)
        ]
        self.body = settings.body.with_layers(layers)
        self.settings = settings
        self.dtype = dtype
        self.eval()  # and not its body alone: whoever restores its mode would switch dropout on

    @property
    def layers(self) -> tuple[PrunedLayer, ...]:
        """The pruned layers, in order."""
        found = [module for module in self.body.modules() if isinstance(module, PrunedLayer)]
        return tuple(sorted(found, key=lambda layer: layer.index))

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Map a batch of inputs to outputs, as the target does."""
        return self.body(*inputs, **options)

    def fold(self, to: str | None = None) -> nn.Module:
        """Return a network of the target's shape that computes what the ticket computes.

        Parameters
        ----------
        to
            None: the pair W⁺ and W⁻ for every layer whose inputs may have both signs, the target's
            kind of layer elsewhere; copies of neurons, where a construction makes them, remain.
            "target": the target's layers and shapes everywhere, with (W⁺ + W⁻)/2 and the mean of
            all copies; then only as close to the ticket as the `max_half_difference` of what is
            returned tells.

        Returns
        -------
        torch.nn.Module
            Frozen; its `max_half_difference` is ``max |W⁺ − W⁻|`` over the layers that have both
            halves, or how far a copy is from the mean of all, 0 where there is neither.

        Raises
        ------
        ValueError
            When `to` is something else.
        """
        if to not in (None, "target"):
            raise ValueError(f"fold to {to!r}: give None or 'target'")
        folded: dict[int, nn.Module] = {}
        difference = 0.0
        for layer in self.layers:
            positive, bias, apart = _folded(layer, 1, to)
            negative = positive
            if layer.has_halves:
                negative, _, negative_apart = _folded(layer, -1, to)
                apart = max(apart, negative_apart, float((positive - negative).abs().max()))
            difference = max(difference, apart)
            dtype = layer.v.dtype if self.settings.body.steps else self.dtype
            positive, negative, mean, bias = (
                t.to(dtype) for t in (positive, negative, (positive + negative) / 2, bias)
            )
            if not layer.has_halves or to == "target":
                new = layer.form.module(mean, bias if layer.has_bias else None)
            else:
                new = FoldedLayer(positive, negative, bias, layer.form)
            lend_numbers(new, layer.numbers)
            folded[id(layer)] = new
        network = copy.deepcopy(self.body, folded).eval()
        network.max_half_difference = difference  # type: ignore[assignment]
        return network

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        self.dtype = fn(torch.empty(0, dtype=self.dtype)).dtype
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

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


def _folded(
    layer: PrunedLayer, sign: int, to: str | None
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return a layer's matrix, its bias, and how far copies were from what is returned."""
    sums, apart = layer.folded(sign), 0.0
    if to == "target":
        copies = layer.half_weights(sign)
        copies = copies.view(layer.copies, -1, copies.shape[1])
        sums = copies.mean(dim=0)
        apart = float((copies - sums).abs().max())
    num_weights = sums.shape[1] - layer.has_bias
    return sums[:, :num_weights], sums[:, num_weights:].sum(dim=1), apart
