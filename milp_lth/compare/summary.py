"""What a comparison shows: counts, means that count failures, profiles, pairs, targets.

Mittelmann's benchmarks and SCIP's reports use the shifted geometric mean; the SAT competitions
PAR-2; Dolan and Moré (Math. Programming 2002) the performance profile. Here a run succeeds when its
mask, judged exactly, is as good as the best that is known, in time; whether the solver can prove it
is counted apart. Runs that fail count with the time limit, or twice that.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from milp_lth.compare.measuring import ERROR, FINISHED, TIME, Run

TARGETS = tuple(10.0**-k for k in range(1, 9))
"""Errors whose times are shown for tasks that minimise the error."""

_RESAMPLES = 1000


def best_known(runs: Sequence[Run]) -> dict[tuple[str, int], float]:
    """Return the best objective known of every row: proven, or the best that any run found."""
    best: dict[tuple[str, int], float] = {}
    for run in runs:
        key = (run.set_name, run.row)
        if not math.isnan(run.optimum):
            best[key] = run.optimum
        elif run.violation == 0:
            best[key] = min(best.get(key, math.inf), run.objective)
        else:
            best.setdefault(key, math.inf)
    return best


def succeeded(run: Run, best: dict[tuple[str, int], float]) -> bool:
    """Whether a run's answer, or proof that there is none, is as good as the best known."""
    known = best[run.set_name, run.row]
    if math.isinf(known):
        return run.status == "INFEASIBLE"
    return run.violation == 0 and run.objective <= known


def claimed(run: Run) -> bool:
    """Whether the solver itself said that its answer is the optimum, or that there is none."""
    return run.reported_status.lower().startswith(("optimal", "infeasible"))


def falsely_claimed(run: Run, best: dict[tuple[str, int], float]) -> bool:
    """Whether the solver said so of an answer that is not."""
    if not claimed(run):
        return False
    known = best[run.set_name, run.row]
    if run.reported_status.lower().startswith("infeasible"):
        return math.isfinite(known)
    return run.violation > 0 or run.objective > known


def disagrees(run: Run) -> bool:
    """Whether the objective that the solver reported is another than that of its mask."""
    reported = run.reported_objective
    if math.isnan(reported) or run.violation > 0 or not math.isfinite(reported):
        return False
    return abs(reported - run.objective) > 1e-9 * max(1.0, abs(run.objective))


def shift_for(runs: Sequence[Run]) -> float:
    """Return the shift of the geometric mean: the power of ten at or below the median time."""
    middle = statistics.median(run.seconds for run in runs)
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
    *,
    time_limit: float,
) -> list[dict[str, Any]]:
    """Summarise the runs of one task: one dict a solver, best mean first."""
    best, shift = best_known(runs), shift_for(runs)
    rows = []
    for solver, mine in _by_solver(runs).items():
        good = [succeeded(run, best) for run in mine]
        times = [_censored(run, ok, time_limit) for run, ok in zip(mine, good, strict=True)]
        rates = [
            rate for (name, who), rate in batches.items()
            if who == solver and rate is not None and any(r.set_name == name for r in mine)
        ]  # fmt: skip
        mean = shifted_geometric_mean(times, shift)
        rows.append(
            {
                "solver": solver,
                "runs": len(mine),
                "solved": sum(good),
                "proven": sum(run.status in ("OPTIMAL", "INFEASIBLE") for run in mine),
                "claimed": sum(map(claimed, mine)),
                "falsely_claimed": sum(falsely_claimed(run, best) for run in mine),
                "disagreements": sum(map(disagrees, mine)),
                "failures": sum(run.outcome not in (FINISHED, TIME) for run in mine),
                "gap": _gap(mine, best),
                "mean_seconds": mean,
                "mean_interval": _interval(
                    mine, times, lambda chosen: shifted_geometric_mean(chosen, shift)
                ),
                "par2": statistics.fmean(
                    t if ok else 2 * time_limit for t, ok in zip(times, good, strict=True)
                ),
                "latency": statistics.median(run.seconds for run in mine),
                "build_seconds": statistics.median(run.build_seconds for run in mine),
                "start_seconds": max(run.start_seconds for run in mine),
                "rows_per_second": statistics.fmean(rates) if rates else None,
                "messages": sorted({r.message for r in mine if r.message and r.outcome == ERROR}),
            }
        )
    return sorted(rows, key=lambda row: row["mean_seconds"])


def profile(runs: Sequence[Run], *, time_limit: float) -> dict[str, list[tuple[float, float]]]:
    """Return Dolan and Moré's performance profile of each solver: (ratio, share) where it rises."""
    best = best_known(runs)
    fastest: dict[tuple[str, int, int], float] = {}
    for run in runs:
        if succeeded(run, best):
            key = (run.set_name, run.row, run.seed)
            fastest[key] = min(fastest.get(key, math.inf), max(run.seconds, 1e-9))
    curves = {}
    for solver, mine in _by_solver(runs).items():
        ratios = sorted(
            max(run.seconds, 1e-9) / fastest[run.set_name, run.row, run.seed]
            for run in mine
            if succeeded(run, best)
        )
        curves[solver] = [(ratio, (k + 1) / len(mine)) for k, ratio in enumerate(ratios)]
    return curves


def pairs(runs: Sequence[Run], *, time_limit: float) -> list[dict[str, Any]]:
    """Compare every two solvers on the rows that both were given.

    Returns
    -------
    list
        One dict a pair: how often each was better (success before time), and the ratio of the
        geometric means of their times, failures at the limit, with a 95 % interval by resampling
        the rows.
    """
    best = best_known(runs)
    times = {
        (run.solver, run.set_name, run.row, run.seed):
            _censored(run, succeeded(run, best), time_limit)
        for run in runs
    }  # fmt: skip
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


def _censored(run: Run, success: bool, time_limit: float) -> float:
    return min(run.seconds, time_limit) if success else time_limit


def _gap(runs: Sequence[Run], best: dict[tuple[str, int], float]) -> float | None:
    """Return how far answers are from the best known.

    The geometric mean of 1 + what is kept too much, or of the ratio of the errors, less 1; None
    where no run has a feasible answer to a feasible row.
    """
    logs = []
    for run in runs:
        known = best[run.set_name, run.row]
        if run.violation > 0 or math.isinf(known):
            continue
        if run.task.startswith("sparsest"):
            logs.append(math.log1p(max(0.0, run.objective - known)))
        elif known > 0:
            logs.append(math.log(max(run.objective, known) / known))
        elif run.objective == 0:
            logs.append(0.0)
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
