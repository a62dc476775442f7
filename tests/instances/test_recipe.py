"""Recipes: candidates drawn from their description alone, any range of rows like the whole."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from instances.generate import normal_family, product_family, uniform_family
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream, normal, uniform
from instances.recipe import Recipe, moved
from instances.subset_sum import SubsetSum

STREAM = Stream(7, 2, 1)
TABLE = np.array([[3, 0, -1], [1, -1, 2]])
RECIPES = {
    "row by row": Recipe(STREAM, 4, np.arange(4)[None]),
    "bells": Recipe(STREAM, 4, np.arange(4)[None], distribution="normal", unit=UNIT_FACTOR),
    "groups that share": Recipe(STREAM, 5, np.arange(5)[None], 3, between=(-0.3, 1.7)),
    "places, some empty": Recipe(
        STREAM, 4, TABLE, 2, UNIT_FACTOR, factors=np.array([[-0.5, 2.0, 0.0], [0.25, 0.0, -1.0]])
    ),
    "nothing": Recipe(STREAM, 4, np.zeros((2, 0), np.int64), 2, factors=np.zeros((2, 0))),
    "further on": Recipe(STREAM, 4, TABLE, 2, first=10**9 + 3),
}


def coefficient(recipe: Recipe, row: int, k: int) -> float:
    """The definition, one number at a time."""
    group, place = divmod(recipe.first + row, recipe.rows_in_group)
    place = min(place, len(recipe.columns) - 1)
    if recipe.columns[place, k] < 0:
        return 0.0
    counter = np.array([group * recipe.stride + recipe.columns[place, k]])
    kind = {"normal": normal, "uniform": uniform}[recipe.distribution]
    number = kind(recipe.stream, counter, unit=recipe.unit)
    if recipe.between is not None:
        number = moved(number, *recipe.between)
    return float(number[0] * (1.0 if recipe.factors is None else recipe.factors[place, k]))


@pytest.mark.parametrize("name", RECIPES)
def test_any_range_is_what_is_defined(name: str) -> None:
    recipe = RECIPES[name]
    expected = [[coefficient(recipe, r, k) for k in range(recipe.num_candidates)] for r in range(9)]
    whole = recipe.draw(9)
    assert whole.tobytes() == np.array(expected).tobytes()
    for start in range(9):
        for stop in range(start, 10):
            part = recipe.beginning(start).draw(stop - start)
            assert part.tobytes() == whole[start:stop].tobytes()
            assert part.shape == (stop - start, recipe.num_candidates)


@pytest.mark.parametrize(("low", "high"), [(-0.3, 1.7), (0.1, 0.2), (-5e-4, 3e-4), (2.0, 2.0)])
def test_moved_draws_lie_between_the_two_on_a_grid(low: float, high: float) -> None:
    draws = uniform(STREAM, np.arange(1000))
    found = moved(draws.copy(), low, high)
    assert low - 1e-12 <= found.min() <= found.max() <= high + 1e-12
    unit = UNIT_RAW * 2.0 ** np.frexp(max(abs(low), abs(high)))[1]
    assert (found / unit % 1 == 0).all()
    width, most = Fraction(high) - Fraction(low), Fraction(max(abs(low), abs(high)))
    for draw, number in zip(draws[:50].tolist(), found[:50].tolist(), strict=True):
        exact = Fraction(low) + width * (Fraction(draw) + 1) / 2
        assert abs(Fraction(number) - exact) <= Fraction(unit) / 2 + most * Fraction(1, 2**50)


def test_parts_know_their_recipe_and_changed_batches_have_none() -> None:
    for family in (uniform_family, normal_family):
        batch = family(20, 6, seed=3)
        for part in (batch, batch.part(4, 17), batch.part(4, 17).part(2, 3)):
            assert part.recipe is not None
            assert part.recipe.draw(len(part)).tobytes() == part.coefficients.tobytes()
        assert replace(batch, coefficients=batch.coefficients[:, ::-1]).recipe is None
        assert "recipe" not in batch.fields()
        assert SubsetSum.from_fields(batch.fields()).recipe is None
    assert product_family(4, 5).recipe is None
