"""Bounds for all inputs: never below what is there, by exact arithmetic, and not far above it."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from by_fractions import network
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from instances.arrays import FloatArray
from milp_lth import find_ticket
from milp_lth.certificates.affine import Pair, PairedLayer, read_pair
from milp_lth.certificates.ascent import ascend, differences
from milp_lth.certificates.exactly import outputs_at
from milp_lth.certificates.linear_program import Program
from milp_lth.certificates.propagation import both_ways, difference_bounds, propagated_bound
from milp_lth.certificates.relaxation import (
    Linear,
    Planes,
    best_bound,
    interval_bound,
    output_rows,
    relax,
)
from milp_lth.network import read_network
from milp_lth.targets.data import Data


def random_pair(
    rng: np.random.Generator, sizes: tuple[int, ...], error: float, by_sign: bool = False
) -> Pair:
    """Two chains whose weights differ by about `error`."""
    layers = []
    for k, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        shape = (fan_out, fan_in * (2 if by_sign and k == 0 else 1))
        weight, bias = rng.normal(size=shape), rng.normal(size=fan_out) / 4
        off, moved = (error * rng.normal(size=one.shape) for one in (weight, bias))
        layers.append(PairedLayer(str(k), weight, bias, weight + off, bias + moved))
    return Pair(tuple(layers), by_sign, (-1.0, 1.0))


def inputs_of(pair: Pair, count: int, rng: np.random.Generator) -> FloatArray:
    """Inputs of all kinds: inside, at corners, and on faces."""
    low, high = pair.box()
    inside = rng.uniform(low, high, size=(count, len(low)))
    corners = np.where(rng.random(inside.shape) < rng.random((count, 1)), low, high)
    faces = np.where(rng.random(inside.shape) < 0.5, inside, corners)
    return np.vstack([inside, corners, faces])


def drawn(*modules: nn.Module) -> nn.Sequential:
    """Put modules in a row, with weights that do not depend on when they were made."""
    generator = torch.Generator().manual_seed(4)
    whole = nn.Sequential(*modules).requires_grad_(False)
    for parameter in whole.parameters():
        parameter.copy_(torch.rand(parameter.shape, generator=generator) * 1.2 - 0.6)
    return whole


PICTURES = {
    "largest of four": drawn(
        nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(2, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2),
    ),
    "groups, strides and no ReLU": drawn(
        nn.Unflatten(1, (2, 3, 4)), nn.Conv2d(2, 4, 2, stride=(1, 2), groups=2, padding=(0, 1)),
        nn.AvgPool2d((2, 1)), nn.Flatten(), nn.Linear(12, 3), nn.ReLU(), nn.Linear(3, 2),
    ),
    "dilated, and the largest of three": drawn(
        nn.Unflatten(1, (1, 3, 5)), nn.Conv2d(1, 2, (1, 2), dilation=2, padding="same"), nn.ReLU(),
        nn.MaxPool2d((3, 1), stride=1), nn.Flatten(), nn.Linear(10, 2, bias=False),
    ),
    "pooled first": drawn(
        nn.Unflatten(1, (1, 4, 4)), nn.AvgPool2d(2), nn.Conv2d(1, 2, 2), nn.Flatten(1),
        nn.Linear(2, 2),
    ),
    "a ReLU first": drawn(nn.Unflatten(1, (1, 3, 3)), nn.ReLU(), nn.Conv2d(1, 2, 3)),
}  # fmt: skip

VARIANTS: dict[str, tuple[nn.Sequential, tuple[float, float], dict[str, Any]]] = {
    "inputs ≥ 0": (network(6, 5, 3, bias=False), (0.0, 1.0), {}),
    "both signs": (network(6, 5, 3), (-1.0, 2.0), {}),
    "three layers": (network(5, 6, 4, 3), (-1.0, 1.0), {"width": 20}),
    "ends with a ReLU": (nn.Sequential(*network(4, 5, 3), nn.ReLU()), (-1.0, 1.0), {}),
    "begins with a ReLU": (nn.Sequential(nn.ReLU(), *network(4, 5, 3)), (-1.0, 1.0), {}),
    "no ReLU between": (nn.Sequential(network(4, 5), network(5, 3)), (-1.0, 1.0), {}),
    "one layer": (network(5, 3), (-1.0, 1.0), {}),
    "raw edges": (network(5, 4, 3), (-1.0, 1.0), {"construction": "direct"}),
    "a ladder": (network(4, 4, 2), (-1.0, 1.0), {"construction": "binary"}),
    "few candidates": (network(6, 6, 4, seed=1), (-1.0, 1.0), {"width": 6}),
}
VARIANTS |= {name: (module, (-1.0, 1.0), {"width": 24}) for name, module in PICTURES.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_input_is_beyond_the_bound(variant: str, rng: np.random.Generator) -> None:
    module, input_range, options = VARIANTS[variant]
    ticket = find_ticket(module, input_range=input_range, **options)
    found = propagated_bound(module, ticket)
    pair = read_pair(module, ticket)
    x = inputs_of(pair, 30_000, rng)
    reached = np.abs(differences(pair, x)[1]).max(axis=0)
    high = ascend(pair, pair.box(), *both_ways(pair.num_outputs))
    reached = np.maximum(reached, high.values.reshape(2, -1).max(axis=0))
    assert (found.per_output >= reached).all()
    assert found.bound == found.per_output.max() <= found.two_norm
    assert 0 < reached.max() >= found.bound / (4 if variant not in PICTURES else 8)
    # the pair is what target and ticket are: their own forward in float64 says the same
    inputs = torch.from_numpy(x[:1000])
    own = read_network(module).module().double()(inputs)
    apart = (ticket.double()(inputs) - own).flatten(1).numpy()
    np.testing.assert_allclose(differences(pair, x[:1000])[1], apart, atol=1e-12)
    ticket.float()


def corner_sums(pair: Pair) -> list[Fraction]:
    """The largest ``|g − f|`` of every output of one layer: exactly, at the corners of its box."""
    layer, (low, high) = pair.layers[0], pair.box()
    found = []
    for j in range(pair.num_outputs):
        ends = []
        for sign in (1, -1):
            total = sign * (Fraction(layer.ticket_bias[j]) - Fraction(layer.target_bias[j]))
            for i in range(pair.num_inputs):
                off = sign * (Fraction(layer.ticket[j, i]) - Fraction(layer.target[j, i]))
                total += max(off * Fraction(low[i]), off * Fraction(high[i]))
            ends.append(total)
        found.append(max(ends))
    return found


@given(st.integers(0, 10_000), st.integers(-12, 0))
def test_rounding_is_outwards(seed: int, magnitude: int) -> None:
    """The bound of one affine layer is its exact value but for a few floats, and never below."""
    pair = random_pair(np.random.default_rng(seed), (9, 6), 10.0**magnitude)
    bounds, _ = difference_bounds(relax(pair, pair.box()))
    for bound, exact in zip(bounds.reshape(2, -1).max(axis=0), corner_sums(pair), strict=True):
        assert exact <= Fraction(bound) <= exact * (1 + Fraction(10) ** -12)


@given(st.integers(0, 10_000))
def test_what_cancels_is_still_bounded(seed: int) -> None:
    """At a point, less what float64 says it is there, a function is nothing but roundings."""
    rng = np.random.default_rng(seed)
    pair = random_pair(rng, (40, 30, 2), 1e-3)
    x = rng.uniform(-1, 1, size=40)
    relaxation = relax(pair, (x, x))
    on_target, on_error = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    functions = output_rows(relaxation, on_target, on_error)
    target, error = (one[0] for one in differences(pair, x[None]))
    moved = functions.constant - (on_target @ target + on_error @ error)
    bounds = relaxation.bound(functions._replace(constant=moved))
    exact_target, exact_ticket = outputs_at(pair, x)
    for k, bound in enumerate(bounds.tolist()):
        exact = Fraction(moved[k]) - Fraction(functions.constant[k])
        for j, (f, g) in enumerate(zip(exact_target, exact_ticket, strict=True)):
            exact += Fraction(on_target[k, j]) * f + Fraction(on_error[k, j]) * (g - f)
        assert exact <= Fraction(bound) < Fraction(10) ** -9


@given(st.integers(0, 10_000), st.booleans(), st.integers(-8, 0))
def test_any_planes_give_a_bound(seed: int, by_sign: bool, magnitude: int) -> None:
    rng = np.random.default_rng(seed)
    pair = random_pair(rng, (3, 4, 4, 2), 10.0**magnitude, by_sign)
    relaxation = relax(pair, pair.box())
    functions = output_rows(relaxation, *(rng.normal(size=(3, 2)) for _ in "fg"))
    planes = [Planes(rng.normal(size=(3, 4)), rng.normal(size=(3, 4))) for _ in range(2)]
    x = inputs_of(pair, 300, rng)
    values = functions_at(relaxation.pair, functions, x)
    for bound in (
        relaxation.bound(functions, planes),
        relaxation.bound(functions),
        interval_bound(relaxation, functions),
    ):
        assert (values <= bound + 1e-13 * (1 + np.abs(bound))).all()


def functions_at(pair: Pair, functions: Linear, x: FloatArray) -> FloatArray:
    """Evaluate functions of the last hidden layer's (z, e), subtracting plainly."""
    values = []
    for which in ("target", "ticket"):
        z = np.hstack([np.maximum(x, 0), np.maximum(-x, 0)]) if pair.by_sign else x
        for layer in pair.layers[:-1]:
            z = np.maximum(z @ getattr(layer, which).T + getattr(layer, f"{which}_bias"), 0)
        values.append(z)
    z, other = values
    return np.asarray(z @ functions.on_z.T + (other - z) @ functions.on_e.T + functions.constant)


def test_bounds_of_neurons_hold_layer_by_layer(rng: np.random.Generator) -> None:
    pair = random_pair(rng, (4, 6, 6, 6, 2), 1e-3, by_sign=True)
    relaxation = relax(pair, pair.box())
    x = inputs_of(pair, 5000, rng)
    for depth, neurons in enumerate(relaxation.neurons):
        shorter = Pair(pair.layers[: depth + 1], pair.by_sign, pair.input_range)
        a, d = differences(shorter, x)
        assert (a >= neurons.a_low).all()
        assert (a <= neurons.a_high).all()
        assert (d >= neurons.d_low).all()
        assert (d <= neurons.d_high).all()


def test_assumptions_only_hold_where_they_are_true(rng: np.random.Generator) -> None:
    """Under assumptions a bound holds for the inputs that meet them, and it gets better."""
    pair = random_pair(rng, (3, 5, 2), 1e-2)
    relaxation = relax(pair, pair.box())
    functions = output_rows(relaxation, *both_ways(2))
    x = inputs_of(pair, 20_000, rng)
    _, apart = differences(pair, x)
    a, d = differences(Pair(pair.layers[:1], False, pair.input_range), x)
    for neuron in range(5):
        for of_ticket, signs in ((False, a), (True, a + d)):
            for sign in (1, -1):
                meets = sign * signs[:, neuron] >= 0
                if not meets.any():
                    continue
                known = relaxation.neurons[0].assume(neuron, of_ticket, sign)
                bound = best_bound(replace(relaxation, neurons=(known,)), functions)
                reached = np.hstack([apart, -apart])[meets].max(axis=0)
                assert (reached <= bound + 1e-14).all()
                assert (bound <= best_bound(relaxation, functions) + 1e-9).all()


def test_the_linear_program_is_the_best_of_the_three(rng: np.random.Generator) -> None:
    pair = random_pair(rng, (6, 8, 8, 3), 1e-6, by_sign=True)
    relaxation = relax(pair, pair.box())
    functions = output_rows(relaxation, *both_ways(3))
    program = Program(relaxation)
    for k in range(6):
        one = Linear(*(part[k : k + 1] for part in functions))
        answer = program.solve(relaxation, one)
        assert answer is not None
        found = relaxation.bound(one, answer.planes)[0]
        assert found <= best_bound(relaxation, one)[0] * (1 + 1e-6)
        apart = differences(pair, answer.x[None])[1][0]
        assert found >= np.concatenate([apart, -apart])[k]


def test_digits_is_within_four_times_the_best_input_found(
    digits: tuple[nn.Module, Data], rng: np.random.Generator
) -> None:
    module, _ = digits
    ticket = find_ticket(module, width=24, input_range=(0, 1))
    found = propagated_bound(module, ticket)
    pair = read_pair(module, ticket)
    best = ascend(pair, pair.box(), *both_ways(10))
    assert best.values.max() <= found.bound <= 1.5 * best.values.max()
    assert found.method == "linear program"
    assert found.domain == "all inputs in [0, 1]^64"
    reached = np.abs(differences(pair, inputs_of(pair, 33_000, rng))[1]).max()
    assert reached <= best.values.max()
    # a smaller box, a smaller bound
    centre = np.full(64, 0.5)
    inner = propagated_bound(module, ticket, box=(centre - 0.1, centre + 0.1))
    assert inner.bound < found.bound
    assert inner.domain == "a box of 64 inputs, at most 0.2 wide"


def test_a_point_is_a_box() -> None:
    module = network(3, 4, 2)
    ticket = find_ticket(module)
    x = np.array([0.25, -0.5, 0.75])
    found = propagated_bound(module, ticket, box=(x, x))
    apart = [abs(a - b) for a, b in zip(*outputs_at(read_pair(module, ticket), x), strict=True)]
    for bound, exact in zip(found.per_output, apart, strict=True):
        assert exact <= Fraction(bound) <= exact * (1 + Fraction(10) ** -6)


def test_equal_networks_are_not_apart() -> None:
    pair = random_pair(np.random.default_rng(1), (3, 4, 2), 0.0)
    assert difference_bounds(relax(pair, pair.box()))[0].max() == 0


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ([0.0, 0.0], [1.0, 1.0], "each of the 3 inputs"),
        ([0.0, 0.0, 0.5], [1.0, 1.0, 0.25], "the lower ones first"),
        ([0.0, 0.0, float("nan")], [1.0, 1.0, 1.0], "finite ends"),
        ([0.0, 0.0, -2.0], [1.0, 1.0, 1.0], r"stay in \[-1, 1\]"),
    ],
)
def test_boxes_that_are_none_are_refused(low: list[float], high: list[float], message: str) -> None:
    module = network(3, 4, 2)
    with pytest.raises(ValueError, match=message):
        propagated_bound(module, find_ticket(module), box=(np.array(low), np.array(high)))
