"""The pages about phase transition, logarithmic width and lower bound: one form for all three."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from instances.files import write_atomically
from milp_lth.report.markdown import markdown_table
from milp_lth.report.page import embedded, page
from milp_lth.report.panels import Panel, drawn
from milp_lth.report.phase_figures import panels_figure

PAGE, TABLE = "index.html", "table.md"


class Table(NamedTuple):
    """Numbers under a heading, as text."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Findings(NamedTuple):
    """What an experiment has found."""

    name: str
    """What files are called."""
    title: str
    about: str
    """What was done, in a few sentences."""
    headline: Sequence[tuple[str, str]]
    """The few numbers that matter, and what they are."""
    panels: Sequence[Panel]
    tables: Sequence[Table]


def write_findings(found: Findings, folder: Path, seed: int) -> Path:
    """Write page, table and pictures into the folder; return the page's path."""
    html = page(
        "theory.html",
        name=found.name,
        title=found.title,
        about=found.about,
        headline=found.headline,
        panels=[(p, embedded(drawn(p), f"panel-{k}")) for k, p in enumerate(found.panels)],
        tables=found.tables,
        seed=seed,
    )
    parts = [f"# {found.title}\n\n{found.about}\n"]
    parts += [markdown_table(["what", "measured"], found.headline)]
    parts += [f"## {t.heading}\n\n{markdown_table(t.columns, t.rows)}" for t in found.tables]
    for kind, content in panels_figure(found.panels).items():
        write_atomically(folder / f"{found.name}.{kind}", content)
    write_atomically(folder / TABLE, "\n".join(parts).encode())
    write_atomically(folder / PAGE, html.encode())
    return folder / PAGE
