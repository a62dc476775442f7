"""The state of a training in a file, so that an interrupted one goes on to the same weights."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from instances.files import write_atomically
from instances.plain_files import size_of
from milp_lth.rivals.found import Point

_EVERY = 5.0  # seconds


@dataclass(frozen=True)
class Progress:
    """How far a training has come: a point of its curve for every epoch, and its seconds."""

    curve: tuple[Point, ...] = ()
    seconds: float = 0.0


def checkpoint_in(folder: Path | None, name: str) -> Path | None:
    """Return the file of one training of a method that trains several times; None without folder.

    >>> checkpoint_in(None, "dense") is None
    True
    """
    return None if folder is None else folder / f"{name}.safetensors"


class Checkpoint:
    """A file that holds everything which the rest of a training depends on.

    Parameters
    ----------
    path
        Of the ``.safetensors`` file.
    asked
        What tells this training from others, beside the network as it is before: a file of another
        one is refused.
    network, optimizer, scheduler
        What is trained, and by what; the optimizer is `torch.optim.SGD`.
    order
        The generator that the order of examples is drawn from.
    """

    def __init__(
        self,
        path: Path,
        asked: list[Any],
        network: nn.Module,
        optimizer: torch.optim.SGD,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        order: torch.Generator,
    ) -> None:
        self.path, self.asked, self.order = path, [*asked, _digest(network)], order
        self.network, self.optimizer, self.scheduler = network, optimizer, scheduler
        self._saved = time.monotonic()

    def keep(self, progress: Progress, *, last: bool) -> None:
        """Write the state, if it is the last one or some seconds have passed since it was written.

        Generators of CUDA are left out: what is random in a network there is drawn anew.
        """
        if not last and time.monotonic() - self._saved < _EVERY:
            return
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for k, parameter in enumerate(self._parameters()):
            momentum = self.optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{k}"] = momentum
        tensors["order"], tensors["random"] = self.order.get_state(), torch.get_rng_state()
        stated = {
            "asked": self.asked, "curve": progress.curve, "seconds": progress.seconds,
            "scheduler": self.scheduler.state_dict(),
        }  # fmt: skip
        whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = safetensors.torch.save(whole, {"training": json.dumps(stated)})
        write_atomically(self.path, content)
        self._saved = time.monotonic()

    def load(self) -> Progress:
        """Put what the file holds, if there is one, in its place, and return how far it had come.

        Raises
        ------
        ValueError
            When the file is damaged or that of another training.
        """
        if not self.path.exists():
            return Progress()
        try:
            size_of(self.path)
            with safetensors.safe_open(self.path, framework="pt") as file:
                stated = json.loads((file.metadata() or {})["training"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            if stated["asked"] != json.loads(json.dumps(self.asked)):
                raise ValueError("the state of another training")
            self._place(tensors, stated)
            curve = tuple(Point(int(x), y, z) for x, y, z in stated["curve"])
            return Progress(curve, float(stated["seconds"]))
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError,
                AttributeError, OverflowError, OSError) as error:  # fmt: skip
            raise ValueError(f"{self.path}: {error}: delete it to begin anew") from error

    def _place(self, tensors: dict[str, torch.Tensor], stated: dict[str, Any]) -> None:
        prefix = "network."
        self.network.load_state_dict(
            {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}
        )
        for k, parameter in enumerate(self._parameters()):
            momentum = tensors.get(f"momentum.{k}")
            if momentum is not None:
                self.optimizer.state[parameter]["momentum_buffer"] = momentum.to(parameter.device)
        self.scheduler.load_state_dict(stated["scheduler"])
        for group, rate in zip(
            self.optimizer.param_groups, stated["scheduler"]["_last_lr"], strict=True
        ):
            group["lr"] = rate
        self.order.set_state(tensors["order"])
        torch.set_rng_state(tensors["random"])

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
