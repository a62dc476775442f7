"""Certificates of optimality against all subsets, and against the tables built another way."""

import hashlib
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.generate import product_family, uniform_family
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.subset_sum import SubsetSum
from milp_lth.certificates.optimality import (
    MAX_CANDIDATES,
    OptimalityCertificate,
    certify_optimality,
    refuted,
)
from solvers.solution import Status
from solvers.solve import solve

HALVES = st.integers(-40, 40).map(lambda k: k / 8)  # ties and repeated candidates are frequent
FLOATS = st.floats(-2, 2, allow_subnormal=False)


@st.composite
def rows(draw: st.DrawFn) -> tuple[SubsetSum, np.ndarray]:
    numbers = draw(st.sampled_from([HALVES, FLOATS]))
    n = draw(st.integers(0, 9))
    coefficients = draw(st.lists(numbers, min_size=n, max_size=n))
    tolerance = draw(st.sampled_from([0.0, 1e-3, 0.13, 1.0]))
    objectives: list[Objective] = [
        Closest(), Closest(tolerance), Sparsest(tolerance), FixedSize(2), FixedSize(3, tolerance),
    ]  # fmt: skip
    objective = draw(st.sampled_from(objectives))
    bits = st.lists(st.booleans(), min_size=n, max_size=n)
    available = draw(st.none() | bits)
    instance = SubsetSum(
        np.array([coefficients], dtype=np.float64).reshape(1, n),
        np.array([draw(numbers)]),
        objective,
        None if available is None else np.array([available], np.bool_).reshape(1, n),
    )
    return instance, np.array(draw(bits), np.bool_)


def every_subset(instance: SubsetSum) -> list[tuple[int, Fraction, frozenset[int]]]:
    """Size, error and candidates of all subsets, in fractions."""
    a = [Fraction(x) for x in instance.coefficients[0].tolist()]
    usable = [k for k in range(len(a)) if instance.available is None or instance.available[0, k]]
    target = Fraction(float(instance.targets[0]))
    return [
        (size, abs(target - sum((a[k] for k in kept), Fraction(0))), frozenset(kept))
        for size in range(len(usable) + 1)
        for kept in combinations(usable, size)
    ]


@given(rows())
def test_it_says_what_all_subsets_say(row: tuple[SubsetSum, np.ndarray]) -> None:
    instance, mask = row
    subsets, objective = every_subset(instance), instance.objective
    limit = None if instance.tolerance is None else Fraction(instance.tolerance)
    if isinstance(objective, FixedSize):
        subsets = [s for s in subsets if s[0] == objective.size]
    within = [s for s in subsets if limit is None or s[1] <= limit]
    fewest = min((s[0] for s in within), default=None)
    if isinstance(objective, Sparsest) and fewest is not None:
        subsets = [s for s in within if s[0] == fewest]
    least = min((s[1] for s in subsets), default=None)
    best = [s[2] for s in subsets if s[1] == least]
    found = certify_optimality(instance, 0, mask)
    assert found.feasible == bool(within)
    assert found.least_count == (fewest if isinstance(objective, Sparsest) else None)
    assert found.least_error == (None if least is None else float(least))
    assert found.num_best == len(best)
    assert found.reached == (frozenset(np.flatnonzero(mask).tolist()) in best)


@given(rows())
def test_solved_rows_are_not_refuted_and_other_claims_are(
    row: tuple[SubsetSum, np.ndarray],
) -> None:
    instance, _ = row
    solution = solve(instance, "mitm")
    status, objective = int(solution.status[0]), float(solution.objective[0])
    found = certify_optimality(instance, 0, solution.mask[0])
    assert refuted(found, status, objective) is None
    if status == Status.INFEASIBLE:
        assert refuted(found, Status.OPTIMAL, objective) is not None
    else:
        assert refuted(found, Status.INFEASIBLE, objective) is not None


@pytest.mark.parametrize("n", [1, 2, 7, 16])
@pytest.mark.parametrize("objective", [Closest(), Sparsest(0.1)])
def test_the_tables_are_those_that_are_described(n: int, objective: Objective) -> None:
    """Built from the bits of every mask, with one matrix product, and sorted as tuples."""
    instance = product_family(1, n, seed=3, objective=objective)
    found = certify_optimality(instance, 0, np.zeros(n, np.bool_))
    scaled = (instance.coefficients[0] * 2.0**-found.exponent).astype(np.int64)
    assert (scaled * 2.0**found.exponent == instance.coefficients[0]).all()
    assert (scaled % 2).any()
    for half, digest in zip((scaled[: n // 2], scaled[n // 2 :]), found.tables, strict=True):
        bits = np.arange(2 ** len(half))[:, None] >> np.arange(len(half)) & 1
        sizes = bits.sum(axis=1) * (objective != Closest())
        entries = sorted(zip(sizes.tolist(), (bits @ half).tolist(), strict=True))
        table = b"".join(total.to_bytes(8, "little", signed=True) for _, total in entries)
        assert digest == hashlib.sha256(table).hexdigest()


@pytest.mark.parametrize("objective", [Closest(), Sparsest(1e-3), FixedSize(5)])
def test_a_mask_that_is_not_the_best_is_refuted(objective: Objective) -> None:
    instance = product_family(20, 20, seed=1, objective=objective)
    solution = solve(instance, "mitm")
    for b in range(20):
        mask = solution.mask[b].copy()
        first, other = np.flatnonzero(mask)[0], np.flatnonzero(~mask)[0]
        mask[[first, other]] = False, True  # as many, another sum
        if isinstance(objective, Sparsest):
            mask[first] = True
        worse, _ = instance.part(b, b + 1).evaluate(mask[None])
        found = certify_optimality(instance, b, mask)
        assert found.least_error == solution.error[b]
        assert "claimed optimal" in str(refuted(found, Status.OPTIMAL, float(worse[0])))
        assert refuted(found, Status.FEASIBLE, float(worse[0])) is None
        gap = float(worse[0] - solution.objective[b]) * (1 + 1e-9)
        assert refuted(found, Status.OPTIMAL, float(worse[0]), gap) is None


def test_errors_that_round_to_the_same_number_are_told_apart() -> None:
    """All subsets miss 1 by 1 to the nearest float64; only one is closest."""
    instance = SubsetSum(np.array([[-(2.0**-70), 2.0**-70]]), np.array([1.0]))
    for bits in ([0, 0], [1, 0], [0, 1], [1, 1]):
        found = certify_optimality(instance, 0, np.array(bits, np.bool_))
        assert (found.least_error, found.num_best, found.exponent) == (1.0, 1, -70)
        assert found.reached == (bits == [0, 1])
        assert (refuted(found, Status.OPTIMAL, 1.0) is None) == found.reached


def test_sums_beyond_64_bits_are_exact() -> None:
    rng = np.random.default_rng(2)
    coefficients = rng.normal(size=(1, 12)) * 2.0 ** rng.integers(-60, 40, 12)
    kept = rng.random(12) < 0.5
    target = float(sum(coefficients[0, kept].tolist()))
    instance = SubsetSum(coefficients, np.array([target]))
    solution = solve(instance, "mitm")
    found = certify_optimality(instance, 0, solution.mask[0])
    assert found.reached
    assert found.least_error == float(min(s[1] for s in every_subset(instance)))
    assert all(len(digest) == 64 for digest in found.tables)


def test_rows_with_too_many_candidates_are_refused() -> None:
    instance = uniform_family(1, MAX_CANDIDATES + 1, seed=0)
    with pytest.raises(ValueError, match="41 candidates.*40"):
        certify_optimality(instance, 0, np.zeros(MAX_CANDIDATES + 1, np.bool_))
    usable = np.ones((1, MAX_CANDIDATES + 1), np.bool_)
    usable[0, 16:] = False  # what may not be used does not count
    restricted = SubsetSum(instance.coefficients, instance.targets, available=usable)
    solution = solve(restricted, "mitm")
    assert certify_optimality(restricted, 0, solution.mask[0]).reached


def test_a_mask_of_what_may_not_be_used_is_never_the_best() -> None:
    instance = SubsetSum(np.full((1, 2), 0.5), np.array([0.5]), available=np.array([[True, False]]))
    assert certify_optimality(instance, 0, np.array([True, False])).reached
    assert not certify_optimality(instance, 0, np.array([False, True])).reached


def test_every_field_counts() -> None:
    instance = product_family(1, 12, seed=0)
    mask = solve(instance, "mitm").mask[0]
    one, two = (certify_optimality(instance, 0, mask) for _ in range(2))
    assert one == two
    assert isinstance(one, OptimalityCertificate)
    assert replace(one, tables=one.tables[::-1]) != two
