"""The random matrices ±1 that stand for one target layer, and the module they make under masks.

`milp_lth.constructions.binary` says why.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from instances.arrays import BoolArray, FloatArray, IntArray
from milp_lth.constructions.layout import PrunedLayer
from milp_lth.constructions.two_matrices import HiddenUnits
from milp_lth.networks.forms import Lookup
from milp_lth.source import SECOND, Source

LADDER = 1024
"""Level m = 2, 3, … of the ladder is the matrix of this number + m."""


@dataclass(frozen=True, eq=False)
class BinaryLadder(HiddenUnits):
    """The matrices ±1 and ±step of one layer of the source: U, the levels from 2 on, and V.

    All levels have as many units as the first. Only entries between units of the same input and
    sign are ever drawn.
    """

    step: float
    """The power of two that V's entries are, up to their sign."""
    parents: IntArray
    """Shape (bits − 1, num_units, 2): the units one level below that a unit of level 2, 3, …
    keeps its edges to; −1: none."""

    @property
    def bits(self) -> int:
        """Levels."""
        return len(self.parents) + 1

    @property
    def depth(self) -> int:
        """One for every binary place, and V."""
        return self.bits + 1

    def edges(self) -> FloatArray:
        """Return what was drawn between units and their parents, shaped like these; 0 for none."""
        units = np.arange(self.num_units)[:, None]
        drawn = np.zeros(self.parents.shape)
        for k, parents in enumerate(self.parents):
            drawn[k] = self.source.draw(self.index, LADDER + 2 + k, self.num_units, units, parents)
        return np.where(self.parents >= 0, drawn, 0.0)

    def v(self, first: int = 0, stop: int | None = None) -> FloatArray:
        """Return the rows of V from output `first` to before `stop`, shape (rows, num_units)."""
        outputs = np.arange(self.num_outputs)[first:stop, None]
        units = np.arange(self.num_units)
        return self.step * self.source.draw(self.index, SECOND, self.num_units, outputs, units)

    def powers(self) -> IntArray:
        """Return the p of what each unit of the last level carries, ``2ᵖ |x|``; −1: nothing."""
        powers = np.where(self.input_of >= 0, 0, -1)
        for parents in self.parents:
            powers = _powers_above(powers, parents)
        return powers

    def num_edges(self) -> tuple[int, int]:
        """Count the entries of all matrices, and those left when units keep what they keep.

        That is one input each at level 1, one or two parents each above, and all of V.
        """
        num_units, num_outputs = self.num_units, self.num_outputs
        between = (self.bits - 1) * num_units**2
        kept = int((self.parents >= 0).sum())
        return (
            num_units * (self.num_inputs + num_outputs) + between,
            num_units * (1 + num_outputs) + kept,
        )

    def pruned(
        self, mask: BoolArray, dtype: torch.dtype, *, first: int = 0, weights: bool = True
    ) -> "PrunedLadder":
        """Return the layer under `mask`; every dtype holds what was drawn exactly."""
        if not weights:
            return PrunedLadder(self, mask, *(torch.empty(0) for _ in range(3)))
        drawn = self.u(), self.edges(), self.v(first, first + len(mask))
        return PrunedLadder(self, mask, *(torch.tensor(w, dtype=dtype) for w in drawn))

    def arrays(self) -> dict[str, Any]:
        """Return `input_of` and `parents`."""
        found = {"input_of": self.input_of, "parents": self.parents}
        return {name: array.astype(np.int32) for name, array in found.items()}

    @classmethod
    def read(cls, source: Source, index: int, stated: dict[str, Any], arrays: Any) -> Self:
        """Return the layer that `stated` and `arrays` of a file describe.

        Raises
        ------
        KeyError, TypeError, ValueError
            When they do not describe one, or keep an edge between units that is not +1.
        """
        ladder = super().read(source, index, stated, arrays)
        if ladder.bits != source.bits or not ladder.form.activated:
            raise ValueError("its levels are not those of its source")
        if (ladder.edges()[ladder.parents >= 0] != 1).any():
            raise ValueError("its units keep edges between them that are not +1")
        block = 2 * ladder.input_of + (ladder.u() < 0)
        same = block[ladder.parents] == block[:, None]
        if not (same | (ladder.parents < 0)).all():
            raise ValueError("its units have parents that keep another input")
        return ladder

    @classmethod
    def _checked(cls, arrays: Any, numbers: dict[str, Any]) -> dict[str, Any]:
        checked = super()._checked(arrays, numbers)
        input_of, parents = checked["input_of"], arrays["parents"]
        num_units = len(input_of)
        if parents.shape != (len(parents), num_units, 2) or parents.dtype != np.int32:
            raise ValueError("the parents of its units do not fit the layer")
        if parents.size and not -1 <= parents.min() <= parents.max() < num_units:
            raise ValueError("its units have parents that the layer does not have")
        if not 2.0**-140 < numbers["step"] < 2.0**112 or np.frexp(numbers["step"])[0] != 0.5:
            raise ValueError("its step is no power of two, or far too small or large")
        powers = np.where(input_of >= 0, 0, -1)
        for level in parents:
            first, second = level.T
            two = second >= 0
            carried = powers[level]
            if (
                (two & (first < 0)).any()
                or (two & (first == second)).any()
                or (carried[level >= 0] < 0).any()
                or (carried[two, 0] != carried[two, 1]).any()
            ):
                raise ValueError("its units keep edges that neither pass on nor double")
            powers = _powers_above(powers, level)
        return checked | {"parents": parents.astype(np.int64)}


class PrunedLadder(PrunedLayer):
    """``V relu(… relu(L₂ relu(U x)))`` under its masks.

    Units keep one entry of U, and two of the levels between at most: these are held as those
    entries, `u` (num_units,) and `ladder` (bits − 1, num_units, 2), and their columns, `input_of`
    and `parents`.

    Parameters
    ----------
    drawn
        What the layer's weights are drawn from.
    v_mask
        Shape (num_outputs, num_units), bool: the kept entries of V.
    u, ladder, v
        What was drawn for these outputs: ±1 and ±step, 0 where there is no edge.
    """

    u: torch.Tensor
    ladder: torch.Tensor
    input_of: torch.Tensor
    parents: torch.Tensor
    u_mask: torch.Tensor
    ladder_mask: torch.Tensor

    def __init__(
        self,
        drawn: BinaryLadder,
        v_mask: BoolArray,
        u: torch.Tensor,
        ladder: torch.Tensor,
        v: torch.Tensor,
    ) -> None:
        super().__init__(drawn)
        self.num_hidden = drawn.bits * drawn.num_units
        self.u = nn.Parameter(u, requires_grad=False)
        self.ladder = nn.Parameter(ladder, requires_grad=False)
        self.v = nn.Parameter(v, requires_grad=False)
        kept = torch.tensor(v_mask) & torch.tensor(drawn.powers() >= 0)
        self.register_buffer("input_of", torch.tensor(drawn.input_of).clamp(min=0))
        self.register_buffer("parents", torch.tensor(drawn.parents).clamp(min=0))
        self.register_buffer("u_mask", torch.tensor(drawn.input_of >= 0))
        self.register_buffer("ladder_mask", torch.tensor(drawn.parents >= 0))
        # what no output needs is dropped
        self.u_mask, self.ladder_mask = self._needed(kept.any(dim=0))
        self.register_buffer("v_mask", kept)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to outputs, as the target's layer does."""
        form = self.form
        if isinstance(form, Lookup):
            return form.apply(x, self.half_weights(1).to(self.v.dtype))
        # what is gathered is a copy, and may be changed
        hidden = form.gather(form.prepare(x, self.has_bias), self.input_of)
        hidden = hidden.mul_(form.along(self.u * self.u_mask)).relu_()
        for parents, weights in zip(self.parents, self.ladder * self.ladder_mask, strict=True):
            first, second = (
                form.gather(hidden, parents[:, k]).mul_(form.along(weights[:, k])) for k in (0, 1)
            )
            hidden = first.add_(second).relu_()
        return form.apply(hidden, self.v * self.v_mask)

    def half_weights(self, sign: int) -> torch.Tensor:
        """Return what the units of one sign sum to: shape (num_outputs, num_inputs), float64."""
        u = self.u.double()
        carried = u * (self.u_mask & (u * sign > 0))
        for parents, weights in zip(self.parents, self.ladder * self.ladder_mask, strict=True):
            carried = (carried[parents] * weights.double()).sum(dim=1)
        products = (self.v.double() * self.v_mask) * carried
        sums = products.new_zeros(products.shape[0], self.num_inputs)
        return sums.index_add_(1, self.input_of, products)

    def kept(self) -> tuple[torch.Tensor, int]:
        """Return which edges in front of V are kept, and how many entries of V.

        The edges are those of U, one a unit, then two for every unit of the levels from 2 on.
        """
        edges = torch.cat([self.u_mask, self.ladder_mask.flatten()])
        return edges, int(self.v_mask.sum())

    def connected(self) -> torch.Tensor:
        """Return which inputs reach which outputs, shape (num_outputs, num_inputs)."""
        ways = torch.zeros(len(self.v_mask), self.num_inputs, device=self.v_mask.device)
        return ways.index_add_(1, self.input_of, self.v_mask.float()) > 0

    def alive(self, inputs: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Return what `kept` does, of the edges on a way from `inputs` to `outputs` alone."""
        edges = self.v_mask & inputs[self.input_of] & outputs[:, None]
        u_mask, ladder_mask = self._needed(edges.any(dim=0))
        return torch.cat([u_mask, ladder_mask.flatten()]), int(edges.sum())

    def _needed(self, top: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which edges of U and of the levels between lead to some unit of the last level."""
        ladder = torch.zeros_like(self.ladder_mask)
        for k in reversed(range(len(ladder))):
            ladder[k] = self.ladder_mask[k] & top[:, None]
            top = torch.zeros_like(top)
            top[self.parents[k][ladder[k]]] = True
        return self.u_mask & top, ladder


def _powers_above(powers: IntArray, parents: IntArray) -> IntArray:
    """Return what the units above those with `powers` carry; −1 where they have no parents."""
    first, second = parents.T
    above: IntArray = np.where(first >= 0, powers[first] + (second >= 0), -1)
    return above
