"""How candidates are drawn: enough to draw them again anywhere, in place of a copy."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.distributions import Distribution
from instances.philox import UNIT_RAW, Stream


@dataclass(frozen=True, eq=False)
class Recipe:
    """Where the candidates of a row come from, as a function of the row's number.

    Rows come in groups, such as the weights of one output, and a group draws from one row of a
    random matrix. Row r is in place p = r mod `rows_in_group` of group g = r div `rows_in_group`.
    Its candidate k is the number with the counter ``g * stride + columns[p, k]``, moved `between`
    two numbers, then multiplied by ``factors[p, k]``, where these are given.

    Parameters
    ----------
    stream
        The random matrix.
    stride
        How many columns it has.
    columns
        Shape (rows_in_group, n), or (1, n) where all rows of a group draw the same; −1: there is no
        candidate, and its coefficient is 0.
    rows_in_group
        See above.
    unit
        The grid that is asked for.
    distribution
        What is drawn from: the name of an `instances.distributions.Distribution`.
    between
        The two numbers; see `moved`.
    factors
        Shaped like `columns`.
    first
        The number of the first row.
    """

    stream: Stream
    stride: int
    columns: IntArray
    rows_in_group: int = 1
    unit: float = UNIT_RAW
    distribution: str = "uniform"
    between: tuple[float, float] | None = None
    factors: FloatArray | None = None
    first: int = 0

    @property
    def num_candidates(self) -> int:
        """Candidates per row."""
        return int(self.columns.shape[1])

    def beginning(self, row: int) -> "Recipe":
        """Return the recipe whose first row is `row` of this one."""
        return replace(self, first=self.first + row)

    def draw(self, num_rows: int) -> FloatArray:
        """Draw the coefficients of the first rows, shape (num_rows, n)."""
        size = self.rows_in_group
        start = self.first // size
        groups = np.arange(start, -(-(self.first + num_rows) // size))[:, None, None]
        counters = groups * self.stride + self.columns
        drawn = Distribution(self.distribution).draw(self.stream, counters, unit=self.unit)
        if self.between is not None:
            drawn = moved(drawn, *self.between)
        if self.factors is not None:
            drawn *= self.factors
        drawn[:, self.columns < 0] = 0.0
        if len(self.columns) < size:
            drawn = np.broadcast_to(drawn, (len(groups), size, self.num_candidates))
        skipped = self.first - start * size
        rows = drawn.reshape(len(groups) * size, self.num_candidates)  # of no candidates, too
        return rows[skipped : skipped + num_rows]


def moved(draws: Any, low: float, high: float) -> Any:
    """Move draws from [−1, 1) to [low, high), in place, onto a grid on which sums are exact.

    The grid is 2⁻⁴⁶ times the power of two above both numbers. Takes arrays as well as tensors:
    every step rounds in the same way in both.
    """
    grid = UNIT_RAW * float(2.0 ** np.frexp(max(abs(low), abs(high)))[1])
    draws += 1
    draws *= 0.5
    draws *= high - low
    draws += low
    draws *= 1 / grid  # a power of two: exact
    draws = draws.round()
    draws *= grid
    return draws
