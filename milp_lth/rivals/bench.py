"""All methods on the same task, several seeds each, in a folder that can be continued."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from instances.arrays import BoolArray, IntArray
from milp_lth.environment import environment
from milp_lth.folders import alone_in
from milp_lth.rivals.files import count_edges, load_network, predictions, same, save_network
from milp_lth.rivals.found import Found, Point
from milp_lth.rivals.masked import masks_of
from milp_lth.rivals.methods import (
    DENSITIES,
    METHODS,
    Conditions,
    Entry,
    carry_out,
    entries,
)
from milp_lth.rivals.random_network import Shape
from milp_lth.rivals.store import Measurement, Store, digest, packed, unpacked
from milp_lth.rivals.task import load_task
from solvers.heuristic.devices import find_device

SIZES = {"small": 100, "paper": 500}
"""Hidden units: for CPUs, and those of Pensia et al. 2020."""

OnProgress = Callable[[int, int], None]
"""Called with the measurements that are there, and how many there will be."""


class Rivals:
    """The rows of one table; what is measured already is not measured again.

    The networks are fully connected with one hidden layer, without biases.

    Parameters
    ----------
    task_name
        As for `milp_lth.rivals.task.load_task`.
    methods
        Names of `milp_lth.rivals.methods.METHODS`; empty: all.
    folder
        Where measurements and networks go: new, empty, or that of the same task, size, scale and
        device. Methods, densities and seeds may be added to it.
    num_seeds
        Seeds of every row.
    scale
        Which share of its published epochs every method is given.
    size
        A key of `SIZES`.
    densities
        Of methods that take one.
    device
        "auto", or as PyTorch calls it.

    Raises
    ------
    ValueError
        When a name is unknown, a number out of range, or the folder holds something else.
    """

    def __init__(
        self,
        task_name: str,
        methods: Sequence[str],
        folder: Path,
        *,
        num_seeds: int = 5,
        scale: float = 1.0,
        size: str = "small",
        densities: Sequence[float] = DENSITIES,
        device: str = "auto",
    ) -> None:
        if num_seeds < 1:
            raise ValueError(f"--seeds {num_seeds}: give at least one")
        if not scale > 0:
            raise ValueError(f"--scale {scale}: give a positive number, 1 for the published epochs")
        if size not in SIZES:
            raise ValueError(f"unknown size {size!r}: choose one of {', '.join(SIZES)}")
        for density in densities:
            if not 0 < density <= 1:
                raise ValueError(f"density {density}: give shares to keep, above 0 and up to 1")
        place = find_device(device)
        if place.type == "cuda" and not torch.cuda.is_available():
            raise ValueError("--device cuda: there is none here, give cpu or auto")
        self.entries = entries(methods, densities)
        self.num_seeds = num_seeds
        task = load_task(task_name)
        shape = Shape("fc2", task.num_features, task.num_classes, SIZES[size])
        self.conditions = Conditions(task, shape, scale, place.type)
        asked = {
            "data": [task.train.digest(), task.test.digest()],
            "hidden": shape.num_hidden,
            "scale": scale,
            "device": place.type,
        }
        self.store = Store(folder, asked, environment())

    def measure(
        self,
        on_progress: OnProgress = lambda done, total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Measure what is not measured yet.

        Raises
        ------
        KeyboardInterrupt
            When `should_stop` says so; what was measured is recorded.
        ValueError
            When another process is at work in the folder.
        """
        wanted = [(entry, seed) for entry in self.entries for seed in range(self.num_seeds)]
        with alone_in(self.store.folder):
            for done, (entry, seed) in enumerate(wanted):
                new = not self.store.has(entry.name, seed)
                if new:
                    self._measure(entry, seed)
                # of one that was killed when it had been recorded, too
                shutil.rmtree(self.store.unfinished(entry.name, seed), ignore_errors=True)
                if new and should_stop():
                    raise KeyboardInterrupt
                on_progress(done + 1, len(wanted))

    def measured(self, entry: Entry) -> list[Measurement]:
        """Return a row's measurements, seed by seed.

        One whose file is no longer the one that was verified counts as not verified.
        """
        found = [self.store.get(entry.name, seed) for seed in range(self.num_seeds)]
        told = {(len(one.curve), len(one.classes), *one.extra) for one in found}
        if len(told) > 1:
            raise ValueError(
                f"{self.store.folder}: the measurements of {entry.name} do not fit each other: "
                "delete them, or give another --out"
            )
        return [
            one._replace(
                verified=one.verified
                and digest(self.store.network(one.row, one.seed)) == one.sha256
            )
            for one in found
        ]

    def right(self, entry: Entry) -> BoolArray:
        """Return which held-out inputs a row puts into their class, shape (seeds, inputs)."""
        return np.array([self._right(unpacked(one.classes)) for one in self.measured(entry)])

    def verify(self, entry: Entry, seed: int) -> bool:
        """Build a network again from its file and its seed, and recompute what is recorded of it.

        Edges are counted, and held-out inputs classified, anew.
        """
        return self._verified(entry, self.store.get(entry.name, seed), None)

    def _measure(self, entry: Entry, seed: int) -> None:
        target = self._target(seed) if METHODS[entry.method].from_target else None
        unfinished = self.store.unfinished(entry.name, seed)
        found = carry_out(entry, self.conditions, seed=seed, target=target, checkpoints=unfinished)
        classes = predictions(found.network, self.conditions.task.test.x).numpy()
        path = self.store.network(entry.name, seed)
        save_network(found.network, path, entry)
        recorded = Measurement(
            row=entry.name,
            seed=seed,
            accuracy=float(self._right(classes).mean()),
            kept=found.kept,
            source_dense=found.source_dense,
            target_seconds=found.target_seconds,
            search_seconds=found.search_seconds,
            examples=found.examples,
            training=found.training,
            converged=found.converged,
            verified=False,
            sha256=digest(path),
            curve=[list(point) for point in found.curve],
            extra=found.extra,
            classes=packed(classes),
        )
        verified = self._verified(entry, recorded, found.network)
        self.store.put(recorded._replace(verified=verified))

    def _verified(self, entry: Entry, recorded: Measurement, found: nn.Module | None) -> bool:
        """Whether a file and a seed give what is recorded and, bit for bit, what was found."""
        path = self.store.network(entry.name, recorded.seed)
        try:
            rebuilt = load_network(path, entry, self.conditions.shape, recorded.seed)
        except ValueError:
            return False
        classes = predictions(rebuilt, self.conditions.task.test.x).numpy()
        return (
            (found is None or same(found, rebuilt))
            and count_edges(rebuilt) == (recorded.kept, recorded.source_dense)
            and bool(np.array_equal(classes, unpacked(recorded.classes)))
            and float(self._right(classes).mean()) == recorded.accuracy
        )

    def _right(self, classes: IntArray) -> BoolArray:
        labels = self.conditions.task.test.y
        assert labels is not None
        right: BoolArray = classes == labels.numpy()
        return right

    def _target(self, seed: int) -> Found:
        """Return the dense network of a seed as it was found."""
        entry = self.entries[0]
        recorded = self.store.get(entry.name, seed)
        path = self.store.network(entry.name, seed)
        network = load_network(path, entry, self.conditions.shape, seed)
        return Found(
            network=network,
            masks=masks_of(network),
            training=recorded.training,
            examples=recorded.examples,
            target_seconds=recorded.target_seconds,
            search_seconds=recorded.search_seconds,
            curve=tuple(Point(int(x), y, z) for x, y, z in recorded.curve),
            converged=recorded.converged,
        )
