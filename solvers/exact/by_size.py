"""Meet-in-the-middle for the objectives that count: one sorted table per number kept.

All subsets of up to three candidates are tried first, which answers nearly all sparsest rows. Then
the sums of each half of the candidates are built in order by merging, one table per number kept,
and two tables whose numbers add up are swept, one upwards and one downwards.
"""

import numpy as np

from instances.compiled import compilable, compiled
from solvers.exact.candidates import gather, same_candidates
from solvers.exact.small_subsets import MAX_SIZE, closest_of_size

MAX_IN_TABLES = 40
"""Candidates whose half tables are built, 34 MB in all; those beyond are tried in all ways."""


@compiled
def rows_by_size(  # type: ignore[no-untyped-def]
    rows, coefficients, target, low, high, available, fixed_size, sums, masks, mask, proven
):
    """Solve `rows` for the fewest kept with a sum from `low` to `high`, or for a fixed number.

    Rows that follow each other and share their candidates share the tables.

    Parameters
    ----------
    rows
        Which rows to solve.
    coefficients, available, mask
        Shape (b, n): integers, bool, and bool to be written.
    target, low, high
        Shape (b,).
    fixed_size
        How many to keep; −1: as few as possible.
    sums, masks
        Scratch of shape (4, 2^h), h being half the largest number of candidates in tables.
    proven
        Shape (b,), to be written: whether there is a feasible subset, and so the best one is known.
    """
    n = available.shape[1]
    chosen = np.empty(n, np.int64)
    values = np.empty(n, coefficients.dtype)
    starts = np.zeros((3, n + 3), np.int64)
    previous = largest = -1  # the row whose tables these are, up to which number kept
    m = inner = half = p = q = 0
    for r in rows:
        if previous < 0 or not same_candidates(coefficients, available, r, previous):
            m = gather(coefficients, available, r, chosen, values)
            inner = min(m, MAX_IN_TABLES)
            half = inner // 2
            largest, previous = -1, r
        distance, answer, total = -1, 0, 0
        kept, last = (fixed_size, fixed_size) if fixed_size >= 0 else (0, m)
        met = False
        while kept <= last and kept <= MAX_SIZE and not met:
            away, subset, sum_ = closest_of_size(values, m, kept, target[r])
            if away >= 0 and (distance < 0 or (away, subset) < (distance, answer)):
                distance, answer, total = away, subset, sum_
            met = fixed_size < 0 and distance >= 0 and low[r] <= total <= high[r]
            kept += 1
        if fixed_size < 0 and kept <= last and not met:
            # the largest and the smallest sum: beyond them nothing need be searched
            above, all_above, below, all_below = extremes(values, m)
            if above < low[r]:
                answer, kept = all_above, last + 1
            elif below > high[r]:
                answer, kept = all_below, last + 1
        while kept <= last and kept <= m and not met:
            if kept > largest:  # few are kept as a rule: sizes that are not needed are not built
                largest = kept if fixed_size >= 0 else 2 * kept
                p = _tables(values[:half], largest, sums[0:2], masks[0:2], starts[0], starts[2])
                q = 2 + _tables(
                    values[half:inner], largest, sums[2:4], masks[2:4], starts[1], starts[2]
                )
            for c in range(1 << (m - inner)):
                goal, inside = target[r], kept
                for k in range(m - inner):
                    if (c >> k) & 1 == 1:
                        goal, inside = goal - values[inner + k], inside - 1
                for i in range(max(0, inside - (inner - half)), min(inside, half) + 1):
                    j = inside - i
                    distance, answer, total = _sweep(
                        sums[p], masks[p], starts[0, i], starts[0, i + 1],
                        sums[q], masks[q], starts[1, j], starts[1, j + 1],
                        half, c << inner, target[r] - goal, goal, distance, answer, total,
                    )  # fmt: skip
            met = fixed_size < 0 and low[r] <= total <= high[r]
            kept += 1
        proven[r] = met if fixed_size < 0 else distance >= 0
        for k in range(m):
            mask[r, chosen[k]] = (answer >> k) & 1 == 1


@compilable
def extremes(values, num_values):  # type: ignore[no-untyped-def]
    """Return the largest sum and its smallest subset, and the same of the smallest sum."""
    above = below = values[0] * 0
    all_above = all_below = 0
    for k in range(num_values):
        if values[k] > 0:
            above, all_above = above + values[k], all_above | 1 << k
        elif values[k] < 0:
            below, all_below = below + values[k], all_below | 1 << k
    return above, all_above, below, all_below


@compilable
def _tables(values, largest, sums, masks, starts, spare):  # type: ignore[no-untyped-def]
    """Build the strictly increasing sums of all subsets of each size up to `largest`.

    Table c lies from ``starts[c]`` to ``starts[c + 1]``. Of equal sums the smallest mask is kept.
    Returns which row of the scratch holds the result.
    """
    now = 0
    sums[0, 0] = 0
    masks[0, 0] = 0
    starts[0], starts[1] = 0, 1
    for k in range(len(values)):
        spare[: k + 3] = starts[: k + 3]
        end = 0
        for c in range(min(k + 1, largest) + 1):
            # those of size c without candidate k, and those of size c - 1 with it
            i, i_end = (spare[c], spare[c + 1]) if c <= k else (0, 0)
            j, j_end = (spare[c - 1], spare[c]) if c > 0 else (0, 0)
            starts[c] = end
            end = _merge(
                sums[now], masks[now], i, i_end, j, j_end, values[k], 1 << k,
                sums[1 - now], masks[1 - now], end,
            )  # fmt: skip
            starts[c + 1] = end
        now = 1 - now
    return now


@compilable
def _merge(sums, masks, i, i_end, j, j_end, shift, bit, sums_out, masks_out, end):  # type: ignore[no-untyped-def]
    """Merge sums[i:i_end] with sums[j:j_end] + shift; of two equal sums the first has no `bit`."""
    while i < i_end and j < j_end:
        x, y = sums[i], sums[j] + shift
        if x <= y:
            sums_out[end] = x
            masks_out[end] = masks[i]
            i += 1
            if x == y:
                j += 1
        else:
            sums_out[end] = y
            masks_out[end] = masks[j] | bit
            j += 1
        end += 1
    while i < i_end:
        sums_out[end] = sums[i]
        masks_out[end] = masks[i]
        i += 1
        end += 1
    while j < j_end:
        sums_out[end] = sums[j] + shift
        masks_out[end] = masks[j] | bit
        j += 1
        end += 1
    return end


@compilable
def _sweep(  # type: ignore[no-untyped-def]
    lower_sums, lower_masks, i, i_end, upper_sums, upper_masks, j_end, j, half,
    outer_mask, outer_sum, goal, distance, answer, total,
):  # fmt: skip
    """Walk up one table and down the other; remember the pair closest to the goal.

    As the tables strictly increase, the walk passes every pair whose sum is the largest up to the
    goal or the smallest above it, so all ties are seen and the smallest mask can win.
    A negative `distance` means that nothing has been found before.
    """
    j -= 1
    while i < i_end and j >= j_end:
        candidate = lower_sums[i] + upper_sums[j]
        off = goal - candidate
        away = abs(off)
        if away <= distance or distance < 0:
            pair = outer_mask | (upper_masks[j] << half) | lower_masks[i]
            if away < distance or distance < 0 or pair < answer:
                distance, answer, total = away, pair, outer_sum + candidate
        if off >= 0:
            i += 1
        else:
            j -= 1
    return distance, answer, total
