"""The experiment of Pensia et al. 2020, section 4, and what it should have been.

The paper approximated a 784-500-10 network trained on MNIST by sums of 21 raw uniform numbers, one
vector of them per output, in 77,266 s on 36 cores; there was no random network, and the accuracy
it prints is that of the target (its repository says so). Here every row is a run of its own: a
random network that exists, its ticket, evaluated and checked.

Pensia, Rajput, Nagle, Vishwakarma, Papailiopoulos, "Optimal Lottery Tickets via SubsetSum:
Logarithmic Over-Parameterization is Sufficient", NeurIPS 2020, arXiv 2006.07990.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from milp_lth.ledger import Ledger
from milp_lth.network import Network, read_network
from milp_lth.reproduce.timed_runs import TimedRuns
from milp_lth.reproduce.width_search import CLOSEST, SPARSEST, WidthSearch
from milp_lth.run_settings import RunSettings
from milp_lth.targets.files import load_target
from solvers.solution import Status

CANDIDATES = 21
TOLERANCE = 0.01

PUBLISHED: dict[str, Any] = {
    "row": "the paper (published)",
    "accuracy": 0.9719,
    "agreement": None,
    "source_dense": 8_337_000,
    "kept_u": 0,
    "kept_v": 3_725_871,
    "alive": None,
    "per_weight": 3_725_871 / 397_000,
    "worst_error": None,
    "median_error": None,
    "optimal_share": None,
    "seconds": 77_266.0,
    "core_seconds": 36 * 77_266.0,
    "verified": None,
    "published": True,
}
"""As the paper and its repository print it; the accuracy is the unpruned target's."""

OnStep = Callable[[str], None]
"""Called with what begins."""


class Case(NamedTuple):
    """One row of the table: a run for each of its seeds."""

    row: str
    settings: dict[str, Any]
    num_seeds: int


def cases(num_seeds: int) -> list[Case]:
    """Return the rows whose settings are known beforehand."""
    direct = {"width": CANDIDATES}
    block = {"construction": "two-layer", "assignment": "block", "width": 2 * CANDIDATES}
    matched = {"construction": "two-layer", "assignment": "matched", "width": CANDIDATES}
    shared, own = ({"construction": c} | direct for c in ("direct-shared", "direct"))
    return [
        Case("direct, one vector per output, closest", shared | CLOSEST, 1),
        Case("direct, own candidates, closest", own | CLOSEST, 1),
        Case(f"two-layer, block {2 * CANDIDATES}, closest", block | CLOSEST, 1),
        Case(f"two-layer, matched {CANDIDATES}, closest", matched | CLOSEST, 1),
        Case("direct, own candidates, sparsest", own | SPARSEST, num_seeds),
        Case(f"two-layer, block {2 * CANDIDATES}, sparsest", block | SPARSEST, num_seeds),
        Case(f"two-layer, matched {CANDIDATES}, sparsest", matched | SPARSEST, num_seeds),
    ]


class Reproduction:
    """The whole experiment in one folder; what is there already is not done again.

    Parameters
    ----------
    weights
        The target's file; the paper's is ``fc2.pt`` of its repository.
    data
        What it is judged by: the folder of MNIST's files, or a name that `load_data` takes.
    folder
        Where runs and results go.
    num_seeds
        Seeds of the sparsest rows and of the width search.

    Raises
    ------
    ValueError
        When the target or the folder is not what it should be.
    """

    def __init__(self, weights: str, data: str, folder: Path, *, num_seeds: int = 5) -> None:
        if num_seeds < 1:
            raise ValueError(f"--seeds {num_seeds}: give at least one")
        self.base = RunSettings(os.path.abspath(weights), os.path.abspath(data)
                                if os.path.isdir(data) else data)  # fmt: skip
        self.folder = folder
        self.num_seeds = num_seeds
        self.network: Network = read_network(load_target(weights))
        asked = {"weights": self.base.target, "data": self.base.data}
        self._runs = TimedRuns(folder, asked)

    def rows(self, on_step: OnStep = lambda what: None) -> list[dict[str, Any]]:
        """Do all runs that are not done, check them, and return the table."""
        with self._runs.alone():
            return self._rows(on_step)

    def _rows(self, on_step: OnStep) -> list[dict[str, Any]]:
        rows = [PUBLISHED]
        for case in cases(self.num_seeds):
            rows.append(self._row(case, on_step))
        search = self.width_search()
        for name, objective in (("closest", CLOSEST), ("sparsest", SPARSEST)):
            width = search.smallest_width(objective, on_step)
            settings = {"construction": "two-layer", "assignment": "matched", "width": width}
            case = Case(
                f"smallest width, {name}: matched {width}", settings | objective, self.num_seeds
            )
            row = self._row(case, on_step)
            row["theory_width"] = search.theory_width(row["median_error"])
            rows.append(row)
        search.fill_curve(on_step)
        return rows

    @property
    def environment(self) -> dict[str, Any]:
        """Where the first run was carried out."""
        return self._runs.environment

    def num_steps(self) -> int:
        """Return about how often `rows` calls `on_step`; how far widths go is a guess."""
        searched = 2 * (CANDIDATES - 5 + self.num_seeds)
        return sum(case.num_seeds for case in cases(self.num_seeds)) + 2 * self.num_seeds + searched

    def width_search(self) -> WidthSearch:
        """Return the search for the smallest width, with what it has found so far."""
        return WidthSearch(self.network, self.base.data or "", self.folder, self.num_seeds)

    def _row(self, case: Case, on_step: OnStep) -> dict[str, Any]:
        singles = [self._single(case, seed, on_step) for seed in range(case.num_seeds)]
        row: dict[str, Any] = {"row": case.row}
        for name in (name for name in PUBLISHED if name not in ("row", "published")):
            values = [single[name] for single in singles]
            if name == "verified":
                row[name] = all(values)
            elif name == "worst_error":
                row[name] = max(values)
            else:
                row[name] = sum(values) / len(values)
        counts = ("beyond_tolerance", "beyond_proven")
        row |= {name: sum(single[name] for single in singles) for name in counts}
        row["weights_kept_v"] = row["kept_v"] / singles[0]["num_weights"]
        return row | {"published": False, "seeds": singles}

    def _single(self, case: Case, seed: int, on_step: OnStep) -> dict[str, Any]:
        """Run one seed of a case, unless its folder is finished, and check it."""
        settings = replace(self.base, seed=seed, **case.settings)
        name = "-".join(
            str(value) for value in (settings.construction, settings.assignment, settings.width,
                                     settings.objective, seed) if value is not None
        )  # fmt: skip
        if name not in self._runs:
            on_step(f"{case.row}, seed {seed}")
        figures = self._runs.figures(name, settings)
        with Ledger(self.folder / name) as ledger:
            beyond = proven = 0
            for chunk in ledger.chunks():
                far = chunk.error > TOLERANCE
                beyond += int(far.sum())
                proven += int((far & (chunk.status != Status.NO_SOLUTION)
                               & (chunk.status != Status.FEASIBLE)).sum())  # fmt: skip
        edges, weights = figures["edges"], figures["weights"]
        return {
            "seed": seed,
            "width": settings.width,
            "objective": settings.objective,
            "accuracy": figures["ticket"]["accuracy"],
            "agreement": figures["ticket"]["agreement"],
            **edges,
            "worst_error": weights["max_error"],
            "median_error": weights["median_error"],
            "optimal_share": figures["status"]["OPTIMAL"] / weights["num_rows"],
            **{key: figures[key] for key in ("seconds", "core_seconds", "verified")},
            "num_weights": weights["num_rows"],
            "beyond_tolerance": beyond,
            "beyond_proven": proven,
            "run": name,
        }
