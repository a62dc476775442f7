"""Meet-in-the-middle: exact, in batches, the solver to prefer up to 48 candidates per row.

Horowitz and Sahni, "Computing partitions with applications to the knapsack problem", J. ACM 1974.
The candidates are split in two halves; the sums of each half are built in order by merging, and one
walk over two tables finds the pair that comes closest: `solvers.exact.closest`, and
`solvers.exact.by_size` for the objectives that count. All comparisons are made in integers: 64 bits
where they suffice, Python's own beyond that, by the same code.

Tables end where memory should: the candidates beyond are tried in all 2^s ways with the same
tables. Schroeppel and Shamir (SIAM J. Comput. 1981) would do without that factor by keeping four
lists and two heaps; at 48 candidates, 16 walks through tables in order are faster than heaps.

Large batches of small rows are solved on a CUDA device where there is one, by
`solvers.exact.cuda_launch`, which gives the same masks.
"""

import threading
import time
import warnings
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
_DEVICE_STEPS = 1 << 29  # the same on a device
_PAYS = 1 << 26  # table entries in a batch for which "auto" looks for a device
_DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")
_FAR = 1 << 62  # sums and targets are below 2**60


@dataclass(frozen=True)
class MeetInTheMiddle:
    """Exact solver for all objectives.

    Parameters
    ----------
    threads
        How many rows are solved side by side; 0: one per core this process may use.
    device
        "cpu"; "cuda" or "cuda:1": rows of up to 32 candidates are solved there; "auto": on CUDA
        where there is a device and the batch is large enough. Other devices of torch have no
        kernels, so they mean the CPU.

    Raises
    ------
    ValueError
        When there is no such kind of device.
    """

    threads: int = 0
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        kind, _, index = self.device.partition(":")
        if kind not in _DEVICES or (index and not index.isdecimal()):
            raise ValueError(f"device {self.device!r}: choose auto, cpu, cuda or cuda:1")

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
        """Solve every row to proven optimality; see `solvers.solver.Solver`.

        Where a device is used, ``device_rows`` of the statistics says for how many rows.

        Raises
        ------
        ValueError
            When `device` is "cuda" and there is none.
        """
        whole = nothing_known(instance, start)
        began = time.perf_counter()
        _compile()
        there = self._uses_device(instance)
        whole.stats["start_seconds"] = time.perf_counter() - began
        chunks = _chunks(instance, there)
        threads = self.threads or num_cores()
        scratch = _Scratch()
        solve = self._solve_there if there else _solve
        with ThreadPoolExecutor(min(threads, len(chunks))) as pool:
            parts = pool.map(lambda rows: solve(instance.part(*rows), scratch), chunks)
            for (first, _), part in zip(chunks, parts, strict=True):
                put_rows(whole, first, part)
                for name, value in part.stats.items():
                    whole.stats[name] = whole.stats.get(name, 0.0) + value
                if on_event is not None:
                    on_event(first, part)
        return whole

    def _uses_device(self, instance: SubsetSum) -> bool:
        wanted = self.device.startswith("cuda")
        if not wanted and self.device != "auto":
            return False
        steps = len(instance) * 2.0 ** (instance.num_available().mean() / 2 + 2)
        if not wanted and steps < _PAYS:
            return False
        from solvers.exact import cuda_launch

        reason = cuda_launch.why_not()
        if wanted and reason:
            raise ValueError(f"device {self.device!r}: {reason}")
        return not reason and cuda_launch.fits(instance)

    def _solve_there(self, instance: SubsetSum, scratch: "_Scratch") -> Proposal:
        """Solve on the device what fits; under "auto" all on the CPU when CUDA fails."""
        from solvers.exact import cuda_launch

        index = self.device.partition(":")[2]
        try:
            found = cuda_launch.solve_rows(instance, int(index) if index else None)
        except cuda_launch.DeviceError as error:
            if self.device != "auto":
                raise
            warnings.warn(f"solved on the CPU: {error}", RuntimeWarning, stacklevel=2)
            return _solve(instance, scratch)
        mask, proven = found.mask, found.proven
        if instance.counts:
            bound = np.where(proven, mask.sum(axis=1), np.inf)
        else:
            bound = _error_bounds(instance, found.total, found.exponent, found.here, mask, proven)
        rest = np.flatnonzero(~found.here)
        if len(rest):
            part = _solve(_rows_of(instance, rest), scratch)
            mask[rest], bound[rest] = part.mask, part.bound
            proven[rest] = part.reported.status == "optimal"
        return _proposal(mask, bound, proven, {"device_rows": float(found.here.sum())})


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


def _chunks(instance: SubsetSum, there: bool = False) -> list[tuple[int, int]]:
    """Cut the batch where about `_CHUNK_STEPS` table entries have been passed."""
    each, in_chunk = 2.0 ** (instance.num_available() / 2 + 2), _CHUNK_STEPS
    if there:
        from solvers.exact import cuda_launch

        in_chunk = _DEVICE_STEPS
        each = np.maximum(each, in_chunk / cuda_launch.rows_at_once(instance.num_candidates))
    steps = np.cumsum(each)
    cuts = np.searchsorted(steps, np.arange(0.0, steps[-1], in_chunk))
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
    return _proposal(mask, _bounds(instance, scaled, mask, proven), proven, {})


def _proposal(
    mask: BoolArray, bound: FloatArray, proven: BoolArray, stats: dict[str, float]
) -> Proposal:
    exact = np.where(proven, "optimal", "infeasible")
    return Proposal(mask, bound, Reported(exact, bound, bound), stats)


def _rows_of(instance: SubsetSum, rows: IntArray) -> SubsetSum:
    available = None if instance.available is None else instance.available[rows]
    return SubsetSum(
        instance.coefficients[rows], instance.targets[rows], instance.objective, available
    )


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
    return _error_bounds(instance, sums, scaled.exponent, scaled.fits, mask, proven)


def _error_bounds(
    instance: SubsetSum,
    sums: IntArray,
    exponent: Any,
    fits: BoolArray,
    mask: BoolArray,
    proven: BoolArray,
) -> FloatArray:
    # one correctly rounded subtraction of exact numbers, where the sum is a float
    with np.errstate(over="ignore"):
        bound = np.abs(instance.targets - np.ldexp(sums.astype(np.float64), exponent - 2))
    doubtful = ~fits | (np.abs(sums) >= 2**55) | ~np.isfinite(bound)
    if instance.tolerance is not None:
        doubtful |= bound == instance.tolerance
    for r in np.flatnonzero(doubtful & proven):
        bound[r] = proven_bound(instance, int(r), mask[r])
    return np.where(proven, bound, np.inf)
