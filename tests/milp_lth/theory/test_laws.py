"""Closed forms against draws, exact solves, and against one another."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.distributions import Distribution
from instances.generate import product_family, uniform_family
from instances.objectives import FixedSize
from instances.philox import Stream
from instances.subset_sum import SubsetSum
from milp_lth.theory.laws import (
    RandomSums,
    critical_kappa,
    least_candidates,
    moments,
    product_share,
)
from milp_lth.theory.median_error import median_error_of_products
from solvers.exact.count_solutions import count_solutions
from solvers.solve import solve

NAMES = ["uniform", "normal", "hyperbolic", "signed-constant", "binary", "quantised-2",
         "quantised-8"]  # fmt: skip


def at_target(family: SubsetSum, z: float) -> SubsetSum:
    return SubsetSum(family.coefficients, np.full(len(family), z), family.objective)


@pytest.mark.parametrize("name", [*NAMES, "products"])
def test_moments_are_those_of_the_draws(name: str) -> None:
    num = 200_000
    if name == "products":
        drawn = product_family(num, 1, seed=7).coefficients[:, 0]
    else:
        drawn = Distribution(name).draw(Stream(7), np.arange(num))
    mean, square = moments(name)
    assert abs(drawn.mean() - mean) < 4.5 * drawn.std() / math.sqrt(num) + 1e-12
    spread = (drawn**2).std()
    assert abs((drawn**2).mean() - square) < 4.5 * spread / math.sqrt(num) + 1e-6


@pytest.mark.parametrize("n", [8, 15, 24])
def test_medians_are_those_of_the_literature(n: int) -> None:
    z = np.array([-0.5, 0.0, 0.3])
    uniform = math.log(2) * np.sqrt(math.pi * n / 3) * 2.0 ** -(n + 1) * np.exp(3 * z**2 / n)
    assert RandomSums.of("uniform", n).median_distance(z) == pytest.approx(uniform, rel=1e-12)
    products = median_error_of_products(z, n, 1.0)
    assert RandomSums.of("products", n).median_distance(z) == pytest.approx(products, rel=1e-12)
    few = RandomSums.of("uniform", n, size=3)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)  # of variance 3 · 1/3
    assert few.expected_distance(z) == pytest.approx(1 / (2 * math.comb(n, 3) * density), rel=1e-12)


@pytest.mark.parametrize(
    ("n", "size", "z"), [(14, None, 0.05), (14, None, 0.4), (18, 4, 0.2), (18, 6, 0.05)]
)
def test_distances_are_distributed_as_the_law_says(n: int, size: int | None, z: float) -> None:
    trials = 12_000
    law = RandomSums.of("uniform", n, size=size)
    family = uniform_family(trials, n, seed=n)
    if size is not None:
        family = uniform_family(trials, n, seed=n, objective=FixedSize(size))
    error = solve(at_target(family, z), "mitm").error
    for level in (0.1, 0.5, 0.9, 0.97):
        share = (error <= law.quantile(level, z)).mean()
        # sampling, and sums that are not quite normal
        allowed = 4.5 * math.sqrt(level * (1 - level) / trials) + 0.012
        assert share == pytest.approx(level, abs=allowed), level


def test_the_tail_is_as_heavy_as_the_law_says() -> None:
    law = RandomSums.of("uniform", 16)
    error = solve(at_target(uniform_family(40_000, 16, seed=1), 0.05), "mitm").error
    ratio = np.quantile(error, 0.99) / np.median(error)
    predicted = law.quantile(0.99, 0.0) / law.quantile(0.5, 0.0)
    assert predicted == pytest.approx(28.2, abs=0.1)  # for all n; were it exponential: 6.6
    assert ratio == pytest.approx(predicted, rel=0.25)


@pytest.mark.parametrize("size", [None, 4, 6])
def test_the_tail_falls_with_its_exponent(size: int | None) -> None:
    law = RandomSums.of("normal", 20, size=size)
    x = law.quantile(0.5, 0.0) * np.array([2.0**8, 2.0**10])
    first, second = law.survival(x, 0.0)
    # a logarithm under a root goes with the power
    assert math.log2(first / second) / 2 == pytest.approx(law.tail_exponent, rel=0.1)


@given(st.integers(2, 30), st.floats(0.001, 0.999), st.floats(-1, 1), st.sampled_from(NAMES[:4]))
def test_quantile_inverts_survival(n: int, level: float, z: float, name: str) -> None:
    law = RandomSums.of(name, n)
    assert law.survival(law.quantile(level, z), z) == pytest.approx(1 - level, abs=1e-6)


def test_several_targets_are_mixed() -> None:
    law, z = RandomSums.of("products", 12), np.array([0.0, 0.5, 0.9])
    x = np.array([[1e-4, 1e-3], [1e-2, 1e-1]])
    mixed = np.mean([law.survival(x, one) for one in z], axis=0)
    assert law.survival(x, z) == pytest.approx(mixed, rel=1e-12)


@pytest.mark.parametrize("n", [12, 16])
def test_counts_of_solutions(n: int) -> None:
    """The mean is as the density says; the variance, and how often none is found, as the law."""
    trials, z = 8000, 0.25
    law = RandomSums.of("uniform", n)
    tolerance = float(6 / (2 * law.num_subsets * law.density(0.0)))
    count = count_solutions(at_target(uniform_family(trials, n, seed=n), z), tolerance)
    expected, variance = law.expected_count(tolerance, z), law.count_variance(tolerance, z)
    assert count.mean() == pytest.approx(expected, abs=4.5 * count.std() / math.sqrt(trials) + 0.06)
    assert count.var() == pytest.approx(variance, rel=0.1)
    assert variance > 1.8 * expected  # Poisson's would be equal
    none = law.survival(tolerance, z)
    assert (count == 0).mean() == pytest.approx(none, abs=0.01)
    assert none > 10 * math.exp(-expected)


@given(st.integers(8, 30), st.floats(0.5, 20), st.floats(-0.5, 0.5))
def test_the_distribution_of_counts_has_the_moments_of_the_formulas(
    n: int, expected: float, z: float
) -> None:
    law = RandomSums.of("uniform", n)
    tolerance = min(1e-3, float(expected / (2 * law.num_subsets * law.density(z))))
    share = law.count_distribution(tolerance, z, 200)
    k = np.arange(201)
    assert share.sum() == pytest.approx(1, abs=1e-6)
    assert share @ k == pytest.approx(law.expected_count(tolerance, z), rel=1e-3)
    mean = share @ k
    assert share @ (k - mean) ** 2 == pytest.approx(law.count_variance(tolerance, z), rel=1e-3)
    assert share[0] == pytest.approx(law.survival(tolerance, z), rel=1e-9)


def test_around_zero_the_variance_exceeds_the_mean_by_a_share_of_its_square() -> None:
    law = RandomSums.of("normal", 20)
    count = law.expected_count(1e-4, 0.0)
    more = law.count_variance(1e-4, 0.0) - count
    assert more == pytest.approx((2 / math.sqrt(3) - 1) * count**2, rel=1e-6)


def test_the_share_of_products() -> None:
    assert product_share(0.0, 1.0) == pytest.approx(1)
    assert product_share(0.5, 1e-6) == pytest.approx(-math.log(0.5) / 2 * 2e-6, rel=1e-4)
    drawn = product_family(100_000, 1, seed=3).coefficients[:, 0]
    for z, tolerance in ((0.0, 0.01), (0.3, 0.05), (-0.8, 0.3)):
        share = (np.abs(drawn - z) <= tolerance).mean()
        assert share == pytest.approx(float(product_share(z, tolerance)), abs=0.007)


def test_kappa_and_the_counting_bound() -> None:
    assert critical_kappa([4, 16]).tolist() == [0.75, 0.875]
    assert least_candidates(2.0**-10, 0.5) == 8
    assert least_candidates(2.0**-10, 0.5, share=1.0) == 9
    assert least_candidates(1.0, 0.5) == 0


def test_what_does_not_fit_names_its_remedy() -> None:
    for wrong in ("uniforms", "quantised-24", "quantised-0"):
        with pytest.raises(ValueError, match="choose one of"):
            moments(wrong)
    with pytest.raises(ValueError, match="at least one"):
        RandomSums.of("uniform", 0)
    for size in (0, 8):
        with pytest.raises(ValueError, match="give 1 to 7"):
            RandomSums.of("uniform", 8, size=size)
    with pytest.raises(ValueError, match="above the"):
        RandomSums(4, 1.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        RandomSums.of("uniform", 8).quantile(1.0, 0.0)
    with pytest.raises(ValueError, match="positive"):
        least_candidates(0.0, 0.5)
