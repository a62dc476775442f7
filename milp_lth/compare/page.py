"""The page about a comparison."""

from pathlib import Path
from typing import Any

import numpy as np

from instances.files import write_atomically
from milp_lth.compare.comparison import Comparison
from milp_lth.compare.measuring import Run
from milp_lth.compare.plots import anytime_drawing, profile_drawing
from milp_lth.compare.store import Store
from milp_lth.compare.summary import (
    TARGETS,
    anytime,
    by_task,
    pairs,
    profile,
    shift_for,
    summary,
    times_to_targets,
)
from milp_lth.compare.tables import HEADINGS, cells, pair_table, seconds, target_cells
from milp_lth.compare.yardstick import Yardstick
from milp_lth.report.page import embedded, page

PAGE = "index.html"


def stated(comparison: Comparison, *, abs_gap: float = 0.0) -> dict[str, Any]:
    """Return everything that a comparison found, task by task, as keys and values.

    Raises
    ------
    ValueError
        When the gap is negative.
    """
    with Store(comparison.folder) as store:
        runs, batches, settings = store.runs(), store.batches(), store.settings()
    runs = in_order(runs, settings["asked"]["instances"])
    yardstick = Yardstick.of(runs, time_limit=comparison.asked.time_limit, abs_gap=abs_gap)
    start = {run.solver: 0.0 for run in runs}  # one process for all tasks
    for run in runs:
        start[run.solver] = max(start[run.solver], run.start_seconds)
    tasks: dict[str, Any] = {
        task: {
            "shift": shift_for(mine),
            "rows": [
                row | {"start_seconds": start[row["solver"]]}
                for row in summary(mine, batches, yardstick)
            ],
            "pairs": pairs(mine, yardstick),
            "targets": {} if task.startswith("sparsest") else times_to_targets(mine),
        }
        for task, mine in by_task(runs).items()
    }
    return {
        "rows": [row | {"task": task} for task, found in tasks.items() for row in found["rows"]],
        "tasks": tasks,
        "abs_gap": abs_gap,
        "settings": settings,
        "out": str(comparison.folder),
    }


def in_order(runs: list[Run], sets: list[str]) -> list[Run]:
    """Return the runs in the order in which their sets were asked for."""
    return sorted(runs, key=lambda run: sets.index(run.set_name))


def write_page(comparison: Comparison, whole: dict[str, Any] | None = None) -> Path:
    """Write ``index.html`` into the comparison's folder and return its path.

    `whole` is what `stated` returned, where that is known already.
    """
    whole = stated(comparison) if whole is None else whole
    found, abs_gap = whole["tasks"], whole["abs_gap"]
    limit = comparison.asked.time_limit
    with Store(comparison.folder) as store:
        runs, settings = store.runs(), store.settings()
    runs = in_order(runs, settings["asked"]["instances"])
    yardstick = Yardstick.of(runs, time_limit=limit, abs_gap=abs_gap)
    sections = []
    for k, (task, mine) in enumerate(by_task(runs).items()):
        order = [row["solver"] for row in found[task]["rows"]]
        mine.sort(key=lambda run: order.index(run.solver))
        instants = np.logspace(-5, np.log10(limit), 60).tolist()
        sections.append(
            {
                "task": task,
                "sets": ", ".join(sorted({run.set_name for run in mine})),
                "shift": seconds(found[task]["shift"]),
                "rows": [cells(row) for row in found[task]["rows"]],
                "solvers": order,
                "pairs": pair_table(found[task]["pairs"], order),
                "targets": [
                    [solver, *target_cells(found[task]["targets"][solver])]
                    for solver in order
                    if found[task]["targets"]
                ],
                "profile": embedded(profile_drawing(profile(mine, yardstick)), f"profile{k}"),
                "anytime": embedded(
                    anytime_drawing(instants, anytime(mine, instants)), f"anytime{k}"
                ),
            }
        )
    html = page(
        "comparison.html",
        asked=settings["asked"],
        abs_gap=abs_gap,
        environment=settings["environment"],
        headings=HEADINGS,
        targets=[f"{target:.0e}" for target in TARGETS],
        sections=sections,
    )
    path = comparison.folder / PAGE
    write_atomically(path, html.encode())
    return path
