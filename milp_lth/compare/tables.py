"""The tables of a comparison, for people."""

import math
from typing import Any

HEADINGS = (
    "solver", "runs", "solved", "proven", "claimed", "falsely", "gap", "mean time", "95 %",
    "PAR-2", "one row", "build", "start", "rows/s",
)  # fmt: skip


def cells(row: dict[str, Any]) -> list[str]:
    """Return a solver's summary as text, in the order of `HEADINGS`."""
    low, high = row["mean_interval"]
    broken = f" ({row['failures']} broke)" if row["failures"] else ""
    broken += f" ({row['unsupported']} not taken)" if row["unsupported"] else ""
    return [
        row["solver"],
        f"{row['runs']}{broken}",
        str(row["solved"]),
        str(row["proven"]),
        str(row["claimed"]),
        str(row["falsely_claimed"]),
        "–" if row["gap"] is None else number(row["gap"]),
        seconds(row["mean_seconds"]),
        f"{seconds(low)}–{seconds(high)}",
        seconds(row["par2"]),
        seconds(row["latency"]),
        seconds(row["build_seconds"]),
        seconds(row["start_seconds"]),
        "–" if row["rows_per_second"] is None else f"{row['rows_per_second']:,.0f}",
    ]


def seconds(value: float) -> str:
    """Write a time with two digits and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return "0 s" if value <= 0 else f"{value * 1e6:.2g} µs"


def target_cells(cells: list[dict[str, float | None]]) -> list[str]:
    """Return times to targets as text: the median, and the share that got there at all."""
    found = []
    for cell in cells:
        time, share = cell["seconds"], cell["share"] or 0.0
        some = "" if share == 1 else f" ({100 * share:.0f} %)"
        found.append("–" if time is None else f"{seconds(time)}{some}")
    return found


def pair_table(
    pairs: list[dict[str, Any]], solvers: list[str]
) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return the square of all pairs: (solver, cells), a cell (ratio, better : worse, interval)."""
    found = {tuple(pair["solvers"]): pair for pair in pairs}
    square = []
    for one in solvers:
        cells = []
        for two in solvers:
            if (one, two) in found:
                pair = found[one, two]
                better, ratio, (low, high) = pair["better"], pair["ratio"], pair["interval"]
            elif (two, one) in found:
                pair = found[two, one]
                better, ratio = pair["better"][::-1], 1 / pair["ratio"]
                high, low = (1 / end for end in pair["interval"])
            else:
                cells.append(("", "", ""))
                continue
            interval = f"95 %: {number(low)} to {number(high)}, {pair['rows']} runs"
            cells.append((number(ratio), f"{better[0]} : {better[1]}", interval))
        square.append((one, cells))
    return square


def number(value: float) -> str:
    """Write a positive number with two digits, without powers of ten up to a million."""
    if value >= 99.5:
        digits = math.floor(math.log10(value)) - 1
        return f"{round(value, -digits):,.0f}" if value < 1e6 else f"{value:.1e}"
    return f"{value:.2g}"
