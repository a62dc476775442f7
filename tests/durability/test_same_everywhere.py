"""The same seed gives the same bytes, wherever a command runs and in whatever pieces."""

import os
import subprocess
import sys
from pathlib import Path

from jobs import JOBS, OUT, same

NAMES = ("run", "run-budget", "rivals")
PLACES = {
    "here": {
        "LC_ALL": "C.UTF-8", "TZ": "UTC", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
    },
    "there": {
        "LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Kathmandu", "OMP_NUM_THREADS": "2",
        "PYTHONHASHSEED": "5", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii",
    },
}  # fmt: skip
IN_TURN = """
import os, sys
from milp_lth.cli.main import main
for name, command in zip(sys.argv[1::2], sys.argv[2::2]):
    os.mkdir(name)
    os.chdir(name)
    try:
        main(command.split())
    except SystemExit as end:
        assert end.code in (0, 3), f"{command}: {end.code}"
    os.chdir("..")
"""
"""All commands in one process: most of what it takes is imports."""


def test_same_everywhere(tmp_path: Path) -> None:
    for place, words in PLACES.items():
        (tmp_path / place).mkdir()
        commands = {name: JOBS[name].command for name in NAMES}
        if place == "there":
            assert "--chunk-rows 3" in commands["run"]
            commands["run"] = commands["run"].replace("--chunk-rows 3", "--chunk-rows 50")
        done = subprocess.run(
            [sys.executable, "-c", IN_TURN, *(part for item in commands.items() for part in item)],
            cwd=tmp_path / place,
            env=os.environ | words,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
    for name in NAMES:
        here, there = (JOBS[name].results(tmp_path / place / name / OUT) for place in PLACES)
        assert here
        assert not same(here, there)
