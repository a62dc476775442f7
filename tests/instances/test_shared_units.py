"""Shared units refuse what makes no sense, are judged exactly, and state their program."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.files import load_instance, save_instance, to_fields
from instances.lp import to_lp
from instances.mps import from_mps, to_mps
from instances.shared_units import SharedUnits

A = np.array([[[0.5, 0.25, -0.125], [1.0, 1.0, 1.0]]])
T = np.array([[0.375, 1.0]])


def drawn(seed: int, **settings: Any) -> SharedUnits:
    rng = np.random.default_rng(seed)
    coefficients = rng.uniform(-1, 1, (3, 2, 4))
    available = rng.random((3, 2, 4)) < 0.7
    settings = {"available": available, **settings}
    return SharedUnits(coefficients, rng.uniform(-1, 1, (3, 2)), 0.3, **settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficients": A[0]}, "shapes"),
        ({"targets": T[:, :1]}, "shapes"),
        ({"coefficients": A[:0], "targets": T[:0]}, "empty batch"),
        ({"coefficients": A[:, :0], "targets": T[:, :0]}, "empty batch"),
        ({"coefficients": A * np.nan}, "finite"),
        ({"targets": T * np.inf}, "finite"),
        ({"tolerance": -0.1}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"unit_cost": -1.0}, "unit_cost"),
        ({"edge_cost": float("inf")}, "edge_cost"),
        ({"unit_cost": 0.0}, "nothing costs"),
        ({"structured": "no"}, "structured"),
        ({"available": np.ones((1, 3), bool)}, "available"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SharedUnits(**{"coefficients": A, "targets": T, "tolerance": 0.1, **changes})


@pytest.mark.parametrize(
    ("mask", "structured"),
    [(np.ones((1, 3), bool), False), (np.ones((1, 6), bool), True), (np.ones((1, 6)), False)],
)
def test_masks_of_another_kind_are_refused(mask: np.ndarray, structured: bool) -> None:
    with pytest.raises(ValueError, match="give bool and shape"):
        SharedUnits(A, T, 0.1, structured=structured).evaluate(mask)


def test_instances_cannot_be_changed() -> None:
    coefficients = A.copy()
    instance = SharedUnits(coefficients, T, 0.1)
    coefficients[:] = 0
    assert (instance.coefficients == A).all()
    with pytest.raises(ValueError):
        instance.coefficients[0, 0, 0] = 1.0


def test_what_is_asked_in_words() -> None:
    assert drawn(0).task == "shared-units(unit 1, edge 0) within 0.3"
    assert (
        drawn(0, structured=True, edge_cost=0.5).task == "whole-units(unit 1, edge 0.5) within 0.3"
    )
    assert drawn(0).counts
    assert not drawn(0, edge_cost=0.5).counts
    assert not drawn(0, unit_cost=2.0**60).counts


@pytest.mark.parametrize("structured", [False, True])
@given(seed=st.integers(0, 10**6))
def test_masks_are_judged_as_by_fractions(structured: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    instance = drawn(seed, structured=structured, unit_cost=0.1, edge_cost=0.7)
    mask = rng.random((3, instance.num_candidates)) < 0.5
    objective, violation, error = instance.verdict(mask)
    _, m, n = instance.shape
    for b in range(3):
        kept = [[bool(mask[b, h if structured else j * n + h]) for h in range(n)] for j in range(m)]
        a = [[Fraction(x) for x in row] for row in instance.coefficients[b].tolist()]
        errors = [
            abs(Fraction(t) - sum(x for x, keep in zip(a[j], kept[j], strict=True) if keep))
            for j, t in enumerate(instance.targets[b].tolist())
        ]
        units = sum(any(row[h] for row in kept) for h in range(n))
        edges = sum(map(sum, kept))
        cost = Fraction(0.1) * units + Fraction(0.7) * edges
        assert objective[b] == float(cost)
        assert error[b] == float(max(errors))
        assert instance.available is not None
        forbidden = any(
            kept[j][h] and not instance.available[b][:, h].all()
            if structured
            else kept[j][h] and not instance.available[b, j, h]
            for j in range(m)
            for h in range(n)
        )
        beyond = max(Fraction(0), max(errors) - Fraction(0.3))
        assert violation[b] == (np.inf if forbidden else float(beyond))
        assert instance.num_units(mask)[b] == units
        assert instance.num_edges(mask)[b] == edges


@pytest.mark.parametrize("structured", [False, True])
@given(seed=st.integers(0, 10**6))
def test_the_program_says_what_the_judge_says(structured: bool, seed: int) -> None:
    """A mask is feasible exactly when the program's rows hold, with y no larger than need be."""
    rng = np.random.default_rng(seed)
    instance = drawn(seed, structured=structured, unit_cost=3.0, edge_cost=2.0)
    mask = rng.random((3, instance.num_candidates)) < 0.4
    objective, violation = instance.evaluate(mask)
    for b in range(3):
        milp = instance.milp(b)
        x = np.zeros(len(milp.c))
        x[milp.mask_columns] = mask[b]
        if not structured:
            x[instance.num_candidates :] = mask[b].reshape(2, 4).any(axis=0)
        sums = np.zeros(len(milp.row_lower))
        np.add.at(sums, milp.rows, milp.values * x[milp.columns])
        holds = (milp.row_lower <= sums) & (sums <= milp.row_upper)
        fits = (milp.lower <= x) & (x <= milp.upper)
        assert (holds.all() and fits.all()) == (violation[b] == 0)
        assert milp.c @ x == objective[b]
        assert milp.integer.all()
        assert (milp.mask(x) == mask[b]).all()
        whole = milp.values[milp.counts[milp.rows]]
        assert (whole == np.rint(whole)).all()
        assert milp.counts.sum() == (0 if structured else 8)
        assert milp.size < 10


@pytest.mark.parametrize("structured", [False, True])
def test_programs_as_text(structured: bool) -> None:
    milp = drawn(1, structured=structured, edge_cost=0.5).milp(0)
    read = from_mps(to_mps(milp))
    for name, value in vars(milp).items():
        assert np.array_equal(getattr(read, name), value), name
    assert "Subject To" in to_lp(milp)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("settings", [{}, {"structured": True, "available": None, "edge_cost": 2}])
def test_files_hold_all_of_it(tmp_path: Path, suffix: str, settings: dict[str, Any]) -> None:
    instance = drawn(2, **settings)
    save_instance(instance, tmp_path / f"units{suffix}")
    read = load_instance(tmp_path / f"units{suffix}")
    mine, theirs = to_fields(instance), to_fields(read)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert np.array_equal(value, theirs[name]), name


@pytest.mark.parametrize(
    ("key", "value"),
    [("targets", None), ("tolerance", "much"), ("unit_cost", [1.0]), ("structured", "x")],
)
def test_broken_fields_are_refused(key: str, value: object) -> None:
    fields = {**drawn(3).fields(), key: value}
    if value is None:
        del fields[key]
    with pytest.raises(ValueError):
        SharedUnits.from_fields(fields)


def test_parts_and_outputs() -> None:
    instance = drawn(4)
    part = instance.part(1, 3)
    assert len(part) == 2
    assert (part.coefficients == instance.coefficients[1:]).all()
    rows = instance.sums()
    assert (rows.coefficients[3] == instance.coefficients[1, 1]).all()
    assert rows.targets[3] == instance.targets[1, 1]
    assert rows.available is not None
    assert (rows.available[3] == instance.usable()[1, 1]).all()
