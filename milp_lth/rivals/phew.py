"""PHEW: edges are kept along random walks that prefer large weights; data are not needed.

Patil and Dovrolis, "PHEW: Constructing Sparse Networks that Learn Fast and Generalize Well without
any Training Data", ICML 2021, arXiv 2010.11354. Before any training, walks go through the random
network until enough edges were walked on; these are kept, and their weights trained.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import torch
from torch import nn

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.philox import Stream, uniform
from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.edge_popup import checked_density
from milp_lth.rivals.floor import DENSE_SCHEDULE
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch, train

_WALKS = 20  # matrix of streams that nothing else draws
_GRID = 2.0**-32  # of random numbers: row + number is exact, and never the next row
_ATTEMPTS = 10
_ATTEMPT = 2**40  # draws of one attempt, at most
_REDRAWS = 100  # of walks with too many new edges, in an attempt
_PER_EDGE = 10  # walks: at more, those that are left would hardly ever be walked on
_AT_ONCE = 2**16  # walks


def phew(
    task: Task,
    shape: Shape,
    *,
    density: float,
    seed: int,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Keep the edges of random walks, see `walk_masks`, and train their weights.

    Parameters
    ----------
    task, shape, scale, device, on_epoch, checkpoints
        As for `milp_lth.rivals.floor.dense`.
    density
        Share of all edges to keep: round(density · edges).
    seed
        Of the walks, too.

    Returns
    -------
    Found
        The network under its mask, the kept weights trained.

    Raises
    ------
    ValueError
        When the density or the scale is out of range.
    """
    network = random_network(shape, seed, trainable=True)
    masks = walk_masks(network, density, seed)
    for name, layer in masked_layers(network):
        layer.mask = masks[f"{name}.weight"]
    trained = train(
        network,
        task,
        DENSE_SCHEDULE,
        seed=seed,
        scale=scale,
        device=device,
        on_epoch=on_epoch,
        checkpoint=checkpoint_in(checkpoints, "kept"),
    )
    return trained.found(network, "weights")


def walk_masks(network: nn.Module, density: float, seed: int) -> dict[str, torch.Tensor]:
    """Keep the edges that random walks take.

    A walk takes an edge with a probability that is proportional to its ``|weight|`` among all those
    that leave the same unit, in the direction of the walk. Every other walk goes forward from an
    input, the rest backward from an output; the start is each unit in its turn. The units of a
    convolution are its channels. A walk takes one weight of a kernel, and where channels are
    flattened any of their positions.

    The paper stops as soon as there are enough edges. Here there are exactly as many as asked for:
    a walk with too many new ones is drawn again. Where that fails again and again, or so many edges
    are asked for that walks hardly find the last ones, those are kept next that a walk would most
    likely take between two units that walks have met.

    Parameters
    ----------
    network
        A row of masked layers, see `milp_lth.rivals.random_network.random_network`. What is between
        them is taken to have the same units; the masks that it has do not matter.
    density
        Share of the edges of all masked layers to keep, in (0, 1]: round(density · edges).
    seed
        From 0 to 2³² − 1.

    Returns
    -------
    dict[str, torch.Tensor]
        As `milp_lth.rivals.masked.masks_of`. Every kept edge lies on a path of kept ones from an
        input to an output.

    Raises
    ------
    ValueError
        When the density is out of range or too small for one path, layers are not in a row, or no
        masks were found.

    Examples
    --------
    >>> masks = walk_masks(random_network(Shape("fc2", 64, 10, 32), seed=0), 0.1, seed=0)
    >>> sum(int(mask.sum()) for mask in masks.values()), edges_off_paths(masks)
    (237, 0)
    """
    checked_density(density)
    weights = {f"{name}.weight": layer.weight.detach() for name, layer in masked_layers(network)}
    layers = _layers(weights)
    num_edges = layers[-1].edges.stop
    num_kept = round(density * num_edges)
    if num_kept < len(layers):
        raise ValueError(
            f"density {density}: {num_kept} of {num_edges} edges, and a path has {len(layers)}; "
            f"give {len(layers) / num_edges:.2g} or more"
        )
    for attempt in range(_ATTEMPTS):
        kept = _walk(layers, num_kept, seed, attempt)
        if _fill(layers, kept, num_kept):
            return {
                name: torch.from_numpy(kept[layer.edges]).view(weight.shape).clone()
                for layer, (name, weight) in zip(layers, weights.items(), strict=True)
            }
    raise ValueError(
        f"density {density}: no {num_kept} edges were found that all lie on paths; "
        "give another density or seed"
    )


def edges_off_paths(masks: Mapping[str, torch.Tensor]) -> int:
    """Count the kept edges that lie on no path of kept edges from an input to an output.

    Parameters
    ----------
    masks
        Of layers in a row, from the inputs on, as `milp_lth.rivals.masked.masks_of` gives them. The
        units of a convolution are its channels, also where they are flattened.

    Raises
    ------
    ValueError
        When the layers are not in a row.
    """
    graph = nx.DiGraph()
    first, last = "inputs", "outputs"
    graph.add_nodes_from((first, last))
    edges: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for k, (mask, size) in enumerate(zip(masks.values(), _positions(masks), strict=True)):
        for output, feature, *_ in mask.nonzero().tolist():
            edges.append(((k, feature // size), (k + 1, output)))
    graph.add_edges_from(edges)
    num_layers = len(masks)
    graph.add_edges_from((first, node) for node in list(graph) if node[0] == 0)
    graph.add_edges_from((node, last) for node in list(graph) if node[0] == num_layers)
    alive = nx.descendants(graph, first) & nx.ancestors(graph, last)
    return sum(one not in alive or other not in alive for one, other in edges)


class _Choice:
    """One of the columns of a row is drawn, with a probability proportional to its size."""

    def __init__(self, sizes: FloatArray) -> None:
        nothing = ~sizes.any(axis=1, keepdims=True)
        sums = np.cumsum(np.where(nothing, 1.0, sizes), axis=1)
        ends = sums / sums[:, -1:]
        self.probabilities: FloatArray = np.diff(ends, axis=1, prepend=0)
        self._ends = (ends + np.arange(len(ends))[:, None]).ravel()

    def __call__(self, rows: IntArray, drawn: FloatArray) -> IntArray:
        """Return the columns of rows, by numbers drawn from [0, 1)."""
        ends = np.searchsorted(self._ends, rows + drawn, side="right")
        columns: IntArray = ends - rows * self.probabilities.shape[1]
        return columns


class _Layer:
    """What walks do in a layer.

    Parameters
    ----------
    weight
        Of shape (outputs, inputs, ...).
    positions
        Inputs for each unit of the layer before: more than one where channels were flattened.
    first
        Number of its first edge among those of all layers.
    """

    def __init__(self, weight: torch.Tensor, positions: int, first: int) -> None:
        sizes = weight.abs().cpu().double().numpy().reshape(*weight.shape[:2], -1)
        self.shape, self.positions = sizes.shape, positions
        self.edges = slice(first, first + sizes.size)
        outputs, inputs, _ = self.shape
        self.forward = _Choice(sizes.transpose(1, 0, 2).reshape(inputs, -1))
        self.backward = _Choice(sizes.reshape(outputs, -1))

    def step(self, units: IntArray, stream: Stream, draws: IntArray) -> tuple[IntArray, IntArray]:
        """Return the edges that walks take forward from units, and where they lead."""
        _, inputs, kernel = self.shape
        features = units * self.positions
        if self.positions > 1:
            position = _drawn(stream._replace(layer=stream.layer + 1), draws) * self.positions
            features += position.astype(np.int64)
        outputs, weights = np.divmod(self.forward(features, _drawn(stream, draws)), kernel)
        return self.edges.start + (outputs * inputs + features) * kernel + weights, outputs

    def back(self, units: IntArray, stream: Stream, draws: IntArray) -> tuple[IntArray, IntArray]:
        """Return the edges that walks take backward from units, and where they lead."""
        _, inputs, kernel = self.shape
        chosen = self.backward(units, _drawn(stream, draws))
        edges = self.edges.start + units * inputs * kernel + chosen
        return edges, chosen // kernel // self.positions

    def likelihood(self) -> FloatArray:
        """Return the probabilities of every edge, forward and backward, added up."""
        outputs, inputs, kernel = self.shape
        forward = self.forward.probabilities.reshape(inputs, outputs, kernel) / self.positions
        backward = self.backward.probabilities.reshape(self.shape)
        both: FloatArray = forward.transpose(1, 0, 2) + backward
        return both


def _layers(weights: Mapping[str, torch.Tensor]) -> list[_Layer]:
    found: list[_Layer] = []
    for weight, positions in zip(weights.values(), _positions(weights), strict=True):
        found.append(_Layer(weight, positions, found[-1].edges.stop if found else 0))
    return found


def _positions(tensors: Mapping[str, torch.Tensor]) -> list[int]:
    """Return for every layer how many inputs it has for each output of the one before."""
    shapes = [tuple(tensor.shape) for tensor in tensors.values()]
    if not shapes:
        raise ValueError("no masked layers in the network: build it by random_network")
    found = [1]
    for shape in shapes:
        if len(shape) < 2:
            raise ValueError(
                f"a weight of shape {shape}, of units with one input each: "
                "give a network of the structure plain or wide"
            )
    for (outputs, *_), (_, inputs, *kernel) in pairwise(shapes):
        if inputs % outputs or (kernel and inputs != outputs):
            raise ValueError(f"{inputs} inputs after {outputs} outputs: give layers in a row")
        found.append(inputs // outputs)
    return found


def _drawn(stream: Stream, draws: IntArray) -> FloatArray:
    """Draw numbers of [0, 1)."""
    return (uniform(stream, draws, unit=2 * _GRID) + 1) / 2


def _walk(layers: list[_Layer], num_kept: int, seed: int, attempt: int) -> BoolArray:
    """Return which edges walks take: `num_kept`, or less if they do not come to just as many."""
    kept = np.zeros(layers[-1].edges.stop, dtype=np.bool_)
    walk = redraws = 0
    missing, at_once = num_kept, 1
    while missing and redraws < _REDRAWS and walk < _PER_EDGE * len(kept):
        walks = np.arange(walk, walk + at_once)
        taken = _edges_of(layers, walks, Stream(seed, 0, _WALKS), attempt * _ATTEMPT + redraws)
        new = np.zeros(taken.size, dtype=np.bool_)
        new[np.unique(taken, return_index=True)[1]] = True
        new &= ~kept[taken.ravel()]
        total = np.cumsum(new.reshape(taken.shape).sum(axis=1))
        fitting = int(np.searchsorted(total, missing, side="right"))
        kept[taken[:fitting]] = True
        missing -= int(total[fitting - 1]) if fitting else 0
        walk += fitting
        redraws += fitting < at_once
        at_once = 1 if fitting < at_once else min(2 * at_once, _AT_ONCE)
    return kept


def _edges_of(layers: list[_Layer], walks: IntArray, stream: Stream, later: int) -> IntArray:
    """Return the edges of walks, of shape (walks, layers); each draws by its number + `later`."""
    taken = np.empty((len(walks), len(layers)), dtype=np.int64)
    for ahead in (True, False):
        chosen = np.flatnonzero((walks % 2 == 0) == ahead)
        num_units = layers[0].shape[1] if ahead else layers[-1].shape[0]
        units = walks[chosen] // 2 % num_units
        for k in range(len(layers)) if ahead else reversed(range(len(layers))):
            step = layers[k].step if ahead else layers[k].back
            edges, units = step(units, stream._replace(layer=2 * k), walks[chosen] + later)
            taken[chosen, k] = edges
    return taken


def _fill(layers: list[_Layer], kept: BoolArray, num_kept: int) -> bool:
    """Keep the likeliest edges between units on paths; return whether there are enough of them."""
    likelihood = np.full(len(kept), -1.0)
    met: BoolArray = np.ones(layers[0].shape[1], dtype=np.bool_)
    for layer in layers:
        led_to: BoolArray = np.any(kept[layer.edges].reshape(layer.shape), axis=(1, 2))
        reaching = led_to if layer is not layers[-1] else np.ones_like(led_to)
        between = np.outer(reaching, met.repeat(layer.positions))[:, :, None]
        likelihood[layer.edges] = np.where(between, layer.likelihood(), -1.0).ravel()
        met = led_to
    likelihood[kept] = -1.0
    best = np.argsort(-likelihood, kind="stable")[: num_kept - int(kept.sum())]
    kept[best] = True
    return bool((likelihood[best] >= 0).all())
