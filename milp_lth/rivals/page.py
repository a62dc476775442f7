"""The page about rivals: the table, accuracy against edges, learning curves, schedules."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from instances.files import write_atomically
from milp_lth.compare.plots import COLOURS
from milp_lth.environment import described
from milp_lth.report.markdown import markdown_table
from milp_lth.report.page import embedded, page
from milp_lth.report.style import KEPT, LAYOUT, THEORY
from milp_lth.rivals.bench import Rivals
from milp_lth.rivals.found import Point
from milp_lth.rivals.methods import DENSE, METHODS
from milp_lth.rivals.table import COLUMNS, cells, curve, notes

PAGE, TABLE = "index.html", "table.md"

_EDGES = {"kept": "kept edges", "source_dense": "edges of the network before pruning"}
_OTHERS = [colour for colour in COLOURS if colour not in (KEPT, THEORY)]
_TICKETS = ("diamond", "square", "triangle-up", "star")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SIZES: dict[str, Any] = {
    "legend": {"orientation": "v", "x": 1.02, "y": 1.0},
    "height": 520,
}


def write_page(rivals: Rivals, rows: list[dict[str, Any]]) -> Path:
    """Write the page and the table into the folder; return the page's path."""
    folder, scale = rivals.store.folder, rivals.conditions.scale
    table = markdown_table(list(COLUMNS.values()), map(cells, rows))
    curves = {entry.name: curve(rivals, entry) for entry in rivals.entries}
    task = rivals.conditions.task
    html = page(
        "rivals.html",
        data=f"{task.name}: {len(task.train.x):,} inputs to search with, {len(task.test.x):,} held "
        "out",
        shape="-".join(map(str, rivals.conditions.shape.sizes)),
        scale=f"{scale:g}",
        num_seeds=rivals.num_seeds,
        device=rivals.conditions.device,
        machine=described(rivals.store.settings["environment"]),
        columns=list(COLUMNS.values()),
        rows=[(row["converged"], cells(row)) for row in rows],
        notes=notes(rows),
        plots=[embedded(_against(rows, axis), axis) for axis in _EDGES],
        curves=embedded(_curves(rows, curves), "curves"),
        schedules=[_schedule(name, scale) for name in dict.fromkeys(row["method"] for row in rows)],
    )
    write_atomically(folder / TABLE, table.encode())
    write_atomically(folder / PAGE, html.encode())
    return folder / PAGE


def _against(rows: list[dict[str, Any]], axis: str) -> go.Figure:
    """Draw accuracy against a number of edges; hollow marks have not converged."""
    figure = go.Figure()
    for method, some in groupby(rows, lambda row: str(row["method"])):
        mine = list(some)
        if method == DENSE:
            text = f"dense {100 * mine[0]['accuracy']:.2f} %"
            figure.add_hline(
                y=100 * mine[0]["accuracy"], line_color=THEORY, line_dash="dash",
                annotation_text=text, annotation_position="bottom left",
            )  # fmt: skip
        accuracies = [[100 * seed["accuracy"] for seed in row["seeds"]] for row in mine]
        middle = [100 * row["accuracy"] for row in mine]
        colour, symbol = _look(method)
        figure.add_scatter(
            x=[row[axis] for row in mine],
            y=middle,
            error_y={
                "array": [max(a) - m for a, m in zip(accuracies, middle, strict=True)],
                "arrayminus": [m - min(a) for a, m in zip(accuracies, middle, strict=True)],
                "thickness": 1,
                "width": 3,
            },
            mode="lines+markers",
            line={"color": colour, "width": 1},
            marker={
                "symbol": [symbol + "-open" * (not row["converged"]) for row in mine],
                "size": 9,
            },
            name=method,
            text=[row["row"] for row in mine],
        )
    figure.update_xaxes(title=_EDGES[axis], type="log", dtick=1, exponentformat="power")
    figure.update_yaxes(title="accuracy, %")
    return figure.update_layout(LAYOUT, **_SIZES)


def _curves(rows: list[dict[str, Any]], curves: dict[str, list[Point]]) -> go.Figure:
    """Draw held-out accuracy against examples; whoever takes the dense curve over is left out."""
    figure = go.Figure()
    dashes: dict[str, int] = {}
    for row in rows:
        points = curves[row["row"]]
        if not points or (row["method"] != DENSE and points == curves[DENSE]):
            continue
        k = dashes[row["method"]] = dashes.get(row["method"], -1) + 1
        figure.add_scatter(
            x=[point.examples for point in points],
            y=[100 * point.accuracy for point in points],
            mode="lines",
            line={"color": _look(row["method"])[0], "dash": _DASHES[k % len(_DASHES)]},
            name=row["row"] + " (not converged)" * (not row["converged"]),
        )
    figure.update_xaxes(title="training examples shown")
    figure.update_yaxes(title="accuracy, %")
    return figure.update_layout(LAYOUT, **_SIZES)


def _look(method: str) -> tuple[str, str]:
    """Return colour and symbol: tickets are of one colour, the others of one each."""
    if method == DENSE:
        return THEORY, "x"
    tickets = [name for name in METHODS if METHODS[name].weights == "ticket"]
    if method in tickets:
        return KEPT, _TICKETS[tickets.index(method) % len(_TICKETS)]
    others = [name for name in METHODS if name not in (*tickets, DENSE)]
    return _OTHERS[others.index(method) % len(_OTHERS)], "circle"


def _schedule(name: str, scale: float) -> Sequence[str]:
    method = METHODS[name]
    schedule = method.imported_schedule()
    return (
        name,
        method.paper,
        method.trained,
        f"{schedule.num_epochs} epochs, batches of {schedule.batch_size}, rate "
        f"{schedule.learning_rate:g}, momentum {schedule.momentum:g}, weight decay "
        f"{schedule.weight_decay:g}",
        method.published,
        str(schedule.scaled(scale)),
    )
