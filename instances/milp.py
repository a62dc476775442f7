"""The standard form that every integer-programming backend reads."""

from dataclasses import dataclass, replace

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class MILP:
    """Minimise ``c·x`` subject to ``row_lower ≤ A x ≤ row_upper`` and ``lower ≤ x ≤ upper``.

    Parameters
    ----------
    c
        Shape (variables,): what is minimised.
    rows, columns, values
        The entries of `A` that are not 0, each of shape (entries,).
    row_lower, row_upper
        Shape (rows,): the bounds of `A x`; infinite where there is none.
    lower, upper
        Shape (variables,): the bounds of `x`.
    integer
        Shape (variables,): True where a variable is a whole number.
    counts
        Shape (rows,): True where a row has whole coefficients and bounds, so that no floating-point
        tolerance is to be charged to it. The other rows are called measured.
    mask_columns
        Shape (n,): the variables that the mask is read off.
    sensitivity
        How much smaller the least objective may become when every measured row may be missed by one
        unit.
    squared
        Whether Σ (c_j x_j)² is minimised instead; the objective is then its square root. Few
        backends take that.
    """

    c: FloatArray
    rows: IntArray
    columns: IntArray
    values: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray
    counts: BoolArray
    mask_columns: IntArray
    sensitivity: float = 1.0
    squared: bool = False

    @property
    def chained(self) -> bool:
        """Whether a measured row ties continuous variables to each other.

        Very tight tolerances are then more than float solvers can keep: they claim what is false.
        """
        tied = ~self.integer[self.columns] & ~self.counts[self.rows]
        return bool((np.bincount(self.rows[tied], minlength=1) > 1).any())

    @property
    def counting(self) -> bool:
        """Whether whole numbers alone are paid for: missed rows then cost a whole unit, or none."""
        return bool(self.integer[self.c != 0].all())

    @property
    def size(self) -> float:
        """The largest sum of absolute numbers in a measured row; tolerances are relative to it.

        Integer variables count with the largest value they can have, continuous ones, which take
        up what is left, not at all.
        """
        ends = np.maximum(np.abs(self.lower), np.abs(self.upper))
        reach = np.where(self.integer & np.isfinite(ends), ends, 0.0)
        sums = np.zeros(len(self.row_lower))
        np.add.at(sums, self.rows, np.abs(self.values) * reach[self.columns])
        bounds = np.abs(np.stack([self.row_lower, self.row_upper]))
        sums += np.where(np.isfinite(bounds), bounds, 0.0).max(axis=0)
        return float(sums[~self.counts].max(initial=0.0))

    def without_fixed(self) -> "MILP":
        """Return the program without the entries of variables that are fixed at 0."""
        kept = ((self.lower != 0) | (self.upper != 0))[self.columns]
        return replace(
            self, rows=self.rows[kept], columns=self.columns[kept], values=self.values[kept]
        )

    def mask(self, x: FloatArray) -> BoolArray:
        """Read the mask off a solution `x`, shape (number of variables,)."""
        return np.asarray(x)[self.mask_columns] > 0.5

    def widened(self, slack: float) -> "MILP":
        """Return the program with every measured row loosened by `slack`, or tightened by −slack.

        A backend that lets rows be violated by `slack` answers a question no harder than the
        widened program and no easier than the narrowed one.
        """
        shift = np.where(self.counts, 0.0, slack)
        return replace(self, row_lower=self.row_lower - shift, row_upper=self.row_upper + shift)
