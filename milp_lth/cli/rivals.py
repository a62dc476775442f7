"""``milp-lth rivals``: other ways to a subnetwork, beside this one."""

from pathlib import Path
from typing import Any

import click

from milp_lth.cli.options import (
    as_json,
    data_option,
    numbers,
    out_option,
    print_json,
    seeds_option,
    training_options,
)


@click.command(name="rivals")
@data_option("digits", "digits, wine, mnist, or a folder of MNIST's IDX files.")
@click.option(
    "--methods",
    metavar="NAME[,NAME…]",
    help="dense, edge-popup, supermask, biprop, biprop-activations, magnitude, "
    "magnitude-retrained, greedy, greedy-finetuned, imp, phew, random, ticket-closest, "
    "ticket-sparsest, ticket-budget, ticket-data-aware; dense is always among them. [default: all]",
)
@click.option(
    "--densities",
    default="0.05,0.2,0.5",
    show_default=True,
    metavar="P[,P…]",
    help="Shares of edges to keep, for methods that take one.",
)
@seeds_option(5, "Of every row.")
@training_options
@click.option(
    "--size",
    type=click.Choice(["small", "paper"]),
    default="small",
    show_default=True,
    help="Hidden units: 100, for CPUs; or 500, as in Pensia et al. 2020, for GPUs.",
)
@out_option(
    "runs/rivals", "Measurements, networks and page; what is there already is not measured again."
)
@as_json
def command(
    data: str,
    methods: str | None,
    densities: str,
    seeds: int,
    scale: float,
    size: str,
    device: str,
    out: Path,
    as_json: bool,
) -> int:
    """Compare ways to find a subnetwork, learned masks and SubsetSum tickets among them.

    The same data, architecture and judge for all; accuracy against edges, kept and drawn. An
    interrupted command is continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.main import OK, UNVERIFIED
    from milp_lth.cli.progress import Progress
    from milp_lth.rivals.bench import Rivals
    from milp_lth.rivals.page import write_page
    from milp_lth.rivals.table import rows

    rivals = Rivals(
        data,
        () if methods is None else tuple(methods.split(",")),
        out,
        num_seeds=seeds,
        scale=scale,
        size=size,
        densities=numbers("densities", densities, float, "give shares to keep, as in 0.1,0.5"),
        device=device,
    )
    with Progress("networks", quiet=as_json) as progress, Interrupts() as interrupts:
        rivals.measure(progress, interrupts.asked)
    found = rows(rivals)
    page = write_page(rivals, found)
    if as_json:
        print_json({"rows": found, "out": str(out)})
    else:
        _print(found)
        click.echo(f"all columns, and the pictures: {page}")
    return OK if all(row["verified"] for row in found) else UNVERIFIED


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from milp_lth.rivals.table import BRIEFLY, COLUMNS, cells, notes

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in BRIEFLY:
        table.add_column(COLUMNS[name], no_wrap=name in ("row", "accuracy", "difference"))
    for row in rows:
        name, *texts = cells(row, BRIEFLY, digits=1)
        table.add_row(name + "*" * (not row["converged"]), *texts)
    console = Console()
    console.print(table)
    if not all(row["converged"] for row in rows):
        console.print("* not converged: more epochs may change it; see --scale")
    for sentence in notes(rows):
        console.print(sentence, highlight=False)
