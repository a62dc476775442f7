"""Sphere decoding: the exact solver for data-aware neurons in norm 2.

In the inputs' QR factorisation the squared error is a sum over weights, each term depending on that
weight and those after it alone. So weights are fixed from the last to the first; at each, the sums
of its subsets are tried from the one nearest to what the fixed ones ask for, and a branch is left
as soon as its partial sum is no better than the best answer: Schnorr and Euchner's enumeration
(Math. Programming 1994), on axes of subset sums instead of integers. To prefer up to some hundred
candidates: time grows exponentially with the number of weights, hardly with candidates per weight.
Agrell, Eriksson, Vardy and Zeger (IEEE Trans. Inf. Theory 2002),
https://doi.org/10.1109/TIT.2002.800499
"""

import math
import time
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.compiled import compiled
from instances.instance import Instance
from instances.neurons import Neurons
from solvers.heuristic.lns import Lns
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal, Reported
from solvers.subset_sums import SubsetTables

_NODES = 4_000_000
"""Between two looks at the clock: some tenths of a second."""


@dataclass(frozen=True)
class Sphere:
    """Sphere decoder, one neuron after the other.

    Parameters
    ----------
    kicks
        Of the large-neighbourhood search that gives the first answer: the closer it is to the
        optimum, the fewer branches are entered. 0: none.
    """

    kicks: int = 200
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether they are neurons in norm 2 whose subset sums per weight fit in tables."""
        return isinstance(instance, Neurons) and instance.norm == 2 and SubsetTables.fit(instance)

    def propose(
        self,
        instance: Neurons,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve neuron by neuron, each with its share of the time that is left."""
        rows = instance.measured()

        def propose_neuron(b: int, seconds: float) -> Proposal:
            deadline = time.monotonic() + seconds
            neuron = instance.part(b, b + 1)
            given = None if start is None else start[b : b + 1]
            if self.kicks:
                given = Lns(kicks=self.kicks, threads=1).propose(neuron, seconds, start=given).mask
            return _propose(neuron, rows, deadline, None if given is None else given[0])

        return row_by_row(instance, time_limit, propose_neuron, start=start, on_event=on_event)


class Triangle(NamedTuple):
    """A QR factorisation whose columns were put in order."""

    r: FloatArray
    """Shape (d, d), upper."""
    order: IntArray
    """Column k of `r` is that of input ``order[k]``."""


def triangle(rows: FloatArray, misses: FloatArray) -> Triangle:
    """Factorise `rows`, shape (number, d), so that the weights that cost most come last.

    The last weight is fixed first: the more it costs, the sooner a wrong choice is seen. Columns
    are taken by the least length of what is left of them (Wübben et al., Electronics Letters 2001),
    times what the weight misses its target by when alone, `misses`: one that no sum comes close to
    must be paid for in any case, and what is left to the others is then known from the start. A
    column that depends on those before it gets a diagonal entry of 0.
    """
    left = rows * misses
    d = rows.shape[1]
    order = np.arange(d)
    for k in range(d):
        lengths = (left[:, order[k:]] ** 2).sum(axis=0)
        nearest = k + int(lengths.argmin())
        order[[k, nearest]] = order[[nearest, k]]
        direction = left[:, order[k]].copy()
        length = math.sqrt(float(direction @ direction))
        if length > 0:
            direction /= length
            left[:, order[k:]] -= np.outer(direction, direction @ left[:, order[k:]])
    padded = np.zeros((max(d, len(rows)), d))
    padded[: len(rows)] = rows[:, order]
    r = np.ascontiguousarray(np.linalg.qr(padded).R)
    nothing = np.abs(np.diag(r)) < 1e-14 * np.abs(r).max(initial=0.0)
    r[nothing, nothing] = 0.0
    return Triangle(r, order)


def _propose(
    instance: Neurons, rows: FloatArray, deadline: float, start: BoolArray | None
) -> Proposal:
    tables = SubsetTables.of(instance, 0)
    factor = triangle(rows, tables.misses(instance.targets[0]))
    n = instance.coefficients.shape[2]
    walk = Walk.begin(
        instance, tables, factor, math.inf if start is None else _square(instance, start)
    )
    while not (done := walk.go(_NODES)):
        if time.monotonic() >= deadline:
            break
    mask = walk.mask(n) if walk.found[0] or start is None else start
    objective = math.sqrt(_square(instance, mask))
    bound = objective if done else math.sqrt(min(walk.limit[0], walk.open_cost()))
    bound = min(bound, objective)
    status = np.array(["complete" if done else "stopped"], "U24")
    reported = Reported(status, np.array([objective]), np.array([bound]))
    stats = {"nodes": float(walk.nodes[0])}
    return Proposal(mask[None].copy(), bound - instance.slack / 2, reported, stats)


def _square(instance: Neurons, mask: BoolArray) -> float:
    """Return the squared objective, infinite where the budget is not kept."""
    objective, violation = instance.evaluate(mask[None])
    return math.inf if violation[0] > 0 else float(objective[0]) ** 2


class Walk(NamedTuple):
    """An enumeration and where it stands: arrays, since compiled code goes on from there."""

    r: FloatArray
    weights: FloatArray
    tables: SubsetTables
    order: IntArray
    best: IntArray
    limit: FloatArray
    """The best squared error so far, shape (1,)."""
    found: BoolArray
    nodes: IntArray
    level: IntArray
    low: IntArray
    """The next subset of each level below its centre; `high`: the one above."""
    high: IntArray
    beyond: FloatArray
    """What the fixed weights add to each level's error."""
    cost: FloatArray
    """Squared errors of the levels from each on; one entry more, 0."""
    left: IntArray
    """What the budget leaves to the levels below each; one entry more."""
    chosen: IntArray
    off: FloatArray

    @classmethod
    def begin(cls, instance: Neurons, tables: SubsetTables, factor: Triangle, limit: float) -> Self:
        """Stand before the last weight of a batch's first neuron."""
        d = len(factor.order)
        budget = 2**62 if instance.budget is None else instance.budget
        walk = cls(
            factor.r,
            np.ascontiguousarray(instance.targets[0, factor.order]),
            tables.taken(factor.order),
            factor.order,
            np.zeros(d, np.int64),
            np.array([limit]),
            np.zeros(1, np.bool_),
            np.zeros(1, np.int64),
            np.array([d - 1]),
            np.zeros(d, np.int64),
            np.zeros(d, np.int64),
            np.zeros(d),
            np.zeros(d + 1),
            np.full(d + 1, budget),
            np.zeros(d, np.int64),
            np.zeros(d),
        )
        _enter(walk.r, walk.weights, walk.tables.sums, walk.tables.num, d - 1, walk.low, walk.high,
               walk.beyond, walk.off)  # fmt: skip
        return walk

    def go(self, num_nodes: int) -> bool:
        """Go on for so many nodes; return whether nothing is left."""
        tables = self.tables
        return bool(
            _walk(self.r, self.weights, tables.sums, tables.sizes, tables.num, *self[4:], num_nodes)
        )

    def mask(self, num_candidates: int) -> BoolArray:
        """Return the best mask, in the order of the inputs."""
        back = np.argsort(self.order)
        return self.tables.taken(back).mask(self.best[back], num_candidates)

    def open_cost(self) -> float:
        """Return a squared error that nothing which is left to try falls below."""
        least = math.inf
        for i in range(self.level[0], len(self.weights)):
            for k in (self.low[i], self.high[i]):
                if 0 <= k < self.tables.num[i]:
                    off = self.weights[i] - self.tables.sums[i, k]
                    least = min(
                        least, self.cost[i + 1] + (self.r[i, i] * off + self.beyond[i]) ** 2
                    )
        return float(least)


@compiled
def _enter(r, weights, sums, num, i, low, high, beyond, off):  # type: ignore[no-untyped-def]
    """Find where the subsets of level `i` begin, given those of the levels after it."""
    total = 0.0
    for j in range(i + 1, len(weights)):
        total += r[i, j] * off[j]
    beyond[i] = total
    centre = weights[i]
    if r[i, i] != 0.0:
        centre += total / r[i, i]
    high[i] = np.searchsorted(sums[i, : num[i]], centre)
    low[i] = high[i] - 1


@compiled
def _walk(  # type: ignore[no-untyped-def]
    r, weights, sums, sizes, num, best, limit, found, nodes, level, low, high, beyond, cost, left,
    chosen, off, num_nodes,
):  # fmt: skip
    """Walk on for `num_nodes` subsets; return whether the enumeration is complete."""
    d = len(weights)
    i = level[0]
    for _ in range(num_nodes):
        if i == d:
            break
        nodes[0] += 1
        down = up = np.inf
        if low[i] >= 0:
            down = abs(r[i, i] * (weights[i] - sums[i, low[i]]) + beyond[i])
        if high[i] < num[i]:
            up = abs(r[i, i] * (weights[i] - sums[i, high[i]]) + beyond[i])
        error = min(down, up)
        total = cost[i + 1] + error * error
        if not total < limit[0]:  # those farther off are no better; nor is an empty level
            i += 1
            continue
        if down <= up:
            k = low[i]
            low[i] -= 1
        else:
            k = high[i]
            high[i] += 1
        if sizes[i, k] > left[i + 1]:
            continue
        chosen[i] = k
        off[i] = weights[i] - sums[i, k]
        if i == 0:
            limit[0] = total
            best[:] = chosen
            found[0] = True
            continue
        cost[i] = total
        left[i] = left[i + 1] - sizes[i, k]
        i -= 1
        _enter(r, weights, sums, num, i, low, high, beyond, off)
    level[0] = i
    return i == d
