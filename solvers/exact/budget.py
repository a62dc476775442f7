"""Edge budgets: the fronts of all weights, then a knapsack over them.

The weights are coupled by nothing but the number of edges. So what each can do with every number is
found first (`solvers.exact.fronts`), and then which number each gets (`solvers.exact.edge_choice`):
for sums and root mean squares by a multiple-choice knapsack, for maxima by a threshold.

Of many weights only errors above some number matter, a larger one the smaller the budget. It is
guessed from a sample; where the answer shows that smaller ones may matter, fronts are found whole.
"""

import math
import time
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from instances.arrays import BoolArray, IntArray
from instances.edge_budget import EdgeBudget
from instances.instance import Instance
from instances.objectives import Sparsest
from instances.subset_sum import SubsetSum
from solvers.exact.edge_choice import Asked, Choice, choose
from solvers.exact.fronts import Fronts, compile_fronts, fronts
from solvers.exact.meet_in_the_middle import MAX_CANDIDATES, MeetInTheMiddle
from solvers.solver import OnEvent, Proposal, Reported, nothing_known, put_rows

_SAMPLE = 4096  # weights that the guess is made from
_MOST_WORK = 2.0**31  # steps of a dynamic program: some seconds


@dataclass(frozen=True)
class Budget:
    """Fronts and a knapsack over them, for weights that share a budget of edges.

    Parameters
    ----------
    exact
        Whether a dynamic program settles what the relaxation leaves in doubt: True, however long it
        takes; False, never; None, where it is affordable.
    threads
        How many chunks of weights are worked on side by side; 0: one per core this process may use.
    """

    exact: bool | None = None
    threads: int = 0
    tolerance: ClassVar[float] = 2.0**-48

    def supports(self, instance: Instance) -> bool:
        """Whether weights share a budget and may each use at most 48 candidates."""
        return isinstance(instance, EdgeBudget) and instance.num_available() <= MAX_CANDIDATES

    def propose(
        self,
        instance: EdgeBudget,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve one problem after the other; see `solvers.solver.Solver`."""
        whole = nothing_known(instance, start)
        began = time.perf_counter()
        _compile()
        whole.stats["start_seconds"] = time.perf_counter() - began
        whole.stats["front_seconds"] = 0.0
        deadline = time.monotonic() + time_limit
        for b in range(len(instance)):
            if time.monotonic() >= deadline:
                break
            part = self._propose_one(instance, b, deadline)
            put_rows(whole, b, part)
            whole.stats["front_seconds"] += part.stats.get("front_seconds", 0.0)
            if on_event is not None:
                on_event(b, part)
        return whole

    def _propose_one(self, instance: EdgeBudget, b: int, deadline: float) -> Proposal:
        rows = SubsetSum(
            instance.coefficients[b],
            instance.targets[b],
            available=None if instance.available is None else instance.available[b],
        )
        limit = instance.error_limit
        if limit is not None and instance.measure == "max":
            return self._each_within(rows, limit)
        work = {True: math.inf, False: 0.0, None: _MOST_WORK}[self.exact]
        asked = Asked(instance.measure, instance.budget, limit, work)

        def within(sizes: IntArray | None) -> bool:
            if sizes is None:
                mask = MeetInTheMiddle(self.threads).propose(rows, math.inf).mask
            else:
                mask = found.mask(rows, sizes)
            return bool(instance.part(b, b + 1).evaluate(mask.reshape(1, -1))[1][0] == 0)

        began = time.perf_counter()
        enough = self._guess(rows, asked) if len(rows) > 4 * _SAMPLE else 0.0
        found = fronts(rows, enough, threads=self.threads, deadline=deadline)
        seconds = time.perf_counter() - began
        choice = choose(found, asked, within)
        if enough > 0 and not choice.settled and time.monotonic() < deadline:
            began = time.perf_counter()
            found = fronts(rows, threads=self.threads, deadline=deadline)
            seconds += time.perf_counter() - began
            choice = choose(found, asked, within)
        return _proposal(rows, found, choice, seconds)

    def _guess(self, rows: SubsetSum, asked: Asked) -> float:
        """Guess from some of the rows which errors are too small to matter."""
        step = len(rows) // _SAMPLE
        sample = SubsetSum(
            rows.coefficients[::step],
            rows.targets[::step],
            available=None if rows.available is None else rows.available[::step],
        )
        share = len(sample) / len(rows)
        budget, limit = asked.budget, asked.limit
        if limit is not None and asked.measure == "sum":
            limit *= share
        if budget is not None:
            budget = int(budget * share)
        part = Asked(asked.measure, budget, limit, most_work=0.0)
        return choose(fronts(sample, threads=self.threads), part).enough

    def _each_within(self, rows: SubsetSum, limit: float) -> Proposal:
        """Keep the fewest with the error of each weight within `limit`."""
        alone = SubsetSum(rows.coefficients, rows.targets, Sparsest(limit), rows.available)
        part = MeetInTheMiddle(self.threads).propose(alone, math.inf)
        bound = math.fsum(part.bound.tolist())
        word = "optimal" if math.isfinite(bound) else "infeasible"
        return _stated(part.mask, bound, word, {})


def _proposal(rows: SubsetSum, found: Fronts, choice: Choice, seconds: float) -> Proposal:
    word = "infeasible" if math.isinf(choice.bound) else "settled" if choice.settled else "bounded"
    return _stated(found.mask(rows, choice.sizes), choice.bound, word, {"front_seconds": seconds})


def _stated(mask: BoolArray, bound: float, word: str, stats: dict[str, float]) -> Proposal:
    reported = Reported(np.array([word], "U24"), np.array([np.nan]), np.array([bound]))
    return Proposal(mask.reshape(1, -1), np.array([bound]), reported, stats)


@cache
def _compile() -> None:
    """Compile the kernels, or load them from numba's cache, by solving something small."""
    compile_fronts()
    rows = SubsetSum(2.0 ** -np.arange(1.0, 6.0)[None, :].repeat(2, axis=0), np.array([0.3, 0.6]))
    choose(fronts(rows), Asked("sum", 1, None, 2.0**20))
