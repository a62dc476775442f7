"""``milp-lth certify``: prove what can be proved of a run."""

from typing import Any

import click

from milp_lth.cli.options import as_json, module_option, print_json


@click.command(name="certify")
@click.argument("folder", type=click.Path())
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    metavar="N",
    help="Weights whose optimality is certified, chosen by the run's seed. [default: 64]",
)
@click.option("--all", "every_row", is_flag=True, help="Certify the optimality of every weight.")
@click.option("--exact", is_flag=True, help="Seek the input on which an output moves most.")
@click.option(
    "--radius",
    type=float,
    metavar="R",
    help="Decide whether every input no entry of which is more than R off a held-out one keeps "
    "its class. [default: not done]",
)
@click.option(
    "--inputs",
    type=click.IntRange(min=1),
    metavar="K",
    help="Around how many held-out inputs that is decided. [default: 10]",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Seconds for the worst input, and for every held-out one.",
)
@module_option
@as_json
def command(
    folder: str,
    rows: int | None,
    every_row: bool,
    exact: bool,
    radius: float | None,
    inputs: int | None,
    time_limit: float,
    module: str | None,
    as_json: bool,
) -> int:
    """Prove what can be proved of the run in FOLDER, and write certificates.json there.

    How far its weights are from the target's, exactly; how far outputs can be, for all inputs; that
    no choice of edges does better. ``milp-lth check`` proves the file again.
    """
    if every_row and rows is not None:
        raise ValueError("--rows and --all: give one of the two")
    if inputs is not None and radius is None:
        raise ValueError("--inputs says around how many inputs: give a --radius, too")
    from milp_lth.certificates.certifying import INPUTS, SAMPLE, certify_run
    from milp_lth.cli.main import OK, UNVERIFIED
    from milp_lth.cli.progress import Progress
    from milp_lth.ledger import ContradictionError

    try:
        with Progress("certificates", quiet=as_json) as progress:
            stated = certify_run(
                folder,
                rows=None if every_row else SAMPLE if rows is None else rows,
                exact=exact,
                radius=radius,
                inputs=INPUTS if inputs is None else inputs,
                time_limit=time_limit,
                module=module,
                on_certificate=progress,
            )
    except ContradictionError as error:
        if as_json:
            print_json({"certified": False, "problem": str(error)})
        else:
            click.echo(f"not certified: {error}")
        return UNVERIFIED
    if as_json:
        print_json({"certified": True, "out": folder} | stated)
    else:
        for line in summary(stated):
            click.echo(line)
        click.echo(f"{folder}: certified")
    return OK


def summary(stated: dict[str, Any]) -> list[str]:
    """Say in some lines what certificates say."""
    lines, outputs = [], stated["outputs"]
    if "missing" in outputs:
        lines.append(f"weights and outputs: {outputs['missing']}")
    else:
        largest = max(layer["max_error"] for layer in outputs["layers"])
        lines.append(f"weights: none is further than {largest:.3g} from the target's")
        lines.append(
            f"outputs: none moves by more than {outputs['bound']:.3g} ({outputs['domain']}; "
            f"{outputs['method']})"
        )
    worst = stated.get("worst_case")
    if worst is not None:
        lines.append(f"worst input: {worst.get('missing') or _worst(worst)}")
    boxes = stated.get("boxes")
    if boxes:
        radius = stated["asked"]["radius"]
        counts = {
            status: sum(box.get("status") == status for box in boxes)
            for status in ("PROVED", "REFUTED", "UNDECIDED")
        }
        said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        lines.append(
            f"classes agree within {radius:g} of {len(boxes)} held-out inputs: "
            f"{said or boxes[0]['missing']}"
        )
    return [*lines, f"optimality: {_rows(stated)}"]


def _worst(worst: dict[str, Any]) -> str:
    if worst["exact"]:
        return f"output {worst['output']} moves by {worst['lower']:.6g}, and none by more"
    return (
        f"output {worst['output']} moves by {worst['lower']:.3g}; that none moves by more than "
        f"{worst['upper']:.3g} is proved"
    )


def _rows(stated: dict[str, Any]) -> str:
    if not stated["num_claims"]:
        return "nothing is claimed to be optimal or infeasible"
    rows = stated["rows"]
    left_out = [row["missing"] for row in rows if "missing" in row]
    text = (
        f"no subset does better in {len(rows) - len(left_out):,} of the "
        f"{stated['num_claims']:,} rows of which that is claimed"
    )
    return f"{text}; {len(left_out):,} left out: {left_out[0]}" if left_out else text
