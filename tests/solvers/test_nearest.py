"""The nearest candidate, to the last bit: against enumeration, meet-in-the-middle and fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import enumerate_row

from instances.generate import hyperbolic_family, normal_family, product_family, uniform_family
from instances.objectives import Closest, FixedSize, Sparsest
from instances.subset_sum import SubsetSum
from solvers.exact import nearest
from solvers.exact.nearest import Nearest
from solvers.select import select
from solvers.solution import Status
from solvers.solve import solve

ONE = FixedSize(1)
FAMILIES = [uniform_family, normal_family, product_family, hyperbolic_family]
anything = st.floats(allow_nan=False, allow_infinity=False)
halves = st.integers(-8, 8).map(lambda i: i * 0.5)
shifted = st.builds(lambda x, e: float(np.ldexp(x, e)), st.floats(-1, 1), st.integers(-60, 0))


@pytest.mark.parametrize("family", FAMILIES)
def test_against_meet_in_the_middle(family) -> None:  # type: ignore[no-untyped-def]
    for tolerance in (None, 0.02, 1e-4):
        instance = family(2000, 30, seed=5, objective=FixedSize(1, tolerance))
        one, other = solve(instance, "nearest"), solve(instance, "mitm")
        assert (one.status == other.status).all()
        assert (one.bound == other.bound)[other.feasible].all()
        assert (one.mask == other.mask)[other.feasible].all()
        assert one.feasible.any()
        assert (one.mask.sum(axis=1) == 1).all()  # the best known of every row


@given(
    rows=st.lists(
        st.lists(anything, min_size=4, max_size=4)
        | st.lists(halves, min_size=4, max_size=4)
        | st.lists(shifted, min_size=4, max_size=4),
        min_size=1,
        max_size=5,
    ),
    targets=st.lists(anything | halves | shifted, min_size=5, max_size=5),
    available=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=5, max_size=5),
    tolerance=st.none() | st.sampled_from([0.0, 0.25, 0.5, 1e-17, 1e300]),
)
def test_against_enumeration(
    rows: list[list[float]],
    targets: list[float],
    available: list[list[bool]],
    tolerance: float | None,
) -> None:
    b = len(rows)
    instance = SubsetSum(
        np.array(rows), np.array(targets[:b]), FixedSize(1, tolerance), np.array(available[:b])
    )
    solution = solve(instance, Nearest())
    for r in range(b):
        best = enumerate_row(instance, r)
        if best is None:
            assert solution.status[r] == Status.INFEASIBLE
        else:
            assert solution.status[r] == Status.OPTIMAL
            assert solution.mask[r].tolist() == best[0].tolist()


HARD = {
    "half-way": ([2.0, 3.0], 2.5),
    "half-way, the larger first": ([3.0, 2.0], 2.5),
    "equal ones": ([1.0, 0.5, 0.5, 1.0], 0.75),
    "differences that round to the same": ([1.0 + 2.0**-52, -1.0], 2.0**-53),
    "and the other way": ([1.0, -1.0 - 2.0**-52], -(2.0**-53)),
    "far below the last bit": ([1.0, -1.0], 5e-324),
    "so far above": ([1e300, 1.0, -1e300], 1e-300),
    "the same rounded difference on one side": ([1e-30, 2e-30, 1e-31], 1.0),
    "a difference that overflows": ([1.7e308, 1e308], -1.7e308),
    "both ends of all numbers": ([1.7976931348623157e308, -1.7976931348623157e308], -5e-324),
    "on it": ([0.5, 0.1, 0.3], 0.1),
    "zeros": ([0.0, -0.0], 0.0),
}


@pytest.mark.filterwarnings("ignore:overflow")  # of the judge, which means infinity
@pytest.mark.parametrize("case", HARD)
def test_exact_to_the_last_bit(case: str) -> None:
    row, target = HARD[case]
    for sign in (1.0, -1.0):
        instance = SubsetSum(sign * np.array([row]), np.array([sign * target]), ONE)
        solution = solve(instance, "nearest")
        errors = [abs(Fraction(sign * target) - Fraction(sign * x)) for x in row]
        assert solution.mask[0].argmax() == errors.index(min(errors))
        assert solution.status[0] == Status.OPTIMAL
        assert solution.bound[0] == solution.error[0]


def test_availability() -> None:
    available = np.array([[True, False, True], [False, False, False], [False, True, False]])
    coefficients = np.broadcast_to(np.array([0.1, 0.2, 0.9]), (3, 3))
    instance = SubsetSum(coefficients, np.full(3, 0.25), ONE, available)
    solution = solve(instance, "nearest")
    assert solution.mask.argmax(axis=1).tolist() == [0, 0, 1]
    assert solution.mask.sum(axis=1).tolist() == [1, 0, 1]
    assert solution.counts() == {"OPTIMAL": 2, "FEASIBLE": 0, "INFEASIBLE": 1, "NO_SOLUTION": 0}
    assert np.isposinf(solution.bound[1])


def test_tolerances_that_rounding_hides() -> None:
    """The exact error is above the tolerance, the rounded one is not."""
    instance = SubsetSum(np.array([[-(2.0**-60)]]), np.array([1.0]), FixedSize(1, 1.0))
    solution = solve(instance, "nearest")
    assert solution.error[0] == 1.0
    assert solution.status[0] == Status.INFEASIBLE
    met = SubsetSum(np.array([[0.5, 0.7]]), np.array([0.75]), FixedSize(1, 0.25))
    assert solve(met, "nearest").status[0] == Status.OPTIMAL


def test_no_candidates() -> None:
    solution = solve(SubsetSum(np.empty((2, 0)), np.array([0.5, 0.0]), ONE), "nearest")
    assert (solution.status == Status.INFEASIBLE).all()


def test_many_candidates_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = uniform_family(300, 2000, seed=2, objective=ONE)
    distance = np.abs(instance.targets[:, None] - instance.coefficients)
    assert (np.sort(distance, axis=1)[:, 0] < np.sort(distance, axis=1)[:, 1]).all()
    monkeypatch.setattr(nearest, "_NUMBERS", 2000 * 7)
    seen: list[int] = []
    found = Nearest().propose(instance, np.inf, on_event=lambda first, part: seen.append(first))
    assert (found.mask.argmax(axis=1) == distance.argmin(axis=1)).all()
    assert seen == list(range(0, 300, 7))
    assert solve(instance, time_limit=20).solver == "nearest"


def test_who_is_taken() -> None:
    assert isinstance(select(uniform_family(1, 49, objective=ONE)), Nearest)
    assert not isinstance(select(uniform_family(1, 48, objective=ONE)), Nearest)
    for objective in (Closest(), Sparsest(0.1), FixedSize(2), FixedSize(0)):
        assert not Nearest().supports(uniform_family(1, 3, objective=objective))
