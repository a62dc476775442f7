"""The comparison of speed with what is on record; nothing here depends on a clock."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from milp_lth.bench import speed
from milp_lth.cli import main as cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``milp-lth bench speed`` where the yardstick takes 2 s and a case as many as it says."""
    cases = {"three": lambda: 3.0, "nine": lambda: 9.0}
    monkeypatch.setattr(
        speed, "CASES", {name: lambda work=work: work for name, work in cases.items()}
    )
    monkeypatch.setattr(speed, "core_seconds", lambda work: work() or 2.0)
    monkeypatch.setattr(speed, "_yardstick", lambda: None)
    nothing = SimpleNamespace(ru_utime=0.0, ru_stime=0.0)
    monkeypatch.setattr(speed, "getrusage", lambda who: nothing)

    def run_speed(*options: object) -> tuple[int, str, str]:
        code = cli._run(["bench", "speed", *map(str, options)])
        return code, *capsys.readouterr()

    return run_speed


def test_what_is_recorded_is_kept_and_what_became_slow_is_told(run: Run, tmp_path: Path) -> None:
    record = tmp_path / "speed.json"
    speed.Ratios({"three": 0.5}, speed.environment()).write(record)
    code, out, _ = run("--against", record, "--record", tmp_path / "new.json", "--json")
    three, nine = json.loads(out)["rows"]
    assert code == 1
    assert (three["value"], three["met"]) == (3.0, False)
    assert (three["ratio"], three["recorded"]) == (1.5, 0.5)
    assert (nine["value"], nine["met"], nine["recorded"]) == (4.5, None, None)
    assert speed.read_ratios(tmp_path / "new.json").cases == {"three": 1.5, "nine": 4.5}
    code, out, _ = run("--against", tmp_path / "new.json")
    assert code == 0
    assert "on record 4.5" in out
    assert out.count(" yes") == 2


def test_single_cases_and_unknown_ones(run: Run, tmp_path: Path) -> None:
    record = tmp_path / "speed.json"
    speed.Ratios({"three": 1.0}, speed.environment()).write(record)
    code, out, _ = run("--against", record, "--cases", "three", "--json")
    assert (code, len(json.loads(out)["rows"])) == (0, 1)
    code, out, err = run("--against", record, "--cases", "four")
    assert (code, out, err) == (2, "", "milp-lth: case four: choose three, nine\n")


@pytest.mark.parametrize("content", ["", "{}", '{"format": "speed/1", "cases": {"a": 0}}', "[1]"])
def test_what_is_no_record_is_refused(run: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "speed.json").write_text(content)
    code, out, err = run("--against", tmp_path / "speed.json")
    assert (code, out) == (2, "")
    assert err.startswith(f"milp-lth: {tmp_path / 'speed.json'}: ")
    assert err.count("\n") == 1


def test_the_record_of_this_release_has_all_cases() -> None:
    assert speed.read_ratios().cases.keys() == speed.CASES.keys()


@pytest.mark.parametrize("name", speed.CASES)
def test_every_case_does_its_work(name: str) -> None:
    speed.CASES[name]()()
