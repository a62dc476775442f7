"""The pictures of a comparison."""

import math

import plotly.graph_objects as go

from milp_lth.report.plots import LAYOUT

COLOURS = (
    "#1b7a5a", "#c2410c", "#1d4ed8", "#7c3aed", "#a16207", "#be185d", "#0e7490", "#4d7c0f",
    "#475569", "#9f1239", "#5b21b6", "#166534", "#b45309", "#0369a1", "#57534e", "#86198f",
)  # fmt: skip
_LEGEND = {"orientation": "v", "x": 1.02, "y": 1.0}


def profile_drawing(curves: dict[str, list[tuple[float, float]]]) -> go.Figure:
    """Draw Dolan and Moré's profile: the share of runs solved within a multiple of the fastest."""
    figure = go.Figure()
    most = max((ratio for curve in curves.values() for ratio, _ in curve), default=10.0)
    for k, (solver, curve) in enumerate(curves.items()):
        x = [1.0, *(ratio for ratio, _ in curve), 1.1 * most]
        y = [0.0, *(share for _, share in curve), curve[-1][1] if curve else 0.0]
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"shape": "hv", "color": _colour(k)}, name=solver
        )
    figure.update_xaxes(title="time, as a multiple of the fastest", type="log")
    figure.update_yaxes(title="share of runs solved", range=[-0.02, 1.02])
    return figure.update_layout(LAYOUT, legend=_LEGEND)


def anytime_drawing(instants: list[float], curves: dict[str, list[float]]) -> go.Figure:
    """Draw the median objective that each solver has at each instant."""
    figure = go.Figure()
    for k, (solver, curve) in enumerate(curves.items()):
        known = [
            (t, value) for t, value in zip(instants, curve, strict=True) if math.isfinite(value)
        ]
        figure.add_scatter(
            x=[t for t, _ in known],
            y=[max(value, 1e-18) for _, value in known],
            mode="lines",
            line={"shape": "hv", "color": _colour(k)},
            name=solver,
        )
    figure.update_xaxes(title="seconds", type="log", exponentformat="power")
    figure.update_yaxes(title="objective, median", type="log", exponentformat="power")
    return figure.update_layout(LAYOUT, legend=_LEGEND)


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]
