"""Instances in files: ``.npz`` and ``.json`` with the same keys, never a pickle; knapsack text.

The key ``format`` names the problem class and its version; the other keys are that class's own. Of
"subset-sum/1" they are ``coefficients`` (b, n), ``targets`` (b,), ``objective`` (its name), and
where they apply ``tolerance``, ``size`` and ``available`` (b, n).
"""

import io
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.edge_budget import EdgeBudget
from instances.instance import Instance
from instances.knapsack import read_knapsack, to_knapsack
from instances.neuron_selection import NeuronSelection
from instances.neurons import Neurons
from instances.perturbed import PerturbedSubsetSum
from instances.plain_files import content_of, json_of
from instances.shared_units import SharedUnits
from instances.subset_sum import SubsetSum
from instances.valued_knapsack import ValuedKnapsack

CLASSES: dict[str, type[Instance]] = {
    c.FORMAT: c
    for c in (
        SubsetSum,
        PerturbedSubsetSum,
        Neurons,
        ArbitrarySource,
        SharedUnits,
        EdgeBudget,
        ValuedKnapsack,
        NeuronSelection,
    )
}
"""The problem classes by what files call them."""

_MOST_UNPACKED = 2**30
"""Bytes that an archive may unpack to, however small it is."""

_SUFFIXES = "an instance file ends in .npz or .json, or in .kp or .knapsack where it is text"


def save_instance(instance: Instance, path: str | os.PathLike[str]) -> None:
    """Write `instance` to `path`; the suffix chooses the format.

    ``.npz`` and ``.json`` hold any instance; ``.kp`` and ``.knapsack``, text, only one row of whole
    numbers whose closest sum is sought. The file appears whole or not at all.

    Parameters
    ----------
    instance
        A batch of any problem class.
    path
        Where to; what is there is replaced.

    Raises
    ------
    ValueError
        When the suffix is none of these, or knapsack text cannot state the instance.
    """
    path = Path(path)
    try:
        content = instance_bytes(instance, path.suffix)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    write_atomically(path, content)


def instance_bytes(instance: Instance, suffix: str) -> bytes:
    """Return the content of a file with this `suffix` that holds `instance`.

    Raises
    ------
    ValueError
        As `save_instance` does.
    """
    if suffix == ".npz":
        return npz_bytes(to_fields(instance))
    if suffix == ".json":
        plain = {k: np.asarray(v).tolist() for k, v in to_fields(instance).items()}
        return (json.dumps(plain) + "\n").encode()
    if suffix in (".kp", ".knapsack") and isinstance(instance, SubsetSum):
        return to_knapsack(instance).encode()
    if suffix in (".kp", ".knapsack"):
        raise ValueError("knapsack text holds a SubsetSum alone: choose .npz or .json")
    raise ValueError(_SUFFIXES)


def load_instance(path: str | os.PathLike[str]) -> Instance:
    """Read an instance from a ``.npz`` or ``.json`` file, or as `read_knapsack` does.

    A file that ends in ``.kp``, ``.knapsack`` or ``.txt`` is taken for knapsack text.

    Parameters
    ----------
    path
        The file; its suffix says what it holds.

    Returns
    -------
    Instance
        A batch of whichever problem class the file states.

    Raises
    ------
    ValueError
        When the file is missing, truncated, of another kind, or states no valid instance.
    """
    path = Path(path)
    if path.suffix in (".kp", ".knapsack", ".txt"):
        return read_knapsack(path)
    try:
        if path.suffix == ".npz":
            fields: Mapping[str, Any] = read_npz(content_of(path))
        elif path.suffix == ".json":
            fields = json_of(path)
        else:
            raise ValueError(_SUFFIXES)
        return from_fields(fields)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def to_fields(instance: Instance) -> dict[str, Any]:
    """Return the keys and values that state `instance`."""
    return {"format": instance.FORMAT, **instance.fields()}


def from_fields(fields: Mapping[str, Any]) -> Instance:
    """Make the instance that `fields` states.

    Raises
    ------
    ValueError
        When a key is missing or a value does not fit.
    """
    name = str(fields.get("format")) if isinstance(fields, Mapping) else ""
    if name not in CLASSES:
        raise ValueError(f"not an instance: its key 'format' must be one of {', '.join(CLASSES)}")
    return CLASSES[name].from_fields(fields)


def npz_bytes(fields: Mapping[str, Any]) -> bytes:
    """Return the content of an ``.npz`` file that holds `fields` as plain arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **fields)
    return buffer.getvalue()


def read_npz(content: bytes) -> dict[str, Any]:
    """Read an ``.npz`` file's content; scalars come back as plain values.

    Raises
    ------
    ValueError
        When it is truncated, no archive of arrays, holds a pickle, or unpacks to too much.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            num_bytes = sum(member.file_size for member in packed.infolist())
        if num_bytes > max(len(content), _MOST_UNPACKED):
            raise _TooLargeError(f"unpacks to {num_bytes:,} bytes, which is too much")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote: these are read
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = {k: archive[k] for k in archive.files}
        return {k: v.item() if v.ndim == 0 else v for k, v in arrays.items()}
    except _TooLargeError:
        raise
    except Exception as error:  # of many kinds: zipfile, zlib and the parser of headers have theirs
        raise ValueError("not a whole .npz file of plain arrays") from error


class _TooLargeError(ValueError):
    """What an archive would unpack to."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that no half-written file is ever seen under that name."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
