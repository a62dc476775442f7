"""Layers under a mask, and the same layers while scores decide what the mask is.

A layer is a plain module: it is copied, saved, moved and exported like any other, which one with
the hooks of `torch.nn.utils.prune` is not.
"""

import copy
from collections.abc import Callable, Iterator
from itertools import count
from typing import Protocol, TypeVar

import torch
from torch import nn

_Layer = TypeVar("_Layer", bound=nn.Module)


class Masked(nn.Module):
    """Computes with gain · weight · mask; no bias.

    Parameters
    ----------
    weight
        Of shape (outputs, inputs): that of a Linear; (outputs, inputs, height, width): that of a
        Conv2d. Of shape (units,): a block of units for every input, one after another, each unit
        with that one input.
    padding
        Of a convolution, with zeros.
    trainable
        Whether the weight has a gradient.

    Attributes
    ----------
    mask
        Bool, shaped like the weight: True = kept, as all are at first.
    gain
        A number, 1 at first.

    Raises
    ------
    ValueError
        When the weight has another number of dimensions.

    Examples
    --------
    >>> layer = Masked(torch.tensor([[1.0, 2.0]]))
    >>> layer.mask[0, 0] = False
    >>> layer(torch.tensor([10.0, 10.0])).tolist()
    [20.0]
    """

    mask: torch.Tensor
    gain: torch.Tensor

    def __init__(self, weight: torch.Tensor, *, padding: int = 0, trainable: bool = False) -> None:
        super().__init__()
        if weight.dim() not in (1, 2, 4):
            raise ValueError(
                f"a weight of shape {tuple(weight.shape)}: give that of a Linear or a Conv2d"
            )
        self.padding = padding
        self.weight = nn.Parameter(weight, requires_grad=trainable)
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))
        self.register_buffer("gain", torch.ones((), dtype=weight.dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's outputs."""
        return self.computed(x, self.gain * self.weight * self.mask)

    def computed(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return what the layer would put out with `weight`, shaped like its own."""
        if weight.dim() == 1:
            return x.repeat_interleave(len(weight) // x.shape[-1], dim=-1) * weight
        if weight.dim() == 2:
            return nn.functional.linear(x, weight)
        return nn.functional.conv2d(x, weight, padding=self.padding)


def masked_layers(network: nn.Module) -> Iterator[tuple[str, Masked]]:
    """Yield every masked layer and its name, in the order of the network."""
    for name, module in network.named_modules():
        if isinstance(module, Masked):
            yield name, module


def masks_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of every mask, by the name of its weight, on the CPU."""
    return {
        f"{name}.weight": layer.mask.detach().cpu().clone()
        for name, layer in masked_layers(network)
    }


class Rule(Protocol):
    """How scores decide a mask."""

    def start(self, layer: Masked, index: int, seed: int) -> torch.Tensor:
        """Return the scores that layer `index` starts with."""
        ...

    def weight(self, weight: torch.Tensor, scores: torch.Tensor, training: bool) -> torch.Tensor:
        """Return the weight to compute with, with a gradient to `scores`."""
        ...

    def settle(self, layer: Masked, scores: torch.Tensor) -> Masked:
        """Return the layer under the mask that its scores have come to."""
        ...


class Scored(nn.Module):
    """A layer whose mask is being searched: only `scores`, shaped like its weight, are trained."""

    def __init__(self, layer: Masked, scores: torch.Tensor, rule: Rule) -> None:
        super().__init__()
        self.layer, self.scores, self.rule = layer, nn.Parameter(scores), rule

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's outputs under the mask of the moment."""
        weight = self.rule.weight(self.layer.weight, self.scores, self.training)
        return self.layer.computed(x, weight)


def scored(network: nn.Module, rule: Rule, seed: int) -> nn.Module:
    """Return a copy of a network with scores for every masked layer, and all else frozen.

    All edges may be kept, whatever the masks of `network` say.

    Raises
    ------
    ValueError
        When there is no masked layer.
    """
    if not any(masked_layers(network)):
        raise ValueError("no masked layers in the network: build it by random_network")
    frozen = copy.deepcopy(network).requires_grad_(False)
    indices = count()
    return replaced(
        frozen, Masked, lambda layer: Scored(layer, rule.start(layer, next(indices), seed), rule)
    )


def settled(network: nn.Module) -> nn.Module:
    """Return a copy of a scored network with the masks that its scores have come to."""
    copied = copy.deepcopy(network)
    return replaced(copied, Scored, lambda s: s.rule.settle(s.layer, s.scores.detach()))


def replaced(
    network: nn.Module, kind: type[_Layer], make: Callable[[_Layer], nn.Module]
) -> nn.Module:
    """Put other modules in the place of those of a kind, and return the network.

    Raises
    ------
    ValueError
        When the network itself is of that kind.
    """
    found = [(name, m) for name, m in network.named_modules() if isinstance(m, kind)]
    for name, module in found:
        network.set_submodule(name, make(module))
    return network
