"""The measurement as one page: everything inline, readable without network."""

import numpy as np
import plotly.graph_objects as go

from milp_lth.bench.curve import Curve
from milp_lth.bench.kernels import Kernels
from milp_lth.report.page import embedded, page
from milp_lth.report.style import KEPT, LAYOUT, THEORY

_TICKS = {
    "1 µs": 1e-6, "10 µs": 1e-5, "100 µs": 1e-4, "1 ms": 1e-3, "10 ms": 0.01, "100 ms": 0.1,
    "1 s": 1.0,
}  # fmt: skip


def bench_page(kernels: Kernels) -> str:
    """Return the page about a measurement as HTML text."""
    return page(
        "bench.html",
        seed=kernels.seed,
        versions=kernels.versions,
        rows=[row.texts() for row in kernels.rows],
        curve=embedded(curve_drawing(kernels.curve), "curve"),
    )


def curve_drawing(curve: Curve) -> go.Figure:
    """Draw seconds per row by number of candidates, and the fitted line."""
    n, seconds = zip(*curve.points, strict=True)
    ends = np.array([curve.fitted[0], curve.fitted[-1]])
    line = 2.0 ** (curve.slope * ends + curve.offset)
    figure = go.Figure()
    figure.add_scatter(
        x=ends, y=line, mode="lines", name="fitted", line={"color": THEORY, "dash": "dash"},
        hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=n, y=seconds, mode="markers", name="measured", marker={"color": KEPT, "size": 9},
        hovertemplate="%{x} candidates: %{y:.3s}s<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title="candidates per row, n", dtick=2)
    figure.update_yaxes(
        title="time per row",
        type="log",
        tickvals=list(_TICKS.values()),
        ticktext=list(_TICKS),
        minor={"showgrid": True, "dtick": "D1"},
    )
    return figure.update_layout(
        LAYOUT,
        title=f"Closest: time per row ∝ 2<sup>{curve.slope:.3f} n</sup>",
        margin_t=64,
        height=460,
        legend={"x": 0.02, "y": 0.98, "bgcolor": "rgba(255, 255, 255, 0.8)"},
    )
