"""Torch draws the numbers of `instances.distributions`, bit for bit; here on the CPU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.distributions import DISTRIBUTIONS, Distribution
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream
from instances.recipe import Recipe
from solvers.heuristic import torch_draw

torch = pytest.importorskip("torch")

NAMES = [*DISTRIBUTIONS[:-1], "quantised-1", "quantised-3", "quantised-23"]
STREAM = Stream(seed=12345, layer=3, matrix=1)
UNITS = [2.0**-bits for bits in (0, 1, 8, 20, 23, 46, 47, 51, 52)]

every_name = pytest.mark.parametrize("name", NAMES)


@every_name
@given(
    counters=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=30),
    unit=st.sampled_from(UNITS),
)
def test_torch_draws_the_same(name: str, counters: list[int], unit: float) -> None:
    distribution, array = Distribution(name), np.array(counters)
    expected = distribution.draw(STREAM, array, unit=unit)
    found = distribution.draw_by(torch_draw._TORCH, STREAM, torch.tensor(array), unit=unit)
    assert found.numpy().tobytes() == expected.tobytes()


@every_name
def test_torch_draws_the_same_recipes(name: str) -> None:
    columns = np.array([[3, 0, -1], [1, -1, 2]])
    factors = np.array([[-0.5, 2.0, 0.0], [0.25, 0.0, -1.0]])
    for between in (None, (-0.3, 0.7)):
        recipe = Recipe(STREAM, 4, columns, 2, UNIT_FACTOR, name, between, factors, first=5)
        found = torch_draw.draw(recipe, 9, torch.device("cpu")).numpy()
        assert found.tobytes() == recipe.draw(9).tobytes()


def test_a_device_draws_the_same() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    numbers = np.arange(200_000)
    there = torch.tensor(numbers, device="cuda")
    for name in NAMES:
        found = Distribution(name).draw_by(torch_draw._TORCH, STREAM, there, unit=UNIT_RAW)
        assert found.cpu().numpy().tobytes() == Distribution(name).draw(STREAM, numbers).tobytes()
