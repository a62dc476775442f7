"""The sparsest answers of single outputs within chosen units: what every search over units asks."""

from typing import NamedTuple

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.objectives import Sparsest
from instances.shared_units import SharedUnits
from instances.subset_sum import SubsetSum
from solvers.exact.meet_in_the_middle import MAX_CANDIDATES, MeetInTheMiddle

_ROWS = 1 << 16  # solved in one go


class Answers(NamedTuple):
    """Of r outputs."""

    size: IntArray
    """Shape (r,): the fewest units that meet the target; −1 where none do."""
    mask: BoolArray
    """Shape (r, n): these units."""


class WithinUnits:
    """Finds the sparsest answers of outputs, each within units of its own, by meet-in-the-middle.

    Parameters
    ----------
    instance
        Whose outputs they are.
    threads
        As for `MeetInTheMiddle`.
    """

    def __init__(self, instance: SharedUnits, threads: int = 0) -> None:
        self._instance = instance
        self._usable = instance.usable()
        self._solver = MeetInTheMiddle(threads)
        self.start_seconds = 0.0
        """What passed before the solving began."""

    @staticmethod
    def supports(instance: SharedUnits) -> bool:
        """Whether no output has more than 48 units."""
        return int(instance.usable().sum(axis=2).max(initial=0)) <= MAX_CANDIDATES

    def all(self, units: BoolArray) -> Answers:
        """Answer every output of every block within its block's `units`, shape (b, n)."""
        b, m, _ = self._instance.shape
        blocks, outputs = np.divmod(np.arange(b * m), m)
        return self.some(blocks, outputs, units[blocks])

    def some(self, blocks: IntArray, outputs: IntArray, units: BoolArray) -> Answers:
        """Answer output `outputs[r]` of block `blocks[r]` within `units[r]`, shape (r, n)."""
        size = np.full(len(blocks), -1)
        mask = np.zeros(units.shape, np.bool_)
        for first in range(0, len(blocks), _ROWS):
            rows = slice(first, first + _ROWS)
            size[rows], mask[rows] = self._solve(blocks[rows], outputs[rows], units[rows])
        return Answers(size, mask)

    def _solve(self, blocks: IntArray, outputs: IntArray, units: BoolArray) -> Answers:
        free = units & self._usable[blocks, outputs]
        most = int(free.sum(axis=1).max(initial=0))
        order = np.argsort(~free, axis=1, kind="stable")[:, :most]  # those in question come first
        a: FloatArray = self._instance.coefficients[blocks[:, None], outputs[:, None], order]
        rows = SubsetSum(
            a,
            self._instance.targets[blocks, outputs],
            Sparsest(self._instance.tolerance),
            np.take_along_axis(free, order, axis=1),
        )
        found = self._solver.propose(rows, np.inf)
        self.start_seconds += found.stats["start_seconds"]
        mask = np.zeros(units.shape, np.bool_)
        np.put_along_axis(mask, order, found.mask, axis=1)
        return Answers(np.where(np.isfinite(found.bound), found.mask.sum(axis=1), -1), mask)


def least_cost(instance: SharedUnits, size: IntArray) -> FloatArray:
    """Return a bound on every block's cost from the sparsest sizes of its outputs, shape (b, m).

    The outputs share units at best so that those of the largest do for all; infinite where an
    output has no answer.
    """
    bound = instance.cost(size.max(axis=1), size.sum(axis=1))
    if instance.structured:
        units = size.max(axis=1)
        bound = instance.cost(units, units * instance.shape[1])
    return np.where((size < 0).any(axis=1), np.inf, bound)
