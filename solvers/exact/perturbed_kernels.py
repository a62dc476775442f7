"""The loops of `solvers.exact.perturbed`, compiled.

A number is whole · 2^bits + rest, with 0 ≤ rest < 2^bits. The wholes alone tell sums apart that are
more than a few units from each other: a first pass finds how good a subset there is for certain, a
second one weighs in full whatever may be as good. Where a row fits into its wholes, bits is 0 and
nothing is in doubt.

A row of n candidates is 2 n + 2 numbers: coefficients, perturbations, the tolerance, the target.
"""

import math

import numpy as np

from instances.compiled import compilable, compiled

FAR = 1 << 62
"""Larger than any sum: the absolute numbers of a row add up to 2**57 and a few."""

_WHOLE_BITS = 57
_TABLE_BITS = 10  # candidates whose sums are in tables, 8 kB each: those beyond make blocks

# indices are unsigned where loops are to be vectorised: signed ones would be tested at every access
_U = np.uint64
_0, _1, _2 = _U(0), _U(1), _U(2)
_STRIP = _U(64)  # subsets that are looked at without a branch for each


@compiled
def split_rows(numbers, whole, rest, bits, unit, fits):  # type: ignore[no-untyped-def]
    """Write rows of floats as integers; of the target, which comes last, only the order is kept.

    Everything is counted in quarters of the lowest bit of the other numbers. A target between two
    multiples of it becomes the lower one and 1, 2 or 3 quarters, for nearer to it, half-way, and
    nearer to the next: so it compares with all sums, and all misses with each other, as it did.

    Parameters
    ----------
    numbers
        Shape (b, c), floats.
    whole, rest
        Shape (b, c), to be written.
    bits, unit
        Shape (b,), to be written; the lowest bit is two to the power `unit`.
    fits
        Shape (b,), to be written: whether the row does; else it is left as it was.
    """
    b, c = numbers.shape
    mantissa, exponent = np.empty(c, np.int64), np.empty(c, np.int64)
    room = 2 + math.frexp(c)[1]  # bits for the quarters, and for adding up
    for r in range(b):
        lowest, top = 4000, -4000
        for k in range(c):
            fraction, power = math.frexp(numbers[r, k])
            integer = np.int64(fraction * 2.0**53)
            if integer != 0:
                trailing = math.frexp(float(integer & -integer))[1] - 1
                top = max(top, power)
                power += trailing - 53
                integer >>= trailing
                if k < c - 1 or lowest == 4000:
                    lowest = min(lowest, power)
            mantissa[k], exponent[k] = integer, power
        if lowest == 4000:
            lowest, top = 0, 0
        unit[r] = lowest
        bits[r] = max(0, top - lowest + room - _WHOLE_BITS)
        fits[r] = bits[r] < _WHOLE_BITS
        if not fits[r]:
            continue
        for k in range(c):
            integer, shift = mantissa[k], exponent[k] - lowest
            if integer != 0 and shift < 0:
                integer, shift = _in_quarters(integer, -shift), -2
            shift += 2 - bits[r]
            if integer == 0 or shift >= 0:
                whole[r, k], rest[r, k] = integer << max(shift, 0), 0
            else:
                whole[r, k] = integer >> -shift
                rest[r, k] = (integer - (whole[r, k] << -shift)) << (shift + bits[r])


@compilable
def _in_quarters(integer, shift):  # type: ignore[no-untyped-def]
    """Return the odd `integer` / 2^shift in quarters: the multiple of 4 below, plus 1, 2 or 3."""
    if shift > 60:
        return 1 if integer > 0 else -1
    below = integer >> shift
    beyond = integer - (below << shift)
    half = 1 << (shift - 1)
    return 4 * below + 1 + (beyond >= half) + (beyond > half)


@compiled
def closest_rows(rows, whole, rest, bits, available, far, mask, edge):  # type: ignore[no-untyped-def]
    """Find the subset of each of `rows` with the least miss, of equals the one that moves least.

    Parameters
    ----------
    rows
        Which rows to solve.
    whole, rest, bits
        As `split_rows` writes them.
    available, mask
        Shape (b, n), the latter to be written.
    far
        Larger than any sum.
    edge
        Shape (b,), to be written: what the sum comes closest to the target with, its rests left
        out; `far` where it meets it.
    """
    n = available.shape[1]
    chosen = np.empty(n, np.int64)
    row = np.empty((4, n), whole.dtype)
    entries = 1 << min(n, _TABLE_BITS)
    sums, freedoms = np.empty(entries, whole.dtype), np.empty(entries, whole.dtype)
    for r in rows:
        m = _gather(whole, rest, available, r, chosen, row)
        inner, target = min(m, _TABLE_BITS), whole[r, 2 * n + 1]
        size = _U(1 << inner)
        _all_sums(row[0], inner, sums)
        _all_sums(row[1], inner, freedoms)
        margin = 2 * m + 1 if bits[r] > 0 else 0
        least, near = far, far
        for block in range(1 << (m - inner)):
            goal = target - _sum_of(row[0], inner, m, block)
            free = _sum_of(row[1], inner, m, block)
            miss, away = _least(goal, free, sums, freedoms, size, margin, far)
            least, near = min(least, miss), min(near, away)
        most, reach = max(least + margin, 0) + margin, near + 2 * margin
        best, code = (far, far, far, far), 0
        for block in range(1 << (m - inner)):
            goal = target - _sum_of(row[0], inner, m, block)
            free = _sum_of(row[1], inner, m, block) + most
            for strip in range(_0, size, _STRIP):
                end = min(strip + _STRIP, size)
                if not _any_close(goal, free, reach, sums, freedoms, strip, end):
                    continue
                for i in range(strip, end):
                    away = abs(goal - sums[i])
                    if away <= free + freedoms[i] and away <= reach:
                        subset = block << inner | np.int64(i)
                        weight = _weigh(row, m, subset, whole[r], rest[r], bits[r])
                        if weight < best:
                            best, code = weight, subset
        low, high = _write(row, m, code, chosen, mask[r])
        edge[r] = far
        if best[0] > 0 or best[1] > 0:
            edge[r] = low if low > target else high


@compiled
def sparsest_rows(rows, whole, rest, bits, available, far, mask, found):  # type: ignore[no-untyped-def]
    """Find the fewest candidates whose miss is within the tolerance, of equals the least miss.

    Parameters
    ----------
    rows, whole, rest, bits, available, far, mask
        As for `closest_rows`.
    found
        Shape (b,), to be written: whether there are any; else the mask is left as it was.
    """
    n = available.shape[1]
    chosen, ones = np.empty(n, np.int64), np.ones(n, np.int64)
    row = np.empty((4, n), whole.dtype)
    entries = 1 << min(n, _TABLE_BITS)
    sums, freedoms = np.empty(entries, whole.dtype), np.empty(entries, whole.dtype)
    counts = np.empty(1 << min(n, _TABLE_BITS), np.int64)
    _all_sums(ones, min(n, _TABLE_BITS), counts)
    for r in rows:
        m = _gather(whole, rest, available, r, chosen, row)
        inner, target = min(m, _TABLE_BITS), whole[r, 2 * n + 1]
        size = _U(1 << inner)
        _all_sums(row[0], inner, sums)
        _all_sums(row[1], inner, freedoms)
        margin = 2 * m + 1 if bits[r] > 0 else 0
        tolerance = whole[r, 2 * n], rest[r, 2 * n]
        fewest = m + 1
        for block in range(1 << (m - inner)):
            outer = _sum_of(ones, inner, m, block)
            if outer < fewest:
                goal = target - _sum_of(row[0], inner, m, block)
                free = _sum_of(row[1], inner, m, block) + tolerance[0] - margin
                count = _fewest(goal, free, sums, freedoms, counts, size, m + 1)
                fewest = min(fewest, outer + count)
        best, code = (m + 1, far, far), 0
        for block in range(1 << (m - inner)):
            most = fewest - _sum_of(ones, inner, m, block)
            if most < 0:
                continue
            goal = target - _sum_of(row[0], inner, m, block)
            free = _sum_of(row[1], inner, m, block) + tolerance[0] + margin
            for strip in range(_0, size, _STRIP):
                end = min(strip + _STRIP, size)
                if not _any_few(goal, free, most, sums, freedoms, counts, strip, end):
                    continue
                for i in range(strip, end):
                    if abs(goal - sums[i]) <= free + freedoms[i] and counts[i] <= most:
                        subset = block << inner | np.int64(i)
                        weight = _weigh(row, m, subset, whole[r], rest[r], bits[r])
                        key = fewest - most + counts[i], weight[0], weight[1]
                        if weight[:2] <= tolerance and key < best:
                            best, code = key, subset
        found[r] = best[0] <= m
        if found[r]:
            _write(row, m, code, chosen, mask[r])


@compilable
def _least(goal, free, sums, freedoms, size, margin, far):  # type: ignore[no-untyped-def]
    """Return the least miss of a block, and the least distance among those surely without one."""
    least, near = far, far
    for i in range(_0, size):
        away = abs(goal - sums[i])
        miss = away - free - freedoms[i]
        least = min(least, miss)
        near = min(near, away if miss <= -margin else far)
    return least, near


@compilable
def _any_close(goal, free, reach, sums, freedoms, first, end):  # type: ignore[no-untyped-def]
    hits = 0
    for i in range(first, end):
        away = abs(goal - sums[i])
        hits += (away <= free + freedoms[i]) & (away <= reach)
    return hits > 0


@compilable
def _fewest(goal, free, sums, freedoms, counts, size, none):  # type: ignore[no-untyped-def]
    """Return the size of the smallest subset of a block that is near enough, else `none`."""
    fewest = none
    for i in range(_0, size):
        near = abs(goal - sums[i]) <= free + freedoms[i]
        fewest = min(fewest, counts[i] if near else none)
    return fewest


@compilable
def _any_few(goal, free, most, sums, freedoms, counts, first, end):  # type: ignore[no-untyped-def]
    hits = 0
    for i in range(first, end):
        hits += (abs(goal - sums[i]) <= free + freedoms[i]) & (counts[i] <= most)
    return hits > 0


@compilable
def _gather(whole, rest, available, r, chosen, row):  # type: ignore[no-untyped-def]
    """Write the numbers of the candidates that row `r` may use; return how many they are."""
    n, m = available.shape[1], 0
    for k in range(n):
        if available[r, k]:
            chosen[m] = k
            row[0, m], row[1, m] = whole[r, k], whole[r, n + k]
            row[2, m], row[3, m] = rest[r, k], rest[r, n + k]
            m += 1
    return m


@compilable
def _all_sums(values, num, sums):  # type: ignore[no-untyped-def]
    """Write the sums of all subsets of the first `num` values in the order of their masks."""
    sums[_0] = 0
    size = _1
    for k in range(num):
        for i in range(_0, size):
            sums[size + i] = sums[i] + values[k]
        size = size * _2


@compilable
def _sum_of(values, start, stop, subset):  # type: ignore[no-untyped-def]
    total = 0
    for k in range(start, stop):
        if subset >> (k - start) & 1:
            total += values[k]
    return total


@compilable
def _weigh(row, m, code, whole, rest, bits):  # type: ignore[no-untyped-def]
    """Return the miss of a subset and its distance from the target, both as whole and rest."""
    away, away_rest, free, free_rest = whole[-1], rest[-1], 0, 0
    for k in range(m):
        if code >> k & 1:
            away, away_rest = away - row[0, k], away_rest - row[2, k]
            free, free_rest = free + row[1, k], free_rest + row[3, k]
    away, away_rest = _carried(away, away_rest, bits)
    if away < 0:
        away, away_rest = _carried(-away, -away_rest, bits)
    miss, miss_rest = _carried(away - free, away_rest - free_rest, bits)
    if miss < 0:
        miss, miss_rest = 0, 0
    return miss, miss_rest, away, away_rest


@compilable
def _carried(whole, rest, bits):  # type: ignore[no-untyped-def]
    """Return the same number with 0 ≤ rest < 2^bits."""
    above = rest >> bits
    return whole + above, rest - (above << bits)


@compilable
def _write(row, m, code, chosen, mask):  # type: ignore[no-untyped-def]
    """Write the mask of a subset; return how far down and up its sum can be moved."""
    mask[:] = False
    low = high = 0
    for k in range(m):
        if code >> k & 1:
            mask[chosen[k]] = True
            low += row[0, k] - row[1, k]
            high += row[0, k] + row[1, k]
    return low, high
