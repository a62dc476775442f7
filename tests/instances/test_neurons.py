"""Data-aware neurons: the judge against plain loops, the standard form, files, bad input."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.files import load_instance, save_instance
from instances.lp import to_lp
from instances.mps import from_mps, to_mps
from instances.neurons import NORMS, Neurons


def draw(
    d: int = 3, n: int = 3, b: int = 2, samples: int = 6, *, seed: int = 0, **settings: object
) -> Neurons:
    rng = np.random.default_rng(seed)
    return Neurons(
        rng.normal(size=(samples, d)),
        rng.uniform(-1, 1, (b, d, n)),
        rng.uniform(-0.5, 0.5, (b, d)),
        **settings,  # type: ignore[arg-type]
    )


def norm_of(instance: Neurons, b: int, mask: np.ndarray) -> float:
    """The objective by its definition, one number after the other."""
    _, d, n = instance.coefficients.shape
    off = []
    for i in range(d):
        kept = [instance.coefficients[b, i, k] for k in range(n) if mask[i * n + k]]
        off.append(instance.targets[b, i] - math.fsum(kept))
    errors = [math.fsum(z * e for z, e in zip(row, off, strict=True)) for row in instance.inputs]
    errors += [instance.ridge * e for e in off]
    if instance.norm == 1:
        return math.fsum(map(abs, errors))
    return math.hypot(*errors) if instance.norm == 2 else max(map(abs, errors))


@given(
    norm=st.sampled_from(NORMS),
    ridge=st.sampled_from([0.0, 0.3]),
    budget=st.none() | st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_the_judge_is_the_definition(
    norm: float, ridge: float, budget: int | None, seed: int
) -> None:
    instance = draw(seed=seed, norm=norm, ridge=ridge, budget=budget)
    mask = np.random.default_rng(seed).random((2, 9)) < 0.5
    objective, violation, error = instance.verdict(mask)
    for b in range(2):
        assert objective[b] == pytest.approx(norm_of(instance, b, mask[b]), abs=instance.slack[b])
        assert violation[b] == max(0, mask[b].sum() - (99 if budget is None else budget))
    assert (error == objective).all()
    assert (instance.slack < 1e-12).all()


@pytest.mark.parametrize("norm", [1.0, math.inf])
@pytest.mark.parametrize("budget", [None, 2])
def test_the_standard_form_says_the_same(norm: float, budget: int | None) -> None:
    """With the mask fixed, what the program's errors add up to is the objective."""
    instance = draw(d=2, n=2, norm=norm, ridge=0.1, budget=budget)
    milp = instance.milp(1)
    for bits in itertools.product([False, True], repeat=4):
        mask = np.array([bits])
        objective, violation = instance.part(1, 2).evaluate(mask)
        matrix = np.zeros((len(milp.row_lower), len(milp.c)))
        matrix[milp.rows, milp.columns] = milp.values
        kept = matrix[:, :4] @ mask[0]
        errors = matrix[:, 4:]
        needed = np.zeros(errors.shape[1])
        for i in np.flatnonzero((errors != 0).any(axis=1)):
            j = int(np.flatnonzero(errors[i])[0])
            below, above = milp.row_lower[i] - kept[i], kept[i] - milp.row_upper[i]
            needed[j] = max(needed[j], below, above)
        assert needed.sum() == pytest.approx(objective[0])
        if budget is not None:
            assert (kept[-1] <= milp.row_upper[-1]) == (violation[0] == 0)
            assert milp.counts[-1]


def test_norm_2_is_stated_by_squares_of_a_triangle() -> None:
    instance = draw(samples=40, ridge=0.2)
    milp = instance.milp(0)
    assert milp.squared
    assert len(milp.row_lower) == 3
    assert not instance.linear
    mask = np.random.default_rng(0).random((2, 9)) < 0.5
    matrix = np.zeros((3, 12))
    matrix[milp.rows, milp.columns] = milp.values
    errors = milp.row_lower - matrix[:, :9] @ mask[0]
    assert math.hypot(*errors) == pytest.approx(instance.evaluate(mask)[0][0], rel=1e-12)


def test_what_cannot_matter_is_fixed() -> None:
    base = draw()
    inputs = base.inputs * [1.0, 0.0, 1.0]
    coefficients = np.array(base.coefficients)
    coefficients[:, 2, 1] = 0.0
    instance = Neurons(inputs, coefficients, base.targets, 1.0)
    assert instance.milp(0).upper[:9].tolist() == [1, 1, 1, 0, 0, 0, 1, 0, 1]
    ridge = Neurons(inputs, coefficients, base.targets, 1.0, ridge=0.1)
    assert ridge.useful()[0].sum() == 8


def test_repeated_samples_do_not_lengthen_the_program() -> None:
    base = draw(norm=math.inf)
    twice = Neurons(base.inputs.repeat(2, axis=0), base.coefficients, base.targets, math.inf)
    assert len(twice.milp(0).row_lower) == len(base.milp(0).row_lower)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_files_bring_every_bit_back(norm: float, suffix: str, tmp_path: Path) -> None:
    available = np.random.default_rng(1).random((2, 3, 3)) < 0.7
    instance = draw(norm=norm, ridge=0.25, budget=4, available=available)
    path = tmp_path / f"neurons{suffix}"
    save_instance(instance, path)
    loaded = load_instance(path)
    assert isinstance(loaded, Neurons)
    for name, value in instance.fields().items():
        assert np.array_equal(loaded.fields()[name], value), name


def test_linear_programs_become_text_and_squares_do_not() -> None:
    milp = draw(norm=1.0, budget=3).milp(0)
    back = from_mps(to_mps(milp))
    matrices = np.zeros((2, len(milp.row_lower), len(milp.c)))
    for matrix, program in zip(matrices, (milp, back), strict=True):
        matrix[program.rows, program.columns] = program.values
    assert (matrices[0] == matrices[1]).all()
    assert (back.mask_columns == milp.mask_columns).all()
    with pytest.raises(ValueError, match="norm 1 or inf"):
        to_mps(draw().milp(0))
    with pytest.raises(ValueError, match="norm 1 or inf"):
        to_lp(draw().milp(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": np.zeros((4, 2))}, "calibration inputs"),
        ({"inputs": np.zeros((0, 3))}, "one of each at least"),
        ({"inputs": np.full((4, 3), np.nan)}, "finite"),
        ({"targets": np.zeros((2, 2))}, r"\(b, d, n\)"),
        ({"norm": 3.0}, "choose 1, 2 or inf"),
        ({"ridge": -1.0}, "not negative"),
        ({"ridge": math.nan}, "finite"),
        ({"budget": -1}, "0 candidates or more"),
        ({"available": np.ones((2, 3))}, "shape of the coefficients"),
    ],
)
def test_bad_input_names_the_cure(change: dict[str, object], message: str) -> None:
    base = draw()
    whole = {"inputs": base.inputs, "coefficients": base.coefficients, "targets": base.targets}
    with pytest.raises(ValueError, match=message):
        Neurons(**(whole | change))  # type: ignore[arg-type]


def test_damaged_fields_are_refused() -> None:
    fields = draw().fields()
    with pytest.raises(ValueError, match="inputs"):
        Neurons.from_fields({k: v for k, v in fields.items() if k != "inputs"})
    with pytest.raises(ValueError, match="single numbers"):
        Neurons.from_fields(fields | {"ridge": [1.0, 2.0]})


def test_masks_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="give bool"):
        draw().evaluate(np.zeros((2, 8), bool))


def test_parts_are_the_neurons() -> None:
    instance = draw(b=4, budget=5)
    mask = np.random.default_rng(0).random((4, 9)) < 0.5
    objective, violation = instance.evaluate(mask)
    part = instance.part(1, 3)
    assert (part.evaluate(mask[1:3])[0] == objective[1:3]).all()
    assert (part.evaluate(mask[1:3])[1] == violation[1:3]).all()
