"""Edge budgets: what is judged against fractions, and the standard form against its own judge."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.edge_budget import MEASURES, EdgeBudget
from instances.files import load_instance, save_instance
from instances.milp import MILP
from instances.mps import from_mps, to_mps

numbers = st.floats(-4, 4, allow_subnormal=False)


def drawn(rng: np.random.Generator, b: int = 2, r: int = 3, n: int = 4, **asked) -> EdgeBudget:  # type: ignore[no-untyped-def]
    return EdgeBudget(rng.uniform(-1, 1, (b, r, n)), rng.uniform(-1, 1, (b, r)), **asked)


def true_errors(instance: EdgeBudget, b: int, mask: np.ndarray) -> list[Fraction]:
    kept = mask.reshape(instance.coefficients.shape)[b]
    return [
        abs(Fraction(t) - sum((Fraction(a) for a in row[keep]), Fraction(0)))
        for row, t, keep in zip(
            instance.coefficients[b], instance.targets[b].tolist(), kept, strict=True
        )
    ]


def true_total(errors: list[Fraction], measure: str) -> float:
    if measure == "sum":
        return float(sum(errors))
    if measure == "max":
        return float(max(errors))
    return math.sqrt(sum(e * e for e in errors) / len(errors))


@given(
    st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=3, max_size=3),
    st.integers(0, 2**9 - 1),
    st.sampled_from(MEASURES),
)
def test_the_judge_against_fractions(rows: list[list[float]], bits: int, measure: str) -> None:
    table = np.array(rows)
    mask = (bits >> np.arange(9) & 1 == 1)[None, :]
    instance = EdgeBudget(table[None, :, :3], table[None, :, 3], 4, measure=measure)
    objective, violation, error = instance.verdict(mask)
    expected = true_total(true_errors(instance, 0, mask), measure)
    assert abs(objective[0] - expected) <= instance.slack[0] + 1e-16 * expected
    assert error[0] == objective[0]
    assert violation[0] == max(mask.sum() - 4, 0)
    limited = EdgeBudget(table[None, :, :3], table[None, :, 3], None, 0.5, measure)
    objective, violation, error = limited.verdict(mask)
    assert objective[0] == mask.sum()
    assert error[0] == pytest.approx(expected, rel=1e-15)
    assert violation[0] == pytest.approx(max(expected - 0.5, 0), abs=1e-14)


def test_a_maximum_is_held_to_its_limit_exactly() -> None:
    """The error exceeds the limit by less than a float can tell: 1 + 2⁻⁶⁰ against 1."""
    close = EdgeBudget([[[2.0**-60]]], [[-1.0]], None, 1.0, "max")
    assert close.evaluate(np.array([[True]]))[1][0] == 2.0**-60
    assert close.evaluate(np.array([[False]]))[1][0] == 0


@pytest.mark.parametrize("measure", MEASURES)
def test_errors_of_any_size(measure: str) -> None:
    for size in (1e300, 1e-300):
        instance = EdgeBudget(np.full((1, 3, 2), size), [[size, -size, 3 * size]], 6, None, measure)
        objective, _ = instance.evaluate(np.zeros((1, 6), bool))
        expected = {"sum": 5, "max": 3, "rms": math.sqrt(11 / 3)}[measure] * size
        assert objective[0] == pytest.approx(expected, rel=1e-12)
        assert np.isfinite(instance.slack).all()


def test_unavailable_candidates_are_never_feasible(rng: np.random.Generator) -> None:
    available = np.ones((2, 3, 4), bool)
    available[1, 2, 3] = False
    for asked in ({"budget": 12}, {"error_limit": 100.0}):
        _, violation = drawn(rng, available=available, **asked).evaluate(np.ones((2, 12), bool))
        assert violation.tolist() == [0, np.inf]


def test_what_a_batch_says_of_itself(rng: np.random.Generator) -> None:
    few, within = drawn(rng, budget=3), drawn(rng, error_limit=0.5, measure="max")
    assert (len(few), few.num_candidates, few.num_available()) == (2, 12, 4)
    assert (few.counts, within.counts) == (False, True)
    assert (few.tolerance, within.tolerance) == (None, 0.5)
    assert (few.slack > 0).all()
    assert (within.slack == 0).all()
    assert few.task == "sum of errors, at most 3 edges"
    assert within.task == "fewest edges, max of errors within 0.5"
    assert few.linear
    assert not drawn(rng, budget=3, measure="rms").linear
    assert EdgeBudget.tiny().num_candidates == 4


def test_a_part_is_judged_as_in_the_whole(rng: np.random.Generator) -> None:
    available = rng.random((4, 3, 4)) < 0.7
    instance = drawn(rng, 4, budget=3, measure="rms", available=available)
    mask = rng.random((4, 12)) < 0.3
    whole, part = instance.verdict(mask), instance.part(1, 3).verdict(mask[1:3])
    assert all((mine[1:3] == theirs).all() for mine, theirs in zip(whole, part, strict=True))


def test_weights_may_share_candidates(rng: np.random.Generator) -> None:
    shared = np.broadcast_to(rng.uniform(-1, 1, 4), (1, 1000, 4))
    instance = EdgeBudget(shared, rng.uniform(-1, 1, (1, 1000)), 10)
    assert instance.coefficients.strides[1] == 0


BAD = [
    ({}, "one of the two"),
    ({"budget": 1, "error_limit": 1.0}, "one of the two"),
    ({"budget": -1}, "0 or more"),
    ({"budget": 1.5}, "whole number"),
    ({"budget": math.inf}, "whole number"),
    ({"error_limit": -0.1}, "not negative"),
    ({"error_limit": math.nan}, "finite"),
    ({"error_limit": math.inf}, "finite"),
    ({"budget": 1, "measure": "median"}, "sum, max or rms"),
    ({"budget": 1, "targets": [[0.0, 0.0]]}, "shapes"),
    ({"budget": 1, "targets": [[math.nan]]}, "remove NaN"),
    ({"budget": 1, "coefficients": [[[math.inf]]]}, "remove NaN"),
    ({"budget": 1, "coefficients": [[1.0]]}, "shapes"),
    ({"budget": 1, "coefficients": np.empty((0, 0, 3)), "targets": np.empty((0, 0))}, "at least"),
    ({"budget": 1, "available": [[True]]}, "shape of the coefficients"),
]


@pytest.mark.parametrize(("fields", "remedy"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_input(fields: dict[str, object], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        EdgeBudget(**{"coefficients": [[[1.0]]], "targets": [[0.5]], **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("mask", [np.zeros((1, 4), bool), np.zeros((2, 12))])
def test_bad_masks(mask: np.ndarray, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="give bool and shape"):
        drawn(rng, budget=1).evaluate(mask)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("asked", [{"budget": 3, "measure": "rms"}, {"error_limit": 0.1}], ids=str)
def test_files(suffix: str, asked: dict[str, object], tmp_path, rng: np.random.Generator) -> None:  # type: ignore[no-untyped-def]
    instance = drawn(rng, available=rng.random((2, 3, 4)) < 0.5, **asked)
    path = tmp_path / f"instance{suffix}"
    save_instance(instance, path)
    again = load_instance(path)
    assert isinstance(again, EdgeBudget)
    for name in ("coefficients", "targets", "available"):
        assert (getattr(again, name) == getattr(instance, name)).all()
    for name in ("budget", "error_limit", "measure"):
        assert getattr(again, name) == getattr(instance, name)
    with pytest.raises(ValueError, match="missing"):
        EdgeBudget.from_fields({"targets": [[0.5]]})
    with pytest.raises(ValueError, match="single numbers"):
        EdgeBudget.from_fields({**instance.fields(), "error_limit": [1, 2]})


def forms(rng: np.random.Generator) -> list[EdgeBudget]:
    available = rng.random((1, 3, 4)) < 0.7
    asked = [{"budget": 3}, {"error_limit": 0.4}]
    measures = ("sum", "max")
    return [drawn(rng, 1, measure=m, available=available, **a) for m in measures for a in asked]  # type: ignore[arg-type]


def test_the_standard_form_as_text_and_back(rng: np.random.Generator) -> None:
    for instance in forms(rng):
        milp = instance.milp(0)
        again = from_mps(to_mps(milp))
        for name in MILP.__dataclass_fields__:
            if name not in ("sensitivity", "squared"):
                assert np.array_equal(getattr(again, name), getattr(milp, name)), name


def test_the_standard_form_says_what_the_judge_says(rng: np.random.Generator) -> None:
    """The best errors for a mask are put into the program: costs and rows are those judged."""
    for instance in [*forms(rng), drawn(rng, 1, budget=3, measure="rms")]:
        milp = instance.milp(0)
        for _ in range(30):
            mask = rng.random((1, 12)) < 0.25
            objective, violation, _ = instance.verdict(mask)
            signed = instance.targets[0] - np.where(
                mask.reshape(3, 4), instance.coefficients[0], 0.0
            ).sum(axis=1)
            errors = {"sum": np.abs(signed), "max": np.abs(signed).max(keepdims=True)}
            x = np.concatenate([mask[0], errors.get(instance.measure, signed)])[: len(milp.c)]
            sums = np.bincount(milp.rows, milp.values * x[milp.columns], len(milp.row_lower))
            beyond = np.maximum(milp.row_lower - sums, sums - milp.row_upper).max()
            beyond = max(beyond, (x - milp.upper).max(), (milp.lower - x).max())
            assert (beyond > 1e-12) == (violation[0] > 0)
            cost = np.sqrt(((milp.c * x) ** 2).sum()) if milp.squared else milp.c @ x
            assert cost == pytest.approx(objective[0], rel=1e-12)
            assert (milp.mask(x) == mask[0]).all()


def test_a_limit_on_squares_has_no_linear_form(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="limit the sum or the maximum"):
        drawn(rng, error_limit=1.0, measure="rms").milp(0)
    with pytest.raises(ValueError, match="linear"):
        to_mps(drawn(rng, budget=1, measure="rms").milp(0))
