"""Files made by somebody who means harm: bombs, code, and headers that lie."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mutations import zipped

from instances.files import to_fields
from instances.subset_sum import SubsetSum

GIB = 2**30

EXPLODED = "exploded"
"""The file that code in a file would create."""


def packed_zeros(num_bytes: int, *, before: bytes = b"") -> tuple[bytes, int]:
    """Return a deflated stream of `before` and so many zeros, quickly, and its checksum."""
    size = 2**20
    head = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = head.compress(before) + head.flush(zlib.Z_FULL_FLUSH)
    block = zlib.compressobj(9, zlib.DEFLATED, -15)
    again = block.compress(bytes(size)) + block.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    checksum, zeros = zlib.crc32(before), bytes(size)
    for _ in range(num_bytes // size):
        checksum = zlib.crc32(zeros, checksum)
    return stream + again * (num_bytes // size) + end, checksum


def bomb(name: str, num_bytes: int, *, before: bytes = b"") -> bytes:
    """Return an archive of one file that is a thousand times larger than the archive."""
    data, checksum = packed_zeros(num_bytes, before=before)
    size = len(before) + num_bytes
    fields = (20, 0, zipfile.ZIP_DEFLATED, 0, 0, checksum, len(data), size, len(name), 0)
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name.encode()
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, *fields, 0, 0, 0, 0, 0) + name.encode()
    place = len(local) + len(data)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), place, 0)
    return local + data + entry + end


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Return the head of an ``.npy`` file, without its numbers."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


class _Call:
    """What unpickling calls something for."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> Any:
        return self.called


class _Storage:
    """Numbers of a ``.pt`` file, by how many it says there are."""

    def __init__(self, count: int) -> None:
        self.count = count


class _Pickler(pickle.Pickler):
    def persistent_id(self, found: Any) -> Any:
        if isinstance(found, _Storage):
            return ("storage", torch.FloatStorage, "0", "cpu", found.count)
        return None


def pt_bytes(weight: Any, *, method: int = zipfile.ZIP_STORED, zeros: int = 6) -> bytes:
    """Return a ``.pt`` file with whatever in the place of a tensor, and so many numbers beside."""
    buffer, pickled = io.BytesIO(), io.BytesIO()
    torch.save({"0.weight": torch.zeros(2, 3)}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    _Pickler(pickled, protocol=2).dump({"0.weight": weight})
    members["archive/data.pkl"] = pickled.getvalue()
    members["archive/data/0"] = bytes(4 * zeros)
    return zipped(members, method)


def rebuilt(count: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> _Call:
    """Return a tensor of this shape over a storage of so many numbers."""
    return _Call(
        torch._utils._rebuild_tensor_v2, _Storage(count), 0, shape, strides, False, OrderedDict()
    )


def old_pt_bytes(content: Any) -> bytes:
    """Return a ``.pt`` file of the format before archives, with anything pickled in it."""
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer, _use_new_zipfile_serialization=False)
    buffer.seek(0)
    for _ in range(3):
        pickle.load(buffer)
    head = buffer.getvalue()[: buffer.tell()]
    return head + pickle.dumps(content, protocol=2)


def safetensors_bytes(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a ``.safetensors`` file with this header, or one that says another length of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def _tensor(shape: list[int], start: int, stop: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def instance_json(**changed: Any) -> bytes:
    """Return an instance file with other values."""
    fields = to_fields(SubsetSum(np.array([[0.5, 0.25]]), np.array([0.7])))
    plain = {name: np.asarray(value).tolist() for name, value in fields.items()}
    return json.dumps(plain | changed).encode()


def _touch() -> _Call:
    return _Call(Path.touch, Path(EXPLODED))


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "packed.npz": ("unpacks to", lambda: bomb("coefficients.npy", GIB + 2**20)),
    "wide.npz": ("not a whole", lambda: zipped({"coefficients.npy": npy_header((2**40, 2**20))})),
    "empty.npz": ("not a whole", lambda: zipped({"coefficients.npy": npy_header((2**60, 0))})),
    "pickle.npz": (
        "not a whole", lambda: zipped({"coefficients.npy": b"\x93NUMPY\x01\x00v\x00"
                                b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(
                                    118) + pickle.dumps(_touch())})
    ),
    "deep.json": ("too deeply", lambda: b"[" * 10**6),
    "long.json": ("digits", lambda: b'{"format": ' + b"9" * 10**6 + b"}"),
    "large.json": ("too large", lambda: instance_json(targets=[10**400])),
    "text.json": ("of <U3", lambda: instance_json(coefficients=[["0.5", "1"]])),
    "null.json": ("of object", lambda: instance_json(coefficients=[[0.5, None]])),
    "nan.json": ("remove NaN", lambda: instance_json(targets=[float("nan")])),
    "many.kp": ("torn", lambda: b"10000000 5\n5 5\n"),
    "digits.kp": ("too long", lambda: b"1 " + b"9" * 10**6 + b"\n5 5\n"),
    "zeros.kp": ("too long", lambda: bytes(10**6)),
    "code.pt": ("more than tensors", lambda: pt_bytes(_touch())),
    "system.pt": ("more than tensors", lambda: pt_bytes(_Call(os.system, f"touch {EXPLODED}"))),
    "old.pt": ("more than tensors", lambda: old_pt_bytes({"0.weight": _touch()})),
    "inst.pt": ("more than tensors", lambda: old_pt_bytes(0)[:-4] + b"(S'x'\niposix\nsystem\n."),
    "bytes.pt": ("more than tensors", lambda: pt_bytes(_Call(bytearray, 2**36))),
    "tensor.pt": ("more than tensors", lambda: pt_bytes(_Call(torch.FloatTensor, 2**34))),
    "strides.pt": ("more numbers", lambda: pt_bytes(rebuilt(6, (10**7, 10**7), (0, 0)))),
    "beyond.pt": ("not a whole", lambda: pt_bytes(rebuilt(10**9, (10**9, 1), (1, 1)))),
    "packed.pt": (
        "packed", lambda: pt_bytes(rebuilt(10**7, (10**7, 1), (1, 1)), zeros=10**7,
                                   method=zipfile.ZIP_DEFLATED)
    ),
    "bomb.pt": ("packed", lambda: bomb("archive/data.pkl", GIB // 16)),
    "length.safetensors": ("not a whole", lambda: safetensors_bytes({}, length=2**63)),
    "header.safetensors": ("not a whole", lambda: safetensors_bytes({}, length=10**8)),
    "deep.safetensors": ("not a whole", lambda: safetensors_bytes(b'{"a":' * 10**5)),
    "overlap.safetensors": (
        "not a whole", lambda: safetensors_bytes({"0.weight": _tensor([2, 1], 0, 8),
                                              "2.weight": _tensor([1, 2], 4, 12)}, bytes(12))
    ),
    "beyond.safetensors": (
        "not a whole", lambda: safetensors_bytes({"0.weight": _tensor([2**31, 2**31], 0, 2**64)})
    ),
    "wide.safetensors": (
        "has no weights", lambda: safetensors_bytes({"w.weight": _tensor([2**40, 0], 0, 0)})
    ),
    "nan.safetensors": (
        "NaN", lambda: safetensors_bytes({"w.weight": _tensor([1, 1], 0, 4)}, b"\0\0\xc0\x7f")
    ),
    "half.safetensors": (
        "bfloat16", lambda: safetensors_bytes({"w.weight": _tensor([1, 2], 0, 4, "BF16")}, bytes(4))
    ),
    "bits.safetensors": (
        "float4", lambda: safetensors_bytes({"w.weight": _tensor([1, 2], 0, 1, "F4")}, bytes(1))
    ),
}  # fmt: skip
"""What is said of each file, and its content."""
