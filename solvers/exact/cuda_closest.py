"""Meet-in-the-middle for the closest sum on a CUDA device: one block of threads per row.

The way of `solvers.exact.closest`, its pieces side by side: a table is doubled, and two tables are
walked through, in as many pieces as there are threads, each found by bisection. The tables, one for
each half of the candidates, stay in shared memory and hold no masks; of all subsets that come
equally close the smallest is found by adding up the subsets of a half in the order of their masks.
"""

from typing import Any

import numpy as np
from numba import cuda, int64

from instances.compiled import compilable
from solvers.exact.cuda_compiled import kernel
from solvers.exact.cuda_scaling import ELSEWHERE, PROVEN, STATUS, SUBSET, TARGET, TOTAL, USABLE
from solvers.exact.cuda_subsets import among_columns, first_at_least, step_to, sum_of

MAX_IN_TABLES = 22
"""Candidates whose half tables are built, in 41 KB: every device has 48. All ways are tried for
those beyond."""

# indices are unsigned, or each would be tested for being negative; and they are never mixed with
# signed numbers, which would make floats of both
_U = np.uint64
_0, _1, _2, _3 = _U(0), _U(1), _U(2), _U(3)
_COLUMNS = _U(64)
_FAR = 1 << 62  # sums and targets are below 2**60
_NONE = 1 << 40  # beyond all masks


def shared_bytes(num_candidates: int, threads: int) -> int:
    """Return what a block needs for rows of at most so many available candidates."""
    inner = min(num_candidates, MAX_IN_TABLES)
    lower, upper = 1 << inner // 2, 1 << inner - inner // 2
    return 8 * (int(_COLUMNS) + lower + upper + 2 + max(upper // 2, 4 * threads))


@kernel
def closest_rows(numbers, given, found):  # type: ignore[no-untyped-def]
    """Find the subset of each row whose sum is closest to its target.

    A block of threads, a power of two of them, solves the row of its number.

    Parameters
    ----------
    numbers, given, found
        As `solvers.exact.cuda_scaling.scale_rows` leaves them. ``STATUS``, ``SUBSET``, as bits, and
        ``TOTAL``, its sum, are written where a row fits.
    """
    r = cuda.blockIdx.x
    if found[STATUS, r] == ELSEWHERE:
        return
    t, threads = _U(cuda.threadIdx.x), _U(cuda.blockDim.x)
    target, usable = found[TARGET, r], given[USABLE, r]
    room = cuda.shared.array(0, int64)  # the candidates, two tables and the rest
    k = np.int64(t)
    while k < numbers.shape[1]:
        if usable >> k & 1 == 1:
            room[_U(cuda.popc(usable & (1 << k) - 1))] = numbers[r, k]
        k += np.int64(threads)
    m: Any = np.int64(cuda.popc(usable))
    inner: Any = min(m, MAX_IN_TABLES)
    half = inner // 2
    num_lower, num_upper = _1 << _U(half), _1 << _U(inner - half)
    lower = _COLUMNS
    upper = lower + num_lower + _1
    spare = upper + num_upper + _1
    cuda.syncthreads()
    _table(room, 0, half, lower, spare, t, threads)
    _table(room, half, inner, upper, spare, t, threads)

    # the target minus the sums of the upper half is its table plus a constant
    shift = target - room[upper] - room[upper + num_upper - _1]
    num = num_lower + num_upper
    q = _share(num, threads)
    p = min(t * q, num)
    best, outer, first, last = _FAR, 0, _FAR, _FAR
    for c in range(1 << m - inner):
        if c > 0:
            shift -= step_to(room, inner, c)
        best, outer, first, last = _walk(
            room, lower, num_lower, upper, num_upper, shift, p, min(p + q, num), c,
            best, outer, first, last,
        )  # fmt: skip
    best, outer, first, last = _closest_of_all(room, spare, t, threads, best, outer, first, last)

    goal = target - sum_of(room, inner, outer)
    high = _first_subset(
        room, half, num_upper, goal - last, goal - first, lower, num_lower, goal, best, t, threads
    )
    high = _least_of_all(room, spare, t, threads, high)
    goal -= sum_of(room, half, high)
    low = _first_subset(
        room, 0, num_lower, goal - best, goal + best, lower, _0, goal, best, t, threads
    )
    low = _least_of_all(room, spare, t, threads, low)
    if t == _0:
        found[TOTAL, r] = target - goal + sum_of(room, 0, low)
        found[SUBSET, r] = among_columns(low | high << half | outer << inner, usable)
        found[STATUS, r] = PROVEN


@compilable
def _share(num, threads):  # type: ignore[no-untyped-def]
    """Return how many of `num` each thread takes; a division would cost more."""
    return (num + threads - _1) >> _U(cuda.popc(threads - _1))


@compilable
def _table(room, start, stop, table, spare, t, threads):  # type: ignore[no-untyped-def]
    """Write the sorted sums of all subsets, and `_FAR` behind them."""
    now, other = (table, spare) if (stop - start) % 2 == 0 else (spare, table)
    if t == _0:
        room[now] = 0
    size = _1
    for k in range(start, stop):
        cuda.syncthreads()
        _double(room, now, size, room[_U(k)], other, t, threads)
        now, other = other, now
        size = size * _2
    if t == _0:
        room[table + size] = _FAR
    cuda.syncthreads()


@compilable
def _double(room, table, size, shift, out, t, threads):  # type: ignore[no-untyped-def]
    """Merge a table with itself plus `shift`: the lower half by comparisons, the upper mirrored."""
    q = _share(size, threads)
    p = t * q
    if p < size:
        total = room[table] + room[table + size - _1] + shift
        mirror = out + size + size - _1
        i = _bisect(room, table, size, table, size, shift, p)
        for place in range(p, p + q):
            x, y = room[table + i], room[table + _U(place) - i] + shift
            room[out + _U(place)] = min(x, y)
            room[mirror - _U(place)] = total - min(x, y)
            i += _U(x <= y)


@compilable
def _walk(  # type: ignore[no-untyped-def]
    room, a, num_a, b, num_b, shift, p, end, c, best, outer, first, last
):
    """Merge a piece of table `a` and of `b`, plus `shift`, to find their closest entries.

    Of any two that are closest, one is compared with the other on the way.

    Returns
    -------
    distance, outer, first, last
        The least distance so far, the first `c` that had it, and the range of the entries of `b`
        plus `shift` where it was seen.
    """
    if p < end:
        i = _bisect(room, a, num_a, b, num_b, shift, p)
        for place in range(p, end):
            x, y = room[a + i], room[b + _U(place) - i] + shift
            away = abs(y - x)
            if away < best:
                best, outer, first, last = away, c, y, y
            elif away == best and outer == c:
                first, last = min(first, y), max(last, y)
            i += _U(x <= y)
    return best, outer, first, last


@compilable
def _bisect(room, a, num_a, b, num_b, shift, p):  # type: ignore[no-untyped-def]
    """Return how many of the first p entries of the merge of `a` and `b` + `shift` are of `a`."""
    low = p - num_b if p > num_b else _0
    high = min(p, num_a)
    while low < high:
        i = (low + high) >> _1
        if room[a + i] <= room[b + p - i - _1] + shift:
            low = i + _1
        else:
            high = i
    return low


@compilable
def _first_subset(  # type: ignore[no-untyped-def]
    room, start, num, least, most, table, size, goal, best, t, threads
):
    """Return the first subset of every so many with a sum from `least` to `most`, or `_NONE`.

    It must also come as close to `goal` as `best` together with one of the `size` sums in `table`,
    unless there are none.
    """
    bits = np.int64(cuda.popc(threads - _1))
    subset, number = np.int64(t), 0
    y = sum_of(room, start, subset)
    while subset < np.int64(num):
        if least <= y <= most:
            x = goal - y
            if (
                size == _0
                or room[first_at_least(room, table, table + size, x - best)] == x - best
                or room[first_at_least(room, table, table + size, x + best)] == x + best
            ):
                return subset
        subset += np.int64(threads)
        number += 1
        if subset < np.int64(num):
            y += step_to(room, start + bits, number)
    return _NONE


@compilable
def _closest_of_all(room, at, t, threads, best, outer, first, last):  # type: ignore[no-untyped-def]
    """Return what `_walk` would, had one thread walked through all."""
    cuda.syncthreads()
    step = threads
    while step > _0:
        if t < step:
            room[at + t], room[at + threads + t] = best, outer
            room[at + _2 * threads + t], room[at + _3 * threads + t] = first, last
        step = step >> _1
        cuda.syncthreads()
        if t < step:
            u = at + t + step
            away, c = room[u], room[threads + u]
            near, distant = room[_2 * threads + u], room[_3 * threads + u]
            if away < best or (away == best and c < outer):
                best, outer, first, last = away, c, near, distant
            elif away == best and c == outer:
                first, last = min(first, near), max(last, distant)
    return room[at], room[at + threads], room[at + _2 * threads], room[at + _3 * threads]


@compilable
def _least_of_all(room, at, t, threads, value):  # type: ignore[no-untyped-def]
    cuda.syncthreads()
    step = threads
    while step > _0:
        if t < step:
            room[at + t] = value
        step = step >> _1
        cuda.syncthreads()
        if t < step:
            value = min(value, room[at + t + step])
    return room[at]
