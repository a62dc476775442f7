"""``milp-lth solvers``: who can solve, and when to take whom."""

import math

import click

from milp_lth.cli.options import as_json, print_json

_LONG = 200


@click.command(name="solvers")
@as_json
def command(as_json: bool) -> None:
    """List the solvers, and why one cannot be used here."""
    from solvers.registry import REGISTRY, get_solver, why_unavailable

    rows = [
        {
            "name": name,
            "exact": entry.exact,
            "needs": entry.needs,
            "tolerance": None if why_unavailable(name) else _finite(get_solver(name).tolerance),
            "available": not why_unavailable(name),
            "reason": why_unavailable(name),
            "summary": entry.summary,
        }
        for name, entry in REGISTRY.items()
    ]
    if as_json:
        print_json({"rows": rows})
        return
    from rich.console import Console
    from rich.table import Table

    headings = ("name", "proves", "tolerance", "available", "what it is")
    table = Table(*headings, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        available = "yes" if row["available"] else f"no: {row['reason']}"
        table.add_row(
            str(row["name"]),
            "yes" if row["exact"] else "no",
            "–" if row["tolerance"] is None else f"{row['tolerance']:g}",
            available,
            str(row["summary"]),
        )
    console = Console()
    if not console.is_terminal:
        console.width = _LONG  # whoever reads it searches it, line by line
    console.print(table)


def _finite(tolerance: float) -> float | None:
    """Return None for a solver that promises nothing: JSON has no infinity."""
    return tolerance if math.isfinite(tolerance) else None
