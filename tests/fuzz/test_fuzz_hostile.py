"""Bombs, code in files, headers that lie, pipes and devices: one line, and nothing comes of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fuzzing import SECONDS
from hostile import EXPLODED
from hostile_commands import MEMORY

SCRIPT = Path(__file__).parent / "hostile_commands.py"

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def said(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What every command said and used, one process of limited memory for all."""
    folder = tmp_path_factory.mktemp("hostile")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(SCRIPT), str(finished_run)],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": ""},  # some is beside it
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert not (folder / EXPLODED).exists()
    return found


def test_each_is_refused_in_one_line(said: list[dict[str, Any]]) -> None:
    assert len(said) > 100
    for case in said:
        assert (case["code"], case["out"], case["warnings"]) == (2, "", []), case
        assert case["err"].startswith("milp-lth: "), case
        assert case["err"].count("\n") == 1, case
        assert len(case["err"]) < 500, case
        assert case["message"] in case["err"], case


def test_nothing_is_left_behind(said: list[dict[str, Any]]) -> None:
    assert [case["command"] for case in said if case["left"]] == []


def test_none_takes_long_or_much(said: list[dict[str, Any]]) -> None:
    assert max(case["seconds"] for case in said) < SECONDS
    assert max(case["memory"] for case in said) < MEMORY
