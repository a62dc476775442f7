"""``milp-lth resume``: carry an interrupted run to its end."""

import click

from milp_lth.cli.options import as_json, distribution_options, module_option
from milp_lth.cli.run import carry_out, workers


@click.command(name="resume")
@click.argument("folder", type=click.Path())
@module_option
@distribution_options
@as_json
def command(
    folder: str,
    as_json: bool,
    scheduler: str | None,
    chunk_rows: int | None,
    module: str | None,
) -> int:
    """Continue the run in FOLDER where it stopped, here or with a scheduler."""
    from milp_lth.run import settings_of

    with workers(settings_of(folder), scheduler) as executor:
        return carry_out(folder, as_json, executor, chunk_rows, module)
