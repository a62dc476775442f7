"""The pictures of the phase transition, as curves."""

from typing import TYPE_CHECKING, Any

import numpy as np

from milp_lth.report.panels import LAW, Line, Panel
from milp_lth.reproduce.random_sums import LEVELS, TOLERANCES, Cell, quantile
from milp_lth.theory.laws import critical_kappa
from milp_lth.theory.proportion import proportion_interval

if TYPE_CHECKING:
    from milp_lth.reproduce.phase_transition import PhaseTransition

_SHOWN = (8, 12, 16, 20, 24)
_DIGITS = (1e-1, 1e-2, 1e-3, 1e-4)


def panels(asked: "PhaseTransition", counts: list[dict[str, Any]]) -> list[Panel]:
    """Return all pictures of the experiment."""
    return [
        _medians(asked),
        _successes(asked),
        _kappa(asked),
        _collapse(asked),
        _tails(asked),
        _sizes(asked),
        _size_tails(asked),
        _ranges(asked),
        _counts(counts),
        _histogram(counts),
    ]


def _main(asked: "PhaseTransition", name: str) -> list[Cell]:
    return [c for c in asked.cells() if c[0] == name and c[2:] == (0.5, None)]


def _medians(asked: "PhaseTransition") -> Panel:
    lines = []
    names = list(dict.fromkeys(cell.distribution for cell in asked.cells()))
    for k, name in enumerate(names):
        cells = _main(asked, name)
        n = [c.num_candidates for c in cells]
        middle = [quantile(asked.found(c)["errors"], 0.5) for c in cells]
        lines.append(Line(name, n, middle, k))
    for k, name in enumerate(names[:3]):
        cells = _main(asked, name)
        law = [c.predicted(0.5) for c in cells]
        lines.append(Line(f"law, {name}", [c.num_candidates for c in cells], law, k, law=True))
    return Panel(
        "The error halves with every candidate",
        "candidates n", "median error of the best subset", tuple(lines),
        "Medians over all problems of a kind. Sums of numbers on a grid, quantised or binary, "
        "cannot come closer than the grid allows.",
        log_y=True,
    )  # fmt: skip


def _successes(asked: "PhaseTransition") -> Panel:
    cells = _main(asked, "uniform")
    lines = []
    for k, digit in enumerate(_DIGITS):
        place = int(np.argmin(np.abs(np.log2(TOLERANCES / digit))))
        tolerance = float(TOLERANCES[place])
        lines += _share_lines(asked, cells, place, k, f"ε = {tolerance:.2g}")
    return Panel(
        "Success against candidates",
        "candidates n", "P(error ≤ ε)", tuple(lines),
        "Uniform candidates; bars: 95 % (Clopper–Pearson). Each further digit costs log₂ 10 = 3.3 "
        "candidates and a little.",
    )  # fmt: skip


def _share_lines(
    asked: "PhaseTransition", cells: list[Cell], place: int, colour: int, name: str
) -> list[Line]:
    shares, low, high, law = [], [], [], []
    for cell in cells:
        found = asked.found(cell)
        hits, trials = found["within"][place], found["trials"]
        interval = proportion_interval(hits, hits, trials)
        shares.append(hits / trials)
        low.append(interval[0])
        high.append(interval[1])
        law.append(1 - float(cell.law.survival(TOLERANCES[place], cell.targets)))
    n = [cell.num_candidates for cell in cells]
    return [
        Line(name, n, shares, colour, low=low, high=high),
        Line(f"law, {name}", n, law, colour, law=True),
    ]


def _kappa(asked: "PhaseTransition") -> Panel:
    lines = []
    for k, cell in enumerate(c for c in _main(asked, "uniform") if c.num_candidates in _SHOWN):
        found, n = asked.found(cell), cell.num_candidates
        kappa = -np.log2(TOLERANCES) / n
        use = (kappa >= 0.4) & (kappa <= 1.4)
        share = np.divide(found["within"], found["trials"])
        lines.append(Line(f"n = {n}", kappa[use].tolist(), share[use].tolist(), k))
        window = float(critical_kappa(n))
        lines.append(Line(f"1 − log₂n / 2n, n = {n}", [window, window], [0.0, 1.0], k, law=True))
    return Panel(
        "The transition sharpens",
        "κ = log₂(1/ε) / n", "P(error ≤ ε)", tuple(lines),
        "Dashed: the middle of the window of Borgs, Chayes and Pittel, which moves towards 1 while "
        "the step grows steeper, its width being of the order of 1/n.",
    )  # fmt: skip


def _collapse(asked: "PhaseTransition") -> Panel:
    lines = []
    for k, cell in enumerate(c for c in _main(asked, "uniform") if c.num_candidates in _SHOWN):
        found, n = asked.found(cell), cell.num_candidates
        place = -np.log2(TOLERANCES) - n * float(critical_kappa(n))
        use = np.abs(place) <= 8
        share = np.divide(found["within"], found["trials"])
        lines.append(Line(f"n = {n}", place[use].tolist(), share[use].tolist(), k))
    n = asked.last
    law = Cell("uniform", n).law
    place = np.linspace(-8, 8, 65)
    tolerance = 2.0 ** -(place + n * float(critical_kappa(n)))
    share = 1 - law.survival(tolerance, Cell("uniform", n).targets)
    lines.append(Line("law", place.tolist(), share.tolist(), LAW, law=True))
    return Panel(
        "All steps are the same step",
        "λ = n (κ − 1) + ½ log₂n", "P(error ≤ ε)", tuple(lines),
        "Moved to the window's middle and stretched by n, the curves of all n fall on one another, "
        "and on the law.",
    )  # fmt: skip


def _tails(asked: "PhaseTransition") -> Panel:
    lines = []
    tail = [level for level in LEVELS if level >= 0.5]
    left = [1 - level for level in tail]
    for k, name in enumerate(("uniform", "products")):
        cell = Cell(name, asked.last)
        found = asked.found(cell)
        for colour, key, told in ((k, "errors", ""), (k + 2, "relative", ", candidates given")):
            middle = quantile(found[key], 0.5)
            x = [quantile(found[key], level) / middle for level in tail]
            lines.append(Line(f"{name}, n = {cell.num_candidates}{told}", x, left, colour))
    cell = Cell("uniform", asked.last)
    ratios = np.logspace(0, 5, 101)
    law = cell.law.survival(ratios * cell.predicted(0.5), cell.targets)
    lines.append(Line("law, uniform", ratios.tolist(), law.tolist(), LAW, law=True))
    ratios = np.linspace(1, 17, 33)
    lines.append(Line("exponential, 2⁻ˣ", ratios.tolist(), (2.0**-ratios).tolist(), 4, law=True))
    return Panel(
        "The tail is a power",
        "x = error / median", "P(error > x · median)", tuple(lines),
        "Of all draws together the error's tail falls like 1/x, so that its mean says nothing. "
        "Measured in units of the median that belongs to the drawn candidates, it is close to "
        "exponential: what makes it heavy are draws whose sums lie far from the target.",
        log_x=True, log_y=True,
    )  # fmt: skip


def _size_cells(asked: "PhaseTransition") -> list[Cell]:
    return [cell for cell in asked.cells() if cell.size is not None]


def _sizes(asked: "PhaseTransition") -> Panel:
    cells = _size_cells(asked)
    k = [float(cell.size or 0) for cell in cells]
    middle = [quantile(asked.found(cell)["errors"], 0.5) for cell in cells]
    law = [cell.predicted(0.5) for cell in cells]
    lines = [Line("measured", k, middle), Line("law", k, law, LAW, law=True)]
    return Panel(
        "Few kept of 20 candidates",
        "kept, k", "median error", tuple(lines),
        "Subsets of exactly k: their number is C(20, k), and k / 20 is the density of the ticket.",
        log_y=True,
    )  # fmt: skip


def _size_tails(asked: "PhaseTransition") -> Panel:
    cells = _size_cells(asked)
    k = [float(cell.size or 0) for cell in cells]
    measured, law = [], []
    for cell in cells:
        found = asked.found(cell)["errors"]
        measured.append(quantile(found, 0.99) / quantile(found, 0.5))
        law.append(cell.predicted(0.99) / cell.predicted(0.5))
    return Panel(
        "Fewer kept, lighter tail",
        "kept, k", "99th percentile / median", (
            Line("measured", k, measured),
            Line("law", k, law, LAW, law=True),
            Line("exponential", [k[0], k[-1]], [float(np.log2(100))] * 2, 4, law=True),
        ),
        "By the law the tail falls like a power with exponent (n − k) / k. Where half of the "
        "candidates have to be kept it is heavier still: the largest and smallest sums of k are "
        "not far apart, and some draws do not reach their target at all.",
        log_y=True,
    )  # fmt: skip


def _ranges(asked: "PhaseTransition") -> Panel:
    n = 12
    ranges = sorted({cell.target_range for cell in asked.cells()})
    lines = []
    for k, name in enumerate(("uniform", "products")):
        cells = [Cell(name, n, r) for r in ranges]
        for level, told in ((0.5, "median"), (0.9, "90th percentile")):
            colour = 2 * k + (level > 0.5)
            found = [quantile(asked.found(cell)["errors"], level) for cell in cells]
            law = [cell.predicted(level) for cell in cells]
            lines.append(Line(f"{name}, {told}", ranges, found, colour))
            lines.append(Line(f"law, {name}, {told}", ranges, law, colour, law=True))
    return Panel(
        "Targets near 0 are easier",
        "targets in ±", f"error, n = {n}", tuple(lines),
        "Products are smaller than uniform candidates: targets leave their reach sooner, and no "
        "law that takes sums for normal knows that there is an end.",
        log_x=True, log_y=True,
    )  # fmt: skip


def _counts(counts: list[dict[str, Any]]) -> Panel:
    some = sorted(
        (row for row in counts if row["num_candidates"] == counts[-1]["num_candidates"]),
        key=lambda row: row["expected"],
    )
    x = [row["expected"] for row in some]
    return Panel(
        "More solutions vary more than Poisson's",
        "solutions expected", "variance / mean of their number", (
            Line("measured", x, [row["variance"] / row["mean"] for row in some]),
            Line("law", x, [row["law_variance"] / row["expected"] for row in some], LAW, law=True),
            Line("Poisson", x, [1.0] * len(x), 4, law=True),
        ),
        f"Subsets within ε of the target, n = {some[0]['num_candidates']}, all counted.",
        log_x=True,
    )  # fmt: skip


def _histogram(counts: list[dict[str, Any]]) -> Panel:
    row = max(
        (row for row in counts if 7 < row["expected"] < 9), key=lambda row: row["num_candidates"]
    )
    share = np.divide(row["histogram"], row["trials"])[:31]
    m = np.arange(len(share))
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, len(share))))])
    poisson = np.exp(-row["expected"] + m * np.log(row["expected"]) - logs)
    law = row["law_histogram"][: len(share)]
    return Panel(
        "How many subsets are good enough",
        "subsets within ε", "share of problems", (
            Line("measured", m.tolist(), share.tolist()),
            Line("law", m.tolist(), law, LAW, law=True),
            Line("Poisson", m.tolist(), poisson.tolist(), 4, law=True),
        ),
        f"n = {row['num_candidates']}, ε = {row['tolerance']:.2e}. The mean is as expected; to "
        "find none, or many, is much more frequent than if subsets were independent.",
    )  # fmt: skip
