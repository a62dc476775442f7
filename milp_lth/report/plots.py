"""The report's pictures."""

from typing import Any

import networkx as nx
import numpy as np
import plotly.graph_objects as go

from instances.arrays import FloatArray

KEPT, PRUNED, THEORY = "#1b7a5a", "#b9c0c7", "#c2410c"
_LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "font": {"family": "system-ui, sans-serif", "size": 14, "color": "#1f2933"},
    "margin": {"l": 64, "r": 24, "t": 24, "b": 56},
    "height": 380,
}
_SMALLEST = 1e-18  # errors of exactly 0 are drawn here


def error_histogram(
    errors: FloatArray, predicted: float | None, tolerance: float | None
) -> go.Figure:
    """Draw how often each size of error occurs, beside the median that theory predicts."""
    exponents = np.log10(np.maximum(errors, _SMALLEST))
    figure = go.Figure(
        go.Histogram(
            x=exponents, nbinsx=60, marker_color=KEPT, hovertemplate="10^%{x}: %{y}<extra></extra>"
        )
    )
    lines = [(float(np.median(errors)), "median", KEPT, 1.0)]
    if predicted is not None and np.isfinite(predicted):
        lines.append((predicted, "theory's median", THEORY, 0.92))
    if tolerance is not None and tolerance > 0:
        lines.append((tolerance, "tolerance", "#334155", 0.84))
    for value, text, colour, height in lines:
        x = float(np.log10(max(value, _SMALLEST)))
        figure.add_vline(x=x, line_color=colour, line_dash="dash")
        figure.add_annotation(
            x=x, y=height, yref="paper", text=f"{text} {value:.1e}", showarrow=False,
            xanchor="left", font_color=colour, bgcolor="rgba(255,255,255,0.8)",
        )  # fmt: skip
    ticks = list(range(int(np.floor(exponents.min())), int(np.ceil(exponents.max())) + 1))
    figure.update_xaxes(
        title="error of a weight", tickvals=ticks, ticktext=[f"10<sup>{t}</sup>" for t in ticks]
    )
    figure.update_yaxes(title="weights")
    return figure.update_layout(_LAYOUT, bargap=0.02)


def edges_per_layer(names: list[str], kept: list[int], pruned: list[int]) -> go.Figure:
    """Draw the kept and pruned edges of every matrix of the source."""
    figure = go.Figure(
        [
            go.Bar(name="kept", y=names, x=kept, orientation="h", marker_color=KEPT, text=kept),
            go.Bar(
                name="pruned", y=names, x=pruned, orientation="h", marker_color=PRUNED, text=pruned
            ),
        ]
    )
    figure.update_xaxes(title="edges left by the block structure")
    figure.update_yaxes(autorange="reversed")
    layout = _LAYOUT | {"height": 140 + 56 * len(names)}
    return figure.update_layout(layout, barmode="stack", legend={"orientation": "h", "y": 1.12})


def gadget_drawing(graph: "nx.DiGraph[str]") -> go.Figure:
    """Draw one gadget: kept edges in colour, pruned ones in grey."""
    places = nx.multipartite_layout(graph, subset_key="floor", align="vertical")
    figure = go.Figure()
    for kept, colour, name in ((False, PRUNED, "pruned"), (True, KEPT, "kept")):
        x: list[float | None] = []
        y: list[float | None] = []
        for tail, head, data in graph.edges(data=True):
            if data["kept"] == kept:
                x += [places[tail][0], places[head][0], None]
                y += [places[tail][1], places[head][1], None]
        line = {"color": colour, "width": 2 if kept else 1}
        figure.add_scatter(x=x, y=y, mode="lines", line=line, name=name, hoverinfo="skip")
    for node, data in graph.nodes(data=True):
        hidden = data["floor"] == 1
        shown = f"{node}: v·u = {data['product']:+.4f}" if hidden else node
        figure.add_scatter(
            x=[places[node][0]],
            y=[places[node][1]],
            mode="markers" if hidden else "markers+text",
            marker={
                "size": 12 if hidden else 34,
                "color": PRUNED if not data.get("kept", True) else KEPT,
            },
            text=[node],
            textfont={"color": "white"},
            hovertext=[shown],
            hoverinfo="text",
            showlegend=False,
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure.update_layout(_LAYOUT | {"height": 460}, legend={"orientation": "h", "y": 1.08})
