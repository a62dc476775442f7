"""A folder of measurements: each is there whole or not at all, and is not taken again.

``settings.json`` says what all of them are about. A measurement is a network in ``networks`` and
what was found of it in ``measured``, a JSON file that is written last.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from instances.arrays import IntArray
from instances.files import write_atomically
from instances.plain_files import content_of, json_of
from milp_lth.environment import ENVIRONMENT
from milp_lth.folders import alone_in, is_free
from milp_lth.rivals.found import Point
from milp_lth.value_kinds import fits

_SETTINGS = "settings.json"
_KINDS = {"asked": dict[str, Any], "environment": ENVIRONMENT}


class Measurement(NamedTuple):
    """One method with one seed."""

    row: str
    seed: int
    accuracy: float
    kept: int
    source_dense: int
    target_seconds: float
    search_seconds: float
    examples: int
    training: str
    converged: bool
    verified: bool
    """Whether file and seed gave the network that was found, when it was measured."""
    sha256: str
    """Of the network's file."""
    curve: list[list[float]]
    """Examples, accuracy and loss of every point."""
    extra: dict[str, float]
    classes: str
    """The class of each held-out input, see `packed`."""


def packed(classes: IntArray) -> str:
    """Return classes below 2¹⁶ as text."""
    return base64.b64encode(classes.astype("<u2").tobytes()).decode()


def unpacked(text: str) -> IntArray:
    """Return the classes that `packed` was given."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<u2").astype(np.int64)


class Store:
    """The measurements of one folder.

    Parameters
    ----------
    folder
        New, empty, or that of the same question.
    asked
        What all measurements have in common.
    environment
        Where the first of them was taken; recorded when the folder is new.

    Raises
    ------
    ValueError
        When the folder holds something else, or what it holds is damaged.
    """

    def __init__(self, folder: Path, asked: dict[str, Any], environment: dict[str, Any]) -> None:
        self.folder = folder
        path = folder / _SETTINGS
        if not path.exists():
            if not is_free(folder):
                raise ValueError(f"{folder} exists and is not empty: give another --out")
            folder.mkdir(parents=True, exist_ok=True)
            with alone_in(folder):
                if not path.exists():
                    _write(path, {"asked": asked, "environment": environment})
        self.settings = _read(path)
        if not fits(self.settings, _KINDS):
            raise ValueError(f"{path}: damaged: give another --out")
        if self.settings.get("asked") != asked:
            raise ValueError(
                f"{folder} holds the rivals of another task, size, scale or device: give another "
                "--out"
            )
        for name in ("measured", "networks"):
            (folder / name).mkdir(exist_ok=True)

    def network(self, row: str, seed: int) -> Path:
        """Return where the network of a measurement lies."""
        return self.folder / "networks" / f"{_name(row, seed)}.safetensors"

    def unfinished(self, row: str, seed: int) -> Path:
        """Return where the states of a measurement's trainings lie until it is recorded."""
        return self.folder / "unfinished" / _name(row, seed)

    def put(self, measurement: Measurement) -> None:
        """Record a measurement, durably; its network is to lie in its place."""
        _write(self._path(measurement.row, measurement.seed), measurement._asdict())

    def has(self, row: str, seed: int) -> bool:
        """Whether a measurement is recorded."""
        return self._path(row, seed).exists()

    def get(self, row: str, seed: int) -> Measurement:
        """Return a measurement.

        Raises
        ------
        ValueError
            When its file is damaged.
        """
        path = self._path(row, seed)
        stated = _read(path)
        if not fits(stated, get_type_hints(Measurement)) or not (
            0 <= stated["accuracy"] <= 1
            and 0 <= stated["kept"] <= stated["source_dense"]
            and all(len(point) == len(Point._fields) for point in stated["curve"])
        ):
            raise ValueError(f"{path}: damaged: delete it, or give another --out")
        if stated.keys() != set(Measurement._fields) or (stated["row"], stated["seed"]) != (
            row, seed,
        ):  # fmt: skip
            raise ValueError(f"{path}: not the measurement of {row} with seed {seed}: delete it")
        return Measurement(**stated)

    def _path(self, row: str, seed: int) -> Path:
        return self.folder / "measured" / f"{_name(row, seed)}.json"


def digest(path: Path) -> str:
    """Return the SHA-256 of a file; empty where it cannot be read."""
    try:
        return hashlib.sha256(content_of(path)).hexdigest()
    except OSError:
        return ""


def _name(row: str, seed: int) -> str:
    return f"{row.replace(' ', '-')}-seed{seed}"


def _write(path: Path, stated: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(stated) + "\n").encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        stated = json_of(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: damaged ({error}): delete it, or give another --out") from error
    if not isinstance(stated, dict):
        raise ValueError(f"{path}: damaged: delete it, or give another --out")
    return stated
