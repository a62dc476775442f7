"""Perturbed: kept weights may move a little, so fewer of them are needed.

Every kept entry of V may move by up to `perturbation` times the scale, and with it its product by
that times |U|. A weight is then met where some subset comes close enough for the movements to
bridge what is missing: a program with a continuous slack beside each candidate,

.. code-block:: text

    min |w − Σ (a_k x_k + y_k)|    subject to  |y_k| ≤ p_k x_k

`instances.perturbed` states it. The ticket's weights are what was drawn plus what they moved, which
its file holds, one number for a weight and half: all kept entries use the same fraction of their
freedom. They are rounded to the ticket's floats, so errors are small rather than zero.

Xiong, Liao, Kyrillidis, "Strong Lottery Ticket Hypothesis with ε-perturbation", AISTATS 2023,
arXiv 2210.16589.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.objectives import Closest, FixedSize, Objective
from instances.perturbed import PerturbedSubsetSum
from milp_lth.constructions.layout import Half, augmented
from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_layer import TwoLayer, laid_out
from milp_lth.constructions.two_matrices import TwoMatrices
from milp_lth.network import Network
from milp_lth.source import Source

THEOREM = Theorem(
    paper="Xiong et al. 2023",
    assumes="as two-layer; every weight may move by up to ε′ before it is pruned",
    width="that of two-layer times O(1 / (1 + ε′))",
    depth="2l",
    promises="every such target to within ε; the ticket's weights are no longer those drawn",
)


@dataclass(frozen=True, eq=False)
class PerturbedMatrices(TwoMatrices):
    """U and V, whose kept entries of V have moved."""

    movement: FloatArray
    """Shape (2, num_outputs, num_inputs): which fraction of that the entries of V use that serve
    inputs above and below 0; positive: their products grow."""

    @property
    def perturbation(self) -> float:
        """The source's: how far an entry may move, in units of the scale."""
        assert self.source.perturbation is not None
        return self.source.perturbation

    def v(self, first: int = 0, stop: int | None = None) -> FloatArray:
        """Return the rows of V from output `first` to before `stop`, with what they moved."""
        moved = self.of_units(self.movement)[first:stop] * np.sign(self.u())
        return super().v(first, stop) + self.scale * self.perturbation * moved

    def arrays(self) -> dict[str, Any]:
        """Return `input_of` and `movement`."""
        return super().arrays() | {"movement": self.movement}

    @classmethod
    def _checked(cls, arrays: Any, numbers: dict[str, Any]) -> dict[str, Any]:
        movement = arrays["movement"]
        shape = 2, numbers["num_outputs"], numbers["num_inputs"]
        if movement.shape != shape or movement.dtype != np.float64:
            raise ValueError("its movements do not fit the layer")
        if not (np.abs(movement) <= 1).all():
            raise ValueError("its weights moved further than they may")
        return super()._checked(arrays, numbers) | {"movement": movement}


@dataclass(frozen=True, eq=False)
class Perturbed(TwoLayer):
    """One target layer beside two random matrices, the second of which may move."""

    drawn: PerturbedMatrices

    def instance(  # type: ignore[override]
        self, half: Half, objective: Objective, start: int, stop: int
    ) -> PerturbedSubsetSum:
        """State the problems of the rows from `start` to before `stop`."""
        if isinstance(objective, FixedSize):
            raise ValueError("the perturbed construction asks for closest or sparsest subsets")
        stated = super().instance(half, objective, start, stop)
        drawn = self.drawn
        sizes = np.where(half.units >= 0, np.abs(drawn.u()[half.units]), 0.0)
        freedom = drawn.scale * drawn.perturbation * sizes
        return PerturbedSubsetSum(
            stated.coefficients,
            stated.targets,
            freedom[np.arange(start, stop) % half.num_inputs],
            objective,
            stated.available,
        )

    def answered(self, masks: Sequence[tuple[Half, BoolArray]]) -> PerturbedMatrices:
        """Return the matrices with the movements that the kept entries need."""
        movement = np.zeros_like(self.drawn.movement)
        for half, mask in masks:
            rows = self.instance(half, Closest(), 0, len(mask))
            moved = rows.movement(mask).reshape(-1, half.num_inputs)
            movement[int(half.sign < 0), :, : half.num_inputs] = moved
        return replace(self.drawn, movement=movement)


def perturbed(source: Source, index: int, network: Network, **options: Any) -> Perturbed:
    """Lay out the source for one target layer, see `two_layer`."""
    num_outputs, num_inputs = augmented(network.layers[index]).shape
    unmoved = np.zeros((2, num_outputs, num_inputs))
    return laid_out(Perturbed, PerturbedMatrices, source, index, network, options, movement=unmoved)
