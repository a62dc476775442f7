"""``milp-lth reproduce claims``: what papers on tickets say, measured again."""

from pathlib import Path

import click

from milp_lth.cli.options import (
    as_json,
    data_option,
    out_option,
    print_json,
    seeds_option,
    training_options,
)


@click.command(name="claims")
@data_option("digits", "digits, mnist, or a folder of MNIST's IDX files.")
@click.option(
    "--names",
    metavar="NAME[,NAME…]",
    help="greedy, phew, rewinding, elastic, early-bird. [default: all]",
)
@seeds_option(5, "Of every measurement.")
@training_options
@click.option(
    "--hidden",
    type=int,
    default=100,
    show_default=True,
    metavar="N",
    help="Units a layer.",
)
@out_option(
    "runs/claims",
    "Measurements, table.md and pictures; what is there already is not measured again.",
)
@as_json
def command(
    data: str,
    names: str | None,
    seeds: int,
    scale: float,
    device: str,
    hidden: int,
    out: Path,
    as_json: bool,
) -> int:
    """Measure what papers on tickets claim of their systems, and say whether it holds here.

    Greedy selection of neurons, PHEW, rewinding and mode connectivity, elastic and early-bird
    tickets. An interrupted command is continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.main import OK
    from milp_lth.cli.progress import Progress
    from milp_lth.reproduce.claims.every import Claims

    chosen = () if names is None else tuple(names.split(","))
    claims = Claims(
        data, out, names=chosen, num_seeds=seeds, scale=scale, num_hidden=hidden, device=device
    )
    with Progress("measurements", quiet=as_json) as progress, Interrupts() as interrupts:
        claims.measure(progress, interrupts.asked)
    written, rows = claims.write(), claims.rows()
    if as_json:
        print_json({"rows": rows, "out": str(out)})
        return OK
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for row in rows:
        holds = "holds here" if row["holds"] else "does not hold here"
        console.print(f"[bold]{row['row']}[/bold]: {row['claim']}", highlight=False)
        console.print(f"  {holds}: {row['measured']}", highlight=False)
        table = Table(*row["head"], box=None, padding=(0, 1, 0, 2))
        for line in row["lines"]:
            table.add_row(*line)
        console.print(table)
    click.echo(f"tables and pictures: {written}")
    return OK
