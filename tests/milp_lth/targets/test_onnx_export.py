"""Networks and tickets as ONNX files: they compute what they computed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import milp_lth
from milp_lth.cli import main as cli
from milp_lth.finding import find_ticket
from milp_lth.ledger import Ledger
from milp_lth.run import Run
from milp_lth.targets import onnx_export
from milp_lth.targets.onnx import load_onnx
from milp_lth.targets.onnx_export import save_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnx.reference")


def computed(path: Path | str, x: torch.Tensor) -> torch.Tensor:
    """What the reference implementation makes of a file."""
    (y,) = onnx.reference.ReferenceEvaluator(str(path)).run(None, {"input": x.numpy()})
    return torch.tensor(y)


def assert_same(path: Path | str, module: nn.Module, x: torch.Tensor) -> Any:
    """The file computes what the module does, for batches of any size; return the model."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    with torch.no_grad():
        for rows in (x[:1], x[:5]):
            y = module(rows)
            found = computed(path, rows)
            assert found.dtype == y.dtype
            scale = max(1.0, float(y.abs().max()))
            assert float((found - y).abs().max()) <= 1e-5 * scale
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    return model


@pytest.mark.parametrize("construction", ["two-layer", "direct", "direct-shared"])
@pytest.mark.parametrize("to", ["ticket", "halves", "target"])
def test_tickets(wine: Any, tmp_path: Path, construction: str, to: str) -> None:
    target, data = wine
    ticket = find_ticket(target, seed=0, width=8, construction=construction)
    module = ticket if to == "ticket" else ticket.fold("target" if to == "target" else None)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    x = data.x if to == "ticket" else data.x.to(next(module.parameters()).dtype)
    save_onnx(module, x, tmp_path / "net.onnx")
    model = assert_same(tmp_path / "net.onnx", module, x)
    after = module.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    if to == "target" or (to == "halves" and construction != "two-layer"):
        assert [node.op_type for node in model.graph.node] == ["Gemm", "Relu", "Gemm"]
        loaded = load_onnx(tmp_path / "net.onnx")
        assert torch.equal(loaded(x), module(x))
    assert not [node for node in model.graph.node if "Sequence" in node.op_type]


def test_a_ticket_of_digits(digits: Any, tmp_path: Path) -> None:
    target, data = digits
    ticket = find_ticket(target, seed=0, width=8, input_range=(0, 1))
    save_onnx(ticket, data.x[:1], tmp_path / "net.onnx")
    assert_same(tmp_path / "net.onnx", ticket, data.x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_plain_networks_and_back(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(27, 4), nn.LeakyReLU(), nn.Linear(4, 2),
    ).to(dtype)  # fmt: skip
    x = torch.randn(5, 1, 6, 6, dtype=dtype)
    module[0].eval()
    save_onnx(module, x, tmp_path / "net.onnx")
    assert [part.training for part in module[:3]] == [False, True, True]  # as it was
    module.eval()
    assert_same(tmp_path / "net.onnx", module, x)
    loaded = load_onnx(tmp_path / "net.onnx")
    torch.testing.assert_close(loaded(x), module(x))
    save_onnx(loaded, x, tmp_path / "again.onnx")
    assert_same(tmp_path / "again.onnx", module, x)


def test_a_file_tells_nothing_of_its_makers_machine(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    save_onnx(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.zeros(1, 3), path)
    content = path.read_bytes()
    for word in (b".py", b"site-packages", str(Path.home()).encode(), b"File "):
        assert word not in content
    save_onnx(nn.Linear(3, 2), torch.zeros(4, 3), path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx"]


class Undecided(nn.Module):
    """Computes one thing or another, as its data are."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_what_cannot_be_written_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.onnx"
    for module, x, message in (
        (Undecided(), torch.zeros(2, 3), "cannot be exported: "),
        (nn.Linear(4, 2), torch.zeros(2, 3), "cannot be exported: "),
        (nn.Linear(3, 2), torch.zeros(3), "one a row"),
        (nn.Linear(3, 2), None, "one a row"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            save_onnx(module, x, path)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
        assert not path.exists()
    with pytest.raises(ValueError, match="cannot be written"):
        save_onnx(nn.Linear(3, 2), torch.zeros(2, 3), tmp_path / "none" / "net.onnx")
    monkeypatch.setattr(onnx_export, "_MAX_BYTES", 20)
    with pytest.raises(ValueError, match="more than 2 GiB"):
        save_onnx(nn.Linear(3, 2), torch.zeros(2, 3), path)
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'milp_lth\[onnx\]'"):
        save_onnx(nn.Linear(3, 2), torch.zeros(2, 3), path)
    assert capfd.readouterr().err == ""


# ------------------------------------------------------------------------------- the command line


def export(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli._run(["export", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def here(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The finished run as `run`, in an otherwise empty folder."""
    monkeypatch.chdir(tmp_path)
    Path("run").symlink_to(finished_run)
    return "run"


def test_a_run_is_exported(here: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(here)
    ticket, x = run.load_ticket(), run.data.x
    assert isinstance(ticket, milp_lth.Ticket)
    assert export(here, "--out", "a.onnx", capsys=capsys) == (
        0, "a.onnx: the ticket of run, folded, as onnx\n", "",
    )  # fmt: skip
    assert_same("a.onnx", ticket.fold(), x)
    code, out, _ = export(here, "--out", "b.onnx", "--to", "target", "--json", capsys=capsys)
    folded = ticket.fold("target")
    assert code == 0
    assert json.loads(out) == {
        "out": "b.onnx", "format": "onnx", "to": "target",
        "max_half_difference": float(folded.max_half_difference),
    }  # fmt: skip
    assert_same("b.onnx", folded, x)
    assert (
        export(here, "--out", "c.bin", "--format", "onnx", "--to", "ticket", capsys=capsys)[0] == 0
    )
    assert_same("c.bin", ticket, x)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_state_dicts_of_a_run(here: str, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    ticket, x = Run(here).load_ticket(), Run(here).data.x
    assert isinstance(ticket, milp_lth.Ticket)
    for to in ("halves", "target"):
        out = f"{to}{suffix}"
        assert export(here, "--out", out, "--to", to, capsys=capsys)[0] == 0
        folded = ticket.fold(None if to == "halves" else to)
        expected = folded.state_dict()
        if suffix == ".safetensors":
            found = safetensors.torch.load_file(out)
        else:
            found = torch.load(out, weights_only=True)
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    loaded = milp_lth.load_target(f"target{suffix}")
    assert torch.equal(loaded(x), folded(x))


BAD: dict[str, tuple[list[str], int, str]] = {
    "an unknown suffix": (["run", "--out", "a.csv"], 2, "ends in .onnx, .safetensors, .pt"),
    "a program": (["run", "--out", "a.mps"], 2, "ends in .onnx, .safetensors, .pt"),
    "a program by name": (
        ["run", "--out", "a", "--format", "lp"], 2,
        "--format lp: the ticket of a run is written as onnx, safetensors, pt",
    ),
    "a network of an instance": (
        ["i.npz", "--out", "a", "--format", "onnx"], 2, "an instance is written as mps, lp",
    ),
    "a row of a run": (["run", "--row", "1", "--out", "a.onnx"], 2, "--row belongs to an instance"),
    "a fold of an instance": (
        ["i.npz", "--to", "target", "--out", "a.npz"], 2, "--to belongs to a run",
    ),
    "a ticket's state": (
        ["run", "--to", "ticket", "--out", "a.pt"], 2, "the ticket's own file lies in run",
    ),
    "no run": (["empty", "--out", "a.onnx"], 2, "settings.json: cannot be read"),
    "unfinished": (["torn", "--out", "a.onnx"], 2, "torn: not finished: milp-lth resume torn"),
    "no such folder": (["run", "--out", "none/a.onnx"], 2, "cannot be written (No such file"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(
    case: str, here: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, expected, message = BAD[case]
    Path("empty").mkdir()
    milp_lth.save_instance(milp_lth.uniform_family(2, 4), "i.npz")
    if arguments[0] == "torn":
        shutil.copytree(here, "torn")
        Path("torn/results.sqlite").unlink()
        Path("torn/ticket.safetensors").unlink()
        with Ledger(Path("torn"), create=True):
            pass
    before = sorted(Path().rglob("*"))
    code, out, err = export(*arguments, capsys=capsys)
    assert (code, out, err.count("\n")) == (expected, "", 1)
    assert err.startswith("milp-lth: ")
    assert message in err
    assert sorted(Path().rglob("*")) == before


def test_without_the_exporter_nothing_is_read(
    here: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    code, _, err = export(here, "--out", "a.onnx", capsys=capsys)
    assert code == 4
    assert "pip install 'milp_lth[onnx]'" in err
    assert export(here, "--out", "a.pt", capsys=capsys)[0] == 0


def test_numbers_are_the_same_in_either_file(here: str, capsys: pytest.CaptureFixture[str]) -> None:
    for out in ("a.onnx", "a.safetensors"):
        assert export(here, "--out", out, "--to", "target", capsys=capsys)[0] == 0
    held = safetensors.torch.load_file("a.safetensors")
    for tensor in onnx.load("a.onnx").graph.initializer:
        assert np.array_equal(onnx.numpy_helper.to_array(tensor), held[tensor.name].numpy())
