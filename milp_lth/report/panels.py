"""Curves to be drawn, on a page or on paper, said once; and how a page draws them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from milp_lth.report.style import KEPT, LAYOUT, LIMIT, MORE, PRUNED, THEORY

COLOURS = (KEPT, *MORE, LIMIT, PRUNED)
LAW = -1
"""The colour of a law where there is only one."""


_FEW = 8  # places on an axis that all get a tick


class Line(NamedTuple):
    """One curve."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    """Place among `COLOURS`, or `LAW`."""
    law: bool = False
    """Drawn dashed, without points."""
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    """An interval of every point."""


class Panel(NamedTuple):
    """One picture: several curves over the same axes."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    note: str = ""
    """What to see, in plain words."""
    log_x: bool = False
    log_y: bool = False


def colour_of(line: Line) -> str:
    """Return the colour that a curve is drawn in."""
    return THEORY if line.colour == LAW else COLOURS[line.colour % len(COLOURS)]


def few_places(panel: Panel) -> list[float] | None:
    """Return where all points lie on a logarithmic axis, if at few places: its ticks."""
    places = sorted({float(x) for line in panel.lines for x in line.x})
    return places if panel.log_x and len(places) <= _FEW else None


def drawn(panel: Panel) -> go.Figure:
    """Draw a panel as a figure that answers to the pointer."""
    figure = go.Figure()
    for line in panel.lines:
        bars: dict[str, Any] = {}
        if line.low:
            up = [high - y for high, y in zip(line.high, line.y, strict=True)]
            down = [y - low for low, y in zip(line.low, line.y, strict=True)]
            bars = {"error_y": {"array": up, "arrayminus": down, "symmetric": False}}
        figure.add_scatter(
            x=list(line.x),
            y=list(line.y),
            name=line.name,
            mode="lines" if line.law else "lines+markers",
            line={"color": colour_of(line), "dash": "dash" if line.law else "solid"},
            hovertemplate="%{x:.4g}: %{y:.4g}",
            **bars,
        )
    for axis, title, log in (("x", panel.x, panel.log_x), ("y", panel.y, panel.log_y)):
        kind = {"type": "log", "exponentformat": "power"} if log else {}
        figure.update_layout({f"{axis}axis": {"title": title, **kind}})
    if (few := few_places(panel)) is not None:
        figure.update_xaxes(tickvals=few, ticktext=[f"{x:.3g}" for x in few])
    legend = {"orientation": "h", "y": -0.22, "yanchor": "top"}
    return figure.update_layout(LAYOUT, height=460, legend=legend)
