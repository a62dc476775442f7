"""The judge is exact: held against fractions, over the whole range of floats."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from instances.arithmetic import judge

floats = st.floats(allow_nan=False, allow_infinity=False, width=64)
moderate = st.floats(-4, 4)


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


@st.composite
def batches(draw: st.DrawFn, numbers: st.SearchStrategy[float]) -> tuple[np.ndarray, ...]:
    b, n = draw(st.integers(1, 3)), draw(st.integers(0, 8))
    rows = [draw(st.lists(numbers, min_size=n, max_size=n)) for _ in range(b)]
    mask = [draw(st.lists(st.booleans(), min_size=n, max_size=n)) for _ in range(b)]
    targets = [draw(numbers) for _ in range(b)]
    shape = (b, n)
    return (
        np.reshape(np.array(rows, float), shape),
        np.array(targets),
        np.reshape(np.array(mask, bool), shape),
    )


def check(batch: tuple[np.ndarray, ...], tolerance: float | None) -> None:
    a, t, mask = batch
    error, excess = judge(a, t, mask, tolerance)
    for r in range(len(t)):
        true = abs(Fraction(t[r]) - sum((Fraction(x) for x in a[r, mask[r]]), Fraction(0)))
        assert error[r] == rounded(true)
        beyond = Fraction(0) if tolerance is None else max(Fraction(0), true - Fraction(tolerance))
        assert excess[r] == rounded(beyond)
        assert (excess[r] > 0) == (beyond > 0)


@given(batch=batches(floats), tolerance=st.none() | st.floats(0, 1e300))
def test_any_floats(batch: tuple[np.ndarray, ...], tolerance: float | None) -> None:
    check(batch, tolerance)


@given(batch=batches(moderate), tolerance=st.none() | st.floats(0, 1))
def test_ordinary_floats(batch: tuple[np.ndarray, ...], tolerance: float | None) -> None:
    check(batch, tolerance)


def test_sums_that_floating_point_gets_wrong() -> None:
    a = np.array([[0.1, 0.2, -0.3], [1e16, 1.0, -1e16], [5e-324, 1e308, -1e308]])
    t = np.array([0.0, 1.0, 0.0])
    error, _ = judge(a, t, np.ones((3, 3), bool), None)
    assert error.tolist() == [
        float(abs(Fraction(0.1) + Fraction(0.2) + Fraction(-0.3))),
        0.0,
        5e-324,
    ]
    assert error[0] != 0.1 + 0.2 - 0.3


def test_the_tolerance_is_met_or_not_to_the_last_bit() -> None:
    a, mask = np.array([[2.0**-46]]), np.array([[True]])
    for tolerance, feasible in ((0.25, True), (np.nextafter(0.25, 0), False)):
        _, excess = judge(a, np.array([0.25 + 2.0**-46]), mask, float(tolerance))
        assert (excess[0] == 0) == feasible


def test_large_batches_are_judged_in_pieces(rng: np.random.Generator) -> None:
    a = rng.integers(-8, 8, (300_000, 5)) / 8
    mask = rng.random(a.shape) < 0.5
    error, _ = judge(a, np.zeros(len(a)), mask, None)
    assert (error == np.abs(np.where(mask, a, 0).sum(axis=1))).all()
