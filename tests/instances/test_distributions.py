"""Distributions: fixed for ever, on their grids, symmetric, and summed with no rounding."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from instances.distributions import (
    DISTRIBUTIONS,
    Distribution,
    hyperbolic_units,
    powers_in_octave,
)
from instances.generate import hyperbolic_family
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream, normal, uniform, words

NAMES = [*DISTRIBUTIONS[:-1], "quantised-1", "quantised-3", "quantised-23"]
STREAM, COUNTERS = Stream(seed=12345, layer=3, matrix=1), np.array([0, 1, 7, 2**40])
MANY = np.arange(200_000)
UNITS = [2.0**-bits for bits in (0, 1, 8, 20, 23, 46, 47, 51, 52)]
RAW = [-52580665670263, -8840858480976, -46444646802956, 40934983533087]
HYPERBOLIC = [-17322954897818, -551705669431, -10681285848734, 2795498094613]

every_name = pytest.mark.parametrize("name", NAMES)


def units(name: str, unit: float, counters: np.ndarray = COUNTERS) -> list[int]:
    """The draws, counted in what `grid` says."""
    distribution = Distribution(name)
    found = distribution.draw(STREAM, counters, unit=unit) / distribution.grid(unit)
    assert (found == np.rint(found)).all()
    return [int(x) for x in found]


def test_golden_draws() -> None:
    """Nothing may ever change these numbers: every ticket in the world depends on them."""
    assert units("uniform", UNIT_RAW) == RAW
    assert units("normal", UNIT_FACTOR) == [-9593417, -1326395, -8004427, 4621127]
    assert units("hyperbolic", UNIT_RAW) == HYPERBOLIC
    assert units("hyperbolic", UNIT_FACTOR) == [-2065057, -65768, -1273308, 333249]
    assert units("hyperbolic", 1.0) == [-63, -2, -38, 10]
    assert units("signed-constant", UNIT_RAW) == [-4843165, -4843165, -4843165, 4843165]
    assert units("binary", UNIT_RAW) == [-1, -1, -1, 1]
    assert units("quantised-3", UNIT_RAW) == [-6, -2, -6, 4]
    assert units("quantised-23", UNIT_RAW) == [-6268104, -1053913, -5536634, 4879830]
    assert [twin(w0 << 32 | w1) for w0, w1, _, _ in words(STREAM, COUNTERS).tolist()] == HYPERBOLIC


def twin(word: int) -> int:
    """A hyperbolic draw from its 64 bits, in units of 2⁻⁴⁶, written from the definition."""
    octave, segment, fraction = word >> 60 & 7, word >> 54 & 63, word >> 12 & (1 << 42) - 1
    near, next_ = powers_in_octave()[segment : segment + 2].tolist()
    size = (near - ((near - next_) * fraction >> 42)) >> octave
    return -size if word >> 63 else int(size)


@given(st.integers(0, 2**64 - 1), st.integers(8, 46))
def test_hyperbolic_units_are_the_twin_rounded_towards_zero(word: int, bits: int) -> None:
    signed = np.array([(word >> 12) - (word >> 63 << 52)])  # the upper 52 bits
    found = int(hyperbolic_units(signed, powers_in_octave(), 2.0**-bits)[0])
    exact = twin(word)
    assert found == (abs(exact) >> (46 - bits)) * (1 if exact > 0 else -1) != 0
    mirrored = hyperbolic_units(signed ^ (-1 << 51), powers_in_octave(), 2.0**-bits)
    assert int(mirrored[0]) == -found


def test_the_table_holds_the_nearest_integers() -> None:
    table = powers_in_octave().tolist()
    assert table[0] == 2**46
    assert table[64] == 2**45
    for i, x in enumerate(table):
        assert (2 * x - 1) ** 64 < 2 ** (47 * 64 - i) < (2 * x + 1) ** 64


def test_hyperbolic_draws_follow_the_formula() -> None:
    draws = Distribution("hyperbolic").draw(Stream(3), MANY)
    w0, w1 = words(Stream(3), MANY)[:, :2].T.astype(np.uint64)
    place = (w0 << np.uint64(32) | w1) & np.uint64(2**63 - 1)
    formula = 2.0 ** (-(place.astype(np.float64)) * 2.0**-60)
    chord = (math.log(2) / 64) ** 2 / 8  # how far one lies above the curve, at most
    away = np.abs(draws) / formula - 1
    assert away.min() > -1e-11  # 2⁻⁴⁶ of 2⁻⁸, rounded down
    assert away.max() < chord * (1 + 1e-4)
    assert away.max() > chord * 0.99
    assert ((draws < 0) == (w0 >> np.uint64(31) == 1)).all()


@every_name
@pytest.mark.parametrize("unit", UNITS)
def test_draws_lie_on_their_grid_within_their_range(name: str, unit: float) -> None:
    distribution = Distribution(name)
    draws, grid = distribution.draw(Stream(1), MANY, unit=unit), distribution.grid(unit)
    assert draws.dtype == np.float64
    assert math.frexp(grid)[0] == 0.5
    assert (draws / grid == np.rint(draws / grid)).all()
    assert np.abs(draws).max() <= distribution.largest
    if name not in ("uniform", "normal") and not name.startswith("quantised"):
        assert np.abs(draws).min() > 0
    if name == "hyperbolic":
        assert np.abs(draws).min() >= 2.0**-8
    if name == "signed-constant":
        assert set(np.abs(draws).tolist()) == {distribution.largest}
        assert abs(distribution.largest - 3**-0.5) < UNIT_FACTOR / 2


@every_name
def test_factors_fit_float32_and_enough_products_add_up(name: str) -> None:
    distribution = Distribution(name)
    unit = distribution.factor_unit
    assert distribution.grid(unit) == unit
    draws = distribution.draw(Stream(2), MANY, unit=unit)
    assert (draws.astype(np.float32) == draws).all()
    assert distribution.largest / unit < 2**24
    assert distribution.num_exact_terms(unit, product=True) >= 100


@every_name
@pytest.mark.parametrize("product", [False, True])
@pytest.mark.parametrize("unit", [*UNITS, 2.0**-21])
def test_so_many_terms_are_exact_and_no_more(name: str, product: bool, unit: float) -> None:
    """The worst that can come: all of one sign and as large as can be, but for the last bit."""
    distribution = Distribution(name)
    grid, largest = Fraction(distribution.grid(unit)), Fraction(distribution.largest)
    most = distribution.num_exact_terms(unit, product)
    term, odd = (largest**2, (largest - grid) ** 2) if product else (largest, largest - grid)
    step = grid**2 if product else grid
    assert most == 2**53 // (term / step)
    for terms in (most, most // 2, max(0, most - 1)):
        total = terms * term
        assert Fraction(float(total)) == total
        if 0 < terms < 5000:
            values = np.full(terms, float(term))
            values[::3] = float(odd)
            exact = sum(map(Fraction, values.tolist()), Fraction(0))
            assert Fraction(float(np.cumsum(values)[-1])) == exact
    if name not in ("normal", "signed-constant", "binary") and (term / step).denominator == 1:
        beyond = most * term + odd  # of these the largest is reached, and every multiple below it
        assert beyond / step <= 2**53 or Fraction(float(beyond)) != beyond


def variance(name: str) -> tuple[float, float]:
    """The mean and the variance of draws on the finest grid."""
    if name == "hyperbolic":
        return 0.0, (1 - 2.0**-16) / (2 * math.log(2**8))
    if name.startswith("quantised"):
        step = 2.0 ** -int(name.partition("-")[2])
        return -step / 2, (4 - step**2) / 12
    return 0.0, 1.0 if name in ("normal", "binary") else 1 / 3


@every_name
def test_moments(name: str) -> None:
    draws = Distribution(name).draw(Stream(9), MANY)
    mean, var = variance(name)
    assert draws.mean() == pytest.approx(mean, abs=5 * (var / MANY.size) ** 0.5)
    assert draws.var() == pytest.approx(var, rel=0.02)


def test_hyperbolic_magnitudes_are_log_uniform() -> None:
    draws = Distribution("hyperbolic").draw(Stream(4), MANY)
    for part in (draws[draws > 0], -draws[draws < 0]):
        assert stats.kstest(np.log2(part), stats.uniform(-8, 8).cdf).pvalue > 1e-3


def test_two_are_as_they_always_were() -> None:
    for unit in UNITS:
        for name, draw in (("uniform", uniform), ("normal", normal)):
            found = Distribution(name).draw(STREAM, MANY, unit=unit)
            assert found.tobytes() == draw(STREAM, MANY, unit=unit).tobytes()


def test_quantised_draws_are_uniform_ones_on_a_coarser_grid() -> None:
    for name, bits in (("quantised-1", 1), ("quantised-3", 3), ("quantised-23", 23)):
        found = Distribution(name).draw(Stream(1), MANY, unit=UNIT_RAW)
        assert (found == uniform(Stream(1), MANY, unit=2.0**-bits)).all()
        assert (Distribution(name).draw(Stream(1), MANY, unit=1.0) == np.floor(found)).all()
    assert set(Distribution("quantised-1").draw(Stream(1), MANY).tolist()) == {-1, -0.5, 0, 0.5}


def test_hyperbolic_family_is_drawn_from_its_seed() -> None:
    one, two, other = (hyperbolic_family(5, 7, seed=seed) for seed in (3, 3, 4))
    assert (one.coefficients == two.coefficients).all()
    assert (one.targets == two.targets).all()
    assert (one.coefficients != other.coefficients).all()
    expected = Distribution("hyperbolic").draw(Stream(3), np.arange(35).reshape(5, 7))
    assert (one.coefficients == expected).all()
    assert one.recipe is not None
    assert one.recipe.distribution == "hyperbolic"


@every_name
def test_shapes_are_kept_and_draws_are_the_callers(name: str) -> None:
    distribution = Distribution(name)
    draws = distribution.draw(Stream(5), np.arange(12).reshape(3, 4))
    draws *= 2
    again = distribution.draw(Stream(5), np.arange(12))
    assert (draws == 2 * again.reshape(3, 4)).all()
    assert distribution.draw(Stream(5), np.empty((0, 4), np.int64)).shape == (0, 4)
    assert distribution.summary.endswith(".")


@pytest.mark.parametrize(
    "name",
    ["", "gaussian", "Uniform", "quantised-K", "quantised-0", "quantised-24", "quantised-03"],
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown distribution.*hyperbolic.*quantised-K"):
        Distribution(name)


@every_name
@pytest.mark.parametrize("unit", [0.3, 2.0, 2.0**-60, 0.0])
def test_grids_that_are_none_are_refused(name: str, unit: float) -> None:
    distribution = Distribution(name)
    for refused in (distribution.grid, distribution.num_exact_terms):
        with pytest.raises(ValueError, match="power of two"):
            refused(unit)
    with pytest.raises(ValueError, match="power of two"):
        distribution.draw(Stream(0), COUNTERS, unit=unit)
    with pytest.raises(ValueError, match="seed"):
        distribution.draw(Stream(-1), COUNTERS)
