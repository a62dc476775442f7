"""Meet-in-the-middle: exact, in batches, the solver to prefer up to 48 candidates per row.

Horowitz and Sahni, "Computing partitions with applications to the knapsack problem", J. ACM 1974.
The candidates are split in two halves; the sums of each half are built in order by merging, and one
walk over two tables finds the pair that comes closest: `solvers.exact.closest`, and
`solvers.exact.by_size` for the objectives that count. All comparisons are made in integers: 64 bits
where they suffice, Python's own beyond that, by the same code.

Tables end where memory should: the candidates beyond are tried in all 2^s ways with the same
tables. Schroeppel and Shamir (SIAM J. Comput. 1981) would do without that factor by keeping four
lists and two heaps; at 48 candidates, 16 walks through tables in order are faster than heaps.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.instance import Instance
from instances.objectives import Closest, FixedSize
from instances.subset_sum import SubsetSum
from solvers.cores import num_cores
from solvers.exact import by_size, closest
from solvers.exact.scaling import Scaled, as_objects, proven_bound, scale, scale_row
from solvers.solver import OnEvent, Proposal, Reported, nothing_known, put_rows

MAX_CANDIDATES = 48
"""A row then takes 80 MB and about a quarter of a second."""

_CHUNK_STEPS = 1 << 25  # table entries per chunk: a fraction of a second of work
_FAR = 1 << 62  # sums and targets are below 2**60


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

    def supports(self, instance: Instance) -> bool:
        """Whether they are SubsetSum problems of at most 48 available candidates a row."""
        if not isinstance(instance, SubsetSum):
            return False
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
        scratch = _Scratch()
        with ThreadPoolExecutor(min(threads, len(chunks))) as pool:
            parts = pool.map(lambda rows: _solve(instance.part(*rows), scratch), chunks)
            for (first, _), part in zip(chunks, parts, strict=True):
                put_rows(whole, first, part)
                if on_event is not None:
                    on_event(first, part)
        return whole


class _Scratch(threading.local):
    """Each thread's arrays, kept from chunk to chunk: fresh pages cost as much as filling them."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, Any], Any] = {}

    def take(self, name: str, num_rows: int, entries: int, kind: Any = np.int64) -> Any:
        """Return an array of `num_rows` rows and at least as many entries each."""
        array = self._arrays.get((name, kind))
        if array is None or array.shape[1] < entries:
            array = self._arrays[name, kind] = np.empty((num_rows, entries), kind)
        return array


@cache
def _compile() -> None:
    """Compile the kernels, or load them from numba's cache, by solving something small."""
    powers = 2.0 ** -np.arange(1.0, 6.0)[None, :]
    for objective in (Closest(), FixedSize(4)):
        _solve(SubsetSum(powers, np.array([0.3]), objective), _Scratch())


def _chunks(instance: SubsetSum) -> list[tuple[int, int]]:
    """Cut the batch where about `_CHUNK_STEPS` table entries have been passed."""
    steps = np.cumsum(2.0 ** (instance.num_available() / 2 + 2))
    cuts = np.searchsorted(steps, np.arange(0.0, steps[-1], _CHUNK_STEPS))
    edges = np.unique(np.append(cuts, len(instance)))
    if len(edges) == 2 and len(instance) > 1:  # too little work for that: share it all the same
        edges = np.unique(np.linspace(0, len(instance), 5).astype(int))
    return [(int(i), int(j)) for i, j in pairwise(edges)]


def _solve(instance: SubsetSum, scratch: _Scratch) -> Proposal:
    scaled = scale(instance)
    b, n = instance.coefficients.shape
    mask = np.zeros((b, n), np.bool_)
    proven = np.zeros(b, np.bool_)
    # copied, so that the kernels, compiled anew for every layout, see one alone
    available = (
        np.ones((b, n), np.bool_) if instance.available is None else instance.available.copy()
    )
    rows = np.flatnonzero(scaled.fits)
    numbers = (scaled.coefficients, scaled.target, scaled.low, scaled.high)
    _solve_rows(instance, scratch, rows, *numbers, available, mask, proven)
    for r in np.flatnonzero(~scaled.fits):  # by the same code in Python's integers
        row = slice(r, r + 1)
        numbers = as_objects(scale_row(instance, int(r)))
        first = np.zeros(1, np.int64)
        _solve_rows(instance, scratch, first, *numbers, available[row], mask[row], proven[row])
    bound = _bounds(instance, scaled, mask, proven)
    exact = np.where(proven, "optimal", "infeasible")
    return Proposal(mask, bound, Reported(exact, bound, bound), {})


def _solve_rows(
    instance: SubsetSum,
    scratch: _Scratch,
    rows: IntArray,
    coefficients: Any,
    target: Any,
    low: Any,
    high: Any,
    available: BoolArray,
    mask: BoolArray,
    proven: BoolArray,
) -> None:
    """Solve `rows` by the kernel of the objective, compiled or, for objects, as plain Python."""
    kind = coefficients.dtype
    solve_closest: Any = closest.closest_rows
    solve_by_size: Any = by_size.rows_by_size
    far = _FAR
    if kind.hasobject:
        solve_closest, solve_by_size = solve_closest.py_func, solve_by_size.py_func
        far = 8 * (sum(map(abs, coefficients[0])) + abs(target[0]) + 1)
    most = int(available[rows].sum(axis=1).max(initial=0))
    if isinstance(instance.objective, FixedSize) or instance.counts:
        size = instance.objective.size if isinstance(instance.objective, FixedSize) else -1
        entries = 1 << (min(most, by_size.MAX_IN_TABLES) + 1) // 2
        sums, masks = scratch.take("sums", 4, entries, kind), scratch.take("masks", 4, entries)
        solve_by_size(
            rows, coefficients, target, low, high, available, size, sums, masks, mask, proven
        )
    else:
        entries = 1 << (min(most, closest.MAX_IN_TABLES) + 1) // 2
        tables = scratch.take("tables", 3, entries + 1, kind)
        sums = scratch.take("looked up", 2, min(entries, closest.BLOCK), kind)
        solve_closest(rows, coefficients, target, available, far, *tables, sums, mask)
        proven[rows] = True


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
