"""Commands that are given files made by somebody who means harm.

``python tests/fuzz/hostile_commands.py RUN`` carries them out in the working directory, in one
process of limited memory, and prints a line of JSON for each: code, output and what was used. RUN
is the folder of a finished run of wine-mlp.
"""

import contextlib
import io
import json
import os
import resource
import shutil
import sqlite3
import struct
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzzing import TooLongError, at_most
from hostile import EXPLODED, FILES, GIB, bomb, npy_header, packed_zeros
from torch import nn
from whole_files import idx_bytes

MEMORY = GIB
"""Bytes that all of them together may use beyond what the program needs."""

Cases = list[tuple[list[str], str]]
"""Commands, each with a part of what it says to what it is given."""

_DATA_AWARE = ["run", "--target", "wine-mlp", "--objective", "data-aware", "--out", "out"]


def command_for(name: str) -> list[str]:
    """Return the command that reads a file of this name."""
    if name.endswith((".pt", ".safetensors", ".onnx")):
        return ["run", "--target", name, "--width", "2", "--out", "out"]
    return ["solve", name]


def _onnx_bombs() -> Cases:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    sizes: list[str | int | None] = ["n", 2**31]
    weight = TensorProto(name="w", dims=[2**31, 2**31], data_type=TensorProto.FLOAT)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "bomb",
        [value("x", TensorProto.FLOAT, sizes)], [value("y", TensorProto.FLOAT, sizes)], [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    Path("bomb.onnx").write_bytes(model.SerializeToString())
    weight = model.graph.initializer[0]
    weight.dims[:] = [0, 0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights")
    Path("pipe-beside.onnx").write_bytes(model.SerializeToString())
    os.mkfifo("weights")
    return [
        (command_for("bomb.onnx"), "not a whole .onnx file"),
        (command_for("pipe-beside.onnx"), "not a regular file"),
    ]


def _idx_bombs() -> Cases:
    head = bytes([0, 0, 8, 3])
    cube = head + struct.pack(">3L", 2**10, 2**9, 2**9)
    packed, checksum = packed_zeros(GIB // 4, before=cube)
    gzipped = b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + packed
    gzipped += struct.pack("<LL", checksum, GIB // 4 + len(cube))
    bombs = {
        "packed": (".gz", gzipped, "which is too much"),
        "wide": ("", head + b"\xff" * 12, "which is too much"),
        "flat": ("", head + struct.pack(">3L", 2**30, 0, 2**30), "images beside 3 labels"),
    }
    torch.save(nn.Sequential(nn.Linear(12, 3)).state_dict(), "pixels.pt")
    cases: Cases = []
    for name, (suffix, content, message) in bombs.items():
        Path(name).mkdir()
        Path(name, f"t10k-images-idx3-ubyte{suffix}").write_bytes(content)
        Path(name, "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3)))
        cases.append((["run", "--target", "pixels.pt", "--data", name, "--out", "out"], message))
    return cases


def _calibration_bombs() -> Cases:
    pickled = npy_header((1, 13)).replace(b"'<f8'", b"'|O' ") + b"\x80\x04N."
    bombs = {
        "wide.npy": (npy_header((2**40, 13)), "allocate"),
        "code.npy": (pickled, "Object arrays cannot be loaded"),
        "inputs.npz": (bomb("x.npy", GIB, before=npy_header((GIB // 8, 1))), "unpacks to"),
    }
    for name, (content, _) in bombs.items():
        Path(name).write_bytes(content)
    return [([*_DATA_AWARE, "--calibration", name], said) for name, (_, said) in bombs.items()]


_ENDLESS_TABLE = (
    "create view {0} as with recursive n(k) as (select 1 union all select k + 1 from n) "
    "select {1} from n"
)


def _databases(run: Path) -> Cases:
    """Tables that have no end, or do something of their own."""
    columns = "k part, 0 start, 1 stop, " + ", ".join(f"x'00' c{k}" for k in range(9))
    statements = {
        "chunks": ["drop table chunks", _ENDLESS_TABLE.format("chunks", columns)],
        "figures": [
            "drop table figures", _ENDLESS_TABLE.format("figures", "'a' || k name, 'null' value"),
        ],
        "trigger": [
            "create trigger t after insert on figures begin "
            "update chunks set error = zeroblob(1000000000); end"
        ],
    }  # fmt: skip
    for name, some in statements.items():
        shutil.copytree(run, name)
        with contextlib.closing(sqlite3.connect(f"{name}/results.sqlite")) as database, database:
            for statement in some:
                database.execute(statement)
    return [
        ([command, name], "its tables are others")
        for name in statements
        for command in ("report", "check", "resume")
    ]


def _settings(run: Path) -> Cases:
    """Run folders that ask for too much, or name code."""
    too_large = "does not fit into memory"
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "width": ({"width": 10**12}, too_large),
        "device": ({"device": "meta"}, "cannot be used"),
        "module": ({"module": "evil.py:Evil", "target": "x.pt"}, "if you trust the code"),
        "nan": ({"time_limit": float("nan")}, "time limit nan"),
        "shape": ({"target": "x.pt", "input_shape": [10**6, 10**6]}, too_large),
        "data": ({"data": "/dev/zero"}, "unknown data"),
        "surrogate": ({"target": "\ud800.pt"}, "'target' is not what it should be"),
        "text": ({"width": "16"}, "'width' is not what it should be"),
    }
    Path("evil.py").write_text(f"open({EXPLODED!r}, 'w')\nclass Evil: pass\n")
    for name, (changed, _) in changes.items():
        shutil.copytree(run, name)
        path = Path(name, "settings.json")
        stated = json.loads(path.read_text())
        stated["settings"] |= changed
        if name == "module":
            del stated["target"]["steps"]
        path.write_text(json.dumps(stated))
    return [(["check", name], message) for name, (_, message) in changes.items()]


_PLACES: dict[str, Callable[[str], None]] = {
    "pipe": os.mkfifo,
    "device": partial(os.symlink, "/dev/zero"),
    "folder": os.mkdir,
    "loop": lambda name: os.symlink(Path(name).name, name),
    "nowhere": partial(os.symlink, "none"),
}
"""What may lie where a file belongs."""


def _places(run: Path) -> Cases:
    commands = []
    for kind, put in _PLACES.items():
        for suffix in (".npz", ".json", ".kp", ".pt", ".safetensors"):
            put(name := f"{kind}{suffix}")
            commands.append(command_for(name))
        put(name := f"{kind}-inputs.npy")
        commands.append([*_DATA_AWARE, "--calibration", name])
        for name in ("settings.json", "target.safetensors", "ticket.safetensors"):
            shutil.copytree(run, folder := f"{kind}-{name}")
            Path(folder, name).unlink()
            put(f"{folder}/{name}")
            commands.append(["check", folder])
    return [(command, "cannot be read") for command in commands]


def all_cases(run: Path) -> Cases:
    """Write all files into the working directory and return the commands that are given them."""
    cases: Cases = []
    for name, (message, content) in FILES.items():
        Path(name).write_bytes(content())
        cases.append((command_for(name), message))
    cases += _onnx_bombs() if find_spec("onnx") else []
    cases += _idx_bombs() + _calibration_bombs()
    return cases + _databases(run) + _settings(run) + _places(run)


def main(run: Path) -> None:
    """Carry the commands out, one after the other, and print what each said and used."""
    from milp_lth.cli.main import _run

    cases = all_cases(run)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        _run(["check", str(run)])  # loads whatever is needed
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2 * MEMORY, used + 2 * MEMORY))
    before, names = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, set(os.listdir())
    for command, message in cases:
        out, err, began = io.StringIO(), io.StringIO(), time.perf_counter()
        code: Any = None
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(record=True) as told,
        ):
            warnings.simplefilter("always")
            try:
                with at_most():
                    code = _run(command)
            except (Exception, TooLongError) as error:
                code = f"{type(error).__name__}: {error}"
        found = {
            "command": command, "message": message, "code": code, "out": out.getvalue(),
            "err": err.getvalue(), "warnings": [str(one.message) for one in told],
            "seconds": time.perf_counter() - began,
            "memory": 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before),
            "left": sorted(set(os.listdir()) - names),
        }  # fmt: skip
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
