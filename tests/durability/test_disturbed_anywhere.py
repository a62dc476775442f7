"""Commands that are killed and interrupted find, once continued, what they would have found.

`make durability` does this a hundred times and more.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from disturbing import KILLED, PRESSED, STEP, Disturbance, Undisturbed, chain
from jobs import JOBS, OUT
from launching import Warm

from milp_lth.cli import main as cli
from milp_lth.verification import check_run

EVERY = "MILP_LTH_DURABILITY" in os.environ
CHAINS = {
    "run": [(STEP, 7), ("kill", 0.3)],
    "rivals": [(STEP, 4), ("Ctrl-C", 0.1)],
    "compare": [("kill", 0.4), ("Ctrl-C", 0.1)],
}
"""Kills as files are changed, here and there, and disturbances at about random instants."""


@pytest.mark.parametrize("name", CHAINS if EVERY else ["run"])
def test_what_is_found_does_not_depend_on_disturbances(
    name: str, tmp_path: Path, warm: Warm, expected: Callable[[str], Undisturbed]
) -> None:
    rng = np.random.default_rng(len(name))
    disturbances = [
        Disturbance(how, when if how == STEP else when * rng.uniform(0.5, 1))
        for how, when in CHAINS[name]
    ]
    found, problems = chain(JOBS[name], tmp_path, disturbances, expected(name), warm)
    assert problems == []
    assert found[STEP] == sum(how == STEP for how, _ in CHAINS[name])
    assert sum(found[how] for how in (*KILLED, *PRESSED)) >= 1


def test_a_run_that_was_killed_before_it_began_is_refused_by_resume_and_begun_anew_by_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ledger without settings is what a kill leaves there."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--target", "wine-mlp", "--width", "8", "--out", OUT]
    with monkeypatch.context() as patch:
        patch.setattr("milp_lth.run_creation.write_atomically", interrupt)
        assert cli._run(command) == cli.INTERRUPTED
    assert sorted(os.listdir(OUT)) == ["results.sqlite", "target.safetensors"]
    capsys.readouterr()
    assert cli._run(["resume", OUT]) == cli.BAD_INPUT
    assert capsys.readouterr().err == (
        f"milp-lth: {OUT}/settings.json: cannot be read (No such file or directory): milp-lth run "
        "begins one\n"
    )
    Path(OUT, "mine.txt").touch()
    assert cli._run(command) == cli.BAD_INPUT
    said = capsys.readouterr().err
    assert said == f"milp-lth: {OUT} exists and is not empty: give another --out\n"
    os.remove(Path(OUT, "mine.txt"))
    assert cli._run(command) == cli.OK
    assert check_run(OUT) == []


def interrupt(*given: object) -> None:
    raise KeyboardInterrupt
