"""What the heuristics promise beyond what the conformance suite asks of every solver."""

import itertools
import time

import numpy as np
import pytest
from oracle import enumerate_row

from instances.generate import normal_family, product_family, uniform_family
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.subset_sum import SubsetSum
from solvers.heuristic import chunks
from solvers.heuristic.annealing import Annealing
from solvers.heuristic.beam import Beam
from solvers.heuristic.differencing import Differencing
from solvers.heuristic.greedy import Greedy
from solvers.heuristic.rounding import Rounding
from solvers.heuristic.swaps import Swaps
from solvers.heuristic.tabu import Tabu
from solvers.solve import solve
from solvers.solver import Solver

torch = pytest.importorskip("torch")

LOCAL = [Rounding(trials=8), Annealing(chains=8, steps=60), Tabu(moves=20)]
HEURISTICS: list[Solver] = [Greedy(), Swaps(), Beam(width=32, finish=6), Differencing(), *LOCAL]
OBJECTIVES: list[Objective] = [Closest(), Sparsest(1e-2), FixedSize(4)]

every_heuristic = pytest.mark.parametrize("solver", HEURISTICS, ids=lambda s: type(s).__name__)
every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: o.name)


def masks(solver: Solver, instance: SubsetSum, **settings) -> np.ndarray:  # type: ignore[no-untyped-def]
    return solver.propose(instance, np.inf, **settings).mask


def ragged(objective: Objective, num_rows: int = 8, n: int = 15) -> SubsetSum:
    base = normal_family(num_rows, n, seed=5)
    available = np.random.default_rng(1).random((num_rows, n)) < 0.7
    return SubsetSum(base.coefficients, base.targets, objective, available)


def never_worse(instance: SubsetSum, mask: np.ndarray, than: np.ndarray) -> bool:
    """Whether no row is worse, up to the last bits of the error."""
    new, old = instance.verdict(mask), instance.verdict(than)
    close = new.error <= old.error * (1 + 1e-12) + 1e-15
    equal = (new.objective <= old.objective) & (close if instance.counts else True)
    better = (new.violation == old.violation) & ((new.objective < old.objective) | equal)
    return bool(((new.violation < old.violation) | better).all())


@every_heuristic
@every_objective
def test_never_worse_than_the_start(
    solver: Solver, objective: Objective, rng: np.random.Generator
) -> None:
    for instance in (uniform_family(6, 20, seed=3, objective=objective), ragged(objective, 6)):
        best = solve(instance, "mitm").mask
        assert (instance.verdict(masks(solver, instance, start=best)).error
                <= instance.verdict(best).error).all()  # fmt: skip
        some = rng.random(best.shape) < 0.3
        if instance.available is not None:
            some &= instance.available
        assert never_worse(instance, masks(solver, instance, start=some), some)


@every_objective
@pytest.mark.parametrize("family", [uniform_family, product_family])
def test_swaps_beat_greedy_and_walks_beat_swaps(objective: Objective, family) -> None:  # type: ignore[no-untyped-def]
    instance = family(40, 21, seed=1, objective=objective)
    greedy, swapped = masks(Greedy(), instance), masks(Swaps(), instance)
    assert never_worse(instance, swapped, greedy)
    for solver in LOCAL:
        assert never_worse(instance, masks(solver, instance), swapped)


def test_sparsest_is_feasible_wherever_swaps_are() -> None:
    instance = uniform_family(60, 21, seed=1, objective=Sparsest(2e-3))
    objective, violation = instance.evaluate(masks(Swaps(), instance))
    reached = violation == 0
    assert 10 < reached.sum() < 60
    for solver in HEURISTICS[2:]:
        kept, beyond = instance.evaluate(masks(solver, instance))
        assert (beyond[reached] == 0).all()
        assert (kept <= objective)[reached].all()


@every_objective
@pytest.mark.parametrize("solver", [Beam(1024, 0), Beam(1024, 3), Beam(1, 10), Beam(1024, 20)])
def test_a_beam_that_drops_nothing_is_exact(solver: Solver, objective: Objective) -> None:
    for instance in (uniform_family(8, 10, seed=2, objective=objective), ragged(objective, 8, 10)):
        found = instance.verdict(masks(solver, instance))
        for b in range(len(instance)):
            best = enumerate_row(instance, b)
            assert (best is not None) == (found.violation[b] == 0)
            if best is not None:
                assert found.error[b] == pytest.approx(float(best[1]), rel=1e-9, abs=1e-13)
                assert not instance.counts or found.objective[b] == best[0].sum()


def test_half_the_candidates_in_the_finish_make_a_small_beam_exact() -> None:
    instance = uniform_family(8, 10, seed=2)
    exact = solve(instance, "mitm").objective
    assert (instance.evaluate(masks(Beam(16, 6), instance))[0] == exact).all()
    assert (instance.evaluate(masks(Beam(8, 5), instance))[0] > exact).any()


def test_differencing_is_that_of_karmarkar_and_karp() -> None:
    """8, 7, 6, 5, 4: 8−7=1, 6−5=1, 4−1=3, 3−1=2: the heaps differ by 2, where 8+7 = 6+5+4."""
    instance = SubsetSum([[8.0, 7.0, 6.0, 5.0, 4.0]], [15.0])
    assert instance.evaluate(masks(Differencing(1, 1), instance))[0] == 1.0
    assert instance.evaluate(masks(Differencing(1, 3), instance))[0] == 1.0
    assert instance.evaluate(masks(Differencing(16, 1), instance))[0] == 0.0
    assert instance.evaluate(masks(Differencing(1, 20), instance))[0] == 0.0


def test_differencing_with_all_signs_tried_is_exact() -> None:
    for instance in (uniform_family(8, 12, seed=2), ragged(Closest(), 8, 12)):
        exact = solve(instance, "mitm").objective
        assert (instance.evaluate(masks(Differencing(1, 13), instance))[0] == exact).all()


@every_heuristic
@every_objective
def test_the_chunks_do_not_matter(
    solver: Solver, objective: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = ragged(objective)
    start = solve(instance, "greedy").mask
    whole, further = masks(solver, instance), masks(solver, instance, start=start)
    monkeypatch.setattr(chunks, "_NUMBERS", 1)
    firsts: list[int] = []
    again = masks(solver, instance, on_event=lambda first, part: firsts.append(first))
    assert firsts == list(range(len(instance)))
    assert (again == whole).all()
    assert (masks(solver, instance, start=start) == further).all()


@every_heuristic
@pytest.mark.parametrize("size", [0, 1, 4])
def test_the_size_is_met_where_it_can_be(solver: Solver, size: int) -> None:
    instance = ragged(FixedSize(size))
    mask = masks(solver, instance)
    possible = instance.num_available() >= size
    assert possible.any()
    assert (mask.sum(axis=1)[possible] == size).all()
    assert instance.available is not None
    assert not (mask & ~instance.available).any()


def test_a_narrow_beam_keeps_the_only_mask_of_the_size() -> None:
    available = np.array([[True, False, False, False, True, False]])
    instance = SubsetSum([[1.0, 0.9, 0.2, 0.7, 0.6, 0.6]], [-0.7], FixedSize(2), available)
    assert (masks(Beam(3, 0), instance) == available).all()


@every_heuristic
def test_out_of_time_leaves_the_start(solver: Solver) -> None:
    instance = uniform_family(5, 12, seed=1)
    start = np.eye(5, 12, dtype=bool)
    proposal = solver.propose(instance, 0.0, start=start)
    assert (proposal.mask == start).all()
    assert np.isneginf(proposal.bound).all()


@every_heuristic
def test_the_clock_is_looked_at(solver: Solver, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = uniform_family(8, 12, seed=1)
    monkeypatch.setattr(chunks, "_NUMBERS", 1)
    monkeypatch.setattr(time, "monotonic", itertools.count().__next__)  # each look takes a second
    status = solver.propose(instance, 4.5).reported.status
    assert status[0] in ("done", "time limit")
    assert (status[5:] == "").all()


@pytest.mark.parametrize("make", [Rounding, Annealing])
def test_the_seed_decides(make) -> None:  # type: ignore[no-untyped-def]
    instance = uniform_family(4, 40, seed=1)
    one = masks(make(seed=1), instance)
    assert (masks(make(seed=1), instance) == one).all()
    assert (masks(make(seed=2), instance) != one).any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Beam(width=0),
        lambda: Beam(finish=21),
        lambda: Differencing(branches=0),
        lambda: Differencing(finish=0),
        lambda: Rounding(trials=0),
        lambda: Annealing(chains=0),
        lambda: Annealing(hot=0.1, cold=0.2),
        lambda: Tabu(tenure=2.0),
    ],
)
def test_bad_parameters_are_refused_with_the_remedy(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="give"):
        make()


@every_heuristic
def test_cuda_finds_as_good_masks(solver: Solver) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    instance = uniform_family(20, 21, seed=1)
    here = type(solver)(device="cpu")  # type: ignore[call-arg]
    there = type(solver)(device="cuda")  # type: ignore[call-arg]
    errors = [instance.judge(masks(solver, instance)).error for solver in (here, there)]
    assert np.median(errors[1]) <= 2 * np.median(errors[0])


def test_batches_fit_the_memory_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**33, 2**34))
    assert chunks.rows_at_once(2**10, gpu) == 2**17  # an eighth of 8 GiB, as float64
    assert chunks.rows_at_once(2**40, gpu) == 1


def test_a_device_that_is_out_of_memory_gets_less(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = uniform_family(40, 12)
    expected = solve(instance, "greedy").mask
    load = chunks.Rows.load
    sizes: list[int] = []

    def crowded(part: SubsetSum, device: str) -> chunks.Rows:
        sizes.append(len(part))
        if len(part) > 9:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return load(part, device)

    monkeypatch.setattr(chunks.Rows, "load", crowded)
    assert np.array_equal(solve(instance, "greedy").mask, expected)
    assert sizes == [40, 20, 10, *[5] * 8]
    monkeypatch.setattr(
        chunks.Rows, "load", lambda part, device: crowded(uniform_family(10, 3), "")
    )
    with pytest.raises(torch.OutOfMemoryError):
        solve(instance, "greedy")
