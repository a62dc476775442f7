"""``milp-lth instances``: the library of sets with proven optima, and random instances in files."""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from milp_lth.cli.options import as_json, objective_options, print_json, seed_option

if TYPE_CHECKING:
    from instances.instance import Instance
    from instances.objectives import Objective
    from milp_lth.cli.progress import Progress

_SHOWN_ROWS, _SHOWN_COEFFICIENTS = 5, 2
_QUICK = 32
_MOST = 10**8  # numbers in a generated file
_FAMILIES = ("uniform", "normal", "product", "planted")


@click.group(name="instances")
def command() -> None:
    """List, show and verify the sets of the instance library; generate random instances."""


@command.command(name="list")
@as_json
def list_(as_json: bool) -> None:
    """List the sets of the library."""
    from instances.library.sets import list_sets

    rows = [_stated(name) for name in list_sets()]
    if as_json:
        print_json({"rows": rows})
        return
    from rich.console import Console

    table = _table("name", "rows", "n", "objective", "source")
    for row in rows:
        counts = (str(row["num_rows"]), str(row["num_candidates"]))
        asked = _objective(row) if "objective" in row else row["format"].partition("/")[0]
        table.add_row(row["name"], *counts, asked, row["source"])
    Console().print(table)


@command.command()
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show the set NAME: what it is, its first rows, the proven optima."""
    from instances.library.sets import load_set, proven_set
    from instances.library.table import exact

    stated, instance, entry = _stated(name), load_set(name), proven_set(name)
    optima = [value if math.isfinite(value) else None for value in entry.optima.tolist()]
    if as_json:
        rows = [
            _numbers(instance, b) | {"optimum": optima[b], "proved_by": entry.methods[b].split(",")}
            for b in range(len(instance))
        ]
        print_json(stated | {"rows": rows})
        return
    from rich.console import Console

    click.echo(f"{name}, version {stated['version']}: {stated['description']}")
    shape = f"{_many(len(instance), 'row')} of {_many(instance.num_candidates, 'candidate')}"
    click.echo(f"{shape}, {_objective(stated)}; source: {stated['source']}")
    click.echo(f"sha256 {stated['sha256']}\n")
    beginning = ("target", "first coefficients") if _beginning(instance, 0) else ()
    table = _table("row", *beginning, "optimum", "the same, exactly")
    for b in range(min(len(instance), _SHOWN_ROWS)):
        value = optima[b]
        shown = ("infeasible", "–") if value is None else (f"{value:.4g}", exact(value))
        table.add_row(str(b), *_beginning(instance, b), *shown)
    Console().print(table)
    if len(instance) > _SHOWN_ROWS:
        click.echo(f"… and {len(instance) - _SHOWN_ROWS} more rows: --json prints them all")
    for methods in dict.fromkeys(entry.methods):
        number = entry.methods.count(methods)
        click.echo(f"{number} proved by {methods.replace(',', ', ')}")


@command.command()
@click.argument("family", type=click.Choice(_FAMILIES))
@click.option("--rows", type=int, default=20, show_default=True, metavar="B", help="Problems.")
@click.option(
    "--candidates", type=int, default=21, show_default=True, metavar="N", help="Of each problem."
)
@seed_option("Determines every number.")
@objective_options(default="closest")
@click.option(
    "--out",
    type=click.Path(),
    required=True,
    metavar="FILE.npz|FILE.json",
    help="The file to write.",
)
@as_json
def generate(
    family: str,
    rows: int,
    candidates: int,
    seed: int,
    objective: str,
    tolerance: float | None,
    size: int | None,
    out: str,
    as_json: bool,
) -> None:
    """Write random instances of FAMILY to a file that `milp-lth solve` reads.

    uniform: coefficients uniform on [−1, 1). normal: standard normal. product: products of numbers
    on [0, 1) and on [−1, 1). Their targets are uniform on [−0.5, 0.5). planted: uniform, and each
    target is the sum of a random mask.
    """
    from instances import generate as families
    from instances.files import save_instance
    from instances.objectives import make_objective

    if rows * candidates > _MOST:
        raise ValueError(f"{rows} × {candidates} numbers: give {_MOST:,} at most")
    chosen = make_objective(objective, tolerance=tolerance, size=size)
    made: Any = getattr(families, f"{family}_family")(rows, candidates, seed=seed, objective=chosen)
    instance = made[0] if family == "planted" else made
    try:
        save_instance(instance, out)
    except OSError as error:
        raise ValueError(f"--out {out}: cannot be written ({error.strerror or error})") from error
    if as_json:
        counts = {"num_rows": rows, "num_candidates": candidates}
        print_json({"out": out, "family": family, "seed": seed} | counts | _asked(chosen))
    else:
        shape = f"{_many(rows, 'row')} of {_many(candidates, 'candidate')}"
        click.echo(f"{out}: {shape}, {_objective(_asked(chosen))}")


@command.command()
@click.argument("names", metavar="[NAME]…", nargs=-1)
@click.option(
    "--solver",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="One that proves optima to the last bit. auto: for each set what it was proved by.",
)
@click.option("--quick", is_flag=True, help=f"Leave out what has more than {_QUICK} candidates.")
@as_json
def verify(names: tuple[str, ...], solver: str, quick: bool, as_json: bool) -> int:
    """Solve sets again and compare them with the table; without a NAME, all that take seconds.

    What is compared: the checksum of every set, and every optimum, to the last bit; those of
    objectives that are judged up to rounding, up to that. Sets that take longer are to be named.
    """
    from instances.library.sets import SETS, find_set
    from milp_lth.cli.main import OK, UNVERIFIED
    from milp_lth.cli.progress import Progress
    from milp_lth.library_check import check_set, check_solver, proof, prover
    from solvers.registry import get_solver

    if solver != "auto":
        check_solver(solver)
    slow = [name for name, named in SETS.items() if named.slow and name not in names]
    built = {n: find_set(n).build() for n in names or SETS if n not in slow}
    by = {name: prover(built[name]).solver if solver == "auto" else solver for name in built}
    if not names and solver != "auto":
        takes = get_solver(solver).supports
        built = {name: instance for name, instance in built.items() if takes(instance)}
    rows = {n: len(i) for n, i in built.items() if not quick or i.num_candidates <= _QUICK}
    if not rows:
        raise ValueError("nothing is left to verify: leave out --quick")
    for kind in {type(built[name]) for name in rows}:  # compiled before the clock runs
        tiny = kind.tiny()
        proof(tiny, prover(tiny))
    done, total, began = 0, sum(rows.values()), time.perf_counter()
    problems: dict[str, list[str]] = {}
    with Progress("rows", quiet=as_json) as progress:
        for name, number in rows.items():
            problems[name] = check_set(name, solver, on_rows=_ahead(progress, done, total))
            done += number
            progress(done, total)
    seconds = time.perf_counter() - began
    wrong = [problem for found in problems.values() for problem in found]
    if as_json:
        stated = [
            {"name": name, "num_rows": number, "solver": by[name], "verified": not problems[name]}
            for name, number in rows.items()
        ]
        summary = {"verified": not wrong, "problems": wrong, "solver": solver}
        print_json(summary | {"rows": stated, "seconds": {"total": seconds}})
    else:
        for problem in wrong:
            click.echo(f"not verified: {problem}")
        outcome = _many(len(wrong), "problem") if wrong else "verified"
        checked = f"{_many(len(rows), 'set')}, {_many(total, 'row')}"
        used = ", ".join(dict.fromkeys(by[name] for name in rows))
        click.echo(f"{checked}, {used}: {outcome} in {seconds:.1f} s")
        if slow and not names and solver == "auto":
            click.echo(f"left out, to be named: {', '.join(slow)}")
    return UNVERIFIED if wrong else OK


def _numbers(instance: "Instance", b: int) -> dict[str, Any]:
    """Return what states row `b`, as plain values."""
    import numpy as np

    from instances.subset_sum import SubsetSum

    if not isinstance(instance, SubsetSum):
        fields = instance.part(b, b + 1).fields()
        return {name: np.asarray(value).tolist() for name, value in fields.items()}
    return {
        "target": float(instance.targets[b]),
        "coefficients": instance.coefficients[b].tolist(),
        "available": None if instance.available is None else instance.available[b].tolist(),
    }


def _beginning(instance: "Instance", b: int) -> tuple[str, ...]:
    """Show how a row begins, where it is a SubsetSum."""
    from instances.subset_sum import SubsetSum

    if not isinstance(instance, SubsetSum):
        return ()
    some = " ".join(f"{a:.3g}" for a in instance.coefficients[b, :_SHOWN_COEFFICIENTS])
    more = " …" if instance.num_candidates > _SHOWN_COEFFICIENTS else ""
    return f"{instance.targets[b]:.5g}", some + more


def _ahead(progress: "Progress", done: int, total: int) -> Callable[[int], None]:
    """Return what reports the rows of one set when `done` of all are behind it."""
    return lambda rows: progress(done + rows, total)


def _stated(name: str) -> dict[str, Any]:
    """Return what is known of a set, its numbers left out."""
    from instances.library.sets import find_set, load_set, proven_set

    named, instance = find_set(name), load_set(name)
    return {
        "name": name,
        "version": named.version,
        "description": named.description,
        "source": named.source,
        "num_rows": len(instance),
        "num_candidates": instance.num_candidates,
        "format": instance.FORMAT,
        "task": instance.task,
        **_asked(getattr(instance, "objective", None)),
        "sha256": proven_set(name).sha256,
    }


def _asked(objective: "Objective | None") -> dict[str, Any]:
    if objective is None:
        return {}
    size = getattr(objective, "size", None)
    return {"objective": objective.name, "tolerance": objective.tolerance, "size": size}


def _objective(stated: dict[str, Any]) -> str:
    """Say in a few words what is asked."""
    if "objective" not in stated:
        return str(stated["task"])
    words = [stated["objective"]]
    if stated["size"] is not None:
        words.append(str(stated["size"]))
    if stated["tolerance"] is not None:
        words.append(f"≤ {stated['tolerance']:g}")
    return " ".join(words)


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _table(*headings: str) -> Any:
    from rich.table import Table

    return Table(*headings, box=None, padding=(0, 2, 0, 0), pad_edge=False)
