"""Runs whose target is more than a multi-layer perceptron."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from milp_lth.cli.main import main
from milp_lth.execution import execute
from milp_lth.run import SETTINGS, Run
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.run_target import TARGET
from milp_lth.verification import check_run

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.mixed = nn.Bilinear(2, 2, 3)
        self.last = nn.Linear(3, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x))).mean((-1, -2))
        return self.last(self.mixed(x, x))
"""


@pytest.fixture(name="asked")
def _asked(tmp_path: Path) -> RunSettings:
    code = tmp_path / "nets.py"
    code.write_text(CODE)
    names: dict[str, type[nn.Module]] = {}
    exec(CODE, names)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = names["Net"]()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    return RunSettings(
        target=str(tmp_path / "net.pt"), module=f"{code}:Net", data="digits",
        input_shape=(1, 8, 8), normalise=(0.25, 0.5),
    )  # fmt: skip


def test_a_module_of_ones_own_becomes_a_verified_run(asked: RunSettings, tmp_path: Path) -> None:
    folder = create_run(asked, tmp_path / "run")
    figures = execute(Run(folder, asked.module))
    assert figures["ticket"]["agreement"] > 0.9
    assert [(one["name"], one["kind"]) for one in figures["left_dense"]] == [("mixed", "Bilinear")]
    assert check_run(folder, module=asked.module) == []
    assert "mixed (Bilinear)" in (folder / "report.html").read_text()


def test_code_is_run_only_when_it_is_named(asked: RunSettings, tmp_path: Path) -> None:
    folder = create_run(asked, tmp_path / "run")
    with pytest.raises(ValueError, match=r"give that as --module again, if you trust the code"):
        Run(folder)
    Path(str(asked.module).partition(":")[0]).write_text("raise SystemExit('this was run')")
    with pytest.raises(ValueError, match="--module"):
        check_run(folder)


def test_strict_refuses_what_would_be_left_dense(
    asked: RunSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["run", "--target", asked.target, "--module", str(asked.module), "--data", "digits"]
    out = ["--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        main([*options, "--input-shape", "1,8,8", "--strict", *out])
    assert ended.value.code == 2
    assert "mixed (Bilinear)" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*options, *out])
    assert ended.value.code == 2
    assert "do not fit the network" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_changed_target_is_noticed(asked: RunSettings, tmp_path: Path) -> None:
    folder = create_run(asked, tmp_path / "run")
    execute(Run(folder, asked.module))
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    state = torch.load(asked.target, weights_only=True)
    state["mixed.bias"][0] += 1e-3
    torch.save(state, asked.target)
    again = create_run(asked, tmp_path / "again")
    shutil.copy(again / TARGET, other / TARGET)
    assert check_run(folder, module=asked.module) == []
    assert any("target" in problem for problem in check_run(other, module=asked.module))


def test_a_convolutional_target_comes_with_the_toolkit(tmp_path: Path) -> None:
    folder = create_run(RunSettings(target="digits-cnn", width=12), tmp_path / "run")
    figures = execute(Run(folder))
    assert figures["target"]["accuracy"] > 0.97
    assert figures["ticket"]["agreement"] > 0.98
    assert "steps" not in json.loads((folder / SETTINGS).read_text())["target"]
    assert check_run(folder) == []


def test_data_aware_wants_layers_in_a_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in a row: choose another objective"):
        create_run(
            RunSettings(target="digits-cnn", objective="data-aware", width=8), tmp_path / "run"
        )


def test_shapes_are_asked_for_where_nothing_tells_them(asked: RunSettings, tmp_path: Path) -> None:
    without = replace(asked, data=None, normalise=None, input_shape=None)
    with pytest.raises(ValueError, match=r"'conv' does not tell .* give --data, or an"):
        create_run(without, tmp_path / "run")
    folder = create_run(replace(without, input_shape=(1, 6, 7)), tmp_path / "run")
    assert Run(folder, asked.module).data.x.shape == (1000, 1, 6, 7)


@pytest.mark.parametrize("value", [(0.0, 0.0), (float("nan"), 1.0), (0.0, -1.0)])
def test_normalising_needs_a_deviation(value: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="deviation above 0"):
        RunSettings(normalise=value)
