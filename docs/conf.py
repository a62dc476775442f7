"""Sphinx: read docs/*.md and the docstrings; needs no network."""

import os
import re

from milp_lth import __version__

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of notebooks: torch's threads wait busily

project = "milp_lth"
author = "the milp_lth authors"
project_copyright = "the milp_lth authors, Apache-2.0"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_click",
]
exclude_patterns = ["_build", "measurements"]

html_theme = "furo"
html_title = f"milp_lth {release}"
html_show_sourcelink = False
html_static_path = ["_static", "../milp_lth/explain/playground.html"]
html_css_files = ["style.css"]
mathjax_path = "mathjax/tex-svg.js"  # MathJax 3.2.2, Apache-2.0: pages fetch nothing

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes as a list, like parameters
napoleon_attr_annotations = False  # their types stand in the signature
default_role = "code"  # docstrings name things in single backticks
python_use_unqualified_type_names = True

ARRAY = re.compile(
    r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], "
    r"~?(?:numpy\.)?dtype\[~?(?:numpy\.)?(\w+)\]\]"
)


def shorten(app, what, name, object_, options, signature, returned):
    """Write array types as one does: their shapes stand in the text."""
    return tuple(part and ARRAY.sub(r"ndarray[\1]", part) for part in (signature, returned))


def setup(app):
    app.connect("autodoc-process-signature", shorten)
