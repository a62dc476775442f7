"""Options and outputs that several commands share."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, nothing else."
)


def objective_options(function: F) -> F:
    """Add --objective, --tolerance and --size."""
    for option in (
        click.option("--size", type=int, metavar="K", help="How many candidates fixed-size keeps."),
        click.option(
            "--tolerance", type=float, metavar="E", help="Error up to which a weight counts as met."
        ),
        click.option(
            "--objective",
            type=click.Choice(["closest", "sparsest", "fixed-size"]),
            default="closest",
            show_default=True,
            help="Least error; fewest kept within the tolerance; or least error with SIZE kept.",
        ),
    ):
        function = option(function)
    return function


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))
