"""Arbitrary sources: judged as fractions say, stated so that every mask keeps its error."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from instances.arbitrary_source import ArbitrarySource
from instances.files import load_instance, save_instance
from instances.lp import to_lp
from instances.milp import MILP
from instances.mps import from_mps, to_mps

SHAPES = [(2, 3, 1), (1, 3, 2), (3, 2), (2, 2, 2, 1), (1, 2, 2, 1, 1)]

every_shape = pytest.mark.parametrize("sizes", SHAPES, ids=str)
every_norm = pytest.mark.parametrize("norm", ["1", "inf"])


def random_source(
    sizes: tuple[int, ...], num_sources: int = 2, num_samples: int = 3, seed: int = 0, **settings
) -> ArbitrarySource:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    weights = [rng.uniform(-1, 1, (num_sources, o, i)) for i, o in pairwise(sizes)]
    inputs = rng.uniform(-1, 1, (num_samples, sizes[0]))
    outputs = rng.uniform(-0.5, 0.5, (num_samples, sizes[-1]))
    return ArbitrarySource(tuple(weights), inputs, outputs, **settings)


def exact_error(source: ArbitrarySource, b: int, mask: np.ndarray) -> Fraction:
    """The error of one mask, one number after the other."""
    errors = []
    for x, y in zip(source.inputs.tolist(), source.outputs.tolist(), strict=True):
        h, edge = [Fraction(v) for v in x], 0
        for depth, w in enumerate(source.weights):
            if depth > 0:
                h = [max(v, Fraction(0)) for v in h]
            sums = []
            for row in w[b].tolist():
                total = Fraction(0)
                for weight, value in zip(row, h, strict=True):
                    total += Fraction(weight) * value if mask[edge] else 0
                    edge += 1
                sums.append(total)
            h = sums
        errors += [abs(got - Fraction(wanted)) for got, wanted in zip(h, y, strict=True)]
    return max(errors) if source.norm == "inf" else sum(errors, Fraction(0)) / len(errors)


def all_masks(n: int) -> np.ndarray:
    return np.array([[bits >> k & 1 for k in range(n)] for bits in range(2**n)], bool)


def least_objective(program: MILP, mask: np.ndarray | None = None) -> float:
    """Solve a program by SciPy, which is none of ours; with a given mask if there is one."""
    lower, upper = program.lower.copy(), program.upper.copy()
    if mask is not None:
        lower[program.mask_columns] = upper[program.mask_columns] = mask
    found = milp(
        program.c,
        integrality=program.integer.astype(int),
        bounds=Bounds(lower, upper),
        constraints=LinearConstraint(dense(program), program.row_lower, program.row_upper),
    )
    return float(found.fun) if found.status == 0 else np.inf


def dense(program: MILP) -> np.ndarray:
    a = np.zeros((len(program.row_lower), len(program.c)))
    a[program.rows, program.columns] = program.values
    return a


@every_shape
@every_norm
def test_masks_are_judged_as_fractions_say(sizes: tuple[int, ...], norm: str) -> None:
    source = random_source(sizes, norm=norm, budget=4)
    rng = np.random.default_rng(1)
    for _ in range(10):
        mask = rng.random((2, source.num_candidates)) < rng.random()
        objective, violation = source.evaluate(mask)
        for b in range(2):
            assert abs(Fraction(objective[b]) - exact_error(source, b, mask[b])) <= source.slack[b]
        assert (violation == np.maximum(mask.sum(axis=1) - 4, 0)).all()
    assert (source.slack > 0).all()
    assert (source.slack < 1e-13).all()


def test_the_slack_holds_where_rounding_is_large() -> None:
    """Weights that cancel: the error is far smaller than what was added up for it."""
    big = np.array([[[1e8, -1e8 + 0.3, 1 / 3]]])
    source = ArbitrarySource((big,), [[1.1, 1.1, 0.7]], [[0.5]])
    mask = np.ones((1, 3), bool)
    off = abs(Fraction(float(source.evaluate(mask)[0][0])) - exact_error(source, 0, mask[0]))
    assert 0 < off <= source.slack[0]


@every_norm
def test_many_masks_are_judged_like_one(norm: str) -> None:
    source = random_source((2, 3, 2), norm=norm, budget=5, tolerance=0.3)
    masks = all_masks(source.num_candidates)[::97]
    objective, violation = source.evaluate_many(1, masks)
    for k, mask in enumerate(masks):
        alone = source.part(1, 2).evaluate(mask[None])
        assert (objective[k], violation[k]) == (alone[0][0], alone[1][0])
        together = source.evaluate(np.stack([masks[0], mask]))
        assert together[0][1] == objective[k]


def test_violations_add_up() -> None:
    source = random_source((2, 2, 1), num_sources=1, budget=1, tolerance=0.01)
    objective, violation, error = source.verdict(np.ones((1, 6), bool))
    assert violation[0] == 5 + (objective[0] - 0.01)
    assert error[0] == objective[0]
    assert source.task == "least largest error of 1 edges of a source within 0.01"


@pytest.mark.parametrize("sizes", [(2, 2, 1), (1, 2, 1, 1), (1, 2, 2), (3, 1)], ids=str)
@every_norm
def test_the_program_gives_every_mask_its_error(sizes: tuple[int, ...], norm: str) -> None:
    source = random_source(sizes, num_sources=1, norm=norm)
    program = source.milp(0)
    masks = all_masks(source.num_candidates)
    objective, _ = source.evaluate_many(0, masks)
    zeros, _ = source.evaluate(np.zeros((1, source.num_candidates), bool))
    num_stated = 0
    for mask, error in zip(masks, objective, strict=True):
        found = least_objective(program, mask)
        if np.isfinite(found):  # dead edges and errors beyond the empty mask's are cut off
            assert found == pytest.approx(error, abs=1e-6)
            num_stated += 1
        elif error < zeros[0] - 1e-6:
            assert any(least_objective(program, m) <= error + 1e-6 for m in masks)
    assert num_stated > 0
    assert least_objective(program) == pytest.approx(objective.min(), abs=1e-6)


def test_dead_edges_and_silent_inputs_are_forbidden() -> None:
    first = np.array([[[1.0, 0.5], [-1.0, 0.5], [0.0, 2.0]]])
    last = np.array([[[0.5, 1.0, 0.0]]])
    source = ArbitrarySource((first, last), [[1.0, 0.0], [2.0, 0.0]], [[1.0], [2.0]])
    upper = source.milp(0).upper[:9]
    assert upper.tolist() == [1, 0, 1, 0, 0, 0, 1, 0, 0]


def test_budget_and_tolerance_are_stated() -> None:
    free = random_source((2, 3, 1), num_sources=1, seed=3)
    errors, _ = free.evaluate_many(0, all_masks(9))
    few = all_masks(9).sum(axis=1) <= 3
    tight = random_source((2, 3, 1), num_sources=1, seed=3, budget=3)
    assert least_objective(tight.milp(0)) == pytest.approx(errors[few].min(), abs=1e-6)
    best = float(errors.min())
    for tolerance, feasible in ((best + 1e-3, True), (best - 1e-3, False)):
        asked = random_source((2, 3, 1), num_sources=1, seed=3, tolerance=tolerance)
        assert np.isfinite(least_objective(asked.milp(0))) == feasible


def test_continuous_variables_have_whole_coefficients() -> None:
    """What backends that scale or round the standard form rely on."""
    program = random_source((2, 3, 2, 1), norm="1").milp(0)
    continuous = ~program.integer[program.columns]
    assert (program.values[continuous] % 1 == 0).all()
    assert (program.c % 1 == 0).all()
    counted = program.counts[program.rows]
    assert program.integer[program.columns[counted]].all()
    assert (program.values[counted] % 1 == 0).all()


def test_every_mask_survives_rounded_rows() -> None:
    """Structured weights whose sums are zero on some paths, and one bit off after rounding."""
    third = 1 / 3
    first = np.array([[[0.5, 0.25, -0.75], [third, third, -2 * third]]])
    last = np.array([[[0.7, 1.9], [third, 0.11]]])
    source = ArbitrarySource((first, last), [[1.0, 1.0, 1.0]], [[0.4, 0.1]])
    program = source.milp(0)
    alive = np.ones(10, bool)
    assert np.isfinite(least_objective(program, alive))


def test_the_sensitivity_counts_the_layers() -> None:
    assert random_source((3, 2)).milp(0).sensitivity == pytest.approx(1.03)
    assert random_source((2, 5, 1)).milp(0).sensitivity == pytest.approx(1 + 5 * 1.02)
    assert random_source((2, 3, 5, 1)).milp(0).sensitivity == pytest.approx(1 + 5 * (1 + 3 * 1.02))


def test_a_program_beyond_reason_is_refused() -> None:
    source = random_source((4, 30, 30, 30, 30, 4), num_sources=1)
    with pytest.raises(ValueError, match="take fewer layers, units or samples"):
        source.milp(0)


@pytest.mark.parametrize("name", ["source.npz", "source.json"])
@pytest.mark.parametrize("limits", [{}, {"budget": 3, "tolerance": 0.25}], ids=str)
def test_files_hold_everything(tmp_path: Path, name: str, limits: dict) -> None:  # type: ignore[type-arg]
    source = random_source((2, 3, 2, 1), norm="1", **limits)
    save_instance(source, tmp_path / name)
    again = load_instance(tmp_path / name)
    assert isinstance(again, ArbitrarySource)
    assert len(again.weights) == 3
    for mine, theirs in zip(source.weights, again.weights, strict=True):
        assert (mine == theirs).all()
    assert (again.inputs == source.inputs).all()
    assert (again.outputs == source.outputs).all()
    assert (again.norm, again.budget, again.tolerance) == ("1", *(
        limits.get(name) for name in ("budget", "tolerance")
    ))  # fmt: skip


def test_programs_as_text() -> None:
    program = random_source((2, 3, 1), norm="1", budget=4).milp(1)
    again = from_mps(to_mps(program))
    assert (dense(again) == dense(program)).all()
    for field in ("c", "row_lower", "row_upper", "lower", "upper", "integer", "counts"):
        assert (getattr(again, field) == getattr(program, field)).all(), field
    assert (again.mask_columns == program.mask_columns).all()
    assert to_lp(program)


def test_parts_are_the_same_sources() -> None:
    source = random_source((2, 3, 1), num_sources=4, norm="1", budget=6, tolerance=0.5)
    mask = np.random.default_rng(2).random((4, 9)) < 0.5
    whole, part = source.verdict(mask), source.part(1, 3).verdict(mask[1:3])
    for all_of_it, some in zip(whole, part, strict=True):
        assert (all_of_it[1:3] == some).all()
    assert (source.part(1, 3).slack == source.slack[1:3]).all()


GOOD = {"weights": (np.ones((1, 2, 1)), np.ones((1, 1, 2))), "inputs": [[1.0]], "outputs": [[1.0]]}
BAD: dict[str, tuple[dict, str]] = {  # type: ignore[type-arg]
    "no layer": ({"weights": ()}, "at least one layer"),
    "flat weights": ({"weights": (np.ones((2, 1)),)}, "at least one layer, each of shape"),
    "no source": ({"weights": (np.ones((0, 2, 1)), np.ones((0, 1, 2)))}, "at least one layer"),
    "layers that do not chain": ({"weights": (np.ones((1, 2, 1)), np.ones((1, 1, 3)))}, "layer 2"),
    "other numbers of sources": ({"weights": (np.ones((1, 2, 1)), np.ones((2, 1, 2)))}, "layer 2"),
    "other inputs": ({"inputs": [[1.0, 2.0]]}, "layer 1 has shape"),
    "other outputs": ({"outputs": [[1.0, 2.0]]}, "the last layer has 1 outputs"),
    "no samples": ({"inputs": np.ones((0, 1)), "outputs": np.ones((0, 1))}, "at least one sample"),
    "more inputs than outputs": ({"inputs": [[1.0], [2.0]]}, "inputs .2, 1. and outputs .1, 1."),
    "NaN weights": ({"weights": (np.full((1, 1, 1), np.nan),)}, "remove NaN"),
    "infinite inputs": ({"inputs": [[np.inf]]}, "remove NaN and infinity"),
    "NaN outputs": ({"outputs": [[np.nan]]}, "remove NaN"),
    "overflow": ({"inputs": [[1e200]], "weights": (np.full((1, 2, 1), 1e200), np.ones((1, 1, 2)))},
                 "scale weights or inputs down"),
    "another norm": ({"norm": "2"}, "norm '2': choose one of 1, inf"),
    "negative budget": ({"budget": -1}, "budget -1"),
    "negative tolerance": ({"tolerance": -0.5}, "tolerance -0.5"),
    "infinite tolerance": ({"tolerance": np.inf}, "tolerance inf"),
    "words": ({"inputs": [["one"]]}, "expected an array"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case: str) -> None:
    settings, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        ArbitrarySource(**{**GOOD, **settings})


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: fields.pop("weights_1"),
        lambda fields: fields.pop("norm"),
        lambda fields: fields.update(weights_3=fields.pop("weights_2")),
        lambda fields: fields.update(budget=[1, 2]),
        lambda fields: fields.update(tolerance="much"),
    ],
)
def test_damaged_fields_are_refused(damage: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    fields = ArbitrarySource(**GOOD).fields()
    damage(fields)
    with pytest.raises(ValueError):
        ArbitrarySource.from_fields(fields)


def test_masks_of_another_kind_are_refused() -> None:
    source = ArbitrarySource(**GOOD)
    for mask in (np.ones((1, 4)), np.ones((2, 4), bool), np.ones(4, bool)):
        with pytest.raises(ValueError, match=r"give bool and shape \(1, 4\)"):
            source.evaluate(mask)
