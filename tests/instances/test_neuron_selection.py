"""Neuron selections: the judge against another non-negative least squares, the standard form."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from instances.files import load_instance, save_instance
from instances.lp import to_lp
from instances.mps import to_mps
from instances.nearest_point import nearest_point
from instances.neuron_selection import NeuronSelection


def draw(n: int = 5, rows: int = 7, b: int = 2, size: int = 3, *, seed: int = 0) -> NeuronSelection:
    """What ReLUs contribute: not negative, and some of them dead."""
    rng = np.random.default_rng(seed)
    features = np.maximum(rng.normal(0.3, 1, (b, rows, n)), 0) * (rng.random((b, 1, n)) < 0.9)
    return NeuronSelection(features, size)


def mixed(corners: np.ndarray) -> float:
    """The least distance by another program and another problem.

    With z = s·a the squared error of [B; 1] z ≈ [0; 1] is s²‖Ba‖² + (s − 1)², and its least value
    over s is ‖Ba‖² / (1 + ‖Ba‖²), which grows with ‖Ba‖.
    """
    unit = np.abs(corners).max() or 1.0
    rows = np.vstack([corners.T / unit, np.ones(len(corners))])
    z, _ = nnls(rows, np.append(np.zeros(corners.shape[1]), 1.0), maxiter=5000)
    return float(np.linalg.norm(z / z.sum() @ corners))


def polytope(kind: str, n: int, d: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-6, 7)
    if kind == "around 0":
        corners -= corners.mean(axis=0)
    elif kind == "far off":
        corners += 5 * np.abs(corners).max()
    elif kind == "repeated":
        corners = corners[rng.integers(0, n, n)]
    elif kind == "almost repeated":
        corners = corners[rng.integers(0, n, n)] * (1 + 1e-9 * rng.normal(size=(n, 1)))
    elif kind == "flat":
        corners = rng.normal(size=(n, 2)) @ corners[: min(2, n)] if n > 1 else corners
    elif kind == "almost around 0":
        corners -= corners.mean(axis=0) + 1e-9 * corners[0]
    return corners


KINDS = (
    "anywhere", "around 0", "far off", "repeated", "almost repeated", "flat", "almost around 0",
)  # fmt: skip


@given(
    kind=st.sampled_from(KINDS), n=st.integers(1, 20), d=st.integers(1, 20),
    seed=st.integers(0, 9999), begun=st.booleans(),
)  # fmt: skip
def test_the_nearest_point_proves_itself(kind: str, n: int, d: int, seed: int, begun: bool) -> None:
    corners = polytope(kind, n, d, seed)
    rng = np.random.default_rng(seed)
    usable = rng.random(n) < 0.7
    usable[rng.integers(n)] = True
    weights, lower = nearest_point(corners, usable, rng.random(n) if begun else None)
    assert (weights >= 0).all()
    assert not weights[~usable].any()
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    distance, rounding = np.linalg.norm(weights @ corners), 1e-13 * np.abs(corners).max()
    assert distance - rounding * (n + d) <= lower <= distance + rounding
    assert distance == pytest.approx(mixed(corners[usable]), rel=1e-7, abs=1e5 * rounding)


@given(n=st.integers(1, 6), rows=st.integers(1, 12), seed=st.integers(0, 999), own=st.booleans())
def test_the_judge_is_the_definition(n: int, rows: int, seed: int, own: bool) -> None:
    instance = draw(n, rows, seed=seed)
    if own:
        targets = np.random.default_rng(seed).normal(size=(2, rows))
        instance = NeuronSelection(instance.features, 3, targets)
    mask = np.random.default_rng(seed).random((2, n)) < 0.6
    objective, violation, error = instance.verdict(mask)
    targets = instance.features.mean(axis=2) if instance.targets is None else instance.targets
    for b in range(2):
        columns = instance.features[b] - targets[b][:, None]
        if mask[b].any():
            assert objective[b] == pytest.approx(mixed(columns[:, mask[b]].T), rel=1e-9, abs=1e-9)
            a = instance.weights(mask)[b]
            direct = np.linalg.norm(instance.features[b] @ a - targets[b])
            assert objective[b] == pytest.approx(direct, abs=instance.slack[b])
        assert violation[b] == (max(0, mask[b].sum() - 3) if mask[b].any() else 1)
    assert (error == objective).all()
    assert (instance.slack < 1e-11).all()


def test_one_neuron_is_itself_and_all_are_their_mean() -> None:
    instance = draw(4, 9, b=1, size=4)
    for i in range(4):
        alone = np.arange(4)[None] == i
        off = instance.features[0, :, i] - instance.features[0].mean(axis=1)
        assert instance.evaluate(alone)[0][0] == pytest.approx(math.hypot(*off), rel=1e-12)
    assert instance.evaluate(np.ones((1, 4), bool))[0][0] <= instance.slack[0]
    assert instance.weights(np.ones((1, 4), bool))[0] == pytest.approx(np.full(4, 1 / 4), abs=1e-9)


def test_an_empty_mask_lacks_one_neuron() -> None:
    instance = draw(b=2)
    objective, violation = instance.evaluate(np.zeros((2, 5), bool))
    assert violation.tolist() == [1.0, 1.0]
    assert instance.targets is not None
    assert objective == pytest.approx(np.linalg.norm(instance.targets, axis=1))
    assert not instance.weights(np.zeros((2, 5), bool)).any()


def test_more_neurons_are_never_farther() -> None:
    instance = draw(6, 20, b=1)
    for bits in itertools.product([False, True], repeat=6):
        mask = np.array([bits])
        if not mask.any():
            continue
        fewer = instance.evaluate(mask)[0]
        for i in range(6):
            more = mask | (np.arange(6) == i)
            assert instance.evaluate(more)[0] <= fewer + instance.slack


@pytest.mark.parametrize("rows", [3, 30])
def test_the_standard_form_says_the_same(rows: int) -> None:
    """With a mask and its coefficients put in, rows hold and the errors are the objective."""
    instance = draw(5, rows, size=2)
    milp = instance.milp(1)
    assert milp.squared
    assert not instance.linear
    d = min(rows, 5)
    matrix = np.zeros((len(milp.row_lower), len(milp.c)))
    matrix[milp.rows, milp.columns] = milp.values
    for bits in itertools.product([False, True], repeat=5):
        mask = np.array([bits, bits])
        objective, violation = (value[1] for value in instance.evaluate(mask))
        a = instance.weights(mask)[1]
        errors = -a @ instance.corners[1] / milp.c.max()  # a cost each, the unit they are in
        x = np.concatenate([mask[1], a, errors])
        assert (milp.mask(x) == mask[1]).all()
        sums = matrix @ x
        inside = (milp.row_lower - 1e-9 <= sums) & (sums <= milp.row_upper + 1e-9)
        assert inside.all() == (violation == 0)
        if violation == 0:
            assert math.hypot(*(milp.c * x)) == pytest.approx(objective, abs=1e-9)
            assert (milp.lower <= x).all()
            assert (x <= milp.upper).all()
    assert len(milp.row_lower) == d + 1 + 5 + 1
    assert milp.counts.tolist() == [False] * (d + 6) + [True]


def test_no_miss_of_a_row_gains_more_than_the_sensitivity() -> None:
    instance = draw(5, 9, b=1, size=2)
    milp, miss, rng = instance.milp(0), 1e-3, np.random.default_rng(0)
    for bits in itertools.combinations(range(5), 2):
        mask = np.isin(np.arange(5), bits)[None]
        best = instance.evaluate(mask)[0][0]
        for _ in range(50):
            a = np.where(mask[0], rng.dirichlet(np.ones(5)), 0) + rng.uniform(0, miss, 5)
            a *= (1 + rng.uniform(-miss, miss)) / a.sum()
            a = np.minimum(a, mask[0] + miss)
            if abs(a.sum() - 1) <= miss:
                errors = np.abs(a @ instance.corners[0])
                found = math.hypot(*np.maximum(errors - miss, 0))
                assert found >= best - miss * milp.sensitivity


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_files_bring_every_bit_back(suffix: str, tmp_path: Path) -> None:
    instance = draw()
    path = tmp_path / f"selection{suffix}"
    save_instance(instance, path)
    loaded = load_instance(path)
    assert isinstance(loaded, NeuronSelection)
    for name, value in instance.fields().items():
        assert np.array_equal(loaded.fields()[name], value), name


def test_squares_become_no_text() -> None:
    for write in (to_mps, to_lp):
        with pytest.raises(ValueError, match="linear programs"):
            write(draw().milp(0))


def test_parts_are_the_layers() -> None:
    instance = draw(b=4)
    mask = np.random.default_rng(0).random((4, 5)) < 0.5
    part = instance.part(1, 3)
    assert (part.evaluate(mask[1:3])[0] == instance.evaluate(mask)[0][1:3]).all()
    assert (part.evaluate(mask[1:3])[1] == instance.evaluate(mask)[1][1:3]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((4, 2))}, "one of each"),
        ({"features": np.zeros((1, 3, 0))}, "one of each"),
        ({"features": np.full((2, 7, 5), np.nan)}, "finite"),
        ({"targets": np.zeros((2, 5))}, r"\(b, T\)"),
        ({"targets": np.full((2, 7), np.inf)}, "finite"),
        ({"size": 0}, "1 or more"),
        ({"size": 2.5}, "whole number"),
    ],
)
def test_bad_input_names_the_cure(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeuronSelection(**({"features": draw().features, "size": 3} | change))  # type: ignore[arg-type]


def test_damaged_fields_are_refused() -> None:
    fields = draw().fields()
    with pytest.raises(ValueError, match="features"):
        NeuronSelection.from_fields({k: v for k, v in fields.items() if k != "features"})
    with pytest.raises(ValueError, match="whole number"):
        NeuronSelection.from_fields(fields | {"size": [1, 2]})


def test_masks_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="give bool"):
        draw().evaluate(np.zeros((2, 4), bool))
