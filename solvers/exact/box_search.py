"""Compiled search of a tree of boxes: which subset sums each weight of a neuron may still take.

A node is a range of subsets for every weight, in the order of their sums. Its linear relaxation
gives a vector y, and with it a bound that rounding alone can make false; the same vector tells
which ends of ranges cost too much. What is left is split at one weight, where the relaxation lies
between two of its sums.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self, TypeGuard

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.compiled import compiled
from instances.instance import Instance
from instances.neurons import Neurons
from solvers.exact.box_lp import Dictionary, begin, dual, num_entries, penalties, renew, solve_box
from solvers.heuristic.neuron_moves import nearest, size_of
from solvers.subset_sums import SubsetTables

_EXCHANGES = 500  # at a node: beyond that the bound is taken as it is
_LASTS = 100  # nodes that a dictionary lasts
NO_BUDGET = 2**62
_MOST = 1 << 21  # numbers in a dictionary: beyond that, an exchange takes milliseconds
_INTEGRAL = 1e-9
_CUT = 1e-6  # what a penalty counts at least: a product with 0 would not tell nodes apart

_DONE, _STOPPED, _FULL = 0, 1, 2


class Open(NamedTuple):
    """The nodes that are still to be searched, the last one first."""

    first: IntArray
    """First subsets of the ranges, shape (places, d)."""
    last: IntArray
    bounds: FloatArray
    """Nothing in a node is below, shape (places,)."""
    num: IntArray
    """How many nodes there are, shape (1,)."""


class Best(NamedTuple):
    """The best subsets found, and what was done for them."""

    chosen: IntArray
    limit: FloatArray
    """Their norm, or that of the start; only what is below it is looked for. Shape (1,)."""
    nodes: IntArray
    """Shape (1,)."""


@dataclass
class BoxSearch:
    """A neuron in norm 1 or inf, and what is still to be searched for better subsets."""

    columns: FloatArray
    """Of the inputs, shape (d, rows)."""
    norm: float
    weights: FloatArray
    tables: SubsetTables
    budget: int
    slack: float
    nodes: Open
    best: Best
    lp: Dictionary

    @staticmethod
    def fits(instance: Instance, most: int = _MOST) -> TypeGuard[Neurons]:
        """Whether they are neurons in such a norm whose tables fit, and `most` entries suffice."""
        if not (isinstance(instance, Neurons) and instance.linear and SubsetTables.fit(instance)):
            return False
        samples, d = instance.inputs.shape
        num_rows = samples + (d if instance.ridge > 0 else 0)
        return num_entries(num_rows, d, instance.norm) <= most

    @classmethod
    def begin(cls, instance: Neurons, columns: FloatArray, mask: BoolArray) -> Self:
        """Stand before a batch's first neuron, to improve upon a mask that it allows."""
        tables, weights = SubsetTables.of(instance, 0), np.array(instance.targets[0])
        d, n = instance.coefficients.shape[1:]
        chosen = tables.chosen(mask.reshape(d, n), instance.coefficients[0])
        off = weights - tables.sums[np.arange(d), chosen]
        budget = instance.budget
        if budget is None or budget >= instance.num_candidates:
            budget = NO_BUDGET
        ranges, places = np.zeros((8 * d + 8, d), np.int64), np.zeros(8 * d + 8)
        nodes = Open(ranges, ranges.copy(), places, np.zeros(1, np.int64))
        limit = np.array([size_of(off @ columns, instance.norm)])
        best = Best(chosen, limit, np.zeros(1, np.int64))
        lp = begin(columns, instance.norm)
        slack = float(instance.slack[0]) / 4
        return cls(columns, instance.norm, weights, tables, budget, slack, nodes, best, lp)

    def open(self, first: IntArray, last: IntArray) -> None:
        """Leave all nodes for one with these ranges of subsets."""
        self.nodes.first[0], self.nodes.last[0], self.nodes.bounds[0] = first, last, 0.0
        self.nodes.num[0] = 1

    def go(self, num_nodes: int) -> bool:
        """Go on for so many nodes; return whether nothing is left."""
        until = self.best.nodes[0] + num_nodes
        while True:
            result = search_boxes(
                self.lp, self.columns, self.norm, self.weights, self.tables, self.budget,
                self.slack, self.nodes, self.best, until - self.best.nodes[0],
            )  # fmt: skip
            if result != _FULL:
                return bool(result == _DONE)
            first, last, bounds, num = self.nodes
            ranges = np.zeros_like(first)  # as many places again
            self.nodes = Open(
                np.concatenate([first, ranges]),
                np.concatenate([last, ranges]),
                np.concatenate([bounds, np.zeros_like(bounds)]),
                num,
            )

    def bound(self) -> float:
        """Return what no choice falls below."""
        return float(min([self.best.limit[0], *self.nodes.bounds[: self.nodes.num[0]]]))


@compiled
def search_boxes(lp, columns, norm, weights, tables, budget, slack, nodes, best, num_nodes):  # type: ignore[no-untyped-def]
    """Search so many nodes; return whether all is done, or no place is left.

    `columns` is (d, rows), `lp` any dictionary of theirs. What is less than `slack` better than
    the best is not looked for.
    """
    d, rows = columns.shape
    low, high, point, y, g = np.empty(d), np.empty(d), np.empty(d), np.empty(rows), np.empty(d)
    chosen, a, b = np.empty(d, np.int64), np.empty(d, np.int64), np.empty(d, np.int64)
    for _ in range(num_nodes):
        if nodes.num[0] == 0:
            return _DONE
        if nodes.num[0] + 1 > len(nodes.bounds) - 1:
            return _FULL
        nodes.num[0] -= 1
        place = nodes.num[0]
        bound = nodes.bounds[place]
        for i in range(d):
            a[i], b[i] = nodes.first[place, i], nodes.last[place, i]
        limit = best.limit[0] - slack
        if bound >= limit or not affordable(tables, budget, a, b):
            continue
        best.nodes[0] += 1
        if best.nodes[0] % _LASTS == 0:
            renew(lp, columns, norm)
        value = bound_box(lp, columns, norm, weights, tables, a, b, limit, low, high, y, g)
        bound = max(bound, value)
        if bound >= limit:
            continue
        tighten(weights, tables, g, low, high, limit - value, a, b)
        _point(lp, point)
        branch, cut, down = _split(lp, weights, tables, low, high, point, a, b, chosen)
        if branch < 0:
            _take(columns, norm, weights, tables, budget, chosen, best, y)
            branch = 0
            for i in range(d):
                if b[i] - a[i] > b[branch] - a[branch]:
                    branch = i
            if a[branch] == b[branch]:
                continue
            cut, down = min(chosen[branch], b[branch] - 1), True
        for turn in range(2):  # the side that is searched first comes last
            place = nodes.num[0]
            for i in range(d):
                nodes.first[place, i], nodes.last[place, i] = a[i], b[i]
            if (turn == 1) == down:
                nodes.last[place, branch] = cut
            else:
                nodes.first[place, branch] = cut + 1
            nodes.bounds[place] = bound
            nodes.num[0] += 1
    return _STOPPED


@compiled
def _take(columns, norm, weights, tables, budget, chosen, best, errors):  # type: ignore[no-untyped-def]
    """Keep a choice if it is the best; `errors` is scratch."""
    kept = 0
    for t in range(len(errors)):
        errors[t] = 0.0
    for i in range(len(chosen)):
        kept += tables.sizes[i, chosen[i]]
        off = weights[i] - tables.sums[i, chosen[i]]
        for t in range(len(errors)):
            errors[t] += off * columns[i, t]
    value = size_of(errors, norm)
    if kept <= budget and value < best.limit[0]:
        best.limit[0] = value
        for i in range(len(chosen)):
            best.chosen[i] = chosen[i]


@compiled
def affordable(tables, budget, a, b):  # type: ignore[no-untyped-def]
    """Take ends off ranges whose subsets the budget does not allow; False if none is left."""
    d = len(a)
    if budget >= NO_BUDGET:
        return True
    fewest, total = np.empty(d, np.int64), 0
    for i in range(d):
        fewest[i] = tables.sizes[i, a[i]]
        for k in range(a[i] + 1, b[i] + 1):
            fewest[i] = min(fewest[i], tables.sizes[i, k])
        total += fewest[i]
    if total > budget:
        return False
    for i in range(d):
        room = budget - total + fewest[i]
        while tables.sizes[i, a[i]] > room:
            a[i] += 1
        while tables.sizes[i, b[i]] > room:
            b[i] -= 1
    return True


@compiled
def bound_box(lp, columns, norm, weights, tables, a, b, limit, low, high, y, g):  # type: ignore[no-untyped-def]
    """Return what no choice within ranges of subsets falls below, whatever the relaxation says.

    Writes the ends of what weights are off by, and g: the norm is at least g · off.
    """
    for i in range(len(a)):
        low[i] = weights[i] - tables.sums[i, b[i]]
        high[i] = weights[i] - tables.sums[i, a[i]]
    _, objective = solve_box(lp, low, high, limit, _EXCHANGES)
    dual(lp, columns, norm, y, g)
    bound = 0.0
    for i in range(len(a)):
        bound += min(g[i] * low[i], g[i] * high[i])
    if bound < limit <= objective:  # it claims more than it proves
        renew(lp, columns, norm)
    return bound


@compiled
def tighten(weights, tables, g, low, high, room, a, b):  # type: ignore[no-untyped-def]
    """Take off ranges what costs more than `room` beyond the bound that g itself gives."""
    for i in range(len(a)):
        if g[i] > 0.0:
            while a[i] < b[i] and g[i] * (weights[i] - tables.sums[i, a[i]] - low[i]) > room:
                a[i] += 1
        else:
            while a[i] < b[i] and g[i] * (weights[i] - tables.sums[i, b[i]] - high[i]) > room:
                b[i] -= 1


@compiled
def _point(lp, point):  # type: ignore[no-untyped-def]
    for j in range(len(lp.others)):
        if lp.others[j] < len(point):
            point[lp.others[j]] = lp.values[j]
    for i in range(len(lp.basic)):
        if lp.basic[i] < len(point):
            point[lp.basic[i]] = lp.levels[i]


@compiled
def _split(lp, weights, tables, low, high, point, a, b, chosen):  # type: ignore[no-untyped-def]
    """Return where to split: the weight, the last subset below, and whether below is cheaper.

    The weight is the one whose two sides cost most, by their product (Driebeek, Management Science
    1966; Achterberg, Koch and Martin 2005); −1 where the relaxation is at sums everywhere. Writes
    the subsets nearest to it.
    """
    branch, cut, down, score = -1, 0, True, -1.0
    for r in range(len(lp.basic)):
        i = lp.basic[r]
        if i >= len(a) or a[i] == b[i]:
            continue
        sums, wanted = tables.sums[i], weights[i] - point[i]
        k = min(max(np.searchsorted(sums[: tables.num[i]], wanted) - 1, a[i]), b[i] - 1)
        fall, rise = wanted - sums[k], sums[k + 1] - wanted
        if min(fall, rise) < _INTEGRAL:
            continue
        more, less = penalties(lp, low, high, r)  # of a sum: it rises as what it misses falls
        fall, rise = min(fall * less, 1e9), min(rise * more, 1e9)
        product = max(fall, _CUT) * max(rise, _CUT)
        if product > score:
            branch, cut, down, score = i, k, fall <= rise, product
    if branch < 0:
        for i in range(len(a)):
            k = nearest(tables.sums[i], tables.num[i], weights[i] - point[i])
            chosen[i] = min(max(k, a[i]), b[i])
    return branch, cut, down


@compiled
def shave(columns, norm, weights, tables, budget, limit, a, b):  # type: ignore[no-untyped-def]
    """Take off both ends of every range what is proved to be no better than `limit`.

    In turn for all weights, until nothing changes. Returns a bound of what is left.
    """
    d, rows = columns.shape
    low, high, y, g = np.empty(d), np.empty(d), np.empty(rows), np.empty(d)
    lp = begin(columns, norm)
    bound, changed = 0.0, True
    while changed:
        if not affordable(tables, budget, a, b):
            return np.inf
        changed = False
        renew(lp, columns, norm)
        bound = bound_box(lp, columns, norm, weights, tables, a, b, limit, low, high, y, g)
        for i in range(d):
            for upper in (False, True):
                # how many subsets at this end are needed no more, by bisection
                least, most = 0, b[i] - a[i] + 1
                while least < most:
                    middle = (least + most + 1) // 2
                    first, last = a.copy(), b.copy()
                    if upper:
                        first[i] = b[i] - middle + 1
                    else:
                        last[i] = a[i] + middle - 1
                    value = bound_box(lp, columns, norm, weights, tables, first, last, limit, low,
                                      high, y, g)  # fmt: skip
                    if value >= limit:
                        least = middle
                    else:
                        most = middle - 1
                if least == b[i] - a[i] + 1:
                    return np.inf
                changed = changed or least > 0
                if upper:
                    b[i] -= least
                else:
                    a[i] += least
    return bound
