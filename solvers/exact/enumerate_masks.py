"""Enumeration: every mask, one after the other, judged by the instance itself.

An oracle for all problem classes: it knows nothing of any of them but `evaluate`, and so shares no
mistake with a solver. Arbitrary sources are judged many masks at a time, up to 22 edges; anything
else one mask at a time, up to 16 candidates. To prefer where an answer is to be checked, and for
sources of few edges, on which it is the fastest proof.
"""

import time
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal, Reported, nothing_known

_FEW = 16
_MANY = 22
_NUMBERS = 1 << 18  # judged together: 2 MB in float64, in the cache


class _Best(NamedTuple):
    """The best of a row so far; ordered by violation, objective, error and mask."""

    violation: float
    objective: float
    error: float
    mask: int


@dataclass(frozen=True)
class EnumerateMasks:
    """All masks of few candidates, for every problem class and objective."""

    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether there are few enough candidates."""
        most = _MANY if isinstance(instance, ArbitrarySource) else _FEW
        return instance.num_candidates <= most

    def propose(
        self,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose the best masks; their objectives, less the instance's slack, are the bounds."""
        slack = instance.slack

        def propose_row(b: int, seconds: float) -> Proposal:
            return _row(instance, b, float(slack[b]), time.monotonic() + seconds)

        return row_by_row(instance, time_limit, propose_row, start=start, on_event=on_event)


def masks_of(numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]", n: int) -> BoolArray:
    """Return masks, shape (k, n), from the integers whose bits they are.

    >>> masks_of(np.array([1, 2]), 2).tolist()
    [[True, False], [False, True]]
    """
    return np.asarray((numbers[:, None] >> np.arange(n)) & 1).astype(np.bool_)


def _row(instance: Instance, b: int, slack: float, deadline: float) -> Proposal:
    n = instance.num_candidates
    row = instance.part(b, b + 1)
    step = 1
    if isinstance(row, ArbitrarySource):
        widest = max(max(w.shape[1] for w in row.weights), 1)
        step = max(1, _NUMBERS // (len(row.inputs) * widest + n))
    best: _Best | None = None
    for first in range(0, 2**n, step):
        numbers = np.arange(first, min(first + step, 2**n))
        masks = masks_of(numbers, n)
        if isinstance(row, ArbitrarySource):
            objective, violation = row.evaluate_many(0, masks)
            found = _least(objective, violation, objective, numbers)
        else:
            objective, violation, error = row.verdict(masks)
            found = _least(objective, violation, error, numbers)
        best = found if best is None else min(best, found)
        if time.monotonic() > deadline and numbers[-1] + 1 < 2**n:
            return _proposal(row, best, -np.inf, "time limit")
    assert best is not None
    if best.violation > slack:  # no mask is feasible, however it is rounded
        return _proposal(row, best, np.inf, "infeasible")
    bound = -np.inf if best.violation > 0 else best.objective - slack
    if bound + slack < best.objective:  # the slack is no tighter than a last digit
        bound = float(np.nextafter(bound, np.inf))
    return _proposal(row, best, bound, "complete")


def _least(
    objective: FloatArray,
    violation: FloatArray,
    error: FloatArray,
    numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]",
) -> _Best:
    k = int(np.lexsort((numbers, error, objective, violation))[0])
    return _Best(float(violation[k]), float(objective[k]), float(error[k]), int(numbers[k]))


def _proposal(row: Instance, best: _Best, bound: float, status: str) -> Proposal:
    whole = nothing_known(row)
    whole.mask[0] = masks_of(np.array([best.mask]), row.num_candidates)[0]
    whole.bound[0] = bound
    known = np.array([best.objective]), np.array([bound])
    return whole._replace(reported=Reported(np.array([status], "U24"), *known))
