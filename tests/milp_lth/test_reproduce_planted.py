"""Planted tickets by the command line: what is found, and going on where it stopped."""

import json
from pathlib import Path

import pytest

from milp_lth.cli import main as cli
from milp_lth.reproduce import planted


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "WIDTHS", {"relu": 16})
    monkeypatch.setattr(planted, "METHODS", ("program", "edge-popup", "random"))


def test_the_program_finds_what_is_there_and_proves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["reproduce", "planted", "--seeds", "2", "--scale", "0.1", "--out", str(out),
                 "--json"]  # fmt: skip
    assert cli._run(arguments) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["method"] for row in rows] == ["program", "edge-popup", "edge-popup", "random"]
    program, popup, half, _ = rows
    assert (program["size_ratio"], program["recall"], program["proved"]) == (1, 1, 2)
    assert program["loss"] == pytest.approx(program["truth_loss"])
    assert popup["loss"] > 100 * program["loss"]  # at the size that is known to be enough
    assert half["density"] == 0.5
    assert half["size_ratio"] > 2
    assert (out / "table.md").read_text(encoding="utf-8").count("\n") == 2 + len(rows)

    def refuse(*given: object, **options: object) -> None:
        raise AssertionError("all of it is there already")

    monkeypatch.setattr(planted, "planted_row", refuse)
    assert cli._run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows


def test_what_does_not_fit_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, words in (("--seeds", "at least one"), ("--scale", "positive")):
        assert cli._run(["reproduce", "planted", "--out", str(tmp_path / "o"), wrong, "0"]) == 2
        assert words in capsys.readouterr().err
