"""Dynamic programming over the capacity, for valued knapsacks: exact to the last bit.

The best worth of every capacity is known for the first k candidates, and then for k + 1 (Bellman,
"Dynamic Programming", 1957). Values are expressed in whole numbers that order their sums exactly as
the floats do; weights are divided by their greatest common divisor. To prefer while candidates
times capacity, so divided, stay below a hundred million; beyond, SCIP and HiGHS take valued
knapsacks too, up to their tolerances. Among equal masks the smallest wins, read as an
integer with bit k = candidate k.
"""

import math
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.instance import Instance
from instances.valued_knapsack import ValuedKnapsack
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal, Reported, nothing_known

_CELLS = 10**8  # of a row's table, a byte each
_ROOM = 2**62  # of whole numbers that are added up in 64 bits


@dataclass(frozen=True)
class KnapsackTable:
    """The table of all capacities, one row after the other."""

    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether it is a valued knapsack whose tables are small enough."""
        if not isinstance(instance, ValuedKnapsack):
            return False
        n = instance.num_candidates
        return all(n * (_reduced(instance, b)[1] + 1) <= _CELLS for b in range(len(instance)))

    def propose(
        self,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose the best masks; what they give up are the bounds."""
        assert isinstance(instance, ValuedKnapsack)

        def propose_row(b: int, seconds: float) -> Proposal:
            return _row(instance, b, time.monotonic() + seconds)

        return row_by_row(instance, time_limit, propose_row, start=start, on_event=on_event)


def _row(instance: ValuedKnapsack, b: int, deadline: float) -> Proposal:
    row = instance.part(b, b + 1)
    whole = nothing_known(row)
    weights, capacity = _reduced(instance, b)
    values = _whole(instance.values[b])
    best = np.zeros(capacity + 1, values.dtype)  # worth of what may weigh as much
    taken = np.zeros((len(values), capacity + 1), np.bool_)
    for k, (value, weight) in enumerate(zip(values.tolist(), weights.tolist(), strict=True)):
        if value <= 0 or weight > capacity:
            continue
        if time.monotonic() > deadline:
            return whole
        more = best[: capacity + 1 - weight] + value
        taken[k, weight:] = more > best[weight:]
        best[weight:] = np.maximum(more, best[weight:])
    left = capacity
    for k in reversed(range(len(values))):
        if taken[k, left]:
            whole.mask[0, k] = True
            left -= int(weights[k])
    objective, _ = row.evaluate(whole.mask)
    whole.bound[:] = objective
    return whole._replace(reported=Reported(np.array(["complete"], "U24"), objective, objective))


def _reduced(instance: ValuedKnapsack, b: int) -> tuple[IntArray, int]:
    """Return weights without a common divisor, and the capacity, at most all of them together."""
    divisor = max(1, int(np.gcd.reduce(instance.weights[b])))
    weights = instance.weights[b] // divisor
    return weights, min(int(instance.capacity[b]) // divisor, int(weights.sum()))


def _whole(values: FloatArray) -> "np.ndarray[tuple[int], np.dtype[Any]]":
    """Return values in a unit that makes all of them whole numbers: 64 bits, or Python's own."""
    ratios = [value.as_integer_ratio() for value in values.tolist()]
    common = math.lcm(*(denominator for _, denominator in ratios))
    numbers = [numerator * (common // denominator) for numerator, denominator in ratios]
    fits = sum(map(abs, numbers)) < _ROOM
    return np.array(numbers, dtype=np.int64 if fits else object)
