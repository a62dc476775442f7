"""Perturbed subset sums, exactly: every subset of few candidates is looked at.

Where kept candidates may move, few of them are enough, and 2ⁿ subsets of 12 are microseconds: the
sums of all of them and how far each can be moved are tables, which are gone through without a
branch. Sums are compared in 64-bit integers, two to a number where one does not hold it, and in
Python's own where numbers are further apart than that.

To prefer for every `PerturbedSubsetSum` of up to 24 candidates. The problem is that of Xiong, Liao
and Kyrillidis (AISTATS 2023, arXiv 2210.16589).
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import lcm
from typing import Any, ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.instance import Instance
from instances.objectives import Sparsest
from instances.perturbed import PerturbedSubsetSum
from solvers.cores import num_cores
from solvers.exact.perturbed_kernels import FAR, closest_rows, sparsest_rows, split_rows
from solvers.exact.scaling import rounded_bound
from solvers.solver import OnEvent, Proposal, Reported, nothing_known, put_rows

MAX_CANDIDATES = 24
"""A row then takes some 10 milliseconds."""

_ROW_STEPS = 1 << 11  # subsets that could be looked at while a row is made ready
_CHUNK_STEPS = 1 << 28  # subsets per chunk: a fraction of a second of work


@dataclass(frozen=True)
class Perturbed:
    """Exact solver for perturbed subset sums.

    Parameters
    ----------
    threads
        How many rows are solved side by side; 0: one per core this process may use.
    """

    threads: int = 0
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether they are perturbed sums of at most 24 available candidates a row."""
        if not isinstance(instance, PerturbedSubsetSum):
            return False
        return int(instance.num_available().max()) <= MAX_CANDIDATES

    def propose(
        self,
        instance: PerturbedSubsetSum,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve every row to proven optimality; see `solvers.solver.Solver`."""
        whole = nothing_known(instance, start)
        began = time.perf_counter()
        _compile()
        whole.stats["start_seconds"] = time.perf_counter() - began
        chunks = _chunks(instance)
        with ThreadPoolExecutor(min(self.threads or num_cores(), len(chunks))) as pool:
            parts = pool.map(lambda rows: _solve(instance.part(*rows)), chunks)
            for (first, _), part in zip(chunks, parts, strict=True):
                put_rows(whole, first, part)
                if on_event is not None:
                    on_event(first, part)
        return whole


@cache
def _compile() -> None:
    """Compile the kernels, or load them from numba's cache, by solving something small."""
    tiny = PerturbedSubsetSum.tiny()
    numbers = tiny.coefficients, tiny.targets, tiny.perturbations
    for objective in (tiny.objective, Sparsest(0.5)):
        _solve(PerturbedSubsetSum(*numbers, objective))


def _chunks(instance: PerturbedSubsetSum) -> list[tuple[int, int]]:
    """Cut the batch where about `_CHUNK_STEPS` subsets have been passed, in four pieces or more."""
    steps = np.cumsum(2.0 ** instance.num_available() + _ROW_STEPS)
    cuts = np.searchsorted(steps, np.arange(0.0, steps[-1], min(_CHUNK_STEPS, steps[-1] / 4)))
    edges = np.unique(np.append(cuts, len(instance)))
    return [(int(i), int(j)) for i, j in pairwise(edges)]


def _solve(instance: PerturbedSubsetSum) -> Proposal:
    floats = _floats(instance)
    b, n = instance.coefficients.shape
    whole, rest = np.zeros((2, *floats.shape), np.int64)
    bits, unit, edge = np.zeros((3, b), np.int64)
    mask, fits, found = np.zeros((b, n), np.bool_), np.zeros(b, np.bool_), np.ones(b, np.bool_)
    split_rows(floats, whole, rest, bits, unit, fits)
    # copied, so that the kernels, compiled anew for every layout, see one alone
    available = (
        np.ones((b, n), np.bool_) if instance.available is None else instance.available.copy()
    )
    counts, numbers = instance.counts, (whole, rest, bits)
    _solve_rows(counts, np.flatnonzero(fits), numbers, available, FAR, mask, edge, found)
    for r in np.flatnonzero(~fits):  # by the same code in Python's integers
        row, first = slice(r, r + 1), np.zeros(1, np.int64)
        objects, far = _as_objects(floats[r].tolist())
        nowhere = np.zeros(1, object)
        _solve_rows(counts, first, objects, available[row], far, mask[row], nowhere, found[row])
    if counts:
        bound = np.where(found, mask.sum(axis=1), np.inf)
    else:
        bound = _least_misses(instance, mask, edge, unit, fits & (bits == 0))
    status = np.where(found, "optimal", "infeasible")
    return Proposal(mask, bound, Reported(status, bound, bound), {})


def _solve_rows(
    counts: bool,
    rows: IntArray,
    numbers: tuple[Any, Any, Any],
    available: BoolArray,
    far: int,
    mask: BoolArray,
    edge: Any,
    found: BoolArray,
) -> None:
    """Solve `rows` by the kernel of the objective, compiled or, for objects, as plain Python."""
    sparsest: Any = sparsest_rows
    closest: Any = closest_rows
    if numbers[0].dtype.hasobject:
        sparsest, closest = sparsest.py_func, closest.py_func
    if counts:
        sparsest(rows, *numbers, available, far, mask, found)
        rows = rows[~found[rows]]  # no subset is within the tolerance: come as close as can be
    closest(rows, *numbers, available, far, mask, edge)


def _floats(instance: PerturbedSubsetSum) -> FloatArray:
    """Return what a row is made of: coefficients, perturbations, tolerance and target."""
    a, p = instance.coefficients, instance.perturbations
    if instance.available is not None:
        a, p = np.where(instance.available, a, 0.0), np.where(instance.available, p, 0.0)
    limit = np.full(len(instance), instance.tolerance or 0.0)
    return np.column_stack([a, p, limit, instance.targets])


def _as_objects(row: list[float]) -> tuple[tuple[Any, Any, Any], int]:
    """Return the numbers of a row as Python's integers, all of them wholes, and a far one."""
    fractions = [Fraction(x) for x in row]
    unit = lcm(*(x.denominator for x in fractions))
    whole, rest, bits = (np.zeros(shape, object) for shape in ((1, len(row)), (1, len(row)), 1))
    whole[0] = [int(x * unit) for x in fractions]
    return (whole, rest, bits), 8 * sum(map(abs, whole[0])) + 8


def _least_misses(
    instance: PerturbedSubsetSum,
    mask: BoolArray,
    edge: IntArray,
    unit: IntArray,
    plain: BoolArray,
) -> FloatArray:
    """Return the misses of the best masks, correctly rounded, from the edges of `plain` rows."""
    met = edge == FAR
    # one correctly rounded subtraction of exact numbers, where the edge is a float
    with np.errstate(over="ignore"):
        edges = np.ldexp(np.where(met, 0, edge).astype(np.float64), unit - 2)
        bound = np.where(met, 0.0, np.abs(instance.targets - edges))
    doubtful = ~met & (~plain | (np.abs(edge) >= 2**55) | ~np.isfinite(bound))
    if instance.tolerance is not None:
        doubtful |= bound == instance.tolerance
    for r in np.flatnonzero(doubtful):
        bound[r] = _least_miss(instance, int(r), mask[r])
    return bound


def _least_miss(instance: PerturbedSubsetSum, r: int, kept: BoolArray) -> float:
    """Return what `kept` misses by as `rounded_bound` does."""
    total, freedom = (
        sum(map(Fraction, numbers[r, kept].tolist()))
        for numbers in (instance.coefficients, instance.perturbations)
    )
    miss = max(Fraction(0), abs(Fraction(float(instance.targets[r])) - total) - freedom)
    return rounded_bound(miss, instance.tolerance)
