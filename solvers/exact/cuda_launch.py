"""Rows solved on a CUDA device: the same masks as on the CPU, bit for bit.

Two kernels on a stream of their own, and four numbers per row come back; chunks that several
threads bring are copied while others are solved. Imported on use, as is numba's part for CUDA.

What a row of 21 candidates should cost; counted, not measured: 3,000 steps of merging build the
tables, 3,000 more walk through them, 1,200 bisections find where each thread begins, 3,000 sums
find the smallest mask: some 300,000 instructions, nearly all in 64 bits, that is in two words. One
of the 132 processors of an H200 begins 64 such words a cycle, and 6 rows at a time fit into its
shared memory: 5,000 to 10,000 cycles a row, 25 to 45 million rows a second, 100 to 200 times what
two cores do. Had every sum of one half its binary search in the other instead of the walk, that
would be 11,000 loads for 3,000; had the tables been sorted so, 37,000 for 6,000.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.objectives import Closest, FixedSize, Objective
from instances.philox import UNIT_RAW, Stream
from instances.subset_sum import SubsetSum
from solvers.exact import cuda_by_size, cuda_closest, cuda_scaling
from solvers.exact.cuda_draw import draw_uniform
from solvers.exact.cuda_scaling import MAX_COLUMNS, MAX_ON_DEVICE

MOST_THREADS = 128
"""Threads of a block at most; a power of two."""

_ENTRIES_PER_THREAD = 16
_SHARE_OF_MEMORY = 8
_LAUNCHING = threading.Lock()
_CLOSEST = Closest()


class DeviceError(RuntimeError):
    """What CUDA could not do, in one line."""


class Found(NamedTuple):
    """What the device found out about each row."""

    mask: BoolArray
    """Shape (b, n)."""
    here: BoolArray
    """Whether it was solved; other rows do not fit. Shape (b,), as the others."""
    proven: BoolArray
    total: IntArray
    """The sum of the mask, in quarters of the unit."""
    exponent: NDArray[np.int32]
    """The unit is two to this power."""


def fits(instance: SubsetSum) -> bool:
    """Whether the kernels can take some of the rows, by their numbers of candidates."""
    few = instance.num_available() <= MAX_ON_DEVICE
    return 1 <= instance.num_candidates <= MAX_COLUMNS and bool(few.any())


@cache
def why_not() -> str:
    """Return why no device can be used, in one line; empty when one can.

    The kernels are compiled, or loaded from numba's cache, by solving something small.
    """
    try:
        if cuda.is_available():
            powers = 2.0 ** -np.arange(1.0, 6.0)[None, :]
            for objective in (Closest(), FixedSize(4)):
                solve_rows(SubsetSum(powers, np.array([0.3]), objective))
            return ""
        reason = "numba finds no CUDA device, or no compiler for it"
    except Exception as error:  # a broken driver raises one of many things
        reason = _in_one_line(error)
    return (
        f"{reason}: take device 'auto' or 'cpu', or install NVIDIA's driver and "
        "pip install 'numba-cuda[cu13]'"
    )


def rows_at_once(num_candidates: int) -> int:
    """Return how many rows take so little of the free memory that several threads have room."""
    try:
        free, _ = cuda.current_context().get_memory_info()
    except Exception:  # then solving will fail, and tell
        free = 2**30
    return max(1, int(min(free, 2**40)) // (_SHARE_OF_MEMORY * 8 * (num_candidates + 9)))


def solve_rows(instance: SubsetSum, device: int | None = None) -> Found:
    """Solve the rows that fit, on one of several devices or on the first.

    Raises
    ------
    DeviceError
        When CUDA fails, for want of memory for instance.
    """
    try:
        with nullcontext() if device is None else cuda.gpus[device]:
            on = cuda.stream()
            coefficients = np.ascontiguousarray(instance.coefficients).view(np.int64)
            numbers = cuda.to_device(coefficients, on)
            most = min(int(instance.num_available().max()), MAX_ON_DEVICE)
            return _solve(numbers, _given(instance), instance.objective, most, on)
    except Exception as error:  # numba's errors have no class in common
        raise DeviceError(_in_one_line(error)) from error


def solve_uniform(
    stream: Stream,
    first: int,
    num_candidates: int,
    targets: FloatArray,
    objective: Objective = _CLOSEST,
    *,
    unit: float = UNIT_RAW,
) -> Found:
    """Solve rows of candidates that are drawn where they are needed: only targets are copied.

    The candidates are those that `instances.philox.uniform` draws on the grid `unit`, from counter
    `first` on, row after row.

    Raises
    ------
    ValueError
        When a number is out of range.
    DeviceError
        When CUDA fails.
    """
    if not 1 <= num_candidates <= MAX_ON_DEVICE:
        raise ValueError(f"{num_candidates} candidates: give 1 to {MAX_ON_DEVICE}")
    given = np.empty((2, len(targets)), np.int64)
    given[cuda_scaling.BITS_OF_TARGET] = targets.view(np.int64)
    given[cuda_scaling.USABLE] = (1 << num_candidates) - 1
    try:
        on = cuda.stream()
        with _quietly_alone():
            numbers = draw_uniform(stream, first, len(targets), num_candidates, unit, on)
        return _solve(numbers.view(np.int64), given, objective, num_candidates, on)
    except ValueError:
        raise
    except Exception as error:
        raise DeviceError(_in_one_line(error)) from error


def _solve(numbers: Any, given: IntArray, objective: Objective, most: int, on: Any) -> Found:
    """Launch the scaling and the kernel of the objective, and fetch what they write."""
    b, n = numbers.shape
    given_ = cuda.to_device(given, on)
    found_ = cuda.device_array((cuda_scaling.NUM_FOUND, b), np.int64, stream=on)
    tolerance = np.float64(objective.tolerance or 0.0).view(np.int64)
    with _quietly_alone():
        grid: Any = (-(-b // MOST_THREADS), MOST_THREADS, on, 0)
        cuda_scaling.scale_rows[grid](numbers, given_, tolerance, found_)
        if isinstance(objective, Closest):
            threads = _threads((min(most, cuda_closest.MAX_IN_TABLES) + 1) // 2)
            grid = (b, threads, on, cuda_closest.shared_bytes(most, threads))
            cuda_closest.closest_rows[grid](numbers, given_, found_)
        else:
            size = objective.size if isinstance(objective, FixedSize) else -1
            threads = _threads(cuda_by_size.num_in_table(most))
            grid = (b, threads, on, cuda_by_size.shared_bytes(most, threads))
            cuda_by_size.rows_by_size[grid](numbers, given_, size, found_)
    back = found_[cuda_scaling.EXPONENT :]
    exponent, status, subset, total = found = np.empty(back.shape, np.int64)
    back.copy_to_host(found, on)
    on.synchronize()
    bits = subset.astype("<i8", copy=False).view(np.uint8).reshape(b, 8)
    return Found(
        np.unpackbits(bits, axis=1, count=n, bitorder="little").view(np.bool_),
        status != cuda_scaling.ELSEWHERE,
        status == cuda_scaling.PROVEN,
        total,
        exponent.astype(np.int32),
    )


@contextmanager
def _quietly_alone() -> Iterator[None]:
    """Launch one at a time: compilation bears no more, and neither does numba's simulator."""
    with _LAUNCHING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba warns of small batches
        yield


def _given(instance: SubsetSum) -> IntArray:
    """Return the bits of the targets, and which candidates are available, as bits."""
    given = np.empty((2, len(instance)), np.int64)
    given[cuda_scaling.BITS_OF_TARGET] = instance.targets.view(np.int64)
    given[cuda_scaling.USABLE] = (1 << instance.num_candidates) - 1
    if instance.available is not None:
        packed = np.zeros((len(instance), 8), np.uint8)
        some = np.packbits(instance.available, axis=1, bitorder="little")
        packed[:, : some.shape[1]] = some
        given[cuda_scaling.USABLE] = packed.view("<i8")[:, 0]
    return given


def _threads(bits: int) -> int:
    """Return how many threads share a table of so many candidates."""
    return min(max(32, (1 << bits) // _ENTRIES_PER_THREAD), MOST_THREADS)


def _in_one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"CUDA: {' '.join([type(error).__name__, *lines])[:200]}"
