"""Meet-in-the-middle for the closest sum: two sorted tables and one walk through both.

A merge of two sorted lists branches on the data, and a processor mispredicts half of the branches.
Here the comparison moves an index instead, and four pieces of one merge, found by bisection, go on
side by side, so that none waits for the other's loads. The sums of a set lie evenly about half its
total: only the lower half of a table is merged, the rest is the total minus it. For the same reason
the target minus the sums of one half of the candidates are its table plus a constant, and the walk
that finds the closest pair is one more merge.

The tables hold no masks. The walk remembers the distance and where in the upper table it occurs; a
row's half sums are then looked up among all sums of its halves in the order of their masks, so that
of all subsets that come equally close the smallest is found.
"""

import numpy as np

from instances.compiled import compilable, compiled
from solvers.exact.candidates import gather, same_candidates

MAX_IN_TABLES = 44
"""Candidates whose half tables are built, 32 MB each; those beyond are tried in all ways."""

# indices are unsigned throughout: signed ones would be tested for being negative at every access
_U = np.uint64
_0, _1, _2, _3, _4 = _U(0), _U(1), _U(2), _U(3), _U(4)
_FEW = _U(32)  # entries below which one merge alone is as fast as four pieces of it
_STRIP = _U(64)

_BLOCK_BITS = 12
BLOCK = 1 << _BLOCK_BITS
"""Sums that are looked up in one go: they stay in the nearest cache."""


@compiled
def closest_rows(  # type: ignore[no-untyped-def]
    rows, coefficients, target, available, far, lower, upper, spare, sums, mask
):
    """Find the subset of each of `rows` whose sum is closest to its target, and write its mask.

    Rows that follow each other and share their candidates share the tables.

    Parameters
    ----------
    rows
        Which rows to solve.
    coefficients, available, mask
        Shape (b, n): integers, bool, and bool to be written.
    target
        Shape (b,).
    far
        Larger than any difference between a sum and a target, and twice that still in range.
    lower, upper, spare
        Scratch for 2^h + 1, 2^h + 1 and 2^h sums, h being half the largest number of candidates
        in tables, rounded up.
    sums
        Scratch of shape (2, `BLOCK`), or less where no half has as many subsets.
    """
    n = available.shape[1]
    chosen = np.empty(n, np.int64)
    values = np.empty(n, coefficients.dtype)
    previous = -1
    m = half = inner = 0
    num_lower = num_upper = _1
    for r in rows:
        if previous < 0 or not same_candidates(coefficients, available, r, previous):
            m = gather(coefficients, available, r, chosen, values)
            inner = min(m, MAX_IN_TABLES)
            half = inner // 2
            num_lower = _table(values, 0, half, lower, spare, far)
            num_upper = _table(values, half, inner, upper, spare, far)
            _all_sums(values, 0, half, sums[0])
            _all_sums(values, half, inner, sums[1])
            previous = r
        total = upper[_0] + upper[num_upper - _1]
        best, first, last, outer = far, far, far, 0
        for c in range(1 << (m - inner)):
            goal = target[r] - _sum_of(values, inner, c)
            away, near, distant = _walk(lower, num_lower, upper, num_upper, goal - total)
            if away < best:
                best, outer = away, c
                first, last = goal - distant, goal - near
        goal = target[r] - _sum_of(values, inner, outer)
        high, y = _first_subset(values, half, inner, sums[1], 0, first, last)
        while first < last and not (
            _contains(lower, num_lower, goal - y - best)
            or _contains(lower, num_lower, goal - y + best)
        ):
            high, y = _first_subset(values, half, inner, sums[1], high + 1, first, last)
        low, x = _first_subset(values, 0, half, sums[0], 0, goal - y - best, goal - y + best)
        while abs(goal - y - x) != best:
            low, x = _first_subset(
                values, 0, half, sums[0], low + 1, goal - y - best, goal - y + best
            )
        for k in range(m):
            if k < half:
                bit = low >> k
            elif k < inner:
                bit = high >> (k - half)
            else:
                bit = outer >> (k - inner)
            mask[r, chosen[k]] = bit & 1 == 1


@compilable
def _table(values, start, stop, table, spare, far):  # type: ignore[no-untyped-def]
    """Write the sorted sums of all subsets, `far` behind them, and return how many they are."""
    now, other = (table, spare) if (stop - start) % 2 == 0 else (spare, table)
    now[_0] = 0
    size = _1
    for k in range(start, stop):
        _double(now, size, values[k], other)
        now, other = other, now
        size = size * _2
    table[size] = far
    return size


@compilable
def _double(table, size, shift, out):  # type: ignore[no-untyped-def]
    """Merge a table with itself plus `shift`: the lower half by comparisons, the upper mirrored."""
    i = _0
    if size < _FEW:
        for p in range(_0, size):
            out[p], i = _lesser(table, table, shift, p, i)
    else:
        q = size // _4
        i2 = _bisect(table, size, table, size, shift, q)
        i3 = _bisect(table, size, table, size, shift, _2 * q)
        i4 = _bisect(table, size, table, size, shift, _3 * q)
        for p in range(_0, q):
            out[p], i = _lesser(table, table, shift, p, i)
            out[p + q], i2 = _lesser(table, table, shift, p + q, i2)
            out[p + _2 * q], i3 = _lesser(table, table, shift, p + _2 * q, i3)
            out[p + _3 * q], i4 = _lesser(table, table, shift, p + _3 * q, i4)
    total = table[_0] + table[size - _1] + shift
    for p in range(_0, size):
        out[size + size - _1 - p] = total - out[p]


@compilable
def _lesser(a, b, shift, p, i):  # type: ignore[no-untyped-def]
    """Entry p of the merge of `a` and `b + shift`, before which i entries of `a` come; and next."""
    x, y = a[i], b[p - i] + shift
    return min(x, y), i + _U(x <= y)


@compilable
def _walk(a, num_a, b, num_b, shift):  # type: ignore[no-untyped-def]
    """Merge `a` and `b + shift` to find their closest entries.

    Of any two that are closest, one is compared with the other on the way.

    Returns
    -------
    distance, first, last
        The least distance, and the range of the entries of `b + shift` where it was seen.
    """
    num = num_a + num_b
    i = _0
    # the first comparison is between two sums: a list's end is compared with nothing closer
    best = abs(a[_0] - (b[_0] + shift))
    first, last = b[_0] + shift, b[_0] + shift
    if num_a < _4 or num_b < _4:
        for p in range(_0, num):
            i, best, first, last = _step(a, b, shift, p, i, best, first, last)
    else:
        q = num // _4
        i2 = _bisect(a, num_a, b, num_b, shift, q)
        i3 = _bisect(a, num_a, b, num_b, shift, _2 * q)
        i4 = _bisect(a, num_a, b, num_b, shift, _3 * q)
        for p in range(_0, q):
            i, best, first, last = _step(a, b, shift, p, i, best, first, last)
            i2, best, first, last = _step(a, b, shift, p + q, i2, best, first, last)
            i3, best, first, last = _step(a, b, shift, p + _2 * q, i3, best, first, last)
            i4, best, first, last = _step(a, b, shift, p + _3 * q, i4, best, first, last)
    return best, first, last


@compilable
def _step(a, b, shift, p, i, best, first, last):  # type: ignore[no-untyped-def]
    x, y = a[i], b[p - i] + shift
    away = abs(y - x)
    if away <= best:  # seldom: the branch is predicted
        first = y if away < best else min(first, y)
        last = y if away < best else max(last, y)
        best = away
    return i + _U(x <= y), best, first, last


@compilable
def _bisect(a, num_a, b, num_b, shift, p):  # type: ignore[no-untyped-def]
    """Return how many of the first p entries of the merge of `a` and `b + shift` are of `a`."""
    low = p - num_b if p > num_b else _0
    high = min(p, num_a)
    while low < high:
        i = (low + high) // _2
        if a[i] <= b[p - i - _1] + shift:
            low = i + _1
        else:
            high = i
    return low


@compilable
def _contains(table, size, value):  # type: ignore[no-untyped-def]
    low, high = _0, size
    while low < high:
        i = (low + high) // _2
        if table[i] < value:
            low = i + _1
        else:
            high = i
    return low < size and table[low] == value


@compilable
def _sum_of(values, start, subset):  # type: ignore[no-untyped-def]
    total = 0
    k = start
    while subset > 0:
        if subset & 1 == 1:
            total = total + values[k]
        subset >>= 1
        k += 1
    return total


@compilable
def _all_sums(values, start, stop, sums):  # type: ignore[no-untyped-def]
    """Write the sums of all subsets of the first 12 values at most, in the order of their masks."""
    sums[_0] = 0
    size = _1
    for k in range(start, min(stop, start + _BLOCK_BITS)):
        for i in range(_0, size):
            sums[size + i] = sums[i] + values[k]
        size = size * _2


@compilable
def _first_subset(values, start, stop, sums, begin, low, high):  # type: ignore[no-untyped-def]
    """Return the first subset from `begin` on with a sum from `low` to `high`, and that sum.

    There must be one. `sums` are those of `_all_sums`.
    """
    bits = min(stop - start, _BLOCK_BITS)
    size = _U(1 << bits)
    block = begin >> bits
    place = _U(begin - (block << bits))
    while True:
        base = _sum_of(values, start + bits, block)
        least, most = low - base, high - base
        while place < size:  # whole strips first, which needs no branch for each sum
            end = min(place + _STRIP, size)
            hits = 0
            for i in range(place, end):
                hits += (sums[i] >= least) & (sums[i] <= most)
            if hits > 0:
                while not least <= sums[place] <= most:
                    place += _1
                return (block << bits) + np.int64(place), sums[place] + base
            place = end
        place = _0
        block += 1
