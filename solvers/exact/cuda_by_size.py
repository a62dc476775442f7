"""Meet-in-the-middle for the objectives that count, on a CUDA device: one block of threads per row.

All subsets of up to three candidates are tried first, which answers nearly all sparsest rows. Then
the sums of one half of the candidates are sorted in shared memory, those of each number kept by
themselves, and every subset of the others looks up what goes best with it.
"""

from typing import Any

import numpy as np
from numba import cuda, int64, uint16

from instances.compiled import compilable
from solvers.exact.by_size import extremes
from solvers.exact.cuda_compiled import kernel
from solvers.exact.cuda_scaling import (
    ELSEWHERE,
    HIGH,
    LOW,
    PROVEN,
    STATUS,
    SUBSET,
    TARGET,
    TOTAL,
    USABLE,
)
from solvers.exact.cuda_subsets import among_columns, first_at_least, step_to, sum_of
from solvers.exact.small_subsets import MAX_SIZE

MAX_IN_TABLE = 11
"""Candidates whose subsets are sorted, in 31 KB; those of all others look something up."""

# indices are unsigned: see `solvers.exact.cuda_closest`
_U = np.uint64
_0, _1, _2, _4 = _U(0), _U(1), _U(2), _U(4)
_SIZES = _U(16)
_STARTS = _U(64)  # there are fewer candidates
_SUMS = _STARTS + _2 * _SIZES
_PAIR_BITS = 5  # of the second of a pair of candidates
_FAR = 1 << 62  # sums and targets are below 2**60
_NONE = 1 << 40  # beyond all masks


def num_in_table(num_candidates: int) -> int:
    """Return how many of a row's candidates are in the table."""
    return min((num_candidates + 1) // 2, MAX_IN_TABLE)


def shared_bytes(num_candidates: int, threads: int) -> int:
    """Return what a block needs for rows of at most so many available candidates."""
    entries = 1 << num_in_table(num_candidates)
    words = int(_SUMS) + entries + max(entries // 2, 2 * threads)
    return 8 * words + 2 * (entries + max(entries // 2, 1))


@kernel
def rows_by_size(numbers, given, fixed_size, found):  # type: ignore[no-untyped-def]
    """Solve rows for the fewest kept within the tolerance, or for a fixed number.

    A block of threads, a power of two of them, solves the row of its number.

    Parameters
    ----------
    numbers, given, found
        As `solvers.exact.cuda_scaling.scale_rows` leaves them. ``STATUS``, ``SUBSET``, as bits, and
        ``TOTAL``, its sum, are written where a row fits.
    fixed_size
        How many to keep; −1: as few as possible.
    """
    r = cuda.blockIdx.x
    if found[STATUS, r] == ELSEWHERE:
        return
    t, threads = _U(cuda.threadIdx.x), _U(cuda.blockDim.x)
    target, low, high, usable = found[TARGET, r], found[LOW, r], found[HIGH, r], given[USABLE, r]
    room = cuda.shared.array(0, int64)  # the candidates, where sizes start, two tables
    masks = cuda.shared.array(0, uint16)  # the same room; the tables' masks are behind them
    k = np.int64(t)
    while k < numbers.shape[1]:
        if usable >> k & 1 == 1:
            room[_U(cuda.popc(usable & (1 << k) - 1))] = numbers[r, k]
        k += np.int64(threads)
    m: Any = np.int64(cuda.popc(usable))
    half: Any = min((m + 1) // 2, MAX_IN_TABLE)
    entries = _1 << _U(half)
    spare = _SUMS + entries
    behind = _4 * (spare + max(entries >> _1, _2 * threads))
    cuda.syncthreads()

    distance, answer = abs(target), 0
    kept, last = 1, m
    met = fixed_size < 0 and low <= 0 <= high
    if fixed_size > 0:
        distance, answer, kept = _FAR, _NONE, fixed_size
    if fixed_size >= 0:
        last = fixed_size
    while kept <= last and kept <= MAX_SIZE and not met:
        distance, answer = _closest_of_size(room, m, kept, target, t, threads, distance, answer)
        distance, answer = _first_of_all(room, spare, t, threads, distance, answer)
        met = fixed_size < 0 and low <= sum_of(room, 0, answer) <= high
        kept += 1
    if fixed_size < 0 and kept <= last and not met:
        # the largest and the smallest sum: beyond them nothing need be searched
        above, all_above, below, all_below = extremes(room, m)
        if above < low:
            answer, kept = all_above, last + 1
        elif below > high:
            answer, kept = all_below, last + 1
    starts = _STARTS
    if kept <= last and kept <= m and not met:
        starts = _table(room, masks, half, spare, behind, behind + entries, t, threads)
    while kept <= last and kept <= m and not met:
        distance, answer = _closest_pair(
            room, masks, behind, half, 1 << m - half, starts, kept, target, t, threads,
            distance, answer,
        )  # fmt: skip
        distance, answer = _first_of_all(room, spare, t, threads, distance, answer)
        met = fixed_size < 0 and low <= sum_of(room, 0, answer) <= high
        kept += 1
    if t == _0:
        if answer == _NONE:
            answer = 0
        found[TOTAL, r] = sum_of(room, 0, answer)
        found[SUBSET, r] = among_columns(answer, usable)
        if met or (fixed_size >= 0 and distance < _FAR):
            found[STATUS, r] = PROVEN


@compilable
def _closest_of_size(  # type: ignore[no-untyped-def]
    room, m, size, target, t, threads, distance, answer
):
    """Try each of so many subsets of one to three candidates; of equal ones the first is best."""
    e = np.int64(t)
    while e < m << _PAIR_BITS:
        i, j = e >> _PAIR_BITS, e & (1 << _PAIR_BITS) - 1
        if size == 1 and j == 0:
            distance, answer = _better(distance, answer, abs(target - room[_U(i)]), 1 << i)
        elif size > 1 and j < i:
            pair, rest = 1 << i | 1 << j, target - room[_U(i)] - room[_U(j)]
            if size == 2:
                distance, answer = _better(distance, answer, abs(rest), pair)
            else:
                for k in range(j):
                    away = abs(rest - room[_U(k)])
                    distance, answer = _better(distance, answer, away, pair | 1 << k)
        e += np.int64(threads)
    return distance, answer


@compilable
def _better(distance, answer, away, subset):  # type: ignore[no-untyped-def]
    if away < distance or (away == distance and subset < answer):
        distance, answer = away, subset
    return distance, answer


@compilable
def _table(room, masks, num, spare, masks_at, spare_masks_at, t, threads):  # type: ignore[no-untyped-def]
    """Sort the sums of all subsets of `num` values by size, sum and mask.

    Returns where it is told where those of each size start.
    """
    now, other, now_masks, other_masks = _SUMS, spare, masks_at, spare_masks_at
    if num % 2 == 1:
        now, other, now_masks, other_masks = spare, _SUMS, spare_masks_at, masks_at
    starts, other_starts = _STARTS, _STARTS + _SIZES
    cuda.syncthreads()  # others may still read what the spare room was used for before
    c = t
    while c < _SIZES:
        room[starts + c] = 1 if c > _0 else 0
        c += threads
    if t == _0:
        room[now] = 0
        masks[now_masks] = 0
    size = _1
    for k in range(num):
        cuda.syncthreads()
        c = e = t
        while c < _SIZES:
            before = room[starts + c - _1] if c > _0 else 0
            room[other_starts + c] = room[starts + c] + before
            c += threads
        while e < size:
            _insert(room, masks, now, now_masks, starts, e, room[_U(k)], k, other, other_masks)
            e += threads
        now, other = other, now
        now_masks, other_masks = other_masks, now_masks
        starts, other_starts = other_starts, starts
        size = size << _1
    cuda.syncthreads()
    return starts


@compilable
def _insert(room, masks, sums, masks_at, starts, e, value, k, out, masks_out):  # type: ignore[no-untyped-def]
    """Put entry `e` where it belongs when candidate `k` comes, without and with it."""
    x, mask = room[sums + e], np.int64(masks[masks_at + e])
    c = starts + _U(cuda.popc(mask))
    begin, end, next_end = _U(room[c]), _U(room[c + _1]), _U(room[c + _2])
    previous = _U(room[c - _1]) if c > starts else _0
    # of equal sums those without come first: their masks are smaller
    less = first_at_least(room, sums + previous, sums + begin, x - value) - sums
    room[out + e + less] = x
    masks[masks_out + e + less] = mask
    not_more = first_at_least(room, sums + end, sums + next_end, x + value + 1) - sums
    room[out + e + not_more] = x + value
    masks[masks_out + e + not_more] = mask | 1 << k


@compilable
def _closest_pair(  # type: ignore[no-untyped-def]
    room, masks, masks_at, half, num_outer, starts, kept, target, t, threads, distance, answer
):
    """Try each of so many subsets of the candidates that are not in the table."""
    bits = np.int64(cuda.popc(threads - _1))
    outer, number = np.int64(t), 0
    y = sum_of(room, half, outer)
    while outer < num_outer:
        inside = kept - np.int64(cuda.popc(outer))
        if 0 <= inside <= half:
            wanted = target - y
            begin = _SUMS + _U(room[starts + _U(inside)])
            end = _SUMS + _U(room[starts + _U(inside + 1)])
            place = first_at_least(room, begin, end, wanted)
            if place < end and room[place] - wanted <= distance:
                subset = np.int64(masks[masks_at + place - _SUMS]) | outer << half
                distance, answer = _better(distance, answer, room[place] - wanted, subset)
            if place > begin and wanted - room[place - _1] <= distance:
                below = room[place - _1]
                place = first_at_least(room, begin, place, below)
                subset = np.int64(masks[masks_at + place - _SUMS]) | outer << half
                distance, answer = _better(distance, answer, wanted - below, subset)
        outer += np.int64(threads)
        number += 1
        if outer < num_outer:
            y += step_to(room, half + bits, number)
    return distance, answer


@compilable
def _first_of_all(room, at, t, threads, distance, answer):  # type: ignore[no-untyped-def]
    """Return the best that any thread has found."""
    cuda.syncthreads()
    step = threads
    while step > _0:
        if t < step:
            room[at + t], room[at + threads + t] = distance, answer
        step = step >> _1
        cuda.syncthreads()
        if t < step:
            u = at + t + step
            distance, answer = _better(distance, answer, room[u], room[u + threads])
    return room[at], room[at + threads]
