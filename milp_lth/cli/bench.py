"""``milp-lth bench``: what things cost on this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from milp_lth.cli.options import as_json, numbers, print_json, seed_option

if TYPE_CHECKING:
    from milp_lth.bench.row import Row

_WHOLE = "give whole numbers, as in 24,32,40"
_CURVE = ",".join(str(n) for n in range(24, 45, 2))


@click.group(name="bench")
def command() -> None:
    """Measure what things cost on this machine.

    It should have nothing else to do. A bar that is missed is shown; it is no error.
    """


@command.command(name="kernels")
@click.option(
    "--instances",
    type=int,
    default=100,
    show_default=True,
    metavar="N",
    help="How many instances CP-SAT is timed on, with each of its parameter sets.",
)
@click.option(
    "--curve",
    default=_CURVE,
    show_default=True,
    metavar="N,N[,N…]",
    help="The numbers of candidates of the curve.",
)
@click.option(
    "--weights",
    type=click.Path(),
    metavar="FILE",
    help="A .safetensors or .pt state dict: its weights are the targets of the sparsest sums. "
    "[default: digits-mlp]",
)
@seed_option("Determines the instances.")
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE.html",
    help="Write a page with the curve, too. [default: none]",
)
@as_json
def kernels(
    instances: int, curve: str, weights: str | None, seed: int, out: str | None, as_json: bool
) -> None:
    """Time meet-in-the-middle in one thread, and CP-SAT beside it."""
    from milp_lth.bench.kernels import measure_kernels, read_problems
    from milp_lth.cli.progress import Progress

    page = None if out is None else _writable(out)
    measured = measure_kernels(
        read_problems(weights, seed),
        num_instances=instances,
        numbers=numbers("curve", curve, int, _WHOLE),
        seed=seed,
        progress=lambda what: Progress(what, quiet=as_json),
    )
    if as_json:
        print_json(measured.stated())
    else:
        _print(measured.rows)
    if page is not None:
        from instances.files import write_atomically
        from milp_lth.bench.page import bench_page

        write_atomically(page, bench_page(measured).encode())
        if not as_json:
            click.echo(f"page: {page}")


@command.command(name="runs")
@click.option(
    "--weights",
    type=click.Path(),
    metavar="FILE",
    help="A .safetensors or .pt state dict, as of milp-lth run. [default: digits]",
)
@click.option(
    "--data",
    metavar="DATA",
    help="What that file is judged by, as of milp-lth run. [default: nothing]",
)
@seed_option("Of the random networks.")
@as_json
def runs(weights: str | None, data: str | None, seed: int, as_json: bool) -> None:
    """Time whole runs, from the command to the report, and look at their memory."""
    from milp_lth.bench.runs import run_rows
    from milp_lth.cli.progress import Progress

    if data is not None and weights is None:
        raise ValueError("--data belongs to --weights")
    with Progress("runs", quiet=as_json) as progress:
        _show(run_rows(weights, data, seed, progress), seed, as_json)


@command.command(name="workers")
@click.option(
    "--workers",
    default="1,2",
    show_default=True,
    metavar="N[,N…]",
    help="How many, each a process.",
)
@click.option(
    "--chunks",
    type=int,
    default=16,
    show_default=True,
    metavar="N",
    help="Of 120,000 weights: some seconds.",
)
@seed_option("Determines the weights.")
@as_json
def workers(workers: str, chunks: int, seed: int, as_json: bool) -> None:
    """Time the same chunks in one thread here and by Dask workers on this machine."""
    from milp_lth.bench.workers import worker_rows
    from milp_lth.cli.progress import Progress

    counts = numbers("workers", workers, int, _WHOLE)
    with Progress("measurements", quiet=as_json) as progress:
        _show(worker_rows(counts, chunks, seed, progress), seed, as_json)


@command.command(name="gpu")
@click.option(
    "--rows",
    type=int,
    default=1_000_000,
    show_default=True,
    metavar="N",
    help="Of a batch on the device.",
)
@seed_option("Determines all numbers.")
@as_json
def gpu(rows: int, seed: int, as_json: bool) -> None:
    """Time a CUDA device and two cores on the same rows; without a device, say so."""
    from milp_lth.bench.gpu import gpu_rows, why_no_gpu
    from milp_lth.cli.progress import Progress

    reason = why_no_gpu()
    if reason:
        click.echo(f"not measured: {reason}", err=True)
    with Progress("cases", quiet=as_json) as progress:
        _show([] if reason else gpu_rows(rows, seed, progress), seed, as_json)


@command.command(name="speed")
@click.option(
    "--cases",
    metavar="NAME[,NAME…]",
    help="Those that are measured. [default: all, some two minutes]",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The record to compare with. [default: that of this release]",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what was measured as a record, too. [default: none]",
)
@as_json
def speed(cases: str | None, against: Path | None, record: Path | None, as_json: bool) -> int:
    """Compare how fast everything is with what is on record; exit code 1 where it became slow.

    Seconds differ from machine to machine. What is compared are ratios to the same work, done in
    between, in one thread: sorting, and a loop in Python.
    """
    from milp_lth.bench.speed import measure_ratios, read_ratios, rows_beside
    from milp_lth.cli.main import OK, UNVERIFIED
    from milp_lth.cli.progress import Progress

    recorded = read_ratios(against)
    with Progress("cases", quiet=as_json) as progress:
        now = measure_ratios(progress, [] if cases is None else cases.split(","))
    rows = rows_beside(now, recorded)
    _show(rows, 0, as_json)
    if record is not None:
        now.write(record)
    return UNVERIFIED if any(row.met is False for row in rows) else OK


def _show(rows: Sequence["Row"], seed: int, as_json: bool) -> None:
    """Print rows and the machine that they come from."""
    from milp_lth.environment import described, environment

    if as_json:
        stated = {"rows": [row.stated() for row in rows], "seed": seed}
        print_json(stated | {"environment": environment()})
    else:
        if rows:
            _print(rows)
        click.echo(described(environment()))


def _writable(out: str) -> Path:
    """Make sure before minutes of measuring that the page has a place."""
    path = Path(out)
    if path.suffix != ".html":
        raise ValueError(f"--out {out}: the page is a file that ends in .html")
    if path.is_dir():
        raise ValueError(f"--out {out}: there is a folder of that name, give another")
    if not path.parent.is_dir():
        raise ValueError(f"--out {out}: there is no folder {path.parent}, make it first")
    return path


def _print(rows: Sequence["Row"]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "measured", "bar", "met", box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row.texts())
    Console().print(table)
