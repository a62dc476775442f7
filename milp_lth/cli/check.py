"""``milp-lth check``: compute every claim of a run again."""

import click

from milp_lth.cli.options import as_json, module_option, print_json


@click.command(name="check")
@click.argument("folder", type=click.Path())
@click.option(
    "--all", "every_row", is_flag=True, help="Prove every row again, not only a sample of 8."
)
@module_option
@as_json
def command(folder: str, every_row: bool, module: str | None, as_json: bool) -> int:
    """Recompute every claim of the run in FOLDER from its seed and masks.

    Errors, counts, agreement and accuracy are computed again; optimality is proved again by a
    second method, for a sample of the weights.
    """
    from milp_lth.cli.main import OK, UNVERIFIED
    from milp_lth.cli.progress import Progress
    from milp_lth.verification import check_run

    with Progress("proofs", quiet=as_json) as progress:
        problems = check_run(folder, every_row=every_row, on_row=progress, module=module)
    if as_json:
        print_json({"verified": not problems, "problems": problems})
    else:
        for problem in problems:
            click.echo(f"not verified: {problem}")
        if not problems:
            click.echo(f"{folder}: verified")
    return UNVERIFIED if problems else OK
