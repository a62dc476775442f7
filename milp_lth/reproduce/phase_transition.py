"""The phase transition of random SubsetSum, measured by millions of exact solves.

How close the best of 2ⁿ subsets comes, and when one comes within ε, for several laws of the
candidates, ranges of targets and sizes of subsets, beside the closed forms of
`milp_lth.theory.laws`. The default, 200,000 solves of each of 122 kinds and 15 counts of all
solutions, takes about two minutes on two cores.

Lueker, "Exponentially small bounds on the expected optimum of the partition and subset sum
problems", Random Structures & Algorithms 1998; Borgs, Chayes and Pittel, same journal, 2001;
Mertens, "A physicist's approach to number partitioning", Theoretical Computer Science 2001.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from milp_lth.reproduce import phase_panels
from milp_lth.reproduce.random_sums import (
    TOLERANCES,
    Cell,
    counted,
    measured,
    quantile,
    resampled_medians,
    seed_of,
)
from milp_lth.reproduce.theory_page import Findings, Table, write_findings
from milp_lth.reproduce.timed_runs import TimedRuns

NAME = "phase-transition"

DISTRIBUTIONS = ("uniform", "products", "normal", "hyperbolic", "quantised-8", "binary")
CONTINUOUS = DISTRIBUTIONS[:4]
"""Those whose sums are a continuum; of the others there are only so many."""

RANGES = (0.125, 0.25, 0.5, 1.0, 2.0)
SIZES = (1, 2, 3, 4, 5, 6, 8, 10)
OF_CANDIDATES = 20
"""How many candidates those sizes are of."""

FIRST, LAST = 10, 24
"""Candidates between which the slope is fitted."""

COLUMNS = (
    "law of candidates", "n", "targets ±", "kept", "median error", "law, simple", "law",
    "p99 / median", "law", "mean / median", "P(error ≤ 0.01)", "P(error ≤ 0.001)",
)  # fmt: skip

OnProgress = Callable[[int, int], None]
"""Called with the kinds of problems that are measured, and how many there will be."""


class PhaseTransition:
    """The experiment in one folder; what is there already is not done again.

    Parameters
    ----------
    folder
        Where measurements go.
    seed
        Determines every draw.
    trials
        Problems of every kind. Where subsets have a fixed size, and where all solutions are
        counted, a quarter of that.
    last
        Most candidates, at least 12.

    Raises
    ------
    ValueError
        When a number is out of range, or the folder holds something else.
    """

    def __init__(
        self, folder: Path, *, seed: int = 0, trials: int = 200_000, last: int = LAST
    ) -> None:
        if trials < 100:
            raise ValueError(f"--trials {trials}: give at least 100, or there are no quantiles")
        if not 0 <= seed < 2**32:
            raise ValueError(f"--seed {seed}: give a whole number from 0 to {2**32 - 1}")
        if not 12 <= last <= 32:
            raise ValueError(f"{last} candidates at most: give 12 to 32")
        self.seed, self.trials, self.last = seed, trials, last
        self.runs = TimedRuns(folder, {"experiment": NAME, "seed": seed, "trials": trials})

    def cells(self) -> list[Cell]:
        """Return the kinds of problems that are solved, in order."""
        every, some = range(2, self.last + 1), range(4, self.last + 1, 2)
        main = [
            Cell(name, n)
            for name in DISTRIBUTIONS
            for n in (every if name in ("uniform", "products") else some)
        ]
        ranges = [
            Cell(name, n, r)
            for name in ("uniform", "products")
            for r in RANGES
            for n in (12, 16, 20)
            if r != 0.5 and n <= self.last
        ]
        sizes = [Cell("uniform", OF_CANDIDATES, size=k) for k in SIZES]
        return main + ranges + sizes

    def counts(self) -> list[tuple[Cell, float]]:
        """Return what all solutions are counted of, and how many the density promises."""
        return [
            *((Cell("uniform", n), 8.0) for n in range(6, self.last + 1, 2)),
            *((Cell("uniform", min(18, self.last)), m) for m in (1.0, 2.0, 4.0, 16.0, 32.0)),
        ]

    def measure(self, on_progress: OnProgress = lambda done, total: None) -> None:
        """Measure what is not measured yet."""
        cells, counts = self.cells(), self.counts()
        total = len(cells) + len(counts)
        with self.runs.alone():
            for done, cell in enumerate(cells):
                if cell.name not in self.runs:
                    trials = self.trials if cell.size is None else -(-self.trials // 4)
                    self.runs.put(cell.name, measured(cell, trials, self.seed))
                on_progress(done + 1, total)
            for done, (cell, expected) in enumerate(counts, len(cells)):
                name = _count_name(cell, expected)
                if name not in self.runs:
                    self.runs.put(name, counted(cell, expected, -(-self.trials // 4), self.seed))
                on_progress(done + 1, total)

    def found(self, cell: Cell) -> dict[str, Any]:
        """Return what was measured of a kind of problems."""
        found: dict[str, Any] = self.runs.get(cell.name)
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return what was measured beside what the closed forms say, a row for each kind."""
        rows = []
        for cell in self.cells():
            found, law = self.found(cell), cell.law
            median = quantile(found["errors"], 0.5)
            predicted = cell.predicted(0.5)
            rows.append(
                {
                    "distribution": cell.distribution,
                    "num_candidates": cell.num_candidates,
                    "target_range": cell.target_range,
                    "size": cell.size,
                    "trials": found["trials"],
                    "optimal": found["optimal"],
                    "median_error": median,
                    "simple_median": float(np.median(law.median_distance(cell.targets))),
                    "law_median": predicted,
                    "p99_ratio": quantile(found["errors"], 0.99) / median,
                    "law_p99_ratio": cell.predicted(0.99) / predicted,
                    "p999_ratio": quantile(found["errors"], 0.999) / median,
                    "mean_ratio": found["mean"] / median,
                    "given_candidates_p99_ratio": _given_candidates(found),
                    "success": {
                        f"{tolerance:g}": share
                        for tolerance, share in zip(
                            TOLERANCES, np.divide(found["within"], found["trials"]), strict=True
                        )
                    },
                }
            )
        return rows

    def slopes(self) -> list[dict[str, Any]]:
        """Fit log₂(median error / √n) against n, for each law that is a continuum.

        Returns
        -------
        list of dict
            `slope`, with its 95 % interval by 1,000 bootstraps of all trials, and `ratio_slope`:
            that of log₂(median error / the law's median), which would be 0.
        """
        slopes = []
        for name in CONTINUOUS:
            cells = [
                cell for cell in self.cells()
                if cell[0] == name and cell[2:] == (0.5, None) and cell.num_candidates >= FIRST
            ]  # fmt: skip
            n = np.array([cell.num_candidates for cell in cells])
            rng = np.random.default_rng(seed_of(self.seed, "bootstrap", name))
            drawn, middle = [], []
            for cell in cells:
                found = self.found(cell)
                drawn.append(resampled_medians(found["errors"], found["trials"], rng))
                middle.append(quantile(found["errors"], 0.5))
            law = np.array([cell.predicted(0.5) for cell in cells])
            fits = np.polyfit(n, np.log2(np.array(drawn) / np.sqrt(n)[:, None]), 1)[0]
            low, high = np.quantile(fits, [0.025, 0.975])
            slopes.append(
                {
                    "distribution": name,
                    "first": int(n[0]),
                    "last": int(n[-1]),
                    "slope": float(np.polyfit(n, np.log2(middle / np.sqrt(n)), 1)[0]),
                    "interval": [float(low), float(high)],
                    "ratio_slope": float(np.polyfit(n, np.log2(middle / law), 1)[0]),
                }
            )
        return slopes

    def count_rows(self) -> list[dict[str, Any]]:
        """Return how many solutions there are beside what the density promises."""
        rows = []
        for cell, expected in self.counts():
            found = self.runs.get(_count_name(cell, expected))
            tolerance, targets = found["tolerance"], cell.targets
            means = cell.law.expected_count(tolerance, targets)
            none = found["histogram"][0] / found["trials"]
            rows.append(
                {
                    "num_candidates": cell.num_candidates,
                    "tolerance": tolerance,
                    "trials": found["trials"],
                    "mean": found["mean"],
                    "mean_error": float(np.sqrt(found["variance"] / found["trials"])),
                    "expected": float(means.mean()),
                    "variance": found["variance"],
                    "law_variance": float(
                        cell.law.count_variance(tolerance, targets).mean() + means.var()
                    ),
                    "none": none,
                    "law_none": float(cell.law.survival(tolerance, targets)),
                    "poisson_none": float(np.exp(-means).mean()),
                    "histogram": found["histogram"],
                    "law_histogram": cell.law.count_distribution(
                        tolerance, targets, len(found["histogram"]) - 1
                    ).tolist(),
                }
            )
        return rows

    def write(self) -> Path:
        """Write page, table and pictures into the folder; return the page's path."""
        slopes, counts = self.slopes(), self.count_rows()
        return write_findings(self._findings(slopes, counts), self.runs.folder, self.seed)

    def _findings(self, slopes: list[dict[str, Any]], counts: list[dict[str, Any]]) -> Findings:
        rows = self.rows()
        uniform, last = slopes[0], counts[len(range(6, self.last + 1, 2)) - 1]
        largest = next(
            row for row in rows
            if row["distribution"] == "uniform" and row["num_candidates"] == self.last
        )  # fmt: skip
        num_solved = sum(row["trials"] for row in rows)
        num_optimal = sum(row["optimal"] for row in rows)
        low, high = uniform["interval"]
        headline = [
            ("SubsetSums solved", f"{num_solved:,}"),
            ("of these proved optimal", f"{num_optimal:,}"),
            (f"slope of log₂(median / √n), n = {uniform['first']}–{uniform['last']}",
             f"{uniform['slope']:.4f} [{low:.4f}, {high:.4f}]"),
            (f"p99 / median, n = {self.last}; law; exponential",
             f"{largest['p99_ratio']:.1f}; {largest['law_p99_ratio']:.1f}; 6.6"),
            (f"solutions, n = {last['num_candidates']}: mean; expected",
             f"{last['mean']:.3f}; {last['expected']:.3f}"),
            ("their variance; law; Poisson",
             f"{last['variance']:.2f}; {last['law_variance']:.2f}; {last['expected']:.2f}"),
        ]  # fmt: skip
        return Findings(
            NAME,
            "The phase transition of random SubsetSum",
            f"{num_solved:,} random problems, each solved to proven optimality: how close the "
            "best subset comes, and with which probability within ε. Dashed lines are closed "
            "forms, with nothing fitted to the measurements.",
            headline,
            phase_panels.panels(self, counts),
            [_slope_table(slopes), _count_table(counts), _table(rows)],
        )


def _count_name(cell: Cell, expected: float) -> str:
    return f"solutions {cell.name} expected {expected:g}"


def _given_candidates(found: dict[str, Any]) -> float | None:
    if found["relative"] is None:
        return None
    return quantile(found["relative"], 0.99) / quantile(found["relative"], 0.5)


def _slope_table(slopes: list[dict[str, Any]]) -> Table:
    return Table(
        "Slope of log₂(median error / √n) against n",
        ["law of candidates", "n", "slope", "95 %", "left over beside the law"],
        [
            [
                row["distribution"],
                f"{row['first']}–{row['last']}",
                f"{row['slope']:.4f}",
                "{:.4f} to {:.4f}".format(*row["interval"]),
                f"{row['ratio_slope']:+.4f}",
            ]
            for row in slopes
        ],
    )


def _count_table(counts: list[dict[str, Any]]) -> Table:
    return Table(
        "How many subsets are within ε, candidates uniform on [−1, 1)",
        ["n", "ε", "mean", "±", "expected", "variance", "law", "none found", "law", "Poisson"],
        [
            [
                str(row["num_candidates"]),
                f"{row['tolerance']:.2e}",
                f"{row['mean']:.3f}",
                f"{row['mean_error']:.3f}",
                f"{row['expected']:.3f}",
                f"{row['variance']:.2f}",
                f"{row['law_variance']:.2f}",
                f"{100 * row['none']:.2f} %",
                f"{100 * row['law_none']:.2f} %",
                f"{100 * row['poisson_none']:.2f} %",
            ]
            for row in counts
        ],
    )


def _table(rows: list[dict[str, Any]]) -> Table:
    lines = []
    for row in rows:
        shares = [np.interp(-np.log2(e), -np.log2(TOLERANCES), list(row["success"].values()))
                  for e in (1e-2, 1e-3)]  # fmt: skip
        lines.append(
            [
                row["distribution"],
                str(row["num_candidates"]),
                f"{row['target_range']:g}",
                "any" if row["size"] is None else str(row["size"]),
                f"{row['median_error']:.2e}",
                f"{row['simple_median']:.2e}",
                f"{row['law_median']:.2e}",
                f"{row['p99_ratio']:.1f}",
                f"{row['law_p99_ratio']:.1f}",
                f"{row['mean_ratio']:.1f}",
                *(f"{100 * share:.2f} %" for share in shares),
            ]
        )
    return Table("All kinds of problems", COLUMNS, lines)
