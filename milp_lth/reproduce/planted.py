"""Tickets that are known to be there: how close every method gets to the one that was planted.

The idea is that of Fischer and Burkholz, "Plant 'n' Seek: Can You Find the Winning Ticket?", ICLR
2022, arXiv 2111.11153, who found that what limits methods is the search.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from instances.files import write_atomically
from milp_lth.report.markdown import markdown_table
from milp_lth.reproduce.timed_runs import TimedRuns
from milp_lth.rivals.planted_seeking import METHODS, WIDTHS, planted_row

COLUMNS = {
    "problem": "problem",
    "method": "method",
    "density": "density",
    "loss": "loss",
    "truth_loss": "planted",
    "accuracy": "accuracy",
    "size_ratio": "size, times planted",
    "recall": "found of it",
    "proved": "proved smallest",
    "seconds": "seconds",
}

TABLE = "table.md"

_HALF = 0.5  # what edge-popup is given beside the planted density: where it is at its best

OnProgress = Callable[[int, int], None]
"""Called with the searches that are done, and how many there will be."""


class Search(NamedTuple):
    """One search in one planted network."""

    problem: str
    method: str
    density: float | None
    seed: int

    @property
    def name(self) -> str:
        """What it is recorded under."""
        density = "" if self.density is None else f" {self.density:g}"
        return f"{self.problem} {self.method}{density} seed {self.seed}"


class Planted:
    """All searches in one folder; what is there already is not done again.

    Parameters
    ----------
    folder
        Where measurements go.
    num_seeds
        Networks of every problem.
    scale
        What published epochs are multiplied by.
    time_limit
        Seconds of every search by a solver.

    Raises
    ------
    ValueError
        When a number is out of range, or the folder holds something else.
    """

    def __init__(
        self, folder: Path, *, num_seeds: int = 5, scale: float = 1.0, time_limit: float = 120.0
    ) -> None:
        if num_seeds < 1:
            raise ValueError(f"--seeds {num_seeds}: give at least one")
        if not (scale > 0 and time_limit > 0):
            raise ValueError(f"--scale {scale}, --time-limit {time_limit}: give positive numbers")
        self.num_seeds, self.scale, self.time_limit = num_seeds, scale, time_limit
        self.runs = TimedRuns(folder, {"scale": scale, "time_limit": time_limit})

    def searches(self) -> list[Search]:
        """Return what is searched, in order."""
        return [
            Search(problem, method, density, seed)
            for problem in WIDTHS
            for method in METHODS
            for density in ((None, _HALF) if method == "edge-popup" else (None,))
            for seed in range(self.num_seeds)
        ]

    def rows(self, on_progress: OnProgress = lambda done, total: None) -> list[dict[str, Any]]:
        """Search what is not searched yet; return the medians over the seeds."""
        searches = self.searches()
        with self.runs.alone():
            for done, search in enumerate(searches):
                if search.name not in self.runs:
                    found = planted_row(
                        search.problem, search.seed, search.method, density=search.density,
                        scale=self.scale, time_limit=self.time_limit,
                    )  # fmt: skip
                    self.runs.put(search.name, found)
                on_progress(done + 1, len(searches))
        rows = []
        for k in range(0, len(searches), self.num_seeds):
            seeds = [self.runs.get(one.name) for one in searches[k : k + self.num_seeds]]
            numbers = [name for name, value in seeds[0].items() if isinstance(value, int | float)]
            proved = [seed["bound"] is not None and seed["kept"] <= seed["bound"] for seed in seeds]
            rows.append(
                dict.fromkeys(seeds[0])
                | {name: float(np.median([seed[name] for seed in seeds])) for name in numbers}
                | {"problem": searches[k].problem, "method": searches[k].method}
                | {"proved": sum(proved), "num_seeds": self.num_seeds, "seeds": seeds}
            )
        return rows

    def write(self, rows: list[dict[str, Any]]) -> Path:
        """Write the table into the folder; return its path."""
        text = markdown_table(list(COLUMNS.values()), map(cells, rows))
        path = self.runs.folder / TABLE
        write_atomically(path, text.encode())
        return path


def cells(row: dict[str, Any]) -> list[str]:
    """Return a row's values as text, in the order of `COLUMNS`."""
    shown = {name: row[name] for name in COLUMNS}
    shown |= {name: f"{row[name]:.1e}" for name in ("loss", "truth_loss")}
    for name in ("density", "accuracy", "recall"):
        shown[name] = "–" if row[name] is None else f"{100 * row[name]:.0f} %"
    shown["size_ratio"] = f"{row['size_ratio']:.2f}"
    shown["proved"] = f"{row['proved']} of {row['num_seeds']}" if row["bound"] is not None else "–"
    shown["seconds"] = f"{row['seconds']:.1f}"
    return list(shown.values())
