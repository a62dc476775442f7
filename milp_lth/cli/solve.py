"""``milp-lth solve``: the instances of one file."""

import math
from typing import TYPE_CHECKING, Any

import click

from milp_lth.cli.options import as_json, print_json

if TYPE_CHECKING:
    from solvers.solution import Solution

_SHOWN = 20


@click.command(name="solve")
@click.argument("file", type=click.Path())
@click.option(
    "--solver", default="auto", show_default=True, metavar="NAME", help="See milp-lth solvers."
)
@click.option(
    "--time-limit", type=float, metavar="S", help="Seconds for the whole file. [default: none]"
)
@click.option(
    "--abs-gap",
    type=float,
    default=0.0,
    show_default=True,
    metavar="G",
    help="What OPTIMAL may be off by, in units of the objective.",
)
@click.option(
    "--rel-gap",
    type=float,
    default=0.0,
    show_default=True,
    metavar="G",
    help="The same, as a fraction of the objective.",
)
@as_json
def command(
    file: str,
    solver: str,
    time_limit: float | None,
    abs_gap: float,
    rel_gap: float,
    as_json: bool,
) -> int:
    """Solve the problems in FILE (.npz, .json, or knapsack text in .kp or .txt)."""
    from instances.files import load_instance
    from milp_lth.cli.main import OK, OUT_OF_TOLERANCE
    from milp_lth.cli.progress import Progress
    from milp_lth.solving import limit_for
    from solvers.registry import get_solver, solver_name
    from solvers.select import select
    from solvers.solve import solve

    instance = load_instance(file)
    decides = select(instance) if solver == "auto" else get_solver(solver)
    with Progress("rows", quiet=as_json) as progress:
        solution = solve(
            instance,
            decides,
            time_limit=limit_for(solver_name(decides), time_limit),
            abs_gap=abs_gap,
            rel_gap=rel_gap,
            on_event=lambda first, part: progress(first + len(part.bound), len(instance)),
        )
    stated = _stated(solution)
    if as_json:
        print_json(stated)
    else:
        _print(stated)
    return OUT_OF_TOLERANCE if stated["out_of_tolerance"] else OK


def _stated(solution: "Solution") -> dict[str, Any]:
    from solvers.solution import Status

    within = int(solution.feasible.sum())
    rows = [
        {
            "status": Status(solution.status[b]).name,
            "objective": float(solution.objective[b]),
            "error": float(solution.error[b]),
            "bound": float(solution.bound[b]) if math.isfinite(solution.bound[b]) else None,
            "kept": [int(k) for k in solution.mask[b].nonzero()[0]],
        }
        for b in range(len(solution.mask))
    ]
    return {
        "solver": solution.solver,
        "rows": rows,
        "status": solution.counts(),
        "within_tolerance": within,
        "out_of_tolerance": len(rows) - within,
        "abs_gap": solution.abs_gap,
        "rel_gap": solution.rel_gap,
        "seconds": {"solve": solution.seconds},
    }


def _print(stated: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "row", "status", "objective", "error", "bound", "kept", box=None, padding=(0, 2, 0, 0)
    )
    for b, row in enumerate(stated["rows"][:_SHOWN]):
        bound = "–" if row["bound"] is None else f"{row['bound']:.4g}"
        kept = " ".join(map(str, row["kept"]))
        table.add_row(
            str(b), row["status"], f"{row['objective']:.4g}", f"{row['error']:.4g}", bound, kept
        )
    console = Console()
    console.print(table)
    if len(stated["rows"]) > _SHOWN:
        console.print(f"… and {len(stated['rows']) - _SHOWN} more rows: --json prints them all")
    counts = ", ".join(f"{n:,} {s}" for s, n in stated["status"].items() if n)
    gap = max(stated["abs_gap"], stated["rel_gap"])
    note = (
        ""
        if gap == 0
        else f" (gap: {stated['abs_gap']:g} absolute, {stated['rel_gap']:g} relative)"
    )
    console.print(f"{stated['solver']}: {counts}{note} in {stated['seconds']['solve']:.3f} s")
