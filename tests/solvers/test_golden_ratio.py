"""The golden-ratio pass keeps its guarantee, on every row, exactly; no other solver is asked."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.generate import hyperbolic_family, normal_family, uniform_family
from instances.objectives import Closest, FixedSize, Sparsest
from instances.subset_sum import SubsetSum
from solvers.heuristic import golden_ratio
from solvers.heuristic.golden_ratio import GoldenRatio, guaranteed_error
from solvers.registry import get_solver
from solvers.solve import solve

RATIOS = [1.01, 1.2, 1.5, (1 + math.sqrt(5)) / 2]
anything = st.floats(allow_nan=False, allow_infinity=False)
halves = st.integers(-64, 64).map(lambda i: i * 0.25)
near_1 = st.floats(0.5, 2) | st.floats(-2, -0.5)


def masks(instance: SubsetSum, ratio: float = 1.5, **settings) -> np.ndarray:  # type: ignore[no-untyped-def]
    return GoldenRatio(ratio).propose(instance, np.inf, **settings).mask


def holds(instance: SubsetSum, ratio: float) -> None:
    """The law, in fractions."""
    mask, most = masks(instance, ratio), guaranteed_error(instance, ratio)
    for b in range(len(instance)):
        kept = map(Fraction, instance.coefficients[b, mask[b]].tolist())
        error = abs(Fraction(float(instance.targets[b])) - sum(kept))
        assert np.isposinf(most[b]) or error <= Fraction(float(most[b]))


def buckets(numbers: np.ndarray, ratio: float) -> np.ndarray:
    """The i with γ⁻ⁱ⁻¹ < |number| ≤ γ⁻ⁱ."""
    return np.floor(-np.log(np.abs(numbers)) / math.log(ratio)).astype(int)


@pytest.mark.parametrize(
    ("ratio", "num_rows"), [(1.2, 20_000), (1.5, 100_000), (RATIOS[-1], 20_000)]
)
def test_the_law(ratio: float, num_rows: int) -> None:
    instance = hyperbolic_family(num_rows, 64, seed=1)
    a, t = instance.coefficients, instance.targets
    most = guaranteed_error(instance, ratio)
    error = instance.judge(masks(instance, ratio)).error
    assert (error <= most).all()
    top, places = buckets(t, ratio), buckets(a, ratio)
    usable = np.sign(a) == np.sign(t)[:, None]
    power = float(ratio) ** -top
    successive, going = np.zeros(len(t)), np.ones(len(t), bool)
    for m in range(1, math.ceil(math.log(2**8, ratio)) + 1):
        going &= ((places == top[:, None] + m) & usable).any(axis=1)
        successive += going
    assert (most <= power * float(ratio) ** -successive * (1 + 1e-12)).all()
    assert (most <= power * (1 + 1e-12)).all()
    small = np.abs(t) > 2.0**-8  # within reach: the error is of the size of the smallest candidates
    assert np.median(error[small]) < 0.01


def test_a_finer_ratio_finds_no_less() -> None:
    """With enough candidates the smallest bucket decides."""
    instance = hyperbolic_family(2000, 400, seed=2)
    for ratio in RATIOS[1:]:
        assert guaranteed_error(instance, ratio).max() < 0.02


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("family", [uniform_family, normal_family, hyperbolic_family])
def test_the_law_holds_for_any_candidates(ratio: float, family) -> None:  # type: ignore[no-untyped-def]
    for n in (0, 1, 5, 40):
        instance = family(300, n, seed=4, target_range=3.0)
        error = instance.judge(masks(instance, ratio)).error
        assert (error <= guaranteed_error(instance, ratio)).all()


@given(
    row=st.lists(anything, max_size=12)
    | st.lists(halves, max_size=12)
    | st.lists(near_1, max_size=40),
    target=anything | halves | near_1,
    ratio=st.sampled_from(RATIOS) | st.floats(1.1, 1.6),
)
def test_the_law_holds_for_every_row(row: list[float], target: float, ratio: float) -> None:
    holds(SubsetSum(np.array([row]).reshape(1, -1), np.array([target])), ratio)


@given(st.lists(near_1, min_size=1, max_size=30), st.data())
def test_the_law_holds_for_the_sums_of_subsets(row: list[float], data: st.DataObject) -> None:
    """And for what is rounded on the way: numbers of 53 bits each, shifted against each other."""
    shifts = data.draw(st.lists(st.integers(-60, 0), min_size=len(row), max_size=len(row)))
    a = np.ldexp(np.array(row), shifts)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(row), max_size=len(row))))
    for target in (a[kept].sum(), np.nextafter(a[kept].sum(), np.inf)):
        holds(SubsetSum(a[None], np.array([target])), 1.5)


def test_what_is_rounded_is_charged() -> None:
    """1 − v is rounded down to 0.5, and so would R be."""
    instance = SubsetSum(np.array([[0.5 - 2.0**-54]]), np.array([1.0]))
    assert masks(instance).all()
    holds(instance, 1.5)


def test_a_target_that_is_a_candidate_is_met() -> None:
    instance = SubsetSum(np.array([[0.3, 0.6]]), np.array([0.6]))
    assert masks(instance).tolist() == [[False, True]]


def twin(a: list[float], target: float, ratio: float) -> list[bool]:
    """The pass in plain Python: sorted into buckets by logarithms, chosen by the middle."""
    mask, rest, most = [False] * len(a), abs(target), float(ratio) ** -_place(abs(target), ratio)
    sizes = [math.copysign(1, target) * x for x in a]
    top = _place(rest, ratio)
    for i in sorted({_place(v, ratio) for v in sizes if v > 0}):
        if i < top:
            continue
        picks = [k for k, v in enumerate(sizes) if v > 0 and _place(v, ratio) == i]
        k = min(picks, key=lambda k: max(sizes[k], most - sizes[k]))
        if rest >= sizes[k]:
            rest, mask[k] = rest - sizes[k], True
        most = max(sizes[k], most - sizes[k])
    return mask


def _place(number: float, ratio: float) -> int:
    return math.floor(-math.log(number) / math.log(ratio))


@pytest.mark.parametrize("ratio", RATIOS)
def test_it_is_the_pass_that_is_described(ratio: float) -> None:
    instance = hyperbolic_family(200, 30, seed=8)
    found = masks(instance, ratio)
    for b in range(len(instance)):
        row, target = instance.coefficients[b].tolist(), float(instance.targets[b])
        assert found[b].tolist() == twin(row, target, ratio)


def test_one_bucket_after_the_other() -> None:
    """R is 1, then 0.6 by the first of equal picks, 0.4 and 0.25; the rest is 0.9, 0.3 and 0.05."""
    a = np.array([[0.25, 0.6, 0.4, -0.5, 0.6, 2.0, 0.65]])
    instance = SubsetSum(a, np.array([0.9]))
    assert masks(instance).tolist() == [[True, True, False, False, False, False, False]]
    assert guaranteed_error(instance)[0] == pytest.approx(0.25)
    mirrored = SubsetSum(-a, np.array([-0.9]))
    assert (masks(mirrored) == masks(instance)).all()
    assert guaranteed_error(mirrored)[0] == guaranteed_error(instance)[0]


def test_what_is_not_available_is_not_looked_at() -> None:
    base = hyperbolic_family(500, 40, seed=3)
    available = np.random.default_rng(1).random((500, 40)) < 0.5
    instance = SubsetSum(base.coefficients, base.targets, Closest(), available)
    without = SubsetSum(np.where(available, base.coefficients, 0.0), base.targets)
    assert (masks(instance) == masks(without)).all()
    assert not (masks(instance) & ~available).any()
    assert (guaranteed_error(instance) == guaranteed_error(without)).all()
    shared = SubsetSum(np.broadcast_to(base.coefficients[0], (500, 40)), base.targets)
    copied = SubsetSum(shared.coefficients.copy(), base.targets)
    assert (masks(shared) == masks(copied)).all()


def test_parts_and_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = hyperbolic_family(50, 20, seed=3)
    whole, most = masks(instance), guaranteed_error(instance)
    monkeypatch.setattr(golden_ratio, "_NUMBERS", 7 * 20)
    seen: list[int] = []
    found = masks(instance, on_event=lambda first, part: seen.append(len(part.bound)))
    assert (found == whole).all()
    assert (guaranteed_error(instance) == most).all()
    assert seen == [7] * 7 + [1]
    start = np.ones((50, 20), bool)
    proposal = GoldenRatio().propose(instance, -1.0, start=start)
    assert (proposal.mask == start).all()
    assert np.isneginf(proposal.bound).all()


def test_edges_of_buckets_are_powers_over_all_that_floats_hold() -> None:
    for ratio in RATIOS:
        edges, one = golden_ratio._edges(ratio)
        assert edges[one] == 1.0
        assert edges[0] == np.finfo(float).max
        assert (np.diff(edges) < 0).all()
        steps = edges[1:-1] / edges[2:]
        assert np.abs(steps / ratio - 1).max() < 1e-12
        assert edges[-1] < 2.0**-1022
        assert np.isfinite(edges).all()


def test_who_is_taken_and_who_is_refused() -> None:
    assert isinstance(get_solver("golden-ratio", ratio=1.6), GoldenRatio)
    for objective in (Sparsest(0.1), FixedSize(1)):
        assert not GoldenRatio().supports(uniform_family(1, 3, objective=objective))
    within = solve(hyperbolic_family(200, 60, objective=Closest(0.002)), "golden-ratio")
    assert within.counts()["FEASIBLE"] + within.counts()["NO_SOLUTION"] == 200
    assert (within.feasible == (within.error <= 0.002)).all()
    for ratio in (1.0, 1.7, math.nan):
        with pytest.raises(ValueError, match="ratio"):
            GoldenRatio(ratio)
        with pytest.raises(ValueError, match="ratio"):
            guaranteed_error(uniform_family(1, 3), ratio)
