"""Weight errors: the ticket's weights as exact fractions, and norms that are never too small."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from by_fractions import network, summed
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from instances.arrays import FloatArray
from milp_lth import find_ticket
from milp_lth.certificates.affine import Pair, PairedLayer, read_pair
from milp_lth.certificates.weight_errors import LayerErrors, weight_errors
from milp_lth.ticket import Ticket


def exact_errors(wanted: nn.Module, ticket: Ticket, index: int) -> list[Fraction]:
    """Return all ``|ΔW|`` and ``|Δb|`` of a layer, over both signs of its inputs."""
    parts = [getattr(wanted, name).tolist() for name in ("weight", "bias")]
    weight = [[*map(Fraction, row), Fraction(bias)] for row, bias in zip(*parts, strict=True)]
    found = []
    for sign in (1, -1) if ticket.layers[index].has_halves else (1,):
        sums = summed(ticket, index, sign)
        for j, row in enumerate(weight):
            num = len(row) if sign > 0 else len(row) - 1
            found += [abs(sums[j][i] - row[i]) for i in range(num)]
    return found


@pytest.mark.parametrize("input_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_the_largest_error_is_the_exact_one_rounded_upwards(
    input_range: tuple[float, float],
) -> None:
    module = network(5, 4, 3)
    ticket = find_ticket(module, input_range=input_range, width=16)
    errors = weight_errors(read_pair(module, ticket))
    assert [one.name for one in errors] == ["0", "2"]
    for index, one in enumerate(errors):
        exact = max(exact_errors(module[2 * index], ticket, index))
        assert Fraction(one.max_error) >= exact > Fraction(math.nextafter(one.max_error, 0))


def test_the_ticket_is_folded_without_rounding() -> None:
    """A float32 fold would not do: the ticket's sums have more digits."""
    module = network(6, 5, 2)
    ticket = find_ticket(module, input_range=(-1, 1))
    pair = read_pair(module, ticket)
    for index, layer in enumerate(pair.layers):
        for sign, columns in ((1, slice(None, 6)), (-1, slice(6, None))):
            if index and sign < 0:
                continue
            sums = summed(ticket, index, sign)
            stated = sign * layer.ticket[:, columns]
            assert [[Fraction(w) for w in row] for row in stated.tolist()] == [
                row[:-1] for row in sums
            ]
        positive = summed(ticket, index, 1)
        assert [Fraction(b) for b in layer.ticket_bias.tolist()] == [row[-1] for row in positive]
        assert (layer.ticket.astype(np.float32) != layer.ticket).any()


def of_one_layer(wanted: FloatArray, got: FloatArray) -> LayerErrors:
    none = np.zeros(len(wanted))
    layer = PairedLayer("0", wanted, none, got, none)
    return weight_errors(Pair((layer,), False, (0.0, 1.0)))[0]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99), st.integers(-9, 2))
def test_norms_are_never_too_small_and_hardly_too_large(
    rows: int, columns: int, seed: int, magnitude: int
) -> None:
    draws = np.random.default_rng(seed)
    wanted = draws.normal(size=(rows, columns))
    got = wanted + 10.0**magnitude * draws.normal(size=(rows, columns))
    exact = [
        [Fraction(a) - Fraction(b) for a, b in zip(*both, strict=True)]
        for both in zip(got.tolist(), wanted.tolist(), strict=True)
    ]
    found = of_one_layer(wanted, got)
    largest = max(abs(v) for row in exact for v in row)
    assert Fraction(found.max_error) >= largest > Fraction(math.nextafter(found.max_error, 0))
    rough = np.array([[float(v) for v in row] for row in exact])
    squares = sum(v * v for row in exact for v in row)
    assert Fraction(found.frobenius) ** 2 >= squares
    assert Fraction(found.infinity) >= max(sum(map(abs, row)) for row in exact)
    assert Fraction(found.one) >= max(sum(map(abs, row)) for row in zip(*exact, strict=True))
    for one, rounded in (
        (found.frobenius, np.linalg.norm(rough)),
        (found.spectral, np.linalg.norm(rough, 2)),
        (found.infinity, np.linalg.norm(rough, np.inf)),
        (found.one, np.linalg.norm(rough, 1)),
    ):
        assert one == pytest.approx(rounded, rel=1e-11)
        assert one >= rounded * (1 - 1e-14)


@given(st.integers(0, 99))
def test_the_spectral_norm_is_bounded_where_it_is_known(seed: int) -> None:
    """Of s w wᵀ with whole numbers in w it is s ``‖w‖²``: a rational number."""
    w = np.random.default_rng(seed).integers(-9, 10, size=7).astype(np.float64)
    w[0] = 1.0
    found = of_one_layer(np.zeros((7, 7)), 2.0**-30 * np.outer(w, w))
    assert Fraction(found.spectral) >= Fraction(2) ** -30 * int(w @ w)


def test_equal_layers_differ_by_nothing() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 4))
    found = of_one_layer(weight, weight)
    assert found == LayerErrors("0", 0, 0, 0, 0, 0)


def test_sums_that_float64_rounds_are_refused() -> None:
    module = network(4, 3, 2)
    ticket = find_ticket(module)
    draws = torch.rand(ticket.layers[0].v.shape, dtype=torch.float64)
    ticket.layers[0].v = nn.Parameter(draws, requires_grad=False)
    with pytest.raises(ValueError, match="not exact in float64"):
        read_pair(module, ticket)


UNSUPPORTED = {
    "'1' is a Tanh": (nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)),
    "no known size": (nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Conv2d(2, 2, 1)),
    "'2' pools what is no ReLU's": (
        nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(),
    ),
    "'1' means 9 numbers": (nn.Unflatten(1, (1, 3, 3)), nn.AvgPool2d(3), nn.Conv2d(1, 1, 1)),
    "padding or dilation": (
        nn.Unflatten(1, (1, 3, 3)), nn.AvgPool2d(2, padding=1), nn.Conv2d(1, 1, 1),
    ),
    "zeros around a picture": (
        nn.Unflatten(1, (1, 3, 3)), nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
    ),
    "too large to be unrolled": (nn.Unflatten(1, (1, 99, 99)), nn.Conv2d(1, 1, 2)),
}  # fmt: skip


@pytest.mark.parametrize("message", UNSUPPORTED)
def test_other_networks_are_refused_with_what_is_supported(message: str) -> None:
    module = nn.Sequential(*UNSUPPORTED[message]).requires_grad_(False)
    ticket = find_ticket(module, width=2)
    with pytest.raises(ValueError, match=f"certificates are for Linear, .*{message}"):
        read_pair(module, ticket)


def test_a_ticket_of_something_else_is_refused() -> None:
    module = network(3, 3, 2)
    copies = find_ticket(module, construction="l-plus-one")
    with pytest.raises(ValueError, match="l-plus-one makes copies"):
        read_pair(module, copies)
    ticket = find_ticket(module)
    with pytest.raises(ValueError, match="another shape"):
        read_pair(network(3, 4, 2), ticket)
    with pytest.raises(ValueError, match="other steps"):
        read_pair(network(3, 3, 3, 2), ticket)
