"""Compiled moves on one neuron: two weights freed at a time, the pair solved exactly, again.

A neuron stands as the subset that each weight has chosen (an index into its sorted sums) and what
every weight is off by. In norm 2 the inputs' Gram matrix says at once what a move brings; in the
other norms the outputs' errors are kept, and since a norm is convex in the sum of one weight, the
best subset of the second weight is found by bisection.
"""

import numpy as np

from instances.compiled import compiled

_GAIN = 1.0 - 1e-12
"""What a move must bring a cost down to, relatively: rounding is no progress. Where a move does not
bring what it promised, rounding is all that is left, and nothing ends a walk through that."""


@compiled
def nearest(sums, num, wanted):  # type: ignore[no-untyped-def]
    """Return the index of the sum nearest to `wanted`."""
    k = np.searchsorted(sums[:num], wanted)
    if k == num or (k > 0 and wanted - sums[k - 1] <= sums[k] - wanted):
        return k - 1
    return k


@compiled
def descend_squares(gram, weights, sums, sizes, num, chosen, off, pull, left):  # type: ignore[no-untyped-def]
    """Move until no single weight and no pair brings the squared error down; return that.

    `pull` is gram · off; `left` what the budget leaves, shape (1,).
    """
    d = len(weights)
    cost = (off * pull).sum()
    moved = True
    while moved and cost > 0.0:
        moved = False
        for i in range(d):
            if gram[i, i] == 0.0:
                continue
            best, one, other, two = cost * _GAIN, -1, -1, 0
            for k in range(num[i]):
                room = left[0] + sizes[i, chosen[i]] - sizes[i, k]
                step = weights[i] - sums[i, k] - off[i]
                base = cost + step * (2 * pull[i] + step * gram[i, i])
                if room >= 0 and base < best:
                    best, one, other = base, k, -1
                for j in range(i):
                    # with any number in the place of a sum, the second weight brings this at most
                    slope = pull[j] + step * gram[i, j]
                    if gram[j, j] == 0.0 or base - slope * slope / gram[j, j] >= best:
                        continue
                    wanted = weights[j] - off[j] + slope / gram[j, j]
                    m = nearest(sums[j], num[j], wanted)
                    space = room + sizes[j, chosen[j]]
                    if sizes[j, m] > space:
                        m = _nearest_of_size(sums[j], sizes[j], num[j], wanted, space)
                        if m < 0:
                            continue
                    change = weights[j] - sums[j, m] - off[j]
                    value = base + change * (2 * slope + change * gram[j, j])
                    if value < best:
                        best, one, other, two = value, k, j, m
            if one < 0:
                continue
            moved, before = True, cost
            _put(gram, weights, sums, sizes, chosen, off, pull, left, i, one)
            if other >= 0:
                _put(gram, weights, sums, sizes, chosen, off, pull, left, other, two)
            cost = (off * pull).sum()
            if not 0.0 < cost < before:
                return cost
    return cost


@compiled
def _nearest_of_size(sums, sizes, num, wanted, space):  # type: ignore[no-untyped-def]
    found, least = -1, np.inf
    for k in range(num):
        if sizes[k] <= space and abs(sums[k] - wanted) < least:
            found, least = k, abs(sums[k] - wanted)
    return found


@compiled
def _put(gram, weights, sums, sizes, chosen, off, pull, left, i, k):  # type: ignore[no-untyped-def]
    left[0] += sizes[i, chosen[i]] - sizes[i, k]
    chosen[i] = k
    step = weights[i] - sums[i, k] - off[i]
    off[i] += step
    pull += step * gram[i]


@compiled
def size_of(errors, norm):  # type: ignore[no-untyped-def]
    """Return the norm, 1 or infinity, of `errors`."""
    total = 0.0
    for error in errors:
        total = total + abs(error) if norm == 1.0 else max(total, abs(error))
    return total


@compiled
def _size_after(errors, column, step, norm):  # type: ignore[no-untyped-def]
    total = 0.0
    for t in range(len(errors)):
        error = abs(errors[t] + step * column[t])
        total = total + error if norm == 1.0 else max(total, error)
    return total


@compiled
def _best_subset(errors, column, middle, sums, sizes, num, space, norm):  # type: ignore[no-untyped-def]
    """Return which subset of one weight leaves the least norm, and that norm.

    `middle` is the sum that would leave `errors` as they are.
    """
    low, high = 0, num - 1
    while low < high:  # the norm is convex in the sum: go where it falls
        k = (low + high) // 2
        here = _size_after(errors, column, middle - sums[k], norm)
        there = _size_after(errors, column, middle - sums[k + 1], norm)
        if here <= there:
            high = k
        else:
            low = k + 1
    best = _size_after(errors, column, middle - sums[low], norm)
    if sizes[low] <= space:
        return low, best
    found, best = -1, np.inf
    for k in range(num):
        if sizes[k] <= space:
            value = _size_after(errors, column, middle - sums[k], norm)
            if value < best:
                found, best = k, value
    return found, best


@compiled
def descend_norm(columns, weights, sums, sizes, num, chosen, off, errors, left, norm):  # type: ignore[no-untyped-def]
    """Do the same in norm 1 or infinity; `columns` is (d, rows), `errors` what the rows are off."""
    d = len(weights)
    cost = size_of(errors, norm)
    moved = True
    trial = np.empty_like(errors)
    while moved:
        moved = False
        for i in range(d):
            best, one, other, two = cost * _GAIN, -1, -1, 0
            for k in range(num[i]):
                room = left[0] + sizes[i, chosen[i]] - sizes[i, k]
                step = weights[i] - sums[i, k] - off[i]
                trial[:] = errors + step * columns[i]
                value = size_of(trial, norm)
                if room >= 0 and value < best:
                    best, one, other = value, k, -1
                for j in range(i):
                    middle = weights[j] - off[j]
                    m, value = _best_subset(
                        trial, columns[j], middle, sums[j], sizes[j], num[j],
                        room + sizes[j, chosen[j]], norm,
                    )  # fmt: skip
                    if m >= 0 and value < best:
                        best, one, other, two = value, k, j, m
            if one < 0:
                continue
            moved, before = True, cost
            _set(columns, weights, sums, sizes, chosen, off, errors, left, i, one)
            if other >= 0:
                _set(columns, weights, sums, sizes, chosen, off, errors, left, other, two)
            cost = size_of(errors, norm)
            if not cost < before:
                return cost
    return cost


@compiled
def _set(columns, weights, sums, sizes, chosen, off, errors, left, i, k):  # type: ignore[no-untyped-def]
    left[0] += sizes[i, chosen[i]] - sizes[i, k]
    chosen[i] = k
    step = weights[i] - sums[i, k] - off[i]
    off[i] += step
    errors += step * columns[i]


@compiled
def kick(weights, sums, sizes, num, chosen, off, left, draws):  # type: ignore[no-untyped-def]
    """Move some weights by a few subsets up or down; `draws` has (weight, steps) in each row."""
    for i, steps in draws:
        k = min(max(chosen[i] + steps, 0), num[i] - 1)
        room = left[0] + sizes[i, chosen[i]] - sizes[i, k]
        if room >= 0:
            left[0] = room
            chosen[i] = k
            off[i] = weights[i] - sums[i, k]


@compiled
def search(  # type: ignore[no-untyped-def]
    columns, gram, weights, sums, sizes, num, norm, budget, chosen, draws, num_kicked
):
    """Descend from `chosen`, then kick the best and descend again, once for each of `draws`.

    Returns the subsets chosen and the norm, squared for norm 2.
    """
    off, left = weights.copy(), np.array([budget])
    for i in range(len(weights)):
        off[i] = weights[i] - sums[i, chosen[i]]
        left[0] -= sizes[i, chosen[i]]
    least, best, best_left = np.inf, chosen.copy(), left[0]
    for turn in range(-1, len(draws)):
        if turn >= 0:
            chosen[:] = best
            left[0] = best_left
            for i in range(len(weights)):
                off[i] = weights[i] - sums[i, chosen[i]]
            kick(weights, sums, sizes, num, chosen, off, left, draws[turn, : num_kicked[turn]])
        if norm == 2.0:
            pull = gram @ off
            cost = descend_squares(gram, weights, sums, sizes, num, chosen, off, pull, left)
        else:
            errors = columns.T @ off
            cost = descend_norm(columns, weights, sums, sizes, num, chosen, off, errors, left, norm)
        if cost < least:
            least, best_left = cost, left[0]
            best[:] = chosen
    return best, least
