"""The same target through every construction of the theory: what each needs, and what it reaches.

One run a construction, at the width it asks for by itself, checked like any other; and a sweep of
widths in memory, several seeds each, for the width that is needed and for the picture.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from milp_lth.assembly import assemble
from milp_lth.constructions.registry import CONSTRUCTIONS
from milp_lth.evaluation import Evaluation, evaluate
from milp_lth.network import Network
from milp_lth.reproduce.timed_runs import TimedRuns
from milp_lth.run import reduce_for
from milp_lth.run_creation import load_asked
from milp_lth.run_settings import RunSettings
from milp_lth.solving import solve_masks
from milp_lth.targets.data import Data

AGREEMENT = 0.99
"""What is needed: this share of the inputs keeps its class, whatever the seed."""

WIDTHS: dict[str, tuple[int, ...]] = {
    "nearest-product": (16, 32, 64, 128, 256, 512, 1024),
    "golden-ratio": (24, 48, 96, 192, 384),
    "k-subset": (6, 8, 12, 16, 24, 32),
    "pre-masked": (8, 16, 24, 32, 40, 48),
    "frozen": (12, 16, 20, 24, 30, 34),
    "perturbed": (2, 4, 6, 8, 12, 16),
    "binary": (8, 12, 16, 20, 24, 28),
}
"""Candidates of each weight in the sweep; where nothing else stands, `USUAL_WIDTHS`."""

USUAL_WIDTHS = (4, 8, 12, 16, 20, 24)

COLUMNS = {
    "row": "construction",
    "width": "width",
    "needed_width": "needed",
    "depth": "depth",
    "source_dense": "edges drawn",
    "kept_u": "kept U",
    "kept_v": "kept V",
    "per_weight": "kept per weight",
    "worst_error": "worst error",
    "median_error": "median error",
    "agreement": "agreement",
    "optimal_share": "proven",
    "seconds": "seconds",
    "verified": "verified",
}

BRIEFLY = (
    "row", "width", "needed_width", "depth", "per_weight", "worst_error", "agreement", "verified",
)  # fmt: skip
"""The columns that fit a terminal."""

OnProgress = Callable[[int, int], None]
"""Called with the measurements that are there, and how many there will be."""


class Point(NamedTuple):
    """One ticket of the sweep."""

    construction: str
    width: int
    seed: int

    @property
    def name(self) -> str:
        """What it is recorded under."""
        return f"{self.construction}-{self.width}-{self.seed}"


class Constructions:
    """The table and the sweep in one folder; what is there already is not done again.

    Parameters
    ----------
    target
        A named target or a file, as for ``milp-lth run``.
    data
        What it is judged by; None: what belongs to the target.
    folder
        Where runs and measurements go.
    num_seeds
        Seeds of the sweep.
    names
        The constructions; empty: all.

    Raises
    ------
    ValueError
        When a construction is unknown, a number is out of range, or the folder holds something
        else.
    """

    def __init__(
        self,
        target: str,
        data: str | None,
        folder: Path,
        *,
        num_seeds: int = 3,
        names: tuple[str, ...] = (),
    ) -> None:
        if num_seeds < 1:
            raise ValueError(f"--seeds {num_seeds}: give at least one")
        unknown = [name for name in names if name not in CONSTRUCTIONS]
        if unknown:
            raise ValueError(
                f"unknown construction {unknown[0]!r}: choose among {', '.join(CONSTRUCTIONS)}"
            )
        self.base = RunSettings(target, data)
        self.names = names or tuple(CONSTRUCTIONS)
        self.num_seeds = num_seeds
        self.runs = TimedRuns(folder, {"target": target, "data": data})
        self._loaded: dict[int | None, tuple[Network, Data]] = {}

    def points(self) -> list[Point]:
        """Return what the sweep measures, in order."""
        return [
            Point(name, width, seed)
            for name in self.names
            for width in WIDTHS.get(name, USUAL_WIDTHS)
            for seed in range(self.num_seeds)
        ]

    def measure(self, on_progress: OnProgress = lambda done, total: None) -> list[dict[str, Any]]:
        """Measure what is not measured yet, and return the rows of the table."""
        points = self.points()
        total = len(points) + len(self.names)
        rows = []
        with self.runs.alone():
            for done, point in enumerate(points):
                if point.name not in self.runs:
                    self.runs.put(point.name, self._measured(point))
                on_progress(done + 1, total)
            for done, name in enumerate(self.names):
                rows.append(self._row(name))
                on_progress(len(points) + done + 1, total)
        return rows

    def curves(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield for each construction its points: the median over the seeds, by width."""
        for name, of_name in groupby(self.points(), lambda point: point.construction):
            curve = []
            for width, of_width in groupby(of_name, lambda point: point.width):
                measured = [self.runs.get(point.name) for point in of_width]
                keys = ("source_dense", "median_error", "worst_error", "agreement", "num_weights")
                curve.append(
                    {"width": width, "least_agreement": min(m["agreement"] for m in measured)}
                    | {key: float(np.median([m[key] for m in measured])) for key in keys}
                )
            yield name, curve

    def needed_width(self, name: str) -> int | None:
        """Return the least width from which on all seeds agree with the target; None: none does."""
        needed = None
        for point in reversed(dict(self.curves())[name]):
            if point["least_agreement"] < AGREEMENT:
                break
            needed = point["width"]
        return needed

    def _measured(self, point: Point) -> dict[str, Any]:
        began = time.perf_counter()
        settings = replace(
            self.base, construction=point.construction, width=point.width, seed=point.seed,
            objective="", distribution="", target_bits=None,
        )  # fmt: skip
        network, data = self._load(settings)
        reduction = reduce_for(settings, network, data.input_range)
        ticket = assemble(reduction, solve_masks(reduction, settings.make_solver()))
        found = evaluate(ticket, network.module(), data.x, data.y)
        return _errors(found) | {
            "agreement": found.agreement,
            "source_dense": found.edges["source_dense"],
            "num_weights": sum(layer.num_weights for layer in ticket.settings.layers),
            "seconds": time.perf_counter() - began,
        }

    def _load(self, settings: RunSettings) -> tuple[Network, Data]:
        """Return the target, rounded as a construction asks, and the data; loaded once."""
        if settings.target_bits not in self._loaded:
            self._loaded[settings.target_bits] = load_asked(settings)
        return self._loaded[settings.target_bits]

    def _row(self, name: str) -> dict[str, Any]:
        settings = replace(self.base, construction=name, objective="", target_bits=None)
        figures = self.runs.figures(name, settings)
        network, data = self._load(settings)
        layers = reduce_for(settings, network, data.input_range).layers
        layer_errors = figures["layers"]
        return {
            "row": name,
            "width": layers[0].drawn.width,
            "needed_width": self.needed_width(name),
            "depth": sum(layer.drawn.depth for layer in layers),
            **figures["edges"],
            "worst_error": max(layer["max_error"] for layer in layer_errors),
            "median_error": max(layer["median_error"] for layer in layer_errors),
            "accuracy": figures["ticket"]["accuracy"],
            "agreement": figures["ticket"]["agreement"],
            "optimal_share": figures["status"]["OPTIMAL"] / figures["weights"]["num_rows"],
            "seconds": figures["seconds"],
            "core_seconds": figures["core_seconds"],
            "verified": figures["verified"],
            "run": name,
        }


def _errors(found: Evaluation) -> dict[str, float]:
    """Return the errors of the assembled ticket: of its worst layer."""
    return {
        "worst_error": max(layer.max_error for layer in found.layers),
        "median_error": max(layer.median_error for layer in found.layers),
    }


def slope(curve: list[dict[str, Any]]) -> float | None:
    """Return how log error falls with log edges drawn; None where errors are 0 or points too few.

    −1 is Malach's law; sums of many candidates have none, they fall ever faster.
    """
    points = [(p["source_dense"], p["median_error"]) for p in curve if p["median_error"] > 0]
    if len(points) < 3 or len(points) < len(curve):
        return None
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def cells(row: dict[str, Any], columns: Iterable[str] = COLUMNS) -> list[str]:
    """Return a row's values as text, in the order of `columns`."""
    return [_text(name, row[name]) for name in columns]


def _text(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if name in ("agreement", "optimal_share"):
        return "100 %" if value == 1 else f"{100 * value:.2f} %"
    if name.endswith("error"):
        return f"{value:.1e}" if value else "0"
    if name == "per_weight":
        return f"{value:.2f}"
    return f"{value:,.1f}" if name == "seconds" else f"{value:,.0f}"
