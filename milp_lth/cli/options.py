"""Options and outputs that several commands share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from milp_lth.constructions.registry import CONSTRUCTIONS

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, nothing else."
)


module_option = click.option(
    "--module",
    metavar="FILE.py:CLASS",
    help="The class of a target that is no multi-layer perceptron; or PACKAGE.MODULE:CLASS. Its "
    "code is run, without arguments. [default: none]",
)


def network_options(function: F) -> F:
    """Add what belongs to targets that are more than a multi-layer perceptron."""
    for option in (
        click.option(
            "--normalise",
            nargs=2,
            type=float,
            metavar="MEAN STD",
            help="What the data are shifted and divided by, as when the target was trained. "
            "[default: 0 1]",
        ),
        click.option(
            "--input-shape",
            metavar="N,N,…",
            help="The shape of one input, such as 1,28,28. [default: as the data are]",
        ),
        click.option(
            "--products",
            is_flag=True,
            help="Approximate the products of attention's matrices, not each matrix.",
        ),
        click.option(
            "--strict", is_flag=True, help="Refuse a target of which a matrix would be left dense."
        ),
        module_option,
    ):
        function = option(function)
    return function


def out_option(folder: str, meaning: str) -> Callable[[F], F]:
    """Add --out, with the folder that is taken where none is given."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path(folder),
        show_default=True,
        metavar="DIR",
        help=meaning,
    )


def seeds_option(number: int, meaning: str) -> Callable[[F], F]:
    """Add --seeds, how many."""
    return click.option(
        "--seeds", type=int, default=number, show_default=True, metavar="N", help=meaning
    )


def seed_option(meaning: str) -> Callable[[F], F]:
    """Add --seed."""
    return click.option("--seed", type=int, default=0, show_default=True, metavar="N", help=meaning)


def data_option(name: str, meaning: str) -> Callable[[F], F]:
    """Add --data, with those that are taken where none are given."""
    return click.option("--data", default=name, show_default=True, metavar="DATA", help=meaning)


scale_option = click.option(
    "--scale",
    type=float,
    default=1.0,
    show_default=True,
    metavar="S",
    help="What the epochs of published schedules are multiplied by.",
)


def training_options(function: F) -> F:
    """Add how long masks and networks are trained, and where."""
    for option in (
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
            help="Where training happens.",
        ),
        scale_option,
    ):
        function = option(function)
    return function


def distribution_options(function: F) -> F:
    """Add where chunks are solved, and how large they are."""
    for option in (
        click.option(
            "--chunk-rows",
            type=click.IntRange(min=1),
            metavar="N",
            help="Weights solved and recorded together. [default: 20,000; 100,000 elsewhere]",
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="A Dask scheduler, such as tcp://host:8786, whose workers solve. [default: none, "
            "this process does]",
        ),
    ):
        function = option(function)
    return function


def coupling_options(function: F) -> F:
    """Add what belongs to the objectives budget and data-aware."""
    for option in (
        click.option(
            "--ridge",
            type=float,
            metavar="R",
            help="data-aware: what weights' own errors count beside their outputs', as a fraction "
            "of the inputs' size. [default: 0.1]",
        ),
        click.option(
            "--norm",
            type=click.Choice(["1", "2", "inf"]),
            help="data-aware: of the outputs' errors. [default: 2]",
        ),
        click.option(
            "--calibration",
            metavar="FILE",
            help="data-aware: inputs, as .npy, or .npz or .safetensors with the key x. "
            "[default: the training part of the data]",
        ),
        click.option(
            "--per",
            type=click.Choice(["network", "layer", "neuron"]),
            help="budget: whose weights share it. [default: network]",
        ),
        click.option(
            "--measure",
            type=click.Choice(["sum", "max", "rms"]),
            help="budget: what the weights' errors come to. [default: sum]",
        ),
        click.option(
            "--error-limit",
            metavar="E[,E…]",
            help="budget: keep the fewest edges with an error of at most E instead, in units of "
            "the weights. [default: none]",
        ),
        click.option(
            "--budget",
            metavar="K[,K…]",
            help="budget: edges to keep in V at most, one number or one per layer; data-aware: in "
            "front of every neuron. [default: none]",
        ),
    ):
        function = option(function)
    return function


def construction_options(function: F) -> F:
    """Add --construction, and what belongs to single constructions."""
    for option in (
        click.option(
            "--target-bits",
            type=int,
            metavar="B",
            help="Round the target's weights to so many bits beforehand. [default: none; 6 for "
            "quantised]",
        ),
        click.option(
            "--redraws",
            type=int,
            default=0,
            show_default=True,
            metavar="N",
            help="How often the candidates of a weight that is out of tolerance are drawn again; "
            "above 0 the random network depends on the target.",
        ),
        click.option(
            "--perturbation",
            type=float,
            metavar="E",
            help="perturbed: how far a kept weight may move, in units of the scale. "
            "[default: 1/64]",
        ),
        click.option(
            "--density",
            type=float,
            metavar="P",
            help="pre-masked, frozen: the share of the second matrix that is free. [default: 0.5; "
            "frozen: 0.95]",
        ),
        click.option(
            "--bits", type=int, metavar="B", help="binary: binary places of a weight. [default: 8]"
        ),
        click.option(
            "--distribution",
            metavar="NAME",
            default="",
            help="Of the random weights: uniform, normal, hyperbolic, signed-constant, binary, or "
            "quantised-K, K bits. [default: what belongs to the construction, mostly uniform]",
        ),
        click.option(
            "--construction",
            type=click.Choice(list(CONSTRUCTIONS)),
            default="two-layer",
            show_default=True,
            metavar="NAME",
            help=f"How the random network is built: {', '.join(CONSTRUCTIONS)}.",
        ),
    ):
        function = option(function)
    return function


def objective_options(*coupled: str, default: str | None = None) -> Callable[[F], F]:
    """Add --objective, with `coupled` among its choices, --tolerance and --size.

    Without a `default` the construction says what is asked where nothing else is.
    """

    def add(function: F) -> F:
        for option in (
            click.option(
                "--size",
                type=int,
                metavar="K",
                help="How many candidates fixed-size keeps. [default: none; it must be given]",
            ),
            click.option(
                "--tolerance",
                type=float,
                metavar="E",
                help="Error up to which a weight counts as met, in units of the weights. [default: "
                "none; sparsest: it must be given]",
            ),
            click.option(
                "--objective",
                type=click.Choice(["closest", "sparsest", "fixed-size", *coupled]),
                default=default,
                show_default=True,
                callback=lambda context, parameter, value: value or "",
                help="Least error; fewest kept within the tolerance; least error with SIZE kept"
                + _MEANINGS * bool(coupled)
                + "."
                + " [default: what belongs to the construction, mostly closest]"
                * (default is None),
            ),
        ):
            function = option(function)
        return function

    return add


_MEANINGS = (
    "; least total error within a BUDGET of edges; or least error of every layer's outputs on "
    "calibration inputs"
)


def numbers(name: str, text: str, kind: Callable[[str], Any], remedy: str) -> tuple[Any, ...]:
    """Read what an option lists with commas between.

    Raises
    ------
    ValueError
        With the remedy, where something is no number of that kind.
    """
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--{name} {text}: {remedy}") from error


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(value))  # in ASCII: wherever it is printed, it is the same
