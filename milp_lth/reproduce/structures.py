"""The second experiment of Pensia et al. 2020: which structure degrades first under edge-popup.

Three random networks with as many weights, pruned to the same densities by training scores: the
proof's two matrices for each of the target's with a ReLU between, the same without it, and a plain
network that is wider. The paper's figure shows the first to fall behind as fewer weights are kept.

Pensia, Rajput, Nagle, Vishwakarma, Papailiopoulos, "Optimal Lottery Tickets via SubsetSum:
Logarithmic Over-Parameterization is Sufficient", NeurIPS 2020, arXiv 2006.07990.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from instances.files import write_atomically
from milp_lth.report.figures import accuracy_against_kept
from milp_lth.report.markdown import markdown_table
from milp_lth.reproduce.timed_runs import TimedRuns
from milp_lth.rivals.edge_popup import EDGE_POPUP_SCHEDULE, edge_popup
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import load_task
from solvers.heuristic.devices import find_device

SHAPES = "fc2", "fc4", "lenet5"

STRUCTURES = "wide", "redundant-linear", "redundant-relu"

DENSITIES = (0.02, 0.05, 0.1, 0.2, 0.5, 0.9)

BEHIND = 0.05
"""A structure has degraded where its accuracy is this far below the best of all."""

TABLE, PICTURE = "table.md", "structures.svg"

OnProgress = Callable[[int, int], None]
"""Called with the networks that are pruned, and how many there will be."""


class Point(NamedTuple):
    """One network to be pruned."""

    shape: str
    structure: str
    density: float
    seed: int

    @property
    def name(self) -> str:
        """What it is recorded under."""
        return f"{self.shape} {self.structure} {self.density:g} seed {self.seed}"


class Structures:
    """The experiment in one folder; what is there already is not done again.

    Parameters
    ----------
    data
        As for `milp_lth.rivals.task.load_task`.
    folder
        Where measurements go.
    shapes
        Names of shapes; empty: those of `SHAPES` that take the data.
    densities
        Shares of the weights to keep.
    num_seeds
        Networks of each.
    scale
        What the 100 published epochs are multiplied by.
    num_hidden
        Units of a hidden layer of the target; the paper's are 500.
    device
        "auto", "cpu" or "cuda".

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
        shapes: Sequence[str] = (),
        densities: Sequence[float] = DENSITIES,
        num_seeds: int = 3,
        scale: float = 1.0,
        num_hidden: int = 64,
        device: str = "auto",
    ) -> None:
        if num_seeds < 1:
            raise ValueError(f"--seeds {num_seeds}: give at least one")
        if not all(0 < density <= 1 for density in densities):
            raise ValueError("--densities: give shares to keep, above 0 and up to 1")
        EDGE_POPUP_SCHEDULE.scaled(scale)
        self.task = load_task(data)
        images = self.task.num_features == 28 * 28
        chosen = shapes or [name for name in SHAPES if images or name != "lenet5"]
        self.shapes = {
            name: Shape(name, self.task.num_features, self.task.num_classes, num_hidden)
            for name in chosen
        }
        self.densities, self.num_seeds, self.scale = tuple(densities), num_seeds, scale
        self.device = find_device(device).type
        asked = {"data": data, "scale": scale, "num_hidden": num_hidden, "device": self.device}
        self.runs = TimedRuns(folder, asked)

    def points(self) -> list[Point]:
        """Return what is measured, in order."""
        return [
            Point(shape, structure, density, seed)
            for shape in self.shapes
            for structure in STRUCTURES
            for density in self.densities
            for seed in range(self.num_seeds)
        ]

    def rows(self, on_progress: OnProgress = lambda done, total: None) -> list[dict[str, Any]]:
        """Prune what is not pruned yet; return a row for every shape, structure and density."""
        points = self.points()
        with self.runs.alone():
            for done, point in enumerate(points):
                if point.name not in self.runs:
                    self.runs.put(point.name, self._measured(point))
                on_progress(done + 1, len(points))
        rows = []
        for k in range(0, len(points), self.num_seeds):
            seeds = [self.runs.get(point.name) for point in points[k : k + self.num_seeds]]
            first = points[k]
            rows.append(
                {
                    "shape": first.shape,
                    "structure": first.structure,
                    "density": first.density,
                    "kept": seeds[0]["kept"],
                    "source_dense": seeds[0]["source_dense"],
                    "accuracy": float(np.mean([seed["accuracy"] for seed in seeds])),
                    "seconds": float(np.mean([seed["seconds"] for seed in seeds])),
                    "converged": all(seed["converged"] for seed in seeds),
                    "seeds": seeds,
                }
            )
        return rows

    def write(self, rows: list[dict[str, Any]]) -> Path:
        """Write the table and the picture into the folder; return the picture's path."""
        head, *lines = table(rows)
        text = markdown_table(head, lines)
        sentences = "".join(f"\n- {sentence}" for sentence in degraded(rows))
        write_atomically(self.runs.folder / TABLE, f"{text}{sentences}\n".encode())
        path = self.runs.folder / PICTURE
        write_atomically(path, accuracy_against_kept(rows).encode())
        return path

    def _measured(self, point: Point) -> dict[str, Any]:
        network = random_network(self.shapes[point.shape], point.seed, structure=point.structure)
        found = edge_popup(
            network,
            self.task,
            density=point.density,
            seed=point.seed,
            scale=self.scale,
            device=self.device,
        )
        return {
            "accuracy": found.curve[-1].accuracy,
            "kept": found.kept,
            "source_dense": found.source_dense,
            "converged": found.converged,
            "seconds": found.search_seconds,
            "curve": [list(p) for p in found.curve],
        }


def degraded(rows: list[dict[str, Any]]) -> list[str]:
    """Say of each network which structure is the first to degrade as fewer weights are kept.

    A structure has degraded where its mean accuracy is 5 points below the best of its network.
    """
    sentences = []
    for shape in dict.fromkeys(row["shape"] for row in rows):
        mine = [row for row in rows if row["shape"] == shape]
        best = max(row["accuracy"] for row in mine)
        holds = {}
        for structure in dict.fromkeys(row["structure"] for row in mine):
            good = [
                row["kept"]
                for row in mine
                if row["structure"] == structure and row["accuracy"] >= best - BEHIND
            ]
            holds[structure] = min(good, default=None)
        # who never was good degraded first; then who needs the most weights to be good
        order = sorted(holds, key=lambda name: -(holds[name] or np.inf))
        needs = ", ".join(
            f"{name} {'at none of them' if holds[name] is None else f'down to {holds[name]:,}'}"
            for name in order
        )
        sentences.append(
            f"{shape}: within 5 points of the best, {100 * best:.1f} %, by weights kept: {needs}."
        )
    return sentences


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return a line for every network and structure, and a column for every density.

    The first line is the head, with the share of weights that is kept; accuracies with an asterisk
    are of scores that have not converged.
    """
    densities = list(dict.fromkeys(row["density"] for row in rows))
    lines = [["network", "structure", "weights", *(f"{100 * d:g} %" for d in densities)]]
    for key in dict.fromkeys((row["shape"], row["structure"]) for row in rows):
        mine = [row for row in rows if (row["shape"], row["structure"]) == key]
        accuracies = [
            f"{100 * row['accuracy']:.1f} %{'' if row['converged'] else '*'}" for row in mine
        ]
        lines.append([*key, f"{mine[0]['source_dense']:,}", *accuracies])
    return lines
