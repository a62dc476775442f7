"""The tables of a comparison, for people."""

from typing import Any

HEADINGS = (
    "solver", "runs", "solved", "proven", "claimed", "falsely", "gap", "mean time", "95 %",
    "PAR-2", "one row", "build", "start", "rows/s",
)  # fmt: skip


def cells(row: dict[str, Any]) -> list[str]:
    """Return a solver's summary as text, in the order of `HEADINGS`."""
    low, high = row["mean_interval"]
    broken = f" ({row['failures']} broke)" if row["failures"] else ""
    return [
        row["solver"],
        f"{row['runs']}{broken}",
        str(row["solved"]),
        str(row["proven"]),
        str(row["claimed"]),
        str(row["falsely_claimed"]),
        "–" if row["gap"] is None else f"{row['gap']:.2g}",
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


def pair_cells(pair: dict[str, Any]) -> list[str]:
    """Return a pair's comparison as text."""
    one, two = pair["solvers"]
    low, high = pair["interval"]
    better = pair["better"]
    ratio = f"{pair['ratio']:.3g} ({low:.3g}–{high:.3g})"
    return [one, two, str(pair["rows"]), f"{better[0]} : {better[1]}", ratio]
