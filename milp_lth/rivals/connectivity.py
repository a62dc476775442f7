"""Linear mode connectivity: how far the error rises on the straight line between two networks.

Frankle, Dziugaite, Roy and Carbin, "Linear Mode Connectivity and the Lottery Ticket Hypothesis",
ICML 2020, arXiv 1912.05671. A network is stable at an epoch if two copies that go on from there
with different orders of examples end with no barrier between them; the paper takes one of less than
two percentage points for none.
"""

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from instances.arrays import FloatArray
from milp_lth.finding import find_ticket
from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.floor import DENSE_SCHEDULE
from milp_lth.rivals.masked import masked_layers, masks_of
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.rewinding import later, rewound_epoch
from milp_lth.rivals.task import Task
from milp_lth.rivals.tickets import as_target
from milp_lth.rivals.training import OnEpoch, accuracy, train
from milp_lth.targets.data import Data

NUM_POINTS = 30
"""Of a line, evenly spaced and with both ends, as in the paper."""


class Barrier(NamedTuple):
    """The line between two networks.

    Attributes
    ----------
    alphas
        How much of the one network a point has, the rest is of the other. Shape (num_points,).
    errors
        Share of inputs in a wrong class, at each point. Shape (num_points,).
    barrier
        How far the highest error is above the mean of those of both networks; never below 0.
    """

    alphas: FloatArray
    errors: FloatArray
    barrier: float


class Instability(NamedTuple):
    """The barrier between two networks that differ by the order of examples alone.

    Attributes
    ----------
    training, held_out
        On the data that they were trained on, and on the others.
    """

    training: Barrier
    held_out: Barrier


class TicketBarriers(NamedTuple):
    """The barriers between two tickets, and between the target and the first of them.

    Attributes
    ----------
    tickets, target
        Of ticket and ticket, and of target and ticket.
    """

    tickets: Barrier
    target: Barrier


def error_barrier(
    one: nn.Module,
    other: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    num_points: int = NUM_POINTS,
) -> Barrier:
    """Measure the error on the line between two networks.

    Parameters
    ----------
    one, other
        Of the same structure. What is interpolated is every number of their state; of masked
        layers, gain · weight · mask.
    x, y
        Inputs and their classes.
    num_points
        Of the line, evenly spaced, with both ends.

    Returns
    -------
    Barrier
        Its errors are at ``alpha * one + (1 - alpha) * other``.

    Raises
    ------
    ValueError
        When the networks have different parameters, or there are less than two points.

    Examples
    --------
    >>> network = random_network(Shape("fc2", 64, 10, num_hidden=8), seed=0)
    >>> error_barrier(network, network, torch.ones(3, 64), torch.tensor([0, 1, 2])).barrier
    0.0
    """
    if num_points < 2:
        raise ValueError(f"num_points {num_points}: give 2 or more, the ends are two of them")
    between = _unmasked(one)
    states = between.state_dict(), _unmasked(other).state_dict()
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in states]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "the networks have different parameters: give two of one structure, "
            'a ticket as fold(to="target")'
        )
    ends = {name: (value.clone(), states[1][name]) for name, value in states[0].items()}
    alphas = np.linspace(0, 1, num_points)
    errors = np.empty(num_points)
    for k, alpha in enumerate(alphas.tolist()):
        between.load_state_dict(
            {
                name: alpha * a + (1 - alpha) * b if a.is_floating_point() else a
                for name, (a, b) in ends.items()
            }
        )
        errors[k] = 1 - accuracy(between, x, y)
    return Barrier(alphas, errors, float(errors.max() - (errors[0] + errors[-1]) / 2))


def instability(
    task: Task,
    shape: Shape,
    *,
    seed: int,
    order_seeds: tuple[int, int] = (0, 1),
    rewind: float = 0.0,
    masks: Mapping[str, torch.Tensor] | None = None,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Instability:
    """Train two copies of a network in different orders, and measure the barrier between them.

    Parameters
    ----------
    task, shape, scale, device, on_epoch
        As for `milp_lth.rivals.floor.dense`.
    seed
        Of the first weights, and of the order of examples until the copies part.
    order_seeds
        Of the order from then on, for each copy.
    rewind
        Share of the epochs after which the copies part, see `milp_lth.rivals.rewinding.imp`.
    masks
        By the name of each weight, as `Found.masks`: what the copies keep; None: everything. Until
        they part everything is kept.
    checkpoints
        A folder for the state of these three trainings alone: what was interrupted goes on.

    Returns
    -------
    Instability
        Both barriers; accuracies of the copies are those of their ends.

    Raises
    ------
    ValueError
        When the rewinding or the scale is out of range, or the masks are not those of the network.
    """
    first, last = rewound_epoch(rewind, scale), DENSE_SCHEDULE.scaled(scale)
    total = 2 * last - first
    part = partial(train, task=task, schedule=DENSE_SCHEDULE, scale=scale, device=device)
    network = random_network(shape, seed, trainable=True)
    part(
        network,
        seed=seed,
        epochs=range(first),
        on_epoch=later(on_epoch, 0, total),
        checkpoint=checkpoint_in(checkpoints, "rewound"),
    )
    if masks is not None:
        _mask(network, masks)
    one, other = copy.deepcopy(network), copy.deepcopy(network)
    for k, (copied, order_seed) in enumerate(zip((one, other), order_seeds, strict=True)):
        part(
            copied,
            seed=order_seed,
            epochs=range(first, last),
            on_epoch=later(on_epoch, first + k * (last - first), total),
            checkpoint=checkpoint_in(checkpoints, f"order-{order_seed}"),
        )
    return Instability(_barrier(one, other, task.train), _barrier(one, other, task.test))


def ticket_barriers(
    target: nn.Module, data: Data, *, seeds: tuple[int, int] = (0, 1)
) -> TicketBarriers:
    """Approximate a target by two tickets of different sources, and measure the barriers.

    Both are close to the target's weights, so that no barrier is expected.

    Parameters
    ----------
    target
        A row of masked matrices and ReLUs, or anything that `milp_lth.find_ticket` takes and whose
        layers it leaves as they are called.
    data
        With classes.
    seeds
        Of the random networks.

    Returns
    -------
    TicketBarriers
        On all of the data, of tickets that were folded to the target's shape.

    Raises
    ------
    ValueError
        When the target is nothing that a ticket is found for.
    """
    if any(masked_layers(target)):
        target = as_target(target)
    one, other = (
        find_ticket(target, seed=seed, input_range=data.input_range).fold(to="target")
        for seed in seeds
    )
    return TicketBarriers(_barrier(one, other, data), _barrier(target, one, data))


def _barrier(one: nn.Module, other: nn.Module, data: Data) -> Barrier:
    assert data.y is not None
    return error_barrier(one, other, data.x, data.y)


def _mask(network: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    own = masks_of(network)
    if {name: mask.shape for name, mask in masks.items()} != {n: m.shape for n, m in own.items()}:
        raise ValueError("the masks are not those of such a network: give Found.masks of its shape")
    for name, layer in masked_layers(network):
        layer.mask = masks[f"{name}.weight"].clone()


def _unmasked(network: nn.Module) -> nn.Module:
    """Return a copy that computes the same with everything kept and a gain of 1."""
    plain = copy.deepcopy(network).requires_grad_(False)
    for _, layer in masked_layers(plain):
        layer.weight.copy_(layer.gain * layer.weight * layer.mask)
        layer.gain.fill_(1)
        layer.mask.fill_(True)
    return plain
