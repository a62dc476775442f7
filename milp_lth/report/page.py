"""Self-contained pages: styles, scripts and pictures inline, readable without network."""

from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs


def page(template: str, **values: Any) -> str:
    """Fill a template of this folder; all values are escaped but those it marks as safe."""
    environment = Environment(
        loader=PackageLoader("milp_lth", "report"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.2f} %"
    return environment.get_template(template).render(plotlyjs=get_plotlyjs(), **values)


def embedded(figure: go.Figure, name: str) -> str:
    """Return a picture as HTML for a page; `name` becomes its id."""
    html: str = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=name, config={"displaylogo": False}
    )
    return html
