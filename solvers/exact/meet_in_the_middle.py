"""Meet-in-the-middle: exact, in batches, the solver to prefer up to about 40 candidates per row.

Horowitz and Sahni, "Computing partitions with applications to the knapsack problem", J. ACM 1974.
The candidates are split in two halves; the sums of each half are built in order by merging, and one
sweep over two tables finds the pair that comes closest. The objectives that count try all subsets
of up to three candidates first, then have one table per number kept. All comparisons are made in
integers: 64 bits where they suffice, Python's own beyond that, by the same code. For the closest
sum of up to 26 candidates there is a faster kernel, `solvers.exact.lanes`.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.compiled import compilable, compiled
from instances.objectives import FixedSize
from instances.subset_sum import SubsetSum
from solvers.cores import num_cores
from solvers.exact.lanes import LANES, MIN_CANDIDATES, solve_in_lanes
from solvers.exact.scaling import Scaled, as_objects, proven_bound, scale, scale_row
from solvers.exact.small_subsets import MAX_SIZE, closest_of_size
from solvers.solver import OnEvent, Proposal, Reported, nothing_known, put_rows

MAX_CANDIDATES = 40
"""The two half tables of a row then take 34 MB."""

_CLOSEST, _SPARSEST, _FIXED_SIZE = range(3)
_CHUNK_STEPS = 1 << 25  # table entries per chunk: about a second of work


@dataclass(frozen=True)
class MeetInTheMiddle:
    """Exact solver for all objectives.

    Parameters
    ----------
    threads
        How many rows are solved side by side; 0: one per core this process may use.
    """

    threads: int = 0
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: SubsetSum) -> bool:
        """Whether no row has more than 40 available candidates."""
        return int(instance.num_available().max()) <= MAX_CANDIDATES

    def propose(
        self,
        instance: SubsetSum,
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
        threads = self.threads or num_cores()
        with ThreadPoolExecutor(min(threads, len(chunks))) as pool:
            parts = pool.map(lambda rows: _solve(instance.part(*rows)), chunks)
            for (first, _), part in zip(chunks, parts, strict=True):
                put_rows(whole, first, part)
                if on_event is not None:
                    on_event(first, part)
        return whole


@cache
def _compile() -> None:
    """Compile the kernels, or load them from numba's cache, by solving something small."""
    powers = 2.0 ** -np.arange(1, MIN_CANDIDATES + 1)
    _solve(SubsetSum(np.tile(powers, (LANES, 1)), np.linspace(0.1, 0.9, LANES)))


def _chunks(instance: SubsetSum) -> list[tuple[int, int]]:
    """Cut the batch where about `_CHUNK_STEPS` table entries have been passed."""
    steps = np.cumsum(2.0 ** (instance.num_available() / 2 + 2))
    cuts = np.searchsorted(steps, np.arange(0.0, steps[-1], _CHUNK_STEPS))
    edges = np.unique(np.append(cuts, len(instance)))
    if len(edges) == 2 and len(instance) > 1:  # too little work for that: share it all the same
        edges = np.unique(np.linspace(0, len(instance), 5).astype(int))
    return [(int(i), int(j)) for i, j in pairwise(edges)]


def _solve(instance: SubsetSum) -> Proposal:
    scaled = scale(instance)
    mode, size = _mode(instance)
    b, n = instance.coefficients.shape
    mask = np.zeros((b, n), np.bool_)
    proven = np.zeros(b, np.bool_)
    available = instance.available if instance.available is not None else np.ones((b, n), np.bool_)
    rows = np.flatnonzero(scaled.fits)
    if mode == _CLOSEST:
        proven = solve_in_lanes(scaled.coefficients, scaled.target, available, rows, mask)
        rows = rows[~proven[rows]]
    capacity = 1 << (int(instance.num_available().max(initial=0)) + 1) // 2
    sums = np.empty((4, capacity), np.int64)
    masks = np.empty((4, capacity), np.int64)
    arguments = (scaled.coefficients, scaled.target, scaled.low, scaled.high)
    _solve_rows(rows, *arguments, available, mode, size, sums, masks, mask, proven)
    for r in np.flatnonzero(~scaled.fits):
        _solve_in_python(instance, int(r), mode, size, masks, mask, proven)
    bound = _bounds(instance, scaled, mask, proven)
    exact = np.where(proven, "optimal", "infeasible")
    return Proposal(mask, bound, Reported(exact, bound, bound), {})


def _mode(instance: SubsetSum) -> tuple[int, int]:
    if isinstance(instance.objective, FixedSize):
        return _FIXED_SIZE, instance.objective.size
    return (_SPARSEST if instance.counts else _CLOSEST), 0


def _solve_in_python(
    instance: SubsetSum,
    r: int,
    mode: int,
    size: int,
    masks: Any,
    mask: BoolArray,
    proven: BoolArray,
) -> None:
    """Solve one row whose sums need more than 64 bits, by the same code in Python's integers."""
    n = instance.num_candidates
    available = np.ones((1, n), np.bool_)
    if instance.available is not None:
        available = instance.available[r : r + 1]
    sums = np.empty(masks.shape, dtype=object)
    python: Any = _solve_rows
    python.py_func(
        np.zeros(1, np.int64),
        *as_objects(scale_row(instance, r)),
        available,
        mode,
        size,
        sums,
        masks,
        mask[r : r + 1],
        proven[r : r + 1],
    )


def _bounds(instance: SubsetSum, scaled: Scaled, mask: BoolArray, proven: BoolArray) -> FloatArray:
    if instance.counts:
        return np.where(proven, mask.sum(axis=1), np.inf)
    sums = np.where(mask, scaled.coefficients, 0).sum(axis=1)
    # one correctly rounded subtraction of exact numbers, where the sum has 53 bits at most
    bound = np.abs(instance.targets - np.ldexp(sums.astype(np.float64), scaled.exponent - 2))
    doubtful = ~scaled.fits | (np.abs(sums) >= 2**55)
    if instance.tolerance is not None:
        doubtful |= bound == instance.tolerance
    for r in np.flatnonzero(doubtful & proven):
        bound[r] = proven_bound(instance, int(r), mask[r])
    return np.where(proven, bound, np.inf)


@compiled
def _solve_rows(  # type: ignore[no-untyped-def]
    rows, coefficients, target, low, high, available, mode, size, sums, masks, mask, proven
):
    """Solve `rows`; `sums` and `masks` are scratch of shape (4, entries of a half table)."""
    n = available.shape[1]
    chosen = np.empty(n, np.int64)
    starts = np.zeros((3, n + 3), np.int64)
    for r in rows:
        m = 0
        for k in range(n):
            if available[r, k]:
                chosen[m] = k
                m += 1
        half = m // 2
        a = coefficients[r]
        distance, answer, total = -1, 0, 0
        if mode == _CLOSEST:
            p, q = _both_tables(a, chosen[:m], half, False, sums, masks, starts)
            distance, answer, total = _sweep(
                sums[p], masks[p], starts[0, 0], starts[0, 1],
                sums[q], masks[q], starts[1, 0], starts[1, 1],
                half, target[r], distance, answer, total,
            )  # fmt: skip
            proven[r] = True
        else:
            kept, last = (size, size) if mode == _FIXED_SIZE else (0, m)
            met = False
            for k in range(m):  # the tables are not there yet: their room serves for the numbers
                sums[0, k] = a[chosen[k]]
            while kept <= last and kept <= MAX_SIZE and not met:
                away, subset, sum_ = closest_of_size(sums[0], m, kept, target[r])
                if away >= 0 and (distance < 0 or (away, subset) < (distance, answer)):
                    distance, answer, total = away, subset, sum_
                met = mode == _SPARSEST and distance >= 0 and low[r] <= total <= high[r]
                kept += 1
            if kept <= last and not met:
                p, q = _both_tables(a, chosen[:m], half, True, sums, masks, starts)
                while kept <= last and not met:
                    for i in range(max(0, kept - (m - half)), min(kept, half) + 1):
                        j = kept - i
                        distance, answer, total = _sweep(
                            sums[p], masks[p], starts[0, i], starts[0, i + 1],
                            sums[q], masks[q], starts[1, j], starts[1, j + 1],
                            half, target[r], distance, answer, total,
                        )  # fmt: skip
                    met = mode == _SPARSEST and low[r] <= total <= high[r]
                    kept += 1
            proven[r] = distance >= 0 if mode == _FIXED_SIZE else met
        for k in range(m):
            mask[r, chosen[k]] = (answer >> k) & 1 == 1


@compilable
def _both_tables(a, chosen, half, by_count, sums, masks, starts):  # type: ignore[no-untyped-def]
    """Build the tables of both halves; return the rows of `sums` and `masks` that hold them."""
    p = _tables(a, chosen[:half], by_count, sums[0:2], masks[0:2], starts[0], starts[2])
    q = _tables(a, chosen[half:], by_count, sums[2:4], masks[2:4], starts[1], starts[2])
    return p, q + 2


@compilable
def _tables(a, chosen, by_count, sums, masks, starts, spare):  # type: ignore[no-untyped-def]
    """Build the strictly increasing sums of all subsets, or of those of each size.

    Table c lies from ``starts[c]`` to ``starts[c + 1]``. Of equal sums the smallest mask is kept.
    Returns which row of the scratch holds the result.
    """
    now = 0
    sums[0, 0] = a[chosen[0]] * 0 if len(chosen) else 0
    masks[0, 0] = 0
    starts[0], starts[1] = 0, 1
    for k in range(len(chosen)):
        spare[: k + 3] = starts[: k + 3]
        end = 0
        for c in range(k + 2 if by_count else 1):
            if by_count:  # those of size c without candidate k, and those of size c - 1 with it
                i, i_end = (spare[c], spare[c + 1]) if c <= k else (0, 0)
                j, j_end = (spare[c - 1], spare[c]) if c > 0 else (0, 0)
            else:
                i, i_end, j, j_end = 0, spare[1], 0, spare[1]
            starts[c] = end
            end = _merge(
                sums[now], masks[now], i, i_end, j, j_end, a[chosen[k]], 1 << k,
                sums[1 - now], masks[1 - now], end,
            )  # fmt: skip
            starts[c + 1] = end
        now = 1 - now
    return now


@compilable
def _merge(sums, masks, i, i_end, j, j_end, shift, bit, sums_out, masks_out, end):  # type: ignore[no-untyped-def]
    """Merge sums[i:i_end] with sums[j:j_end] + shift; of two equal sums the first has no `bit`."""
    while i < i_end and j < j_end:
        x, y = sums[i], sums[j] + shift
        if x <= y:
            sums_out[end] = x
            masks_out[end] = masks[i]
            i += 1
            if x == y:
                j += 1
        else:
            sums_out[end] = y
            masks_out[end] = masks[j] | bit
            j += 1
        end += 1
    while i < i_end:
        sums_out[end] = sums[i]
        masks_out[end] = masks[i]
        i += 1
        end += 1
    while j < j_end:
        sums_out[end] = sums[j] + shift
        masks_out[end] = masks[j] | bit
        j += 1
        end += 1
    return end


@compilable
def _sweep(  # type: ignore[no-untyped-def]
    lower_sums, lower_masks, i, i_end, upper_sums, upper_masks, j_end, j, half,
    target, distance, answer, total,
):  # fmt: skip
    """Walk up one table and down the other; remember the pair closest to the target.

    As the tables strictly increase, the walk passes every pair whose sum is the largest up to the
    target or the smallest above it, so all ties are seen and the smallest mask can win.
    A negative `distance` means that nothing has been found before.
    """
    j -= 1
    while i < i_end and j >= j_end:
        candidate = lower_sums[i] + upper_sums[j]
        off = target - candidate
        away = abs(off)
        if away <= distance or distance < 0:
            pair = (upper_masks[j] << half) | lower_masks[i]
            if away < distance or distance < 0 or pair < answer:
                distance, answer, total = away, pair, candidate
        if off >= 0:
            i += 1
        else:
            j -= 1
    return distance, answer, total
