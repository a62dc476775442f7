"""``milp-lth export``: an instance or a finished run's ticket for other programs."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from milp_lth.cli.options import as_json, module_option, print_json

if TYPE_CHECKING:
    from instances.instance import Instance

_SUFFIXES = {"mps": ".mps", "lp": ".lp", "json": ".json", "npz": ".npz", "knapsack": ".kp"}
_FORMATS = {suffix: name for name, suffix in _SUFFIXES.items()} | {".knapsack": "knapsack"}
_BATCHES = ("json", "npz")
_NETWORK_SUFFIXES = {"onnx": ".onnx", "safetensors": ".safetensors", "pt": ".pt"}
_NETWORK_FORMATS = {suffix: name for name, suffix in _NETWORK_SUFFIXES.items()} | {".pth": "pt"}


@click.command(name="export")
@click.argument("source", type=click.Path(), metavar="INSTANCE|DIR")
@click.option(
    "--row",
    type=int,
    metavar="B",
    help="Of an instance: the row to export, from 0. [default: 0; json and npz: all rows]",
)
@click.option(
    "--to",
    type=click.Choice(["halves", "target", "ticket"]),
    help="Of a run: the ticket folded to a pair of weights, for inputs above and below 0, where it "
    "has both; folded to the target's own layers by their mean; or, as onnx, not folded. "
    "[default: halves]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice([*_SUFFIXES, *_NETWORK_SUFFIXES]),
    help="Of the file. [default: what the name of --out ends in]",
)
@click.option("--out", type=click.Path(), required=True, metavar="FILE", help="The file to write.")
@module_option
@as_json
def command(
    source: str,
    row: int | None,
    to: str | None,
    format_: str | None,
    out: str,
    as_json: bool,
    module: str | None,
) -> None:
    """Write an instance, or the ticket of the run in DIR, in another format.

    As mps or lp, a row of INSTANCE (.npz, .json, or knapsack text in .kp or .txt) becomes an
    integer program that any solver reads, every number exactly: the variables x0, x1, … are the
    mask. As json or npz it stays what it is; knapsack text holds a SubsetSum alone.

    As onnx, the ticket of a finished run in DIR becomes a network that runs anywhere; as
    safetensors or pt, the state dict of the folded network.
    """
    if Path(source).is_dir():
        if row is not None:
            raise ValueError("--row belongs to an instance: a run has one ticket")
        stated, told = _export_ticket(source, to or "halves", format_, out, module)
    else:
        for name, value in (("to", to), ("module", module)):
            if value is not None:
                raise ValueError(f"--{name} belongs to a run: give its folder")
        stated, told = _export_instance(source, row, format_, out)
    if as_json:
        print_json(stated)
    else:
        click.echo(f"{out}: {told} as {stated['format']}")


def _export_instance(
    instance: str, row: int | None, format_: str | None, out: str
) -> tuple[dict[str, Any], str]:
    """Write an instance; return what was written, for programs and for people."""
    from instances.files import load_instance

    chosen = _chosen(out, format_, _FORMATS, _SUFFIXES, "an instance")
    whole = load_instance(instance)
    if row is None and chosen not in _BATCHES:
        row = 0
    if row is not None and not 0 <= row < len(whole):
        raise ValueError(f"--row {row}: the rows of {instance} are 0 to {len(whole) - 1}")
    part = whole if row is None else whole.part(row, row + 1)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(instance).stem)[:80]
    _write(out, _content(part, chosen, name if row is None else f"{name}-{row}"))
    rows = f"{len(part)} rows" if row is None else f"row {row} of {len(whole)}"
    stated = {"out": out, "format": chosen, "row": row, "num_rows": len(part)}
    return stated, f"{rows} of {instance}"


def _chosen(
    out: str, format_: str | None, formats: dict[str, str], suffixes: dict[str, str], what: str
) -> str:
    """Return the format that is asked for, by name or by the file's."""
    chosen = format_ or formats.get(Path(out).suffix)
    if chosen is None:
        raise ValueError(
            f"--out {out}: give --format, or a name that ends in {', '.join(suffixes.values())}"
        )
    if chosen not in suffixes:
        raise ValueError(f"--format {chosen}: {what} is written as {', '.join(suffixes)}")
    return chosen


def _content(part: "Instance", chosen: str, name: str) -> bytes:
    if chosen == "mps":
        from instances.mps import to_mps

        return to_mps(part.milp(0), name).encode()
    if chosen == "lp":
        from instances.lp import to_lp

        return to_lp(part.milp(0), name).encode()
    from instances.files import instance_bytes

    return instance_bytes(part, _SUFFIXES[chosen])


def _export_ticket(
    folder: str, to: str, format_: str | None, out: str, module: str | None
) -> tuple[dict[str, Any], str]:
    """Write the ticket of a run; return what was written, for programs and for people."""
    chosen = _chosen(out, format_, _NETWORK_FORMATS, _NETWORK_SUFFIXES, "the ticket of a run")
    if chosen == "onnx":
        from milp_lth.targets.onnx_export import require_exporter

        require_exporter()
    elif to == "ticket":
        raise ValueError(
            f"--to ticket: written as onnx alone; the ticket's own file lies in {folder}"
        )
    from milp_lth.ledger import DIGESTS, Ledger
    from milp_lth.run import Run
    from milp_lth.sharded_ticket import ShardedTicket

    run = Run(folder, module)
    with Ledger(run.folder) as ledger:
        if DIGESTS not in ledger.figures():
            raise ValueError(f"{folder}: not finished: milp-lth resume {folder}")
    ticket = run.load_ticket()
    network: Any = ticket.whole() if isinstance(ticket, ShardedTicket) else ticket
    inputs = run.data.x
    stated: dict[str, Any] = {"out": out, "format": chosen, "to": to}
    if to != "ticket":
        network = network.fold("target" if to == "target" else None)
        inputs = inputs.to(next(network.parameters()).dtype)
        stated["max_half_difference"] = float(network.max_half_difference)
    _write(out, _network_bytes(network, inputs, chosen))
    told = {"halves": ", folded,", "target": ", folded to the target's layers,", "ticket": ""}[to]
    return stated, f"the ticket of {folder}{told}"


def _network_bytes(network: Any, inputs: Any, chosen: str) -> bytes:
    if chosen == "onnx":
        from milp_lth.targets.onnx_export import onnx_bytes

        return onnx_bytes(network, inputs)
    tensors = {
        name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()
    }
    if chosen == "safetensors":
        import safetensors.torch

        return safetensors.torch.save(tensors)
    import torch

    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


def _write(out: str, content: bytes) -> None:
    from instances.files import write_atomically

    try:
        write_atomically(Path(out), content)
    except OSError as error:
        raise ValueError(f"--out {out}: cannot be written ({error.strerror or error})") from error
