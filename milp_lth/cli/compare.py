"""``milp-lth compare``: solvers on equal terms."""

from pathlib import Path
from typing import Any

import click

from milp_lth.cli.options import as_json, out_option, print_json, seeds_option


@click.command(name="compare")
@click.option(
    "--instances",
    metavar="SET[,SET…]",
    help="Sets of the library (milp-lth instances list), or files. [default: the standard ones]",
)
@click.option(
    "--solvers", metavar="NAME[,NAME…]", help="See milp-lth solvers. [default: all available]"
)
@click.option(
    "--rows",
    type=int,
    default=10,
    show_default=True,
    metavar="N",
    help="Rows of each set at most.",
)
@click.option(
    "--time-limit", type=float, default=5.0, show_default=True, metavar="S", help="Seconds a row."
)
@click.option(
    "--memory-limit",
    type=float,
    default=4096,
    show_default=True,
    metavar="MB",
    help="Megabytes a process.",
)
@seeds_option(1, "Orders of the candidates, and seeds of solvers that take one.")
@click.option(
    "--abs-gap",
    type=float,
    default=0.0,
    show_default=True,
    metavar="G",
    help="How far from the best an objective may lie, in its own units, and count as solved, "
    "proven, rightly claimed.",
)
@click.option(
    "--threads", type=int, default=1, show_default=True, metavar="N", help="Threads a solver."
)
@out_option("runs/comparison", "Results and page; what is there already is not done again.")
@click.option(
    "--csv",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write all runs to a CSV file, too. [default: none]",
)
@click.option(
    "--parquet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The same, to a Parquet file. [default: none]",
)
@as_json
def command(
    instances: str | None,
    solvers: str | None,
    out: Path,
    csv: Path | None,
    parquet: Path | None,
    abs_gap: float,
    as_json: bool,
    **options: Any,
) -> int:
    """Compare solvers on the same rows, each in a process that is killed at its limits.

    An interrupted comparison is continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.main import OK
    from milp_lth.cli.progress import Progress
    from milp_lth.compare.comparison import Asked, Comparison
    from milp_lth.compare.page import stated, write_page
    from milp_lth.compare.problems import STANDARD
    from milp_lth.compare.store import Store, require_parquet, write_csv, write_parquet

    if parquet is not None:
        require_parquet()
    names = STANDARD if instances is None else tuple(instances.split(","))
    asked = Asked(names, () if solvers is None else tuple(solvers.split(",")), **options)
    comparison = Comparison(asked, out)
    with Progress("runs", quiet=as_json) as progress, Interrupts() as interrupts:
        comparison.carry_out(progress, interrupts.asked)
    with Store(out) as store:
        runs = store.runs()
    if csv is not None:
        write_csv(runs, csv)
    if parquet is not None:
        write_parquet(runs, parquet)
    found = stated(comparison, abs_gap=abs_gap)
    page = write_page(comparison, found)
    if as_json:
        print_json(found)
    else:
        _print(found)
        click.echo(f"all of it: {page}")
    return OK


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from milp_lth.compare.tables import HEADINGS, cells, seconds

    shown = ("solver", "solved", "proven", "claimed", "falsely", "gap", "mean time", "rows/s")
    console = Console(markup=False)  # names of tasks and solvers are what a file says they are
    for task, part in found["tasks"].items():
        table = Table(*shown, box=None, padding=(0, 2, 0, 0), title=task, title_justify="left")
        for row in part["rows"]:
            texts = dict(zip(HEADINGS, cells(row), strict=True))
            texts["solved"] += f" of {row['runs']}"
            table.add_row(*(texts[name] for name in shown))
        console.print(table)
        console.print(
            f"mean time: shifted geometric mean, shift {seconds(part['shift'])}, failures at the "
            "limit; claimed: by the solver itself; "
            f"solved, proven, falsely: at an absolute gap of {found['abs_gap']:g}\n",
            highlight=False,
        )
