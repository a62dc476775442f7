"""The floor that every method should stand above: a trained network, pruned by size or at random.

Magnitude pruning is that of Han, Pool, Tran and Dally, "Learning both Weights and Connections for
Efficient Neural Networks", NeurIPS 2015, arXiv 1506.02626: train, keep the largest weights, and
train those again at a tenth of the learning rate. Their threshold goes layer by layer; here all
layers share one, which suits fully connected networks better.
"""

import copy
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from instances.philox import Stream, uniform
from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.edge_popup import EDGE_POPUP_SCHEDULE, checked_density, top_mask
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers, masks_of
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch, converged, train

DENSE_SCHEDULE = EDGE_POPUP_SCHEDULE
"""That of edge-popup: weights and scores are shown as many examples."""

RETRAINING_SCHEDULE = replace(DENSE_SCHEDULE, learning_rate=DENSE_SCHEDULE.learning_rate / 10)

_ORDER = 19  # matrices of streams that neither sources, nor networks, nor scores draw


def dense(
    task: Task,
    shape: Shape,
    *,
    seed: int,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Train a network and prune nothing: the target, and what others are measured by.

    Parameters
    ----------
    task
        Its training part is trained on.
    shape
        The architecture.
    seed
        Of the first weights, normal ones, and the order of examples.
    scale
        Epochs, as a share of those of `DENSE_SCHEDULE`.
    device, on_epoch
        As for `milp_lth.rivals.training.train`.
    checkpoints
        A folder for the state of the training: what was interrupted goes on from it.

    Raises
    ------
    ValueError
        When the scale is out of range.
    """
    network = random_network(shape, seed, trainable=True)
    trained = train(
        network,
        task,
        DENSE_SCHEDULE,
        seed=seed,
        scale=scale,
        device=device,
        on_epoch=on_epoch,
        checkpoint=checkpoint_in(checkpoints, "dense"),
    )
    return trained.found(network, "weights")


def magnitude(
    task: Task,
    shape: Shape,
    *,
    density: float,
    seed: int,
    scale: float = 1.0,
    retrain: bool = False,
    target: Found | None = None,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Train a dense network and keep its largest ``|weights|``: of all layers together.

    Parameters
    ----------
    task, shape, seed, scale, device, on_epoch, checkpoints
        As for `dense`.
    density
        Share of all edges to keep: round(density · edges).
    retrain
        Train what is kept for as many epochs again.
    target
        What `dense` found, where that is known already; its training is counted all the same.

    Returns
    -------
    Found
        The trained network under its mask.

    Raises
    ------
    ValueError
        When the density or the scale is out of range.
    """
    checked_density(density)
    if target is None:
        target = dense(
            task, shape, seed=seed, scale=scale, device=device, on_epoch=on_epoch,
            checkpoints=checkpoints,
        )  # fmt: skip
    began = time.perf_counter()
    network = copy.deepcopy(target.network)
    layers = [layer for _, layer in masked_layers(network)]
    sizes = torch.cat([layer.weight.detach().abs().flatten() for layer in layers])
    kept = top_mask(sizes, round(density * len(sizes)))
    first = 0
    for layer in layers:
        last = first + layer.weight.numel()
        layer.mask = kept[first:last].view_as(layer.weight).clone()
        first = last
    seconds = time.perf_counter() - began
    found = replace(
        target,
        network=network,
        masks=masks_of(network),
        target_seconds=target.search_seconds,
        search_seconds=seconds,
    )
    if not retrain:
        return found
    return retrained(
        found, task, seed=seed, scale=scale, device=device, on_epoch=on_epoch,
        checkpoint=checkpoint_in(checkpoints, "again"),
    )  # fmt: skip


def retrained(
    found: Found,
    task: Task,
    *,
    seed: int,
    scale: float,
    device: str,
    on_epoch: OnEpoch | None,
    checkpoint: Path | None,
) -> Found:
    """Train what a method has kept by `RETRAINING_SCHEDULE`, and add what that takes."""
    network = copy.deepcopy(found.network).requires_grad_(True)
    trained = train(
        network, task, RETRAINING_SCHEDULE, seed=seed, scale=scale, device=device,
        on_epoch=on_epoch, checkpoint=checkpoint,
    )  # fmt: skip
    later = [p._replace(examples=found.examples + p.examples) for p in trained.curve]
    return replace(
        found,
        network=network.requires_grad_(False),
        examples=found.examples + trained.examples,
        search_seconds=found.search_seconds + trained.seconds,
        curve=(*found.curve, *later),
        converged=found.converged and converged(trained.curve),
    )


def random_pruning(
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
    """Keep edges at random, the same share of every layer, and train their weights.

    Parameters
    ----------
    task, shape, scale, device, on_epoch, checkpoints
        As for `dense`.
    density
        Share of the edges of every layer to keep: round(density · edges).
    seed
        Of the mask, too.

    Returns
    -------
    Found
        The network under its mask, the kept weights trained.

    Raises
    ------
    ValueError
        When the density or the scale is out of range.
    """
    checked_density(density)
    network = random_network(shape, seed, trainable=True)
    for index, (_, layer) in enumerate(masked_layers(network)):
        weight_shape = tuple(layer.weight.shape)
        counters = np.arange(math.prod(weight_shape)).reshape(weight_shape)
        order = torch.tensor(uniform(Stream(seed, index, _ORDER), counters))
        layer.mask = top_mask(order, round(density * order.numel()))
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
