"""Compiled linear relaxations of data-aware neurons in norm 1 and inf: a dual simplex over boxes.

Every weight may be off by any number between two ends:

    norm inf:  min e       with  u = e + Z off ≥ 0,  v = e − Z off ≥ 0
    norm 1:    min Σ p + q  with  p − q = Z off,  p, q ≥ 0

The program is a dictionary, basic variables in terms of the others, dense and small enough to stay
in the cache. Its reduced costs do not depend on the ends: after any change of the boxes the
dictionary is a place to go on from, so a tree of boxes is searched with one dictionary, wherever it
jumps. What it says is never believed: `dual` reads a vector y with dual norm ≤ 1 off it, and
‖Z off‖ ≥ yᵀ Z off is true for any such y (Neumaier and Shcherbina, Math. Programming 2004).
"""

from typing import NamedTuple

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.compiled import compiled
from solvers.heuristic.neuron_moves import size_of

_INFEASIBLE = 1e-9
_PIVOT = 1e-9
"""Smaller numbers are none: the first relative to the objective, the second in a dictionary."""


class Dictionary(NamedTuple):
    """Basic variables in terms of the others.

    The first d variables are what weights are off by; then come e, u and v, or p and q.
    """

    entries: FloatArray
    """Shape (basic, others)."""
    basic: IntArray
    others: IntArray
    costs: FloatArray
    """What a unit of each other variable costs, shape (others,)."""
    values: FloatArray
    """Of the other variables."""
    levels: FloatArray
    """Of the basic variables."""


def num_entries(num_rows: int, d: int, norm: float) -> int:
    """Return how many numbers the dictionary of so many rows and weights holds."""
    return num_rows * (d + num_rows) if norm == 1 else 2 * num_rows * (d + 1)


@compiled
def begin(columns, norm):  # type: ignore[no-untyped-def]
    """Return the first dictionary of a neuron with inputs `columns`, shape (d, rows)."""
    d, rows = columns.shape
    if norm == 1.0:
        num_basic, num_others = rows, d + rows
    else:
        num_basic, num_others = 2 * rows, d + 1
    entries, costs = np.zeros((num_basic, num_others)), np.zeros(num_others)
    basic, others = np.arange(num_basic), np.arange(num_others)
    for t in range(rows):
        for i in range(d):
            entries[t, i] = columns[i, t]
            if norm == 1.0:
                costs[i] += columns[i, t]
            else:
                entries[rows + t, i] = -columns[i, t]
    for i in range(num_basic):
        basic[i] += d if norm == 1.0 else d + 1
        entries[i, d + i if norm == 1.0 else d] = 1.0
    for j in range(d, num_others):
        others[j] += rows if norm == 1.0 else 0
        costs[j] = 2.0 if norm == 1.0 else 1.0
    return Dictionary(entries, basic, others, costs, np.zeros(num_others), np.zeros(num_basic))


@compiled
def exchange(lp, r, c):  # type: ignore[no-untyped-def]
    """Make the other variable of column `c` basic in the place of that of row `r`."""
    row = lp.entries[r]
    inverse = 1.0 / row[c]
    for j in range(len(row)):
        row[j] *= -inverse
    row[c] = inverse
    for i in range(len(lp.basic)):
        factor = lp.entries[i, c]
        if i != r and factor != 0.0:
            entries = lp.entries[i]
            entries[c] = 0.0
            for j in range(len(row)):
                entries[j] += factor * row[j]
    factor = lp.costs[c]
    lp.costs[c] = 0.0
    for j in range(len(row)):
        lp.costs[j] += factor * row[j]
    lp.basic[r], lp.others[c] = lp.others[c], lp.basic[r]


@compiled
def solve_box(lp, low, high, cutoff, most):  # type: ignore[no-untyped-def]
    """Go to the least of a box, or until it costs `cutoff`, or for `most` exchanges.

    Returns how many exchanges were made, and the objective.
    """
    d = len(low)
    for j in range(len(lp.others)):
        k = lp.others[j]
        lp.values[j] = 0.0
        if k < d:
            down = abs(low[k]) <= abs(high[k]) if lp.costs[j] == 0.0 else lp.costs[j] > 0.0
            lp.values[j] = low[k] if down else high[k]
    ratios = np.empty(len(lp.others))
    objective = 0.0
    for turn in range(most):
        objective = 0.0
        for j in range(len(lp.others)):
            objective += lp.costs[j] * lp.values[j]
        if objective >= cutoff:
            return turn, objective
        r, missing, up = _worst(lp, low, high, _INFEASIBLE * (1.0 + objective))
        if r < 0:
            return turn, objective
        _ratios(lp, low, high, r, up, ratios)
        # weights that are worth it pass from one end of the box to the other
        c = -1
        while True:
            found, least, size = -1, np.inf, 0.0
            for j in range(len(lp.others)):
                entry = abs(lp.entries[r, j])
                if ratios[j] < least - 1e-12 or (ratios[j] <= least and entry > size):
                    found, least, size = j, ratios[j], entry
            if least == np.inf:
                return turn, objective  # nothing is left that helps: cannot be, but for rounding
            k = lp.others[found]
            if k < d:
                missing -= size * (high[k] - low[k])
            if k >= d or missing <= 0.0:
                c = found
                break
            ratios[found] = np.inf
            lp.values[found] = high[k] if lp.values[found] == low[k] else low[k]
        leaving = lp.basic[r]
        exchange(lp, r, c)
        lp.values[c] = 0.0
        if leaving < d:
            lp.values[c] = low[leaving] if up else high[leaving]
    return most, objective


@compiled
def _worst(lp, low, high, small):  # type: ignore[no-untyped-def]
    """Return the row farthest out of its bounds, by how much, and whether it must rise."""
    d = len(low)
    r, worst, up = -1, small, True
    for i in range(len(lp.basic)):
        row, total = lp.entries[i], 0.0
        for j in range(len(row)):
            total += row[j] * lp.values[j]
        lp.levels[i] = total
        k = lp.basic[i]
        if (low[k] if k < d else 0.0) - total > worst:
            r, worst, up = i, (low[k] if k < d else 0.0) - total, True
        elif k < d and total - high[k] > worst:
            r, worst, up = i, total - high[k], False
    return r, worst, up


@compiled
def _ratios(lp, low, high, r, up, ratios):  # type: ignore[no-untyped-def]
    """Write what a unit of row `r` costs by way of each other variable; infinite: not that way."""
    d = len(low)
    for j in range(len(lp.others)):
        entry, k = lp.entries[r, j], lp.others[j]
        ratios[j] = np.inf
        if abs(entry) < _PIVOT or (k < d and low[k] == high[k]):
            continue
        rises = entry > 0.0
        if k < d and lp.values[j] != low[k]:
            rises = not rises
        if rises == up:
            ratios[j] = abs(lp.costs[j] / entry)


@compiled
def penalties(lp, low, high, r):  # type: ignore[no-untyped-def]
    """Return what a unit less and a unit more of the variable of row `r` cost at least."""
    ratios = np.empty(len(lp.others))
    _ratios(lp, low, high, r, False, ratios)
    less, more = np.inf, np.inf
    for ratio in ratios:
        less = min(less, ratio)
    _ratios(lp, low, high, r, True, ratios)
    for ratio in ratios:
        more = min(more, ratio)
    return less, more


@compiled
def dual(lp, columns, norm, y, g):  # type: ignore[no-untyped-def]
    """Read y, with dual norm ≤ 1, off a dictionary, and write g = yᵀ Z."""
    d, rows = columns.shape
    if norm == 1.0:
        for t in range(rows):
            y[t] = 1.0  # where p is basic
        for k in lp.basic:
            if k >= d + rows:
                y[k - d - rows] = -1.0
        for j in range(len(lp.others)):
            t = lp.others[j] - d
            if 0 <= t < rows:
                y[t] = min(max(1.0 - lp.costs[j], -1.0), 1.0)
            elif t >= rows:
                y[t - rows] = min(max(lp.costs[j] - 1.0, -1.0), 1.0)
    else:
        for t in range(rows):
            y[t] = 0.0
        for j in range(len(lp.others)):
            t = lp.others[j] - d - 1
            if t >= rows:
                y[t - rows] += max(lp.costs[j], 0.0)
            elif t >= 0:
                y[t] -= max(lp.costs[j], 0.0)
        size = max(size_of(y, 1.0), 1.0)
        for t in range(rows):
            y[t] /= size
    for j in range(d):
        total = 0.0
        for t in range(rows):
            total += y[t] * columns[j, t]
        g[j] = total


@compiled
def renew(lp, columns, norm):  # type: ignore[no-untyped-def]
    """Rid a dictionary of rounding: build that of the same basic variables, or the first, anew."""
    d = len(columns)
    wanted = np.zeros(len(lp.basic) + len(lp.others), np.bool_)
    for k in lp.basic:
        wanted[k] = True
    fresh = begin(columns, norm)
    while True:
        r, c, size = -1, -1, 1e-11
        for i in range(len(fresh.basic)):
            if wanted[fresh.basic[i]]:
                continue
            for j in range(len(fresh.others)):
                if wanted[fresh.others[j]] and abs(fresh.entries[i, j]) > size:
                    r, c, size = i, j, abs(fresh.entries[i, j])
        if r < 0:
            break
        exchange(fresh, r, c)
    whole = True
    for k in fresh.basic:
        whole = whole and wanted[k]
    for j in range(len(fresh.others)):  # variables without an upper end must not save anything
        whole = whole and (fresh.others[j] < d or fresh.costs[j] > -1e-7)
    if not whole:
        fresh = begin(columns, norm)
    for i in range(len(lp.basic)):
        lp.basic[i] = fresh.basic[i]
        for j in range(len(lp.others)):
            lp.entries[i, j] = fresh.entries[i, j]
    for j in range(len(lp.others)):
        lp.others[j], lp.costs[j] = fresh.others[j], fresh.costs[j]
