"""Fronts: for each weight the least error with exactly k candidates kept, for every k at once.

One pass of meet-in-the-middle finds all sizes of a row: `solvers.exact.front_kernels`. Sizes beyond
that of the closest subset never help; where only errors above some number matter, a row's sizes end
below it. Sums are compared in integers: 64 bits where they suffice, Python's own beyond that.
"""

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.subset_sum import SubsetSum
from solvers.cores import num_cores
from solvers.exact.front_kernels import MAX_IN_TABLES, front_rows
from solvers.exact.meet_in_the_middle import MeetInTheMiddle
from solvers.exact.scaling import as_objects, proven_bound, scale, scale_row

_CHUNK_STEPS = 1 << 26  # pairs of subsets that are compared, in a fraction of a second
_FAR = 1 << 62  # sums and targets are below 2**60


class Fronts(NamedTuple):
    """What each weight can do with each number of candidates."""

    errors: FloatArray
    """Shape (r, sizes): the least error with so many kept, correctly rounded; infinite where fewer
    come as close, and where a row has ended."""
    subsets: IntArray
    """Shape (r, sizes): the subset as an integer, bit j = available candidate j."""
    looked: IntArray
    """Shape (r,): how many sizes, from 0 on, were looked at."""
    complete: BoolArray
    """Shape (r,): whether no larger size comes closer."""

    def mask(self, instance: SubsetSum, sizes: IntArray) -> BoolArray:
        """Return the mask of the rows of `instance` with `sizes` kept, shape (r, n)."""
        subset = self.subsets[np.arange(len(sizes)), sizes][:, None]
        if instance.available is None:
            return np.asarray((subset >> np.arange(instance.num_candidates)) & 1 == 1)
        place = np.maximum(np.cumsum(instance.available, axis=1) - 1, 0)
        return np.asarray(((subset >> place) & 1 == 1) & instance.available)


def fronts(
    instance: SubsetSum, enough: float = 0.0, *, threads: int = 0, deadline: float = math.inf
) -> Fronts:
    """Find the front of every row.

    Parameters
    ----------
    instance
        Rows of at most 48 available candidates; their objective is not looked at.
    enough
        Once the error is about this small, or smaller, a row's larger sizes are left out.
    threads
        How many chunks are worked on side by side; 0: one per core this process may use.
    deadline
        On the monotonic clock: rows that are not reached by then keep size 0 alone.
    """
    num = instance.num_available()
    r, last = len(instance), num
    if enough <= 0 and time.monotonic() < deadline:
        closest = SubsetSum(instance.coefficients, instance.targets, available=instance.available)
        last = MeetInTheMiddle(threads).propose(closest, math.inf).mask.sum(axis=1)
    width = int(last.max()) + 1
    found = Fronts(
        np.full((r, width), np.inf),
        np.full((r, width), -1, np.int64),
        np.ones(r, np.int64),
        np.zeros(r, np.bool_),
    )
    found.errors[:, 0], found.subsets[:, 0] = np.abs(instance.targets), 0
    step = max(1, _CHUNK_STEPS >> int(num.max() / 2 + 4))
    chunks = [(i, min(i + step, r)) for i in range(0, r, step)]
    work = partial(_chunk, instance, enough, last, found, threading.local(), deadline)
    with ThreadPoolExecutor(min(threads or num_cores(), len(chunks))) as pool:
        list(pool.map(work, chunks))
    np.greater(found.looked, last, out=found.complete)
    width = int(found.looked.max())
    return found._replace(errors=found.errors[:, :width], subsets=found.subsets[:, :width])


@cache
def compile_fronts() -> None:
    """Compile the kernels, or load them from numba's cache, by solving something small."""
    fronts(SubsetSum(2.0 ** -np.arange(1.0, 6.0)[None, :], np.array([0.3])))


def _chunk(
    instance: SubsetSum,
    enough: float,
    last: IntArray,
    found: Fronts,
    scratch: threading.local,
    deadline: float,
    chunk: tuple[int, int],
) -> None:
    """Write the fronts of some rows into `found`."""
    if time.monotonic() >= deadline:
        return
    rows = slice(*chunk)
    part = instance.part(*chunk)
    scaled = scale(part)
    sums = np.zeros((len(part), found.errors.shape[1]), np.int64)
    subsets, looked = found.subsets[rows], found.looked[rows]
    available = (
        np.ones(part.coefficients.shape, np.bool_) if part.available is None else part.available
    )
    with np.errstate(over="ignore"):
        near = np.minimum(np.ldexp(enough, 2 - scaled.exponent), 2.0**60).astype(np.int64)
    half = (min(int(available.sum(axis=1).max()), MAX_IN_TABLES) + 1) // 2
    tables = _tables(scratch, half)
    front_rows(
        np.flatnonzero(scaled.fits), scaled.coefficients, scaled.target, available.copy(), _FAR,
        near, last[rows], *tables, sums, subsets, looked,
    )  # fmt: skip
    kept = subsets >= 0
    # one correctly rounded subtraction of exact numbers, where the sum is a float
    with np.errstate(over="ignore"):
        reached = np.ldexp(sums.astype(np.float64), scaled.exponent[:, None] - 2)
        errors = np.where(kept, np.abs(part.targets[:, None] - reached), np.inf)
    for b in np.flatnonzero(~scaled.fits):
        _wide_row(part, int(b), available[b : b + 1], last[rows][b : b + 1], subsets, looked, half)
    doubtful = ~scaled.fits[:, None] | (np.abs(sums) >= 2**55) | ~np.isfinite(errors)
    doubtful &= subsets >= 0
    doubtful[:, 0] = False
    found.errors[rows, 1:] = errors[:, 1:]
    for b, size in zip(*np.nonzero(doubtful), strict=True):
        sizes = np.full(1, size)
        row = Fronts(errors[b : b + 1], subsets[b : b + 1], looked, kept)
        mask = row.mask(part.part(b, b + 1), sizes)[0]
        found.errors[rows.start + b, size] = proven_bound(part, int(b), mask)


def _tables(scratch: threading.local, half: int) -> tuple[Any, Any, Any]:
    """Return this thread's tables, kept from chunk to chunk."""
    entries = 2**half + half + 1
    if getattr(scratch, "entries", 0) < entries:
        scratch.entries = entries
        scratch.tables = (
            np.empty((4, entries), np.int64),
            np.empty((4, entries), np.int64),
            np.zeros((4, half + 2), np.uint64),
        )
    tables: tuple[Any, Any, Any] = scratch.tables
    return tables


def _wide_row(
    part: SubsetSum,
    b: int,
    available: BoolArray,
    last: IntArray,
    subsets: IntArray,
    looked: IntArray,
    half: int,
) -> None:
    """Solve a row that 64 bits cannot hold by the same code in Python's integers."""
    coefficients, target, _, _ = as_objects(scale_row(part, b))
    entries = 2**half + half + 1
    far = 8 * (sum(map(abs, coefficients[0])) + abs(target[0]) + 1)
    front_rows.py_func(  # type: ignore[attr-defined]
        np.zeros(1, np.int64), coefficients, target, available, far, np.zeros(1, np.int64), last,
        np.empty((4, entries), object), np.empty((4, entries), np.int64),
        np.zeros((4, half + 2), np.uint64), np.zeros((1, subsets.shape[1]), object),
        subsets[b : b + 1], looked[b : b + 1],
    )  # fmt: skip
