"""``milp-lth reproduce``: published experiments, done again."""

import time
from pathlib import Path
from typing import Any

import click

from milp_lth.cli import claims, theory_experiments
from milp_lth.cli.options import (
    as_json,
    data_option,
    numbers,
    out_option,
    print_json,
    scale_option,
    seeds_option,
    training_options,
)


@click.group(name="reproduce")
def command() -> None:
    """Do a published experiment again, for real."""


for _experiment in (claims.command, *theory_experiments.COMMANDS):
    command.add_command(_experiment)


@command.command(name="pensia2020")
@click.option(
    "--weights",
    required=True,
    metavar="FILE",
    help="The trained target; the paper's own is its fc2.pt.",
)
@data_option("mnist", "mnist, or a folder of MNIST's IDX files.")
@seeds_option(5, "Seeds of the sparsest rows.")
@out_option(
    "runs/pensia2020",
    "One run folder a seed, and index.html; what is there already is not done again.",
)
@as_json
def pensia2020(weights: str, data: str, seeds: int, out: Path, as_json: bool) -> int:
    """Redo the experiment of Pensia et al. 2020: theirs, and what it should have been.

    An interrupted command is continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.main import OK, UNVERIFIED
    from milp_lth.reproduce.page import write_page
    from milp_lth.reproduce.pensia2020 import Reproduction

    reproduction = Reproduction(weights, data, out, num_seeds=seeds)
    steps = _Steps(reproduction.num_steps())
    with Interrupts() as interrupts:
        rows = reproduction.rows(
            interrupts.between(lambda what: None if as_json else steps.tell(what))
        )
    page = write_page(reproduction, rows)
    if as_json:
        print_json({"rows": rows, "widths": reproduction.width_search().records, "out": str(out)})
    else:
        _print(rows)
        click.echo(f"all columns: {page}")
    return OK if all(row["verified"] is not False for row in rows) else UNVERIFIED


@command.command(name="constructions")
@click.option(
    "--target",
    default="digits-mlp",
    show_default=True,
    metavar="TARGET",
    help="As for milp-lth run.",
)
@click.option(
    "--data",
    metavar="DATA",
    help="What a target from a file is judged by, as for milp-lth run. [default: nothing]",
)
@seeds_option(3, "Seeds of every width.")
@click.option(
    "--names",
    metavar="NAME[,NAME…]",
    help="The constructions. [default: all]",
)
@out_option(
    "runs/constructions",
    "A run folder a construction, and index.html; what is there already is not done again.",
)
@as_json
def constructions(
    target: str, data: str | None, seeds: int, names: str | None, out: Path, as_json: bool
) -> int:
    """Take one target through every construction of the theory.

    What each needs and what it reaches, as a table, and error against the size of the random
    network, as a picture. An interrupted command is continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.main import OK, UNVERIFIED
    from milp_lth.cli.progress import Progress
    from milp_lth.reproduce.constructions import BRIEFLY, COLUMNS, Constructions, cells, slope
    from milp_lth.reproduce.constructions_page import write_page

    chosen = () if names is None else tuple(names.split(","))
    asked = Constructions(target, data, out, num_seeds=seeds, names=chosen)
    with Progress("tickets", quiet=as_json) as progress, Interrupts() as interrupts:
        rows = asked.measure(interrupts.between(progress))
    page = write_page(asked, rows)
    if as_json:
        curves = [
            {"construction": name, "slope": slope(curve), "points": curve}
            for name, curve in asked.curves()
        ]
        print_json({"rows": rows, "curves": curves, "out": str(out)})
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, padding=(0, 1, 0, 0))
        for name in BRIEFLY:
            table.add_column(COLUMNS[name], no_wrap=name == "row")
        for row in rows:
            table.add_row(*cells(row, BRIEFLY))
        Console().print(table)
        click.echo(f"all columns, and the picture: {page}")
    return OK if all(row["verified"] for row in rows) else UNVERIFIED


@command.command(name="structures")
@data_option("digits", "digits, mnist, or a folder of MNIST's IDX files.")
@click.option(
    "--shapes",
    metavar="NAME[,NAME…]",
    help="fc2, fc4, lenet5 (MNIST alone). [default: all that take the data]",
)
@click.option(
    "--densities",
    default="0.02,0.05,0.1,0.2,0.5,0.9",
    show_default=True,
    metavar="P[,P…]",
    help="Shares of the weights to keep.",
)
@seeds_option(3, "Networks of each.")
@training_options
@click.option(
    "--hidden",
    type=int,
    default=64,
    show_default=True,
    metavar="N",
    help="Units a layer; the paper's: 500.",
)
@out_option(
    "runs/structures", "Measurements, table.md and structures.svg; what is there is not done again."
)
@as_json
def structures(
    data: str,
    shapes: str | None,
    densities: str,
    seeds: int,
    scale: float,
    hidden: int,
    device: str,
    out: Path,
    as_json: bool,
) -> int:
    """Redo the second experiment of Pensia et al. 2020: which structure degrades first.

    Random networks of three structures and equal size, pruned by edge-popup. An interrupted
    command is continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.main import OK
    from milp_lth.cli.progress import Progress
    from milp_lth.reproduce.structures import Structures, degraded, table

    asked = Structures(
        data,
        out,
        shapes=() if shapes is None else tuple(shapes.split(",")),
        densities=numbers("densities", densities, float, "give shares to keep, as in 0.1,0.5"),
        num_seeds=seeds,
        scale=scale,
        num_hidden=hidden,
        device=device,
    )
    with Progress("networks", quiet=as_json) as progress, Interrupts() as interrupts:
        rows = asked.rows(interrupts.between(progress))
    picture = asked.write(rows)
    if as_json:
        print_json({"rows": rows, "out": str(out)})
        return OK
    from rich.console import Console
    from rich.table import Table

    head, *lines = table(rows)
    shown = Table(box=None, padding=(0, 1, 0, 0))
    for name in head:
        shown.add_column(name, no_wrap=True)
    for line in lines:
        shown.add_row(*line)
    Console().print(shown)
    for sentence in degraded(rows):
        click.echo(sentence)
    click.echo(f"picture and table: {picture}")
    return OK


@command.command(name="planted")
@seeds_option(5, "Networks of a problem.")
@scale_option
@click.option(
    "--time-limit",
    type=float,
    default=120.0,
    show_default=True,
    metavar="S",
    help="Seconds of every search by a solver.",
)
@out_option("runs/planted", "Measurements and table.md; what is there already is not done again.")
@as_json
def planted(seeds: int, scale: float, time_limit: float, out: Path, as_json: bool) -> int:
    """Look for tickets that are known to be there.

    Small networks with a planted ticket, searched by an integer program, by flips, by edge-popup
    and by size. An interrupted command is continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.main import OK
    from milp_lth.cli.progress import Progress
    from milp_lth.reproduce.planted import COLUMNS, Planted, cells

    asked = Planted(out, num_seeds=seeds, scale=scale, time_limit=time_limit)
    with Progress("searches", quiet=as_json) as progress, Interrupts() as interrupts:
        rows = asked.rows(interrupts.between(progress))
    written = asked.write(rows)
    if as_json:
        print_json({"rows": rows, "out": str(out)})
        return OK
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS.values(), box=None, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*cells(row))
    Console().print(table)
    click.echo(f"table: {written}")
    return OK


@command.command(name="smallest-source")
@click.option(
    "--target",
    type=click.Choice(["abs", "and", "xor", "max"]),
    default="max",
    show_default=True,
    help="The function to be contained.",
)
@click.option(
    "--hidden",
    default="8,16,24,28,6x6,8x8",
    show_default=True,
    metavar="SIZES",
    help="Hidden units of the random networks; 6x6 is two layers of six.",
)
@seeds_option(20, "Networks of each size.")
@click.option(
    "--tolerance",
    type=float,
    default=0.05,
    show_default=True,
    metavar="E",
    help="Largest error of an output, in its own units.",
)
@click.option(
    "--scale",
    type=float,
    default=4.0,
    show_default=True,
    metavar="S",
    help="Of the last layer's weights.",
)
@click.option(
    "--solver",
    default="cp-sat",
    show_default=True,
    metavar="NAME",
    help="Who decides where heuristics find no mask.",
)
@click.option(
    "--time-limit",
    type=float,
    default=5.0,
    show_default=True,
    metavar="S",
    help="Its seconds for a network.",
)
@as_json
def smallest_source(
    target: str,
    hidden: str,
    seeds: int,
    tolerance: float,
    scale: float,
    solver: str,
    time_limit: float,
    as_json: bool,
) -> int:
    """See how large a random network must be to contain a tiny function.

    Masks on every layer, no block structure. Each network gets a mask, or a proof that there is
    none.
    """
    from milp_lth.cli.main import OK
    from milp_lth.cli.progress import Progress
    from milp_lth.reproduce.smallest_source import SmallestSource

    question = SmallestSource(target, _sizes(hidden), seeds, tolerance, scale, solver, time_limit)
    with Progress("steps", quiet=as_json) as progress:
        rows = list(question.rows(progress))
    if as_json:
        print_json({"rows": rows})
    else:
        _print_sources(rows)
    return OK


def _sizes(text: str) -> tuple[tuple[int, ...], ...]:
    try:
        return tuple(tuple(int(h) for h in size.split("x")) for size in text.split(","))
    except ValueError as error:
        raise ValueError(f"hidden sizes {text!r}: give some like 8,16,6x6") from error


class _Steps:
    """Tells what begins, and about how long the rest will take."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._began = total, 0, time.monotonic()

    def tell(self, what: str) -> None:
        left = ""
        if self._done > 0:
            each = (time.monotonic() - self._began) / self._done
            left = f" (about {each * max(1, self._total - self._done):.0f} s left in all)"
        click.echo(what + left, err=True)
        self._done += 1


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from milp_lth.reproduce.table import BRIEFLY, COLUMNS, brief_cells, notes

    table = Table(*(COLUMNS[name] for name in BRIEFLY), box=None, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*brief_cells(row))
    console = Console()
    console.print(table)
    for sentence in notes(rows):
        console.print(sentence, highlight=False)


def _print_sources(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from milp_lth.reproduce.smallest_source import COLUMNS, cells

    table = Table(*COLUMNS.values(), box=None, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*cells(row))
    Console().print(table)
