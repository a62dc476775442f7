"""``milp-lth report``: write a run's page again."""

import click

from milp_lth.cli.options import as_json, module_option, print_json


@click.command(name="report")
@click.argument("folder", type=click.Path())
@module_option
@as_json
def command(folder: str, as_json: bool, module: str | None) -> None:
    """Write report.html of the run in FOLDER again."""
    from milp_lth.execution import rewrite_report
    from milp_lth.run import Run

    path = str(rewrite_report(Run(folder, module)))
    if as_json:
        print_json({"report": path})
    else:
        click.echo(path)
