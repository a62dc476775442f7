"""``milp-lth reproduce phase-transition``, ``log-width`` and ``lower-bound``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from milp_lth.cli.options import as_json, out_option, print_json, seed_option

F = TypeVar("F", bound=Callable[..., Any])


def _experiment(name: str, trials: int, meaning: str) -> Callable[[F], F]:
    """Add what the three commands share: --trials, --seed, --out and --json."""

    def add(function: F) -> F:
        for option in (
            as_json,
            out_option(
                f"runs/{name}",
                "Measurements, page, table and pictures; what is there is not done again.",
            ),
            seed_option("Of everything drawn."),
            click.option(
                "--trials",
                type=int,
                default=trials,
                show_default=True,
                metavar="N",
                help=meaning,
            ),
        ):
            function = option(function)
        return function

    return add


@click.command(name="phase-transition")
@_experiment("phase-transition", 200_000, "Problems of each of 122 kinds.")
def phase_transition(trials: int, seed: int, out: Path, as_json: bool) -> int:
    """See when a random SubsetSum has a solution, by millions of exact solves.

    How close the best subset comes, by number and law of the candidates, targets and density,
    beside closed forms. An interrupted command is continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.progress import Progress
    from milp_lth.reproduce.phase_transition import PhaseTransition

    asked = PhaseTransition(out, seed=seed, trials=trials)
    with Progress("kinds of problems", quiet=as_json) as progress, Interrupts() as interrupts:
        asked.measure(interrupts.between(progress))
    page, slopes = asked.write(), asked.slopes()
    if as_json:
        counts = asked.count_rows()
        print_json({"rows": asked.rows(), "slopes": slopes, "counts": counts, "out": str(out)})
        return 0
    _show(
        ("law of candidates", "slope of log₂(median error / √n)", "95 %"),
        [
            (
                row["distribution"],
                f"{row['slope']:.4f}",
                "{:.4f} to {:.4f}".format(*row["interval"]),
            )
            for row in slopes
        ],
        page,
    )
    return 0


@click.command(name="log-width")
@_experiment("log-width", 100, "Networks of the deepest kind; of shallower ones there are more.")
def log_width(trials: int, seed: int, out: Path, as_json: bool) -> int:
    """See how wide a random network must be to contain a target: the logarithm.

    Random layers with shared hidden units, all subset sums solved exactly, from one weight's error
    to the next. An interrupted command is continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.progress import Progress
    from milp_lth.reproduce.log_width import LogWidth
    from milp_lth.reproduce.log_width_findings import joint_fit, line_fits

    asked = LogWidth(out, seed=seed, trials=trials)
    with Progress("weights", quiet=as_json) as progress, Interrupts() as interrupts:
        asked.measure(interrupts.between(progress))
    page, rows = asked.write(), asked.rows()
    lines, joint = line_fits(rows), joint_fit(rows)
    if as_json:
        told = [{name: value for name, value in row.items() if name != "again"} for row in rows]
        print_json({"rows": told, "fits": lines, "joint_fit": joint, "out": str(out)})
        return 0
    _show(
        ("a weight is", "d", "l", "units for each doubling of d l / ε", "95 %", "R²", "exponent"),
        [
            (
                "a subset" if line["kind"] == "sums" else "one product",
                str(line["size"]),
                str(line["depth"]),
                f"{line['slope']:.3g}",
                "{:.3g} to {:.3g}".format(*line["interval"]),
                f"{line['r2']:.4f}",
                f"{line['exponent']:.3f}",
            )
            for line in lines
        ],
        page,
    )
    return 0


@click.command(name="lower-bound")
@_experiment("lower-bound", 200, "Draws of which coverage is computed; targets solved: times 100.")
def lower_bound(trials: int, seed: int, out: Path, as_json: bool) -> int:
    """See how near random candidates come to the counting bound.

    Which share of the targets some subset serves, as an exact union of intervals, and how many
    candidates are needed, beside theorem 2 of Pensia et al. 2020. An interrupted command is
    continued by giving it again.
    """
    from milp_lth.cli.interrupts import Interrupts
    from milp_lth.cli.main import OK, UNVERIFIED
    from milp_lth.cli.progress import Progress
    from milp_lth.reproduce.lower_bound import LowerBound

    asked = LowerBound(out, seed=seed, trials=trials)
    with Progress("parts", quiet=as_json) as progress, Interrupts() as interrupts:
        asked.measure(interrupts.between(progress))
    page, rows = asked.write(), asked.rows()
    above, lengths = asked.above_bound()
    if as_json:
        print_json({"rows": rows, "above_bound": above, "lengths": lengths, "out": str(out)})
    else:
        _show(
            ("ε", "bound", "random target", "every target", "random 2×2 matrix"),
            [
                (
                    f"{row['tolerance']:.1e}",
                    f"{row['bound']:.0f}",
                    *(
                        "–" if value is None else f"{value:.2f}"
                        for value in (
                            row["needed"]["uniform"],
                            row["every"]["uniform"],
                            row["matrix"]["2x2"],
                        )
                    ),
                )
                for row in rows
            ],
            page,
        )
        click.echo(f"covered lengths above the bound: {above} of {lengths:,}")
    return OK if above == 0 else UNVERIFIED


COMMANDS = (phase_transition, log_width, lower_bound)


def _show(columns: Sequence[str], lines: Sequence[Sequence[str]], page: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, padding=(0, 1, 0, 0))
    for line in lines:
        table.add_row(*line)
    Console().print(table)
    click.echo(f"page, all numbers and pictures: {page}")
