"""Instances refuse what makes no sense, judge masks, cannot be changed, and state their program."""

import itertools

import numpy as np
import pytest

from instances.arrays import frozen
from instances.generate import uniform_family
from instances.milp import MILP
from instances.objectives import Closest, FixedSize, Objective, Sparsest, make_objective
from instances.subset_sum import SubsetSum

A = np.array([[0.5, 0.25, -0.125], [1.0, 1.0, 1.0]])
T = np.array([0.375, 0.1])


@pytest.mark.parametrize(
    ("coefficients", "targets", "message"),
    [
        (np.empty((0, 3)), np.empty(0), "empty batch"),
        (A, T[:1], "shapes"),
        (A[0], T, "shapes"),
        (np.array([[np.nan]]), np.array([1.0]), "finite"),
        (np.array([[1.0]]), np.array([np.inf]), "finite"),
        ([["x"]], [1.0], "array of float64"),
    ],
)
def test_bad_arrays_are_refused(coefficients: object, targets: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SubsetSum(coefficients, targets)  # type: ignore[arg-type]


def test_available_must_fit() -> None:
    with pytest.raises(ValueError, match="available"):
        SubsetSum(A, T, available=np.ones((2, 2), bool))


@pytest.mark.parametrize("tolerance", [-1e-9, float("nan"), float("inf")])
def test_tolerances_are_finite_and_not_negative(tolerance: float) -> None:
    for make in (Closest, Sparsest, lambda t: FixedSize(2, t)):
        with pytest.raises(ValueError, match="tolerance"):
            make(tolerance)


def test_objectives_by_name() -> None:
    assert make_objective("closest") == Closest()
    assert make_objective("fixed-size", size=3, tolerance=0.5) == FixedSize(3, 0.5)
    for name, settings in (
        ("nearest", {}),
        ("sparsest", {}),
        ("fixed-size", {}),
        ("closest", {"size": 2}),
        ("fixed-size", {"size": -1}),
    ):
        with pytest.raises(ValueError):
            make_objective(name, **settings)  # type: ignore[arg-type]


def test_instances_cannot_be_changed() -> None:
    mine = A.copy()
    instance = SubsetSum(mine, T)
    mine[0, 0] = 99.0
    assert instance.coefficients[0, 0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        instance.coefficients[0, 0] = 1.0
    with pytest.raises(AttributeError):
        instance.targets = T  # type: ignore[misc]


def test_a_shared_vector_stays_shared() -> None:
    row = np.broadcast_to(np.linspace(-1, 1, 5), (1000, 5))
    instance = SubsetSum(row, np.zeros(1000))
    assert instance.coefficients.strides[0] == 0
    kept = frozen(np.ones(3), np.float64)
    assert frozen(kept, np.float64) is kept


def test_evaluation_of_each_objective() -> None:
    mask = np.array([[True, False, True], [True, True, False]])
    objective, violation = SubsetSum(A, T).evaluate(mask)
    assert objective.tolist() == [0.0, 1.9]
    assert violation.tolist() == [0.0, 0.0]
    objective, violation = SubsetSum(A, T, Sparsest(0.5)).evaluate(mask)
    assert objective.tolist() == [2.0, 2.0]
    assert violation.tolist() == [0.0, 1.4]
    _, violation = SubsetSum(A, T, FixedSize(1)).evaluate(mask)
    assert violation.tolist() == [np.inf, np.inf]
    available = np.array([[True, True, True], [True, False, True]])
    _, violation = SubsetSum(A, T, available=available).evaluate(mask)
    assert violation.tolist() == [0.0, np.inf]


@pytest.mark.parametrize("mask", [np.ones((2, 3)), np.ones((2, 2), bool), np.ones(3, bool)])
def test_masks_are_bool_and_of_the_right_shape(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mask"):
        SubsetSum(A, T).evaluate(mask)


def enumerate_program(milp: MILP) -> tuple[float, list[bool]] | None:
    """Solve a program with one continuous variable at most by trying all masks."""
    matrix = np.zeros((len(milp.row_lower), len(milp.c)))
    np.add.at(matrix, (milp.rows, milp.columns), milp.values)
    n, best = int(milp.integer.sum()), None
    for bits in itertools.product([0.0, 1.0], repeat=n):
        x = np.array([*bits, *[0.0] * (len(milp.c) - n)])
        if (x[:n] > milp.upper[:n]).any():
            continue
        if len(x) > n:  # raise the error variable until its rows hold
            rows = matrix @ x
            measured = matrix[:, n] != 0
            x[n] = max(0.0, *(milp.row_lower - rows)[measured], *(rows - milp.row_upper)[measured])
        rows = matrix @ x
        if (rows >= milp.row_lower - 1e-12).all() and (rows <= milp.row_upper + 1e-12).all():
            value = float(milp.c @ x)
            if best is None or value < best[0]:
                best = (value, milp.mask(x).tolist())
    return best


@pytest.mark.parametrize("objective", [Closest(), Sparsest(0.05), FixedSize(2), FixedSize(0)])
def test_the_standard_form_states_the_same_problem(objective: Objective) -> None:
    base = uniform_family(4, 6, seed=3, objective=objective)
    available = np.ones((4, 6), bool)
    available[1, 2:4] = False
    instance = SubsetSum(base.coefficients, base.targets, objective, available)
    for b in range(4):
        found = enumerate_program(instance.milp(b))
        masks = np.array(list(itertools.product([False, True], repeat=6)))
        alone = instance.part(b, b + 1)
        everyone = SubsetSum(
            np.repeat(alone.coefficients, 64, 0), np.repeat(alone.targets, 64), objective,
            np.repeat(available[b : b + 1], 64, 0),
        )  # fmt: skip
        values, violation = everyone.evaluate(masks)
        if (violation > 0).all():
            assert found is None
        else:
            assert found is not None
            assert found[0] == pytest.approx(values[violation == 0].min(), abs=1e-12)


def test_widening_leaves_counts_alone() -> None:
    milp = uniform_family(1, 4, objective=FixedSize(2)).milp(0)
    wide = milp.widened(0.5)
    assert (wide.row_lower[2], wide.row_upper[2]) == (2.0, 2.0)
    assert wide.row_lower[0] == milp.row_lower[0] - 0.5
    assert wide.row_upper[1] == milp.row_upper[1] + 0.5
