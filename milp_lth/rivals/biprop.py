"""Biprop: edge-popup for networks whose weights are binary, and whose activations may be.

Diffenderfer and Kailkhura, "Multi-Prize Lottery Ticket Hypothesis: Finding Accurate Binary Neural
Networks by Pruning A Randomly Weighted Network", ICLR 2021, arXiv 2103.09377. Forward, a layer
keeps the edges of the largest |score| and computes with α · sign(W) ⊙ mask, where the gain α is the
mean |W| of what is kept. Backward, with G the gradient of α · mask, that of |score| is taken to be
G ⊙ |W| at every edge, kept or not; α itself is not differentiated.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.edge_popup import checked_density, first_scores, top_mask
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import Masked, replaced, scored, settled
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch, Schedule, train

BIPROP_SCHEDULE = Schedule(num_epochs=100, learning_rate=0.1, weight_decay=1e-4)
"""The paper's for its Conv4 on CIFAR-10: 100 epochs of batches of 128, learning rate 0.1 along a
cosine, momentum 0.9, weight decay 1e-4."""


def biprop(
    network: nn.Module,
    task: Task,
    *,
    density: float,
    seed: int,
    scale: float = 1.0,
    binary_activations: bool = False,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Search a mask for binary weights by biprop, see `BIPROP_SCHEDULE`.

    Parameters
    ----------
    network
        Of masked layers, see `milp_lth.rivals.random_network.random_network`; stays as it is.
    task
        Its training part is searched with.
    density
        Share of edges to keep of every layer, in (0, 1]: ⌊density · edges⌋, and at least one. The
        paper's code calls it prune rate.
    seed
        Of first scores, as in `milp_lth.rivals.edge_popup.edge_popup`, and the order of examples.
    scale
        Epochs, as a share of the published ones.
    binary_activations
        Put signs in the place of ReLUs. Inputs and logits are what they are.
    device, on_epoch
        As for `milp_lth.rivals.training.train`.
    checkpoints
        A folder for the state of the training: what was interrupted goes on from it.

    Returns
    -------
    Found
        Weights of its masked layers are ±1, their gains are α.

    Raises
    ------
    ValueError
        When the density or the scale is out of range, or no layer is masked.
    """
    searched = scored(network, _Biprop(checked_density(density)), seed)
    if binary_activations:
        searched = replaced(searched, nn.ReLU, lambda _: Sign())
    trained = train(
        searched,
        task,
        BIPROP_SCHEDULE,
        seed=seed,
        scale=scale,
        device=device,
        on_epoch=on_epoch,
        checkpoint=checkpoint_in(checkpoints, "scores"),
    )
    return trained.found(settled(searched), "masks")


class Sign(nn.Module):
    """1 where a number is not negative, −1 elsewhere.

    The gradient goes straight through where the number lies in [−1, 1], and is 0 elsewhere.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the signs."""
        signs: torch.Tensor = _ClippedSign.apply(x)  # type: ignore[no-untyped-call]
        return signs


class _ClippedSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return _signs(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return torch.where(x.abs() <= 1, gradients[0], 0.0)


@dataclass(frozen=True)
class _Biprop:
    density: float

    def start(self, layer: Masked, index: int, seed: int) -> torch.Tensor:
        return first_scores(layer, index, seed)

    def weight(self, weight: torch.Tensor, scores: torch.Tensor, training: bool) -> torch.Tensor:
        gained: torch.Tensor = _GainedMask.apply(  # type: ignore[no-untyped-call]
            scores.abs(), weight.abs(), self.num_kept(weight)
        )
        return _signs(weight) * gained

    def settle(self, layer: Masked, scores: torch.Tensor) -> Masked:
        num_kept = self.num_kept(scores)
        mask = top_mask(scores.abs(), num_kept)
        binary = Masked(_signs(layer.weight.detach()), padding=layer.padding)
        binary.mask = mask
        binary.gain = _gain(layer.weight.detach().abs(), mask, num_kept)
        return binary

    def num_kept(self, weight: torch.Tensor) -> int:
        return max(1, int(self.density * weight.numel()))


class _GainedMask(torch.autograd.Function):
    """α · mask, straight through to |score|."""

    @staticmethod
    def forward(
        ctx: Any, sizes: torch.Tensor, magnitudes: torch.Tensor, num_kept: int
    ) -> torch.Tensor:
        ctx.save_for_backward(magnitudes)
        mask = top_mask(sizes, num_kept)
        return _gain(magnitudes, mask, num_kept) * mask

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (magnitudes,) = ctx.saved_tensors
        return gradients[0] * magnitudes, None, None


def _gain(magnitudes: torch.Tensor, mask: torch.Tensor, num_kept: int) -> torch.Tensor:
    return (magnitudes * mask).sum() / num_kept


def _signs(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, -1.0, 1.0).to(x.dtype)  # 0 is positive: all of them are ±1
