"""The look of figures: set when asked for, and told apart by all eyes."""

import itertools
import subprocess
import sys

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


@pytest.mark.parametrize("sight", SIGHTS)
def test_lines_can_be_told_apart(sight: str) -> None:
    colours = plot_style()
    lines = (colours.kept, colours.theory, colours.limit, colours.pruned, *colours.more)
    seen = [lab(np.clip(np.array(SIGHTS[sight]) @ linear(line), 0, 1)) for line in lines]
    apart = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert apart > 10  # 2 is just seen


def test_lines_stand_out_from_the_page() -> None:
    colours = plot_style()
    for line in (colours.kept, colours.theory, colours.limit, *colours.more):
        assert 1.05 / (linear(line) @ TO_XYZ[1] + 0.05) > 3, line


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
