"""What the experiment about the lower bound comes to, as pictures and a table."""

from typing import TYPE_CHECKING, Any

import numpy as np

from milp_lth.report.panels import LAW, Line, Panel
from milp_lth.reproduce.coverage import ERRORS
from milp_lth.reproduce.theory_page import Findings, Table

if TYPE_CHECKING:
    from milp_lth.reproduce.lower_bound import LowerBound

NAME = "lower-bound"

_SHOWN = (2, 5, 8, 11)  # ε = 2⁻ᵏ


def findings(asked: "LowerBound", rows: list[dict[str, Any]]) -> Findings:
    """Return headline, pictures and table of the experiment."""
    above, num = asked.above_bound()
    fit = slope(rows, "uniform")
    below = [share for row in rows for share in row["below"].values() if share is not None]
    more = [row["needed"]["uniform"] - row["bound"] for row in rows if row["needed"]["uniform"]]
    headline = [
        ("covered lengths above the bound", f"{above} of {num:,}"),
        ("most targets met below the bound", f"{100 * max(below):.1f} %"),
        ("candidates needed per doubling of 1/ε, uniform", f"{fit['slope']:.3f}"),
        ("R²", f"{fit['r2']:.5f}"),
        ("needed beyond the bound, uniform", f"{min(more):.2f} to {max(more):.2f}"),
    ]
    panels = [_coverage(asked, name) for name in ("uniform", "products")]
    panels += [_needed(rows), _used(asked), _matrices(asked, 2), _matrices(asked, 3)]
    return Findings(
        NAME,
        "The lower bound, and how near random candidates come to it",
        "2ⁿ subsets serve targets on a length of 2ⁿ · 2ε at most, whatever the candidates are "
        f"(theorem 2 of Pensia et al. 2020). For {asked.trials} draws of each kind the length that "
        "is really served is computed in whole numbers, and random targets in ± 1/2 are solved.",
        headline,
        panels,
        [_table(rows)],
    )


def slope(rows: list[dict[str, Any]], distribution: str) -> dict[str, float]:
    """Fit the candidates that a random target needs against log₂(1/ε)."""
    some = [row for row in rows if row["needed"][distribution] is not None]
    x = -np.log2([row["tolerance"] for row in some])
    y = np.array([row["needed"][distribution] for row in some])
    line = np.polyfit(x, y, 1)
    left = y - np.polyval(line, x)
    r2 = 1 - (left**2).sum() / ((y - y.mean()) ** 2).sum()
    return {"slope": float(line[0]), "intercept": float(line[1]), "r2": float(r2)}


def _coverage(asked: "LowerBound", distribution: str) -> Panel:
    parts = asked.of("covered", distribution)
    n = [part.num_candidates for part in parts]
    lines = []
    for colour, k in enumerate(_SHOWN):
        place = int(np.argmin(np.abs(-np.log2(ERRORS) - k)))
        mean = [asked.found(part)["mean"][place] for part in parts]
        most = [asked.found(part)["most"][place] for part in parts]
        bound = [asked.found(part)["bound"][place] for part in parts]
        lines.append(Line(f"ε = 2^-{k}", n, mean, colour, low=mean, high=most))
        lines.append(Line(f"bound, ε = 2^-{k}", n, bound, colour, law=True))
    return Panel(
        f"Share of all targets that are served, {distribution}",
        "candidates n", "share of [−1/2, 1/2]", tuple(lines),
        "Means over the draws, and up to the most that one draw serves; dashed: min(1, 2ⁿ · 2ε).",
    )  # fmt: skip


def _needed(rows: list[dict[str, Any]]) -> Panel:
    x = [-float(np.log2(row["tolerance"])) for row in rows]
    columns: list[tuple[str, list[float | None], int, bool]] = [
        ("counting bound", [row["bound"] for row in rows], LAW, True),
        ("a random target, uniform", [row["needed"]["uniform"] for row in rows], 0, False),
        ("law, uniform", [row["law"]["uniform"] for row in rows], 0, True),
        ("a random target, products", [row["needed"]["products"] for row in rows], 1, False),
        ("every target at once, uniform", [row["every"]["uniform"] for row in rows], 2, False),
        ("a random 2×2 matrix, products", [row["matrix"]["2x2"] for row in rows], 3, False),
        ("a random 3×3 matrix, products", [row["matrix"]["3x3"] for row in rows], 4, False),
    ]
    lines = []
    for name, values, colour, law in columns:
        points = [(at, value) for at, value in zip(x, values, strict=True) if value is not None]
        if points:
            places, numbers = zip(*points, strict=True)
            lines.append(Line(name, places, numbers, colour, law))
    return Panel(
        "Candidates needed with probability 1/2",
        "log₂(1/ε)", "candidates for each weight", tuple(lines),
        "All grow by one candidate for every halving of ε, as the bound does; what is above it "
        "pays for sums that are spread widely and unevenly, and for many weights at once.",
    )  # fmt: skip


def _used(asked: "LowerBound") -> Panel:
    lines = []
    for colour, k in enumerate((6, 10, 14)):
        place = int(np.argmin(np.abs(-np.log2(ERRORS) - k)))
        for distribution in ("uniform", "products"):
            parts = asked.of("covered", distribution)
            used = [
                found["mean"][place] / found["bound"][place] for found in map(asked.found, parts)
            ]
            n = [part.num_candidates for part in parts]
            shade = colour if distribution == "uniform" else colour + 3
            lines.append(Line(f"{distribution}, ε = 2^-{k}", n, used, shade))
    return Panel(
        "How much of the bound is used",
        "candidates n", "share served / bound", tuple(lines),
        "Sums spread like √n, so a smaller part of them lies where targets are; the share is least "
        "where the bound just allows to serve all.",
    )  # fmt: skip


def _matrices(asked: "LowerBound", size: int) -> Panel:
    parts = asked.of("matrix", "products", size)
    n = [part.num_candidates for part in parts]
    lines = []
    for colour, k in enumerate((2, 4, 6, 8)):
        place = int(np.argmin(np.abs(-np.log2(ERRORS) - k)))
        mean = [asked.found(part)["mean"][place] for part in parts]
        bound = [min(1.0, 2.0**m * 2 * float(ERRORS[place])) ** (size * size) for m in n]
        lines.append(Line(f"ε = 2^-{k}", n, mean, colour))
        lines.append(Line(f"bound, ε = 2^-{k}", n, bound, colour, law=True))
    return Panel(
        f"Share of all {size}×{size} matrices that are served",
        "candidates n for each weight", f"share of [−1/2, 1/2]^{size * size}", tuple(lines),
        f"Outputs share the hidden units of an input. A source of {size * size} n second-layer "
        f"weights has 2^({size * size} n) subnetworks, each serving a cube of side 2ε.",
    )  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> Table:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    lines = []
    for row in rows:
        below = [row["below"][name] for name in ("uniform", "products")]
        lines.append(
            [
                f"2^-{-np.log2(row['tolerance']):.0f}",
                f"{row['bound']:.0f}",
                *(shown(row["needed"][name]) for name in ("uniform", "products")),
                shown(row["law"]["uniform"]),
                *(shown(row["every"][name]) for name in ("uniform", "products")),
                *(shown(value) for value in row["matrix"].values()),
                *("–" if share is None else f"{100 * share:.1f} %" for share in below),
            ]
        )
    return Table(
        "Candidates needed for each weight with probability 1/2",
        ["ε", "bound", "random target, uniform", "products", "law, uniform",
         "every target, uniform", "products", "random 2×2, products", "3×3",
         "met with one less than the bound, uniform", "products"],
        lines,
    )  # fmt: skip
