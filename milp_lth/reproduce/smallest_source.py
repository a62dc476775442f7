"""How large a random network must be to contain a tiny function, without any block structure."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import BoolArray, FloatArray
from instances.philox import UNIT_FACTOR, Stream, uniform
from milp_lth.theory.proportion import proportion_interval
from solvers.solution import Solution, Status
from solvers.solve import solve

HEURISTICS = ("popup", "flips")
"""Who is asked first; what none of them contains goes to the exact solver."""

COLUMNS = {
    "hidden": "hidden",
    "edges": "edges",
    "by_popup": "popup",
    "by_flips": "flips",
    "contained": "contained",
    "not_contained": "refuted",
    "undecided": "open",
    "fraction": "fraction",
    "interval": "95 %",
    "seconds": "seconds",
}


def _grid(numbers: tuple[float, ...], num_inputs: int) -> FloatArray:
    return np.array(list(product(numbers, repeat=num_inputs)))


def _pairs(function: Callable[..., Any], points: FloatArray) -> tuple[FloatArray, FloatArray]:
    return points, function(*points.T)[:, None]


TARGETS: dict[str, tuple[FloatArray, FloatArray]] = {
    "abs": _pairs(np.abs, _grid((-1.0, 1.0), 1)),
    "and": _pairs(np.minimum, _grid((0.0, 1.0), 2)),
    "xor": _pairs(lambda x, y: np.abs(x - y), _grid((0.0, 1.0), 2)),
    "max": _pairs(np.maximum, _grid((-1.0, 0.0, 1.0), 2)),
}
"""Inputs and outputs, all that there are. A network without biases that is right at −1 and 1 is
right about the absolute value everywhere."""


@dataclass(frozen=True)
class SmallestSource:
    """Random networks of several sizes, many seeds of each, and whether they contain a target.

    Parameters
    ----------
    target
        One of `TARGETS`.
    hidden
        The sizes: the numbers of hidden units, one or more layers of them.
    num_seeds
        How many networks of each size.
    tolerance
        How far any output may be from the target's.
    scale
        The last layer's weights are uniform on [−scale, scale), all others on [−1, 1).
    solver
        Who decides where the heuristics found no mask: a name in the registry.
    time_limit
        Seconds it has for each network.

    Raises
    ------
    ValueError
        When a name is unknown or a number out of range.
    """

    target: str = "max"
    hidden: tuple[tuple[int, ...], ...] = ((8,), (16,), (24,), (28,), (6, 6), (8, 8))
    num_seeds: int = 20
    tolerance: float = 0.05
    scale: float = 4.0
    solver: str = "cp-sat"
    time_limit: float = 5.0

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ValueError(f"unknown target {self.target!r}: choose one of {', '.join(TARGETS)}")
        if not self.hidden or any(not sizes or min(sizes) < 1 for sizes in self.hidden):
            raise ValueError("hidden sizes: give one or more, each of at least one unit")
        if self.num_seeds < 1:
            raise ValueError(f"{self.num_seeds} seeds: give at least one")
        if not (0 <= self.tolerance < math.inf and 0 < self.scale < math.inf):
            raise ValueError(
                f"tolerance {self.tolerance}, scale {self.scale}: give finite numbers, the second "
                "above 0"
            )

    def rows(
        self, on_progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Iterator[dict[str, Any]]:
        """Decide about one size after the other.

        `on_progress` is told how many steps are done, of how many: two for every network, the
        heuristics and the decision.
        """
        total = 2 * len(self.hidden) * self.num_seeds
        for k, sizes in enumerate(self.hidden):
            done = 2 * k * self.num_seeds
            yield self._row(sizes, partial(_tell, on_progress, done, total))

    def sources(self, sizes: tuple[int, ...]) -> ArbitrarySource:
        """Return the random networks of a size, one for each seed."""
        inputs, outputs = TARGETS[self.target]
        units = (inputs.shape[1], *sizes, outputs.shape[1])
        weights = []
        for layer, (fan_in, fan_out) in enumerate(pairwise(units)):
            entries = np.arange(fan_out * fan_in).reshape(fan_out, fan_in)
            scale = self.scale if layer == len(sizes) else 1.0
            drawn = [
                scale * uniform(Stream(seed, layer), entries, unit=UNIT_FACTOR)
                for seed in range(self.num_seeds)
            ]
            weights.append(np.stack(drawn))
        return ArbitrarySource(tuple(weights), inputs, outputs, tolerance=self.tolerance)

    def _row(self, sizes: tuple[int, ...], on_step: Callable[[int], None]) -> dict[str, Any]:
        began = time.perf_counter()
        sources = self.sources(sizes)
        found = {name: solve(sources, name) for name in HEURISTICS}
        start = _best_masks(list(found.values()))
        on_step(self.num_seeds)
        judged = []
        for b in range(self.num_seeds):
            part, given = sources.part(b, b + 1), start[b : b + 1]
            error, violation = part.evaluate(given)
            if violation[0] == 0:
                judged.append({"seed": b, "verdict": "contained", "error": float(error[0])})
            else:
                solution = solve(part, self.solver, time_limit=self.time_limit, start=given)
                judged.append(
                    {"seed": b, "verdict": _verdict(solution), "error": float(solution.error[0])}
                )
            on_step(self.num_seeds + b + 1)
        counts = {
            verdict: sum(each["verdict"] == verdict for each in judged)
            for verdict in ("contained", "not_contained", "undecided")
        }
        low, high = proportion_interval(
            counts["contained"], counts["contained"] + counts["undecided"], self.num_seeds
        )
        return {
            "target": self.target,
            "hidden": "x".join(map(str, sizes)),
            "edges": sources.num_candidates,
            "tolerance": self.tolerance,
            "seeds": self.num_seeds,
            **{f"by_{name}": int(found[name].feasible.sum()) for name in HEURISTICS},
            **counts,
            "fraction": counts["contained"] / self.num_seeds,
            "low": low,
            "high": high,
            "seconds": time.perf_counter() - began,
            "sources": judged,
        }


def _tell(on_progress: Callable[[int, int], None], done: int, total: int, more: int) -> None:
    on_progress(done + more, total)


def cells(row: dict[str, Any]) -> list[str]:
    """Return a row's cells in the order of `COLUMNS`."""
    shown = {name: str(row.get(name)) for name in COLUMNS}
    shown["fraction"] = f"{100 * row['fraction']:.0f} %"
    shown["interval"] = f"{100 * row['low']:.0f}–{100 * row['high']:.0f} %"
    shown["seconds"] = f"{row['seconds']:.1f}"
    return list(shown.values())


def _best_masks(solutions: list[Solution]) -> BoolArray:
    mask, error = solutions[0].mask, solutions[0].error
    for other in solutions[1:]:
        better = other.error < error
        mask = np.where(better[:, None], other.mask, mask)
        error = np.where(better, other.error, error)
    return mask


def _verdict(solution: Solution) -> str:
    if solution.feasible[0]:
        return "contained"
    return "not_contained" if solution.status[0] == Status.INFEASIBLE else "undecided"
