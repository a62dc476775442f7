"""A small transformer whose heads and neurons can be gated, and taken out so that it gets smaller.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017, arXiv 1706.03762, with normalisation in
front of each part (Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML
2020, arXiv 2002.04745). The gates are those of Chen et al., "EarlyBERT", ACL 2021, arXiv
2101.00063. An input is a sequence of tokens, such as the rows of an image. Matrices have no biases.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from instances.philox import Stream, normal
from milp_lth.rivals.task import Task

_WEIGHTS = 22  # matrix of streams that nothing else draws


@dataclass(frozen=True)
class TransformerShape:
    """The architecture of a transformer.

    Parameters
    ----------
    num_tokens, token_features
        What an input is cut into: num_tokens · token_features numbers.
    num_classes
        Numbers of an output.
    num_blocks
        Of attention and neurons.
    num_heads, num_neurons
        Of every block.
    width
        Numbers that stand for a token between blocks; every head computes with width / num_heads.

    Raises
    ------
    ValueError
        When a number is not positive, or the width is not a multiple of the heads.
    """

    num_tokens: int
    token_features: int
    num_classes: int
    num_blocks: int = 2
    num_heads: int = 6
    num_neurons: int = 96
    width: int = 48

    def __post_init__(self) -> None:
        for name, number in vars(self).items():
            if number < 1:
                raise ValueError(f"{name} {number}: give 1 or more")
        if self.width % self.num_heads:
            raise ValueError(
                f"width {self.width} and {self.num_heads} heads: give a multiple of the heads"
            )

    @property
    def head_width(self) -> int:
        """Numbers that a head computes with, for every token."""
        return self.width // self.num_heads


def rows_shape(task: Task) -> TransformerShape:
    """Return the shape for square images whose tokens are their rows.

    Raises
    ------
    ValueError
        When an input is no square image.
    """
    side = math.isqrt(task.num_features)
    if side**2 != task.num_features:
        raise ValueError(
            f"inputs of {task.num_features} numbers are no square images: "
            "state tokens by a TransformerShape"
        )
    return TransformerShape(side, side, task.num_classes)


class _Draw:
    """Draws the matrices of a network one after another, the same on every machine."""

    def __init__(self, seed: int) -> None:
        self._streams = (Stream(seed, layer, _WEIGHTS) for layer in count())

    def __call__(self, shape: tuple[int, ...], fan_in: float) -> nn.Parameter:
        """Draw normal numbers of variance 1 / fan_in."""
        counters = np.arange(math.prod(shape)).reshape(shape)
        drawn = normal(next(self._streams), counters) / math.sqrt(fan_in)
        return nn.Parameter(torch.tensor(drawn, dtype=torch.float32))


class Attention(nn.Module):
    """Attention of several heads; each has matrices of its own, and a gate on its probabilities.

    Attributes
    ----------
    query, key, value
        Shape (heads, head width, width).
    output
        Shape (heads, width, head width).
    gate
        Shape (heads,), 1 at first and not trained.
    """

    def __init__(self, shape: TransformerShape, draw: _Draw) -> None:
        super().__init__()
        inwards = shape.num_heads, shape.head_width, shape.width
        outwards = shape.num_heads, shape.width, shape.head_width
        self.query, self.key, self.value = (draw(inwards, shape.width) for _ in range(3))
        self.output = draw(outwards, shape.width)
        self.gate = nn.Parameter(torch.ones(shape.num_heads), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return for x, shape (inputs, tokens, width), what is to be added to it."""
        query, key, value = (
            torch.einsum("btd,hkd->bhtk", x, matrix)
            for matrix in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.query.shape[1])
        probabilities = scores.softmax(dim=-1) * self.gate[:, None, None]
        return torch.einsum("bhtk,hdk->btd", probabilities @ value, self.output)

    def keep(self, heads: torch.Tensor) -> None:
        """Take out the heads that are not in the mask, shape (heads,)."""
        for parameter in self.parameters():
            parameter.data = parameter.data[heads].clone()


class FeedForward(nn.Module):
    """One hidden layer of ReLU neurons, each with a gate on what it puts out.

    Attributes
    ----------
    inner
        Shape (neurons, width).
    outer
        Shape (width, neurons).
    gate
        Shape (neurons,), 1 at first and not trained.
    """

    def __init__(self, shape: TransformerShape, draw: _Draw) -> None:
        super().__init__()
        self.inner = draw((shape.num_neurons, shape.width), shape.width / 2)
        self.outer = draw((shape.width, shape.num_neurons), shape.num_neurons)
        self.gate = nn.Parameter(torch.ones(shape.num_neurons), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return for x, shape (inputs, tokens, width), what is to be added to it."""
        return (x @ self.inner.T).relu() * self.gate @ self.outer.T

    def keep(self, neurons: torch.Tensor) -> None:
        """Take out the neurons that are not in the mask, shape (neurons,)."""
        self.inner.data = self.inner.data[neurons].clone()
        self.outer.data = self.outer.data[:, neurons].clone()
        self.gate.data = self.gate.data[neurons].clone()


class Block(nn.Module):
    """Attention, then neurons; each adds to its input."""

    def __init__(self, shape: TransformerShape, draw: _Draw) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(shape.width)
        self.attention = Attention(shape, draw)
        self.before_neurons = nn.LayerNorm(shape.width)
        self.neurons = FeedForward(shape, draw)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return for x, shape (inputs, tokens, width), what the next block takes."""
        x = x + self.attention(self.before_attention(x))
        y: torch.Tensor = x + self.neurons(self.before_neurons(x))
        return y


class Units(NamedTuple):
    """Something for every head and every neuron of each block: gates, or masks."""

    heads: tuple[torch.Tensor, ...]
    """Each of shape (heads,)."""
    neurons: tuple[torch.Tensor, ...]
    """Each of shape (neurons,)."""


class Transformer(nn.Module):
    """Classifies sequences: blocks, then the mean over all tokens, then one matrix.

    Parameters
    ----------
    shape
        The architecture.
    seed
        Of all matrices: normal, of mean 0 and variance 1 / inputs, or 2 / inputs in front of a
        ReLU; and of what stands for places, of standard deviation 0.02.

    Examples
    --------
    >>> Transformer(TransformerShape(8, 8, 10), seed=0)(torch.ones(5, 64)).shape
    torch.Size([5, 10])
    """

    def __init__(self, shape: TransformerShape, seed: int) -> None:
        super().__init__()
        draw = _Draw(seed)
        self.shape = shape
        self.embedding = draw((shape.width, shape.token_features), shape.token_features)
        self.places = draw((shape.num_tokens, shape.width), 2500)
        self.blocks = nn.ModuleList(Block(shape, draw) for _ in range(shape.num_blocks))
        self.before_output = nn.LayerNorm(shape.width)
        self.output = draw((shape.num_classes, shape.width), shape.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (inputs, classes), of x, shape (inputs, tokens · features)."""
        tokens = x.reshape(-1, self.shape.num_tokens, self.shape.token_features)
        tokens = tokens @ self.embedding.T + self.places
        for block in self.blocks:
            tokens = block(tokens)
        y: torch.Tensor = self.before_output(tokens).mean(dim=1) @ self.output.T
        return y

    def parts(self) -> list[tuple[Attention, FeedForward]]:
        """Return the attention and the neurons of every block."""
        return [(block.attention, block.neurons) for block in self.blocks]  # type: ignore[misc]

    def gates(self) -> Units:
        """Return the gates: parameters, not copies."""
        heads, neurons = zip(*((a.gate, n.gate) for a, n in self.parts()), strict=True)
        return Units(heads, neurons)


def shrunk(
    network: Transformer, heads: Sequence[torch.Tensor], neurons: Sequence[torch.Tensor]
) -> Transformer:
    """Return a smaller copy without the heads and neurons that are pruned.

    Its matrices have fewer rows and columns; those left keep their numbers, and their gates. It
    computes what the network does when the gates of all that was taken out are 0.

    Parameters
    ----------
    network
        Stays as it is.
    heads, neurons
        For every block the mask of its heads, shape (heads,), and of its neurons, shape (neurons,):
        True = kept.

    Raises
    ------
    ValueError
        When the masks do not fit.
    """
    check_masks(network, heads, neurons)
    smaller = copy.deepcopy(network)
    for (attention, forward), some, others in zip(smaller.parts(), heads, neurons, strict=True):
        attention.keep(some)
        forward.keep(others)
    return smaller


def masks_by_name(
    network: Transformer, heads: Sequence[torch.Tensor], neurons: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the masks of all matrices, by name and shaped like them: True = kept.

    Parameters
    ----------
    network, heads, neurons
        As for `shrunk`.

    Raises
    ------
    ValueError
        When the masks do not fit.
    """
    check_masks(network, heads, neurons)
    masks = {"embedding": torch.ones_like(network.embedding, dtype=torch.bool)}
    for k, ((attention, forward), some, others) in enumerate(
        zip(network.parts(), heads, neurons, strict=True)
    ):
        for name in ("query", "key", "value", "output"):
            shape = getattr(attention, name).shape
            masks[f"blocks.{k}.attention.{name}"] = some[:, None, None].expand(shape).clone()
        masks[f"blocks.{k}.neurons.inner"] = others[:, None].expand(forward.inner.shape).clone()
        masks[f"blocks.{k}.neurons.outer"] = others.expand(forward.outer.shape).clone()
    return masks | {"output": torch.ones_like(network.output, dtype=torch.bool)}


def flops(network: Transformer) -> int:
    """Return the floating-point operations of all matrix products for one input.

    A multiplication and an addition are two; normalisation, softmax, ReLU, gates and means are left
    out.
    """
    shape = network.shape
    total = fixed_flops(shape)
    for attention, forward in network.parts():
        total += len(attention.gate) * head_flops(shape) + len(forward.gate) * neuron_flops(shape)
    return total


def fixed_flops(shape: TransformerShape) -> int:
    """Return what the embedding and the output matrix are of the `flops` of a transformer."""
    return 2 * shape.width * (shape.num_tokens * shape.token_features + shape.num_classes)


def head_flops(shape: TransformerShape) -> int:
    """Return what one head of a transformer adds to its `flops`."""
    projections = 4 * shape.num_tokens * shape.width * shape.head_width
    return 2 * (projections + 2 * shape.num_tokens**2 * shape.head_width)


def neuron_flops(shape: TransformerShape) -> int:
    """Return what one neuron of a transformer adds to its `flops`."""
    return 4 * shape.num_tokens * shape.width


def check_masks(
    network: Transformer, heads: Sequence[torch.Tensor], neurons: Sequence[torch.Tensor]
) -> None:
    """Check masks of heads and neurons.

    Raises
    ------
    ValueError
        When they are not bool, or not shaped like the gates.
    """
    gates = network.gates()
    for name, masks, wanted in zip(gates._fields, (heads, neurons), gates, strict=True):
        shapes = [mask.shape for mask in masks if mask.dtype == torch.bool]
        if shapes != [gate.shape for gate in wanted]:
            raise ValueError(
                f"masks of {name}: give a bool one for each block, of {[len(g) for g in wanted]}"
            )
