"""The checksum of an instance: equal if and only if every bit of the problem is."""

import hashlib

import numpy as np

from instances.instance import Instance
from instances.objectives import FixedSize
from instances.subset_sum import SubsetSum

_KIND = "subset-sum/1"  # fixed for ever, whatever becomes of files: it is part of every checksum


def checksum(instance: Instance) -> str:
    """Return the SHA-256 of everything that states the instance.

    Numbers enter as little-endian float64, so that every machine finds the same.
    """
    if not isinstance(instance, SubsetSum):
        return _of_fields(instance)
    rows, candidates = instance.coefficients.shape
    tolerance = "–" if instance.tolerance is None else instance.tolerance.hex()
    size = instance.objective.size if isinstance(instance.objective, FixedSize) else "–"
    ragged = instance.available is not None
    heading = f"{_KIND} {rows} {candidates} {instance.objective.name} {tolerance} {size} {ragged}"
    digest = hashlib.sha256(heading.encode())
    for numbers in (instance.coefficients, instance.targets):
        digest.update(np.ascontiguousarray(numbers, dtype="<f8").tobytes())
    if instance.available is not None:
        digest.update(np.ascontiguousarray(instance.available).tobytes())
    return digest.hexdigest()


def _of_fields(instance: Instance) -> str:
    digest = hashlib.sha256(instance.FORMAT.encode())
    for name, value in sorted(instance.fields().items()):
        array = np.asarray(value)
        content = str(value).encode()
        if array.dtype.kind in "fiub":
            plain = {"f": "<f8", "i": "<i8", "u": "<i8", "b": "?"}[array.dtype.kind]
            content = np.ascontiguousarray(array, dtype=plain).tobytes()
        digest.update(f" {name} {array.shape} ".encode() + content)
    return digest.hexdigest()
