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
from milp_lth.compare.tables import HEADINGS, cells, pair_cells, seconds, target_cells
from milp_lth.report.page import embedded, page

PAGE = "index.html"


def stated(comparison: Comparison) -> dict[str, Any]:
    """Return everything that a comparison found, task by task, as keys and values."""
    limit = comparison.asked.time_limit
    with Store(comparison.folder) as store:
        runs, batches, settings = store.runs(), store.batches(), store.settings()
    runs = in_order(runs, settings["asked"]["instances"])
    tasks: dict[str, Any] = {
        task: {
            "shift": shift_for(mine),
            "rows": summary(mine, batches, time_limit=limit),
            "pairs": pairs(mine, time_limit=limit),
            "targets": {} if task.startswith("sparsest") else times_to_targets(mine),
        }
        for task, mine in by_task(runs).items()
    }
    return {
        "rows": [row | {"task": task} for task, found in tasks.items() for row in found["rows"]],
        "tasks": tasks,
        "settings": settings,
        "out": str(comparison.folder),
    }


def in_order(runs: list[Run], sets: list[str]) -> list[Run]:
    """Return the runs in the order in which their sets were asked for."""
    return sorted(runs, key=lambda run: sets.index(run.set_name))


def write_page(comparison: Comparison) -> Path:
    """Write ``index.html`` into the comparison's folder and return its path."""
    limit = comparison.asked.time_limit
    with Store(comparison.folder) as store:
        runs, settings = store.runs(), store.settings()
    runs = in_order(runs, settings["asked"]["instances"])
    found = stated(comparison)["tasks"]
    sections = []
    for k, (task, mine) in enumerate(by_task(runs).items()):
        instants = np.logspace(-5, np.log10(limit), 60).tolist()
        sections.append(
            {
                "task": task,
                "sets": ", ".join(sorted({run.set_name for run in mine})),
                "shift": seconds(found[task]["shift"]),
                "rows": [cells(row) for row in found[task]["rows"]],
                "pairs": [pair_cells(pair) for pair in found[task]["pairs"]],
                "targets": [
                    [solver, *target_cells(times)]
                    for solver, times in found[task]["targets"].items()
                ],
                "profile": embedded(
                    profile_drawing(profile(mine, time_limit=limit)), f"profile{k}"
                ),
                "anytime": embedded(
                    anytime_drawing(instants, anytime(mine, instants)), f"anytime{k}"
                ),
            }
        )
    html = page(
        "comparison.html",
        asked=settings["asked"],
        environment=settings["environment"],
        headings=HEADINGS,
        targets=[f"{target:.0e}" for target in TARGETS],
        sections=sections,
    )
    path = comparison.folder / PAGE
    write_atomically(path, html.encode())
    return path
