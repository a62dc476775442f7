"""The claims of several systems, measured in one folder that can be continued."""

import shutil
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from instances.files import write_atomically
from milp_lth.report.markdown import markdown_table
from milp_lth.reproduce.claims.claim import Claim, Setting, Summary
from milp_lth.reproduce.timed_runs import TimedRuns
from milp_lth.rivals.floor import DENSE_SCHEDULE
from milp_lth.rivals.task import load_task
from solvers.heuristic.devices import find_device

NAMES = ("greedy", "phew", "rewinding", "elastic", "early-bird")
"""In the order of the table."""

COLUMNS = {
    "row": "system",
    "paper": "paper",
    "claim": "claim",
    "measured": "measured here",
    "holds": "holds",
}

TABLE = "table.md"

OnProgress = Callable[[int, int], None]
"""Called with the measurements that are there, and how many there will be."""


class Claims:
    """What is measured already is not measured again; a training goes on where it was.

    Parameters
    ----------
    data
        As for `milp_lth.rivals.task.load_task`.
    folder
        Where measurements go: new, empty, or that of the same data, scale, size and device.
    names
        Of `NAMES`; empty: all.
    num_seeds
        Of every measurement.
    scale
        What published epochs are multiplied by.
    num_hidden
        Units of a hidden layer.
    device
        "auto", or as PyTorch calls it.

    Raises
    ------
    ValueError
        When a name is unknown, a number out of range, or the folder holds something else.
    """

    def __init__(
        self,
        data: str,
        folder: Path,
        *,
        names: Sequence[str] = (),
        num_seeds: int = 5,
        scale: float = 1.0,
        num_hidden: int = 100,
        device: str = "auto",
    ) -> None:
        unknown = [name for name in names if name not in NAMES]
        if unknown:
            raise ValueError(f"unknown system {unknown[0]!r}: choose among {', '.join(NAMES)}")
        if num_seeds < 2:
            raise ValueError(f"--seeds {num_seeds}: give 2 or more, differences are of means")
        if num_hidden < 8:
            raise ValueError(f"--hidden {num_hidden}: give 8 or more")
        DENSE_SCHEDULE.scaled(scale)
        self.claims = [_claim(name) for name in NAMES if not names or name in names]
        place = find_device(device).type
        self.setting = Setting(load_task(data), num_seeds, scale, place, num_hidden)
        asked = {"data": data, "scale": scale, "num_hidden": num_hidden, "device": place}
        self.runs = TimedRuns(folder, asked)

    def measure(
        self,
        on_progress: OnProgress = lambda done, total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Measure what is not measured yet.

        Raises
        ------
        KeyboardInterrupt
            When `should_stop` says so; what was measured is recorded.
        """
        wanted = {
            f"{claim.name}: {name}": measurement
            for claim in self.claims
            for name, measurement in claim.measurements(self.setting).items()
        }
        unfinished = self.runs.folder / "unfinished"
        with self.runs.alone():
            for done, (name, measurement) in enumerate(wanted.items()):
                if name not in self.runs:
                    self.runs.put(name, measurement(unfinished / name.replace(": ", "-")))
                    shutil.rmtree(unfinished, ignore_errors=True)
                    if should_stop():
                        raise KeyboardInterrupt
                on_progress(done + 1, len(wanted))
            shutil.rmtree(unfinished, ignore_errors=True)  # of one that was killed once recorded

    def summaries(self) -> dict[str, Summary]:
        """Return what each system's measurements come to, once all are there."""
        found = {}
        for claim in self.claims:
            names = claim.measurements(self.setting)
            measured = {name: self.runs.get(f"{claim.name}: {name}") for name in names}
            found[claim.name] = claim.summary(self.setting, measured)
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for every system, with its own table under ``head`` and ``lines``."""
        summaries = self.summaries()
        return [
            {
                "row": claim.name,
                "paper": claim.paper,
                "claim": claim.claim,
                "measured": summaries[claim.name].measured,
                "holds": summaries[claim.name].holds,
                "head": summaries[claim.name].head,
                "lines": summaries[claim.name].lines,
            }
            for claim in self.claims
        ]

    def write(self) -> Path:
        """Write the tables and the pictures into the folder; return the path of the tables."""
        rows = self.rows()
        parts = [markdown_table(list(COLUMNS.values()), map(cells, rows))]
        for row in rows:
            parts.append(f"\n**{row['row']}**\n\n{markdown_table(row['head'], row['lines'])}")
        for summary in self.summaries().values():
            for name, svg in summary.pictures.items():
                write_atomically(self.runs.folder / f"{name}.svg", svg.encode())
        path = self.runs.folder / TABLE
        write_atomically(path, "".join(parts).encode())
        return path


def cells(row: dict[str, Any]) -> list[str]:
    """Return a row's values as text, in the order of `COLUMNS`."""
    return [str(row[name]) for name in COLUMNS if name != "holds"] + [
        "yes" if row["holds"] else "no"
    ]


def _claim(name: str) -> Claim:
    module = import_module(f"milp_lth.reproduce.claims.{name.replace('-', '_')}")
    claim: Claim = module.CLAIM
    return claim
