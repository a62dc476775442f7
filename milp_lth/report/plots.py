"""The report's pictures."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

import networkx as nx
import numpy as np
import plotly.graph_objects as go

from instances.arrays import FloatArray, IntArray
from milp_lth.report.style import KEPT, LAYOUT, LIMIT, PRUNED, THEORY

_SMALLEST = 1e-18  # errors of exactly 0 are drawn here
_BINS = 20  # counts of errors for every power of ten
_STEPS = (1, 2, 4, 5, 10, 20, 40, 100, 1000)  # how many of them make a bar
_MOST_BARS = 60


def count_errors(errors: Iterable[FloatArray]) -> IntArray:
    """Count errors of each size: bin k holds those from 10^(k / 20 − 18) to the next such power."""
    counts = np.zeros(0, np.int64)
    for some in errors:
        exponents = np.log10(np.maximum(some, _SMALLEST)) - np.log10(_SMALLEST)
        more = np.bincount(np.floor(exponents * _BINS).astype(np.int64), minlength=len(counts))
        more[: len(counts)] += counts
        counts = more
    return counts


def error_histogram(
    counts: IntArray, middle: float, predicted: float | None, tolerance: float | None
) -> go.Figure:
    """Draw how often each size of error occurs, beside the median that theory predicts.

    `counts` are those of `count_errors`, `middle` is the median of the errors themselves.
    """
    first, last = np.flatnonzero(counts)[[0, -1]]
    step = next(step for step in _STEPS if (last - first) / step < _MOST_BARS)
    first -= first % step  # bars begin at multiples of their width
    bars = np.add.reduceat(counts[first : last + 1], np.arange(0, last + 1 - first, step))
    left = np.log10(_SMALLEST) + (first + step * np.arange(len(bars))) / _BINS
    figure = go.Figure(
        go.Bar(
            x=left + step / _BINS / 2,
            y=bars,
            width=0.98 * step / _BINS,
            marker_color=KEPT,
            hovertemplate="10^%{x:.2f}: %{y}<extra></extra>",
        )
    )
    marks = [(middle, "median", KEPT, "right", 1.0)]
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
    ticks = list(range(int(np.floor(left[0])), int(np.ceil(left[-1] + step / _BINS)) + 1))
    figure.update_xaxes(
        title="error of a weight", tickvals=ticks, ticktext=[f"10<sup>{t}</sup>" for t in ticks]
    )
    figure.update_yaxes(title="weights")
    return figure.update_layout(LAYOUT)


def plain(name: str) -> str:
    """Return a name as plotly shows it as it is: of texts it takes some for HTML."""
    return html.escape(name, quote=False)


def edges_per_layer(names: list[str], kept: list[int], pruned: list[int]) -> go.Figure:
    """Draw the kept and pruned edges of every matrix of the source."""
    labels = [
        f"{plain(name)}: {some:,} of {some + others:,}"
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
    floors: dict[int, list[str]] = {}  # in order: networkx itself would keep them in sets
    for node, floor in graph.nodes(data="floor"):
        floors.setdefault(floor, []).append(node)
    places = nx.multipartite_layout(graph, subset_key=floors, align="vertical")
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
        fillcolor="rgba(10, 123, 103, 0.18)", name="middle half",
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
    labels = ["weights, median", *(f"outputs of {plain(name)}, rms" for name in layers)]
    figure = go.Figure()
    for name, colour in (("independent", PRUNED), ("coupled", KEPT)):
        errors = [found[name]["median_error"], *found[name]["output_errors"]]
        figure.add_bar(name=name, x=labels, y=errors, marker_color=colour)
    figure.update_yaxes(title="error", type="log", dtick=1, exponentformat="power")
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(LAYOUT, barmode="group", legend=legend)
