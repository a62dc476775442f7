"""How many subsets come within a tolerance, by meet-in-the-middle.

Two sorted tables as in `solvers.exact.closest`; while one is walked upwards, the range of the other
that adds up to what is wanted moves downwards, and its length is added. Sums, targets and the
tolerance are compared in integers, so a sum at a distance of exactly the tolerance is counted.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from instances.arrays import IntArray
from instances.compiled import compilable, compiled
from instances.objectives import Closest, FixedSize
from instances.subset_sum import SubsetSum
from solvers.cores import num_cores
from solvers.exact.candidates import gather, same_candidates
from solvers.exact.scaling import as_objects, scale, scale_row

MAX_CANDIDATES = 48

_MAX_IN_TABLES = 44  # those beyond are tried in all ways
_FAR = 1 << 62  # sums and targets are below 2**60


def count_solutions(instance: SubsetSum, tolerance: float) -> IntArray:
    """Count the subsets of each row whose sum is within `tolerance` of its target, exactly.

    Parameters
    ----------
    instance
        Rows of up to 48 available candidates; every subset of these counts, also where another one
        has the same sum.
    tolerance
        In units of the targets; takes the place of the instance's own.

    Returns
    -------
    IntArray
        Shape (b,).

    Raises
    ------
    ValueError
        When a row has too many candidates, the tolerance is negative or not finite, or the
        objective is for subsets of one size.

    Examples
    --------
    >>> count_solutions(SubsetSum([[0.5, 0.25, 0.25]], [0.5]), 0.25).tolist()
    [6]
    """
    if isinstance(instance.objective, FixedSize):
        raise ValueError("subsets of every size are counted: give the objective closest")
    if int(instance.num_available().max()) > MAX_CANDIDATES:
        raise ValueError(f"give rows of at most {MAX_CANDIDATES} available candidates")
    asked = SubsetSum(
        instance.coefficients, instance.targets, Closest(tolerance), instance.available
    )
    scaled = scale(asked)
    available = np.ones(asked.coefficients.shape, np.bool_)
    if asked.available is not None:
        available = asked.available.copy()  # so that the kernel is compiled for one layout alone
    count = np.zeros(len(asked), np.int64)
    rows = np.flatnonzero(scaled.fits)
    numbers = scaled.coefficients, scaled.low, scaled.high
    with ThreadPoolExecutor(num_cores()) as pool:
        parts = np.array_split(rows, 4 * num_cores())
        list(pool.map(lambda part: _count_rows(part, *numbers, available, _FAR, count), parts))
    in_python: Any = _count_rows
    for r in np.flatnonzero(~scaled.fits):  # by the same code in Python's integers
        row = slice(r, r + 1)
        coefficients, _, low, high = as_objects(scale_row(asked, int(r)))
        far = 8 * (sum(map(abs, coefficients[0])) + 1)
        in_python.py_func(
            np.zeros(1, np.int64), coefficients, low, high, available[row], far, count[row]
        )
    return count


@compiled
def _count_rows(rows, coefficients, low, high, available, far, count):  # type: ignore[no-untyped-def]
    """Write to `count` how many sums of each of `rows` lie from `low` to `high`.

    `far` is larger than any sum, also with a coefficient added.
    """
    n = available.shape[1]
    chosen = np.empty(n, np.int64)
    values = np.empty(n, coefficients.dtype)
    most = 1 << (min(n, _MAX_IN_TABLES) + 1) // 2
    lower = np.empty(most + 1, coefficients.dtype)
    upper = np.empty(most + 1, coefficients.dtype)
    spare = np.empty(most + 1, coefficients.dtype)
    previous = -1
    m = inner = num_lower = num_upper = 0
    for r in rows:
        if previous < 0 or not same_candidates(coefficients, available, r, previous):
            m = gather(coefficients, available, r, chosen, values)
            inner = min(m, _MAX_IN_TABLES)
            num_lower = _sorted_sums(values, 0, inner // 2, lower, spare, far)
            num_upper = _sorted_sums(values, inner // 2, inner, upper, spare, far)
            previous = r
        found = 0
        for c in range(1 << (m - inner)):
            least, largest = low[r], high[r]
            for k in range(m - inner):
                if (c >> k) & 1 == 1:
                    least, largest = least - values[inner + k], largest - values[inner + k]
            start = stop = num_upper
            for i in range(num_lower):
                while start > 0 and upper[start - 1] >= least - lower[i]:
                    start -= 1
                while stop > 0 and upper[stop - 1] > largest - lower[i]:
                    stop -= 1
                found += stop - start
        count[r] = found


@compilable
def _sorted_sums(values, first, last, table, spare, far):  # type: ignore[no-untyped-def]
    """Write the sorted sums of all subsets, `far` behind them, and return how many they are."""
    now, other = (table, spare) if (last - first) % 2 == 0 else (spare, table)
    now[0], now[1] = 0, far
    size = 1
    for k in range(first, last):
        i = 0
        for p in range(2 * size):  # merged with itself plus a value; the least moves an index
            x, y = now[i], now[p - i] + values[k]
            other[p] = min(x, y)
            i += x <= y
        size *= 2
        other[size] = far
        now, other = other, now
    return size
