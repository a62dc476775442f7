"""``milp-lth export``: an instance for other programs."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from milp_lth.cli.options import as_json, print_json

if TYPE_CHECKING:
    from instances.instance import Instance

_SUFFIXES = {"mps": ".mps", "lp": ".lp", "json": ".json", "npz": ".npz", "knapsack": ".kp"}
_FORMATS = {suffix: name for name, suffix in _SUFFIXES.items()} | {".knapsack": "knapsack"}
_BATCHES = ("json", "npz")


@click.command(name="export")
@click.argument("instance", type=click.Path())
@click.option(
    "--row",
    type=int,
    metavar="B",
    help="The row to export, from 0. [default: 0; json and npz: all rows]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(_SUFFIXES)),
    help="[default: what the name of --out ends in]",
)
@click.option("--out", type=click.Path(), required=True, metavar="FILE", help="The file to write.")
@as_json
def command(instance: str, row: int | None, format_: str | None, out: str, as_json: bool) -> None:
    """Write INSTANCE (.npz, .json, or knapsack text in .kp or .txt) in another format.

    As mps or lp, a row becomes an integer program that any solver reads, every number exactly: the
    variables x0, x1, … are the mask. As json or npz it stays what it is; knapsack text holds a
    SubsetSum alone.
    """
    from instances.files import load_instance, write_atomically

    path = Path(out)
    chosen = format_ or _FORMATS.get(path.suffix)
    if chosen is None:
        raise ValueError(
            f"--out {out}: give --format, or a name that ends in {', '.join(_SUFFIXES.values())}"
        )
    whole = load_instance(instance)
    if row is None and chosen not in _BATCHES:
        row = 0
    if row is not None and not 0 <= row < len(whole):
        raise ValueError(f"--row {row}: the rows of {instance} are 0 to {len(whole) - 1}")
    part = whole if row is None else whole.part(row, row + 1)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(instance).stem)[:80]
    content = _content(part, chosen, name if row is None else f"{name}-{row}")
    try:
        write_atomically(path, content)
    except OSError as error:
        raise ValueError(f"--out {out}: cannot be written ({error.strerror or error})") from error
    if as_json:
        print_json({"out": out, "format": chosen, "row": row, "num_rows": len(part)})
    else:
        rows = f"{len(part)} rows" if row is None else f"row {row} of {len(whole)}"
        click.echo(f"{out}: {rows} of {instance} as {chosen}")


def _content(part: "Instance", chosen: str, name: str) -> bytes:
    if chosen == "mps":
        from instances.mps import to_mps

        return to_mps(part.milp(0), name).encode()
    if chosen == "lp":
        from instances.lp import to_lp

        return to_lp(part.milp(0), name).encode()
    from instances.files import instance_bytes

    return instance_bytes(part, _SUFFIXES[chosen])
