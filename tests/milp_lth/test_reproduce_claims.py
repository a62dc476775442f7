"""What papers claim, measured in one folder: going on, tables and refusals."""

import json
from pathlib import Path

import pytest

from milp_lth.cli import main as cli
from milp_lth.reproduce.claims import claim, every
from milp_lth.reproduce.claims.every import NAMES, Claims

BRIEFLY = ["--seeds", "2", "--scale", "0.05", "--hidden", "24"]


def asked(out: Path, *more: str) -> list[str]:
    return ["reproduce", "claims", "--out", str(out), *BRIEFLY, *more]


def test_what_is_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli._run(asked(out, "--names", "phew", "--json")) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["row"] == "phew"
    assert row["holds"] is True
    head, lines = row["head"], row["lines"]
    assert [line[0] for line in lines] == ["2 %", "5 %", "10 %", "20 %"]
    num_edges = 64 * 24 + 24 * 10
    assert [line[head.index("edges")] for line in lines] == [
        str(round(density * num_edges)) for density in (0.02, 0.05, 0.1, 0.2)
    ]
    assert {line[head.index("off paths, PHEW")] for line in lines} == {"0"}
    text = (out / "table.md").read_text(encoding="utf-8")
    assert row["measured"] in text
    assert not (out / "unfinished").exists()

    original = every._claim

    def refuse(name: str) -> claim.Claim:
        found = original(name)

        def measurements(setting: claim.Setting) -> dict[str, claim.Measurement]:
            def never(_: Path) -> dict[str, float]:
                raise AssertionError("measured already")

            return dict.fromkeys(found.measurements(setting), never)

        return found._replace(measurements=measurements)

    monkeypatch.setattr(every, "_claim", refuse)
    assert cli._run(asked(out, "--names", "phew", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [row]


def test_an_interrupted_command_keeps_what_was_measured(tmp_path: Path) -> None:
    options = {"names": ("phew",), "num_seeds": 2, "scale": 0.03, "num_hidden": 16}
    claims = Claims("digits", tmp_path / "out", **options)  # type: ignore[arg-type]
    told: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        claims.measure(lambda done, _: told.append(done), lambda: len(told) == 3)
    again = Claims("digits", tmp_path / "out", **options)  # type: ignore[arg-type]
    first = list(again.claims[0].measurements(again.setting))[:4]
    assert all(f"phew: {name}" in again.runs for name in first)
    again.measure()
    assert len(again.rows()) == 1
    (tmp_path / "out/unfinished").mkdir()  # as after a kill once the last one was recorded
    again.measure()
    assert not (tmp_path / "out/unfinished").exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--names", "pruning"], f"choose among {', '.join(NAMES)}"),
        (["--seeds", "1"], "2 or more"),
        (["--scale", "0"], "positive"),
        (["--hidden", "2"], "8 or more"),
        (["--data", "nothing-here"], "nothing-here"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(
    wrong: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(asked(tmp_path / "o", *wrong)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_another_question_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--names", "phew", "--seeds", "2", "--hidden", "16"]
    out = ["reproduce", "claims", "--out", str(tmp_path / "o"), *options, "--scale"]
    assert cli._run([*out, "0.02"]) == 0
    assert cli._run([*out, "0.03"]) == 2
    assert "give another --out" in capsys.readouterr().err
