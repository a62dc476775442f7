"""Rows as integers: any floats at all are ordered as the mathematics orders them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import enumerate_row

from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.subset_sum import SubsetSum
from solvers.exact.scaling import scale, scale_row
from solvers.solution import Status
from solvers.solve import solve

any_float = st.floats(allow_nan=False, allow_infinity=False)
coarse = st.integers(-6, 6).map(lambda k: k / 4)
near = st.integers(-40, 40).map(lambda k: 0.5 + k * 2.0**-52)
tolerances = st.sampled_from([0.0, 2.0**-52, 0.25, 1.0, 5e-324]) | st.floats(0, 1e308)


@st.composite
def rows(draw: st.DrawFn) -> SubsetSum:
    """One row of few candidates, out of numbers that are hard to add and to compare."""
    numbers = draw(st.sampled_from([any_float, coarse, near, coarse | near, any_float | coarse]))
    n = draw(st.integers(0, 6))
    a = draw(st.lists(numbers, min_size=n, max_size=n))
    target = draw(numbers | st.just(sum(a[::2])).filter(np.isfinite))
    tolerance = draw(tolerances)
    objectives = [Closest(), Closest(tolerance), Sparsest(tolerance), FixedSize(2)]
    objective: Objective = draw(st.sampled_from([*objectives, FixedSize(1, tolerance)]))
    available = draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    return SubsetSum(
        np.reshape(np.array(a, float), (1, n)), [target], objective,
        None if available is None else np.reshape(np.array(available, bool), (1, n)),
    )  # fmt: skip


def check(instance: SubsetSum, name: str) -> Status:
    solution = solve(instance, name)
    best = enumerate_row(instance, 0)
    status = Status(solution.status[0])
    if best is None:
        assert status in (Status.INFEASIBLE, Status.NO_SOLUTION)
        return status
    if status == Status.OPTIMAL:
        assert (solution.mask[0] == best[0]).all()
    else:
        assert status in (Status.FEASIBLE, Status.NO_SOLUTION)
    return status


@given(rows())
@settings(max_examples=400)
def test_meet_in_the_middle_decides_everything(instance: SubsetSum) -> None:
    assert check(instance, "mitm") in (Status.OPTIMAL, Status.INFEASIBLE)


@given(rows())
@settings(max_examples=60)
def test_cp_sat_claims_nothing_false(instance: SubsetSum) -> None:
    check(instance, "cp-sat")


@given(rows())
@settings(max_examples=200)
def test_fast_and_slow_scaling_agree(instance: SubsetSum) -> None:
    fast, slow = scale(instance), scale_row(instance, 0)
    if not fast.fits[0] or instance.available is not None:
        return
    assert fast.coefficients[0].tolist() == slow[0]
    if any(slow[0]) and abs(slow[1]) < sum(map(abs, slow[0])):  # else both say: out of reach
        assert fast.target[0] == slow[1]


@pytest.mark.parametrize("offset", range(-3, 4))
def test_targets_between_grid_points(offset: int) -> None:
    """Errors differ by one unit in the last place of the target, and still the right one wins."""
    target = 2.5 + offset * 2.0**-50
    instance = SubsetSum([[2.0, 3.0]], [target])
    expected = [True, False] if offset <= 0 else [False, True]
    for name in ("mitm", "cp-sat"):
        assert solve(instance, name).mask[0].tolist() == expected
