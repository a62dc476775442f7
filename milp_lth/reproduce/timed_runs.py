"""Runs in one folder, each carried out, timed and checked once."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instances.files import write_atomically
from instances.plain_files import json_of
from milp_lth.environment import ENVIRONMENT, environment
from milp_lth.execution import execute
from milp_lth.folders import alone_in, is_free
from milp_lth.ledger import Ledger
from milp_lth.run import Run
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.value_kinds import fits
from milp_lth.verification import check_run

_TIMES, _SEAL = "times.json", "sha256"


class TimedRuns:
    """What was measured in a folder; what is there already is not done again.

    Parameters
    ----------
    folder
        Where the runs are.
    asked
        What all of them are about: a folder that was begun for something else is refused.

    Raises
    ------
    ValueError
        When the folder holds something else, or what it holds is damaged.
    """

    def __init__(self, folder: Path, asked: dict[str, Any]) -> None:
        self.folder = folder
        path = folder / _TIMES
        self._times: dict[str, Any] = {"asked": asked}
        if not path.exists():
            if not is_free(folder):
                raise ValueError(f"{folder} exists and is not empty: give another --out")
            folder.mkdir(parents=True, exist_ok=True)
            with alone_in(folder):
                if not path.exists():
                    self._times["environment"] = environment()
                    self._record()
        self._read()
        if self._times.get("asked") != asked:
            raise ValueError(f"{folder} holds the rows of another target: give another --out")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out while measurements are taken.

        Raises
        ------
        ValueError
            When another process is at work in the folder.
        """
        with alone_in(self.folder):
            self._read()  # another may have been here since
            yield

    def __contains__(self, name: str) -> bool:
        return name in self._times

    def figures(self, name: str, settings: RunSettings) -> dict[str, Any]:
        """Return what a run found and what it took, from loading to the report; check it, too.

        Returns
        -------
        dict
            Its figures as ``milp-lth run --json`` prints them, with ``seconds`` and
            ``core_seconds`` of the whole and whether all of it was ``verified``.
        """
        folder = self.folder / name
        if name not in self._times:
            if folder.exists():
                shutil.rmtree(folder)  # interrupted: done anew, so that its seconds are its own
            began, used = time.perf_counter(), sum(os.times()[:4])
            create_run(settings, folder)
            execute(Run(folder))
            seconds, core_seconds = time.perf_counter() - began, sum(os.times()[:4]) - used
            self.put(
                name,
                {
                    "seconds": seconds,
                    "core_seconds": core_seconds,
                    "verified": not check_run(folder),
                },
            )
        with Ledger(folder) as ledger:
            return ledger.figures(shown=True) | dict(self._times[name])

    @property
    def environment(self) -> dict[str, Any]:
        """Where the first measurement was taken."""
        return dict(self._times["environment"])

    def get(self, name: str) -> Any:
        """Return what was measured under a name."""
        return self._times[name]

    def put(self, name: str, measured: Any) -> None:
        """Record what was measured, durably."""
        self._times[name] = measured
        self._record()

    def _read(self) -> None:
        path = self.folder / _TIMES
        try:
            self._times = json_of(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: damaged ({error})") from error
        if (
            not isinstance(self._times, dict)
            or self._times != sealed(self._times)
            or not fits(self._times.get("environment"), ENVIRONMENT)
        ):
            raise ValueError(f"{path}: damaged: give another --out")

    def _record(self) -> None:
        content = json.dumps(sealed(self._times), indent=2) + "\n"
        write_atomically(self.folder / _TIMES, content.encode())


def sealed(times: dict[str, Any]) -> dict[str, Any]:
    """Return what was measured with a digest of it: nobody looks at what it means again."""
    measured = {name: value for name, value in times.items() if name != _SEAL}
    text = json.dumps(measured, sort_keys=True)
    return measured | {_SEAL: hashlib.sha256(text.encode()).hexdigest()}
