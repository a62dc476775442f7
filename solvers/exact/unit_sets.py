"""Shared units, exactly: which sets of units meet every output, all 2ⁿ of them at once.

Whether a set of units is enough for an output is a bit; so 24 units are 2 MB per output. First the
subsets whose sum meets the target are marked: those of the first half of the units are sorted by
their sums, and for each subset of the second half the ones that fit lie next to each other. Then
every set that contains a marked subset is marked too, one unit after the other, 64 sets in a word.
The sets marked for all outputs are those that are feasible; the smallest is the optimum. Where
edges cost something, too, the size of the smallest subset takes the place of the bit. All sums are
compared in integers.

Where units are pruned whole, a set is feasible when its sums meet all outputs; the windows of one
output name those that the others are to be looked at for.

Sources: Horowitz & Sahni (1974) for the halves; the closure under supersets is Yates' (1937).
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from instances.arrays import BoolArray, IntArray
from instances.instance import Instance
from instances.shared_units import SharedUnits
from solvers.cores import num_cores
from solvers.exact.scaling import Scaled, scale
from solvers.exact.unit_set_kernels import MAX_EDGES, edges_by_units, fewest_shared, fewest_whole
from solvers.exact.within_units import WithinUnits, least_cost
from solvers.solver import OnEvent, Proposal, Reported, nothing_known

MAX_UNITS = 28
"""Units of a block: its tables take 64 MB for every thread, or 256 kB per
output where units are pruned whole."""

MAX_WITH_EDGES = 24
"""The same where edges cost something: 48 MB for every thread."""


@dataclass(frozen=True)
class UnitSets:
    """Exact solver for blocks of few units.

    Among equal answers the smallest set of units wins, read as an integer with bit h = unit h. A
    block whose numbers do not fit in 64 bits is left unproven.

    Parameters
    ----------
    threads
        How many blocks are solved side by side; 0: one per core this process may use.
    """

    threads: int = 0
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether no block has more than 28 units; 24 where edges cost something by themselves."""
        if not isinstance(instance, SharedUnits):
            return False
        most = int(instance.usable_units().sum(axis=1).max())
        if instance.edge_cost and not instance.structured:
            return most <= MAX_WITH_EDGES and most * instance.shape[1] <= MAX_EDGES
        return most <= MAX_UNITS

    def propose(
        self,
        instance: SharedUnits,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve every block to proven optimality; those the clock leaves out get a bound."""
        deadline = time.monotonic() + time_limit
        began = time.perf_counter()
        _compile()
        compiled = time.perf_counter() - began
        whole = nothing_known(instance, start)
        b, m, n = instance.shape
        usable = instance.usable()
        within = WithinUnits(instance, self.threads)
        alone = within.all(instance.usable_units())
        whole.stats["start_seconds"] = compiled + within.start_seconds
        whole.bound[:] = least_cost(instance, alone.size.reshape(b, m))
        if start is None and not instance.structured:
            whole.mask[:] = alone.mask.reshape(b, m * n)
        if on_event is not None:
            on_event(0, whole)
        scaled = scale(instance.sums())

        def solve_block(i: int) -> int:
            if np.isfinite(whole.bound[i]) and time.monotonic() < deadline:
                _solve_block(instance, i, scaled, usable[i], whole, within)
            return i

        with ThreadPoolExecutor(min(self.threads or num_cores(), b)) as pool:
            for i in pool.map(solve_block, range(b)):
                if on_event is not None:
                    on_event(i, _row(whole, i))
        proven = np.isposinf(whole.bound)
        whole.reported.status[proven] = "infeasible"
        whole.reported.bound[:] = whole.bound
        return whole


def _solve_block(
    instance: SharedUnits,
    i: int,
    scaled: Scaled,
    usable: BoolArray,
    whole: Proposal,
    within: WithinUnits,
) -> None:
    m = instance.shape[1]
    rows = slice(i * m, (i + 1) * m)
    if not scaled.fits[rows].all():
        return
    units = np.flatnonzero(usable.any(axis=0))
    numbers = np.ascontiguousarray(scaled.coefficients[rows][:, units])
    limits = scaled.low[rows].copy(), scaled.high[rows].copy()
    code, num_edges = _best_set(instance, numbers, usable[:, units], *limits)
    if code < 0:
        whole.bound[i] = np.inf
        return
    chosen = np.zeros(usable.shape[1], np.bool_)
    chosen[units[(code >> np.arange(len(units)) & 1) == 1]] = True
    if instance.structured:
        whole.mask[i] = chosen
    else:
        within_chosen = np.broadcast_to(chosen, usable.shape)
        answers = within.some(np.full(m, i), np.arange(m), within_chosen)
        whole.mask[i] = answers.mask.reshape(-1)
    cost = instance.cost(np.array([chosen.sum()]), np.array([num_edges]))
    whole.bound[i] = whole.reported.objective[i] = cost[0]
    whole.reported.status[i] = "optimal"


def _best_set(
    instance: SharedUnits, a: IntArray, available: BoolArray, low: IntArray, high: IntArray
) -> tuple[int, int]:
    """Return the cheapest set of units, −1 where none is feasible, and its edges if they cost."""
    if instance.structured:
        code = int(fewest_whole(a, available, low, high))
        return code, len(a) * code.bit_count()
    if instance.edge_cost == 0:
        return int(fewest_shared(a, available, low, high)), 0
    num_edges, sets = np.zeros((2, a.shape[1] + 1), np.int64)
    edges_by_units(a, available, low, high, num_edges, sets)
    sizes = np.flatnonzero(num_edges >= 0)
    if len(sizes) == 0:
        return -1, 0
    best = sizes[instance.cost(sizes, num_edges[sizes]).argmin()]
    return int(sets[best]), int(num_edges[best])


def _row(whole: Proposal, i: int) -> Proposal:
    status, objective, bound = (part[i : i + 1].copy() for part in whole.reported)
    reported = Reported(status, objective, bound)  # type: ignore[arg-type]
    return Proposal(whole.mask[i : i + 1].copy(), whole.bound[i : i + 1].copy(), reported, {})


@cache
def _compile() -> None:
    """Compile the kernels, or load them from numba's cache, by solving something small."""
    numbers, bound = np.ones((1, 1), np.int64), np.ones(1, np.int64)
    for kernel in (fewest_shared, fewest_whole):
        kernel(numbers, np.ones((1, 1), np.bool_), bound, bound)
    edges_by_units(numbers, np.ones((1, 1), np.bool_), bound, bound, *np.zeros((2, 2), np.int64))
