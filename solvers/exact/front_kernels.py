"""The kernels of fronts: sums by number kept, merged without branches, and walks that find pairs.

As in `solvers.exact.closest` a comparison moves an index instead of a branch, and four pieces of
one merge go on side by side. The sums of all subsets of one size lie in order, size after size,
with their masks beside them; an entry larger than all others stands behind each size. The sums of
the second half are negated: the target plus them lies in order, too.
"""

import numpy as np

from instances.compiled import compilable, compiled
from solvers.exact.candidates import gather
from solvers.exact.small_subsets import MAX_SIZE, closest_of_size

MAX_IN_TABLES = 40
"""Candidates whose half tables are built, 70 MB in all; those beyond are tried in all ways."""

_U = np.uint64
_0, _1, _2, _3, _4 = _U(0), _U(1), _U(2), _U(3), _U(4)
_FEW = _U(96)  # entries below which one merge alone is as fast as four pieces of it
_SMALL = 3  # sizes built at first: few rows need more, as a rule


@compiled
def front_rows(  # type: ignore[no-untyped-def]
    rows, coefficients, target, available, far, enough, last, sums, masks, starts, total, subset,
    looked,
):  # fmt: skip
    """Find the subsets of each of `rows` that come closest to its target, size after size.

    A row's sizes end with `last`, or once the distance is at most `enough`.

    Parameters
    ----------
    rows
        Which rows to solve.
    coefficients, available
        Shape (b, n): integers and bool.
    target, enough, last
        Shape (b,).
    far
        Larger than any difference between a sum and a target, and twice that still in range.
    sums, masks
        Scratch of shape (4, 2^h + h + 1), h being half the largest number of candidates in tables,
        rounded up.
    starts
        Scratch of shape (4, h + 2).
    total, subset
        Shape (b, sizes), to be written: the sum of the best subset of each size, and the subset as
        an integer over the available candidates; −1 where fewer come as close.
    looked
        Shape (b,), to be written: how many sizes were looked at.
    """
    n = available.shape[1]
    chosen = np.empty(n, np.int64)
    values = np.empty(n, coefficients.dtype)
    for r in rows:
        m = gather(coefficients, available, r, chosen, values)
        inner = min(m, MAX_IN_TABLES)
        half = inner // 2
        p = q = -1
        best = far
        for kept in range(min(last[r], m) + 1):
            answer = -1
            if kept <= MAX_SIZE:  # few need more, as a rule
                away, small, reached = closest_of_size(values, m, kept, target[r])
                if 0 <= away < best:
                    best, answer = away, small
                    total[r, kept] = reached
            elif p < 0:
                p = _tables(values[:half], 1, sums, masks, starts, 0, far)
                q = _tables(values[half:inner], -1, sums, masks, starts, 2, far)
            for c in range(1 << (m - inner) if kept > MAX_SIZE else 0):
                goal, inside = target[r], kept
                for k in range(m - inner):
                    if (c >> k) & 1 == 1:
                        goal, inside = goal - values[inner + k], inside - 1
                for i in range(max(0, inside - (inner - half)), min(inside, half) + 1):
                    j = inside - i
                    away, x, y = _walk(
                        sums[p], starts[p, i], starts[p, i + 1] - _1,
                        sums[q], starts[q, j], starts[q, j + 1] - _1, goal, best,
                    )  # fmt: skip
                    if away < best:
                        best = away
                        answer = masks[p, x] | masks[q, y] << half | c << inner
                        total[r, kept] = target[r] - goal + sums[p, x] - sums[q, y]
            subset[r, kept] = answer
            looked[r] = kept + 1
            if best <= enough[r]:
                break


@compilable
def _tables(values, sign, sums, masks, starts, first, far):  # type: ignore[no-untyped-def]
    """Build the sorted sums, times `sign`, of all subsets size after size, and return where.

    Rows `first` and ``first + 1`` of the scratch take turns; size c lies from ``starts[c]`` to
    before ``starts[c + 1]``, with `far` as its last entry.
    """
    now, then = first, first + 1
    sums[now, 0], sums[now, 1] = 0, far
    masks[now, 0] = 0
    starts[now, 0], starts[now, 1] = _0, _2
    everything = far * 0
    for k in range(len(values)):
        value = sign * values[k]
        everything = everything + value
        end = _0
        for c in range(k + 2):
            starts[then, c] = end
            if 2 * c > k + 1:  # what others leave out
                i, num = _group(starts[then], k + 1 - c)
                _mirror(sums[then], masks[then], i, num, everything, (2 << k) - 1, end)
            else:  # those of size c without candidate k, and those of size c - 1 with it
                i, num = _group(starts[now], c) if c <= k else (_0, _0)
                j, num_b = _group(starts[now], c - 1) if c > 0 else (_0, _0)
                _merge(
                    sums[now], masks[now], i, num, j, num_b, value, 1 << k,
                    sums[then], masks[then], end,
                )  # fmt: skip
                num += num_b
            end += num
            sums[then, end] = far
            end += _1
            starts[then, c + 1] = end
        now, then = then, now
    return now


@compilable
def _group(starts, size):  # type: ignore[no-untyped-def]
    return starts[size], starts[size + 1] - starts[size] - _1


@compilable
def _mirror(sums, masks, i, num, everything, all_of_them, end):  # type: ignore[no-untyped-def]
    """Write the sums of the complements of the subsets from i on, from `end` on."""
    for p in range(_0, num):
        sums[end + p] = everything - sums[i + num - _1 - p]
        masks[end + p] = all_of_them ^ masks[i + num - _1 - p]


@compilable
def _merge(sums, masks, i, num_a, j, num_b, shift, bit, sums_out, masks_out, end):  # type: ignore[no-untyped-def]
    """Write the merge of the sums from i on with those from j on plus `shift`, from `end` on."""
    num = num_a + num_b
    if num_b == _0:
        for p in range(_0, num):
            sums_out[end + p] = sums[i + p]
            masks_out[end + p] = masks[i + p]
    elif num_a == _0:
        for p in range(_0, num):
            sums_out[end + p] = sums[j + p] + shift
            masks_out[end + p] = masks[j + p] | bit
    elif num < _FEW:
        for p in range(_0, num):
            i, j = _lesser(sums, masks, i, j, shift, bit, sums_out, masks_out, end + p)
    else:
        q = num // _4
        i2 = i + _split(sums, i, num_a, sums, j, num_b, shift, q)
        i3 = i + _split(sums, i, num_a, sums, j, num_b, shift, _2 * q)
        i4 = i + _split(sums, i, num_a, sums, j, num_b, shift, _3 * q)
        j2, j3, j4 = i + j + q - i2, i + j + _2 * q - i3, i + j + _3 * q - i4
        for p in range(end, end + q):
            i, j = _lesser(sums, masks, i, j, shift, bit, sums_out, masks_out, p)
            i2, j2 = _lesser(sums, masks, i2, j2, shift, bit, sums_out, masks_out, p + q)
            i3, j3 = _lesser(sums, masks, i3, j3, shift, bit, sums_out, masks_out, p + _2 * q)
            i4, j4 = _lesser(sums, masks, i4, j4, shift, bit, sums_out, masks_out, p + _3 * q)
        for p in range(end + _4 * q, end + num):
            i4, j4 = _lesser(sums, masks, i4, j4, shift, bit, sums_out, masks_out, p)


@compilable
def _lesser(sums, masks, i, j, shift, bit, sums_out, masks_out, p):  # type: ignore[no-untyped-def]
    x, y = sums[i], sums[j] + shift
    first = x <= y
    u, v = masks[i], masks[j] | bit
    sums_out[p] = min(x, y)
    masks_out[p] = u if first else v
    return i + _U(first), j + _U(not first)


@compilable
def _walk(a, i, i_end, b, j, j_end, shift, best):  # type: ignore[no-untyped-def]
    """Merge a[i:i_end] and b[j:j_end] + shift to find their closest entries.

    Of any two that are closest, one is compared with the other on the way.

    Returns
    -------
    distance, x, y
        The least distance and the entries' places, if it is less than `best`; else `best`.
    """
    num_a, num_b = i_end - i, j_end - j
    num = num_a + num_b
    x, y = _0, _0
    if num < _FEW:
        for _ in range(_0, num):
            i, j, best, x, y = _step(a, b, shift, i, j, best, x, y)
    else:
        q = num // _4
        i2 = i + _split(a, i, num_a, b, j, num_b, shift, q)
        i3 = i + _split(a, i, num_a, b, j, num_b, shift, _2 * q)
        i4 = i + _split(a, i, num_a, b, j, num_b, shift, _3 * q)
        j2, j3, j4 = i + j + q - i2, i + j + _2 * q - i3, i + j + _3 * q - i4
        for _ in range(_0, q):
            i, j, best, x, y = _step(a, b, shift, i, j, best, x, y)
            i2, j2, best, x, y = _step(a, b, shift, i2, j2, best, x, y)
            i3, j3, best, x, y = _step(a, b, shift, i3, j3, best, x, y)
            i4, j4, best, x, y = _step(a, b, shift, i4, j4, best, x, y)
        for _ in range(_4 * q, num):
            i4, j4, best, x, y = _step(a, b, shift, i4, j4, best, x, y)
    return best, x, y


@compilable
def _step(a, b, shift, i, j, best, x, y):  # type: ignore[no-untyped-def]
    u, v = a[i], b[j] + shift
    away = abs(v - u)
    if away < best:  # seldom: the branch is predicted
        best, x, y = away, i, j
    first = u <= v
    return i + _U(first), j + _U(not first), best, x, y


@compilable
def _split(a, i, num_a, b, j, num_b, shift, p):  # type: ignore[no-untyped-def]
    """Return how many of the first p entries of the merge are of `a`."""
    low = p - num_b if p > num_b else _0
    high = min(p, num_a)
    while low < high:
        middle = (low + high) // _2
        if a[i + middle] <= b[j + p - middle - _1] + shift:
            low = middle + _1
        else:
            high = middle
    return low
