"""What all theorems ask for, as a table and a page: needed width against ε and against d."""

from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import plotly.graph_objects as go

from instances.files import write_atomically
from milp_lth.compare.plots import COLOURS
from milp_lth.report.page import embedded, page
from milp_lth.report.style import LAYOUT
from milp_lth.report.theory_figures import Curve, needed_width
from milp_lth.theory.assumptions import BOX, Assumption, Heads, attention_setting, read_setting
from milp_lth.theory.bounds import (
    ASYMPTOTIC,
    ESTIMATE,
    LOWER,
    UPPER,
    Bounds,
    Width,
    bounds,
)
from milp_lth.theory.calibrated import EVENTS
from milp_lth.theory.constants import Constant, load_constants

PAGE, PICTURE = "index.html", "bounds"

COLUMNS = (
    "row", "theorem", "kind", "depth", "units per input", "units in all", "95 %", "edges drawn",
    "constant [95 %]", "assumptions that fail", "holds", "asked at ε", "form",
)  # fmt: skip
BRIEFLY = ("row", "kind", "depth", "per input", "in all", "edges", "constant", "fails")
"""Columns for a terminal."""

_EPSILONS = np.geomspace(1.0, 1e-6, 25)
_WIDTHS = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_DASHES = {UPPER: "solid", LOWER: "dot", ASYMPTOTIC: "dash", ESTIMATE: "dashdot"}
_SIZES: dict[str, Any] = {"legend": {"orientation": "v", "x": 1.02, "y": 1.0}, "height": 520}


def cells(width: Width, num_layers: int) -> list[str]:
    """Return a row of the table as text."""
    low_high = width.interval
    return [
        width.bound.name,
        width.bound.paper,
        width.bound.kind,
        str(width.bound.depth(num_layers)),
        ", ".join(counted(need.units_per_input) for need in width.needs),
        counted(width.units),
        "" if low_high is None else " to ".join(map(counted, low_high)),
        counted(width.edges),
        _constant(width),
        "; ".join(width.fails) or "none",
        width.holds,
        f"{width.epsilon:.2g}",
        width.bound.says,
    ]


def brief_cells(found: Bounds, width: Width) -> list[str]:
    """Return the cells for a terminal: constants by name, assumptions by letter."""
    name, _, kind, depth, per_input, units, _, edges, *_ = cells(width, found.asked.num_layers)
    constant = ", ".join(c.name for c in width.constants) + "*" * width.extrapolated
    letters = [
        letter + "!" * (not one.by_rescaling)
        for letter, one in lettered(found)
        if one.name in width.fails
    ]
    kind = "asympt." if kind == ASYMPTOTIC else kind
    constant = constant or width.bound.explicit
    return [name, kind, depth, per_input, units, edges, constant, " ".join(letters)]


def lettered(found: Bounds) -> list[tuple[str, Assumption]]:
    """Give assumptions letters."""
    return list(zip(ascii_lowercase, found.assumptions, strict=False))


def counted(number: float) -> str:
    """Return a number as people read it.

    >>> counted(42048), counted(3.1875), counted(5.06e18)
    ('42,048', '3.2', '5.1e18')
    """
    if number >= 1e5:
        return f"{number:.1e}".replace("e+0", "e").replace("e+", "e")
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def _constant(width: Width) -> str:
    if not width.constants:
        return width.bound.explicit
    beyond = ", extrapolated" * width.extrapolated
    return "; ".join(f"{c.name} {c.described()}" for c in width.constants) + beyond


def about(found: Bounds, name: str) -> list[str]:
    """Say in sentences what was asked, and at what accuracy of a weight."""
    asked, setting = found.asked, found.asked.setting
    shape = ""
    if setting.heads is None:
        shape = "-".join(map(str, (setting.plain[0].inputs, *(m.outputs for m in setting.plain))))
    low, high = setting.input_range
    domain = "of norm up to 1"
    if setting.domain == BOX:
        domain = f"in [{low:g}, {high:g}], of norm up to {setting.radius:.3g}"
    sentences = [
        f"{' '.join(dict.fromkeys((name, shape))).strip()}: outputs within "
        f"ε = {asked.epsilon:g} for inputs {domain}, with probability 1 − δ = "
        f"{1 - asked.failure:g}."
    ]
    if setting.heads is not None:
        return sentences
    each = ", ".join(f"{accuracy * (m.norm or 1):.1e}" for m, accuracy, _ in asked.each())
    sentences.append(
        f"That is ε′ = {setting.rescaled(asked.epsilon):.2g} for norms and inputs up to 1, and an "
        f"error of each weight, by the proofs, of ε′/(2 l d_in d_out), in the target's units: "
        f"{each}."
    )
    return sentences


def write_page(found: Bounds, name: str, folder: Path) -> Path:
    """Write the page and the picture, as SVG and PDF; return the page's path.

    Raises
    ------
    ValueError
        When the folder cannot be written to.
    """
    by_epsilon, by_size = against_epsilon(found), against_size(found)
    constants = load_constants()
    num_layers = found.asked.num_layers
    html = page(
        "bounds.html",
        about=about(found, name),
        columns=COLUMNS,
        rows=[(width.bound.kind, cells(width, num_layers)) for width in found.widths],
        assumptions=found.assumptions,
        epsilons=embedded(_picture(by_epsilon, "ε", "hidden units in all", falling=True), "e"),
        sizes=embedded(_picture(by_size, "d", "hidden units per input"), "d"),
        constants=list(constants.values()),
        laws=embedded(_laws(constants), "laws"),
        layers=num_layers,
        epsilon=f"{found.asked.epsilon:g}",
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, content in needed_width(by_epsilon, by_size).items():
            write_atomically(folder / f"{PICTURE}.{kind}", content)
        write_atomically(folder / PAGE, html.encode())
    except OSError as error:
        raise ValueError(
            f"--out {folder}: cannot be written ({error.strerror or error})"
        ) from error
    return folder / PAGE


def against_epsilon(found: Bounds) -> list[Curve]:
    """Return the hidden units that each theorem asks for, for the same target, by ε."""
    asked = found.asked
    swept = [
        bounds(asked.setting, epsilon=float(e), failure=asked.failure, density=asked.density)
        for e in _EPSILONS
    ]
    return [
        Curve(
            w.bound.name, w.bound.kind, _EPSILONS.tolist(), [s[w.bound.name].units for s in swept]
        )
        for w in found.widths
    ]


def against_size(found: Bounds) -> list[Curve]:
    """Return the hidden units per input for targets of d units in every layer, norms 1, by d."""
    asked, swept = found.asked, []
    heads = asked.setting.heads
    for d in _WIDTHS:
        square = (
            read_setting((d,) * (asked.num_layers + 1))
            if heads is None
            else attention_setting(Heads(d, d, heads.num_heads))
        )
        swept.append(
            bounds(square, epsilon=asked.epsilon, failure=asked.failure, density=asked.density)
        )
    return [
        Curve(
            w.bound.name, w.bound.kind, list(_WIDTHS),
            [max(need.units_per_input for need in s[w.bound.name].needs) for s in swept],
        )
        for w in found.widths
    ]  # fmt: skip


def _picture(curves: list[Curve], x: str, y: str, *, falling: bool = False) -> go.Figure:
    """Draw widths; what nobody could build is shown on demand."""
    figure = go.Figure()
    for k, curve in enumerate(curves):
        drawn = [(a, b) for a, b in zip(curve.x, curve.y, strict=True) if b > 0]
        figure.add_scatter(
            x=[a for a, _ in drawn],
            y=[b for _, b in drawn],
            name=f"{curve.name} ({curve.kind})",
            mode="lines",
            line={"color": COLOURS[k % len(COLOURS)], "dash": _DASHES[curve.kind]},
            visible="legendonly" if min(curve.y) > 1e12 else True,
            hovertemplate="%{x:.3g}: %{y:,.4g}",
        )
    figure.update_xaxes(title=x, type="log", exponentformat="power")
    figure.update_yaxes(title=y, type="log", exponentformat="power")
    if falling:
        figure.update_xaxes(autorange="reversed")
    return figure.update_layout(LAYOUT, **_SIZES)


def _laws(constants: dict[str, Constant]) -> go.Figure:
    """Draw what the constant would be at each accuracy: level where the law holds."""
    figure = go.Figure()
    for k, event in enumerate(EVENTS):
        for size in event.sizes:
            sweeps = [s for s in constants[event.name].sweeps if s.size == size]
            of = [
                [event.constant(n, s.accuracy, size) for n in (s.low, s.least, s.high)]
                for s in sweeps
            ]
            figure.add_scatter(
                x=[s.accuracy for s in sweeps],
                y=[value for _, value, _ in of],
                error_y={
                    "array": [high - value for _, value, high in of],
                    "arrayminus": [value - low for low, value, _ in of],
                    "thickness": 1,
                },
                mode="lines+markers",
                line={"color": COLOURS[k % len(COLOURS)], "width": 1},
                name=event.name + (f", k = {size}" if len(event.sizes) > 1 else ""),
            )
    figure.update_xaxes(title="accuracy", type="log", autorange="reversed")
    figure.update_yaxes(title="the constant, at that accuracy", type="log")
    return figure.update_layout(LAYOUT, **_SIZES)
