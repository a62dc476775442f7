"""Branch and bound over neurons: the exact solver for neuron selections.

Without the size, the best mixture of the neurons that are not ruled out is a least-squares problem
over the simplex; its distance is a bound. Where more neurons share in it than may be kept, those
with the largest coefficients are gone through: either one of them is ruled out, all before it being
kept, or all of them are kept, and that is an answer. The part with the least bound comes first. The
first answer is greedy, then improved by exchanges.

The same bound drives Furnival and Wilson, "Regressions by Leaps and Bounds" (Technometrics 1974),
without the simplex. To prefer to anything else for selections: up to some thirty neurons are
settled in seconds, more where few are kept.
"""

import heapq
import time
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, NamedTuple

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance
from instances.nearest_point import nearest_point
from instances.neuron_selection import NeuronSelection
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal, Reported


@dataclass(frozen=True)
class Selection:
    """Branch and bound, one layer after the other."""

    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether they are neuron selections."""
        return isinstance(instance, NeuronSelection)

    def propose(
        self,
        instance: NeuronSelection,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve layer by layer, each with its share of the time that is left."""

        def propose_layer(b: int, seconds: float) -> Proposal:
            given = None if start is None else start[b]
            return _propose(instance, b, time.monotonic() + seconds, given)

        return row_by_row(instance, time_limit, propose_layer, start=start, on_event=on_event)


class _Part(NamedTuple):
    """All masks between two: some neurons are kept, and of the others some may be."""

    lower: float
    tick: int
    usable: BoolArray
    kept: BoolArray
    weights: FloatArray


class _Best:
    """The best mask so far."""

    def __init__(self, corners: FloatArray, size: int, start: BoolArray | None) -> None:
        self.corners, self.size = corners, size
        self.mask, self.distance = np.zeros(len(corners), np.bool_), np.inf
        if start is not None and 0 < start.sum() <= size:
            self.try_mask(start)

    def try_mask(self, mask: BoolArray, weights: FloatArray | None = None) -> bool:
        """Take a mask if it is better, without neurons that have no share; say whether it was."""
        if weights is None:
            weights = nearest_point(self.corners, mask).weights
        distance = float(np.linalg.norm(weights @ self.corners))
        better = distance < self.distance
        if better:
            self.mask, self.distance = weights > 0, distance
        return better

    def grow(self, usable: BoolArray, deadline: float) -> None:
        """Add the best neuron, one after the other, then exchange any two while that helps."""
        grown = _Best(self.corners, self.size, None)
        for _ in range(self.size):
            before = grown.mask.copy()
            for i in np.flatnonzero(usable & ~before).tolist():
                grown.try_mask(_changed(before, add=i))
            if (grown.mask == before).all() or time.monotonic() >= deadline:
                break
        while grown.step(usable, deadline):
            pass
        if grown.distance < self.distance:
            self.mask, self.distance = grown.mask, grown.distance

    def step(self, usable: BoolArray, deadline: float) -> bool:
        """Take the first gain of an exchange, or of one more where one is left; say if any."""
        full = int(self.mask.sum()) == self.size
        for i in np.flatnonzero(self.mask).tolist() if full else [None]:
            for j in np.flatnonzero(usable & ~self.mask).tolist():
                if time.monotonic() >= deadline:
                    return False
                if self.try_mask(_changed(self.mask, drop=i, add=j)):
                    return True
        return False


def _changed(mask: BoolArray, *, add: int, drop: int | None = None) -> BoolArray:
    changed = mask.copy()
    if drop is not None:
        changed[drop] = False
    changed[add] = True
    return changed


def _propose(
    instance: NeuronSelection, b: int, deadline: float, start: BoolArray | None
) -> Proposal:
    corners, size = instance.corners[b], instance.size
    usable = np.zeros(len(corners), np.bool_)  # of equal neurons, such as dead ones, the first
    usable[np.unique(instance.features[b], axis=1, return_index=True)[1]] = True
    best = _Best(corners, size, start)
    best.grow(usable, deadline)
    ticks, num_parts = count(), 0
    weights, lower = nearest_point(corners, usable)
    parts = [_Part(lower, next(ticks), usable, np.zeros_like(usable), weights)]
    while parts and parts[0].lower < best.distance and time.monotonic() < deadline:
        num_parts += 1
        for part in _split(heapq.heappop(parts), best, ticks):
            if part.lower < best.distance:
                heapq.heappush(parts, part)
    bound = min(parts[0].lower, best.distance) if parts else best.distance
    status = "complete" if bound == best.distance else "stopped"
    reported = Reported(np.array([status], "U24"), np.array([best.distance]), np.array([bound]))
    stats = {"nodes": float(num_parts)}
    # half the slack covers the rounding here, the other half that of the judge
    return Proposal(best.mask[None].copy(), bound - instance.slack[b : b + 1] / 2, reported, stats)


def _split(part: _Part, best: _Best, ticks: "count[int]") -> list[_Part]:
    """Return parts that together hold all masks of a part that are not yet known to `best`."""
    if np.count_nonzero(part.weights) <= best.size:
        best.try_mask(part.usable, part.weights)
        return []
    parts = []
    kept = part.kept.copy()
    free = np.where(kept, -1.0, part.weights)
    for i in np.argsort(-free, kind="stable")[: best.size - int(kept.sum())]:
        usable = part.usable.copy()
        usable[i] = False
        weights, lower = nearest_point(best.corners, usable, part.weights)
        parts.append(_Part(max(lower, part.lower), next(ticks), usable, kept.copy(), weights))
        kept[i] = True
    best.try_mask(kept)
    return parts
