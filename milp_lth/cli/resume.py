"""``milp-lth resume``: carry an interrupted run to its end."""

import click

from milp_lth.cli.options import as_json
from milp_lth.cli.run import carry_out


@click.command(name="resume")
@click.argument("folder", type=click.Path())
@as_json
def command(folder: str, as_json: bool) -> int:
    """Continue the run in FOLDER where it stopped."""
    return carry_out(folder, as_json)
