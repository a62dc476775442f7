"""The two-layer construction of Pensia et al. 2020: two random matrices for every target layer.

A target layer W becomes ``V relu(U x)``. Every hidden unit keeps one input, so that for each output
j and input i the kept products ``V[j, h] U[h, i]`` over the units h of input i sum to W[j, i]: a
SubsetSum. Units with U > 0 serve inputs > 0, units with U < 0 inputs < 0; each of these halves is a
SubsetSum of its own with the same target. A bias is the weight of one more input, always 1.

Pensia, Rajput, Nagle, Vishwakarma, Papailiopoulos, "Optimal Lottery Tickets via SubsetSum:
Logarithmic Over-Parameterization is Sufficient", NeurIPS 2020, arXiv 2006.07990.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.distributions import Distribution
from instances.objectives import Objective
from instances.philox import Stream
from instances.recipe import Recipe
from instances.subset_sum import SubsetSum
from milp_lth.constructions.assignment import assign
from milp_lth.constructions.layout import Half, Layout, augmented
from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_matrices import HiddenUnits, TwoMatrices
from milp_lth.network import Network
from milp_lth.source import REDRAWN, SECOND, Source

THEOREM = Theorem(
    paper="Pensia et al. 2020",
    assumes="spectral norms ≤ 1, ‖x‖ ≤ 1, no biases; draws uniform or a mixture with that",
    width="C d log(dl / min{ε, δ})",
    depth="2l",
    promises="every such target at once, to within ε, with probability 1 − δ",
)

T = TypeVar("T", bound="TwoLayer")


@dataclass(frozen=True, eq=False)
class TwoLayer(Layout):
    """One target layer and where each of its weights sits in U and V."""

    drawn: TwoMatrices

    def halves(self) -> tuple[Half, ...]:
        """Return the positive half and, unless the inputs are known to be ≥ 0, the negative one."""
        drawn = self.drawn
        if not drawn.form.activated:
            return (Half(0, grouped(drawn.input_of, drawn.u() != 0, drawn.num_inputs)),)
        return signed_halves(drawn, np.full(drawn.num_units, True))

    def recipe(self, half: Half) -> Recipe:
        """Return how the products of U and V are drawn: V, multiplied by what U has."""
        drawn, usable = self.drawn, half.units >= 0
        return Recipe(
            Stream(drawn.source.seed, drawn.index, SECOND),
            stride=drawn.num_units,
            columns=half.units,
            rows_in_group=half.num_inputs,
            unit=Distribution(drawn.source.distribution).factor_unit,
            distribution=drawn.source.distribution,
            factors=np.where(usable, drawn.scale * drawn.u()[half.units], 0.0),
        )

    def redrawn(self, half: Half, rows: IntArray, attempt: int) -> FloatArray:
        """Return the candidates that rows of a half have in their `attempt`, from 1 on."""
        recipe = self.recipe(half)
        recipe = replace(recipe, stream=recipe.stream._replace(matrix=REDRAWN + attempt))
        return np.concatenate([recipe.beginning(row).draw(1) for row in rows.tolist()])

    def candidates(self, half: Half, first: int, last: int) -> FloatArray:
        """Return what may be summed, shape (outputs first to before last, inputs, n)."""
        drawn = super().candidates(half, first, last)
        rows = drawn.reshape(-1, drawn.shape[-1])
        return self._with_redraws(half, first * half.num_inputs, rows).reshape(drawn.shape)

    def instance(self, half: Half, objective: Objective, start: int, stop: int) -> SubsetSum:
        """State the problems of the rows from `start` to before `stop`."""
        stated = super().instance(half, objective, start, stop)
        coefficients = self._with_redraws(half, start, stated.coefficients)
        if coefficients is stated.coefficients:
            return stated
        return SubsetSum(coefficients, stated.targets, objective, stated.available)

    def _with_redraws(self, half: Half, start: int, coefficients: FloatArray) -> FloatArray:
        """Return the rows from `start` on, those that were drawn again as they were then."""
        if self.drawn.attempts is None:
            return coefficients
        of_half = self.drawn.attempts[int(half.sign < 0), :, : half.num_inputs]
        attempts = of_half.reshape(-1)[start : start + len(coefficients)]
        if not attempts.any():
            return coefficients
        coefficients = coefficients.copy()
        for attempt in np.unique(attempts[attempts > 0]).tolist():
            rows = np.flatnonzero(attempts == attempt)
            coefficients[rows] = self.redrawn(half, start + rows, attempt)
        return coefficients


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
    options = {"width": width, "nonnegative": nonnegative, "assignment": assignment}
    return laid_out(TwoLayer, TwoMatrices, source, index, network, options)


def laid_out(
    kind: type[T],
    matrices: type[TwoMatrices],
    source: Source,
    index: int,
    network: Network,
    options: dict[str, Any],
    **own: Any,
) -> T:
    """Lay out the source for one target layer, as a `kind` of layout drawn from such `matrices`.

    `options` are those of `two_layer`, which says what it refuses; `own` the fields that these
    matrices have beside.
    """
    layer = network.layers[index]
    weight = augmented(layer)
    fields = matrices_for(source, index, network, weight, **options)
    return kind(matrices(**fields, **own), layer.name, weight)


def matrices_for(
    source: Source,
    index: int,
    network: Network,
    weight: NDArray[Any],
    *,
    width: int,
    nonnegative: bool,
    assignment: str,
    scale: float | None = None,
) -> dict[str, Any]:
    """Return the fields of the `TwoMatrices` that stand for a layer with these weights.

    Raises
    ------
    ValueError
        When the assignment is unknown or the weights are beyond what can be scaled.
    """
    layer = network.layers[index]
    num_inputs = weight.shape[1]
    signed = np.full(num_inputs, not nonnegative)
    if layer.bias is not None:
        signed[-1] = False
    if scale is None:
        scale = scale_for(weight, reach(source.distribution, width))
    return {
        "source": source,
        "index": index,
        "num_inputs": num_inputs,
        "num_outputs": len(weight),
        "width": width,
        "scale": scale,
        "has_bias": layer.bias is not None,
        "nonnegative": nonnegative,
        "input_of": assign(
            source, index, signed, width, assignment if layer.form.activated else "block"
        ),
        "form": layer.form,
    }


def reach(distribution: str, width: int) -> float:
    """Return how large a weight may be beside the scale: a power of two.

    Draws of many sizes reach a quarter of it from few candidates on. Draws of one size alone are
    counted, not chosen: the more there are, the smaller they may be.
    """
    largest = Distribution(distribution).largest
    if distribution not in ("binary", "signed-constant"):
        return 0.25
    return float(2.0 ** np.floor(np.log2(max(0.25, width * largest**2 / 8))))


def scale_for(weight: NDArray[Any], reach: float = 0.25) -> float:
    """Return the smallest power of two s with max|weight| / s ≤ `reach`; 1 where all are 0.

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
    mantissa, exponent = np.frexp(largest / reach)
    # smaller scales would leave float32's normal numbers
    return float(2.0 ** max(int(exponent) - (mantissa == 0.5), -100))


def signed_halves(drawn: HiddenUnits, usable: BoolArray) -> tuple[Half, ...]:
    """Return the units that serve inputs above 0 and, where there are any, those below."""
    u = drawn.u()
    positive = Half(1, grouped(drawn.input_of, usable & (u > 0), drawn.num_inputs))
    if not drawn.has_halves:
        return (positive,)
    negative = grouped(drawn.input_of, usable & (u < 0), drawn.num_inputs)
    return positive, Half(-1, negative[: drawn.fan_in])


def grouped(input_of: IntArray, serves: BoolArray, num_inputs: int) -> IntArray:
    """List for each input the units that serve it, in ascending order, padded with −1."""
    units = np.flatnonzero(serves & (input_of >= 0))
    units = units[np.argsort(input_of[units], kind="stable")]
    count = np.bincount(input_of[units], minlength=num_inputs)
    table = np.full((num_inputs, int(count.max(initial=0))), -1, dtype=np.int64)
    place = np.arange(len(units)) - np.repeat(np.cumsum(count) - count, count)
    table[input_of[units], place] = units
    return table
