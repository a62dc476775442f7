"""Needed widths: by hand, by law, and by drawing networks that wide."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from milp_lth import SubsetSum, solve
from milp_lth.targets.data import Data
from milp_lth.theory import formulas
from milp_lth.theory.assumptions import Heads, attention_setting
from milp_lth.theory.bounds import BOUNDS, Bounds, bounds
from milp_lth.theory.constants import load_constants
from milp_lth.theory.median_error import median_error_of_products

LAWS = [bound.name for bound in BOUNDS if bound.name != "attention"]
epsilons = st.floats(1e-6, 0.5)
failures = st.floats(1e-6, 0.5)
widths = st.integers(1, 40)


def test_formulas_by_hand() -> None:
    # ln(4 · 2 · 64 · 32 / 0.01) = 14.309
    assert formulas.pensia_candidates(64, 32, 2, 0.01, 0.5, 10.0) == 144
    assert formulas.pensia_candidates(64, 32, 2, 0.5, 0.01, 10.0) == 144
    assert formulas.pensia_parameters(8, 8, 0.01) == pytest.approx(64 * math.log2(50) - 1)
    assert formulas.malach_factor(8, 4, 2, 0.5) == 128**2
    assert formulas.copies(0.01, 0.5, 3.0) == 16  # 3 ln 200 = 15.89
    assert formulas.quantised_step(2**-9) == 2**-4  # multiples of 2⁻⁸
    assert formulas.quantised_candidates(2**-4, 0.5, 2.5) == 10
    assert formulas.quantised_parameters(1, 1, 0.5) == pytest.approx(math.log2(9) - 1)
    assert formulas.attention_units(math.e**3, 8, 2.0) == 48
    n = formulas.median_candidates(1e-4, 0.25, 1.0)
    predicted = [float(median_error_of_products(np.array(0.25), m, 1.0)) for m in (n - 1, n)]
    assert predicted[0] > 1e-4 >= predicted[1]


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_fixed_points_are_the_least_that_satisfy_themselves(share: float) -> None:
    entropy = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    n = formulas.natale_candidates(64, 32, 2, 0.01, share, 0.45)
    asked = [
        0.45 * math.log2(2 * 2 * 64 * 32 * share * m / 0.01) ** 2 / entropy for m in (n - 1, n)
    ]
    assert n - 1 < asked[0]
    assert asked[1] <= n
    m = formulas.natale_parameters(8, 8, 0.01, share)
    assert m - 1 < 32 * math.log2(share * (m - 1) / 0.01) / entropy
    assert 32 * math.log2(share * m / 0.01) / entropy <= m


def test_picks_hit_as_often_as_they_should(rng: np.random.Generator) -> None:
    n = formulas.malach_picks(0.02, 0.3, 0.1)
    u, v = rng.uniform(-1, 1, (2, 4000, n))
    hit = ((u > 0) & (np.abs(u * v - 0.3) <= 0.02)).any(axis=1).mean()
    assert hit == pytest.approx(0.9, abs=0.02)
    fine = formulas.malach_picks(1e-9, 0.3, 0.1)  # p = −η ln w, halved
    assert fine == pytest.approx(math.log(10) / (1e-9 * -math.log(0.3) / 2), rel=1e-6)


def test_digits_of_all_weights_are_drawn(rng: np.random.Generator) -> None:
    weights, failure = 12, 0.2
    units = formulas.orseau_units(3, 4, 1.5**-9.5, failure)
    buckets = 4 * 10
    drawn = rng.multinomial(units, np.full(buckets, 1 / buckets), size=500)
    assert (drawn.min(axis=1) < weights).mean() <= failure
    assert units < 4 * buckets * weights


@given(accuracy=st.floats(1e-9, 0.5), weight=st.floats(-1, 1))
def test_rounding_costs_no_more_than_the_accuracy(accuracy: float, weight: float) -> None:
    step = formulas.quantised_step(accuracy)
    assert abs(round(weight / step**2) * step**2 - weight) <= accuracy
    assert step == 1 or (2 * step) ** 2 / 2 > accuracy


def widest(found: Bounds, name: str) -> int:
    return max(need.units for need in found[name].needs)


@given(d=st.integers(2, 40), num_layers=st.integers(1, 4), epsilon=epsilons, failure=failures)
def test_more_is_asked_of_wider_deeper_closer_and_surer(
    d: int, num_layers: int, epsilon: float, failure: float
) -> None:
    sizes = (d,) * (num_layers + 1)
    asked = bounds(sizes, epsilon=epsilon, failure=failure)
    for harder in (
        bounds((d + 1,) * (num_layers + 1), epsilon=epsilon, failure=failure),
        bounds((*sizes, d), epsilon=epsilon, failure=failure),
        bounds(sizes, epsilon=epsilon / 3, failure=failure),
        bounds(sizes, epsilon=epsilon, failure=failure / 3),
    ):
        for name in LAWS:
            assert widest(harder, name) >= widest(asked, name), name
            assert harder[name].edges >= asked[name].edges, name


@given(
    sizes=st.lists(widths, min_size=2, max_size=4), epsilon=epsilons, failure=failures,
    density=st.floats(0.01, 0.5),
)  # fmt: skip
def test_no_lower_bound_is_above_its_upper_bound(
    sizes: list[int], epsilon: float, failure: float, density: float
) -> None:
    found = bounds(sizes, epsilon=epsilon, failure=failure, density=density)
    for lower, upper in (
        ("pensia-lower", "pensia"),
        ("pensia-lower", "malach"),
        ("natale-lower", "natale"),
        ("kumar-lower", "kumar-natale"),
    ):
        for one, two in zip(found[lower].needs, found[upper].needs, strict=True):
            assert one.units <= two.units
            assert one.edges <= two.edges


def test_digits_needs_what_the_formulas_say(digits: tuple[nn.Module, Data]) -> None:
    module, data = digits
    found = bounds(module, input_range=data.input_range)
    norms = [float(torch.linalg.matrix_norm(p.double(), 2)) for p in module.parameters()]
    epsilon = 0.01 / (8 * norms[0] * norms[1])
    pensia = found["pensia"]
    assert pensia.epsilon == pytest.approx(epsilon)
    constant = load_constants()["pensia"]
    for need, (inputs, outputs) in zip(pensia.needs, [(64, 32), (32, 10)], strict=True):
        n = formulas.pensia_candidates(inputs, outputs, 2, epsilon, 0.01, constant.value)
        assert (need.inputs, need.outputs, need.units_per_input) == (inputs, outputs, 2 * n)
        assert need.edges == need.units * (inputs + outputs)
        assert need.accuracy == pytest.approx(epsilon / (4 * inputs * outputs))
    assert pensia.interval is not None
    assert pensia.interval[0] <= pensia.units <= pensia.interval[1]
    assert pensia.extrapolated
    assert (pensia.fails, pensia.holds) == (
        ("spectral norms ≤ 1", "inputs in the unit ball"), "after rescaling",
    )  # fmt: skip
    assert (found["here"].fails, found["here"].holds) == ((), "as it is")
    assert found["orseau"].holds == "no"
    order = ("pensia-lower", "here-median", "here", "pensia", "natale", "orseau", "malach")
    units = [found[name].units for name in order]
    assert units == sorted(units)
    assert found["burkholz"].bound.depth(2) == 3


def test_scaling_the_target_is_scaling_the_accuracy() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False))
    larger = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False))
    larger.load_state_dict({name: 2 * t for name, t in module.state_dict().items()})
    one = bounds(module, epsilon=0.001, input_range=(0, 1))
    for other in (
        bounds(larger, epsilon=0.004, input_range=(0, 1)),
        bounds(module, epsilon=0.003, input_range=(0, 3)),
    ):
        for name in LAWS:
            assert other[name].units == one[name].units, name


def test_biases_are_the_weights_of_one_more_input(wine: tuple[nn.Module, Data]) -> None:
    found = bounds(wine[0], input_range=wine[1].input_range)
    shapes = [(need.inputs, need.outputs) for need in found["pensia"].needs]
    assert shapes == [(14, 17), (17, 3)]
    assert [(n.inputs, n.outputs) for n in found["here"].needs] == [(14, 16), (17, 3)]
    assert [(n.inputs, n.outputs) for n in found["pensia-lower"].needs] == [(13, 16), (16, 3)]
    assert "no biases" in found["pensia"].fails
    assert "no biases" not in found["burkholz"].fails


def test_burkholz_makes_as_many_copies_as_the_next_layer_takes() -> None:
    first, second, third = bounds((6, 5, 4, 3))["burkholz"].needs
    copies = [int(second.units_per_input), int(third.units_per_input)]
    assert first.edges == first.units * (6 + 5 * copies[0])
    assert second.edges == copies[0] * 5 * copies[1] * 4
    assert third.edges == copies[1] * 4 * 3
    assert copies[0] > copies[1]  # each of the copies has sums of its own


def test_attention_by_hand() -> None:
    found = bounds(attention_setting(Heads(16, 8, 4)), epsilon=0.1, failure=0.5)
    (width,) = found.widths
    constant = load_constants()["attention"].value
    keys = math.ceil(16 * constant * math.log(8 * 4 * 4**3 * 64 / 0.1))
    values = math.ceil(16 * constant * math.log(2 * 4 * 4 * 16 * math.sqrt(8) / 0.1))
    assert [need.units for need in width.needs] == [4 * keys, 4 * values]
    assert [need.edges for need in width.needs] == [4 * keys * 32, 4 * values * 24]


def test_networks_of_pensias_width_hold_tickets(rng: np.random.Generator) -> None:
    d, epsilon, failure, num_networks = 2, 0.1, 0.1, 150
    (need,) = bounds((d, d), epsilon=epsilon, failure=failure)["pensia"].needs
    each = int(need.units_per_input) // 2
    assert each < 60
    grid = 2.0**-23
    u, v = (
        np.round(rng.uniform(-1, 1, shape) / grid) * grid
        for shape in ((num_networks, d, 2, each), (num_networks, d, d, 2, each))
    )  # network, output, input, half, unit
    target = rng.normal(size=(num_networks, d, d))
    target /= np.linalg.norm(target, 2, axis=(1, 2))[:, None, None]
    signs = np.array([1.0, -1.0])[:, None]
    usable = u * signs > 0
    products = np.where(usable, u, 0.0)[:, None] * v
    available = np.broadcast_to(usable[:, None], v.shape).reshape(-1, each)
    goals = np.broadcast_to(target[..., None], v.shape[:-1]).ravel()
    found = solve(SubsetSum(products.reshape(-1, each), goals, available=available), "mitm")
    kept = np.where(found.mask.reshape(v.shape), v, 0.0)
    x = rng.normal(size=(d, 200))
    x /= np.linalg.norm(x, axis=0)
    hidden = np.maximum(np.where(usable, u, 0.0)[..., None] * x[:, None, None], 0)
    ticket = np.einsum("njihk,nihkx->njx", kept, hidden)
    off = np.linalg.norm(ticket - target @ x, axis=1).max(axis=1)
    assert (off > epsilon).mean() <= failure
    assert np.median(off) < epsilon / 100  # theorems ask for far more than most networks need


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"epsilon": 0.0}, "above 0"),
        ({"epsilon": math.inf}, "above 0"),
        ({"failure": 0.7}, "up to 0.5"),
        ({"density": 0.9}, "up to 0.5"),
        ({"domain": "sphere"}, "ball or box"),
        ({"input_range": (1.0, -1.0)}, "lower first"),
        ({"distribution": "gamma"}, "choose one of"),
    ],
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bounds((4, 4), **wrong)  # type: ignore[arg-type]
