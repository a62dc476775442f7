"""One way to train, for all methods: what differs between them is what has a gradient."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from milp_lth.rivals.found import Found, Point
from milp_lth.rivals.masked import masks_of
from milp_lth.rivals.task import Task
from milp_lth.targets.data import Data
from solvers.heuristic.devices import find_device, single_thread

_AT_ONCE = 4096  # held-out inputs
_NUM_PARTS, _FLAT = 5, 0.005

OnEpoch = Callable[[int, int], None]
"""Is told after every epoch how many are done, and how many there will be."""


@dataclass(frozen=True)
class Schedule:
    """Stochastic gradient descent with momentum; the learning rate falls to 0 along a cosine.

    Attributes
    ----------
    num_epochs
        As published.
    learning_rate
        Of the first step.
    weight_decay, momentum, batch_size
        As for `torch.optim.SGD`; the last batch of an epoch may be smaller.
    """

    num_epochs: int
    learning_rate: float
    weight_decay: float
    momentum: float = 0.9
    batch_size: int = 128

    def scaled(self, scale: float) -> int:
        """Return how many epochs are trained when the published number is scaled: at least one.

        Raises
        ------
        ValueError
            When the scale is not positive.
        """
        if not scale > 0:
            raise ValueError(f"scale {scale}: give a positive number, 1 for the published schedule")
        return max(1, round(self.num_epochs * scale))


@dataclass(frozen=True)
class Trained:
    """What training took, and how it went.

    Attributes
    ----------
    examples
        Training examples that were shown, every repetition counted.
    seconds
        Without those that measured the curve.
    curve
        A point after every epoch.
    """

    examples: int
    seconds: float
    curve: tuple[Point, ...]

    def found(
        self, network: nn.Module, training: str, extra: dict[str, float] | None = None
    ) -> Found:
        """Return a network of masked layers as what was found by this training."""
        return Found(
            network=network.eval().requires_grad_(False),
            masks=masks_of(network),
            training=training,
            examples=self.examples,
            target_seconds=0.0,
            search_seconds=self.seconds,
            curve=self.curve,
            converged=converged(self.curve),
            extra=extra or {},
        )


def train(
    network: nn.Module,
    task: Task,
    schedule: Schedule,
    *,
    seed: int,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train whatever has a gradient, in place; leave the network in evaluation mode on the CPU.

    On the CPU the same seed gives the same weights: one thread is used, since sums depend on how
    many there are. On CUDA, layers compute in bfloat16 where PyTorch takes that to be safe.

    Parameters
    ----------
    network
        Takes inputs of shape (num_inputs, num_features), puts out logits.
    task
        Its training part alone is trained on; its held-out part makes the curve, and nothing is
        chosen by that.
    schedule, scale
        How, and which share of the published epochs.
    seed
        Of the order of the examples, and of what is random in the network itself.
    device
        As PyTorch calls it, or "auto".
    on_epoch
        For progress.

    Raises
    ------
    ValueError
        When the scale is not positive.
    """
    place = find_device(device)
    num_epochs = schedule.scaled(scale)
    x, y = _on(task.train, place)
    held_out = _on(task.test, place)
    network.to(place)
    optimizer = torch.optim.SGD(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
    )
    num_steps = num_epochs * math.ceil(len(y) / schedule.batch_size)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    order = torch.Generator().manual_seed(seed)
    curve: list[Point] = []
    seconds = 0.0
    with seeded(seed, place), single_thread():
        for epoch in range(1, num_epochs + 1):
            started = time.perf_counter()
            network.train()
            total = torch.zeros((), device=place)
            shuffled = torch.randperm(len(y), generator=order)
            for batch in torch.split(shuffled, schedule.batch_size):
                chosen = batch.to(place)
                with torch.autocast(place.type, torch.bfloat16, enabled=place.type == "cuda"):
                    logits = network(x[chosen])
                loss = nn.functional.cross_entropy(logits.float(), y[chosen])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                cosine.step()
                total += loss.detach() * len(batch)
            mean_loss = float(total) / len(y)  # waits for the device: the clock is stopped after it
            seconds += time.perf_counter() - started
            curve.append(Point(epoch * len(y), accuracy(network, *held_out), mean_loss))
            if on_epoch is not None:
                on_epoch(epoch, num_epochs)
    network.cpu().eval()
    return Trained(num_epochs * len(y), seconds, tuple(curve))


@torch.no_grad()
def accuracy(
    network: nn.Module, x: torch.Tensor, y: torch.Tensor, *, training: bool = False
) -> float:
    """Return the share of inputs that the network, in evaluation mode, puts into their class.

    With `training` it computes as in training, such as with masks that are drawn.
    """
    network.train(training)
    hits = sum(
        (network(inputs).argmax(dim=1) == classes).sum()
        for inputs, classes in zip(torch.split(x, _AT_ONCE), torch.split(y, _AT_ONCE), strict=True)
    )
    return float(hits) / len(y)


def converged(curve: Sequence[Point]) -> bool:
    """Whether a learning curve had become flat while the learning rate was still high.

    A rate that falls to 0 flattens every curve at its end, also that of a far too short training.
    So the last fifth of the epochs is compared with the middle fifth, where the rate was about half
    of the first: their mean accuracies must differ by less than half a point. With fewer than five
    epochs nothing can be said, and the answer is no.
    """
    size = len(curve) // _NUM_PARTS
    if size == 0:
        return False
    middle = (len(curve) - size) // 2
    parts = curve[middle : middle + size], curve[-size:]
    before, last = (sum(point.accuracy for point in part) / size for part in parts)
    return abs(last - before) < _FLAT


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's own generators, and leave them afterwards as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _on(data: Data, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    assert data.y is not None
    return data.x.to(device), data.y.to(device)
