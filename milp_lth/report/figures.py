"""Pictures for pages and papers, drawn by matplotlib."""

import io
from typing import Any

import numpy as np

from milp_lth.constructions.registry import CONSTRUCTIONS
from milp_lth.report.style import LIMIT, plot_style

_MARKERS = "osD^v<>Pp*hX"


def error_against_size(curves: dict[str, list[dict[str, Any]]]) -> str:
    """Draw the median error of a weight against edges drawn for it, both logarithmic.

    Parameters
    ----------
    curves
        By construction, in the order of widths: `width`, `source_dense`, `num_weights` and
        `median_error` of every point.

    Returns
    -------
    str
        SVG; the same curves give the same bytes.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        colours = plot_style()
        mpl.rcParams["svg.hashsalt"] = "constructions"  # the same picture, the same bytes
        palette = (colours.kept, colours.theory, colours.limit, *colours.more)
        figure = Figure(figsize=(9.0, 5.2))
        axes = figure.add_subplot()
        places = {name: k for k, name in enumerate(CONSTRUCTIONS)}
        for name, curve in curves.items():
            points = [p for p in curve if p["median_error"] > 0]
            if not points:
                continue
            x = [p["source_dense"] / p["num_weights"] for p in points]
            y = [p["median_error"] for p in points]
            k = places[name]
            axes.loglog(
                x, y, color=palette[k % len(palette)], marker=_MARKERS[k % len(_MARKERS)],
                linestyle="-" if k < len(palette) else "--", label=name,
            )  # fmt: skip
            if name == "nearest-product":
                line = y[0] * x[0] / np.array(x)
                axes.loglog(x, line, color=LIMIT, linewidth=0.9, linestyle=":")
                axes.annotate("1 / edges", (x[-1], line[-1]), fontsize=9, va="top", ha="right")
            if name == "two-layer":
                n = np.array([p["width"] for p in points])
                law = np.sqrt(n) * 2.0**-n
                axes.loglog(x, y[-1] * law / law[-1], color=LIMIT, linewidth=0.9, linestyle=":")
                axes.annotate("√n 2⁻ⁿ ", (x[0], y[-1] * law[0] / law[-1]), fontsize=9, ha="right")
        axes.set_xlabel("edges drawn for each weight of the target")
        axes.set_ylabel("median error of a weight")
        figure.legend(loc="outside right upper")
        return as_svg(figure)


def accuracy_against_kept(rows: list[dict[str, Any]]) -> str:
    """Draw accuracy against kept weights, a panel a network and a line a structure.

    Parameters
    ----------
    rows
        Each with `shape`, `structure`, `kept`, `accuracy`, and `seeds`, of which every one has an
        `accuracy` of its own.

    Returns
    -------
    str
        SVG; the same rows give the same bytes.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    with mpl.rc_context():
        plot_style()
        mpl.rcParams["svg.hashsalt"] = "structures"
        figure = Figure(figsize=(3.4 * len(shapes) + 1.2, 3.4))
        panels = figure.subplots(1, len(shapes), sharey=True, squeeze=False)[0]
        for axes, shape in zip(panels, shapes, strict=True):
            mine = [row for row in rows if row["shape"] == shape]
            for k, structure in enumerate(dict.fromkeys(row["structure"] for row in mine)):
                points = [row for row in mine if row["structure"] == structure]
                spread = [[100 * seed["accuracy"] for seed in row["seeds"]] for row in points]
                x = [row["kept"] for row in points]
                axes.semilogx(x, [100 * row["accuracy"] for row in points],
                              marker=_MARKERS[k], label=structure)  # fmt: skip
                axes.fill_between(x, [min(s) for s in spread], [max(s) for s in spread], alpha=0.15)
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set(title=shape, xlabel="weights kept")
        panels[0].set_ylabel("accuracy, %")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        return as_svg(figure)


def error_on_lines(lines: dict[str, list[float]]) -> str:
    """Draw the error on the straight line between two networks.

    Parameters
    ----------
    lines
        By what the two are: shares of wrong classes, at points that are evenly spaced.

    Returns
    -------
    str
        SVG; the same lines give the same bytes.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        plot_style()
        mpl.rcParams["svg.hashsalt"] = "lines"
        figure = Figure(figsize=(6.4, 3.4))
        axes = figure.add_subplot()
        for k, (name, errors) in enumerate(lines.items()):
            where = np.linspace(0, 1, len(errors))
            axes.plot(where, 100 * np.array(errors), marker=_MARKERS[k], markersize=4, label=name)
        axes.set(xlabel="from one network (0) to the other (1)", ylabel="wrong classes, %")
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside lower center", ncols=len(lines))
        return as_svg(figure)


def discrepancy_by_kept(curves: dict[str, dict[str, Any]]) -> str:
    """Draw how far a pruned layer is from the whole one, against the neurons it keeps.

    Parameters
    ----------
    curves
        By method: `kept` and `discrepancy` of every point.

    Returns
    -------
    str
        SVG; the same curves give the same bytes.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        plot_style()
        mpl.rcParams["svg.hashsalt"] = "discrepancy"
        figure = Figure(figsize=(6.4, 3.4))
        axes = figure.add_subplot()
        for name, curve in curves.items():
            axes.semilogy(curve["kept"], curve["discrepancy"], label=name)
        axes.set(xlabel="neurons kept", ylabel="mean squared discrepancy")
        figure.legend(loc="outside lower center", ncols=len(curves))
        return as_svg(figure)


def as_svg(figure: Any) -> str:
    """Return a figure as SVG, the same bytes for the same figure."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
