"""A target and its ticket as two chains of the same shape: affine layers with ReLUs between.

Both are meant as functions of real numbers: the weights are what they are in float32 or float64,
and nothing is rounded after that. A forward in floating point adds its own roundings.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count

import numpy as np
import torch
from torch import nn

from instances.arrays import FloatArray
from milp_lth.certificates.rounding import difference
from milp_lth.certificates.unrolled import (
    SUPPORTED,
    Mixed,
    Place,
    Rectified,
    Step,
    steps_of,
    unrolled,
)
from milp_lth.constructions.layout import PrunedLayer
from milp_lth.network import Network, read_network
from milp_lth.networks.layer import LinearLayer
from milp_lth.networks.row import LINEAR, RELU
from milp_lth.networks.walked import Walked
from milp_lth.ticket import Ticket

_INTEGERS = 2.0**53


@dataclass(frozen=True, eq=False)
class PairedLayer:
    """One affine layer of the target beside the ticket's, both exact in float64."""

    name: str
    target: FloatArray
    """Shape (outputs, inputs)."""
    target_bias: FloatArray
    ticket: FloatArray
    ticket_bias: FloatArray
    is_given: bool = True
    """Whether the target has it; others copy or pool numbers, alike in both networks."""

    @cached_property
    def error(self) -> tuple[FloatArray, FloatArray]:
        """ΔW = ticket − target in float64, and what was rounded away of it."""
        return difference(self.ticket, self.target)

    @cached_property
    def bias_error(self) -> tuple[FloatArray, FloatArray]:
        """Δb in the same two parts."""
        return difference(self.ticket_bias, self.target_bias)

    def after(self, matrix: FloatArray) -> "PairedLayer":
        """Return the layer with a matrix of ±1 and powers of two in front of it."""
        return replace(self, target=self.target @ matrix, ticket=self.ticket @ matrix)


@dataclass(frozen=True, eq=False)
class Pair:
    """Both networks: ``layers`` with a ReLU behind each but the last.

    Where `by_sign`, the first layer's inputs are relu(x) and, behind it, relu(−x).
    """

    layers: tuple[PairedLayer, ...]
    by_sign: bool
    input_range: tuple[float, float]

    @property
    def num_inputs(self) -> int:
        """Inputs of the networks."""
        return int(self.layers[0].target.shape[1]) // (2 if self.by_sign else 1)

    @property
    def num_outputs(self) -> int:
        """Outputs of the networks."""
        return len(self.layers[-1].target)

    @property
    def is_equal(self) -> bool:
        """Whether both networks have the same weights."""
        return not any(
            part.any() for layer in self.layers for part in (*layer.error, *layer.bias_error)
        )

    def twice(self, which: str) -> "Pair":
        """Return a pair of the "target" or the "ticket" with itself."""
        layers = []
        for layer in self.layers:
            weight, bias = getattr(layer, which), getattr(layer, f"{which}_bias")
            layers.append(PairedLayer(layer.name, weight, bias, weight, bias, layer.is_given))
        return Pair(tuple(layers), self.by_sign, self.input_range)

    def box(self) -> tuple[FloatArray, FloatArray]:
        """Return the whole input range, as the lowest and the highest value of every input."""
        low, high = map(float, self.input_range)
        return np.full(self.num_inputs, low), np.full(self.num_inputs, high)


def read_pair(target: nn.Module, ticket: Ticket) -> Pair:
    """State a target and its ticket as two chains of the same shape.

    Parameters
    ----------
    target
        Linear, ReLU, Flatten and Dropout in a row; or a Sequential of these, Conv2d and pooling, of
        small pictures, see `milp_lth.certificates.unrolled`. A BatchNorm belongs to the layer
        before it, as it was read when the ticket was found.
    ticket
        What was found for it, in any construction that makes every neuron once.

    Raises
    ------
    ValueError
        When one of them is anything else, they do not belong together, or the sums of the ticket's
        edges are not exact in float64.
    """
    if not isinstance(ticket, Ticket):
        raise ValueError(
            f"certificates are for tickets that fit into memory, not for a {type(ticket).__name__}"
        )
    network = read_network(target)
    _check_shapes(network, ticket)
    steps = _steps(network)
    by_sign = ticket.layers[0].has_halves and isinstance(steps[0], Place)
    chain = _Chain(by_sign)
    for step in steps:
        if isinstance(step, Mixed):
            chain.mix(step.matrix)
        elif isinstance(step, Rectified):
            chain.rectify(ticket.layers[0].num_inputs - ticket.layers[0].has_bias)
        else:
            k = step.layer
            chain.add_layer(partial(_paired, network.layers[k], ticket.layers[k], step.shape))
    return Pair(chain.finished(), by_sign, ticket.settings.input_range)


class _Chain:
    """Layers as they are added; behind each but the last there will be a ReLU."""

    def __init__(self, by_sign: bool) -> None:
        self.by_sign = by_sign
        self.layers: list[PairedLayer] = []
        self.waiting: FloatArray | None = None  # what both multiply by next
        self.positive = False  # whether the numbers that come now are a ReLU's

    def mix(self, matrix: FloatArray) -> None:
        """Multiply by a matrix of both networks."""
        self.waiting = matrix if self.waiting is None else _product(matrix, self.waiting)

    def rectify(self, num_inputs: int) -> None:
        """Apply a ReLU: what comes next sees numbers ≥ 0."""
        if self.waiting is None and not self.layers:
            self.waiting = np.eye(num_inputs)
        self._multiply()
        self.positive = True

    def add_layer(self, layer: Callable[[bool], PairedLayer]) -> None:
        """Add a layer of the target; it is told whether its inputs are taken apart by sign."""
        before = self.waiting
        if before is not None and self.positive and _is_selection(layer(False), before):
            self._add(lambda apart: layer(apart).after(before))
            self.waiting = None
        else:
            self._multiply()
            self._add(layer)

    def finished(self) -> tuple[PairedLayer, ...]:
        """Return all layers."""
        if self.positive and self.waiting is None:
            self.waiting = np.eye(len(self.layers[-1].target))
        self._multiply()
        return tuple(self.layers)

    def _multiply(self) -> None:
        if self.waiting is not None:
            self._add(partial(_shared, self.waiting))
            self.waiting = None

    def _add(self, layer: Callable[[bool], PairedLayer]) -> None:
        apart = not self.positive if self.layers else self.by_sign
        if apart and self.layers:
            self.layers[-1] = _taken_apart(self.layers[-1])
        self.layers.append(layer(apart))
        self.positive = False


def _steps(network: Network) -> list[Step]:
    body = network.body
    if isinstance(body, Walked):
        outputs = [len(layer.weight) // layer.form.taps for layer in network.layers]
        return list(steps_of(body, outputs))
    steps: list[Step] = []
    places = count()
    for step in network.steps:
        if step == LINEAR:
            steps.append(Place(next(places), ()))
        elif step == RELU:
            steps.append(Rectified())
    return steps


def _check_shapes(network: Network, ticket: Ticket) -> None:
    if network.steps != ticket.settings.body.steps or len(network.layers) != len(ticket.layers):
        raise ValueError("the ticket was made for a target with other steps")
    if any(layer.copies > 1 for layer in ticket.layers):
        raise ValueError(
            f"{SUPPORTED}, each neuron made once: construction "
            f"{ticket.settings.source.construction} makes copies"
        )
    for wanted, pruned in zip(network.layers, ticket.layers, strict=True):
        shape = len(pruned.v_mask), pruned.num_inputs - pruned.has_bias
        if (*shape, pruned.has_bias) != (*wanted.weight.shape, wanted.bias is not None):
            raise ValueError(f"layer {wanted.name!r} has another shape than the ticket's")


def _paired(
    wanted: LinearLayer, pruned: PrunedLayer, shape: tuple[int, ...], apart: bool
) -> PairedLayer:
    """State one layer, with columns for relu(x) and relu(−x) where these are `apart`."""
    own = None if wanted.bias is None else wanted.bias.astype(np.float64)
    weight, bias = unrolled(wanted.form, wanted.weight.astype(np.float64), own, shape)
    positive, ticket_bias = unrolled(pruned.form, *_folded(pruned, 1), shape)
    if not apart:
        return PairedLayer(wanted.name, weight, bias, positive, ticket_bias)
    negative = positive
    if pruned.has_halves:
        negative, _ = unrolled(pruned.form, _folded(pruned, -1)[0], None, shape)
    return PairedLayer(
        wanted.name,
        np.hstack([weight, -weight]),
        bias,
        np.hstack([positive, -negative]),
        ticket_bias,
    )


def _folded(layer: PrunedLayer, sign: int) -> tuple[FloatArray, FloatArray]:
    """Return the matrix and the bias that a layer's edges of one sign sum to, exactly.

    Raises
    ------
    ValueError
        When float64 may have rounded a sum.
    """
    _check_exact(layer, sign)
    sums = layer.folded(sign).cpu().numpy()
    num_weights = sums.shape[1] - layer.has_bias
    return sums[:, :num_weights].copy(), sums[:, num_weights:].sum(axis=1)


def _check_exact(layer: PrunedLayer, sign: int) -> None:
    """Refuse sums that reach 2⁵³ times the grid that all products lie on.

    The sum of absolute values is what the layer itself computes of ``|u|``, with the sign that is
    asked for, and the absolute values of all others.
    """
    absolute = copy.deepcopy(layer)
    grid = 1.0
    for name, parameter in absolute.named_parameters(recurse=False):
        numbers = parameter.detach().double()
        depth = len(numbers) if name == "ladder" else 1
        grid *= _grid(numbers) ** depth
        parameter.data = (numbers.abs() * (sign if name == "u" else 1)).to(parameter.dtype)
    largest = float(absolute.folded(sign).abs().max())
    taps = layer.form.taps  # of a convolution's bias they are added up
    if not taps * largest * (1 + 1e-9) < _INTEGERS * grid:
        raise ValueError(
            "the ticket's edges are so many, or of such different sizes, that their sums are not "
            "exact in float64: there is no certificate for it"
        )


def _grid(numbers: torch.Tensor) -> float:
    """Return the largest power of two that all numbers are multiples of; 1 where all are 0."""
    array = numbers.numpy().ravel()
    array = array[array != 0]
    if not len(array):
        return 1.0
    mantissa, exponent = np.frexp(array)
    integers = np.ldexp(mantissa, 53).astype(np.int64)
    trailing = np.frexp((integers & -integers).astype(np.float64))[1] - 1
    return float(2.0 ** int((exponent - 53 + trailing).min()))


def _taken_apart(layer: PairedLayer) -> PairedLayer:
    """Return a layer whose outputs come twice, so that the ReLUs give y = relu(y) − relu(−y)."""
    return PairedLayer(
        layer.name,
        np.vstack([layer.target, -layer.target]),
        np.concatenate([layer.target_bias, -layer.target_bias]),
        np.vstack([layer.ticket, -layer.ticket]),
        np.concatenate([layer.ticket_bias, -layer.ticket_bias]),
        layer.is_given,
    )


def _shared(matrix: FloatArray, apart: bool) -> PairedLayer:
    """Return a layer that both networks have."""
    matrix = np.hstack([matrix, -matrix]) if apart else matrix
    none = np.zeros(len(matrix))
    return PairedLayer("", matrix, none, matrix, none, is_given=False)


def _is_selection(layer: PairedLayer, matrix: FloatArray) -> bool:
    """Return whether a layer behind `matrix` is a product of one number each: it is exact."""
    there = (layer.target != 0) | (layer.ticket != 0)
    return bool(((there * 1.0) @ (matrix != 0)).max() <= 1)


def _product(second: FloatArray, first: FloatArray) -> FloatArray:
    """Multiply matrices that both networks have.

    Raises
    ------
    ValueError
        When that takes sums.
    """
    if (((second != 0) * 1.0) @ (first != 0)).max() > 1:
        raise ValueError(f"{SUPPORTED}: one pooling behind another")
    return np.asarray(second @ first)
