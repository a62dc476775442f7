"""Pensia's second experiment, on digits: the order of the structures, and going on."""

import json
from pathlib import Path

import pytest

from milp_lth.cli import main as cli
from milp_lth.reproduce.structures import Point, Structures, degraded, table


def test_the_structure_with_relus_degrades_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["reproduce", "structures", "--shapes", "fc2", "--densities", "0.2,0.5", "--seeds",
                 "1", "--scale", "0.2", "--hidden", "32", "--out", str(out), "--json"]  # fmt: skip
    assert cli._run(arguments) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 6
    head, *lines = table(rows)
    assert head[3:] == ["20 %", "50 %"]
    assert [line[1] for line in lines] == ["wide", "redundant-linear", "redundant-relu"]
    by = {(row["structure"], row["density"]): row for row in rows}
    for density in (0.2, 0.5):
        of = {name: by[name, density] for name in ("wide", "redundant-linear", "redundant-relu")}
        assert of["wide"]["accuracy"] > of["redundant-linear"]["accuracy"] + 0.02
        assert of["redundant-linear"]["accuracy"] > of["redundant-relu"]["accuracy"] + 0.05
        sizes = [row["source_dense"] for row in of.values()]
        assert max(sizes) <= 1.05 * min(sizes)
        assert all(abs(row["kept"] / row["source_dense"] - density) < 0.01 for row in of.values())
    (sentence,) = degraded(rows)
    assert sentence.index("redundant-relu") < sentence.index("wide")
    assert (out / "structures.svg").read_text(encoding="utf-8").count("<svg") == 1
    assert sentence in (out / "table.md").read_text(encoding="utf-8")

    def refuse(self: Structures, point: Point) -> None:
        raise AssertionError(f"{point} is there already")

    monkeypatch.setattr(Structures, "_measured", refuse)
    assert cli._run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--shapes", "lenet5"], "28×28"),
        (["--shapes", "fc5"], "choose one of fc2"),
        (["--densities", "1.5"], "above 0 and up to 1"),
        (["--seeds", "0"], "at least one"),
        (["--scale", "0"], "positive"),
    ],
)
def test_what_does_not_fit_is_one_line(
    wrong: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(["reproduce", "structures", "--out", str(tmp_path / "o"), *wrong]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
