"""Large-neighbourhood search on data-aware neurons, in any norm, with or without a budget.

In norm 2 two weights are freed, the best pair of their subsets is found exactly, and so on until no
pair helps; then some weights are moved at random and it begins again from there, the better of both
kept. In norm 1 and inf a move of two weights seldom brings anything, since others hold the largest
error where it is: a dozen weights and more are freed at a time, drawn at random, and searched as in
interval-tree, for some hundred nodes (Shaw, CP 1998; Lourenço, Martin and Stützle 2003). To prefer
for single neurons of some hundred candidates, and to polish a `start`. Its work grows with the
square of the number of weights: for whole layers see coordinate-descent. It proves nothing.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.instance import Instance
from instances.neurons import Neurons
from solvers.cores import num_cores
from solvers.exact.box_search import BoxSearch
from solvers.heuristic.neuron_moves import nearest, search
from solvers.solver import OnEvent, Proposal, nothing_known, put_rows
from solvers.subset_sums import SubsetTables

_FAR = 2**62
_STEPS = 4  # a kick moves a weight by so many subsets at most
_MOST, _NODES, _WORK = 1 << 16, 500, 1 << 24
"""Of trees: the numbers in a dictionary, nodes, and what they come to together, at most."""


@dataclass(frozen=True)
class Lns:
    """Some weights freed and solved, many times.

    Parameters
    ----------
    kicks
        How often the best is left and returned to; in norm 1 and inf, where that costs more, a
        tenth of it: how often weights are freed.
    kicked
        Weights that a kick moves at most.
    freed
        The most weights that are freed together in norm 1 and inf; the least is half of it.
    seed
        Of the kicks.
    threads
        Neurons side by side; 0: one per core this process may use.
    """

    kicks: int = 1000
    kicked: int = 5
    freed: int = 24
    seed: int = 0
    threads: int = 0
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether they are neurons whose subset sums per weight fit in tables."""
        return isinstance(instance, Neurons) and SubsetTables.fit(instance)

    def propose(
        self,
        instance: Neurons,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Search neuron by neuron; those that the clock leaves out stay as in `start`."""
        deadline = time.monotonic() + time_limit
        rows = instance.measured()
        columns = np.ascontiguousarray(rows.T)
        gram = columns @ rows
        whole = nothing_known(instance, start)

        def one(b: int) -> tuple[int, Proposal] | None:
            if time.monotonic() >= deadline:
                return None
            neuron = instance.part(b, b + 1)
            part = nothing_known(neuron, None if start is None else start[b : b + 1])
            given = None if start is None else start[b]
            if BoxSearch.fits(neuron, _MOST):
                part.mask[0] = self._search_trees(neuron, columns, given, deadline)
            else:
                part.mask[0] = self._search(neuron, columns, gram, given)
            return b, part

        with ThreadPoolExecutor(self.threads or num_cores()) as pool:
            for found in pool.map(one, range(len(instance))):
                if found is not None:
                    put_rows(whole, *found)
                    if on_event is not None:
                        on_event(*found)
        return whole

    def _search(
        self, neuron: Neurons, columns: FloatArray, gram: FloatArray, start: BoolArray | None
    ) -> BoolArray:
        d, n = neuron.coefficients.shape[1:]
        tables = SubsetTables.of(neuron, 0)
        weights = np.array(neuron.targets[0])
        chosen = self._first(neuron, tables, start)
        draws, num_kicked = self._draws(d, neuron.norm)
        budget = _FAR if neuron.budget is None else neuron.budget
        best, _ = search(
            columns, gram, weights, tables.sums, tables.sizes, tables.num, neuron.norm, budget,
            chosen, draws, num_kicked,
        )  # fmt: skip
        return tables.mask(best, n)

    def _search_trees(
        self, neuron: Neurons, columns: FloatArray, start: BoolArray | None, deadline: float
    ) -> BoolArray:
        d, n = neuron.coefficients.shape[1:]
        tables = SubsetTables.of(neuron, 0)
        mask = tables.mask(self._first(neuron, tables, start), n)
        search = BoxSearch.begin(neuron, columns, mask)
        num_nodes = min(_NODES, _WORK // (1 + search.lp.entries.size))
        rng = np.random.default_rng(self.seed)
        for turn in range(self.kicks // 10):
            fewer = rng.integers(self.freed // 2, self.freed + 1)
            freed = rng.permutation(d)[: fewer if turn else self.freed]
            first, last = search.best.chosen.copy(), search.best.chosen.copy()
            first[freed], last[freed] = 0, tables.num[freed] - 1
            search.open(first, last)
            done = search.go(num_nodes)
            if (done and len(freed) == d) or time.monotonic() >= deadline:
                break
        return tables.mask(search.best.chosen, n)

    def _first(self, neuron: Neurons, tables: SubsetTables, start: BoolArray | None) -> IntArray:
        """Return where to begin: `start`, or every weight's nearest sum, or nothing kept."""
        coefficients, targets = neuron.coefficients[0], neuron.targets[0]
        if start is not None and neuron.evaluate(start[None])[1][0] == 0:
            return tables.chosen(start.reshape(coefficients.shape), coefficients)
        pairs = zip(tables.sums, tables.num, targets, strict=True)
        chosen = np.array([nearest(*pair) for pair in pairs], np.int64)
        kept = int(tables.sizes[np.arange(len(chosen)), chosen].sum())
        if neuron.budget is not None and kept > neuron.budget:
            return tables.chosen(np.zeros(coefficients.shape, np.bool_), coefficients)
        return chosen

    def _draws(self, d: int, norm: float) -> tuple[IntArray, IntArray]:
        """Draw all kicks: (kicks, kicked, 2), and how many weights each moves."""
        rng = np.random.default_rng(self.seed)
        kicks = self.kicks if norm == 2 else self.kicks // 10
        which = rng.integers(d, size=(kicks, self.kicked))
        steps = rng.integers(-_STEPS, _STEPS + 1, size=which.shape)
        return np.stack([which, steps], axis=2), rng.integers(2, self.kicked + 1, size=kicks)
