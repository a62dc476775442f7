"""Meet-in-the-middle for the closest sum, sixteen rows side by side.

A merge of two sorted lists branches on the data, and a processor mispredicts half of the branches.
Here lists are merged by Batcher's bitonic network instead (AFIPS 1968), whose comparisons stand
fixed: entry i of all sixteen rows lies in neighbouring words, and one vector instruction compares
eight of them. The closest pair of two half tables is found the same way: the sums of one half, and
the target minus those of the other, are merged, each with its origin in the lowest bit; the answer
lies between two neighbours of different origin.

The tables hold no masks. A row's two half sums are looked up again among all sums of its halves,
which finds the smallest mask of each. Where more than one pair comes equally close, the row is left
to the other kernel, which knows how to choose.
"""

import numpy as np

from instances.arrays import BoolArray, IntArray
from instances.compiled import compilable, compiled

MIN_CANDIDATES, MAX_CANDIDATES = 8, 26
"""Where this pays: tables of both halves and the merge of them stay within a few MB."""

LANES = 16
_FEWEST_ROWS = 4  # sixteen lanes cost what four rows cost one by one
_PLACE_BITS = 15
_FAR = 1 << 47  # closest pairs further apart than this, in quarters, are left to the other kernel

# indices are unsigned throughout: signed ones would be tested for being negative at every access
_U = np.uint64
_L, _0, _1, _2, _3, _4 = _U(LANES), _U(0), _U(1), _U(2), _U(3), _U(4)
_BLOCK, _TILE = _U(64), _U(256)  # entries; measured


def solve_in_lanes(
    coefficients: IntArray, target: IntArray, available: BoolArray, rows: IntArray, mask: BoolArray
) -> BoolArray:
    """Solve those of `rows` that this kernel can take, and write their masks into `mask`.

    Parameters
    ----------
    coefficients, available, mask
        Shape (b, n).
    target
        Shape (b,).
    rows
        Which rows may be solved.

    Returns
    -------
    BoolArray
        Shape (b,): which rows were.
    """
    solved = np.zeros(len(target), np.bool_)
    counts = available[rows].sum(axis=1)
    for n in np.unique(counts):
        group = rows[counts == n]
        if not (MIN_CANDIDATES <= n <= MAX_CANDIDATES and len(group) >= _FEWEST_ROWS):
            continue
        chosen = np.argsort(~available[group], axis=1, kind="stable")[:, :n]
        numbers = np.take_along_axis(coefficients[group], chosen, axis=1)
        subset, unique = closest_in_lanes(numbers, target[group])
        kept = (subset[unique, None] >> np.arange(n)) & 1 == 1
        mask[group[unique, None], chosen[unique]] = kept
        solved[group[unique]] = True
    return solved


def closest_in_lanes(coefficients: IntArray, target: IntArray) -> tuple[IntArray, BoolArray]:
    """Find the subset of each row whose sum is closest to its target.

    Parameters
    ----------
    coefficients
        Shape (rows, n), n from 8 to 26; all sums below 2⁶⁰.
    target
        Shape (rows,).

    Returns
    -------
    subset
        Shape (rows,): bit k is set where candidate k is kept.
    unique
        Shape (rows,): whether no other pair of half sums comes equally close; where one does,
        `subset` need not be the smallest.
    """
    num_rows, n = coefficients.shape
    whole = -(-num_rows // LANES) * LANES
    padded = np.concatenate([np.arange(num_rows), np.full(whole - num_rows, num_rows - 1)])
    subset = np.empty(whole, np.int64)
    unique = np.empty(whole, np.bool_)
    size = 1 << n // 2
    sizes = (size, size, size, 2 * size, 2 * size)
    scratch = [np.empty(entries * LANES, np.int64) for entries in sizes]
    _solve(coefficients[padded], target[padded], subset, unique, *scratch)
    return subset[:num_rows], unique[:num_rows]


@compiled
def _solve(coefficients, target, subset, unique, lower, upper, least, merged, keys):  # type: ignore[no-untyped-def]
    num_rows, n = coefficients.shape
    half = n // 2
    size = _1 << _U(half)
    lane = np.empty((n + 1, LANES), np.int64)  # the rows of a group, transposed
    aim, wide = np.empty(LANES, np.int64), np.empty(LANES * 64, np.int64)
    best, where = np.empty((2, LANES), np.int64), np.empty((2, LANES), np.int64)
    pairs, tied = np.empty((2, 2, LANES), np.int64), np.empty((2, LANES), np.bool_)
    sums = np.empty(1 << (n - half), np.int64)
    for first in range(0, num_rows, LANES):
        for k in range(n):
            for r in range(LANES):
                lane[k, r] = coefficients[first + r, k]
        _build(lane, 0, half, lower, aim, wide)
        _build(lane, half, half, upper, aim, wide)
        for odd in range(1 + n % 2):  # without and with the last candidate, where n is odd
            for r in range(LANES):
                aim[r] = target[first + r] - (lane[n - 1, r] if odd else 0)
            _merge(lower, upper, aim, wide, merged, size)
            _scan(merged, _2 * size, keys, least, best[odd], where[odd], tied[odd])
            for r in range(LANES):
                place = where[odd, r] * LANES + r
                pairs[odd, 0, r], pairs[odd, 1, r] = merged[place], merged[place + LANES]
        for r in range(LANES):
            odd = 1 if n % 2 == 1 and best[1, r] < best[0, r] else 0
            doubt = tied[odd, r] or (n % 2 == 1 and best[0, r] == best[1, r])
            unique[first + r] = best[odd, r] < _FAR and not doubt
            x, y = pairs[odd, 0, r], pairs[odd, 1, r]
            if x & 1 == 1:
                x, y = y, x
            goal = target[first + r] - (lane[n - 1, r] if odd else 0)
            low = _look_up(coefficients[first + r], 0, half, x >> 1, sums)
            high = _look_up(coefficients[first + r], half, half, goal - (y >> 1), sums)
            subset[first + r] = low | (high << half) | (odd << (n - 1))


@compilable
def _build(lane, start, count, table, total, wide):  # type: ignore[no-untyped-def]
    """Build the sorted sums of `count` candidates of all lanes; `total` becomes the largest."""
    for r in range(_0, _L):
        table[r] = 0
        total[r] = 0
    size = _1
    for k in range(start, start + count):
        for r in range(_0, _L):
            total[r] += lane[k, r]
        # the network first compares entry i with entry size - 1 - i plus a; and as the sums of a
        # set lie evenly about half its total, that is a plus the total minus entry i
        block = min(size, _BLOCK) * _L
        _repeat(total, wide, block)
        half = size * _L
        first = _0
        while first < half:
            for p in range(_0, block):
                x, y = table[first + p], wide[p] - table[first + p]
                table[first + p], table[half + first + p] = min(x, y), max(x, y)
            first += block
        size = size * _2
        _sort_halves(table, size, size // _4)


@compilable
def _merge(lower, upper, aim, wide, merged, size):  # type: ignore[no-untyped-def]
    """Merge the sums of the lower half with the aim minus those of the upper; mark the latter."""
    block = min(size, _BLOCK) * _L
    _repeat(aim, wide, block)
    half = size * _L
    first = _0
    while first < half:
        for p in range(_0, block):
            x, y = lower[first + p] << 1, (wide[p] - upper[first + p]) << 1 | 1
            merged[first + p], merged[half + first + p] = min(x, y), max(x, y)
        first += block
    _sort_halves(merged, _2 * size, size // _2)


@compilable
def _repeat(values, wide, length):  # type: ignore[no-untyped-def]
    """Repeat one value per lane: loops over many entries then vectorise."""
    first = _0
    while first < length:
        for r in range(_0, _L):
            wide[first + r] = values[r]
        first += _L


@compilable
def _sort_halves(table, size, stride):  # type: ignore[no-untyped-def]
    """Carry the network on from `stride` down to 1.

    Steps of large stride pass over the whole table; what is left then stays within tiles, each of
    which is finished while it lies in a near cache.
    """
    while stride >= _TILE:
        _two_steps(table, _0, size, stride)
        stride = stride // _4
    tile = _2 * stride
    first = _0
    while stride > _0 and first < size:
        step = stride
        while step > _2:
            _two_steps(table, first, first + tile, step)
            step = step // _4
        if step == _2:
            _last_two_steps(table, first, first + tile)
        if step == _1:
            _last_step(table, first, first + tile)
        first += tile


@compilable
def _two_steps(table, first, end, stride):  # type: ignore[no-untyped-def]
    """Compare the entries `stride` apart, then those half as far apart."""
    quarter = stride // _2 * _L
    while first < end:  # a range with a step that varies would not vectorise
        p0 = first * _L
        for p in range(p0, p0 + quarter):
            a, b = table[p], table[p + quarter]
            c, d = table[p + _2 * quarter], table[p + _3 * quarter]
            a, c = min(a, c), max(a, c)
            b, d = min(b, d), max(b, d)
            table[p], table[p + quarter] = min(a, b), max(a, b)
            table[p + _2 * quarter], table[p + _3 * quarter] = min(c, d), max(c, d)
        first += _2 * stride


@compilable
def _last_two_steps(table, first, end):  # type: ignore[no-untyped-def]
    """Do the same for strides 2 and 1: distances that are known when this is compiled.

    The exchanges are written out here and above: one function for both makes rows a fifth dearer.
    """
    for i in range(first, end, _4):
        p0 = i * _L
        for p in range(p0, p0 + _L):
            a, b = table[p], table[p + _L]
            c, d = table[p + _2 * _L], table[p + _3 * _L]
            a, c = min(a, c), max(a, c)
            b, d = min(b, d), max(b, d)
            table[p], table[p + _L] = min(a, b), max(a, b)
            table[p + _2 * _L], table[p + _3 * _L] = min(c, d), max(c, d)


@compilable
def _last_step(table, first, end):  # type: ignore[no-untyped-def]
    """Compare neighbouring entries."""
    for i in range(first, end, _2):
        p0 = i * _L
        for p in range(p0, p0 + _L):
            x, y = table[p], table[p + _L]
            table[p], table[p + _L] = min(x, y), max(x, y)


@compilable
def _scan(merged, size, keys, least, best, where, tied):  # type: ignore[no-untyped-def]
    """Find in each lane the closest neighbours of different origin, and whether others tie.

    A distance and the place where it occurs are one number, so that the least of them tells both.
    """
    count = (size - _1) * _L
    for p in range(_0, count):
        x, y = merged[p], merged[p + _L]
        away = min((y >> 1) - (x >> 1), _FAR)
        away = away if (x ^ y) & 1 == 1 else _FAR
        keys[p] = away << _PLACE_BITS | np.int64(p // _L)
    for p in range(count, count + _L):
        keys[p] = _FAR << _PLACE_BITS
    _reduce(keys, least, size)
    for r in range(_0, _L):
        best[r], where[r] = least[r] >> _PLACE_BITS, least[r] & ((1 << _PLACE_BITS) - 1)
        keys[_U(where[r]) * _L + r] = _FAR << _PLACE_BITS
    _reduce(keys, least, size)
    for r in range(_0, _L):
        tied[r] = least[r] >> _PLACE_BITS == best[r]


@compilable
def _reduce(keys, least, size):  # type: ignore[no-untyped-def]
    """Write the least key of each lane to the beginning of `least`."""
    length = size // _2 * _L
    for p in range(_0, length):
        least[p] = min(keys[p], keys[p + length])
    while length > _L:
        length = length // _2
        for p in range(_0, length):
            least[p] = min(least[p], least[p + length])


@compilable
def _look_up(a, start, count, value, sums):  # type: ignore[no-untyped-def]
    """Return the smallest subset of candidates from `start` on that sums to `value`."""
    sums[_0] = 0
    size = _1
    for k in range(start, start + count):
        shift = a[k]
        for i in range(_0, size):
            sums[size + i] = sums[i] + shift
        size = size * _2
    place = _0
    while place < size:  # whole blocks at first, which needs no branch for each sum
        hits = 0
        for j in range(place, min(place + _BLOCK, size)):
            hits += 1 if sums[j] == value else 0
        if hits > 0:
            break
        place += _BLOCK
    while place < size and sums[place] != value:
        place += _1
    return np.int64(place)
