"""Bounds on linear functions of both networks, by planes above what a ReLU does to them.

Beside each pre-activation a of the target stands the ticket's, a + d. What passes on is
z = relu(a) and the difference e = relu(a + d) − relu(a). Over a rectangle of (a, d) any function
c_z z + c_e e is linear on pieces cut by the lines a = 0 and a + d = 0, so it exceeds a plane
p a + s d most at a corner of a piece: *every* choice of p and s gives a bound that holds. Layer
by layer, from the last to the first, planes turn a function of (z, e) into one of the inputs, as in
DeepPoly (Singh et al., POPL 2019) and, for two networks side by side, ReluDiff (Paulsen, Wang,
Wang, ICSE 2020).

The difference d has its own rows, ΔW z + W′ e + Δb: it is never found by subtracting two numbers
that are a million times as large.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from instances.arrays import BoolArray, FloatArray
from milp_lth.certificates.affine import Pair
from milp_lth.certificates.rounding import TINY, gamma, up

Box = tuple[FloatArray, FloatArray]
"""The lowest and the highest value of every input, each of shape (num_inputs,)."""


class Corners(NamedTuple):
    """Where the pieces of every neuron of a layer have corners; arrays of shape (n, 11)."""

    a: FloatArray
    d: FloatArray
    z: FloatArray
    e: FloatArray
    """Rounded where both numbers are large; all others are exact."""
    allowed: BoolArray
    """Which of them are corners of a piece that is looked at."""


@dataclass(frozen=True, eq=False)
class Neurons:
    """What is known of the neurons of one hidden layer; arrays of shape (n,).

    `a_sign` and `b_sign` are 1 or −1 where a and b = a + d are assumed to be ≥ 0 or ≤ 0.
    """

    a_low: FloatArray
    a_high: FloatArray
    d_low: FloatArray
    d_high: FloatArray
    a_sign: FloatArray
    b_sign: FloatArray

    @property
    def largest_z(self) -> FloatArray:
        """The largest relu(a)."""
        return np.maximum(self.a_high, 0.0)

    @property
    def largest_e(self) -> FloatArray:
        """The largest ``|e|``: e lies between 0 and d."""
        return np.maximum(np.abs(self.d_low), np.abs(self.d_high))

    def assume(self, neuron: int, of_ticket: bool, sign: int) -> "Neurons":
        """Return the same where the target's or the ticket's neuron is on one side of 0."""
        name = "b_sign" if of_ticket else "a_sign"
        signs = getattr(self, name).copy()
        signs[neuron] = sign
        return replace(self, **{name: signs})

    def corners(self) -> Corners:
        """Return all corners; none is allowed where the assumptions exclude each other."""
        low, high, least, most = self.a_low, self.a_high, self.d_low, self.d_high
        zero = np.zeros_like(low)
        a = np.stack([low, low, high, high, zero, zero, -least, -most, low, high, zero], axis=1)
        d = np.stack(
            [least, most, least, most, least, most, least, most, -low, -high, zero], axis=1
        )
        allowed = (a >= low[:, None]) & (a <= high[:, None])
        allowed &= (d >= least[:, None]) & (d <= most[:, None])
        b = a + d  # rounded, but of the right sign
        allowed &= (a * self.a_sign[:, None] >= 0) & (b * self.b_sign[:, None] >= 0)
        z = np.maximum(a, 0.0)
        e = np.select([(a >= 0) & (b >= 0), (a <= 0) & (b <= 0), b <= 0], [d, 0 * d, -a], b)
        return Corners(a, d, z, e, allowed)


class Linear(NamedTuple):
    """Linear functions ``on_z z + on_e e + constant`` of what a layer passes on; m of them.

    `charge` is an upper bound on what rounding has left out of each.
    """

    on_z: FloatArray
    on_e: FloatArray
    constant: FloatArray
    charge: FloatArray


class Planes(NamedTuple):
    """The slopes p and s of a plane for every function and neuron, each of shape (m, n)."""

    on_a: FloatArray
    on_d: FloatArray


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Both networks over a box, with what is known of the neurons of their first layers."""

    pair: Pair
    box: Box
    neurons: tuple[Neurons, ...]

    @property
    def points(self) -> FloatArray:
        """Shape (inputs of the first layer, 2 or 3): where linear functions are largest.

        Where relu(x) and relu(−x) are inputs, both have the values at the same x.
        """
        low, high = self.box
        if not self.pair.by_sign:
            return np.stack([low, high], axis=1)
        x = np.stack([low, high, np.clip(0.0, low, high)], axis=1)
        return np.vstack([np.maximum(x, 0.0), np.maximum(-x, 0.0)])

    def largest(self, layer: int) -> tuple[FloatArray, FloatArray]:
        """Return the largest ``|z|`` and ``|e|`` of what enters a layer."""
        if layer == 0:
            reach = np.abs(self.points).max(axis=1)
            return reach, np.zeros_like(reach)
        return self.neurons[layer - 1].largest_z, self.neurons[layer - 1].largest_e

    def rows(self, layer: int, on_a: FloatArray, on_d: FloatArray) -> Linear:
        """Write ``on_a a + on_d d`` of a layer, (m, n) each, as functions of what enters it."""
        of = self.pair.layers[layer]
        error, left = of.error
        bias_error, bias_left = of.bias_error
        z, e = self.largest(layer)
        size_a, size_d = np.abs(on_a), np.abs(on_d)
        share = gamma(2 * on_a.shape[1])
        away = share * (size_a @ np.abs(of.target) + size_d @ np.abs(error)) + size_d @ np.abs(left)
        charge = away @ z + share * (size_d @ np.abs(of.ticket)) @ e
        charge += share * (size_a @ np.abs(of.target_bias) + size_d @ np.abs(bias_error))
        charge += size_d @ np.abs(bias_left)
        return Linear(
            on_a @ of.target + on_d @ error,
            on_d @ of.ticket,
            on_a @ of.target_bias + on_d @ bias_error,
            1.01 * charge + TINY,
        )

    def replaced(self, layer: int, functions: Linear, planes: Planes) -> Linear:
        """Bound functions of a layer's (z, e) from above by functions of what enters it."""
        highest, charge = _highest(self.neurons[layer].corners(), functions, planes)
        below = self.rows(layer, planes.on_a, planes.on_d)
        constant = functions.constant + highest + below.constant
        share = 4 * 2.0**-53
        charge += share * (np.abs(functions.constant) + np.abs(highest) + np.abs(below.constant))
        return Linear(
            below.on_z, below.on_e, constant, functions.charge + below.charge + 1.01 * charge + TINY
        )

    def over_box(self, functions: Linear) -> FloatArray:
        """Return an upper bound on functions of the inputs, shape (m,)."""
        points = self.points
        most = np.full((len(functions.on_z), self.pair.num_inputs), -np.inf)
        for at in points.T:
            products = functions.on_z * at
            if self.pair.by_sign:
                products = products.reshape(len(most), 2, -1).sum(axis=1)
            np.maximum(most, products, out=most)
        reach = np.abs(functions.on_z) @ np.abs(points).max(axis=1) + np.abs(functions.constant)
        charge = functions.charge + gamma(points.shape[0]) * reach
        highest = functions.constant + most.sum(axis=1)
        return np.asarray(up(highest + (1.01 * charge + TINY), 3))

    def highest_point(self, functions: Linear) -> FloatArray:
        """Return where each function of the inputs is largest, shape (m, num_inputs)."""
        products = functions.on_z[:, :, None] * self.points
        low, high = self.box
        if not self.pair.by_sign:
            return np.where(products.argmax(axis=2) == 1, high, low)
        sums = products.reshape(len(products), 2, -1, 3).sum(axis=1)
        choices = np.stack([low, high, np.clip(0.0, low, high)])
        return np.take_along_axis(choices, sums.argmax(axis=2), axis=0)

    def bound(self, functions: Linear, planes: Sequence[Planes] | None = None) -> FloatArray:
        """Return an upper bound on functions of the last known layer's (z, e), shape (m,).

        `planes` are those of every layer; None: chosen here, layer by layer.
        """
        for layer in reversed(range(len(self.neurons))):
            if planes is None:
                chosen = default_planes(self.neurons[layer], functions)
            else:
                chosen = planes[layer]
            functions = self.replaced(layer, functions, chosen)
        return self.over_box(functions)


def _highest(corners: Corners, functions: Linear, planes: Planes) -> tuple[FloatArray, FloatArray]:
    """Return the sum over neurons of the most that functions are above planes, and its charge."""
    highest = np.full_like(functions.on_z, -np.inf)
    size = [np.zeros(len(corners.a)) for _ in range(4)]
    slopes = functions.on_z, functions.on_e, -planes.on_a, -planes.on_d
    for k in range(corners.a.shape[1]):
        allowed = corners.allowed[:, k]
        above = np.where(allowed, 0.0, -np.inf)
        for number, (slope, values) in enumerate(
            zip(slopes, (corners.z, corners.e, corners.a, corners.d), strict=True)
        ):
            above = above + slope * values[:, k]
            size[number] = np.maximum(size[number], np.where(allowed, np.abs(values[:, k]), 0.0))
        np.maximum(highest, above, out=highest)
    charge = np.zeros(len(highest))
    for slope, largest in zip(slopes, size, strict=True):
        charge += np.abs(slope) @ largest
    return highest.sum(axis=1), 1.01 * gamma(highest.shape[1] + 4) * charge


def default_planes(neurons: Neurons, functions: Linear) -> Planes:
    """Choose planes that are close to what they bound on average.

    Of z the chord from above, or one of the two lines from below that cuts off less; of e a chord
    of what d is where the neuron is active, and 0 where it is not.
    """
    low, high, least, most = neurons.a_low, neurons.a_high, neurons.d_low, neurons.d_high
    active = (low >= 0) & (low + least >= 0)
    dead = (high <= 0) & (high + most <= 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        chord = np.where(high > low, np.clip(high / (high - low), 0, 1), 0.5)
        rise = np.where(most > least, np.clip(most / (most - least), 0, 1), 0.5)
    chord, rise = (np.where(active, 1.0, np.where(dead, 0.0, slope)) for slope in (chord, rise))
    line = np.where(active | dead, chord, (high > -low) * 1.0)
    fall = np.where(active | dead, rise, 1 - rise)
    return Planes(
        functions.on_z * np.where(functions.on_z > 0, chord, line),
        functions.on_e * np.where(functions.on_e > 0, rise, fall),
    )


def relax(pair: Pair, box: Box) -> Relaxation:
    """Bound a and d of every hidden neuron over a box, layer by layer, by the better of two ways.

    Raises
    ------
    ValueError
        When the box is none, or reaches beyond the declared input range.
    """
    relaxation = Relaxation(pair, _checked(pair, box), ())
    for layer in range(len(pair.layers) - 1):
        n = len(pair.layers[layer].target)
        one, none = np.eye(n), np.zeros((n, n))
        a_high, a_low = _ends(relaxation, layer, one, none)
        d_high, d_low = _ends(relaxation, layer, none, one)
        free = np.zeros(n)
        known = Neurons(a_low, a_high, d_low, d_high, free, free)
        relaxation = replace(relaxation, neurons=(*relaxation.neurons, known))
    return relaxation


def _ends(
    relaxation: Relaxation, layer: int, on_a: FloatArray, on_d: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return an upper and a lower bound on functions of a layer's a and d."""
    ends = []
    for sign in (1.0, -1.0):
        functions = relaxation.rows(layer, sign * on_a, sign * on_d)
        ends.append(sign * best_bound(relaxation, functions))
    return ends[0], ends[1]


def best_bound(relaxation: Relaxation, functions: Linear) -> FloatArray:
    """Return the better of the bounds by chosen planes and by intervals."""
    bound = relaxation.bound(functions)
    if not relaxation.neurons:
        return bound
    return np.minimum(bound, interval_bound(relaxation, functions))


def interval_bound(relaxation: Relaxation, functions: Linear) -> FloatArray:
    """Return the bound that the intervals of the last known layer's neurons give."""
    flat = Planes(np.zeros_like(functions.on_z), np.zeros_like(functions.on_e))
    number = relaxation.replaced(len(relaxation.neurons) - 1, functions, flat)
    return np.asarray(up(number.constant + number.charge, 2))


def _checked(pair: Pair, box: Box) -> Box:
    low, high = (np.array(end, dtype=np.float64) for end in box)
    if low.shape != (pair.num_inputs,) or high.shape != low.shape:
        raise ValueError(
            f"a box of shape {low.shape} and {high.shape}: give the lowest and the highest value "
            f"of each of the {pair.num_inputs} inputs"
        )
    if not (np.isfinite(low) & np.isfinite(high) & (low <= high)).all():
        raise ValueError("a box has finite ends, the lower ones first")
    least, most = pair.input_range
    if (low < least).any() or (high > most).any():
        raise ValueError(
            f"the box reaches beyond the inputs that the ticket was made for: stay in [{least:g}, "
            f"{most:g}]"
        )
    return low, high


def output_rows(relaxation: Relaxation, on_target: FloatArray, on_error: FloatArray) -> Linear:
    """Return functions ``on_target f + on_error (g − f)`` of the outputs, (m, num_outputs) each."""
    return relaxation.rows(len(relaxation.pair.layers) - 1, on_target, on_error)
