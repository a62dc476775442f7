"""Nearest: the one candidate that comes closest, exact, in linear time for any number of them.

What a subset of size 1 asks for, and how Malach, Yehudai, Shalev-Shwartz and Shamir ("Proving the
lottery ticket hypothesis: pruning is all you need", ICML 2020) approximate a weight: by the nearest
of many products. Rounded differences from the target are in the order of the exact ones, but may
be equal where these are not: then what the rounding took off decides.
"""

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np

from instances.arrays import BoolArray
from instances.compiled import compilable, compiled
from instances.instance import Instance
from instances.objectives import FixedSize
from instances.subset_sum import SubsetSum
from solvers.exact.scaling import proven_bound
from solvers.solver import OnEvent, Proposal, Reported, nothing_known, put_rows

_NUMBERS = 1 << 17  # looked at together: 1 MB in float64, in the cache


@dataclass(frozen=True)
class Nearest:
    """Exact solver for subsets of one candidate."""

    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether the rows are SubsetSum problems that ask for exactly one candidate."""
        if not isinstance(instance, SubsetSum) or not isinstance(instance.objective, FixedSize):
            return False
        return instance.objective.size == 1

    def propose(
        self,
        instance: SubsetSum,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve every row to proven optimality; see `solvers.solver.Solver`."""
        whole = nothing_known(instance, start)
        began = time.perf_counter()
        _compile()
        whole.stats["start_seconds"] = time.perf_counter() - began
        step = max(1, _NUMBERS // max(1, instance.num_candidates))
        for first in range(0, len(instance), step):
            part = _solve(instance.part(first, first + step))
            put_rows(whole, first, part)
            if on_event is not None:
                on_event(first, part)
        return whole


@cache
def _compile() -> None:
    """Compile the kernel, or load it from numba's cache, by solving something small."""
    _solve(replace(SubsetSum.tiny(), objective=FixedSize(1)))


def _solve(instance: SubsetSum) -> Proposal:
    shape, available, targets = instance.coefficients.shape, instance.available, instance.targets
    usable = np.full(shape, np.nan)  # always of one layout: another would be compiled anew
    np.copyto(usable, instance.coefficients, where=True if available is None else available)
    chosen = np.full(len(instance), -1)
    _choose(usable, np.array(targets), chosen)
    mask = np.zeros(shape, np.bool_)
    bound = np.full(len(instance), np.inf)
    rows = np.flatnonzero(chosen >= 0)
    mask[rows, chosen[rows]] = True
    with np.errstate(over="ignore"):  # to infinity, as the judge rounds it, too
        bound[rows] = np.abs(targets[rows] - usable[rows, chosen[rows]])
    if instance.tolerance is not None:
        for r in rows[bound[rows] == instance.tolerance]:
            bound[r] = proven_bound(instance, int(r), mask[r])
    exact = np.where(chosen >= 0, "optimal", "infeasible")
    return Proposal(mask, bound, Reported(exact, bound, bound), {})


@compiled
def _choose(a, targets, chosen):  # type: ignore[no-untyped-def]
    """Write the nearest candidate of each row; −1 stays where all of them are NaN."""
    for r in range(a.shape[0]):
        t = targets[r]
        least = np.inf
        for k in range(a.shape[1]):
            least = min(least, abs(t - a[r, k]))
        below, above = -1, -1
        low, high = -np.inf, np.inf
        for k in range(a.shape[1]):
            v = a[r, k]
            if abs(t - v) == least:  # seldom, and these comparisons are exact
                if low < v <= t:
                    below, low = k, v
                elif t < v < high:
                    above, high = k, v
        if below < 0 or above < 0:
            chosen[r] = max(below, above)
            continue
        near, far = _taken_off(t, low), _taken_off(high, t)
        if near == far:
            chosen[r] = min(below, above)
        else:
            chosen[r] = below if near < far else above


@compilable
def _taken_off(x, y):  # type: ignore[no-untyped-def]
    """Return what x − y exceeds its rounded value by, exactly.

    Knuth, "The art of computer programming", volume 2, theorem 4.2.2B.
    """
    rounded = x - y
    back = rounded - x
    return (x - (rounded - back)) - (y + back)
