"""``milp-lth bounds``: what is printed, what is refused, what is written."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from milp_lth.cli import main as cli
from milp_lth.report.theory_figures import Curve, needed_width
from milp_lth.theory import calibrated
from milp_lth.theory.calibrated import EVENTS, calibrate


def ran(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli._run(["bounds", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def stated(*arguments: object, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code, out, err = ran(*arguments, "--json", capsys=capsys)
    assert (code, err) == (0, "")
    return dict(json.loads(out))


def test_digits_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith("digits-mlp 64-32-10: outputs within ε = 0.01")
    rows = {line.split()[0]: line for line in reversed(out.splitlines()) if line}  # firsts count
    assert rows["pensia"].split()[1:3] == ["upper", "4"]
    assert rows["pensia"].split()[-2:] == ["a", "c"]
    assert rows["orseau"].split()[-1] == "h!"
    assert rows["burkholz"].split()[1:3] == ["upper", "3"]
    assert "no    0: 6.922, 2: 4.257" in rows["a"]
    assert all(len(line) <= 80 for line in out.splitlines())


def test_digits_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = stated(capsys=capsys)
    rows = {row["row"]: row for row in found["rows"]}
    assert len(rows) == 13
    assert "attention" not in rows
    pensia = rows["pensia"]
    assert pensia["kind"] == "upper"
    assert pensia["units"] == sum(layer["units"] for layer in pensia["layers"])
    assert pensia["constants"][0]["low"] <= pensia["constants"][0]["value"]
    assert rows["pensia-lower"]["units"] < rows["here"]["units"] < pensia["units"]
    holds = {one["name"]: one["holds"] for one in found["assumptions"]}
    assert holds["no biases"]
    assert not holds["spectral norms ≤ 1"]
    assert found["radius"] == 8


def test_options_reach_the_theorems(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {row["row"]: row["units"] for row in stated(*options, capsys=capsys)["rows"]}
        for options in (
            ("--sizes", "8,8"),
            ("--sizes", "8,8", "--epsilon", 1e-4),
            ("--sizes", "8,8", "--failure", 1e-4),
            ("--sizes", "8,8", "--density", 0.02),
            ("--sizes", "8,8", "--domain", "box", "--input-range", -9, 9),
        )
    ]
    usual, closer, surer, sparser, farther = rows
    assert closer["malach"] > usual["malach"]
    assert surer["pensia"] > usual["pensia"]
    assert sparser["natale"] > usual["natale"]
    assert sparser["pensia"] == usual["pensia"]
    assert farther["pensia"] > usual["pensia"]
    hyperbolic = stated("--sizes", "8,8", "--distribution", "hyperbolic", capsys=capsys)
    holds = {row["row"]: row["holds"] for row in hyperbolic["rows"]}
    assert (holds["orseau"], holds["pensia"]) == ("as it is", "no")


def test_attention_has_a_row_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = stated("--attention", "64,64,4", capsys=capsys)["rows"]
    assert row["row"] == "attention"
    assert [layer["layer"] for layer in row["layers"]] == ["query-key", "value-output"]
    code, out, _ = ran("--attention", "64,64,4", capsys=capsys)
    assert code == 0
    assert "d₁" not in out.splitlines()[0]


def test_a_target_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    torch.save(net.state_dict(), "net.pt")
    found = stated("--target", "net.pt", capsys=capsys)
    assert (found["domain"], found["input_range"]) == ("box", [-1.0, 1.0])
    assert [layer["name"] for layer in found["layers"]] == ["0", "2"]
    narrower = stated("--target", "net.pt", "--input-range", 0, 0.1, capsys=capsys)
    assert narrower["rows"][3]["units"] < found["rows"][3]["units"]


@pytest.mark.parametrize("options", [("--sizes", "6,5,4"), ("--attention", "8,8,2")])
def test_the_page_and_the_picture(
    options: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    found = stated(*options, "--out", out, capsys=capsys)
    assert found["out"] == str(out)
    html = (out / "index.html").read_text(encoding="utf-8")
    for name in ('id="e"', 'id="d"', 'id="laws"', "Constants that no paper gives"):
        assert name in html
    assert all(f"<td>{row['row']}</td>" in html for row in found["rows"])
    svg, pdf = (out / "bounds.svg").read_bytes(), (out / "bounds.pdf").read_bytes()
    assert svg.count(b"<svg") == 1
    assert pdf.startswith(b"%PDF")


def test_the_same_curves_are_the_same_bytes() -> None:
    curves = [Curve("a", "upper", (1.0, 0.1), (2.0, 3.0)), Curve("b", "lower", (1.0,), (1e15,))]
    assert needed_width(curves, curves) == needed_width(curves, curves)


def test_calibrating_again_says_whether_it_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cheap = [event for event in EVENTS if event.name in ("one-target", "fixed-size")]
    monkeypatch.setattr(calibrated, "calibrate", partial(calibrate, cheap))
    out = tmp_path / "new"
    options = ("--calibrate", "--trials", 400, "--seed", 3, "--out", out)
    found = stated(*options, capsys=capsys)
    assert found["agrees"]
    assert [row["constant"] for row in found["rows"]] == ["one-target", "fixed-size"]
    written = json.loads((out / "constants.json").read_text(encoding="utf-8"))
    assert written["command"] == "milp-lth bounds --calibrate --trials 400 --seed 3"
    code, text, _ = ran(*options, capsys=capsys)
    assert code == 0
    assert text.count(" yes") == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--sizes", "64,x"), "whole numbers"),
        (("--sizes", "64"), "at least two"),
        (("--sizes", "8,8", "--epsilon", 0), "above 0"),
        (("--sizes", "8,8", "--failure", 0.9), "up to 0.5"),
        (("--sizes", "8,8", "--density", 1.5), "up to 0.5"),
        (("--sizes", "8,8", "--distribution", "gamma"), "choose one of"),
        (("--sizes", "8,8", "--attention", "8,8,1"), "one of them"),
        (("--sizes", "8,8", "--trials", 500), "belongs to --calibrate"),
        (("--attention", "8,8"), "three whole numbers"),
        (("--attention", "8,8,0"), "above 0"),
        (("--target", "nothing"), "choose one of"),
        (("--target", "net.pt", "--module", "torch.nn:Bilinear"), "--module"),
        (("--calibrate", "--trials", 10), "at least 400"),
    ],
)
def test_what_does_not_fit_is_one_line(
    wrong: tuple[object, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = ran(*wrong, capsys=capsys)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_target_of_other_layers_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conv.py").write_text(
        "from torch import nn\n"
        "def net(): return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())\n"
    )
    torch.save(nn.Sequential(nn.Conv2d(1, 2, 3)).state_dict(), "net.pt")
    code, out, err = ran("--target", "net.pt", "--module", "conv.py:net", capsys=capsys)
    assert (code, out) == (2, "")
    assert "--sizes 64,32,10" in err
    assert err.count("\n") == 1


def test_a_folder_that_cannot_be_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = ran("--sizes", "4,4", "--out", tmp_path / "file", capsys=capsys)
    assert code == 2
    assert err.count("\n") == 1
