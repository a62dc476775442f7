"""Whole runs, from the command to the report: seconds and memory, each in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from milp_lth.bench.row import Row
from milp_lth.bench.timing import OnProgress

_SECONDS_BAR, _MEMORY_BAR = 15.0, 1536.0  # of each row of the paper's experiment; MiB

_DIGITS = {
    "digits, two-layer, closest": (),
    "digits, two-layer, sparsest": ("--objective", "sparsest", "--tolerance", "0.01"),
    "digits, direct, data-aware": ("--construction", "direct", "--width", "6", "--objective",
                                   "data-aware"),
}  # fmt: skip

_FILE = {
    "direct, closest": ("--construction", "direct", "--width", "21"),
    "direct, sparsest": ("--construction", "direct", "--width", "21", "--objective", "sparsest",
                         "--tolerance", "0.01"),
    "two-layer, closest": ("--width", "21"),
    "two-layer, sparsest": ("--width", "21", "--objective", "sparsest", "--tolerance", "0.01"),
}  # fmt: skip


class Finished(NamedTuple):
    """A command that ended: what it printed, its seconds and its largest resident memory."""

    printed: str
    seconds: float
    mebibytes: float


def run_rows(
    weights: str | os.PathLike[str] | None, data: str | None, seed: int, on_progress: OnProgress
) -> list[Row]:
    """Measure runs on digits, or on the network of a file in inputs from 0 to 1.

    Parameters
    ----------
    weights, data
        A file, and what judges it; None: digits, or random inputs.
    seed
        Of the random networks.
    on_progress
        Is told of every run.

    Raises
    ------
    ValueError
        When a run fails: its own words.
    """
    cases: dict[str, tuple[str, ...]] = dict(_DIGITS)
    seconds_bar = memory_bar = None
    common: tuple[str, ...] = ("--seed", str(seed))
    if weights is not None:
        cases, seconds_bar, memory_bar = dict(_FILE), _SECONDS_BAR, _MEMORY_BAR
        common += ("--target", os.fspath(weights), "--input-range", "0", "1")
        common += () if data is None else ("--data", data)
    rows = []
    for name, options in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            done = _finished("run", *common, *options, "--out", str(out), "--json")
            figures: dict[str, Any] = json.loads(done.printed)
            check = _finished("check", str(out))
        phases = figures["seconds"]
        num_rows = figures["weights"]["num_rows"]
        note = f"solving {phases['solve']:.2f} s, {num_rows:,} weights; checked in "
        more = {"num_rows": num_rows, "phases": phases, "check_seconds": check.seconds}
        rows.append(
            Row(f"{name}: command to report", done.seconds, "s", seconds_bar,
                note=note + f"{check.seconds:.1f} s", more=more)
        )  # fmt: skip
        rows.append(Row(f"{name}: memory at most", done.mebibytes, "MiB", memory_bar))
        on_progress(len(rows) // 2, len(cases))
    return rows


def _finished(*arguments: str) -> Finished:
    """Run ``milp-lth`` in a process of its own and wait for it."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "milp_lth", *arguments], stdout=printed, stderr=said
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        said.seek(0)
        if process.returncode not in (0, 3):
            words = said.read().decode().strip().removeprefix("milp-lth: ")
            raise ValueError(words or "a run failed")
        return Finished(printed.read().decode(), seconds, usage.ru_maxrss / 2**10)
