"""The report's pictures."""

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
import plotly.graph_objects as go

from instances.arrays import FloatArray

KEPT, PRUNED, THEORY, LIMIT = "#1b7a5a", "#b9c0c7", "#c2410c", "#334155"
LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "font": {"family": "system-ui, sans-serif", "size": 14, "color": "#1f2933"},
    "margin": {"l": 64, "r": 24, "t": 48, "b": 56},
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
    marks = [(float(np.median(errors)), "median", KEPT, "right", 1.0)]
    if predicted is not None and np.isfinite(predicted):
        marks.append((predicted, "theory's median", THEORY, "left", 1.0))
    if tolerance is not None and tolerance > 0:
        marks.append((tolerance, "tolerance", LIMIT, "left", 1.08))
    for value, text, colour, side, height in marks:
        x = float(np.log10(max(value, _SMALLEST)))
        figure.add_vline(x=x, line_color=colour, line_dash="dash")
        figure.add_annotation(
            text=f"{text} {value:.1e}",
            x=x,
            y=height,
            yref="paper",
            xanchor=side,
            yanchor="bottom",
            showarrow=False,
            font_color=colour,
        )
    ticks = list(range(int(np.floor(exponents.min())), int(np.ceil(exponents.max())) + 1))
    figure.update_xaxes(
        title="error of a weight", tickvals=ticks, ticktext=[f"10<sup>{t}</sup>" for t in ticks]
    )
    figure.update_yaxes(title="weights")
    return figure.update_layout(LAYOUT, bargap=0.02)


def edges_per_layer(names: list[str], kept: list[int], pruned: list[int]) -> go.Figure:
    """Draw the kept and pruned edges of every matrix of the source."""
    labels = [
        f"{name}: {some:,} of {some + others:,}"
        for name, some, others in zip(names, kept, pruned, strict=True)
    ]
    figure = go.Figure(
        [
            go.Bar(name="kept", y=labels, x=kept, orientation="h", marker_color=KEPT),
            go.Bar(name="pruned", y=labels, x=pruned, orientation="h", marker_color=PRUNED),
        ]
    )
    figure.update_xaxes(title="edges left by the block structure")
    figure.update_yaxes(autorange="reversed", automargin=True)
    layout = LAYOUT | {"height": 140 + 56 * len(names)}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    return figure.update_layout(layout, barmode="stack", legend=legend)


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
        colour = KEPT if data.get("kept", True) else PRUNED
        figure.add_annotation(
            x=places[node][0],
            y=places[node][1],
            text=f"{node}: {data['product']:+.4f}" if hidden else f"<b>{node}</b>",
            showarrow=False,
            bgcolor="white" if hidden else KEPT,
            bordercolor=colour,
            borderpad=2 if hidden else 8,
            font={"size": 12 if hidden else 16, "color": "#1f2933" if hidden else "white"},
            opacity=1.0 if data.get("kept", True) else 0.75,
        )
    num_hidden = sum(data["floor"] == 1 for _, data in graph.nodes(data=True))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    layout = LAYOUT | {"height": 140 + 24 * num_hidden}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "reversed"}
    return figure.update_layout(layout, legend=legend)


def accuracy_by_width(
    widths: Sequence[int],
    accuracies: Sequence[float | None],
    agreements: Sequence[float],
    target_accuracy: float | None,
) -> go.Figure:
    """Draw what tickets of several widths reach; equal widths are several seeds."""
    figure = go.Figure()
    known = [] if None in accuracies else [("accuracy", accuracies, KEPT)]
    for name, shares, colour in (*known, ("agreement", agreements, LIMIT)):
        percent = [100 * share for share in shares if share is not None]
        figure.add_scatter(
            x=list(widths), y=percent, mode="markers", marker_color=colour, name=name
        )
        middle = sorted(set(widths))
        medians = [
            float(np.median([y for x, y in zip(widths, percent, strict=True) if x == width]))
            for width in middle
        ]
        line = {"color": colour, "width": 1}
        figure.add_scatter(x=middle, y=medians, mode="lines", line=line, showlegend=False)
    if target_accuracy is not None:
        figure.add_hline(
            y=100 * target_accuracy,
            line_color=THEORY,
            line_dash="dash",
            annotation_text=f"target {100 * target_accuracy:.2f} %",
            annotation_position="bottom right",
        )
    figure.update_xaxes(title="width", dtick=max(1, len(set(widths)) // 12))
    figure.update_yaxes(title="%")
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(LAYOUT, legend=legend)


def error_by_candidates(
    counts: Sequence[int], quartiles: FloatArray, predicted: Sequence[float]
) -> go.Figure:
    """Draw errors against the number of candidates; `quartiles` has shape (3, counts)."""
    low, median, high = np.maximum(quartiles, _SMALLEST)
    figure = go.Figure()
    figure.add_scatter(x=counts, y=high, mode="lines", line_width=0, showlegend=False)
    figure.add_scatter(
        x=counts, y=low, mode="lines", line_width=0, fill="tonexty",
        fillcolor="rgba(27, 122, 90, 0.18)", name="middle half",
    )  # fmt: skip
    figure.add_scatter(x=counts, y=median, mode="lines+markers", line_color=KEPT, name="median")
    line = {"color": THEORY, "dash": "dash"}
    figure.add_scatter(x=counts, y=predicted, mode="lines", line=line, name="theory's median")
    figure.update_xaxes(title="candidates")
    figure.update_yaxes(title="error of a weight", type="log", exponentformat="power")
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(LAYOUT, legend=legend)


def seconds_by_phase(seconds: dict[str, float]) -> go.Figure:
    """Draw how long each phase took."""
    labels = [f"{phase}: {value:.2f} s" for phase, value in seconds.items()]
    figure = go.Figure(
        go.Bar(y=labels, x=list(seconds.values()), orientation="h", marker_color=KEPT)
    )
    figure.update_xaxes(title="seconds")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure.update_layout(LAYOUT | {"height": 120 + 36 * len(labels)})


def coupled_beside_independent(found: dict[str, dict[str, Any]], layers: list[str]) -> go.Figure:
    """Draw both tickets' errors: of the weights, and of every layer's outputs."""
    labels = ["weights, median", *(f"outputs of {name}, rms" for name in layers)]
    figure = go.Figure()
    for name, colour in (("independent", PRUNED), ("coupled", KEPT)):
        errors = [found[name]["median_error"], *found[name]["output_errors"]]
        figure.add_bar(name=name, x=labels, y=errors, marker_color=colour)
    figure.update_yaxes(title="error", type="log", dtick=1, exponentformat="power")
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(LAYOUT, barmode="group", legend=legend)
