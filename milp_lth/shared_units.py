"""Tickets with few hidden units: all outputs of an input share those that it keeps.

In the two-layer construction the units of an input are candidates of every output. Solved weight by
weight, each output picks its own, and together they need nearly all. Here they agree on as few
units as meet all weights of the input; a unit that nobody keeps is gone from both matrices.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

from instances.arrays import BoolArray
from instances.shared_units import SharedUnits
from milp_lth.constructions.two_layer import TwoLayer
from milp_lth.reduction import Part, Reduction
from solvers.solve import solve
from solvers.solver import Solver


@dataclass(frozen=True)
class PartUnits:
    """Hidden units and second-layer edges of one half of one layer."""

    name: str
    num_drawn: int
    """Units that serve this half."""
    num_alone: int
    """Units in use when every weight gets its sparsest answer, whatever the others."""
    num_units: int
    """Units in use when they are shared."""
    bound: int
    """As few units as there could be, proved; those alone where a weight is out of reach."""
    edges_alone: int
    edges: int
    num_missed: int
    """Weights that no subset of their candidates meets; they got the closest one."""


@dataclass(frozen=True, eq=False)
class PrunedUnits:
    """The masks of every part, in the order that `milp_lth.assemble` takes, and what they keep.

    Attributes
    ----------
    masks
        For every part a mask of shape (rows, n).
    parts
        What was counted in every part: `num_drawn` hidden units; `num_alone` in use when every
        weight gets its sparsest answer, whatever the others; `num_units` when they are shared;
        `bound`, as few as there could be, proved; `edges_alone` and `edges` to them; and
        `num_missed`, the weights that no subset of their candidates meets.
    seconds
        What solving the shared units took; the sparsest answers not counted.
    """

    masks: tuple[BoolArray, ...]
    parts: tuple[PartUnits, ...]
    seconds: float

    def total(self, name: str) -> int:
        """Return the sum of one of the numbers over all parts.

        Raises
        ------
        AttributeError
            When `PartUnits` has no such number.
        """
        return sum(getattr(part, name) for part in self.parts)


def prune_units(
    reduction: Reduction,
    tolerance: float,
    *,
    solver: Solver | str | None = None,
    time_limit: float = math.inf,
) -> PrunedUnits:
    """Keep as few hidden units as meet every weight within `tolerance`.

    Parameters
    ----------
    reduction
        To the two-layer construction; its objective is not used.
    tolerance
        How far every weight may be missed, in units of the target's weights.
    solver
        As for `milp_lth.solve`.
    time_limit
        Seconds for all parts together; each gets the share of its weights in what is left.

    Returns
    -------
    PrunedUnits
        Masks for `milp_lth.assemble`, and counts of units and edges.

    Raises
    ------
    ValueError
        When the construction has no hidden units to share.

    Examples
    --------
    >>> import torch
    >>> from milp_lth import Source, assemble, reduce
    >>> target = torch.nn.Linear(2, 3, bias=False)
    >>> reduction = reduce(target, Source(width=16), input_range=(0, 1))
    >>> pruned = prune_units(reduction, 0.05)
    >>> ticket = assemble(reduction, pruned.masks)
    >>> ticket.edges()["kept_u"] == pruned.total("num_units") <= pruned.total("num_alone")
    True
    """
    masks: list[BoolArray] = []
    parts: list[PartUnits] = []
    seconds = 0.0
    left = sum(map(len, reduction.parts))
    for part in reduction.parts:
        instance = shared_units(part, tolerance)
        alone = solve(instance.sums())
        edges = alone.mask.reshape(instance.shape)
        start = edges.reshape(len(instance), instance.num_candidates)
        share = (time_limit - seconds) * len(part) / left
        began = time.perf_counter()
        solution = solve(instance, solver, time_limit=max(share, 1e-3), start=start)
        seconds += time.perf_counter() - began - solution.stats.get("start_seconds", 0.0)
        left -= len(part)
        met = solution.feasible
        shared = np.where(met[:, None, None], solution.mask.reshape(instance.shape), edges)
        # blocks with a weight out of reach are left as they are, and no fewer are asked for
        bound = np.where(met, solution.bound, instance.num_units(start))
        masks.append(_to_rows(shared, part))
        parts.append(
            PartUnits(
                name=part.name,
                num_drawn=int(instance.usable_units().sum()),
                num_alone=int(edges.any(axis=1).sum()),
                num_units=int(shared.any(axis=1).sum()),
                bound=int(bound.sum()),
                edges_alone=int(edges.sum()),
                edges=int(shared.sum()),
                num_missed=int((~alone.feasible).sum()),
            )
        )
    return PrunedUnits(tuple(masks), tuple(parts), seconds)


def shared_units(part: Part, tolerance: float) -> SharedUnits:
    """State a half of a layer as blocks: block i is input i, its outputs those of the layer.

    Raises
    ------
    ValueError
        When the construction has no hidden units to share.
    """
    if not isinstance(part.layer, TwoLayer):
        raise ValueError("only the two-layer construction has hidden units: choose two-layer")
    half, num_outputs = part.half, part.layer.drawn.num_outputs
    usable = half.units >= 0
    candidates = part.layer.candidates(half, 0, num_outputs).swapaxes(0, 1)  # inputs come first
    return SharedUnits(
        candidates,
        part.layer.weight[:, : half.num_inputs].T,
        tolerance,
        available=np.broadcast_to(usable[:, None, :], candidates.shape),
    )


def _to_rows(edges: BoolArray, part: Part) -> BoolArray:
    """Return the mask of a part from edges of shape (inputs, outputs, units)."""
    return np.ascontiguousarray(edges.swapaxes(0, 1)).reshape(part.shape)
