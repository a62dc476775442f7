"""Redrawing on failure: candidates of a weight that no subset hits are drawn again.

This is what the experiments of Burkholz et al. do (NeurIPS 2022, arXiv 2205.02321). It cuts the
heavy tail of random subset sums cheaply, but what is pruned then is no single network that was
drawn beforehand: which of its numbers were drawn how often depends on the target. A ticket says so.
"""

from dataclasses import replace

import numpy as np

from instances.arrays import BoolArray, IntArray
from instances.objectives import Objective
from instances.subset_sum import SubsetSum
from milp_lth.constructions.layout import Half, Layout
from milp_lth.constructions.two_layer import TwoLayer
from solvers.solve import solve

_ROWS = 20_000  # solved together


def redrawn(layout: Layout, objective: Objective) -> Layout:
    """Draw candidates again where no subset is within the tolerance, as often as the source allows.

    A row keeps the first attempt that some subset hits; one that none does keeps what was drawn
    first. That is decided exactly, so the same source and target give the same attempts.

    Raises
    ------
    ValueError
        When the objective has no tolerance: nothing fails then.
    """
    if objective.tolerance is None:
        raise ValueError("redraws need a tolerance: how far may a weight be missed?")
    assert isinstance(layout, TwoLayer)
    drawn = layout.drawn
    attempts = np.zeros((2, drawn.num_outputs, drawn.num_inputs), np.int64)
    for half in layout.halves():
        of_half = attempts[int(half.sign < 0), :, : half.num_inputs]
        for start in range(0, of_half.size, _ROWS):
            stop = min(start + _ROWS, of_half.size)
            places = np.arange(start, stop)
            found = _attempts(layout, half, objective, start, stop)
            of_half[places // half.num_inputs, places % half.num_inputs] = found
    return replace(layout, drawn=replace(drawn, attempts=attempts))


def _attempts(
    layout: TwoLayer, half: Half, objective: Objective, start: int, stop: int
) -> IntArray:
    first = layout.instance(half, objective, start, stop)
    missed = np.flatnonzero(~solve(first).feasible)
    attempts = np.zeros(stop - start, np.int64)
    for attempt in range(1, layout.drawn.source.redraws + 1):
        if len(missed) == 0:
            break
        again = SubsetSum(
            layout.redrawn(half, start + missed, attempt),
            first.targets[missed],
            objective,
            None if first.available is None else first.available[missed],
        )
        hit: BoolArray = solve(again).feasible
        attempts[missed[hit]] = attempt
        missed = missed[~hit]
    return attempts
