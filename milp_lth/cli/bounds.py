"""``milp-lth bounds``: how wide the random network must be, by each theorem."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from milp_lth.cli.options import as_json, module_option, numbers, print_json, seed_option

if TYPE_CHECKING:
    from milp_lth.theory.assumptions import Setting
    from milp_lth.theory.bounds import Bounds
    from milp_lth.theory.constants import Constant

_LOOK: Any = {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False}


@click.command(name="bounds")
@click.option(
    "--target",
    metavar="TARGET",
    help="As for milp-lth run. [default: digits-mlp]",
)
@click.option(
    "--data",
    metavar="DATA",
    help="What says where inputs of a target from a file lie. [default: none]",
)
@module_option
@click.option(
    "--sizes",
    metavar="N,N[,N…]",
    help="In place of a target: its sizes, all norms taken as 1. [default: none]",
)
@click.option(
    "--attention",
    metavar="D1,D2,H",
    help="In place of a target: features in and out, and heads, of attention. [default: none]",
)
@click.option(
    "--epsilon",
    type=float,
    default=0.01,
    show_default=True,
    metavar="E",
    help="How far outputs may be off, in their own units.",
)
@click.option(
    "--failure",
    type=float,
    default=0.01,
    show_default=True,
    metavar="P",
    help="How probable it may be that there is no ticket.",
)
@click.option(
    "--density",
    type=float,
    default=0.1,
    show_default=True,
    metavar="P",
    help="The share of edges that a ticket keeps, for theorems that ask.",
)
@click.option(
    "--domain",
    type=click.Choice(["box", "ball"]),
    help="Of inputs: all in --input-range, or of norm up to 1. [default: box; ball for sizes]",
)
@click.option(
    "--input-range",
    nargs=2,
    type=float,
    metavar="LO HI",
    help="Where inputs lie. [default: the data's, or -1 1]",
)
@click.option(
    "--distribution",
    default="uniform",
    show_default=True,
    metavar="NAME",
    help="Of the random weights, as for milp-lth run.",
)
@click.option(
    "--calibrate", is_flag=True, help="Measure the constants again and compare, nothing else."
)
@click.option(
    "--trials",
    type=int,
    metavar="N",
    help="--calibrate: draws at the accuracy 0.01. [default: 2000, as on file]",
)
@seed_option("--calibrate: of all draws.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write index.html, bounds.svg and bounds.pdf there; with --calibrate, constants.json. "
    "[default: nothing is written]",
)
@as_json
def command(
    target: str | None,
    data: str | None,
    module: str | None,
    sizes: str | None,
    attention: str | None,
    epsilon: float,
    failure: float,
    density: float,
    domain: str | None,
    input_range: tuple[float, float] | None,
    distribution: str,
    calibrate: bool,
    trials: int | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> int:
    """Say how wide the random network must be, by each theorem, for one target.

    With what each theorem assumes, checked on the target, and constants that no paper gives,
    measured. Theorems for norms and inputs up to 1 are asked about the rescaled target.
    """
    from milp_lth.cli.main import OK

    if calibrate:
        return _calibrate(trials, seed, out, as_json)
    if trials is not None:
        raise ValueError(f"--trials {trials}: belongs to --calibrate")
    if sum(given is not None for given in (target, sizes, attention)) > 1:
        raise ValueError("--target, --sizes and --attention: give one of them")
    from milp_lth.theory.bounds import bounds

    if sizes is not None:
        setting, name = _of_sizes("sizes", sizes, domain, input_range), sizes.replace(",", "-")
    elif attention is not None:
        setting, name = _of_sizes("attention", attention, domain, input_range), "attention"
    else:
        name = target or "digits-mlp"
        setting = _of_target(name, data, module, domain, input_range)
    found = bounds(
        setting, epsilon=epsilon, failure=failure, density=density, distribution=distribution
    )
    page = None
    if out is not None:
        from milp_lth.theory.bounds_page import write_page

        page = write_page(found, name, out)
    if as_json:
        print_json({"target": name} | found.stated() | {"out": None if out is None else str(out)})
        return OK
    _print(found, name)
    if page is not None:
        click.echo(f"the pictures, and the constants: {page}")
    return OK


def _of_sizes(
    option: str, text: str, domain: str | None, input_range: tuple[float, float] | None
) -> "Setting":
    from milp_lth.theory.assumptions import Heads, attention_setting, read_setting

    example = "64,32,10" if option == "sizes" else "64,64,4"
    given = numbers(option, text, int, f"give whole numbers, as in {example}")
    box = input_range or (-1.0, 1.0)
    if option == "sizes":
        return read_setting(given, domain=domain, input_range=box)
    if len(given) != 3:
        raise ValueError(f"--attention {text}: give three whole numbers, as in {example}")
    return attention_setting(Heads(*given), domain=domain, input_range=box)


def _of_target(
    name: str,
    data: str | None,
    module: str | None,
    domain: str | None,
    input_range: tuple[float, float] | None,
) -> "Setting":
    from milp_lth.run_settings import RunSettings
    from milp_lth.run_target import load_asked_target
    from milp_lth.targets.named import load_data
    from milp_lth.theory.assumptions import read_setting

    settings = RunSettings(target=name, data=data, module=module)
    loaded, known = load_asked_target(settings), settings.data_name()
    if input_range is None:
        input_range = (-1.0, 1.0) if known is None else load_data(known).input_range
    return read_setting(loaded, domain=domain, input_range=input_range)


def _print(found: "Bounds", name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from milp_lth.theory.bounds_page import BRIEFLY, about, brief_cells, lettered

    console = Console()
    for sentence in about(found, name):
        console.print(sentence, highlight=False)
    console.print()
    table = Table(**_LOOK)
    for column in BRIEFLY:
        table.add_column(column, no_wrap=column != "constant")
    for width in found.widths:
        table.add_row(*brief_cells(found, width))
    console.print(table)
    console.print("fails: see below; ! is not mended by rescaling")
    console.print()
    used = {one.name: one for width in found.widths for one in width.constants}
    if used:
        table = Table("constant", "law", "measured [95 %]", "down to", **_LOOK)
        for one in used.values():
            table.add_row(one.name, one.law, one.described(), f"{one.finest:.2g}")
        console.print(table)
        console.print("* used at finer accuracies than it was measured at")
        console.print()
    table = Table("", "assumption", "holds", "found", "where not", **_LOOK)
    for letter, check in lettered(found):
        remedy = "" if check.holds else check.remedy
        holds = "yes" if check.holds else "no"
        table.add_row(letter, check.name, holds, check.measured, remedy)
    console.print(table)


def _calibrate(trials: int | None, seed: int, out: Path | None, quiet: bool) -> int:
    from milp_lth.cli.main import OK, UNVERIFIED
    from milp_lth.cli.progress import Progress
    from milp_lth.theory.calibrated import calibrate
    from milp_lth.theory.constants import DEFAULT_TRIALS, FILE, load_constants, write_constants

    trials = DEFAULT_TRIALS if trials is None else trials
    with Progress("trials", quiet=quiet) as progress:
        measured = calibrate(trials=trials, seed=seed, on_trials=progress)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_constants(measured, out / FILE, seed=seed, trials=trials)
    packaged = load_constants()
    agree = [one.agrees(packaged[one.name]) for one in measured]
    if quiet:
        rows = [
            {"constant": one.name, "law": one.law, "value": one.value, "low": one.low,
             "high": one.high, "on_file": packaged[one.name].value, "agrees": same}
            for one, same in zip(measured, agree, strict=True)
        ]  # fmt: skip
        print_json({"rows": rows, "trials": trials, "seed": seed, "agrees": all(agree)})
    else:
        _print_constants(measured, packaged, agree)
        if out is not None:
            click.echo(f"written: {out / FILE}")
    return OK if all(agree) else UNVERIFIED


def _print_constants(
    measured: "list[Constant]", packaged: "dict[str, Constant]", agree: list[bool]
) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("constant", "law", "now [95 %]", "on file [95 %]", "agree", **_LOOK)
    for one, same in zip(measured, agree, strict=True):
        table.add_row(
            one.name, one.law, one.described(), packaged[one.name].described(),
            "yes" if same else "no",
        )  # fmt: skip
    Console().print(table)
