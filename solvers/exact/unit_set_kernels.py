"""The loops of `solvers.exact.unit_sets`, compiled."""

import numpy as np

from instances.compiled import compilable, compiled

MAX_EDGES = 65_000
"""What 16 bits count, and mark."""

_NONE = np.uint8(127)  # no subset meets the output; seven bits, for `_smaller`
_FAR = np.uint16(65_535)


@compiled
def fewest_shared(a, available, low, high):  # type: ignore[no-untyped-def]
    """Find the smallest set of units within which every output has a subset that meets it.

    Parameters
    ----------
    a, available
        Shape (m, n): integers, and which unit may serve which output.
    low, high
        Shape (m,): a sum meets output j when low_j ≤ sum ≤ high_j.

    Returns
    -------
    int
        The set, bit h = unit h; of equal sizes the smallest integer. −1 where there is none.
    """
    m, n = a.shape
    num_words = 1 << max(n - 6, 0)
    feasible = np.full(num_words, ~np.uint64(0))
    enough = np.empty(num_words, np.uint64)
    for j in range(m):
        enough[:] = 0
        ordered, masks, outer, forbidden = _halves(a[j], available[j])
        for c in range(len(outer)):
            if (c << n // 2) & forbidden:
                continue
            place = np.searchsorted(ordered, low[j] - outer[c])
            most = high[j] - outer[c]
            while place < len(masks) and ordered[place] <= most:
                code = c << n // 2 | masks[place]
                enough[code >> 6] |= np.uint64(1) << np.uint64(code & 63)
                place += 1
        _close_upwards(enough, n)
        for w in range(num_words):
            feasible[w] &= enough[w]
    return _smallest(feasible, n)


@compiled
def edges_by_units(a, available, low, high, num_edges, sets):  # type: ignore[no-untyped-def]
    """Find for each number of units the fewest edges with which so many meet all outputs.

    Parameters
    ----------
    a, available, low, high
        As for `fewest_shared`.
    num_edges, sets
        Shape (n + 1,), to be written: the edges, −1 where there are none that do, and the set of
        units, of equally good ones the smallest integer.
    """
    m, n = a.shape
    fewest = np.empty(max(1 << n, 8), np.uint8)
    total = np.zeros(1 << n, np.uint16)
    for j in range(m):
        fewest[:] = _NONE
        ordered, masks, outer, forbidden = _halves(a[j], available[j])
        for c in range(len(outer)):
            if (c << n // 2) & forbidden:
                continue
            place = np.searchsorted(ordered, low[j] - outer[c])
            most = high[j] - outer[c]
            while place < len(masks) and ordered[place] <= most:
                code = c << n // 2 | masks[place]
                fewest[code] = _num_bits(code)
                place += 1
        _least_upwards(fewest.view(np.uint64), n)
        for s in range(len(total)):
            without = fewest[s] == _NONE or total[s] == _FAR
            total[s] = _FAR if without else total[s] + np.uint16(fewest[s])
    num_edges[:] = -1
    for s in range(len(total)):
        if total[s] != _FAR:
            size = _num_bits(s)
            if num_edges[size] < 0 or total[s] < num_edges[size]:
                num_edges[size], sets[size] = total[s], s


@compiled
def fewest_whole(a, available, low, high):  # type: ignore[no-untyped-def]
    """Find the smallest set of units whose sums meet all outputs; as `fewest_shared`."""
    m, n = a.shape
    inner = n // 2
    first = _narrowest(a, low, high)
    inner_sums = np.empty((m, 1 << inner), np.int64)
    outer_sums = np.empty((m, 1 << (n - inner)), np.int64)
    for j in range(m):
        inner_sums[j] = _subset_sums(a[j, :inner])
        outer_sums[j] = _subset_sums(a[j, inner:])
    masks = np.argsort(inner_sums[first])
    ordered = inner_sums[first][masks]
    best, answer = n + 1, np.int64(-1)
    for c in range(1 << (n - inner)):
        more = _num_bits(c)
        if more > best:
            continue
        place = np.searchsorted(ordered, low[first] - outer_sums[first, c])
        most = high[first] - outer_sums[first, c]
        while place < len(ordered) and ordered[place] <= most:
            s = masks[place]
            place += 1
            size = more + _num_bits(s)
            code = c << inner | s
            if size > best or (size == best and code > answer):
                continue
            meets = True
            for j in range(m):
                total = inner_sums[j, s] + outer_sums[j, c]
                if total < low[j] or total > high[j]:
                    meets = False
                    break
            if meets:
                best, answer = size, code
    return answer


@compilable
def _halves(values, available):  # type: ignore[no-untyped-def]
    """Return the sums of the first half's subsets in order, their sets, and the second half's sums.

    Sets of the first half with what is unavailable are left out; last comes the set of all that is
    unavailable.
    """
    n = len(values)
    forbidden = np.int64(0)
    for h in range(n):
        if not available[h]:
            forbidden |= 1 << h
    sums = _subset_sums(values[: n // 2])
    order = np.argsort(sums)
    masks = order[order & forbidden == 0]
    return sums[masks], masks, _subset_sums(values[n // 2 :]), forbidden


@compilable
def _subset_sums(values):  # type: ignore[no-untyped-def]
    """Return the sums of all subsets, bit h = value h."""
    sums = np.zeros(1 << len(values), np.int64)
    for h in range(len(values)):
        for s in range(1 << h):
            sums[(1 << h) + s] = sums[s] + values[h]
    return sums


@compilable
def _close_upwards(bits, n):  # type: ignore[no-untyped-def]
    """Mark every set that contains a marked one; set s is bit s mod 64 of word s // 64."""
    without = (
        0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F,
        0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF, 0x00000000FFFFFFFF,
    )  # fmt: skip
    for h in range(min(n, 6)):
        those, shift = np.uint64(without[h]), np.uint64(1 << h)
        for w in range(len(bits)):
            bits[w] |= (bits[w] & those) << shift
    for h in range(6, n):
        step = 1 << (h - 6)
        for base in range(0, len(bits), 2 * step):
            for w in range(base, base + step):
                bits[w + step] |= bits[w]


@compilable
def _least_upwards(words, n):  # type: ignore[no-untyped-def]
    """Give every set the least number of the sets it contains; set s is byte s mod 8 of a word."""
    without = 0x007F007F007F007F, 0x00007F7F00007F7F, 0x000000007F7F7F7F
    for h in range(min(n, 3)):
        none, shift = np.uint64(without[h]), np.uint64(8 << h)
        for w in range(len(words)):
            words[w] = _smaller(words[w], words[w] << shift | none)
    for h in range(3, n):
        step = 1 << (h - 3)
        for base in range(0, len(words), 2 * step):
            for w in range(base, base + step):
                words[w + step] = _smaller(words[w + step], words[w])


@compilable
def _smaller(x, y):  # type: ignore[no-untyped-def]
    """Return the smaller of every two bytes below 128."""
    top = np.uint64(0x8080808080808080)
    larger = ((x | top) - y) & top  # where x is not the smaller one
    those = larger | (larger - (larger >> np.uint64(7)))
    return (y & those) | (x & ~those)


@compilable
def _smallest(bits, n):  # type: ignore[no-untyped-def]
    """Return the smallest marked set, of equal sizes the smallest integer; −1: none is marked."""
    best, answer = n + 1, np.int64(-1)
    for w in range(len(bits)):
        upper = _num_bits(w)
        if bits[w] == 0 or upper >= best:
            continue
        for k in range(min(64, 1 << n)):
            if (bits[w] >> np.uint64(k)) & np.uint64(1):
                size = upper + _num_bits(k)
                if size < best:
                    best, answer = size, np.int64(w << 6 | k)
    return answer


@compilable
def _narrowest(a, low, high):  # type: ignore[no-untyped-def]
    """Return the output whose window is the smallest share of what its sums span."""
    best, share = 0, np.inf
    for j in range(len(a)):
        part = (high[j] - low[j] + 1.0) / (np.abs(a[j]).sum() + 1.0)
        if part < share:
            best, share = j, part
    return best


@compilable
def _num_bits(code):  # type: ignore[no-untyped-def]
    count = 0
    while code:
        code &= code - 1
        count += 1
    return count
