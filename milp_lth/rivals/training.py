"""One way to train, for all methods: what differs between them is what has a gradient."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from milp_lth.rivals.checkpoint import Checkpoint, Progress
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
    checkpoint: Path | None = None,
    epochs: range | None = None,
    penalty: Callable[[], torch.Tensor] | None = None,
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
    checkpoint
        A ``.safetensors`` file that holds the state of some seconds ago, and in the end the last.
        A training that finds it goes on from there, on the CPU to the same weights bit for bit; one
        that was finished does nothing.
    epochs
        Which epochs of the schedule to train, counted from 0; None: all. A part has the learning
        rates and the orders of examples that the whole has in its epochs, and starts without
        momentum. What is returned counts from the first epoch of the part.
    penalty
        Is added to the cross-entropy at every step, where its gradients count; not in the curve.

    Raises
    ------
    ValueError
        When the scale is not positive, the schedule has no such epochs, or the checkpoint is
        damaged or that of another training.
    """
    place = find_device(device)
    num_epochs = schedule.scaled(scale)
    part = range(num_epochs) if epochs is None else epochs
    if part.step != 1 or not 0 <= part.start <= part.stop <= num_epochs:
        raise ValueError(f"epochs {part}: give a range within range({num_epochs})")
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
    batches = _batches(x, y, schedule.batch_size, order)
    optimizer.zero_grad()  # without gradients its steps move nothing
    for _ in range(part.start):
        for _ in batches.sampler:
            optimizer.step()
            cosine.step()
    progress = Progress()
    state = None
    with seeded(seed, place), single_thread():
        if checkpoint is not None:
            asked = [task.train.digest(), str(schedule), num_epochs, seed, place.type]
            if epochs is not None:
                asked.append([part.start, part.stop])
            state = Checkpoint(checkpoint, asked, network, optimizer, cosine, order)
            progress = state.load()
        for epoch in range(len(progress.curve) + 1, len(part) + 1):
            started = time.perf_counter()
            network.train()
            total = torch.zeros((), device=place)
            for inputs, classes in batches:
                with torch.autocast(place.type, torch.bfloat16, enabled=place.type == "cuda"):
                    logits = network(inputs)
                loss = nn.functional.cross_entropy(logits.float(), classes)
                whole = loss if penalty is None else loss + penalty()
                optimizer.zero_grad()
                whole.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                cosine.step()
                total += loss.detach() * len(classes)
            mean_loss = float(total) / len(y)  # waits for the device: the clock is stopped after it
            seconds = progress.seconds + time.perf_counter() - started
            point = Point(epoch * len(y), accuracy(network, *held_out), mean_loss)
            progress = Progress((*progress.curve, point), seconds)
            if state is not None:
                state.keep(progress, last=epoch == len(part))
            if on_epoch is not None:
                on_epoch(epoch, len(part))
    network.cpu().eval()
    return Trained(len(part) * len(y), progress.seconds, progress.curve)


def _batches(
    x: torch.Tensor, y: torch.Tensor, size: int, order: torch.Generator
) -> "DataLoader[tuple[torch.Tensor, ...]]":
    """Return batches in an order that is drawn anew for every epoch.

    A batch is taken from the tensors at once, where they are: nothing is collated or copied over.
    """
    return DataLoader(
        TensorDataset(x, y),
        batch_size=None,
        sampler=_Shuffled(len(y), size, order, x.device),
        generator=torch.Generator(),  # a loader draws a seed of its own from it in every epoch
    )


@dataclass(frozen=True)
class _Shuffled(Sampler[torch.Tensor]):
    """Yields the numbers of a batch's examples together: one permutation an epoch."""

    num_examples: int
    size: int
    order: torch.Generator
    device: torch.device

    def __iter__(self) -> Iterator[torch.Tensor]:
        shuffled = torch.randperm(self.num_examples, generator=self.order)
        return iter(torch.split(shuffled.to(self.device), self.size))


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
