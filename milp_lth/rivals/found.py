"""What a method found: a pruned network, and what finding it took."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import nn


class Point(NamedTuple):
    """One point of a learning curve."""

    examples: int
    """Training examples that were shown until then, every repetition counted."""
    accuracy: float
    """Of the network as it was then, on held-out data; nothing is chosen by it."""
    loss: float
    """Mean cross-entropy on training data, of the epoch behind this point."""


@dataclass(frozen=True, eq=False)
class Found:
    """A pruned network.

    Attributes
    ----------
    network
        In evaluation mode: what is judged.
    masks
        By the name of each weight, shaped like it: True = kept.
    training
        What was trained: "nothing", "masks", "weights", or "target", where a trained network is
        approximated.
    examples
        Training examples that were shown in all, every repetition counted, those of a target, too.
    target_seconds, search_seconds
        What training a target took, and all that came after.
    curve
        The learning curve, where there is one.
    converged
        Whether the curve had become flat.
    extra
        What one method alone has to say of the network, by name.
    """

    network: nn.Module
    masks: dict[str, torch.Tensor]
    training: str
    examples: int
    target_seconds: float
    search_seconds: float
    curve: tuple[Point, ...] = field(default=())
    converged: bool = True
    extra: dict[str, float] = field(default_factory=dict)

    @property
    def source_dense(self) -> int:
        """Edges of the unpruned network."""
        return sum(mask.numel() for mask in self.masks.values())

    @property
    def kept(self) -> int:
        """Edges that are kept."""
        return sum(int(mask.sum()) for mask in self.masks.values())
