"""How many subsets come close enough, against all of them in fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.generate import planted_family, uniform_family
from instances.objectives import Closest, FixedSize, Sparsest
from instances.subset_sum import SubsetSum
from solvers.exact.count_solutions import count_solutions
from solvers.solve import solve

any_float = st.floats(allow_nan=False, allow_infinity=False)
coarse = st.integers(-6, 6).map(lambda k: k / 4)
near = st.integers(-40, 40).map(lambda k: 0.5 + k * 2.0**-52)
tolerances = st.sampled_from([0.0, 2.0**-52, 0.25, 0.5, 1.0, 5e-324]) | st.floats(0, 1e308)


def by_all_masks(instance: SubsetSum, b: int, tolerance: float) -> int:
    available = np.ones(instance.num_candidates, bool)
    if instance.available is not None:
        available = instance.available[b]
    sums = [Fraction(0)]
    for a in instance.coefficients[b, available].tolist():
        sums += [s + Fraction(a) for s in sums]
    target = Fraction(float(instance.targets[b]))
    return sum(abs(target - s) <= Fraction(tolerance) for s in sums)


@st.composite
def batches(draw: st.DrawFn) -> SubsetSum:
    """A few rows out of numbers that are hard to add and to compare; some share candidates."""
    numbers = draw(st.sampled_from([any_float, coarse, near, coarse | near, any_float | coarse]))
    b, n = draw(st.integers(1, 3)), draw(st.integers(0, 7))
    rows = [draw(st.lists(numbers, min_size=n, max_size=n)) for _ in range(b)]
    if draw(st.booleans()):
        rows = rows[:1] * b
    sums = [float(sum(row[::2])) for row in rows]
    targets = [draw(numbers | st.just(s if math.isfinite(s) else 0.0)) for s in sums]
    free = st.lists(st.booleans(), min_size=b * n, max_size=b * n)
    available = draw(st.none() | free)
    return SubsetSum(
        np.reshape(np.array(rows, float), (b, n)), np.array(targets), Closest(),
        None if available is None else np.reshape(np.array(available, bool), (b, n)),
    )  # fmt: skip


@given(batches(), tolerances)
@settings(max_examples=400)
def test_any_numbers_at_all(instance: SubsetSum, tolerance: float) -> None:
    expected = [by_all_masks(instance, b, tolerance) for b in range(len(instance))]
    assert count_solutions(instance, tolerance).tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 9, 12, 13])
def test_on_and_beside_the_boundary(n: int) -> None:
    """A sum at a distance of exactly the tolerance counts; a little less, and it does not."""
    instance, _ = planted_family(4, n, seed=n, unit=2.0**-4)
    off = SubsetSum(instance.coefficients, instance.targets + 0.25)
    for tolerance in (0.25, np.nextafter(0.25, 0), np.nextafter(0.25, 1), 0.0):
        expected = [by_all_masks(off, b, float(tolerance)) for b in range(4)]
        assert count_solutions(off, float(tolerance)).tolist() == expected
    assert (count_solutions(off, 0.25) > count_solutions(off, float(np.nextafter(0.25, 0)))).all()


def test_the_least_error_is_the_first_tolerance_with_a_solution() -> None:
    instance = uniform_family(300, 18, seed=3)
    least = solve(instance, "mitm").error
    for b in range(0, 300, 7):
        row = instance.part(b, b + 1)
        assert count_solutions(row, float(np.nextafter(least[b], 1)))[0] >= 1
        assert count_solutions(row, float(least[b]) * (1 - 1e-9))[0] == 0


def test_rows_of_many_lengths_at_once(rng: np.random.Generator) -> None:
    base = uniform_family(60, 12, seed=5)
    available = np.repeat(rng.random((20, 12)) < 0.7, 3, axis=0)
    coefficients = base.coefficients[np.repeat(np.arange(20), 3)]
    instance = SubsetSum(coefficients, base.targets, Closest(), available)
    expected = [by_all_masks(instance, b, 0.02) for b in range(60)]
    assert count_solutions(instance, 0.02).tolist() == expected
    assert sum(expected) > 60


@pytest.mark.parametrize("n", [40, 46])
def test_more_candidates_than_tables_hold(n: int) -> None:
    """Of ones alone the counts are binomial coefficients."""
    ones = SubsetSum(np.ones((1, n)), np.array([3.0]))
    assert count_solutions(ones, 1.5).tolist() == [sum(math.comb(n, k) for k in (2, 3, 4))]


def test_everything_and_nothing() -> None:
    instance = uniform_family(5, 21, seed=1)
    assert (count_solutions(instance, 100.0) == 2**21).all()
    far = SubsetSum(instance.coefficients, instance.targets + 1e6)
    assert (count_solutions(far, 1.0) == 0).all()


def test_what_is_not_counted_is_refused() -> None:
    instance = uniform_family(1, 6)
    tolerant = SubsetSum(instance.coefficients, instance.targets, Sparsest(1e-9))
    assert count_solutions(tolerant, 0.1) == count_solutions(instance, 0.1)
    with pytest.raises(ValueError, match="objective closest"):
        count_solutions(uniform_family(1, 6, objective=FixedSize(2)), 0.1)
    with pytest.raises(ValueError, match="at most 48"):
        count_solutions(uniform_family(1, 49), 0.1)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="tolerance"):
            count_solutions(instance, wrong)
