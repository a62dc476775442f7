"""Supermasks: the probability of every edge is trained, and the mask is what is likely.

Zhou, Lan, Liu and Yosinski, "Deconstructing Lottery Tickets: Zeros, Signs, and the Supermask",
NeurIPS 2019, arXiv 1905.01067. Every frozen weight has a logit m. Forward, its edge is kept with
probability σ(m), drawn anew for every batch; backward, what was drawn is taken to be σ(m). The
authors draw when they test, too; here the network that is judged keeps what is likelier than not
(m > 0), and the accuracy of drawn masks is told beside it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import Masked, scored, settled
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch, Schedule, accuracy, seeded, train

SUPERMASK_SCHEDULE = Schedule(num_epochs=100, learning_rate=100.0, weight_decay=0.0)
"""The paper trains its fully connected network for 2000 epochs at a rate of 100 without momentum.
With momentum 0.9 a rate of 100 goes as far as 1000 without, so 100 epochs along a cosine go a
quarter of that way in a twentieth of the examples: as many as the other methods are shown."""

_NUM_SAMPLES = 10


def supermask(
    network: nn.Module,
    task: Task,
    *,
    seed: int,
    dynamic_scaling: bool = True,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Search a supermask, see `SUPERMASK_SCHEDULE`. How many edges are kept is its own affair.

    Parameters
    ----------
    network
        Of masked layers, see `milp_lth.rivals.random_network.random_network`; stays as it is.
    task
        Its training part is searched with.
    seed
        Of masks that are drawn, and the order of examples; logits are 0 at first.
    dynamic_scaling
        Multiply every layer by edges / kept edges of the mask of the moment; no gradient goes
        through that. In the network that is found it is the layer's gain.
    scale
        Epochs, as a share of those of `SUPERMASK_SCHEDULE`.
    device, on_epoch
        As for `milp_lth.rivals.training.train`.
    checkpoints
        A folder for the state of the training: what was interrupted goes on from it.

    Returns
    -------
    Found
        ``extra["sampled_accuracy"]`` is that of `sampled_accuracy`, on held-out data.

    Raises
    ------
    ValueError
        When the scale is out of range, or no layer is masked.
    """
    searched = scored(network, _Supermask(dynamic_scaling), seed)
    trained = train(
        searched,
        task,
        SUPERMASK_SCHEDULE,
        seed=seed,
        scale=scale,
        device=device,
        on_epoch=on_epoch,
        checkpoint=checkpoint_in(checkpoints, "scores"),
    )
    drawn = sampled_accuracy(searched, task, seed=seed)
    return trained.found(settled(searched), "masks", {"sampled_accuracy": drawn})


def sampled_accuracy(
    searched: nn.Module, task: Task, *, seed: int, num_samples: int = _NUM_SAMPLES
) -> float:
    """Return the mean held-out accuracy of masks drawn as in training.

    Parameters
    ----------
    searched
        A network with logits, on the CPU.
    task
        Its held-out part is classified.
    seed
        Of the draws.
    num_samples
        How many masks are drawn.
    """
    assert task.test.y is not None
    with seeded(seed, torch.device("cpu")):
        return (
            sum(
                accuracy(searched, task.test.x, task.test.y, training=True)
                for _ in range(num_samples)
            )
            / num_samples
        )


@dataclass(frozen=True)
class _Supermask:
    dynamic_scaling: bool

    def start(self, layer: Masked, index: int, seed: int) -> torch.Tensor:
        return torch.zeros_like(layer.weight)

    def weight(self, weight: torch.Tensor, scores: torch.Tensor, training: bool) -> torch.Tensor:
        mask = (scores > 0).to(weight.dtype)
        if training:
            mask = _Drawn.apply(torch.sigmoid(scores))  # type: ignore[no-untyped-call]
        return weight * mask * self.gain(mask)

    def settle(self, layer: Masked, scores: torch.Tensor) -> Masked:
        layer.mask = scores > 0
        layer.gain.copy_(self.gain(layer.mask))
        return layer

    def gain(self, mask: torch.Tensor) -> torch.Tensor:
        """Return what a layer is multiplied by."""
        kept = mask.detach().sum().clamp(min=1)  # a layer that keeps nothing puts out 0
        return mask.numel() / kept if self.dynamic_scaling else torch.ones_like(kept)


class _Drawn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, probabilities: torch.Tensor) -> torch.Tensor:
        return torch.bernoulli(probabilities)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]
