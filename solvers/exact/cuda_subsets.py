"""Subsets on a CUDA device, as bits of numbers: their sums, and the columns they stand for."""

import numpy as np

from instances.compiled import compilable

_U = np.uint64  # indices are unsigned, or each would be tested for being negative


@compilable
def sum_of(values, start, subset):  # type: ignore[no-untyped-def]
    """Return the sum of a subset of the values from `start` on."""
    total, k = 0, _U(start)
    while subset > 0:
        if subset & 1 == 1:
            total += values[k]
        k += _U(1)
        subset >>= 1
    return total


@compilable
def step_to(values, start, subset):  # type: ignore[no-untyped-def]
    """Return by what the sum of a subset exceeds that of the number before it."""
    change, k = 0, _U(start)
    while subset & 1 == 0:
        change -= values[k]
        k += _U(1)
        subset >>= 1
    return change + values[k]


@compilable
def among_columns(subset, usable):  # type: ignore[no-untyped-def]
    """Spread the bits of a subset of the usable candidates over their columns."""
    spread, k = 0, 0
    while subset > 0:
        if usable >> k & 1 == 1:
            spread |= (subset & 1) << k
            subset >>= 1
        k += 1
    return spread


@compilable
def first_at_least(table, begin, end, value):  # type: ignore[no-untyped-def]
    """Return the place of the first entry from `begin` to `end` that is not less; or the end."""
    while begin < end:
        i = (begin + end) >> _U(1)
        if table[i] < value:
            begin = i + _U(1)
        else:
            end = i
    return begin
