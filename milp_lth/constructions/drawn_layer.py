"""The two random matrices that stand for one target layer, drawn where they are needed."""

from dataclasses import dataclass

import numpy as np

from instances.arrays import FloatArray, IntArray
from milp_lth.source import FIRST, SECOND, Source


@dataclass(frozen=True, eq=False)
class DrawnLayer:
    """U (num_units × num_inputs) and V (num_outputs × num_units) of one layer of the source.

    Each hidden unit keeps one entry of U at most: only those entries are ever drawn.
    """

    source: Source
    index: int
    num_inputs: int
    """Columns of U, the constant input of a bias among them."""
    num_outputs: int
    width: int
    scale: float
    """The power of two that V is drawn with."""
    has_bias: bool
    """Whether the last input is the constant 1."""
    nonnegative: bool
    """Whether the other inputs are known to be ≥ 0."""
    input_of: IntArray
    """Shape (num_units,): the input each hidden unit keeps, −1 where it keeps none."""

    @property
    def num_units(self) -> int:
        """Hidden units drawn."""
        return self.width * self.num_inputs

    def u(self) -> FloatArray:
        """Return the entry of U that each unit keeps, shape (num_units,); 0 where it keeps none."""
        drawn = self.source.draw(
            self.index, FIRST, self.num_inputs, np.arange(self.num_units), self.input_of
        )
        return np.where(self.input_of >= 0, drawn, 0.0)

    def v(self, first: int = 0, stop: int | None = None) -> FloatArray:
        """Return the rows of V from output `first` to before `stop`, shape (rows, num_units)."""
        outputs = np.arange(self.num_outputs)[first:stop, None]
        units = np.arange(self.num_units)
        return self.scale * self.source.draw(self.index, SECOND, self.num_units, outputs, units)
