"""Edge-popup: scores are trained, and of every layer the edges with the highest are kept.

Ramanujan, Wortsman, Kembhavi, Farhadi and Rastegari, "What's Hidden in a Randomly Weighted Neural
Network?", CVPR 2020, arXiv 1911.13299. Weights stay what they were drawn as. Forward, the mask of a
layer keeps the given share of its edges, those with the largest |score|; backward, the mask is
taken to be |score| itself.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from instances.philox import Stream, uniform
from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import Masked, scored, settled
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch, Schedule, train

EDGE_POPUP_SCHEDULE = Schedule(num_epochs=100, learning_rate=0.1, weight_decay=1e-4)
"""The paper's for its Conv4 on CIFAR-10: 100 epochs of batches of 128, learning rate 0.1 along a
cosine, momentum 0.9, weight decay 1e-4. The authors' short MNIST script differs: 14 epochs of
batches of 64, weight decay 5e-4."""

_SCORES = 17  # matrices of streams that neither sources nor random networks draw


def edge_popup(
    network: nn.Module,
    task: Task,
    *,
    density: float,
    seed: int,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Search a mask by edge-popup, see `EDGE_POPUP_SCHEDULE`.

    Parameters
    ----------
    network
        Of masked layers, see `milp_lth.rivals.random_network.random_network`; stays as it is.
    task
        Its training part is searched with.
    density
        Share of edges to keep of every layer, in (0, 1]: round(density · edges), and at least one.
        The paper's code calls it prune rate.
    seed
        Of first scores, uniform within ±1/√(fan-in) (Kaiming's with a = √5), and the order of
        examples.
    scale
        Epochs, as a share of the published ones.
    device, on_epoch
        As for `milp_lth.rivals.training.train`.
    checkpoints
        A folder for the state of the training: what was interrupted goes on from it.

    Returns
    -------
    Found
        The network under the mask that was found, its weights as drawn.

    Raises
    ------
    ValueError
        When the density or the scale is out of range, or no layer is masked.
    """
    searched = scored(network, _EdgePopup(checked_density(density)), seed)
    trained = train(
        searched,
        task,
        EDGE_POPUP_SCHEDULE,
        seed=seed,
        scale=scale,
        device=device,
        on_epoch=on_epoch,
        checkpoint=checkpoint_in(checkpoints, "scores"),
    )
    return trained.found(settled(searched), "masks")


@dataclass(frozen=True)
class _EdgePopup:
    density: float

    def start(self, layer: Masked, index: int, seed: int) -> torch.Tensor:
        return first_scores(layer, index, seed)

    def weight(self, weight: torch.Tensor, scores: torch.Tensor, training: bool) -> torch.Tensor:
        # the gradient of abs brings the sign: an edge that should be kept moves away from 0
        mask: torch.Tensor = _StraightThrough.apply(  # type: ignore[no-untyped-call]
            scores.abs(), self.num_kept(weight)
        )
        return weight * mask

    def settle(self, layer: Masked, scores: torch.Tensor) -> Masked:
        layer.mask = top_mask(scores.abs(), self.num_kept(scores))
        return layer

    def num_kept(self, weight: torch.Tensor) -> int:
        return max(1, round(self.density * weight.numel()))


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sizes: torch.Tensor, num_kept: int) -> torch.Tensor:
        return top_mask(sizes, num_kept).to(sizes.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0], None


def top_mask(sizes: torch.Tensor, num_kept: int) -> torch.Tensor:
    """Return the mask that keeps exactly `num_kept` of the largest numbers, also among equals."""
    numbers = sizes.detach().flatten()
    if sizes.is_cuda:
        kept = numbers.topk(num_kept, sorted=False).indices
    else:  # a third of the time of topk, which is most of a step
        kept = torch.from_numpy(np.argpartition(-numbers.numpy(), num_kept - 1)[:num_kept])
    mask = torch.zeros_like(numbers, dtype=torch.bool)
    mask[kept] = True
    return mask.view_as(sizes)


def first_scores(layer: Masked, index: int, seed: int) -> torch.Tensor:
    """Draw scores uniform within ±1/√(fan-in), the same on every machine."""
    shape = tuple(layer.weight.shape)
    counters = np.arange(math.prod(shape)).reshape(shape)
    drawn = uniform(Stream(seed, index, _SCORES), counters)
    return torch.tensor(drawn / math.sqrt(math.prod(shape[1:])), dtype=torch.float32)


def checked_density(density: float) -> float:
    """Return a density.

    Raises
    ------
    ValueError
        When it is not in (0, 1].
    """
    if not 0 < density <= 1:
        raise ValueError(f"density {density}: give the share to keep, above 0 and up to 1")
    return density
