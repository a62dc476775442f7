"""Iterative magnitude pruning: train, remove the smallest weights, go back, and train again.

Frankle, Dziugaite, Roy and Carbin, "Linear Mode Connectivity and the Lottery Ticket Hypothesis",
ICML 2020, arXiv 1912.05671. What is left goes back to the weights of an early epoch; with those of
epoch 0 it is the method of Frankle and Carbin, "The Lottery Ticket Hypothesis: Finding Sparse,
Trainable Neural Networks", ICLR 2019, arXiv 1803.03635, with one threshold for all layers.
"""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn

from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.edge_popup import checked_density, top_mask
from milp_lth.rivals.floor import DENSE_SCHEDULE
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch, Trained, train


def imp(
    task: Task,
    shape: Shape,
    *,
    density: float,
    seed: int,
    rewind: float = 0.0,
    share: float = 0.2,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Prune in levels; at each, train from the rewound weights and remove the smallest.

    Every level is trained for the rest of the schedule behind the epoch that is gone back to: with
    the learning rates of those epochs, the same order of examples at each level, and without
    momentum at first. What is kept at last is trained, too.

    Parameters
    ----------
    task, shape, seed, scale, device, on_epoch
        As for `milp_lth.rivals.floor.dense`.
    density
        Share of all edges to keep: round(density · edges), and at least one.
    rewind
        Share of the epochs after which the dense network has the weights to go back to; 0: as they
        were drawn.
    share
        Of the edges that are left, how many a level removes: those with the smallest ``|weights|``
        of all layers together. The last level removes fewer, to meet the density.
    checkpoints
        A folder for the state of each training: what was interrupted goes on from it. Runs that
        differ in nothing but their density may share one, and then also share levels.

    Returns
    -------
    Found
        The trained network under its mask. Its examples are those of all levels; its curve is that
        of the dense network up to the rewinding, then that of the last level; ``extra["levels"]``
        counts what was trained.

    Raises
    ------
    ValueError
        When the density, the share, the rewinding or the scale is out of range.
    """
    checked_density(density)
    if not 0 < share < 1:
        raise ValueError(f"share {share}: give that of the edges to remove, above 0 and below 1")
    first, last = rewound_epoch(rewind, scale), DENSE_SCHEDULE.scaled(scale)
    network = random_network(shape, seed, trainable=True)
    num_edges = sum(layer.weight.numel() for _, layer in masked_layers(network))
    counts = list(_level_sizes(num_edges, max(1, round(density * num_edges)), share))
    total = first + len(counts) * (last - first)
    part = partial(train, task=task, schedule=DENSE_SCHEDULE, seed=seed, scale=scale, device=device)
    early = part(
        network,
        epochs=range(first),
        on_epoch=later(on_epoch, 0, total),
        checkpoint=checkpoint_in(checkpoints, "rewound"),
    )
    level, seconds = network, early.seconds
    for k, num_kept in enumerate(counts):
        before, level = level, copy.deepcopy(network)
        _remove_smallest(before, num_kept, level)
        done = first + k * (last - first)
        trained = part(
            level,
            epochs=range(first, last),
            on_epoch=later(on_epoch, done, total),
            checkpoint=checkpoint_in(checkpoints, f"share-{share}-kept-{num_kept}"),
        )
        seconds += trained.seconds
    per_epoch = len(task.train.x)
    curve = [p._replace(examples=done * per_epoch + p.examples) for p in trained.curve]
    whole = Trained(total * per_epoch, seconds, (*early.curve, *curve))
    return whole.found(level, "weights", {"levels": len(counts)})


def rewound_epoch(rewind: float, scale: float) -> int:
    """Return after how many epochs of `DENSE_SCHEDULE` weights are gone back to; not after all.

    Raises
    ------
    ValueError
        When the share of the epochs or the scale is out of range.
    """
    if not 0 <= rewind < 1:
        raise ValueError(f"rewind {rewind}: give a share of the epochs, from 0 and below 1")
    num_epochs = DENSE_SCHEDULE.scaled(scale)
    return min(round(rewind * num_epochs), num_epochs - 1)


def later(on_epoch: OnEpoch | None, done: int, total: int) -> OnEpoch | None:
    """Return what is told of one of several trainings, `done` epochs having gone before it."""
    return on_epoch and (lambda epoch, _: on_epoch(done + epoch, total))


def _level_sizes(num_edges: int, num_kept: int, share: float) -> Iterator[int]:
    """Yield how many edges each level is trained with."""
    left = num_edges
    while left > num_kept:
        yield left
        left = max(num_kept, left - max(1, round(share * left)))
    yield num_kept


def _remove_smallest(trained: nn.Module, num_kept: int, rewound: nn.Module) -> None:
    """Keep the largest of the trained weights that were kept, in another network."""
    layers = [layer for _, layer in masked_layers(trained)]
    sizes = [layer.weight.detach().abs().where(layer.mask, -1.0).flatten() for layer in layers]
    kept = torch.split(top_mask(torch.cat(sizes), num_kept), [len(size) for size in sizes])
    for (_, layer), mask in zip(masked_layers(rewound), kept, strict=True):
        layer.mask = mask.view_as(layer.weight).clone()
