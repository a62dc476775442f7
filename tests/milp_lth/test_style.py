"""The look of figures: set when asked for, and told apart by all eyes."""

import colorsys
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from milp_lth import plot_style

# What those see whose cones of one kind are missing: Machado, Oliveira and Fernandes 2009, table 1.
SIGHTS = {
    "all cones": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.969]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(np.clip(np.array(TO_XYZ) @ rgb / [0.9505, 1, 1.089], 0, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# Dark pages turn pictures over: filters by the specification of CSS, then what is screened with it.
HUE_ROTATE_180 = [[-0.574, 1.43, 0.144], [0.426, 0.43, 0.144], [0.426, 1.43, -0.856]]
PAGES = {  # how much is inverted, on what it is screened
    "light": None,
    "dark documentation": (1.0, "#131416"),
    "dark reports": (0.93, "#000000"),
}


def shown(colour: str, page: str) -> str:
    if PAGES[page] is None:
        return colour
    amount, below = PAGES[page]
    value, behind = (
        np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) / 255 for c in (colour, below)
    )
    turned = np.clip(HUE_ROTATE_180 @ (amount - (2 * amount - 1) * value), 0, 1)
    return "#" + "".join(f"{round(255 * c):02x}" for c in 1 - (1 - turned) * (1 - behind))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("sight", SIGHTS)
def test_lines_can_be_told_apart(sight: str, page: str) -> None:
    colours = plot_style()
    lines = (colours.kept, colours.theory, colours.limit, colours.pruned, *colours.more)
    rgb = [linear(shown(line, page)) for line in lines]
    seen = [lab(np.clip(np.array(SIGHTS[sight]) @ one, 0, 1)) for one in rgb]
    apart = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert apart > 10  # 2 is just seen


@pytest.mark.parametrize("page", PAGES)
def test_lines_stand_out_from_the_page(page: str) -> None:
    colours = plot_style()
    for line in (colours.kept, colours.theory, colours.limit, *colours.more):
        low, high = sorted(linear(shown(c, page)) @ TO_XYZ[1] + 0.05 for c in (line, "#ffffff"))
        assert high / low > 3, line


def test_dark_pages_keep_hues() -> None:
    def hue(colour: str) -> float:
        return colorsys.rgb_to_hls(*(int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)))[0]

    colours = plot_style()
    for line, page in itertools.product((colours.kept, colours.theory, *colours.more), PAGES):
        assert abs(hue(shown(line, page)) - hue(line)) < 4 / 360, (line, page)


def test_the_pages_turn_pictures_over_as_the_tests_suppose() -> None:
    root = Path(__file__).parents[2]
    css = (root / "docs" / "_static" / "style.css").read_text()
    assert css.count("filter: invert(1) hue-rotate(180deg);\n") == 2
    assert css.count("mix-blend-mode: screen;\n") == 2
    page = (root / "milp_lth" / "report" / "base.html").read_text()
    assert "html { filter: invert(.93) hue-rotate(180deg); }" in page


def test_nothing_is_set_at_import() -> None:
    code = (
        "import sys, milp_lth\n"
        "[getattr(milp_lth, name) for name in milp_lth.__all__]\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import matplotlib\n"
        "before = dict(matplotlib.rcParams)\n"
        "milp_lth.plot_style()\n"
        "assert dict(matplotlib.rcParams) != before\n"
        "matplotlib.rcdefaults()\n"
        "assert matplotlib.rcParams['figure.figsize'] == before['figure.figsize']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
