"""Panels for papers, drawn by matplotlib: SVG and PDF, the same curves as the same bytes."""

import io
from collections.abc import Sequence

from milp_lth.report.panels import Panel, colour_of, few_places
from milp_lth.report.style import plot_style

_MARKERS = "osD^v<>Pp*"
_WIDTH, _HEIGHT = 4.6, 3.3  # of a panel, in inches


def panels_figure(panels: Sequence[Panel], *, columns: int = 2) -> dict[str, bytes]:
    """Draw panels side by side.

    Parameters
    ----------
    panels
        At least one.
    columns
        Panels in a row.

    Returns
    -------
    dict
        The contents of a file, by its format: ``svg`` and ``pdf``.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    with mpl.rc_context():
        plot_style()
        mpl.rcParams["svg.hashsalt"] = "panels"  # the same picture, the same bytes
        across = min(columns, len(panels))
        down = -(-len(panels) // across)
        figure = Figure(figsize=(_WIDTH * across, _HEIGHT * down))
        places = figure.subplots(down, across, squeeze=False).ravel()
        for axes, panel in zip(places, panels, strict=False):
            for line in panel.lines:
                look = {"color": colour_of(line), "label": line.name}
                if line.law:
                    axes.plot(line.x, line.y, linestyle="--", linewidth=1.2, **look)
                    continue
                marker = _MARKERS[line.colour % len(_MARKERS)]
                axes.plot(line.x, line.y, marker=marker, markersize=3, **look)
                if line.low:
                    axes.fill_between(line.x, line.low, line.high, color=look["color"], alpha=0.2)
            axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
            axes.set_xscale("log" if panel.log_x else "linear")
            axes.set_yscale("log" if panel.log_y else "linear")
            if panel.log_x:
                axes.xaxis.set_minor_formatter(NullFormatter())
            if (few := few_places(panel)) is not None:
                axes.set_xticks(few, labels=[f"{x:.3g}" for x in few])
            if panel.log_y:
                axes.yaxis.set_minor_formatter(NullFormatter())
            axes.legend(fontsize=7)
        for axes in places[len(panels) :]:
            axes.set_visible(False)
        files = {}
        for kind, undated in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
            out = io.BytesIO()
            figure.savefig(out, format=kind, metadata=undated)
            figure.set_layout_engine("none")  # it stays as it is now laid out
            files[kind] = out.getvalue()
        return files
