"""How pictures of the project look, in reports and in the documentation."""

from dataclasses import dataclass
from typing import Any

KEPT, PRUNED, THEORY, LIMIT = "#0a7b67", "#b9c0c7", "#c2410c", "#2c3143"
MORE = ("#4f90c9", "#853d97", "#b38d2a")  # for lines that are none of these
LAYOUT: dict[str, Any] = {  # of plotly's figures
    "template": "plotly_white",
    "font": {"family": "system-ui, sans-serif", "size": 14, "color": "#1f2933"},
    "margin": {"l": 64, "r": 24, "t": 48, "b": 56},
    "height": 380,
}
_TEXT, _GRID = "#1f2933", "#e3e6ea"


@dataclass(frozen=True)
class Palette:
    """Colours by what they mean; all of them differ for colour-blind eyes, too."""

    kept: str = KEPT
    pruned: str = PRUNED
    theory: str = THEORY
    limit: str = LIMIT
    more: tuple[str, str, str] = MORE


def plot_style() -> Palette:
    """Give matplotlib's figures from now on the look of the project, and return its colours.

    Figures are as wide as a page of the documentation, on white: dark pages turn them over,
    lightness only, so that hues stay. `matplotlib.rcdefaults` takes it back.

    Returns
    -------
    Palette
        The colours by what they mean: `kept`, `pruned`, `theory`, `limit`, and three `more`.

    Examples
    --------
    >>> plot_style().kept
    '#0a7b67'
    """
    import matplotlib as mpl
    from matplotlib.rcsetup import cycler

    mpl.rcParams.update(
        {
            "figure.figsize": (7.0, 3.4),
            "figure.dpi": 160,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.labelsize": 10,
            "legend.fontsize": 9,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "text.color": _TEXT,
            "axes.labelcolor": _TEXT,
            "axes.edgecolor": "#8a949e",
            "xtick.color": _TEXT,
            "ytick.color": _TEXT,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": _GRID,
            "grid.linewidth": 0.8,
            "lines.linewidth": 1.8,
            "lines.markersize": 4.5,
            "legend.frameon": False,
            "image.cmap": "PuOr",  # both signs, and nothing in the middle
            "axes.prop_cycle": cycler(color=[KEPT, THEORY, LIMIT, *MORE]),
        }
    )
    return Palette()
