"""What fuzzing found, one by one: each was once a traceback, a hang, or nonsense taken for good."""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hostile import instance_json
from mutations import MARKUP
from whole_files import READERS, small_target

from instances.files import from_fields, load_instance, to_fields
from instances.neurons import Neurons
from milp_lth.cli import main as cli
from milp_lth.finding import find_ticket
from milp_lth.ledger import Ledger
from milp_lth.network import read_network
from milp_lth.targets.files import load_target
from milp_lth.ticket_files import load_ticket, save_ticket
from milp_lth.value_kinds import fits


@pytest.mark.parametrize(
    "changed",
    [
        {"coefficients": [["0.5", "0.25"]]},
        {"coefficients": [[0.5, None]]},
        {"targets": [10**400]},
        {"tolerance": True},
        {"tolerance": "0.5"},
        {"tolerance": 10**400},
        {"objective": "fixed-size", "size": 1.5},
        {"objective": "fixed-size", "size": 10**400},
        {"available": [[2, 0]]},
        {"available": [["no", "no"]]},
    ],
    ids=str,
)
def test_values_of_another_kind(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = tmp_path / "instance.json"
    path.write_bytes(instance_json())
    load_instance(path)
    path.write_bytes(instance_json(**changed))
    with pytest.raises(ValueError, match=r"instance\.json: "):
        load_instance(path)


@pytest.mark.parametrize("kind", ["U", "complex", "M8[s]", "V8", "m8[s]"])
def test_arrays_that_are_no_numbers(kind: str) -> None:
    fields = to_fields(Neurons.tiny())
    array = np.zeros(fields["inputs"].shape, np.int64).astype(kind)
    with pytest.raises(ValueError, match="expected an array of float64"):
        from_fields(fields | {"inputs": array})


def test_no_layer_hides_another(tmp_path: Path) -> None:
    """Names that are one once their points are gone, and names that every module has."""
    names = ("a.b", "a_b", "forward", "training", "")
    state = {f"{name}.weight": torch.full((2, 2), k + 1.0) for k, name in enumerate(names)}
    path = tmp_path / "net.pt"
    torch.save(state, path)
    layers = read_network(load_target(path)).layers
    assert [float(layer.weight[0, 0]) for layer in layers] == [1, 2, 3, 4, 5]


def test_a_symlink_to_a_file_is_that_file(tmp_path: Path) -> None:
    torch.save(small_target().state_dict(), tmp_path / "there.pt")
    (tmp_path / "here.pt").symlink_to("there.pt")
    x = torch.linspace(-1, 1, 10).view(2, 5)
    assert torch.equal(load_target(tmp_path / "here.pt")(x), small_target()(x))


@pytest.mark.parametrize("low", [1e308, float("inf"), 0.9])
def test_a_ticket_with_edges_drawn_between_nothing(tmp_path: Path, low: float) -> None:
    path = tmp_path / "ticket.safetensors"
    save_ticket(find_ticket(small_target(), construction="direct", width=4), path)
    with safetensors.safe_open(path, framework="pt") as file:
        stated = json.loads(file.metadata()["ticket"])
    tensors = safetensors.torch.load_file(path)
    stated["layers"][0]["low"] = low
    safetensors.torch.save_file(tensors, path, {"ticket": json.dumps(stated)})
    with pytest.raises(ValueError, match=r"ticket\.safetensors: its "):
        load_ticket(path)


FIGURES: dict[str, Any] = {
    "edges": None,
    "seconds": {"solve": "long"},
    "status": {"OPTIMAL": 1},
    "layers": [{"name": 3}],
    "widths": [{"width": 4, "accuracy": "all", "agreement": 1}],
    "coupling": [],
    "beside": {"coupled": {}},
    "digests": [],
}


@pytest.mark.parametrize("command", ["report", "resume"])
@pytest.mark.parametrize("name", FIGURES)
def test_recorded_figures_of_another_kind(
    run_copy: Path, capsys: pytest.CaptureFixture[str], name: str, command: str
) -> None:
    with Ledger(run_copy) as ledger:
        ledger.put_figures({name: FIGURES[name]})
    assert cli._run([command, str(run_copy)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"a recorded figure is damaged ({name} is not what it should be)" in err


@pytest.mark.parametrize("name", FIGURES)
def test_check_tells_of_recorded_figures_of_another_kind(run_copy: Path, name: str) -> None:
    with Ledger(run_copy) as ledger:
        ledger.put_figures({name: FIGURES[name]})
    assert cli._run(["check", str(run_copy)]) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", b"\x09"), ("error", b"\0\0\0\0\0\0\xf8\x7f"), ("bound", b"\0" * 7), ("stop", 0),
        ("part", -1), ("abs_gap", -1.0), ("seconds", -1.0),
    ],
)  # fmt: skip
def test_records_that_cannot_be(run_copy: Path, column: str, value: Any) -> None:
    with contextlib.closing(sqlite3.connect(run_copy / "results.sqlite")) as database, database:
        ((part, rows),) = database.execute(
            "select part, stop from chunks where part = 1"
        ).fetchall()
        value = value * rows if isinstance(value, bytes) else value
        database.execute(f"update chunks set {column} = ? where part = ?", (value, part))
    with Ledger(run_copy) as ledger, pytest.raises(ValueError, match="is damaged"):
        list(ledger.chunks())


def test_names_are_no_markup_of_the_terminal(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger(run_copy) as ledger:
        ledger.put_figures({"untraced": f"[/b] {MARKUP}"})
    assert cli._run(["resume", str(run_copy)]) == 0
    assert "[/b] </script>" in capsys.readouterr().out


def test_a_name_that_is_no_unicode_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"net\xff.pt")
    torch.save(small_target().state_dict(), "net.pt")
    shutil.move("net.pt", name)
    assert cli._run(["run", "--target", name, "--out", "out"]) == 2
    assert capsys.readouterr().err.endswith("give a name in Unicode\n")
    assert os.listdir() == [name]


def test_a_seal_tells_every_change(tmp_path: Path) -> None:
    reader = READERS["times.json"]
    path = reader.make(tmp_path)
    stated = json.loads(path.read_text())
    for change in ({"row": {**stated["row"], "seconds": 0.25}}, {"more": 1}, {"sha256": ""}):
        path.write_text(json.dumps(stated | change))
        with pytest.raises(ValueError, match=r"times\.json: damaged"):
            reader.read(path)
    path.write_text(json.dumps(stated))
    reader.read(path)


@pytest.mark.parametrize(
    ("value", "kind", "right"),
    [
        (3, int, True), (3, float, True), (3.0, int, False), (True, int, False),
        (2**63, int, False), (10**400, float, False), (True, bool, True), ("a", str, True),
        ("\udcff", str, False),
        (None, int | None, True), ("x", int | None, False), ([1, 2.5], list[float], True),
        ([1, "2"], list[float], False), ((1, 2), tuple[int, ...], True),
        ((1, 2), tuple[float, float], True), ((1,), tuple[float, float], False),
        ([1], tuple[int, ...], False), ({"a": 1}, dict[str, int], True),
        ({"a": []}, dict[str, int], False), ({"a": 1, "b": []}, {"a": int}, True),
        ({"b": []}, {"a": int}, False), ([], {"a": int}, False), ({}, {}, True),
    ],
)  # fmt: skip
def test_kinds_of_values(value: Any, kind: Any, right: bool) -> None:
    assert fits(value, kind) is right


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_headers_that_python_2_wrote_are_read_without_a_warning(
    tmp_path: Path, suffix: str
) -> None:
    reader = READERS[f"calibration{suffix}"]
    path = reader.make(tmp_path)
    array = io.BytesIO()
    np.save(array, np.zeros((3, 5)))
    content = array.getvalue().replace(b"(3, 5), }  ", b"(3L, 5L), }")
    assert b"5L" in content
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", content)
    else:
        path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader.read(path)


def test_a_curve_that_is_infinitely_long_is_refused(tmp_path: Path) -> None:
    path = READERS["checkpoint"].make(tmp_path)
    with safetensors.safe_open(path, framework="pt") as file:
        stated = json.loads(file.metadata()["training"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    stated["curve"] = [[float("inf"), 0.5, 1.0]]
    safetensors.torch.save_file(tensors, path, {"training": json.dumps(stated)})
    with pytest.raises(ValueError, match="delete it to begin anew"):
        READERS["checkpoint"].read(path)


def test_layers_of_a_ticket_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ticket.safetensors"
    save_ticket(find_ticket(small_target(), width=4, construction="direct"), path)
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    stated = json.loads(metadata["ticket"])
    first, second = stated["layers"]
    swapped = {f"{1 - int(key[0])}{key[1:]}": tensor for key, tensor in tensors.items()}
    metadata["ticket"] = json.dumps(stated | {"layers": [second, first]})
    safetensors.torch.save_file(swapped, path, metadata)
    with pytest.raises(ValueError, match="its layers have other outputs than the next ones take"):
        load_ticket(path)
