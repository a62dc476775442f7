"""``milp-lth compare``: solvers on equal terms."""

from pathlib import Path
from typing import Any

import click

from milp_lth.cli.options import as_json, print_json


@click.command(name="compare")
@click.option(
    "--instances",
    metavar="SET[,SET…]",
    help="Sets of the library (milp-lth instances list), or files. [default: the standard ones]",
)
@click.option(
    "--solvers", metavar="NAME[,NAME…]", help="See milp-lth solvers. [default: all available]"
)
@click.option("--rows", type=int, default=10, show_default=True, help="Rows of each set at most.")
@click.option(
    "--time-limit", type=float, default=5.0, show_default=True, metavar="S", help="Per row."
)
@click.option(
    "--memory-limit", type=float, default=4096, show_default=True, metavar="MB", help="Per process."
)
@click.option(
    "--seeds",
    type=int,
    default=1,
    show_default=True,
    help="Orders of the candidates, and seeds of solvers that take one.",
)
@click.option(
    "--abs-gap",
    type=float,
    default=0.0,
    show_default=True,
    metavar="G",
    help="How far from the best an objective may lie and count as solved, proven, rightly claimed.",
)
@click.option("--threads", type=int, default=1, show_default=True, help="Per solver.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/comparison"),
    show_default=True,
    metavar="DIR",
    help="Results and page; what is there already is not done again.",
)
@click.option("--csv", type=click.Path(path_type=Path), help="Write all runs to a CSV file, too.")
@click.option("--parquet", type=click.Path(path_type=Path), help="The same, to a Parquet file.")
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
    try:
        with Progress("runs", quiet=as_json) as progress, Interrupts() as interrupts:
            comparison.carry_out(progress, interrupts.asked)
    except KeyboardInterrupt:
        click.echo("milp-lth: interrupted; continue by giving the same command again", err=True)
        raise
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
    console = Console()
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
