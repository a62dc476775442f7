"""milp-lth export, as a user meets it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import milp_lth
from instances.files import load_instance, save_instance
from instances.generate import normal_family
from instances.objectives import Closest, Sparsest
from instances.subset_sum import SubsetSum
from milp_lth.cli import main as cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def export(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command in this process; return exit code, standard output and error."""
    capsys.readouterr()
    code = cli._run(["export", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_programs(capsys: pytest.CaptureFixture[str]) -> None:
    instance = normal_family(3, 5, objective=Sparsest(0.25))
    save_instance(instance, "my rows.npz")
    code, out, err = export("my rows.npz", "--row", 2, "--out", "a.mps", capsys=capsys)
    assert (code, out, err) == (0, "a.mps: row 2 of 3 of my rows.npz as mps\n", "")
    text = Path("a.mps").read_text()
    assert text == milp_lth.to_mps(instance.milp(2), "my_rows-2")
    program = milp_lth.from_mps(text)
    assert (program.values == instance.coefficients[2]).all()
    code, out, _ = export("my rows.npz", "--out", "a.txt", "--format", "lp", capsys=capsys)
    assert (code, out) == (0, "a.txt: row 0 of 3 of my rows.npz as lp\n")
    assert Path("a.txt").read_text() == milp_lth.to_lp(instance.milp(0), "my_rows-0")
    code, out, _ = export("my rows.npz", "--out", "a.lp", "--json", capsys=capsys)
    assert json.loads(out) == {"out": "a.lp", "format": "lp", "row": 0, "num_rows": 1}
    assert sorted(p.name for p in Path().iterdir()) == ["a.lp", "a.mps", "a.txt", "my rows.npz"]


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_instances(suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    instance = normal_family(3, 5, objective=Closest(0.5))
    save_instance(instance, "i.npz")
    code, out, _ = export("i.npz", "--out", f"all.{suffix}", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out) == {
        "out": f"all.{suffix}", "format": suffix, "row": None, "num_rows": 3
    }  # fmt: skip
    assert (load_instance(f"all.{suffix}").coefficients == instance.coefficients).all()
    assert load_instance(f"all.{suffix}").objective == Closest(0.5)
    assert export("i.npz", "--row", 1, "--out", f"one.{suffix}", capsys=capsys)[0] == 0
    assert (load_instance(f"one.{suffix}").targets == instance.targets[1:2]).all()


def test_knapsacks(capsys: pytest.CaptureFixture[str]) -> None:
    save_instance(SubsetSum([[1, 2], [4, 5]], [3, 9]), "i.json")
    for out, more in (("a.kp", []), ("a.knapsack", []), ("a.txt", ["--format", "knapsack"])):
        assert export("i.json", "--row", 1, "--out", out, *more, capsys=capsys)[0] == 0
        assert Path(out).read_text() == "2 9\n4 4\n5 5\n"
        assert cli._run(["solve", out]) == 0
    assert export("a.kp", "--out", "a.mps", capsys=capsys)[0] == 0
    assert np.array_equal(milp_lth.from_mps(Path("a.mps").read_text()).row_lower[:1], [9.0])


BAD = {
    "an unknown suffix": (["i.json", "--out", "a.csv"], "ends in .mps, .lp, .json, .npz, .kp"),
    "an unknown format": (["i.json", "--out", "a.mps", "--format", "csv"], "'csv'"),
    "no such row": (["i.json", "--row", "2", "--out", "a.mps"], "the rows of i.json are 0 to 1"),
    "a negative row": (["i.json", "--row", "-1", "--out", "a.npz"], "--row -1"),
    "no such file": (["none.npz", "--out", "a.mps"], "none.npz: cannot be read"),
    "no instance": (["bad.kp", "--out", "a.mps"], "bad.kp: torn"),
    "no output": (["i.json"], "--out"),
    "no such folder": (["i.json", "--out", "none/a.mps"], "cannot be written (No such file"),
    "a folder": (["i.json", "--out", "folder.mps"], "cannot be written (Is a directory"),
    "fractions": (["i.json", "--out", "a.kp"], "whole numbers only"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = BAD[case]
    save_instance(SubsetSum([[0.5], [0.25]], [1, 2]), "i.json")
    Path("bad.kp").write_text("2 5\n1 1\n")
    Path("folder.mps").mkdir()
    before = sorted(Path().rglob("*"))
    code, out, err = export(*arguments, capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("milp-lth: ")
    assert message in err
    assert sorted(Path().rglob("*")) == before


def test_the_commands_of_the_docs_work() -> None:
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    page = page[page.index("## Programs") : page.index("## Targets")]
    for language, code in re.findall(r"```(python|sh)\n(.*?)```", page, re.DOTALL):
        if language == "python":
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
            continue
        for line in code.replace("\\\n", "").splitlines():
            if line.startswith("milp-lth "):
                assert cli._run(line.split()[1:]) == 0, line
            else:
                subprocess.run([shutil.which("sh") or "sh", "-c", line], check=True)
    assert {"row.mps", "row.lp", "instance.npz", "sum.mps"} <= {p.name for p in Path().iterdir()}
