"""The page about all constructions: a table, and error against the size of the random network."""

from pathlib import Path
from typing import Any

from instances.files import write_atomically
from milp_lth.constructions.registry import theorem
from milp_lth.report.figures import error_against_size
from milp_lth.report.markdown import markdown_table
from milp_lth.report.page import page
from milp_lth.reproduce.constructions import AGREEMENT, COLUMNS, Constructions, cells, slope

PAGE, TABLE, PICTURE = "index.html", "table.md", "constructions.svg"


def write_page(asked: Constructions, rows: list[dict[str, Any]]) -> Path:
    """Write the page, the table and the picture into the folder; return the page's path."""
    folder, picture = asked.runs.folder, error_against_size(dict(asked.curves()))
    table = markdown_table(list(COLUMNS.values()), map(cells, rows))
    slopes = {name: slope(curve) for name, curve in asked.curves()}
    html = page(
        "constructions.html",
        target=Path(asked.base.target).name,
        columns=list(COLUMNS.values()),
        rows=[(row["run"], cells(row)) for row in rows],
        theorems=[(name, theorem(name)) for name in asked.names],
        slopes=[(name, f"{value:.2f}") for name, value in slopes.items() if value is not None],
        exact=[name for name, curve in asked.curves() if not curve[-1]["median_error"]],
        picture=picture[picture.index("<svg") :],
        agreement=AGREEMENT,
        environment=asked.runs.environment,
        num_seeds=asked.num_seeds,
    )
    write_atomically(folder / TABLE, table.encode())
    write_atomically(folder / PICTURE, picture.encode())
    write_atomically(folder / PAGE, html.encode())
    return folder / PAGE
