"""Coefficients drawn by torch where they are needed: those of `Recipe.draw`, bit for bit."""

from typing import TYPE_CHECKING

from instances.distributions import (
    UNIT_WORD,
    Distribution,
    Draws,
    hyperbolic_units,
    powers_in_octave,
)
from instances.philox import Stream
from instances.recipe import Recipe, moved
from solvers.heuristic.devices import copied
from solvers.heuristic.torch_philox import normal, uniform

if TYPE_CHECKING:
    import torch

_AT_ONCE = 1 << 22  # numbers drawn together: some arrays of 32 MB on the way


def draw(recipe: Recipe, num_rows: int, device: "torch.device") -> "torch.Tensor":
    """Draw the coefficients of the first rows on `device`, shape (num_rows, n), float64."""
    import torch

    n = recipe.num_candidates
    columns = copied(recipe.columns, device)
    factors = None if recipe.factors is None else copied(recipe.factors, device)
    distribution = Distribution(recipe.distribution)
    out = torch.empty(num_rows, n, dtype=torch.float64, device=device)
    step = max(1, _AT_ONCE // max(1, n))
    for begin in range(0, num_rows, step):
        part = out[begin : begin + step]
        row = recipe.first + begin + torch.arange(len(part), device=device)
        group, place = row // recipe.rows_in_group, row % recipe.rows_in_group
        column = columns if len(columns) == 1 else columns[place]
        counters = group[:, None] * recipe.stride + column
        drawn = distribution.draw_by(_TORCH, recipe.stream, counters, unit=recipe.unit)
        if recipe.between is not None:
            drawn = moved(drawn, *recipe.between)
        if factors is not None:
            drawn *= factors if len(factors) == 1 else factors[place]
        part.copy_(drawn.masked_fill_(column < 0, 0.0))
    return out


def _hyperbolic(stream: Stream, counters: "torch.Tensor", *, unit: float) -> "torch.Tensor":
    import torch

    words = (uniform(stream, counters, unit=UNIT_WORD) / UNIT_WORD).to(torch.int64)
    table = torch.tensor(powers_in_octave(), device=counters.device)
    whole: torch.Tensor = hyperbolic_units(words, table, unit)
    return whole.to(torch.float64) * unit


_TORCH = Draws(uniform, normal, _hyperbolic)
