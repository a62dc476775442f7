"""Perturbed sums refuse what makes no sense, are judged exactly, and state their program."""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.arithmetic import judge
from instances.files import from_fields, load_instance, save_instance, to_fields
from instances.lp import to_lp
from instances.mps import from_mps, to_mps
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.perturbed import PerturbedSubsetSum

A = np.array([[0.5, 0.25, -0.125], [1.0, 1.0, 1.0]])
T = np.array([0.375, 0.1])
P = np.array([[0.0, 0.125, 0.0625], [0.25, 0.5, 0.0]])

floats = st.floats(allow_nan=False, allow_infinity=False, width=64)
moderate = st.floats(-4, 4)


def exact(values: np.ndarray, mask: np.ndarray) -> Fraction:
    return sum((Fraction(x) for x in values[mask].tolist()), Fraction(0))


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def drawn(seed: int, objective: Objective | None = None, **settings: Any) -> PerturbedSubsetSum:
    """Rows of eighths and sixteenths, so that every limit is met now and then."""
    rng = np.random.default_rng(seed)
    settings = {"available": rng.random((3, 5)) < 0.8, **settings}
    return PerturbedSubsetSum(
        rng.integers(-8, 9, (3, 5)) / 8,
        rng.integers(-16, 17, 3) / 8,
        rng.integers(0, 4, (3, 5)) / 16,
        objective or Closest(),  # type: ignore[arg-type]
        **settings,
    )


@st.composite
def batches(draw: st.DrawFn, numbers: st.SearchStrategy[float]) -> tuple[np.ndarray, ...]:
    b, n = draw(st.integers(1, 2)), draw(st.integers(0, 5))

    def table(values: st.SearchStrategy[Any], kind: type, columns: int = n) -> np.ndarray:
        rows = st.lists(values, min_size=b * columns, max_size=b * columns)
        return np.array(draw(rows), kind).reshape(b, columns)

    a, p = table(numbers, float), np.abs(table(numbers, float))
    return a, table(numbers, float, 1)[:, 0], p, table(st.booleans(), bool)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficients": A[0]}, "shapes"),
        ({"targets": T[:1]}, "shapes"),
        ({"coefficients": A[:0], "targets": T[:0], "perturbations": 0.1}, "empty batch"),
        ({"coefficients": A * np.nan}, "finite"),
        ({"targets": T * np.inf}, "finite"),
        ({"perturbations": np.inf}, "finite"),
        ({"perturbations": -P}, "give 0 or more"),
        ({"perturbations": P[:, :2]}, "broadcast"),
        ({"perturbations": "much"}, "array of float64"),
        ({"available": np.ones((1, 3), bool)}, "available"),
        ({"objective": FixedSize(2)}, "choose Closest or Sparsest"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], message: str) -> None:
    given = {"coefficients": A, "targets": T, "perturbations": P, **changes}
    with pytest.raises(ValueError, match=message):
        PerturbedSubsetSum(**given)


@pytest.mark.parametrize("mask", [np.ones((2, 3)), np.ones((2, 2), bool), np.ones(3, bool)])
def test_masks_are_bool_and_of_the_right_shape(mask: np.ndarray) -> None:
    for asked in (PerturbedSubsetSum(A, T, P).evaluate, PerturbedSubsetSum(A, T, P).movement):
        with pytest.raises(ValueError, match="give bool and shape"):
            asked(mask)


@pytest.mark.parametrize("given", [0.25, [0.25], [[0.25], [0.25]], [0.25] * 3, [[0.25] * 3]])
def test_perturbations_are_broadcast(given: Any) -> None:
    instance = PerturbedSubsetSum(A, T, given)
    assert (instance.perturbations == np.full((2, 3), 0.25)).all()
    assert (instance.part(1, 2).perturbations == np.full((1, 3), 0.25)).all()


def test_instances_cannot_be_changed() -> None:
    mine = P.copy()
    instance = PerturbedSubsetSum(A, T, mine)
    mine[:] = 9.0
    assert (instance.perturbations == P).all()
    with pytest.raises(ValueError, match="read-only"):
        instance.perturbations[0, 0] = 1.0


def test_what_is_asked_in_words() -> None:
    assert drawn(0).task == "perturbed closest"
    assert drawn(0, Sparsest(0.01)).task == "perturbed sparsest within 0.01"
    assert drawn(0, Sparsest(0.01)).counts
    assert not drawn(0).counts
    assert drawn(0, available=None).num_available().tolist() == [5, 5, 5]


def test_by_hand() -> None:
    mask = np.array([[True, True, False], [True, False, True]])
    instance = PerturbedSubsetSum(A, T, P)
    objective, violation, error = instance.verdict(mask)
    assert objective.tolist() == error.tolist() == [0.25, float(2 - Fraction(0.1) - Fraction(0.25))]
    assert violation.tolist() == [0, 0]
    assert instance.movement(mask).tolist() == [-1, -1]
    met = np.array([[False, True, False], [False, False, False]])
    objective, violation, error = PerturbedSubsetSum(A, T, P, Sparsest(0.05)).verdict(met)
    assert objective.tolist() == [1, 0]
    assert violation.tolist() == [0, float(Fraction(0.1) - Fraction(0.05))]
    assert error.tolist() == [0, 0.1]
    assert instance.movement(met).tolist() == [1, 0]


@given(batch=batches(floats) | batches(moderate), tolerance=st.none() | st.floats(0, 2))
def test_masks_are_judged_as_by_fractions(
    batch: tuple[np.ndarray, ...], tolerance: float | None
) -> None:
    a, t, p, mask = batch
    closest = PerturbedSubsetSum(a, t, p, Closest(tolerance))
    available = np.arange(a.shape[1]) % 3 < 2
    some = np.broadcast_to(available, a.shape)
    sparsest = PerturbedSubsetSum(a, t, p, Sparsest(tolerance or 0.0), some)
    objective, violation, error = closest.verdict(mask)
    count, beyond, _ = sparsest.verdict(mask)
    for b in range(len(t)):
        away = abs(Fraction(float(t[b])) - exact(a[b], mask[b])) - exact(p[b], mask[b])
        miss = max(Fraction(0), away)
        over = [max(Fraction(0), miss - Fraction(limit or 0.0)) for limit in (tolerance, 0.0)]
        assert objective[b] == error[b] == rounded(miss)
        assert violation[b] == (0 if tolerance is None else rounded(over[0]))
        assert (objective[b] > 0) == (miss > 0)
        assert count[b] == mask[b].sum()
        forbidden = bool((mask[b] & ~available).any())
        assert beyond[b] == (np.inf if forbidden else rounded(over[0]))


@given(batch=batches(floats) | batches(moderate))
def test_limits_of_several_terms_are_summed_exactly(batch: tuple[np.ndarray, ...]) -> None:
    a, t, terms, mask = batch
    error, excess = judge(a, t, mask, terms)
    assert (error == judge(a, t, mask, None).error).all()
    everything = np.ones(a.shape[1], bool)
    for b in range(len(t)):
        away = abs(Fraction(float(t[b])) - exact(a[b], mask[b]))
        assert excess[b] == rounded(max(Fraction(0), away - exact(terms[b], everything)))


def test_the_limit_is_met_or_not_to_the_last_bit() -> None:
    tiny, mask = 2.0**-50, np.ones((1, 2), bool)
    for target, miss in ((1.0, 0.0), (np.nextafter(1.0, 2), 2.0**-52)):
        instance = PerturbedSubsetSum([[0.5, tiny]], [target], [[0.5 - 2 * tiny, tiny]])
        assert instance.evaluate(mask)[0] == miss
    instance = PerturbedSubsetSum([[1.0, 0.0]], [2.0], [[0.5, tiny]], Sparsest(0.5))
    assert instance.evaluate(mask)[1] == 0
    assert instance.evaluate(np.array([[True, False]]))[1] == 0
    narrow = PerturbedSubsetSum([[1.0, 0.0]], [2.0], [[0.5 - tiny, tiny / 2]], Sparsest(0.5))
    assert narrow.evaluate(mask)[1] == tiny / 2


@given(batch=batches(floats) | batches(moderate))
def test_movements_are_those_of_fractions(batch: tuple[np.ndarray, ...]) -> None:
    a, t, p, mask = batch
    instance = PerturbedSubsetSum(a, t, p)
    theta = instance.movement(mask)
    for b in range(len(t)):
        left = Fraction(float(t[b])) - exact(a[b], mask[b])
        room = exact(p[b], mask[b])
        true = Fraction(0) if room == 0 else max(Fraction(-1), min(left / room, Fraction(1)))
        assert abs(Fraction(float(theta[b])) - true) <= abs(true) / 2**51 + Fraction(1, 2**1070)


def test_movements_where_floats_do_not_know_the_sign() -> None:
    a, p = np.array([[0.1, 0.2, -0.3]]), np.full((1, 3), 2.0**-54)
    everything = np.ones((1, 3), bool)
    total = sum(map(Fraction, a[0].tolist()))
    assert total != Fraction(float(a.sum()))
    theta = PerturbedSubsetSum(a, [0.0], p).movement(everything)
    assert theta[0] == float(-total / (3 * Fraction(2) ** -54))
    assert PerturbedSubsetSum(a, [float(total)], p).movement(everything)[0] == 0


@pytest.mark.parametrize("objective", [Closest(), Closest(0.125), Sparsest(0.125), Sparsest(0.0)])
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_the_program_says_what_the_judge_says(objective: Objective, seed: int) -> None:
    """Every mask: where the program takes it, and what it then costs."""
    instance = drawn(seed, objective)
    masks = np.array(list(itertools.product([False, True], repeat=5)))
    judged = [instance.evaluate(np.broadcast_to(mask, (3, 5))) for mask in masks]
    for b in range(3):
        milp = instance.milp(b)
        matrix = np.zeros((len(milp.row_lower), len(milp.c)))
        np.add.at(matrix, (milp.rows, milp.columns), milp.values)
        for mask, (objectives, violations) in zip(masks, judged, strict=True):
            x = np.append(mask.astype(float), np.zeros(len(milp.c) - 5))
            least = max(0.0, *(milp.row_lower - matrix @ x), *(matrix @ x - milp.row_upper))
            if not instance.counts:
                x[5] = least
            fits = (milp.lower <= x).all() and (x <= milp.upper).all()
            assert fits == np.isfinite(violations[b])
            assert milp.c @ x == objectives[b]
            if instance.counts and fits:
                assert (least == 0) == (violations[b] == 0)
            assert (milp.mask(x) == mask).all()


@pytest.mark.parametrize("objective", [Closest(), Sparsest(0.1)])
def test_programs_as_text(objective: Objective) -> None:
    milp = drawn(1, objective).milp(0)
    read = from_mps(to_mps(milp))
    order = np.lexsort((milp.columns, milp.rows))
    again = np.lexsort((read.columns, read.rows))
    assert (milp.values[order] == read.values[again]).all()
    assert (milp.row_lower == read.row_lower).all()
    assert (milp.upper == read.upper).all()
    assert "Subject To" in to_lp(milp)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize(
    ("objective", "settings"), [(Closest(), {"available": None}), (Sparsest(0.1), {})]
)
def test_files_hold_all_of_it(
    tmp_path: Path, suffix: str, objective: Objective, settings: dict[str, Any]
) -> None:
    instance = drawn(2, objective, **settings)
    save_instance(instance, tmp_path / f"rows{suffix}")
    read = load_instance(tmp_path / f"rows{suffix}")
    assert isinstance(read, PerturbedSubsetSum)
    assert read.objective == objective
    mine, theirs = to_fields(instance), to_fields(read)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert np.array_equal(value, theirs[name]), name


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("perturbations", None, "'perturbations' is missing"),
        ("tolerance", [1.0], "single number"),
        ("objective", "fixed-size", "choose Closest or Sparsest"),
        ("objective", "nearest", "unknown objective"),
    ],
)
def test_broken_fields_are_refused(key: str, value: object, message: str) -> None:
    fields = {**to_fields(drawn(3, Sparsest(0.5))), key: value}
    if value is None:
        del fields[key]
    with pytest.raises(ValueError, match=message):
        from_fields(fields)


def test_a_tiny_one() -> None:
    assert len(PerturbedSubsetSum.tiny()) == 1
