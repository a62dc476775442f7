"""What a comparison shows: counts, means that count failures, profiles, pairs, targets.

Mittelmann's benchmarks and SCIP's reports use the shifted geometric mean; the SAT competitions
PAR-2; Dolan and Moré (Math. Programming 2002) the performance profile. What counts as a success is
the yardstick's matter. Runs that fail count with the time limit, or twice that.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from milp_lth.compare.measuring import ERROR, FINISHED, TIME, UNSUPPORTED, Run
from milp_lth.compare.yardstick import Yardstick, claimed, disagrees

TARGETS = tuple(10.0**-k for k in range(1, 9))
"""Errors whose times are shown for tasks that minimise the error."""

_RESAMPLES = 1000


def shift_for(runs: Sequence[Run]) -> float:
    """Return the shift of the geometric mean: the power of ten at or below the median time."""
    middle = statistics.median(run.seconds for run in runs if run.outcome != UNSUPPORTED)
    return float(10.0 ** math.floor(math.log10(max(middle, 1e-4))))


def shifted_geometric_mean(seconds: Sequence[float], shift: float) -> float:
    """Return exp(mean(log(seconds + shift))) − shift."""
    values = np.asarray(seconds, dtype=np.float64)
    return float(np.exp(np.log(values + shift).mean()) - shift)


def by_task(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Group runs by their task: what is asked differs, so nothing is averaged across."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.task].append(run)
    return dict(groups)


def summary(
    runs: Sequence[Run],
    batches: dict[tuple[str, str], float | None],
    yardstick: Yardstick,
) -> list[dict[str, Any]]:
    """Summarise the runs of one task: one dict a solver, best mean first."""
    shift = shift_for(runs)
    rows = []
    for solver, mine in _by_solver(runs).items():
        times = [yardstick.seconds(run) for run in mine]
        rates = [
            rate for (name, who), rate in batches.items()
            if who == solver and rate is not None and any(r.set_name == name for r in mine)
        ]  # fmt: skip
        tried = [run for run in mine if run.outcome != UNSUPPORTED]
        rows.append(
            {
                "solver": solver,
                "runs": len(mine),
                "solved": sum(map(yardstick.solved, mine)),
                "proven": sum(map(yardstick.proven, mine)),
                "claimed": sum(map(claimed, mine)),
                "falsely_claimed": sum(map(yardstick.falsely_claimed, mine)),
                "disagreements": sum(map(disagrees, mine)),
                "failures": sum(run.outcome not in (FINISHED, TIME) for run in tried),
                "unsupported": len(mine) - len(tried),
                "gap": _gap(mine, yardstick),
                "mean_seconds": shifted_geometric_mean(times, shift),
                "mean_interval": _interval(
                    mine, times, lambda chosen: shifted_geometric_mean(chosen, shift)
                ),
                "par2": statistics.fmean(
                    time if yardstick.solved(run) else 2 * yardstick.time_limit
                    for run, time in zip(mine, times, strict=True)
                ),
                "latency": statistics.median(run.seconds for run in tried),
                "build_seconds": statistics.median(run.build_seconds for run in tried),
                "rows_per_second": statistics.fmean(rates) if rates else None,
                "messages": sorted({r.message for r in mine if r.message and r.outcome == ERROR}),
            }
        )
    return sorted(rows, key=lambda row: row["mean_seconds"])


def profile(runs: Sequence[Run], yardstick: Yardstick) -> dict[str, list[tuple[float, float]]]:
    """Return Dolan and Moré's performance profile of each solver: (ratio, share) where it rises."""
    fastest: dict[tuple[str, int, int], float] = {}
    for run in runs:
        if yardstick.solved(run):
            key = (run.set_name, run.row, run.seed)
            fastest[key] = min(fastest.get(key, math.inf), max(run.seconds, 1e-9))
    curves = {}
    for solver, mine in _by_solver(runs).items():
        ratios = sorted(
            max(run.seconds, 1e-9) / fastest[run.set_name, run.row, run.seed]
            for run in mine
            if yardstick.solved(run)
        )
        curves[solver] = [(ratio, (k + 1) / len(mine)) for k, ratio in enumerate(ratios)]
    return curves


def pairs(runs: Sequence[Run], yardstick: Yardstick) -> list[dict[str, Any]]:
    """Compare every two solvers on the rows that both were given.

    Returns
    -------
    list
        One dict a pair: how often each was better (success before time), and the ratio of the
        geometric means of their times, failures at the limit, with a 95 % interval by resampling
        the rows.
    """
    times = {(run.solver, run.set_name, run.row, run.seed): yardstick.seconds(run) for run in runs}
    solvers = list(_by_solver(runs))
    found = []
    for i, one in enumerate(solvers):
        for two in solvers[i + 1 :]:
            keys = [key[1:] for key in times if key[0] == one and (two, *key[1:]) in times]
            if not keys:
                continue
            a = np.array([times[one, *key] for key in keys])
            b = np.array([times[two, *key] for key in keys])
            logs = np.log(np.maximum(a, 1e-9) / np.maximum(b, 1e-9))
            low, high = _resampled([key[:2] for key in keys], logs, np.mean)
            found.append(
                {
                    "solvers": [one, two],
                    "rows": len(keys),
                    "better": [int((a < b).sum()), int((b < a).sum())],
                    "ratio": float(np.exp(logs.mean())),
                    "interval": [float(np.exp(low)), float(np.exp(high))],
                }
            )
    return found


def times_to_targets(runs: Sequence[Run]) -> dict[str, list[dict[str, float | None]]]:
    """Return for each solver the share of runs that reached each error, and their median time."""
    table = {}
    for solver, mine in _by_solver(runs).items():
        cells = []
        for target in TARGETS:
            reached = [t for t in (_time_to(run, target) for run in mine) if t is not None]
            cells.append(
                {
                    "target": target,
                    "share": len(reached) / len(mine),
                    "seconds": statistics.median(reached) if reached else None,
                }
            )
        table[solver] = cells
    return table


def anytime(runs: Sequence[Run], instants: Sequence[float]) -> dict[str, list[float]]:
    """Return for each solver the median objective over its runs at each instant, in seconds."""
    curves = {}
    for solver, mine in _by_solver(runs).items():
        curves[solver] = [
            statistics.median(_objective_at(run, instant) for run in mine) for instant in instants
        ]
    return curves


def _by_solver(runs: Sequence[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.solver].append(run)
    return dict(groups)


def _gap(runs: Sequence[Run], yardstick: Yardstick) -> float | None:
    """Return the geometric mean of what answers are worse than the best known, less 1.

    None where no run has a feasible answer to a feasible row.
    """
    logs = [excess for run in runs if (excess := yardstick.log_excess(run)) is not None]
    return math.expm1(statistics.fmean(logs)) if logs else None


def _interval(
    runs: Sequence[Run], values: Sequence[float], statistic: Callable[[Any], float]
) -> list[float]:
    return list(_resampled([(r.set_name, r.row) for r in runs], np.array(values), statistic))


def _resampled(
    rows: Sequence[tuple[Any, ...]], values: Any, statistic: Callable[[Any], Any]
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval; rows are resampled, with all of their seeds."""
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for k, row in enumerate(rows):
        groups[row].append(k)
    members = list(groups.values())
    rng = np.random.default_rng(0)
    found = []
    for _ in range(_RESAMPLES):
        chosen = rng.integers(len(members), size=len(members))
        found.append(float(statistic(values[[k for c in chosen for k in members[c]]])))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _time_to(run: Run, target: float) -> float | None:
    points = [*run.trace, (run.seconds, run.objective, run.violation)]
    return next((at for at, objective, off in points if off == 0 and objective <= target), None)


def _objective_at(run: Run, instant: float) -> float:
    points = [*run.trace, (run.seconds, run.objective, run.violation)]
    reached = [objective for at, objective, off in points if at <= instant and off == 0]
    return min(reached, default=math.inf)
