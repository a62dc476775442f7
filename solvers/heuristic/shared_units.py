"""Fewer shared units, block by block in one batch: drop one after the other, then exchange some.

A unit can go where every output that uses it has an answer without it. All these answers, of all
units, outputs and blocks, are found in one batch by meet-in-the-middle; then every block drops the
unit whose loss adds fewest edges, until none can go. Then some units are added at random, and as
many others as possible are dropped; what is not worse is kept. The bound is what the outputs need
on their own: true, and seldom met.

To prefer beyond the 28 units of `solvers.exact.unit_sets`, and where it takes too long. Where units
are pruned whole, see `solvers.heuristic.whole_units`.
"""

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.instance import Instance
from instances.shared_units import SharedUnits
from solvers.exact.within_units import WithinUnits, least_cost
from solvers.heuristic.whole_units import search_whole
from solvers.solver import OnEvent, Proposal, nothing_known


@dataclass(frozen=True)
class SharedUnitsSearch:
    """Drops and exchanges of units, for all blocks at once.

    Parameters
    ----------
    rounds
        How often units are added at random and others dropped.
    seed
        Of these draws.
    threads
        As for `MeetInTheMiddle`.
    """

    rounds: int = 20
    seed: int = 0
    threads: int = 0
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.rounds < 0:
            raise ValueError(f"{self.rounds} rounds: give a number that is not negative")

    def supports(self, instance: Instance) -> bool:
        """Whether they are shared units, at most 48 of them available to an output."""
        return isinstance(instance, SharedUnits) and WithinUnits.supports(instance)

    def propose(
        self,
        instance: SharedUnits,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose masks, and as a bound what the outputs need on their own."""
        deadline = time.monotonic() + time_limit
        whole = nothing_known(instance, start)
        b, m, _ = instance.shape
        within = WithinUnits(instance, self.threads)
        alone = within.all(instance.usable_units())
        whole.stats["start_seconds"] = within.start_seconds
        whole.bound[:] = least_cost(instance, alone.size.reshape(b, m))
        if instance.structured:
            whole.mask[:] = search_whole(instance, whole.mask, self.rounds, self.seed, deadline)
            if on_event is not None:
                on_event(0, whole)
            return whole
        edges = alone.mask.reshape(instance.shape)
        if start is not None:
            edges = _better(instance, edges, instance.edges(start))
        search = _Search(instance, within, deadline)
        for k in range(self.rounds + 2):
            whole.mask[:] = edges.reshape(whole.mask.shape)
            if on_event is not None:
                on_event(0, whole)
            improvable = np.isfinite(whole.bound) & (_costs(instance, edges) > whole.bound)
            open_ = np.flatnonzero(improvable)
            if len(open_) == 0 or k > self.rounds or time.monotonic() > deadline:
                break
            # the same draws for all blocks: none depends on its neighbours
            rng = np.random.default_rng([self.seed, k])
            if k == 0:
                units = instance.usable_units()[open_]
                edges[open_] = search.drop(open_, edges[open_], units, rng)
            else:
                edges[open_] = search.exchange(open_, edges[open_], rng)
        return whole


class _Search:
    """Drops and exchanges for some blocks of an instance."""

    def __init__(
        self,
        instance: SharedUnits,
        within: WithinUnits,
        deadline: float,
    ) -> None:
        self._instance = instance
        self._within = within
        self._deadline = deadline

    def drop(
        self,
        blocks: IntArray,
        edges: BoolArray,
        units: BoolArray,
        rng: np.random.Generator,
        protected: BoolArray | None = None,
    ) -> BoolArray:
        """Drop units, one a block at a time, while that makes it cheaper; return the edges.

        Parameters
        ----------
        blocks
            Which blocks, shape (g,).
        edges
            Feasible answers to them, shape (g, m, n).
        units
            Those that answers may come to use, shape (g, n).
        rng
            What decides among units whose loss adds as many edges.
        protected
            Those that must not be dropped.
        """
        edges, units = edges.copy(), units.copy()
        needed = np.zeros(units.shape, np.bool_) if protected is None else protected.copy()
        while time.monotonic() <= self._deadline:
            g, j, h = np.nonzero(edges & (units & ~needed)[:, None, :])
            less = units[g]
            less[np.arange(len(g)), h] = False
            answers = self._within.some(blocks[g], j, less)
            lost = answers.size < 0
            needed[g[lost], h[lost]] = True  # also once others have been dropped
            more = np.zeros(units.shape, np.int64)  # edges that dropping each unit adds
            np.add.at(more, (g, h), answers.size - edges.sum(axis=2)[g, j])
            chosen, gain = self._cheapest(units & ~needed, more, rng.random((1, units.shape[1])))
            go = np.flatnonzero(gain)
            if len(go) == 0:
                break
            units[go, chosen[go]] = False
            taken = gain[g] & (h == chosen[g])
            edges[g[taken], j[taken]] = answers.mask[taken]
        return edges

    def exchange(self, blocks: IntArray, edges: BoolArray, rng: np.random.Generator) -> BoolArray:
        """Add one to three units to every block, drop others; return what is not worse."""
        used = np.asarray(edges.any(axis=1))
        spare = self._instance.usable_units()[blocks] & ~used
        draws = np.where(spare, rng.random(spare.shape[1]), 2.0)
        added = spare & (draws.argsort(axis=1).argsort(axis=1) < rng.integers(1, 4))
        units = used | added
        m = edges.shape[1]
        rows, outputs = np.divmod(np.arange(len(blocks) * m), m)
        fresh = self._within.some(blocks[rows], outputs, units[rows]).mask.reshape(edges.shape)
        tried = self.drop(blocks, fresh, units, rng.spawn(1)[0], protected=added)
        tried = self.drop(blocks, tried, np.asarray(tried.any(axis=1)), rng.spawn(1)[0])
        new, old = (_costs(self._instance, e) for e in (tried, edges))
        return np.where((new <= old)[:, None, None], tried, edges)

    def _cheapest(
        self, droppable: BoolArray, more: IntArray, chance: FloatArray
    ) -> tuple[IntArray, BoolArray]:
        """Return for every block the unit whose loss adds fewest edges, and whether it pays."""
        instance = self._instance
        worth = droppable & (instance.unit_cost - instance.edge_cost * more >= 0)
        key = np.where(worth, more + 0.5 * chance, np.inf)
        return np.asarray(key.argmin(axis=1)), np.asarray(worth.any(axis=1))


def _costs(instance: SharedUnits, edges: BoolArray) -> FloatArray:
    return instance.cost(edges.any(axis=1).sum(axis=1), edges.sum(axis=(1, 2)))


def _better(instance: SharedUnits, mine: BoolArray, given: BoolArray) -> BoolArray:
    """Return for every block `given` where it is the better answer, else `mine`."""
    shape = (len(instance), instance.num_candidates)
    (cost, excess), (given_cost, given_excess) = (
        instance.evaluate(edges.reshape(shape)) for edges in (mine, given)
    )
    better = (given_excess < excess) | ((given_excess == excess) & (given_cost < cost))
    return np.where(better[:, None, None], given, mine)
