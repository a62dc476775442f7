"""The two random matrices that stand for one target layer, and the module they make under masks."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from instances.arrays import BoolArray, FloatArray, IntArray
from milp_lth.constructions.layout import DrawnLayer, PrunedLayer
from milp_lth.networks.forms import Lookup
from milp_lth.source import FIRST, REDRAWN, SECOND


@dataclass(frozen=True, eq=False)
class HiddenUnits(DrawnLayer):
    """A layer whose first matrix is U (num_units × num_inputs), and whose last is V.

    Each hidden unit keeps one entry of U at most: only those entries are ever drawn.
    """

    input_of: IntArray
    """Shape (num_units,): the input each hidden unit keeps, −1 where it keeps none."""

    @property
    def num_units(self) -> int:
        """Hidden units drawn."""
        return self.width * self.num_inputs

    @property
    def mask_shape(self) -> tuple[int, int]:
        """Shape of the mask of V."""
        return self.num_outputs, self.num_units

    def u(self) -> FloatArray:
        """Return the entry of U that each unit keeps, shape (num_units,); 0 where it keeps none."""
        drawn = self.source.draw(
            self.index, FIRST, self.num_inputs, np.arange(self.num_units), self.input_of
        )
        return np.where(self.input_of >= 0, drawn, 0.0)

    def arrays(self) -> dict[str, Any]:
        """Return `input_of`."""
        return {"input_of": self.input_of.astype(np.int32)}

    @classmethod
    def _checked(cls, arrays: Any, numbers: dict[str, Any]) -> dict[str, Any]:
        input_of = arrays["input_of"]
        num_units = numbers["width"] * numbers["num_inputs"]
        if input_of.shape != (num_units,) or input_of.dtype != np.int32:
            raise ValueError("the inputs its units keep do not fit the layer")
        if num_units and not -1 <= input_of.min() <= input_of.max() < numbers["num_inputs"]:
            raise ValueError("its units keep inputs that the layer does not have")
        return {"input_of": input_of.astype(np.int64)}


@dataclass(frozen=True, eq=False)
class TwoMatrices(HiddenUnits):
    """U (num_units × num_inputs) and V (num_outputs × num_units) of one layer of the source."""

    scale: float
    """The power of two that V is drawn with."""
    attempts: IntArray | None = field(default=None, kw_only=True)
    """Shape (2, num_outputs, num_inputs): how often the entries of V for inputs above and below 0
    were drawn again; None: never."""

    @property
    def depth(self) -> int:
        """Two: U and V."""
        return 2

    def v(self, first: int = 0, stop: int | None = None) -> FloatArray:
        """Return the rows of V from output `first` to before `stop`, shape (rows, num_units)."""
        outputs = np.arange(self.num_outputs)[first:stop, None]
        units = np.arange(self.num_units)
        v = self.scale * self.source.draw(self.index, SECOND, self.num_units, outputs, units)
        if self.attempts is not None:
            attempts = self.of_units(self.attempts)[first:stop]
            for attempt in np.unique(attempts[attempts > 0]).tolist():
                j, h = np.nonzero(attempts == attempt)
                drawn = self.source.draw(
                    self.index, REDRAWN + attempt, self.num_units, outputs[j, 0], h
                )
                v[j, h] = self.scale * drawn
        return v

    def of_units(self, values: NDArray[Any]) -> NDArray[Any]:
        """Spread values of (half, output, input) over V: shape (num_outputs, num_units)."""
        negative = (self.u() < 0).astype(np.int64)
        return np.asarray(values[negative, :, np.maximum(self.input_of, 0)].T)

    def num_edges(self) -> tuple[int, int]:
        """Count the entries of both matrices, and those left when every unit keeps one input."""
        num_units, num_outputs = self.num_units, self.num_outputs
        return num_units * (self.num_inputs + num_outputs), num_units * (1 + num_outputs)

    def pruned(
        self, mask: BoolArray, dtype: torch.dtype, *, first: int = 0, weights: bool = True
    ) -> "TwoPrunedMatrices":
        """Return the layer under `mask`; both dtypes hold what was drawn exactly."""
        if not weights:
            return TwoPrunedMatrices(self, mask, torch.empty(0), torch.empty(0))
        v = torch.tensor(self.v(first, first + len(mask)), dtype=dtype)
        return TwoPrunedMatrices(self, mask, torch.tensor(self.u(), dtype=dtype), v)

    def arrays(self) -> dict[str, Any]:
        """Return `input_of`, and `attempts` where there are any."""
        again = {} if self.attempts is None else {"attempts": self.attempts.astype(np.uint8)}
        return super().arrays() | again

    @classmethod
    def _checked(cls, arrays: Any, numbers: dict[str, Any]) -> dict[str, Any]:
        attempts = arrays.get("attempts")
        shape = 2, numbers["num_outputs"], numbers["num_inputs"]
        if attempts is not None and (attempts.shape != shape or attempts.dtype != np.uint8):
            raise ValueError("what was drawn again does not fit the layer")
        drawn = None if attempts is None else attempts.astype(np.int64)
        return super()._checked(arrays, numbers) | {"attempts": drawn}


class TwoPrunedMatrices(PrunedLayer):
    """``V relu(U x)`` under its masks.

    Every hidden unit keeps one entry of U, so U is held as that entry, `u` (num_units,), and its
    column, `input_of`.

    Parameters
    ----------
    drawn
        What the layer's weights are drawn from.
    v_mask
        Shape (num_outputs, num_units), bool: the kept entries of V.
    u, v
        What was drawn for these outputs, in float32 or float64: both hold it exactly.
    """

    u: torch.Tensor
    input_of: torch.Tensor
    u_mask: torch.Tensor

    def __init__(
        self, drawn: TwoMatrices, v_mask: BoolArray, u: torch.Tensor, v: torch.Tensor
    ) -> None:
        super().__init__(drawn)
        self.num_hidden = drawn.num_units
        self.u = nn.Parameter(u, requires_grad=False)
        self.v = nn.Parameter(v, requires_grad=False)
        keeps = torch.tensor(drawn.input_of >= 0)
        kept = torch.tensor(v_mask) & keeps
        self.register_buffer("input_of", torch.tensor(drawn.input_of).clamp(min=0))
        self.register_buffer("u_mask", kept.any(dim=0))  # a unit that no output keeps is dropped
        self.register_buffer("v_mask", kept)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to outputs, as the target's layer does."""
        form = self.form
        if isinstance(form, Lookup):
            return form.apply(x, self.half_weights(1).to(self.v.dtype))
        # what is gathered is a copy, and may be changed
        hidden = form.gather(form.prepare(x, self.has_bias), self.input_of)
        hidden = hidden.mul_(form.along(self.u * self.u_mask))
        return form.apply(hidden.relu_() if form.activated else hidden, self.v * self.v_mask)

    def half_weights(self, sign: int) -> torch.Tensor:
        """Return what the units of one sign sum to: shape (num_outputs, num_inputs), float64."""
        serves = self.u_mask & (self.u * sign > 0) if self.form.activated else self.u_mask
        products = (self.v.double() * self.v_mask) * (self.u.double() * serves)
        sums = products.new_zeros(products.shape[0], self.num_inputs)
        return sums.index_add_(1, self.input_of, products)

    def kept(self) -> tuple[torch.Tensor, int]:
        """Return which units are kept, and how many entries of V."""
        return self.u_mask, int(self.v_mask.sum())

    def connected(self) -> torch.Tensor:
        """Return which inputs reach which outputs, shape (num_outputs, num_inputs)."""
        ways = torch.zeros(len(self.v_mask), self.num_inputs, device=self.v_mask.device)
        return ways.index_add_(1, self.input_of, (self.v_mask & self.u_mask).float()) > 0

    def alive(self, inputs: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Return the units and count the entries of V on a way from `inputs` to `outputs`."""
        edges = self.v_mask & self.u_mask & inputs[self.input_of] & outputs[:, None]
        return edges.any(dim=0), int(edges.sum())
