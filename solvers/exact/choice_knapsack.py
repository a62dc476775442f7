"""The multiple-choice knapsack: of every weight one size, all sizes together within a budget.

Sinha and Zoltners, "The multiple-choice knapsack problem", Oper. Res. 1979. The steps of all lower
convex hulls, the steepest first, solve the linear relaxation. A price of an edge, λ, gives a lower
bound: Σ min_k (cost_k + λ k) − λ · budget. What the steps leave of the budget is filled greedily.
Then sizes whose reduced cost exceeds the gap are out, which leaves a few weights in doubt, and for
these a dynamic program finds the optimum.
"""

import math
from typing import NamedTuple

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.compiled import compiled

_ROUNDING = 2.0**-49  # of all that is added up: some roundings of every term


class Steps(NamedTuple):
    """The steps of all hulls, the steepest first: from one size of a weight to a larger one."""

    row: IntArray
    start: IntArray
    stop: IntArray
    gain: FloatArray
    slope: FloatArray

    @property
    def edges(self) -> IntArray:
        """What each step adds."""
        return self.stop - self.start

    def sizes(self, count: int, num_rows: int) -> IntArray:
        """Return the sizes after the first `count` steps."""
        sizes = np.zeros(num_rows, np.int64)
        np.maximum.at(sizes, self.row[:count], self.stop[:count])
        return sizes


class Relaxed(NamedTuple):
    """The Lagrangian relaxation for one price of an edge."""

    price: float
    least: FloatArray
    """Shape (r,): the least cost of each row, its edges paid for."""
    total: float
    """Their sum."""
    unseen: float
    """By how much larger sizes that were not looked at are dearer, at least; it may be negative."""

    @classmethod
    def at(cls, costs: FloatArray, looked: IntArray, open_: FloatArray, price: float) -> "Relaxed":
        """Relax for `price`; `open_` is 0 where larger sizes may be better, else infinite."""
        least = _least(costs, price)
        beyond = price * looked + open_
        unseen = float((beyond - least).min())
        total = math.fsum(np.minimum(least, beyond).tolist())
        return cls(price, least, total, unseen)

    def bound(self, budget: float, excess: float = 0.0) -> float:
        """Return what no choice within `budget` costs less than, when its reduced cost is known.

        Rounding is taken off.
        """
        paid = self.price * budget
        size = abs(self.total) + excess + paid
        return self.total + excess - paid - _ROUNDING * size - 2.0**-1000


def steps(costs: FloatArray) -> Steps:
    """Return the steps of the lower convex hulls of all rows, steep before flat.

    Parameters
    ----------
    costs
        Shape (r, sizes), strictly falling along each row where not infinite; the first is finite.
    """
    r, width = costs.shape
    most = r * max(width - 1, 0)
    row, start, stop = (np.empty(most, kind) for kind in (np.int32, np.int8, np.int8))
    gain, slope = np.empty(most), np.empty(most)
    num = _hulls(costs, row, start, stop, gain, slope)
    order = np.argsort(-slope[:num], kind="stable")
    return Steps(
        row[order].astype(np.int64), start[order].astype(np.int64), stop[order].astype(np.int64),
        gain[order], slope[order],
    )  # fmt: skip


def fill(costs: FloatArray, sizes: IntArray, left: int) -> IntArray:
    """Spend `left` more edges where each of them gains most, one weight after the other."""
    sizes, rows = sizes.copy(), np.arange(len(sizes))
    width = costs.shape[1]
    while left > 0:
        now = costs[rows, sizes]
        best = (0.0, 0, 0)
        for more in range(1, min(left, width - 1) + 1):
            able = np.flatnonzero(sizes < width - more)
            if len(able) == 0:
                break
            gains = now[able] - costs[able, sizes[able] + more]
            place = int(gains.argmax())
            best = max(best, (float(gains[place]) / more, more, int(able[place])))
        if best[0] <= 0:
            break
        sizes[best[2]] += best[1]
        left -= best[1]
    return sizes


def settle(
    costs: FloatArray, relaxed: Relaxed, budget: int, gap: float, most_work: float
) -> tuple[IntArray | None, float]:
    """Find the best choice whose reduced cost is at most `gap`.

    Parameters
    ----------
    costs, relaxed
        What is relaxed, and how.
    budget
        The most edges.
    gap
        By how much a known choice may be dearer than the relaxation.
    most_work
        Steps that may be taken, with a byte for every eight; more than that and nothing is done.

    Returns
    -------
    sizes
        Those of the best choice; None where none is within the gap, or it was too much work.
    excess
        No choice has a smaller reduced cost; 0 where it was too much work.
    """
    sizes, width = np.arange(costs.shape[1]), costs.shape[1]
    paid = costs + relaxed.price * sizes
    reduced = paid - relaxed.least[:, None]
    with np.errstate(invalid="ignore"):
        allowed = reduced <= gap + 2.0**-48 * (paid + gap)
    allowed &= np.isfinite(costs)
    base = allowed.argmax(axis=1)
    capacity = budget - int(base.sum())
    if capacity < 0:
        return None, max(min(gap, relaxed.unseen), 0.0)
    core = np.flatnonzero(allowed.sum(axis=1) > 1)
    span = width - 1 - allowed[core, ::-1].argmax(axis=1) - base[core]
    cap = min(capacity, int(span.sum()))
    num_choices = len(core) * (cap + 1)
    if int(allowed[core].sum()) * (cap + 1) > most_work or 8 * num_choices > most_work:
        return None, 0.0
    fixed = np.ones(len(costs), np.bool_)
    fixed[core] = False
    rows = np.flatnonzero(fixed)
    settled = math.fsum(reduced[rows, base[rows]].tolist())
    choice = np.zeros((len(core), cap + 1), np.uint8)
    added = np.where(allowed[core], reduced[core], np.inf)
    least = _fill_table(added, base[core], span, cap, choice)
    totals = least + relaxed.price * (capacity - np.arange(cap + 1))
    spent = int(totals.argmin())
    found = settled + float(totals[spent])
    if found > gap:
        return None, max(min(gap, relaxed.unseen), 0.0)
    chosen = base.copy()
    for i in range(len(core) - 1, -1, -1):
        chosen[core[i]] += choice[i, spent]
        spent -= int(choice[i, spent])
    excess = max(min(found, relaxed.unseen), 0.0)
    return chosen, excess * (1 - (len(core) + 2) * 2.0**-52)


@compiled
def _hulls(costs, row, start, stop, gain, slope):  # type: ignore[no-untyped-def]
    """Write the steps of each row's hull and return how many they are."""
    num = 0
    for r in range(costs.shape[0]):
        first, size = num, 0
        for k in range(1, costs.shape[1]):
            if not costs[r, k] < costs[r, size]:
                continue
            begin = size
            while True:
                drop = costs[r, begin] - costs[r, k]
                steep = drop / (k - begin)
                if num == first or slope[num - 1] > steep:
                    break
                num -= 1
                begin = start[num]
            row[num], start[num], stop[num], gain[num], slope[num] = r, begin, k, drop, steep
            num += 1
            size = k
    return num


@compiled
def _least(costs, price):  # type: ignore[no-untyped-def]
    """Return the least cost of each row, `price` paid for every edge."""
    least = costs[:, 0].copy()
    for r in range(costs.shape[0]):
        for k in range(1, costs.shape[1]):
            least[r] = min(least[r], costs[r, k] + price * k)
    return least


@compiled
def _fill_table(added, base, span, cap, choice):  # type: ignore[no-untyped-def]
    """Return the least reduced cost for every number of edges beyond the bases, used up exactly.

    ``choice[i, j]`` is what row i takes of j when the rows up to it share them.
    """
    least = np.full(cap + 1, np.inf)
    least[0] = 0.0
    then = np.empty(cap + 1)
    reach = 0
    for i in range(len(base)):
        reach = min(cap, reach + span[i])
        for j in range(reach + 1):
            then[j] = np.inf
        for more in range(span[i] + 1):
            cost = added[i, base[i] + more]
            if cost < np.inf:
                for j in range(more, reach + 1):
                    total = least[j - more] + cost
                    if total < then[j]:
                        then[j] = total
                        choice[i, j] = more
        for j in range(reach + 1):
            least[j] = then[j]
    return least
