"""What the widths come to: how they are fitted, and as pictures and a table."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from instances.arrays import FloatArray
from milp_lth.report.panels import LAW, Line, Panel
from milp_lth.reproduce.theory_page import Findings, Table

NAME = "log-width"

Rows = list[dict[str, Any]]


def curves(rows: Rows) -> Iterator[tuple[str, int, int, Rows]]:
    """Yield kind, size and depth of every curve, and its points by falling error."""
    for key in dict.fromkeys((row["kind"], row["size"], row["depth"]) for row in rows):
        yield *key, [row for row in rows if (row["kind"], row["size"], row["depth"]) == key]


def line_fits(rows: Rows) -> list[dict[str, Any]]:
    """Fit every curve, of one size and depth, by a logarithm and by a power of d l / ε.

    Returns
    -------
    list of dict
        `slope`: units for each doubling of d l / ε, with its 95 % `interval` over networks drawn
        again; `r2`; `exponent` of the power, its `exponent_interval`, and `power_r2`, how well it
        fits the widths themselves; `decades` of d l / ε.
    """
    found = []
    for kind, size, depth, mine in curves(rows):
        width, again = _widths(mine)
        x = np.log2([row["ratio"] for row in mine])
        line, power = np.polyfit(x, width, 1), np.polyfit(x, np.log2(width), 1)
        found.append(
            {
                "kind": kind,
                "size": size,
                "depth": depth,
                "decades": float(np.log10(2.0) * (x[-1] - x[0])),
                "slope": float(line[0]),
                "interval": _interval(np.polyfit(x, again, 1)[0]),
                "r2": _r2(width, line[0] * x + line[1]),
                "exponent": float(power[0]),
                "exponent_interval": _interval(np.polyfit(x, np.log2(again), 1)[0]),
                "power_r2": _r2(width, 2.0 ** (power[0] * x + power[1])),
            }
        )
    return found


def joint_fit(rows: Rows) -> dict[str, Any]:
    """Fit the widths of all subset sums at once, by logarithms.

    Returns
    -------
    dict
        `factors` of log₂(1/ε), log₂ d and log₂ l, with `intervals` and `r2`; `slope`, `interval`
        and `single_r2` of the fit by log₂(d l / ε) alone; `constant`, the least C with
        width ≤ C · ln(d l / ε) at all points where d l / ε is at least 100.
    """
    mine = [row for row in rows if row["kind"] == "sums"]
    width, again = _widths(mine)
    ratio = np.log2([row["ratio"] for row in mine])
    single = np.column_stack([np.ones(len(mine)), ratio])
    three = np.column_stack(
        [
            np.ones(len(mine)),
            -np.log2([row["epsilon"] for row in mine]),
            np.log2([row["size"] for row in mine]),
            np.log2([row["depth"] for row in mine]),
        ]
    )
    line, factors = _least_squares(single, width), _least_squares(three, width)
    large = ratio >= np.log2(100)
    return {
        "factors": factors[1:].tolist(),
        "offset": float(factors[0]),
        "intervals": [_interval(one) for one in _least_squares(three, again)[1:]],
        "r2": _r2(width, three @ factors),
        "slope": float(line[1]),
        "interval": _interval(_least_squares(single, again)[1]),
        "single_r2": _r2(width, single @ line),
        "constant": float((width / ratio)[large].max() / np.log(2)) if large.any() else None,
    }


def findings(rows: Rows) -> Findings:
    """Return headline, pictures and tables of the experiment."""
    lines, joint = line_fits(rows), joint_fit(rows)
    sums = [line for line in lines if line["kind"] == "sums"]
    picks = [line for line in lines if line["kind"] == "picks"]
    slopes, exponents = [one["slope"] for one in sums], [one["exponent"] for one in picks]
    (by_error, by_size, by_depth), ends = joint["factors"], joint["intervals"]
    longest = [one for one in sums if one["decades"] >= 4] or sums
    shown = longest[-1]  # of the largest size
    headline = [
        (f"d = {shown['size']}, l = {shown['depth']}, {shown['decades']:.1f} decades of d l / ε: "
         "units for each doubling", _with_interval(shown["slope"], shown["interval"])),
        ("R² of the logarithm; of a power", f"{shown['r2']:.4f}; {shown['power_r2']:.4f}"),
        ("all d and l: units for each doubling of 1/ε", _with_interval(by_error, ends[0])),
        ("of d", _with_interval(by_size, ends[1])),
        ("of l", _with_interval(by_depth, ends[2])),
        ("R² of width by these three logarithms", f"{joint['r2']:.4f}"),
        ("slopes of single curves; least R²",
         f"{min(slopes):.2f} to {max(slopes):.2f}; {min(one['r2'] for one in sums):.4f}"),
        ("by log₂(d l / ε) alone: slope; R²",
         f"{_with_interval(joint['slope'], joint['interval'])}; {joint['single_r2']:.2f}"),
        ("least C with width ≤ C ln(d l / ε), from 100 on", f"{joint['constant'] or 0:.1f}"),
        ("exponents of picking", f"{min(exponents):.2f} to {max(exponents):.2f}"),
    ]  # fmt: skip
    return Findings(
        NAME,
        "The logarithmic width",
        "Random layers of the two-layer construction, with hidden units shared as in its proof, "
        "and random targets of spectral norm 1: the units for each input at which half of the "
        "networks contain their target of l layers of width d, an error of ε / (2 l d²) being "
        "allowed for each weight. Every subset sum is solved exactly.",
        headline,
        [_by_error(rows), _joint(rows, joint), _by_size(rows), _beside_picks(rows)],
        [_fit_table(lines), _width_table(rows)],
    )


def _by_error(rows: Rows) -> Panel:
    lines: list[Line] = []
    for kind, size, depth, mine in curves(rows):
        if kind == "sums" and depth == 1:
            lines.append(_measured(f"d = {size}, l = 1", mine, len(lines)))
    return Panel(
        "A straight line on a logarithmic axis",
        "d l / ε", "width: units for each input", tuple(lines),
        "Each factor of two costs about two units, one for either half of a weight. Bars: 95 %, by "
        "drawing the networks again.",
        log_x=True,
    )  # fmt: skip


def _joint(rows: Rows, joint: dict[str, Any]) -> Panel:
    lines = []
    a, (b, c, e) = joint["offset"], joint["factors"]
    for colour, size in enumerate(dict.fromkeys(row["size"] for row in rows)):
        mine = [row for row in rows if row["kind"] == "sums" and row["size"] == size]
        fitted = [
            a - b * np.log2(r["epsilon"]) + c * np.log2(r["size"]) + e * np.log2(r["depth"])
            for r in mine
        ]
        order = np.argsort(fitted)
        x, y = np.array(fitted)[order], np.array([row["width"] for row in mine])[order]
        lines.append(Line(f"d = {size}, all l", x.tolist(), y.tolist(), colour))
    ends = [min(min(line.x) for line in lines), max(max(line.x) for line in lines)]
    lines.append(Line("equal", ends, ends, LAW, law=True))
    return Panel(
        "Three logarithms fit all of them",
        f"{a:.1f} + {b:.2f} log₂(1/ε) + {c:.2f} log₂ d + {e:.2f} log₂ l", "width",
        tuple(lines),
        "A doubling of d costs more than one of 1/ε: it makes the errors allowed four times as "
        "small, and there are four times as many weights and twice as many blocks, the worst of "
        "which counts.",
    )  # fmt: skip


def _by_size(rows: Rows) -> Panel:
    lines: list[Line] = []
    sums = [row for row in rows if row["kind"] == "sums"]
    for depth in dict.fromkeys(row["depth"] for row in sums):
        for epsilon in (2.0**-2, 2.0**-5):
            mine = [row for row in sums if (row["depth"], row["epsilon"]) == (depth, epsilon)]
            if mine:
                x, y = [row["size"] for row in mine], [row["width"] for row in mine]
                low, high = [row["low"] for row in mine], [row["high"] for row in mine]
                name = f"l = {depth}, ε = {epsilon:g}"
                lines.append(Line(name, x, y, len(lines), low=low, high=high))
    return Panel(
        "The same by the target's width",
        "d", "width: units for each input", tuple(lines),
        "Straight again: the number of units for each input grows with log d, and the hidden layer "
        "with d log d.",
        log_x=True,
    )  # fmt: skip


def _beside_picks(rows: Rows) -> Panel:
    lines: list[Line] = []
    for kind, size, depth, mine in curves(rows):
        if depth == 1 and size in (2, 8, 16):
            told = "subsets" if kind == "sums" else "single products"
            colour = (2, 8, 16).index(size) + (3 if kind == "picks" else 0)
            lines.append(_measured(f"{told}, d = {size}", mine, colour))
            if kind == "picks":
                x, law = [row["ratio"] for row in mine], [row["law"] for row in mine]
                lines.append(Line(f"law, d = {size}", x, law, colour, law=True))
    return Panel(
        "Power against logarithm",
        "d l / ε", "width: units for each input", tuple(lines),
        "Where one product has to stand for a weight (Malach et al. 2020) the width grows like "
        "1/ε.",
        log_x=True, log_y=True,
    )  # fmt: skip


def _measured(name: str, rows: Rows, colour: int) -> Line:
    x, y = [row["ratio"] for row in rows], [row["width"] for row in rows]
    low, high = [row["low"] for row in rows], [row["high"] for row in rows]
    return Line(name, x, y, colour, low=low, high=high)


def _fit_table(lines: Rows) -> Table:
    told = {"sums": "subsets", "picks": "single products"}
    return Table(
        "Every curve, fitted by a + b log₂(d l / ε) and by a power of d l / ε",
        ["a weight is", "d", "l", "decades", "b", "95 %", "R²", "exponent", "95 %", "R²"],
        [
            [
                told[line["kind"]], str(line["size"]), str(line["depth"]),
                f"{line['decades']:.1f}", f"{line['slope']:.3g}",
                "{:.3g} to {:.3g}".format(*line["interval"]), f"{line['r2']:.4f}",
                f"{line['exponent']:.3f}", "{:.3f} to {:.3f}".format(*line["exponent_interval"]),
                f"{line['power_r2']:.4f}",
            ]
            for line in lines
        ],
    )  # fmt: skip


def _width_table(rows: Rows) -> Table:
    told = {"sums": "subsets", "picks": "single products"}
    return Table(
        "Widths at which half of the networks contain their target",
        ["a weight is", "d", "l", "ε", "error of a weight", "d l / ε", "width", "95 %", "networks"],
        [
            [
                told[row["kind"]], str(row["size"]), str(row["depth"]), f"{row['epsilon']:.2g}",
                f"{row['tolerance']:.1e}", f"{row['ratio']:,.0f}", f"{row['width']:,.1f}",
                f"{row['low']:,.1f} to {row['high']:,.1f}", str(row["networks"]),
            ]
            for row in rows
        ],
    )  # fmt: skip


def _widths(rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Return what was measured, and what came of drawing it again: (rows,), (rows, draws)."""
    return np.array([row["width"] for row in rows]), np.array([row["again"] for row in rows])


def _with_interval(value: float, interval: list[float]) -> str:
    return "{:.2f} [{:.2f}, {:.2f}]".format(value, *interval)


def _least_squares(design: FloatArray, values: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.lstsq(design, values, rcond=None)[0])


def _interval(values: FloatArray) -> list[float]:
    return [float(end) for end in np.quantile(values, [0.025, 0.975])]


def _r2(values: FloatArray, fitted: FloatArray) -> float:
    return float(1 - ((values - fitted) ** 2).sum() / ((values - values.mean()) ** 2).sum())
