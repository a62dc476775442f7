"""The page about a reproduction."""

from pathlib import Path
from typing import Any

from instances.files import write_atomically
from milp_lth.report.page import embedded, page
from milp_lth.report.plots import accuracy_by_width
from milp_lth.reproduce.pensia2020 import TOLERANCE, Reproduction
from milp_lth.reproduce.table import COLUMNS, cells, markdown

PAGE, TABLE = "index.html", "table.md"


def write_page(reproduction: Reproduction, rows: list[dict[str, Any]]) -> Path:
    """Write ``index.html`` and ``table.md`` into the reproduction's folder; return the page."""
    records = reproduction.width_search().records
    plots = []
    for objective in ("closest", "sparsest"):
        points = sorted(
            (r for r in records if r["objective"] == objective), key=lambda r: r["width"]
        )
        figure = accuracy_by_width(
            [point["width"] for point in points],
            [point["accuracy"] for point in points],
            [point["agreement"] for point in points],
            points[0]["target_accuracy"],
        )
        figure.update_yaxes(range=[90, 100.4])
        plots.append(embedded(figure.update_layout(title=objective, margin_t=88), objective))
    ours = [row for row in rows if not row["published"]]
    html = page(
        "reproduction.html",
        target=Path(reproduction.base.target).name,
        columns=list(COLUMNS.values()),
        rows=[cells(row) for row in rows],
        environment=reproduction.environment,
        tolerance=TOLERANCE,
        beyond=[
            {
                "name": row["row"],
                "weights": f"{sum(seed['num_weights'] for seed in row['seeds']):,}",
                "beyond": row["beyond_tolerance"],
                "proven": row["beyond_proven"],
            }
            for row in ours
        ],
        smallest=[
            (row["seeds"][0]["objective"], row["seeds"][0]["width"], row["theory_width"])
            for row in ours
            if "theory_width" in row
        ],
        plots=plots,
    )
    write_atomically(reproduction.folder / TABLE, markdown(rows).encode())
    path = reproduction.folder / PAGE
    write_atomically(path, html.encode())
    return path
