"""The kernels for CUDA in numba's simulator, against those for the CPU; run by test_cuda_kernels.

NUMBA_ENABLE_CUDASIM=1 python simulate_cuda.py

Prints what went wrong with each case, as JSON. A thread of a block is a thread of Python, so rows
are few and blocks small.
"""

import json
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

from instances.generate import planted_family, uniform_family
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream, uniform
from instances.subset_sum import SubsetSum
from solvers.exact import meet_in_the_middle
from solvers.exact.meet_in_the_middle import MeetInTheMiddle
from solvers.exact.scaling import scale
from solvers.solver import Proposal

CPU, CUDA = MeetInTheMiddle(device="cpu"), MeetInTheMiddle(device="cuda")
MeetInTheMiddle().propose(uniform_family(2, 8), np.inf)
# where this is a script; whoever collects tests may have imported it
assert __name__ != "__main__" or "numba.cuda" not in sys.modules, "imported on use alone"

from numba import cuda  # noqa: E402

from solvers.exact import (  # noqa: E402
    cuda_by_size,
    cuda_closest,
    cuda_draw,
    cuda_launch,
    cuda_scaling,
)

OFFSETS = np.array([0.0, 0.5, 0.25, 1 / 3, -0.75, 1e4, -1e4, 1e-30])
RNG = np.random.default_rng(1)


@contextmanager
def changed(place: Any, **values: Any) -> Any:
    before = {name: getattr(place, name) for name in values}
    try:
        for name, value in values.items():
            setattr(place, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(place, name, value)


def rows(b: int, n: int, unit: float, objective: Objective, *, ragged: bool = False) -> SubsetSum:
    """Return rows whose targets are on a sum, beside one, far away."""
    planted, _ = planted_family(b, n, seed=n, unit=unit)
    targets = planted.targets + RNG.choice(OFFSETS, b) * unit
    available = RNG.random((b, n)) < 0.7 if ragged else None
    return SubsetSum(planted.coefficients, targets, objective, available)


def same(instance: SubsetSum, solver: MeetInTheMiddle = CUDA) -> Proposal:
    found, expected = solver.propose(instance, np.inf), CPU.propose(instance, np.inf)
    assert (found.mask == expected.mask).all(), instance
    assert found.bound.tobytes() == expected.bound.tobytes(), instance
    assert (found.reported.status == expected.reported.status).all(), instance
    return found


def closest() -> None:
    for n in (1, 2, 3, 7, 10):
        same(rows(2, n, 2.0**-46, Closest()))
        same(rows(3, n, 2.0**-3, Closest(1e-3), ragged=n == 7))
    assert same(rows(2, 12, 2.0**-4, Closest(), ragged=True)).stats["device_rows"] == 2


def counting() -> None:
    for objective in (Sparsest(2.0**-3), Sparsest(0.0), FixedSize(0), FixedSize(2), FixedSize(5)):
        for n in (1, 4, 9):
            same(rows(2, n, 2.0**-3, objective, ragged=n == 9))
    for objective in (Sparsest(1e-3), Sparsest(1e-6), FixedSize(4)):
        same(rows(1, 10, 2.0**-46, objective))


def tolerance_met_exactly() -> None:
    for tolerance in (0.25, float(np.nextafter(0.25, 0))):
        same(SubsetSum([[0.5]], [0.75], Sparsest(tolerance)))
    halves = [[0.5, 0.5, 0.5, 0.5, 0.5, 0.25]]
    same(SubsetSum(halves, [2.5 + 2.0**-20], Sparsest(2.0**-20)))
    same(SubsetSum(halves, [2.5 + 2.0**-20], Sparsest(2.0**-21)))


def ties() -> None:
    same(SubsetSum([[0.5, 0.5, 0.5, 0.25, 0.25]], [0.75]))
    same(SubsetSum([[0.0, 0.5, 0.0, 0.5]], [0.5]))
    same(SubsetSum([[3.0, 2.0, 2.0, 3.0]], [2.5]))
    same(SubsetSum([[1.0, -1.0, 0.0]], [0.0]))
    same(SubsetSum(np.ones((2, 11)), [5.0, 5.5], FixedSize(5)))
    same(SubsetSum(np.zeros((1, 6)), [0.0], FixedSize(4)))
    same(SubsetSum(np.ones((2, 9)), [4.0, 4.5], Sparsest(0.5)))


def edges() -> None:
    nothing = [[False, False]]
    same(SubsetSum([[0.5, 0.25]], [100.0], Closest(1e-3)))
    same(SubsetSum([[0.5, -0.25, 0.0, 0.5, 1.0]], [-100.0], Sparsest(1e-3)))
    same(SubsetSum([[0.5, -0.25, 0.0, 0.5, 1.0]], [100.0], Sparsest(1e-3)))
    for objective in (Closest(), Sparsest(0.1), FixedSize(1)):
        same(SubsetSum([[0.5, 0.25]], [0.5], objective, nothing))
    same(SubsetSum([[0.5, 0.25]], [0.5], FixedSize(3)))
    broadcast = np.broadcast_to(uniform_family(1, 6).coefficients, (2, 6))
    same(SubsetSum(broadcast, [0.1, -0.7]))


def candidates_beyond_the_tables() -> None:
    with changed(cuda_closest, MAX_IN_TABLES=4), changed(cuda_by_size, MAX_IN_TABLE=2):
        for objective in (Closest(), Sparsest(2.0**-4), FixedSize(4)):
            for unit in (2.0**-46, 2.0**-3):
                same(rows(2, 8, unit, objective))


def blocks_of_any_size() -> None:
    for threads in (1, 8):
        with changed(cuda_launch, _threads=lambda _, threads=threads: threads):
            for objective in (Closest(), Sparsest(0.0), FixedSize(4)):
                same(rows(1, 8, 2.0**-3, objective))


def what_does_not_fit_goes_to_the_cpu() -> None:
    coefficients = uniform_family(3, 6).coefficients.copy()
    coefficients[1] = [1e300, -1e300, 1.0, 1e-300, 0.5, 5e-324]
    for objective in (Closest(), Sparsest(1e-3)):
        found = same(SubsetSum(coefficients, [0.3, 1.5, -0.2], objective))
        assert found.stats["device_rows"] == 2
    assert "device_rows" not in same(uniform_family(2, 33)).stats
    base, few = uniform_family(2, 34), np.arange(34) < [[5], [33]]
    ragged = SubsetSum(base.coefficients, base.targets, Closest(), few)
    assert same(ragged).stats["device_rows"] == 1
    assert "device_rows" not in same(SubsetSum(np.empty((2, 0)), [0.5, 0.0])).stats


def scaling() -> None:
    """Targets and tolerances of all magnitudes, in quarters of the unit as on the CPU."""
    b, n = 300, 4
    for size, tolerance in ((2.0**-46, 1e-9), (1.0, 0.37), (1e-12, 0.0), (2.0**40, 2.0**38 / 3)):
        exponents = RNG.integers(0, 5, (b, n))
        coefficients = RNG.integers(-999, 999, (b, n)) * size * 2.0**exponents
        coefficients[::3] = np.round(RNG.standard_normal((b // 3, n)), 2) * size
        coefficients[::7, 1] = 0.0
        targets = RNG.standard_normal(b) * size * 2.0 ** RNG.integers(-70, 20, b)
        targets[::5] = RNG.integers(-99, 99, b // 5) * size / 4
        targets[:3] = 0.0, -0.0, 1e300
        available = RNG.random((b, n)) < 0.9
        instance = SubsetSum(coefficients, targets, Sparsest(tolerance), available)
        expected = scale(instance)
        numbers = instance.coefficients.copy().view(np.int64)
        found = np.zeros((cuda_scaling.NUM_FOUND, b), np.int64)
        bits = np.float64(tolerance).view(np.int64)
        given = cuda_launch._given(instance)
        cuda_scaling.scale_rows[-(-b // 4), 4](numbers, given, bits, found)
        here = found[cuda_scaling.STATUS] != cuda_scaling.ELSEWHERE
        assert here.mean() > 0.5
        both = here & expected.fits
        assert (numbers == expected.coefficients)[both].all()
        assert (found[cuda_scaling.EXPONENT] == expected.exponent)[both].all()
        # beyond all sums it does not matter how far
        most = np.abs(expected.coefficients).sum(axis=1) + 4
        for name in ("target", "low", "high"):
            mine, theirs = found[getattr(cuda_scaling, name.upper())], getattr(expected, name)
            assert (mine.clip(-most, most) == theirs.clip(-most, most))[both].all(), name


def events_and_threads() -> None:
    seen = np.zeros((6, 7), bool)

    def record(first: int, part: Proposal) -> None:
        seen[first : first + len(part.mask)] = part.mask

    instance = rows(6, 7, 2.0**-46, Closest())
    found = MeetInTheMiddle(2, "cuda").propose(instance, np.inf, on_event=record)
    assert (seen == found.mask).all()
    assert found.stats["device_rows"] == 6
    same(instance, MeetInTheMiddle(1, "cuda"))


def failures() -> None:
    def fail(*_: Any) -> None:
        raise MemoryError("out of memory\non the device")

    instance = uniform_family(4, 6)
    with changed(meet_in_the_middle, _PAYS=0):
        assert same(instance, MeetInTheMiddle()).stats["device_rows"] == 4
        with changed(cuda_launch, _solve=fail), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert "device_rows" not in same(instance, MeetInTheMiddle()).stats
            assert "CUDA: MemoryError out of memory on the device" in str(told[0].message)
            try:
                CUDA.propose(instance, np.inf)
            except cuda_launch.DeviceError:
                return
    raise AssertionError("a failure was hidden")


def draws() -> None:
    stream, first = Stream(12345, layer=3, matrix=1), 2**40 - 3
    for unit in (UNIT_RAW, UNIT_FACTOR, 2.0**-52, 1.0):
        drawn = cuda_draw.draw_uniform(stream, first, 3, 4, unit, cuda.stream()).copy_to_host()
        expected = uniform(stream, np.arange(first, first + 12), unit=unit)
        assert drawn.tobytes() == expected.tobytes()
    instance = uniform_family(3, 8)
    found = cuda_launch.solve_uniform(Stream(0), 0, 8, instance.targets)
    assert (found.mask == CPU.propose(instance, np.inf).mask).all()


CASES: list[Callable[[], None]] = [
    closest, counting, tolerance_met_exactly, ties, edges, candidates_beyond_the_tables,
    blocks_of_any_size, what_does_not_fit_goes_to_the_cpu, scaling, events_and_threads, failures,
    draws,
]  # fmt: skip

if __name__ == "__main__":
    outcome = {}
    with changed(cuda_launch, _threads=lambda _: 4, MOST_THREADS=4), changed(cuda_draw, _THREADS=4):
        for case in CASES:
            try:
                case()
                outcome[case.__name__] = ""
            except Exception:
                outcome[case.__name__] = traceback.format_exc()
    print(json.dumps(outcome))
