"""Needed width, for papers, drawn by matplotlib: SVG and PDF, the same curves as the same bytes."""

import io
from collections.abc import Sequence
from typing import NamedTuple

from milp_lth.report.style import plot_style

_DASHES = {"upper": "-", "lower": ":", "asymptotic": "--", "estimate": "-."}
_MARKERS = "osD^v<>Pp*hXd"
_TOP = 1e12
"""Widths beyond are not drawn: nobody could build them."""


class Curve(NamedTuple):
    """What one theorem asks for, by ε or by d."""

    name: str
    kind: str
    """As of `milp_lth.theory.bounds.Bound`."""
    x: Sequence[float]
    y: Sequence[float]


def needed_width(by_epsilon: Sequence[Curve], by_size: Sequence[Curve]) -> dict[str, bytes]:
    """Draw the hidden units that theorems ask for, against ε and against d.

    Parameters
    ----------
    by_epsilon, by_size
        The same theorems in the same order.

    Returns
    -------
    dict
        The contents of a file, by its format: ``svg`` and ``pdf``.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        colours = plot_style()
        mpl.rcParams["svg.hashsalt"] = "bounds"
        palette = (colours.kept, colours.theory, colours.limit, *colours.more)
        figure = Figure(figsize=(9.4, 3.9))
        panels = figure.subplots(1, 2)
        for axes, curves in zip(panels, (by_epsilon, by_size), strict=True):
            for k, curve in enumerate(curves):
                points = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if 0 < y <= _TOP]
                if points:
                    x, y = zip(*points, strict=True)
                    axes.loglog(
                        x, y, color=palette[k % len(palette)], linestyle=_DASHES[curve.kind],
                        marker=_MARKERS[k % len(_MARKERS)], markevery=4, markersize=4,
                        label=f"{curve.name} ({curve.kind})",
                    )  # fmt: skip
        panels[0].set(xlabel="ε", ylabel="hidden units in all")
        panels[0].invert_xaxis()
        panels[1].set(xlabel="d", ylabel="hidden units per input")
        labelled = {
            label: handle
            for axes in panels[::-1]
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(labelled.values(), labelled.keys(), loc="outside right upper", fontsize=8)
        files = {}
        for kind, undated in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
            out = io.BytesIO()
            figure.savefig(out, format=kind, metadata=undated)
            files[kind] = out.getvalue()
        return files
