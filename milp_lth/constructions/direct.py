"""The direct construction: between every input and output as many random edges as candidates.

There is no hidden layer and no product: what a target weight may sum are raw draws, uniform
between the smallest and the largest weight of the network. This is the setting of the experiment in
Pensia et al. 2020 (NeurIPS, arXiv 2006.07990), section 4; the sums are those of Lueker 1998.
Layers that do not stand in a row, embeddings and convolutions for instance, have weights of
different sizes: there each layer's edges lie between ± its own largest weight.

A sum of raw draws needs more bits than float32 has, so the layer computes in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from instances.arrays import BoolArray, FloatArray
from instances.philox import Stream
from instances.recipe import Recipe
from milp_lth.constructions.layout import (
    DrawnLayer,
    Half,
    Layout,
    PrunedLayer,
    augmented,
    extremes,
)
from milp_lth.constructions.theorem import Theorem
from milp_lth.network import Network
from milp_lth.networks.forms import Lookup
from milp_lth.source import FIRST, Source

THEOREM = Theorem(
    paper="Lueker 1998; the experiment of Pensia et al. 2020",
    assumes="the draws' distribution contains a uniform one around the weights",
    width="C log(dl/ε) edges for every weight",
    depth="l",
    promises="every weight within ε; no hidden units, and parallel edges",
)


@dataclass(frozen=True, eq=False)
class ParallelEdges(DrawnLayer):
    """`width` edges from every input to every output, or one vector of them for each output."""

    low: float
    high: float
    """What the edges are drawn between."""
    shared: bool
    """Whether the weights of one output share their candidates."""

    @property
    def has_halves(self) -> bool:
        """False: an edge serves inputs of both signs."""
        return False

    @property
    def depth(self) -> int:
        """One."""
        return 1

    @property
    def mask_shape(self) -> tuple[int, int]:
        """Shape of the mask: outputs, and edges to each, by input."""
        return self.num_outputs, self.num_inputs * self.width

    def edges(self, first: int = 0, stop: int | None = None) -> FloatArray:
        """Return the edges to the outputs from `first` to before `stop`.

        Returns
        -------
        FloatArray
            Shape (outputs, inputs, width), with one input where the vectors are shared. Multiples
            of 2⁻⁴⁶ times a power of two: sums of them are exact.
        """
        stop = self.num_outputs if stop is None else stop
        inputs = 1 if self.shared else self.num_inputs
        edges = self.recipe().beginning(first * inputs).draw((stop - first) * inputs)
        return edges.reshape(stop - first, inputs, self.width)

    @classmethod
    def _checked(cls, arrays: Any, numbers: dict[str, Any]) -> dict[str, Any]:
        if not numbers["low"] <= numbers["high"]:
            raise ValueError("its edges are drawn between nothing")
        return super()._checked(arrays, numbers)

    def recipe(self) -> Recipe:
        """Return how the vectors of edges are drawn, one after the other."""
        stream = Stream(self.source.seed, self.index, FIRST)
        columns = np.arange(self.width)[None]
        return Recipe(stream, self.width, columns, between=(self.low, self.high))

    def num_edges(self) -> tuple[int, int]:
        """Count all edges; none is left out beforehand."""
        drawn = self.num_outputs * self.num_inputs * self.width
        return drawn, drawn

    def weight_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """Return float64: a sum of raw draws needs it."""
        return torch.float64

    def pruned(
        self, mask: BoolArray, dtype: torch.dtype, *, first: int = 0, weights: bool = True
    ) -> "PrunedEdges":
        """Return the layer under `mask`, in float64 whatever `dtype` is."""
        edges = self.edges(first, first + len(mask)) if weights else None
        return PrunedEdges(self, mask, edges, dtype)


class PrunedEdges(PrunedLayer):
    """Parallel edges under their mask, `v` (num_outputs, num_inputs or 1, width).

    Parameters
    ----------
    drawn
        What the edges are drawn from.
    mask
        Shape (num_outputs, num_inputs * width), bool: the kept edges.
    edges
        What was drawn for these outputs; None: nothing, there are masks alone.
    dtype
        What an embedding, whose inputs are indices, returns.
    """

    def __init__(
        self,
        drawn: ParallelEdges,
        mask: BoolArray,
        edges: FloatArray | None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(drawn)
        self.dtype = dtype
        self.num_hidden = max(drawn.num_inputs, drawn.num_outputs)
        v = torch.empty(0) if edges is None else torch.from_numpy(edges)
        self.v = nn.Parameter(v, requires_grad=False)
        shape = len(mask), drawn.num_inputs, drawn.width
        self.register_buffer("v_mask", torch.tensor(mask).reshape(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to outputs, as the target's layer does, in their dtype."""
        weight = (self.v * self.v_mask).sum(dim=-1)
        if isinstance(self.form, Lookup):
            return self.form.apply(x, weight).to(self.dtype)
        prepared = self.form.prepare(x.to(weight.dtype), self.has_bias)
        return self.form.apply(prepared, weight).to(x.dtype)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        self.dtype = fn(torch.empty(0, dtype=self.dtype)).dtype
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def half_weights(self, sign: int) -> torch.Tensor:
        """Return what the edges sum to, for either sign: (num_outputs, num_inputs), float64."""
        return (self.v.double() * self.v_mask).sum(dim=-1)

    def kept(self) -> tuple[torch.Tensor, int]:
        """Return no units, and how many edges are kept."""
        return self.v_mask.new_zeros(0), int(self.v_mask.sum())

    def connected(self) -> torch.Tensor:
        """Return which inputs reach which outputs, shape (num_outputs, num_inputs)."""
        return self.v_mask.any(dim=-1)

    def alive(self, inputs: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Return no units, and how many edges from one of `inputs` to one of `outputs` are kept."""
        edges = self.v_mask & inputs[:, None] & outputs[:, None, None]
        return self.v_mask.new_zeros(0), int(edges.sum())


@dataclass(frozen=True, eq=False)
class Direct(Layout):
    """One target layer and the edges of each of its weights."""

    drawn: ParallelEdges

    def halves(self) -> tuple[Half, ...]:
        """Return one half: an edge serves inputs of both signs."""
        drawn = self.drawn
        places = np.arange(drawn.num_inputs * drawn.width)
        return (Half(0, places.reshape(drawn.num_inputs, drawn.width)),)

    def recipe(self, half: Half) -> Recipe:
        """Return how the edges of every weight are drawn."""
        weights = self.drawn.num_inputs if self.drawn.shared else 1
        return replace(self.drawn.recipe(), rows_in_group=weights)

    def scatter(
        self, half: Half, mask: BoolArray, layer_mask: BoolArray, first_output: int = 0
    ) -> None:
        """Write the answer to all rows, shape (rows, width), into the mask."""
        layer_mask[:] = mask.reshape(layer_mask.shape)


def direct(
    source: Source,
    index: int,
    network: Network,
    *,
    width: int,
    nonnegative: bool,
    shared: bool = False,
) -> Direct:
    """Draw the edges for one target layer.

    Raises
    ------
    ValueError
        When the weights are so small or large that their sums could not be exact.
    """
    layers = network.layers if network.steps else network.layers[index : index + 1]
    lows, highs = zip(*map(extremes, layers), strict=True)
    low, high = min(lows), max(highs)
    largest = max(abs(low), abs(high))
    if not network.steps:
        low, high = -largest, largest
    if largest > 2.0**900 or 0 < largest < 2.0**-900:
        raise ValueError(f"weights of about {largest:.3g} cannot be summed exactly: rescale them")
    weight = augmented(network.layers[index])
    drawn = ParallelEdges(
        source=source,
        index=index,
        num_inputs=weight.shape[1],
        num_outputs=len(weight),
        width=width,
        has_bias=network.layers[index].bias is not None,
        form=network.layers[index].form,
        nonnegative=nonnegative,
        low=low,
        high=high,
        shared=shared,
    )
    return Direct(drawn, network.layers[index].name, weight)
