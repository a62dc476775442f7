"""Tickets that are known to be there: a random network with a small one planted into it.

After Fischer and Burkholz, "Plant 'n' Seek: Can You Find the Winning Ticket?", ICLR 2022, arXiv
2111.11153. A network that computes a known function is hidden, unit by unit, among random weights:
each of its units takes the place of the random one that is most like it, and its size. So there is
a ticket of known edges without loss, and methods can be measured by how close they get to it.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.philox import UNIT_FACTOR, Stream, uniform
from milp_lth.rivals.masked import Masked, masked_layers
from milp_lth.rivals.planted_problems import PROBLEMS, Problem
from milp_lth.rivals.task import Task
from milp_lth.targets.data import Data

NUM_EXAMPLES = 1000
"""Of the training part, and of the held-out part."""

_WEIGHTS, _TRAIN, _TEST = 32, 33, 34  # matrices of streams that nobody else draws

Masks = Mapping[str, torch.Tensor]
"""By the name of each weight, shaped like it: True = kept."""


class Examples(NamedTuple):
    """Inputs, and what a network should make of them."""

    x: torch.Tensor
    """Shape (num_examples, inputs + 1), float32; the last of each is 1."""
    outputs: torch.Tensor
    """What the planted ticket puts out, shape (num_examples, outputs), float32."""
    classes: torch.Tensor | None
    """Shape (num_examples,), int64; None where the outputs themselves are wanted."""


class Quality(NamedTuple):
    """How well a network does on examples."""

    loss: float
    """Mean cross-entropy where there are classes, else mean squared error of all outputs."""
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class Planted:
    """A random network with a ticket in it.

    Attributes
    ----------
    problem
        What the ticket computes.
    network
        Frozen masked layers, ReLUs in between; all edges kept.
    masks
        The ticket's.
    train, test
        Examples to search with, and others to judge by.
    """

    problem: Problem
    network: nn.Sequential
    masks: dict[str, torch.Tensor]
    train: Examples
    test: Examples

    @property
    def size(self) -> int:
        """Edges of the ticket; all lie on paths from inputs to outputs."""
        return sum(int(mask.sum()) for mask in self.masks.values())

    @property
    def source_dense(self) -> int:
        """Edges of the network."""
        return sum(mask.numel() for mask in self.masks.values())

    @property
    def density(self) -> float:
        """Share of the network's edges that the ticket keeps."""
        return self.size / self.source_dense

    @cached_property
    def truth(self) -> Quality:
        """How well the ticket does on held-out examples."""
        return quality(pruned(self, self.masks), self.test)

    def task(self) -> Task:
        """Return the examples as other methods take them.

        Raises
        ------
        ValueError
            When there are no classes.
        """
        data = []
        for split, part in (("train", self.train), ("test", self.test)):
            if part.classes is None:
                raise ValueError(
                    f"{self.problem.name} has no classes: choose a method for outputs, such as "
                    "popup"
                )
            data.append(Data(self.problem.name, split, part.x, part.classes, (-1.0, 1.0)))
        return Task(self.problem.name, *data)


def plant(problem: Problem | str, *, width: int, depth: int = 2, seed: int = 0) -> Planted:
    """Draw a random network and plant the problem's ticket into it.

    Weights are uniform within ±√(6 / fan-in) (He, Zhang, Ren and Sun, ICCV 2015). A planted unit
    replaces a random one: of those that have at least one large weight, more than half that bound,
    where the ticket has edges, it is the one with the most similar direction there, and the largest
    of the planted weights is as large as the largest that they replace. The last layer, where
    scales have to come out right, is multiplied by the least power of two, 1 or more, with which no
    planted weight is larger than the bound.

    Parameters
    ----------
    problem
        The function, or a name in `milp_lth.rivals.planted_problems.PROBLEMS`.
    width
        Units of every hidden layer.
    depth
        Layers of weights, at least 2.
    seed
        Of weights and examples, from 0 to 2³² − 1.

    Raises
    ------
    ValueError
        When the name is unknown, the network too small for the ticket, or the seed out of range.

    Examples
    --------
    >>> planted = plant("relu", width=8)
    >>> planted.size, planted.source_dense, planted.truth.loss < 1e-12
    (2, 24, True)
    """
    if isinstance(problem, str):
        if problem not in PROBLEMS:
            raise ValueError(f"unknown problem {problem!r}: choose one of {', '.join(PROBLEMS)}")
        problem = PROBLEMS[problem]
    if depth < 2:
        raise ValueError(f"depth {depth}: give at least 2 layers")
    wanted = problem.layers(depth)
    needed = max(len(weights) for weights in wanted[:-1])
    if width < needed:
        raise ValueError(f"width {width}: {problem.name} needs {needed} hidden units or more")
    places, scales = np.arange(wanted[0].shape[1]), np.ones(wanted[0].shape[1])
    fan_in, steps, masks = len(places), list[nn.Module](), {}
    for k, weights in enumerate(wanted):
        last = k == depth - 1
        drawn = _drawn(len(weights) if last else width, fan_in, Stream(seed, k, _WEIGHTS))
        at, factors = places, weights / scales
        if last:
            drawn *= _power(np.abs(factors).max() / _bound(fan_in))
            places, scales = np.arange(len(weights)), np.ones(len(weights))
        else:
            places, scales = _places(drawn[:, at], factors)
        mask = np.zeros(drawn.shape, np.bool_)
        mask[np.ix_(places, at)] = weights != 0
        values = np.zeros(drawn.shape)
        values[np.ix_(places, at)] = scales[:, None] * factors
        masks[f"{2 * k}.weight"] = torch.tensor(mask)
        steps += [
            Masked(torch.tensor(np.where(mask, values, drawn), dtype=torch.float32)),
            nn.ReLU(),
        ]
        fan_in = len(drawn)
    return Planted(
        problem,
        nn.Sequential(*steps[:-1]).eval(),
        masks,
        _examples(problem, Stream(seed, 0, _TRAIN)),
        _examples(problem, Stream(seed, 0, _TEST)),
    )


def pruned(planted: Planted, masks: Masks) -> nn.Sequential:
    """Return a copy of the planted network under masks.

    Raises
    ------
    ValueError
        When they are not the masks of that network.
    """
    shapes = {name: tuple(mask.shape) for name, mask in planted.masks.items()}
    given = {name: tuple(mask.shape) for name, mask in masks.items()}
    if shapes != given or any(mask.dtype != torch.bool for mask in masks.values()):
        raise ValueError(f"masks of shapes {given}: give bool, and shapes {shapes}")
    network = copy.deepcopy(planted.network)
    for name, layer in masked_layers(network):
        layer.mask = masks[f"{name}.weight"].clone()
    return network


@torch.no_grad()
def quality(network: nn.Module, examples: Examples) -> Quality:
    """Judge a network by examples."""
    found = network(examples.x).double()
    if examples.classes is None:
        return Quality(float((found - examples.outputs).square().mean()), None)
    loss = nn.functional.cross_entropy(found, examples.classes)
    hits = (found.argmax(dim=1) == examples.classes).double().mean()
    return Quality(float(loss), float(hits))


def alive(masks: Masks) -> dict[str, torch.Tensor]:
    """Return the masks without edges that lie on no path from an input to an output.

    Without biases, what is removed contributes nothing: the function stays as it is. The masks are
    those of fully connected layers, in their order.
    """
    layers = list(masks.values())
    reached = torch.ones(layers[0].shape[1], dtype=torch.bool)
    forward = []
    for mask in layers:
        forward.append(mask & reached)
        reached = forward[-1].any(dim=1)
    leads = torch.ones(len(layers[-1]), dtype=torch.bool)
    backward = []
    for mask in reversed(forward):
        backward.append(mask & leads[:, None])
        leads = backward[-1].any(dim=0)
    return dict(zip(masks, reversed(backward), strict=True))


def how_close(planted: Planted, masks: Masks) -> dict[str, float | int | None]:
    """Compare a ticket of the planted network with the one that was planted.

    Edges on no path from an input to an output are not counted, save in ``kept``.

    Returns
    -------
    dict
        ``loss`` and ``accuracy`` on held-out examples (see `Quality`), beside ``truth_loss`` and
        ``truth_accuracy``; ``kept`` and ``alive`` edges beside ``truth_size``; ``size_ratio``,
        alive edges as a multiple of the planted ones; ``recall``, the share of the planted edges
        that are alive; ``precision``, the share of those alive that are planted, 0 where none is.
        Another ticket may be as small and as good without sharing an edge.

    Raises
    ------
    ValueError
        When they are not the masks of that network.
    """
    loss, accuracy = quality(pruned(planted, masks), planted.test)
    living = alive({name: masks[name] for name in planted.masks})  # layer by layer
    num_alive = sum(int(mask.sum()) for mask in living.values())
    shared = sum(int((living[name] & mask).sum()) for name, mask in planted.masks.items())
    return {
        "loss": loss,
        "accuracy": accuracy,
        "truth_loss": planted.truth.loss,
        "truth_accuracy": planted.truth.accuracy,
        "kept": sum(int(mask.sum()) for mask in masks.values()),
        "alive": num_alive,
        "truth_size": planted.size,
        "size_ratio": num_alive / planted.size,
        "recall": shared / planted.size,
        "precision": shared / max(num_alive, 1),
    }


def _bound(fan_in: int) -> float:
    return math.sqrt(6 / fan_in)


def _drawn(num_outputs: int, fan_in: int, stream: Stream) -> FloatArray:
    counters = np.arange(num_outputs * fan_in).reshape(num_outputs, fan_in)
    return _bound(fan_in) * uniform(stream, counters, unit=UNIT_FACTOR)


def _power(least: float) -> float:
    """Return the least power of two that is neither below `least` nor below 1."""
    return float(2.0 ** max(0, math.ceil(math.log2(least))))


def _places(drawn: FloatArray, wanted: FloatArray) -> tuple[IntArray, FloatArray]:
    """Choose a random unit, and a scale, for every planted one.

    `drawn` has all random units' weights where planted ones may have edges, `wanted` the weights of
    the planted units. The search is greedy, unit by unit; where no direction has the right signs
    they are overwritten, like all else.
    """
    free = np.ones(len(drawn), np.bool_)
    half = np.abs(drawn).max() / 2
    places, scales = [], []
    for weights in wanted:
        edges = weights != 0
        there = drawn[:, edges]
        size = np.abs(there).max(axis=1)
        alike = there @ weights[edges] / np.linalg.norm(there, axis=1).clip(1e-30)
        # nothing outweighs being free, and then being large
        alike = alike / np.linalg.norm(weights) + 10.0 * (size > half) + 100.0 * free
        places.append(int(np.argmax(np.round(alike, 9))))  # the same on every machine
        scales.append(float(size[places[-1]] / np.abs(weights).max()))
        free[places[-1]] = False
    return np.array(places), np.array(scales)


def _examples(problem: Problem, stream: Stream) -> Examples:
    num_inputs = problem.num_inputs
    counters = np.arange(2 * NUM_EXAMPLES * num_inputs).reshape(-1, num_inputs)
    drawn = uniform(stream, counters, unit=UNIT_FACTOR)
    clear: BoolArray = problem.clear(drawn)
    points = drawn[clear][:NUM_EXAMPLES]
    if len(points) < NUM_EXAMPLES:
        raise ValueError(f"{problem.name}: half of all points are near a boundary: add knots")
    inputs = np.concatenate([points, np.ones((NUM_EXAMPLES, 1))], axis=1)
    classes = problem.classes(points)
    return Examples(
        torch.tensor(inputs, dtype=torch.float32),
        torch.tensor(problem.outputs(points), dtype=torch.float32),
        None if classes is None else torch.tensor(classes),
    )
