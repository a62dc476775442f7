"""The worst input: against an enumeration in fractions, another program, and many inputs."""

import itertools
import time
from fractions import Fraction

import numpy as np
import pytest
from by_fractions import network, outputs
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from instances.arrays import FloatArray
from milp_lth import find_ticket
from milp_lth.certificates.affine import Pair, PairedLayer, read_pair
from milp_lth.certificates.ascent import ascend, differences
from milp_lth.certificates.branching import maximise
from milp_lth.certificates.exactly import outputs_at, rounded_down
from milp_lth.certificates.propagation import both_ways, propagated_bound
from milp_lth.certificates.relaxation import relax
from milp_lth.certificates.worst_case import WorstCase, worst_case
from milp_lth.targets.data import Data
from milp_lth.ticket import Ticket

Point = tuple[Fraction, Fraction]


def differing(pair: Pair, x: Point) -> list[Fraction]:
    """Evaluate ``|g − f|`` of a network with one hidden layer in fractions."""
    first, last = pair.layers
    signed = [max(v, Fraction(0)) for v in x] + [max(-v, Fraction(0)) for v in x]
    entered = signed if pair.by_sign else list(x)
    found = []
    for which in ("target", "ticket"):
        values = entered
        for layer in (first, last):
            if layer is last:
                values = [max(v, Fraction(0)) for v in values]
            bias = getattr(layer, f"{which}_bias").tolist()
            values = [
                Fraction(b) + sum(Fraction(w) * v for w, v in zip(row, values, strict=True))
                for row, b in zip(getattr(layer, which).tolist(), bias, strict=True)
            ]
        found.append(values)
    return [abs(a - b) for a, b in zip(*found, strict=True)]


def enumerated(pair: Pair) -> Fraction:
    """Return the largest difference of a network of two inputs and one hidden layer.

    Between the lines on which a neuron is 0 both networks are affine, so that the difference is
    largest where two lines meet, edges of the box and the axes among them.
    """
    low, high = (Fraction(float(end[0])) for end in pair.box())
    one, zero = Fraction(1), Fraction(0)
    largest = zero
    for signs in itertools.product((1, -1), repeat=2) if pair.by_sign else [(1, 1)]:
        lines = [(one, zero, -end) for end in (low, high, zero)]
        lines += [(zero, one, -end) for end in (low, high, zero)]
        for which in ("target", "ticket"):
            weight = getattr(pair.layers[0], which)
            bias = getattr(pair.layers[0], f"{which}_bias")
            for row, b in zip(weight.tolist(), bias.tolist(), strict=True):
                p, q = (
                    Fraction(row[i] if sign > 0 else -row[2 + i]) for i, sign in enumerate(signs)
                )
                lines.append((p, q, Fraction(b)))
        for (p, q, r), (s, t, u) in itertools.combinations(lines, 2):
            determinant = p * t - q * s
            if determinant == 0:
                continue
            x = (q * u - r * t) / determinant, (r * s - p * u) / determinant
            inside = all(low <= v <= high for v in x)
            if inside and all(v * sign >= 0 for v, sign in zip(x, signs, strict=True)):
                largest = max(largest, *differing(pair, x))
    return largest


@pytest.mark.parametrize("input_range", [(0.0, 1.0), (-1.0, 1.0), (-0.5, 2.0)])
@pytest.mark.parametrize("seed", range(3))
def test_the_enumeration_of_all_pieces_agrees(input_range: tuple[float, float], seed: int) -> None:
    module = network(2, 3, 2, seed=seed)
    ticket = find_ticket(module, input_range=input_range, seed=seed)
    found = worst_case(module, ticket)
    exact = enumerated(read_pair(module, ticket))
    assert found.exact
    assert Fraction(found.lower) <= exact <= Fraction(found.upper)
    assert found.upper <= found.lower * (1 + 1.01e-6)
    assert exact <= Fraction(propagated_bound(module, ticket).bound)


@given(st.integers(0, 10_000), st.integers(-300, 60), st.integers(-300, 60))
def test_outputs_are_evaluated_without_rounding(seed: int, of_bias: int, of_input: int) -> None:
    """Whatever the sizes of weights, biases and inputs are beside each other."""
    rng = np.random.default_rng(seed)
    layers = []
    for k, shape in enumerate([(3, 4), (2, 3)]):
        numbers = [rng.normal(size=one) for one in (shape, shape[:1], shape, shape[:1])]
        target, bias, ticket, ticket_bias = numbers
        factor = 2.0**of_bias
        layers.append(PairedLayer(str(k), target, factor * bias, ticket, factor * ticket_bias))
    pair = Pair(tuple(layers), True, (-1.0, 1.0))
    x = 2.0**of_input * rng.normal(size=2)
    x[rng.integers(2)] = 0.0
    found = [abs(a - b) for a, b in zip(*outputs_at(pair, x), strict=True)]
    assert found == differing(pair, (Fraction(x[0]), Fraction(x[1])))


def test_what_is_no_longer_looked_at_is_not_forgotten() -> None:
    """Where no gap is enough the search ends with all signs known, and its bound still holds."""
    module = network(2, 3, 2)
    pair = read_pair(module, find_ticket(module))
    found = maximise(
        relax(pair, pair.box()), *both_ways(2), np.zeros((1, 2)), enough=lambda lower, upper: False
    )
    exact = enumerated(pair)
    assert found.lower <= exact <= found.upper <= found.lower * (1 + 1e-9)
    assert found.upper == found.per_function.max()
    seen = np.abs(differences(pair, np.random.default_rng(0).uniform(-1, 1, (10_000, 2)))[1])
    assert (seen.max(axis=0) <= found.per_function.reshape(2, -1).max(axis=0)).all()


def by_another_program(pair: Pair, output: int, sign: int) -> float:
    """Maximise one difference by SciPy's MILP: big-M, both networks side by side.

    It subtracts two large numbers, so the networks must differ by far more than its tolerances.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    low, high = pair.box()
    num_inputs, big = len(low), 50.0
    parts = [2 * num_inputs + num_inputs if pair.by_sign else num_inputs]
    hidden = [len(layer.target) for layer in pair.layers[:-1]]
    total = parts[0] + 4 * sum(hidden)
    rows: list[FloatArray] = []
    least: list[float] = []
    most: list[float] = []
    lower, upper = np.zeros(total), np.full(total, big)
    integer = np.zeros(total)

    def add(row: FloatArray, down: float, up: float) -> None:
        rows.append(row)
        least.append(down)
        most.append(up)

    def unit(*entries: tuple[int, float]) -> FloatArray:
        row = np.zeros(total)
        for place, value in entries:
            row[place] = value
        return row

    first = list(range(num_inputs))
    lower[:num_inputs], upper[:num_inputs] = low, high
    if pair.by_sign:
        first = list(range(num_inputs, 3 * num_inputs))
        lower[:num_inputs], upper[:num_inputs] = 0, 1  # which sign
        integer[:num_inputs] = 1
        for i in range(num_inputs):
            add(unit((first[i], 1.0), (i, -high[i])), -np.inf, 0.0)
            add(unit((first[num_inputs + i], 1.0), (i, -low[i])), -np.inf, -low[i])
    place = parts[0]
    objective = np.zeros(total)
    constant = 0.0
    for which, weight_of in (("target", -sign), ("ticket", sign)):
        entered = first
        for layer in pair.layers[:-1]:
            weight, bias = getattr(layer, which), getattr(layer, f"{which}_bias")
            z = list(range(place, place + len(bias)))
            on = list(range(place + len(bias), place + 2 * len(bias)))
            place += 2 * len(bias)
            integer[on], upper[on] = 1, 1
            for j in range(len(bias)):
                ties = [(entered[i], -weight[j, i]) for i in range(len(entered))]
                add(unit((z[j], 1.0), *ties), bias[j], np.inf)
                add(unit((z[j], 1.0), *ties, (on[j], big)), -np.inf, bias[j] + big)
                add(unit((z[j], 1.0), (on[j], -big)), -np.inf, 0.0)
            entered = z
        last = pair.layers[-1]
        objective[entered] = weight_of * getattr(last, which)[output]
        constant += weight_of * getattr(last, f"{which}_bias")[output]
    found = milp(
        -objective,
        constraints=LinearConstraint(np.array(rows), np.array(least), np.array(most)),
        integrality=integer,
        bounds=Bounds(lower, upper),
        options={"mip_rel_gap": 1e-9},
    )
    assert found.status == 0
    return float(-found.fun + constant)


@pytest.mark.parametrize(
    ("sizes", "input_range"),
    [((4, 4, 2), (0.0, 1.0)), ((3, 4, 2), (-1.0, 1.0)), ((3, 3, 3, 2), (-1.0, 1.0))],
)
def test_another_program_agrees(sizes: tuple[int, ...], input_range: tuple[float, float]) -> None:
    module = network(*sizes, seed=2)
    ticket = find_ticket(module, width=5, input_range=input_range)
    found = worst_case(module, ticket)
    pair = read_pair(module, ticket)
    others = [by_another_program(pair, j, sign) for j in range(2) for sign in (1, -1)]
    assert found.exact
    assert found.lower == pytest.approx(max(others), rel=1e-5, abs=1e-5)
    assert found.lower > 1e-3


def check(found: WorstCase, module: nn.Module, ticket: Ticket, rng: np.random.Generator) -> None:
    """The lower bound is attained, by another evaluation too; nothing seen is above the upper."""
    pair = read_pair(module, ticket)
    low, high = pair.box()
    assert (low <= found.input).all()
    assert (found.input <= high).all()
    target, other = outputs(module, ticket, found.input)
    assert outputs_at(pair, found.input) == (target, other)
    apart = [abs(a - b) for a, b in zip(target, other, strict=True)]
    assert found.lower == rounded_down(apart[found.output])
    assert apart[found.output] == max(apart)
    x = rng.uniform(low, high, size=(100_000, len(low)))
    x[::2] = np.where(x[::2] < (low + high) / 2, low, high)
    seen = np.abs(differences(pair, x)[1]).max(axis=0)
    seen = np.maximum(
        seen, ascend(pair, (low, high), *both_ways(len(seen)), seed=1).values.reshape(2, -1).max(0)
    )
    assert (seen <= found.per_output * (1 + 1e-9)).all()
    assert found.lower <= found.upper == found.per_output.max()
    assert found.upper <= propagated_bound(module, ticket).bound * (1 + 1e-9)


@pytest.mark.parametrize("input_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_networks_of_sixteen_neurons_are_decided(
    input_range: tuple[float, float], rng: np.random.Generator
) -> None:
    module = network(16, 16, 4)
    ticket = find_ticket(module, input_range=input_range)
    found = worst_case(module, ticket)
    assert found.exact
    assert found.seconds < 60
    check(found, module, ticket, rng)


def test_of_digits_bounds_are_known_at_any_time(
    digits: tuple[nn.Module, Data], rng: np.random.Generator
) -> None:
    module, _ = digits
    ticket = find_ticket(module, width=24, input_range=(0, 1))
    told: list[tuple[int, float, float]] = []
    began = time.perf_counter()
    found = worst_case(module, ticket, time_limit=2.0, on_node=lambda *known: told.append(known))
    assert time.perf_counter() - began < 6.0
    check(found, module, ticket, rng)
    assert found.upper < 1.3 * found.lower
    lowers, uppers = [one[1] for one in told], [one[2] for one in told]
    assert lowers == sorted(lowers)
    assert uppers == sorted(uppers, reverse=True)
    assert told[-1][0] == found.num_nodes


def test_no_time_is_enough_for_a_bound() -> None:
    module = network(5, 6, 3)
    ticket = find_ticket(module)
    found = worst_case(module, ticket, time_limit=0.0)
    assert found.num_nodes == 0
    assert 0 < found.lower < found.upper


def test_a_box_and_a_seed_are_heeded() -> None:
    module = network(4, 5, 3)
    ticket = find_ticket(module)
    box = np.array([0.1, -0.3, 0.0, -1.0]), np.array([0.2, 0.4, 0.0, 1.0])
    found = worst_case(module, ticket, box=box)
    assert found.exact
    assert (box[0] <= found.input).all()
    assert (found.input <= box[1]).all()
    assert found.upper < worst_case(module, ticket).lower
    again = worst_case(module, ticket, box=box)
    assert (again.lower, again.upper, again.num_nodes) == (
        found.lower, found.upper, found.num_nodes,
    )  # fmt: skip
    assert (again.input == found.input).all()


def test_one_layer_needs_no_program() -> None:
    module = network(6, 3)
    ticket = find_ticket(module)
    found = worst_case(module, ticket)
    assert found.exact
    assert found.num_nodes == 0


def test_it_shares_a_process_with_or_tools() -> None:
    """Both bring a HiGHS of their own."""
    from milp_lth import SubsetSum, solve

    module = network(3, 4, 2)
    ticket = find_ticket(module)
    for _ in range(2):
        instance = SubsetSum(np.array([[0.5, 0.25, -0.125, 0.75]]), np.array([0.6]))
        assert solve(instance, "highs").error[0] == pytest.approx(0.025)
        assert worst_case(module, ticket).exact


def test_equal_networks_have_no_worst_case() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 3))
    layer = PairedLayer("0", weight, np.zeros(3), weight, np.zeros(3))
    pair = Pair((layer, layer), False, (-1.0, 1.0))
    optimum = maximise(
        relax(pair, pair.box()),
        *both_ways(3),
        np.zeros((1, 3)),
        enough=lambda lower, upper: pair.is_equal,
    )
    assert optimum.lower == 0
    assert optimum.upper < 1e-280
