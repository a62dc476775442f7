"""``milp-lth run``: from a trained network to a ticket."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from milp_lth.cli.options import (
    as_json,
    construction_options,
    coupling_options,
    distribution_options,
    network_options,
    numbers,
    objective_options,
    print_json,
    seed_option,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from milp_lth.run_settings import RunSettings


@click.command(name="run")
@click.option(
    "--target",
    default="digits-mlp",
    show_default=True,
    metavar="TARGET",
    help="digits-mlp, wine-mlp, digits-cnn, an .onnx file, or a .safetensors or .pt state dict: of "
    "a multi-layer perceptron, or of any --module.",
)
@click.option(
    "--data",
    metavar="DATA",
    help="What a target from a file is judged by: digits, wine, mnist, or a folder of MNIST's "
    "IDX files. [default: what belongs to the target; a file: nothing]",
)
@construction_options
@click.option(
    "--width",
    metavar="N[,N…]",
    help="Hidden units drawn per input, or edges per weight: one number or one per layer. "
    "[default: what belongs to the construction, mostly 24 per half needed]",
)
@click.option(
    "--assignment",
    type=click.Choice(["matched", "block"]),
    help="Which input a hidden unit keeps: the one that suits it, or the next in line. "
    "[default: matched]",
)
@objective_options("budget", "data-aware")
@coupling_options
@click.option(
    "--input-range",
    nargs=2,
    type=float,
    metavar="LO HI",
    help="Where inputs lie; from 0 up, half of the edges are not needed. "
    "[default: the data's, or -1 1]",
)
@network_options
@click.option(
    "--solver",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="See milp-lth solvers.",
)
@click.option(
    "--time-limit",
    type=float,
    metavar="S",
    help="Seconds for all solving together. [default: none]",
)
@seed_option("Determines the random network.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="DEVICE",
    help="A torch device.",
)
@click.option(
    "--out",
    type=click.Path(),
    metavar="DIR",
    help="The run's folder. [default: runs/TARGET-1, -2, …]",
)
@distribution_options
@as_json
def command(
    as_json: bool,
    width: str | None,
    budget: str | None,
    error_limit: str | None,
    out: str | None,
    scheduler: str | None,
    chunk_rows: int | None,
    input_shape: str | None,
    **options: Any,
) -> int:
    """Rebuild a trained network by only pruning a random one."""
    from milp_lth.run_creation import create_run
    from milp_lth.run_settings import RunSettings

    settings = RunSettings(
        width=_one_or_more("width", width, int),
        budget=_one_or_more("budget", budget, int),
        error_limit=_one_or_more("error-limit", error_limit, float),
        input_shape=None
        if input_shape is None
        else numbers("input-shape", input_shape, int, "give whole numbers, as in 1,28,28"),
        **options,
    )
    with workers(settings, scheduler) as executor:
        folder = create_run(settings, out)
        return carry_out(str(folder), as_json, executor, chunk_rows, settings.module)


def workers(
    settings: "RunSettings", scheduler: str | None
) -> AbstractContextManager["Executor | None"]:
    """Connect to a scheduler, if there is one.

    Raises
    ------
    ValueError
        When nobody answers there, or what is asked couples the weights.
    """
    if scheduler is None:
        return nullcontext()
    if settings.coupling() is not None:
        raise ValueError(
            f"--objective {settings.objective} couples the weights: leave out --scheduler"
        )
    from milp_lth.cluster import open_cluster

    return open_cluster(scheduler, one_by_one=settings.one_by_one())


def carry_out(
    folder: str,
    quiet: bool,
    executor: "Executor | None" = None,
    chunk_rows: int | None = None,
    module: str | None = None,
) -> int:
    """Carry a run to its end and print its figures; return the exit code."""
    from milp_lth.cli.figures import print_figures
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.main import OK, OUT_OF_TOLERANCE
    from milp_lth.cli.progress import Progress
    from milp_lth.elsewhere import WorkersLostError
    from milp_lth.execution import execute
    from milp_lth.run import Run

    then = f"continue with: milp-lth resume {folder}"
    try:
        with Progress("weights", quiet=quiet) as progress, Interrupts(then) as interrupts:
            run = Run(folder, module)
            figures = execute(
                run, progress, interrupts.asked, executor=executor, chunk_rows=chunk_rows
            )
    except WorkersLostError as error:
        raise ValueError(f"{error}; {then}") from error
    if quiet:
        print_json(figures)
    else:
        print_figures(figures)
    return OUT_OF_TOLERANCE if figures["out_of_tolerance"] else OK


def _one_or_more(name: str, text: str | None, kind: Callable[[str], Any]) -> Any:
    """Read one number, or several as a tuple."""
    if text is None:
        return None
    whole = "whole number" if kind is int else "number"
    found = numbers(name, text, kind, f"give a {whole}, or one per layer as in 48,24")
    return found[0] if len(found) == 1 else found
