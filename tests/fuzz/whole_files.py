"""Whole files of every kind that is read, and who reads them."""

import gzip
import json
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import mutations as m
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from torch import nn

from instances.files import CLASSES, load_instance, save_instance, to_fields
from instances.mps import from_mps, to_mps
from instances.subset_sum import SubsetSum
from milp_lth.calibration import load_calibration
from milp_lth.certificates.certificate_file import (
    CERTIFICATES,
    read_certificates,
    write_certificates,
)
from milp_lth.compare.comparison import Asked, Comparison
from milp_lth.compare.store import FILE, Store
from milp_lth.constructions.registry import CONSTRUCTIONS
from milp_lth.environment import environment
from milp_lth.finding import find_ticket
from milp_lth.network import read_network
from milp_lth.reproduce.timed_runs import TimedRuns
from milp_lth.reproduce.width_search import WidthSearch
from milp_lth.rivals import store as rivals
from milp_lth.rivals.checkpoint import Checkpoint, Progress
from milp_lth.rivals.files import load_network, save_network
from milp_lth.rivals.found import Point
from milp_lth.rivals.methods import Entry
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.targets.data import random_data
from milp_lth.targets.files import load_state, load_target, load_written_target, save_target
from milp_lth.targets.idx import load_mnist
from milp_lth.ticket_files import load_ticket, save_ticket


class Reader(NamedTuple):
    """A kind of file."""

    make: Callable[[Path], Path]
    """Writes a whole one into an empty folder, with what belongs beside it."""
    read: Callable[[Path], Any]
    """Reads it; an AssertionError means that nonsense was taken for good."""
    changes: tuple[m.Change, ...]


@cache
def small_target() -> nn.Sequential:
    """A perceptron of two layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).requires_grad_(False)


def _instance(name: str, suffix: str) -> Reader:
    def make(folder: Path) -> Path:
        save_instance(CLASSES[name].tiny(), folder / f"instance{suffix}")
        return folder / f"instance{suffix}"

    changes = (m.other_arrays, m.repacked) if suffix == ".npz" else (m.restated_json,)
    return Reader(make, _read_instance, (*changes, m.damaged))


def _read_instance(path: Path) -> None:
    instance = load_instance(path)
    for value in to_fields(instance).values():
        assert not isinstance(value, float | np.ndarray) or np.isfinite(np.asarray(value)).all()
    if instance.num_candidates < 10**6:
        instance.evaluate(np.zeros((len(instance), instance.num_candidates), np.bool_))


def _knapsack(name: str) -> Reader:
    def make(folder: Path) -> Path:
        (folder / "p_c.txt").write_text("53\n")
        (folder / "p_w.txt").write_text("15\n33\n12\n20\n")
        (folder / "sum.kp").write_text("4 53\n15 15\n33 33\n12 12\n20 20\n")
        return folder / name

    return Reader(make, _read_instance, (m.damaged,))


def _mps(folder: Path) -> Path:
    text = to_mps(SubsetSum(np.array([[0.5, 0.25, -0.125]]), np.array([0.4])).milp(0))
    (folder / "row.mps").write_text(text)
    return folder / "row.mps"


def _target(name: str) -> Reader:
    def make(folder: Path) -> Path:
        net, path = small_target(), folder / name
        if name == "net.safetensors":
            safetensors.torch.save_file(net.state_dict(), path)
        elif name == "target.safetensors":
            save_target(read_network(net), path)
        elif name == "net.onnx":
            from milp_lth.targets.onnx_export import save_onnx

            convolution = nn.Sequential(
                nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
                nn.Flatten(), nn.Linear(48, 3),
            )  # fmt: skip
            save_onnx(convolution.eval(), torch.rand(2, 1, 8, 8), path)
        else:
            torch.save(net.state_dict(), path, _use_new_zipfile_serialization=name != "old.pt")
        return path

    reads: dict[str, Callable[[Path], Any]] = {"target.safetensors": load_written_target}
    changes: dict[str, tuple[m.Change, ...]] = {
        "net.pt": (m.repacked,), "old.pt": (), "net.onnx": (m.restated_onnx, m.restated_onnx),
    }  # fmt: skip
    before = changes.get(name, (m.restated_safetensors,))
    return Reader(make, reads.get(name, _read_target), (*before, m.damaged))


def _read_target(path: Path) -> None:
    network = read_network(load_target(path))
    assert all(np.isfinite(layer.weight).all() for layer in network.layers)


def _of_a_module(path: Path) -> None:
    fresh = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    read_network(load_state(path, fresh))


def _ticket(construction: str) -> Reader:
    def make(folder: Path) -> Path:
        net = small_target()
        if construction == "quantised":
            net = nn.Sequential(*[nn.Linear(5, 3, bias=False)])
            net[0].weight = nn.Parameter(torch.arange(-7.0, 8).view(3, 5) / 8, requires_grad=False)
        save_ticket(find_ticket(net, construction=construction, width=6), folder / "t.safetensors")
        return folder / "t.safetensors"

    def read(path: Path) -> None:
        ticket = load_ticket(path)
        first = ticket.layers[0]
        x = torch.zeros(2, first.num_inputs - first.has_bias, dtype=first.v.dtype)
        assert len(ticket(x)) == 2

    return Reader(make, read, (m.restated_safetensors, m.restated_safetensors, m.damaged))


_IDX = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def idx_bytes(array: Any) -> bytes:
    """Return the content of an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + bytes(array.astype(np.uint8))


def _idx(name: str) -> Reader:
    def make(folder: Path) -> Path:
        images = np.arange(240, dtype=np.uint8).reshape(20, 4, 3)
        contents = {_IDX[0]: idx_bytes(images), _IDX[1]: idx_bytes(np.arange(20) % 10)}
        for plain, content in contents.items():
            packed = name == f"{plain}.gz"
            (folder / (name if packed else plain)).write_bytes(
                gzip.compress(content, mtime=0) if packed else content
            )
        return folder / name

    def read(path: Path) -> None:
        data = load_mnist(path.parent)
        assert data.y is not None
        assert len(data.x) == len(data.y)
        assert 0 <= float(data.x.min()) <= float(data.x.max()) <= 1

    def inside(content: bytes, rng: np.random.Generator) -> bytes:
        return gzip.compress(m.damaged(gzip.decompress(content), rng), mtime=0)

    return Reader(make, read, (m.damaged, inside) if name.endswith(".gz") else (m.damaged,))


def _calibration(suffix: str) -> Reader:
    def make(folder: Path) -> Path:
        x, path = np.linspace(-1, 1, 35).reshape(7, 5), folder / f"inputs{suffix}"
        if suffix == ".npy":
            np.save(path, x)
        elif suffix == ".npz":
            np.savez(path, x=x)
        else:
            safetensors.numpy.save_file({"x": x}, path)
        return path

    def read(path: Path) -> None:
        data = load_calibration(str(path), random_data(5, (-1.0, 1.0), 0), None)
        assert data.x.isfinite().all()

    changes = {".npy": (), ".npz": (m.other_arrays, m.repacked)}
    return Reader(make, read, (*changes.get(suffix, (m.restated_safetensors,)), m.damaged))


def _rivals(name: str) -> Reader:
    entry, shape = Entry("edge-popup", 0.3), Shape("fc2", 5, 3, 4)

    def make(folder: Path) -> Path:
        found = rivals.Store(folder / "rivals", {"data": "digits"}, environment())
        path = found.network("edge-popup 0.3", 2)
        network = random_network(shape, 2, distribution="signed-constant")
        save_network(network, path, entry)
        found.put(
            rivals.Measurement(
                "edge-popup 0.3", 2, 0.9, 5, 32, 0.0, 0.1, 10, "10 epochs", True, True,
                rivals.digest(path), [[1.0, 0.5, 2.0]], {}, rivals.packed(np.arange(3)),
            )
        )  # fmt: skip
        return folder / "rivals" / name

    def read(path: Path) -> None:
        if path.suffix == ".safetensors":
            load_network(path, entry, shape, 2)
            return
        measured = rivals.Store(path.parents["settings" not in name], {"data": "digits"}, {})
        one = measured.get("edge-popup 0.3", 2)
        rivals.unpacked(one.classes)
        assert 0 <= one.accuracy <= 1

    change = m.restated_safetensors if name.endswith(".safetensors") else m.restated_json
    return Reader(make, read, (change, m.damaged))


def _checkpoint(path: Path) -> Checkpoint:
    net = nn.Linear(5, 3, bias=False)
    nn.init.ones_(net.weight)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return Checkpoint(path, ["x"], net, optimizer, scheduler, torch.Generator())


def _write_checkpoint(folder: Path) -> Path:
    path = folder / "dense.safetensors"
    _checkpoint(path).keep(Progress((Point(10, 0.5, 1.0),), 2.0), last=True)
    return path


def _read_checkpoint(path: Path) -> None:
    with torch.random.fork_rng():
        _checkpoint(path).load()


def _compare(folder: Path) -> Path:
    comparison = Comparison(Asked(("uniform-16",), ("greedy",), rows=2), folder / "out")
    comparison.carry_out()
    return folder / "out" / FILE


def _read_compared(path: Path) -> None:
    with Store(path.parent) as store:
        store.settings(), store.runs(), store.batches(), store.known()


def _times(folder: Path) -> Path:
    runs = TimedRuns(folder / "out", {"target": "digits-mlp"})
    runs.put("row", {"seconds": 0.5, "errors": [0.25, 1e-9], "verified": True})
    return folder / "out" / "times.json"


def _read_times(path: Path) -> None:
    runs = TimedRuns(path.parent, {"target": "digits-mlp"})
    assert runs.get("row") == {"seconds": 0.5, "errors": [0.25, 1e-9], "verified": True}


def _widths(folder: Path) -> Path:
    record = {"objective": "closest", "width": 3, "seed": 0, "accuracy": 0.5}
    record |= dict.fromkeys(("target_accuracy", "agreement", "median_error"), 0.5)
    (folder / "widths.json").write_text(json.dumps([record, record]))
    return folder / "widths.json"


def _read_widths(path: Path) -> None:
    records = WidthSearch(read_network(small_target()), "digits", path.parent, 1).records
    assert all(float(one["width"]) * one["accuracy"] is not None for one in records)


def _certificates(folder: Path) -> Path:
    return write_certificates(folder, {"rows": [[0, 1.5, {"a": None}]]})


READERS: dict[str, Reader] = {
    **{f"{c}{s}": _instance(c, s) for c in CLASSES for s in (".npz", ".json")},
    **{name: _knapsack(name) for name in ("sum.kp", "p_w.txt", "p_c.txt")},
    "row.mps": Reader(_mps, lambda p: from_mps(p.read_bytes().decode("latin-1")), (m.damaged,)),
    **{
        name: _target(name)
        for name in ("net.safetensors", "net.pt", "old.pt", "target.safetensors", "net.onnx")
        if name != "net.onnx" or find_spec("onnxscript")
    },
    "a module's .safetensors": _target("net.safetensors")._replace(read=_of_a_module),
    **{f"ticket, {name}": _ticket(name) for name in CONSTRUCTIONS},
    **{name: _idx(name) for name in (*_IDX, f"{_IDX[0]}.gz")},
    **{f"calibration{suffix}": _calibration(suffix) for suffix in (".npy", ".npz", ".safetensors")},
    **{
        f"rivals, {name}": _rivals(name)
        for name in (
            "settings.json",
            "measured/edge-popup-0.3-seed2.json",
            "networks/edge-popup-0.3-seed2.safetensors",
        )
    },
    "checkpoint": Reader(_write_checkpoint, _read_checkpoint, (m.restated_safetensors, m.damaged)),
    "comparison.sqlite": Reader(_compare, _read_compared, (m.restated_sqlite, m.damaged)),
    "times.json": Reader(_times, _read_times, (m.restated_json, m.damaged)),
    "widths.json": Reader(_widths, _read_widths, (m.restated_json, m.damaged)),
    CERTIFICATES: Reader(
        _certificates, lambda p: read_certificates(p.parent), (m.restated_json, m.damaged)
    ),
}
