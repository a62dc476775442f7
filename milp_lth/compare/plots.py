"""The pictures of a comparison."""

import math
from typing import Any

import plotly.graph_objects as go

from milp_lth.report.plots import plain
from milp_lth.report.style import KEPT, LAYOUT, THEORY
from solvers.registry import REGISTRY

COLOURS = (
    KEPT, THEORY, "#1d4ed8", "#a16207", "#be185d", "#0e7490", "#7c3aed", "#4d7c0f",
    "#475569", "#9f1239",
)  # fmt: skip
_SIZES: dict[str, Any] = {
    "legend": {"orientation": "v", "x": 1.02, "y": 1.0},
    "height": 520,
}
_DECADES: dict[str, Any] = {"type": "log", "dtick": 1, "exponentformat": "power"}
_UNTOUCHED = "-default"


def profile_drawing(curves: dict[str, list[tuple[float, float]]]) -> go.Figure:
    """Draw Dolan and Moré's profile: the share of runs solved within a multiple of the fastest."""
    figure = go.Figure()
    lines = _lines(list(curves))
    most = max((ratio for curve in curves.values() for ratio, _ in curve), default=10.0)
    for solver, curve in curves.items():
        x = [1.0, *(ratio for ratio, _ in curve), 1.1 * most]
        y = [0.0, *(share for _, share in curve), curve[-1][1] if curve else 0.0]
        figure.add_scatter(x=x, y=y, mode="lines", line=lines[solver], name=plain(solver))
    figure.update_xaxes(title="time, as a multiple of the fastest", **_DECADES)
    figure.update_yaxes(title="share of runs solved", range=[-0.02, 1.02])
    return figure.update_layout(LAYOUT, **_SIZES)


def anytime_drawing(instants: list[float], curves: dict[str, list[float]]) -> go.Figure:
    """Draw the median objective that each solver has at each instant."""
    figure = go.Figure()
    lines = _lines(list(curves))
    for solver, curve in curves.items():
        known = [
            (t, value) for t, value in zip(instants, curve, strict=True) if math.isfinite(value)
        ]
        figure.add_scatter(
            x=[t for t, _ in known],
            y=[max(value, 1e-18) for _, value in known],
            mode="lines",
            line=lines[solver],
            name=plain(solver),
        )
    figure.update_xaxes(title="seconds", **_DECADES)
    figure.update_yaxes(title="objective, median", **_DECADES)
    return figure.update_layout(LAYOUT, **_SIZES)


def _lines(solvers: list[str]) -> dict[str, dict[str, str]]:
    """Return each solver's line: one colour a backend, its untouched settings dashed.

    Solvers that prove nothing of any row are dotted, in colours of their own.
    """
    lines: dict[str, dict[str, str]] = {}
    counts = {"solid": 0, "dot": 0}
    for solver in sorted(solvers, key=lambda name: name.endswith(_UNTOUCHED)):
        backend = solver.removesuffix(_UNTOUCHED)
        if backend != solver and backend in lines:
            lines[solver] = lines[backend] | {"dash": "dash"}
            continue
        heuristic = solver in REGISTRY and not REGISTRY[solver].exact
        dash = "dot" if heuristic and backend == solver else "solid"
        lines[solver] = {
            "shape": "hv", "color": COLOURS[counts[dash] % len(COLOURS)], "dash": dash,
        }  # fmt: skip
        counts[dash] += 1
    return lines
