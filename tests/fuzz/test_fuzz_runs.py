"""Run folders of which one file was changed at random, given to every command that reads them."""

import contextlib
import shutil
import sqlite3
import warnings
from pathlib import Path

import mutations as m
import numpy as np
import pytest
from fuzzing import at_most

from milp_lth.cli import main as cli

CASES = 48

FILES: dict[str, tuple[m.Change, ...]] = {
    "settings.json": (m.restated_json, m.restated_json, m.damaged),
    "ticket.safetensors": (m.restated_safetensors, m.damaged),
    "target.safetensors": (m.restated_safetensors, m.damaged),
    "results.sqlite": (m.restated_sqlite, m.restated_sqlite, m.damaged),
}
COMMANDS = (
    ["check", "run"],
    ["report", "run"],
    ["resume", "run"],
    ["explain", "run", "--output", "0", "--input", "0"],
    ["export", "run", "--out", "folded.safetensors"],
)


def interrupted(folder: Path, rng: np.random.Generator) -> None:
    """Make it look as if a run had been stopped."""
    with contextlib.closing(sqlite3.connect(folder / "results.sqlite")) as database, database:
        database.execute("delete from figures")
        database.execute("delete from chunks where part = ?", (int(rng.integers(4)),))


@pytest.mark.parametrize("seed", range(CASES))
def test_a_changed_run(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """It is one line and code 2, or a list of problems and code 1, or there was no harm done."""
    monkeypatch.chdir(tmp_path)
    folder, rng = Path(shutil.copytree(finished_run, "run")), np.random.default_rng(seed)
    if rng.integers(3) == 0:
        interrupted(folder, rng)
    name = list(FILES)[seed % len(FILES)]
    change = FILES[name][int(rng.integers(len(FILES[name])))]
    m.rewritten(folder / name, change, rng)
    command = COMMANDS[int(rng.integers(len(COMMANDS)))]
    before = set(Path().rglob("*"))
    with at_most(60), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        code = cli._run(command)
    out, err = capsys.readouterr()
    assert [one for one in told if one.category is not DeprecationWarning] == []
    assert code in (0, 1, 2)
    if code == 2:
        assert out == ""
        assert err.startswith("milp-lth: ")
        assert err.count("\n") == 1
        assert set(Path().rglob("*")) == before
    elif code == 1:
        assert command[0] == "check"
        assert out.startswith("not verified: ")
