"""The instance library: every bit is what it was, and the table covers every row."""

import hashlib
import math
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import instances.library
from instances.library import known_optima, list_sets, load_set
from instances.library import sets as sets_module
from instances.library.checksum import checksum
from instances.library.coupled_sets import COUPLED_SETS
from instances.library.hard_sets import HARD_SETS
from instances.library.network_sets import NETWORK_SETS
from instances.library.random_sets import RANDOM_SETS
from instances.library.sets import SETS, proven_set
from instances.library.table import Proven, exact, format_table, parse_table, proven
from instances.library.trap_sets import TRAP_SETS
from instances.objectives import Closest, Sparsest
from instances.subset_sum import SubsetSum

HOME = Path(instances.library.__file__).parent
METHODS = {"mitm", "enumeration", "halves", "cp-sat"}
COUPLED_METHODS = {
    "sphere", "interval-tree", "subset-choice", "scip", "budget", "unit-sets", "enumerate",
    "cp-sat", "enumeration", "listing", "program",
}  # fmt: skip
ONE_PROOF = {"neurons-2-200"}
COUPLED = [s.name for s in COUPLED_SETS]


@pytest.mark.parametrize("name", list_sets())
def test_every_set_loads_with_an_optimum_for_every_row(name: str) -> None:
    instance, optima, entry = load_set(name), known_optima(name), proven_set(name)
    assert checksum(instance) == entry.sha256
    assert entry.num_candidates == instance.num_candidates
    assert optima.shape == (len(instance),)
    assert (optima >= 0).all()  # and no NaN
    if not instance.counts and instance.tolerance is not None:
        assert (optima[np.isfinite(optima)] <= instance.tolerance).all()
    if instance.counts:
        finite = optima[np.isfinite(optima)]
        assert (finite == np.rint(finite)).all()
    for methods in entry.methods:  # each row is proved at least twice
        used = methods.split(",")
        assert len(used) == len(set(used)) >= (1 if name in ONE_PROOF else 2)
        if name not in COUPLED:
            assert set(used) <= METHODS
        else:
            assert {method.partition("+gap")[0] for method in used} <= COUPLED_METHODS


def test_the_table_has_the_sets_that_there_are() -> None:
    assert list(proven()) == list_sets()
    groups = (RANDOM_SETS, HARD_SETS, TRAP_SETS, NETWORK_SETS, COUPLED_SETS)
    assert sum(map(len, groups)) == len(SETS)  # no name is taken twice
    assert all(re.fullmatch("[a-z0-9-]+", name) for name in SETS)
    assert all(s.description and s.source and s.version >= 1 for s in SETS.values())


def test_the_library_is_small() -> None:
    for path in HOME.glob("*.npz"):
        assert path.stat().st_size < 20_000
    assert (HOME / "optima.solu").stat().st_size < 100_000
    for name in list_sets():
        numbers = sum(np.asarray(value).nbytes for value in load_set(name).fields().values())
        assert numbers < (300_000 if name in COUPLED else 20_000), name


def test_one_vector_of_numbers_serves_several_objectives() -> None:
    base = load_set("product-21")
    for name in ("product-21-sparsest-1e-3", "product-21-fixed-5"):
        assert (load_set(name).coefficients == base.coefficients).all()
        assert (load_set(name).targets == base.targets).all()
    fixed = [known_optima(f"product-21-fixed-{k}") for k in (3, 5, 8)]
    assert (np.min(fixed, axis=0) >= known_optima("product-21")).all()
    fewer, more = (known_optima(f"product-21-sparsest-1e-{k}") for k in (2, 3))
    assert (fewer <= more).all()


def flip_coefficient(instance: SubsetSum) -> SubsetSum:
    coefficients = instance.coefficients.copy()
    coefficients.view(np.int64)[-1, 0] ^= 1
    return replace(instance, coefficients=coefficients)


def flip_target(instance: SubsetSum) -> SubsetSum:
    targets = instance.targets.copy()
    targets.view(np.int64)[0] ^= 1
    return replace(instance, targets=targets)


def flip_sign_of_zero(instance: SubsetSum) -> SubsetSum:
    return replace(instance, targets=np.where(instance.targets == 0, -0.0, instance.targets))


def flip_available(instance: SubsetSum) -> SubsetSum:
    available = np.ones(instance.coefficients.shape, np.bool_)
    if instance.available is not None:
        available = instance.available.copy()
        available[3, 3] ^= True
    return replace(instance, available=available)


def flip_tolerance(instance: SubsetSum) -> SubsetSum:
    objective = Closest(np.nextafter(0.05, 1)) if instance.tolerance is not None else Closest(0.0)
    return replace(instance, objective=objective)


def flip_objective(instance: SubsetSum) -> SubsetSum:
    return replace(instance, objective=Sparsest(instance.tolerance or 0.0))


@pytest.mark.parametrize(
    ("name", "flip"),
    [
        ("uniform-8", flip_coefficient),
        ("digits-mlp", flip_coefficient),
        ("uniform-8", flip_target),
        ("degenerate-one", flip_sign_of_zero),
        ("uniform-8", flip_available),
        ("degenerate-few", flip_available),
        ("degenerate-far", flip_tolerance),
        ("uniform-8", flip_tolerance),
        ("degenerate-far", flip_objective),
    ],
)
def test_a_flipped_bit_is_refused(
    name: str, flip: Callable[[SubsetSum], SubsetSum], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = flip(load_set(name))
    damaged = dict(SETS) | {name: replace(SETS[name], build=lambda: changed)}
    monkeypatch.setattr(sets_module, "SETS", damaged)
    with pytest.raises(ValueError, match=rf"set {name} has the checksum .* is recorded: install"):
        load_set(name)


def test_a_version_without_optima_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = replace(SETS["uniform-8"], version=2)
    monkeypatch.setattr(sets_module, "SETS", {"uniform-8": newer})
    for ask in (load_set, known_optima):
        with pytest.raises(ValueError, match="no optima of set uniform-8, version 2: install"):
            ask("uniform-8")


def test_the_checksum_is_that_of_every_machine() -> None:
    instance = SubsetSum(np.array([[0.5, -0.0]]), np.array([1e-300]), Sparsest(0.01))
    view = SubsetSum(np.array([[0.5], [-0.0]]).T, np.array([1e-300], dtype=">f8"), Sparsest(0.01))
    heading = f"subset-sum/1 1 2 sparsest {(0.01).hex()} – False".encode()
    expected = hashlib.sha256(heading + struct.pack("<ddd", 0.5, -0.0, 1e-300)).hexdigest()
    assert checksum(instance) == checksum(view) == expected


def test_unknown_names_are_told_what_is_near() -> None:
    for ask in (load_set, known_optima):
        with pytest.raises(
            ValueError, match=r"unknown set 'uniform-22': did you mean uniform-.*\?"
        ):
            ask("uniform-22")
        with pytest.raises(ValueError, match="unknown set 'x': list_sets"):
            ask("x")


def test_the_table_is_read_and_written_exactly() -> None:
    text = (HOME / "optima.solu").read_text("utf-8")
    lines = [line + "\n" for line in text.splitlines() if not line.startswith("#")]
    assert format_table(parse_table(text)) == "".join(lines)
    values = [0.0, 3.0, 0.1, 5e-324, 2.0**53, 2.0**52 + 1, 1.7e308, math.inf]
    table = {"a": Proven(3, 7, "f" * 64, np.array(values), ("mitm,cp-sat",) * len(values))}
    again = parse_table("# comment\n\n" + format_table(table))["a"]
    assert again[:3] + again[4:] == table["a"][:3] + table["a"][4:]
    assert again.optima.tolist() == values
    assert [exact(v) for v in values[:2]] == ["0", "3"]
    with pytest.raises(ValueError, match="read-only"):
        again.optima[0] = 1


@pytest.mark.parametrize(
    "line",
    [
        "=opt= a 1 0x1p-3 mitm",  # row 0 is missing
        "=opt= a 0 0x1p-3",
        "=opt= a 0 0.1 mitm",
        "=opt= a 0 nan mitm",
        "=opt= a 0 0xinf mitm",
        "=opt= a 0 -1 mitm",
        "=opt= b 0 1 mitm",
        "=inf= a 0 1 mitm",
        "=unkn= a 0",
        "=set= a 1 8 00",
        "=set= b one 8 00",
    ],
)
def test_a_damaged_table_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="optima, line 2: .*install milp_lth anew"):
        parse_table(f"=set= a 1 8 00\n{line}\n")


def test_what_the_sets_promise() -> None:
    for name in ("planted-40", "planted-coarse-28", "density-1-40"):
        assert (known_optima(name) == 0).all()
    for n in (20, 32, 44):
        assert (known_optima(f"even-odd-{n}") == 1).all()
    for name in ("degenerate-far", "degenerate-far-sparsest"):
        assert np.isinf(known_optima(name)).tolist() == [False, True] * 4
    assert np.isinf(known_optima("degenerate-few-fixed-3")).tolist() == [True] * 3 + [False] * 6
    density = load_set("density-1-24").coefficients
    assert density.min() >= 1
    assert 2**23 < density.max() <= 2**24
    assert load_set("avis-16").coefficients.tolist() == [[16 * 17 + j for j in range(1, 17)]]
    assert load_set("avis-16").targets.tolist() == [7 * 16 * 17 + 16 * 15 // 2]
    todd = load_set("todd-16")
    assert todd.coefficients.tolist() == [[2**21 + 2 ** (4 + j) + 1 for j in range(1, 17)]]
    assert todd.targets[0] == todd.coefficients.sum() // 2
    huge = np.abs(load_set("huge-range-16").coefficients)
    assert (huge[:, 0] < 2.0**-39).all()
    assert (huge[:, -1] >= 2.0**38).all()


def test_whole_numbers_are_exact() -> None:
    for named in HARD_SETS:
        instance = load_set(named.name)
        for numbers in (instance.coefficients, instance.targets):
            assert (numbers == np.rint(numbers)).all()
            assert numbers.max() < 2**53


def test_near_ties_are_decided_by_the_last_bits() -> None:
    instance = load_set("near-ties-12")
    for b, (row, target) in enumerate(zip(instance.coefficients, instance.targets, strict=True)):
        sums = [Fraction(0)]
        for a in row.tolist():
            sums += [s + Fraction(a) for s in sums]
        first, second = sorted(abs(Fraction(float(target)) - s) for s in sums)[:2]
        assert float(first) == known_optima("near-ties-12")[b]
        assert (second == first) == (b % 3 == 0)
        assert second - first <= 2 * Fraction(float(np.spacing(abs(target))))


@pytest.mark.parametrize("name", COUPLED)
def test_a_flipped_bit_of_a_coupled_set_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = load_set(name)
    for key, value in instance.fields().items():
        changed = np.array(value)
        if changed.dtype != np.float64:
            continue
        changed.reshape(-1).view(np.int64)[-1] ^= 1
        other = type(instance).from_fields(instance.fields() | {key: changed})
        damaged = dict(SETS) | {name: replace(SETS[name], build=lambda other=other: other)}
        monkeypatch.setattr(sets_module, "SETS", damaged)
        with pytest.raises(ValueError, match=rf"set {name} has the checksum"):
            load_set(name)
        monkeypatch.undo()


def test_what_the_coupled_sets_promise() -> None:
    for size in (24, 48, 64):
        norms = [load_set(f"neurons-{norm}-{size}") for norm in ("2", "1", "inf")]
        assert all((other.coefficients == norms[0].coefficients).all() for other in norms)
        two, one, largest = (known_optima(f"neurons-{norm}-{size}") for norm in ("2", "1", "inf"))
        assert (largest <= two).all()
        assert (two <= one).all()
    inputs = load_set("neurons-2-64").inputs
    assert (inputs >= 0).all()
    assert 0.4 < (inputs == 0).mean() < 0.6
    repeated = load_set("neurons-2-48-repeated")
    assert np.linalg.matrix_rank(repeated.inputs) == 6
    assert (known_optima("neurons-2-64-budget-20") >= known_optima("neurons-2-64")).all()
    for r in (100, 1000):
        most, root, total = (known_optima(f"budget-{m}-{r}") for m in ("max", "rms", "sum"))
        assert (total / r <= root).all()
        assert (root <= most).all()
    assert np.isinf(known_optima("shared-units-4-20-whole")).any()
    assert np.isfinite(known_optima("shared-units-4-20-whole")).any()
