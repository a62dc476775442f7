"""The two-layer construction of Pensia et al. 2020: two random matrices for every target layer.

A target layer W becomes ``V relu(U x)``. Every hidden unit keeps one input, so that for each output
j and input i the kept products ``V[j, h] U[h, i]`` over the units h of input i sum to W[j, i]: a
SubsetSum. Units with U > 0 serve inputs > 0, units with U < 0 inputs < 0; each of these halves is a
SubsetSum of its own with the same target. A bias is the weight of one more input, always 1.

Pensia, Rajput, Nagle, Vishwakarma, Papailiopoulos, "Optimal Lottery Tickets via SubsetSum:
Logarithmic Over-Parameterization is Sufficient", NeurIPS 2020, arXiv 2006.07990.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray, IntArray
from instances.philox import UNIT_FACTOR, Stream
from instances.recipe import Recipe
from milp_lth.constructions.assignment import assign
from milp_lth.constructions.layout import Half, Layout, augmented
from milp_lth.constructions.two_matrices import TwoMatrices
from milp_lth.network import Network
from milp_lth.source import SECOND, Source


@dataclass(frozen=True, eq=False)
class TwoLayer(Layout):
    """One target layer and where each of its weights sits in U and V."""

    drawn: TwoMatrices

    def halves(self) -> tuple[Half, ...]:
        """Return the positive half and, unless the inputs are known to be ≥ 0, the negative one."""
        u, drawn = self.drawn.u(), self.drawn
        if not drawn.form.activated:
            return (Half(0, _grouped(drawn.input_of, u != 0, drawn.num_inputs)),)
        positive = Half(1, _grouped(drawn.input_of, u > 0, drawn.num_inputs))
        if not drawn.has_halves:
            return (positive,)
        signed = drawn.num_inputs - drawn.has_bias
        return positive, Half(-1, _grouped(drawn.input_of, u < 0, drawn.num_inputs)[:signed])

    def recipe(self, half: Half) -> Recipe:
        """Return how the products of U and V are drawn: V, multiplied by what U has."""
        drawn, usable = self.drawn, half.units >= 0
        return Recipe(
            Stream(drawn.source.seed, drawn.index, SECOND),
            stride=drawn.num_units,
            columns=half.units,
            rows_in_group=half.num_inputs,
            unit=UNIT_FACTOR,
            factors=np.where(usable, drawn.scale * drawn.u()[half.units], 0.0),
        )

    def scatter(self, half: Half, mask: BoolArray, layer_mask: BoolArray) -> None:
        """Write the answer to a half's rows, shape (rows, n), into the mask of V."""
        usable = half.units >= 0
        kept = mask.reshape(len(layer_mask), *half.units.shape)
        layer_mask[:, half.units[usable]] = kept[:, usable]


def two_layer(
    source: Source,
    index: int,
    network: Network,
    *,
    width: int,
    nonnegative: bool,
    assignment: str,
) -> TwoLayer:
    """Lay out the source for one target layer.

    Raises
    ------
    ValueError
        When the assignment is unknown or the weights are beyond what can be scaled.
    """
    layer = network.layers[index]
    weight = augmented(layer)
    num_inputs = weight.shape[1]
    signed = np.full(num_inputs, not nonnegative)
    if layer.bias is not None:
        signed[-1] = False
    drawn = TwoMatrices(
        source=source,
        index=index,
        num_inputs=num_inputs,
        num_outputs=len(weight),
        width=width,
        scale=scale_for(weight),
        has_bias=layer.bias is not None,
        nonnegative=nonnegative,
        input_of=assign(
            source, index, signed, width, assignment if layer.form.activated else "block"
        ),
        form=layer.form,
    )
    return TwoLayer(drawn, layer.name, weight)


def scale_for(weight: NDArray[Any]) -> float:
    """Return the smallest power of two s with max|weight| / s ≤ 1/4; 1 where all weights are 0.

    Raises
    ------
    ValueError
        When the weights are so large that s times a random number would not fit float32.
    """
    largest = max(-float(weight.min()), float(weight.max()))
    if largest == 0:
        return 1.0
    if largest > 2.0**110:
        raise ValueError(f"weights up to {largest:.3g} are too large: rescale the target")
    mantissa, exponent = np.frexp(4 * largest)
    # smaller scales would leave float32's normal numbers
    return float(2.0 ** max(int(exponent) - (mantissa == 0.5), -100))


def _grouped(input_of: IntArray, serves: BoolArray, num_inputs: int) -> IntArray:
    """List for each input the units that serve it, in ascending order, padded with −1."""
    units = np.flatnonzero(serves & (input_of >= 0))
    units = units[np.argsort(input_of[units], kind="stable")]
    count = np.bincount(input_of[units], minlength=num_inputs)
    table = np.full((num_inputs, int(count.max(initial=0))), -1, dtype=np.int64)
    place = np.arange(len(units)) - np.repeat(np.cumsum(count) - count, count)
    table[input_of[units], place] = units
    return table
