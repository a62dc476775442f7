"""Interval tree: the exact solver for data-aware neurons in norm 1 and inf.

Branch and bound over the subsets of each weight in the order of their sums. A node allows every
weight a range of subsets; its linear relaxation allows all numbers between the ends, and where it
puts a weight between two sums, the range is split there: one decision for all subsets on either
side, where a program with a binary for every candidate makes one about a candidate. Bounds are
recomputed from the relaxation's dual vector, so they are true up to the rounding of their sums,
whatever became of the relaxation. To prefer up to some two hundred candidates: twenty inputs of
five candidates take milliseconds. Of a budget it only knows what must be kept in any case: where
that is tight see subset-choice.
Land and Doig (Econometrica 1960), https://doi.org/10.2307/1910129; on branching over ordered sets
Beale and Tomlin (Operational Research 69, 1970).
"""

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance
from instances.neurons import Neurons
from solvers.exact.box_search import BoxSearch
from solvers.heuristic.lns import Lns
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal, Reported

_WORK = 1 << 22
"""Nodes times numbers in a dictionary between two looks at the clock: hundredths of a second."""


@dataclass(frozen=True)
class IntervalTree:
    """Branch and bound over ranges of subset sums, one neuron after the other.

    Parameters
    ----------
    kicks
        Of the large-neighbourhood search that gives the first answer.
    """

    kicks: int = 200
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether they are neurons in norm 1 or inf whose tables fit."""
        return BoxSearch.fits(instance)

    def propose(
        self,
        instance: Neurons,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve neuron by neuron, each with its share of the time that is left."""
        columns = np.ascontiguousarray(instance.measured().T)

        def propose_neuron(b: int, seconds: float) -> Proposal:
            deadline = time.monotonic() + seconds
            neuron = instance.part(b, b + 1)
            given = None if start is None else start[b : b + 1]
            found = Lns(kicks=self.kicks, threads=1).propose(neuron, seconds, start=given).mask
            return _propose(neuron, columns, deadline, found[0])

        return row_by_row(instance, time_limit, propose_neuron, start=start, on_event=on_event)


def _propose(instance: Neurons, columns: FloatArray, deadline: float, start: BoolArray) -> Proposal:
    if instance.evaluate(start[None])[1][0] > 0:
        start = np.zeros_like(start)
    search = BoxSearch.begin(instance, columns, start)
    search.open(np.zeros_like(search.tables.num), search.tables.num - 1)
    num_nodes = 1 + _WORK // (1 + search.lp.entries.size)
    while not (done := search.go(num_nodes)):
        if time.monotonic() >= deadline:
            break
    mask = search.tables.mask(search.best.chosen, instance.coefficients.shape[2])[None]
    objective, _ = instance.evaluate(mask)
    bound = np.minimum(search.bound(), objective)
    status = np.array(["complete" if done else "stopped"], "U24")
    stats = {"nodes": float(search.best.nodes[0])}
    reported = Reported(status, objective, bound)
    return Proposal(mask, bound - instance.slack / 2, reported, stats)
