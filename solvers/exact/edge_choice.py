"""How many candidates each weight keeps, when its front tells the error for every number."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.edge_budget import in_doubt, total, unit_of
from solvers.exact.choice_knapsack import Relaxed, Steps, fill, settle, steps
from solvers.exact.fronts import Fronts

_ROUNDING = 2.0**-46  # more than a judged total and a bound can be off, of all that is added up
_WORTH = 0.75  # of the price of an edge: what a sample tells of it is off by less than the rest


class Asked(NamedTuple):
    """What is asked of the fronts: the least total within a budget, or the fewest for a limit."""

    measure: str
    budget: int | None
    limit: float | None
    most_work: float
    """Steps that a dynamic program may take to settle what the relaxation leaves in doubt."""


class Choice(NamedTuple):
    """How many candidates each row keeps, and what is proved of that."""

    sizes: IntArray
    bound: float
    """No choice has a smaller objective."""
    enough: float
    """Fronts that end once errors are about this small answer the question just as well."""
    settled: bool
    """Whether nothing that the fronts leave out can matter."""


def choose(
    fronts: Fronts, asked: Asked, within: Callable[[IntArray | None], bool] | None = None
) -> Choice:
    """Choose the size of every row; the maximum within a limit is a matter of each row alone.

    `within` is the judge's word on sizes whose total is in doubt; None: each row as close as it
    can come, which may be with more than rounded errors tell.
    """
    if asked.measure == "max":
        return _under_threshold(fronts, int(asked.budget or 0))
    problem = _Knapsack(fronts, asked, within)
    return problem.within_budget(asked.budget) if asked.limit is None else problem.within_limit()


def _under_threshold(fronts: Fronts, budget: int) -> Choice:
    """Find the least error that all rows can stay below together."""
    errors = fronts.errors
    least = errors.min(axis=1)
    values = np.unique(errors[np.isfinite(errors)])
    low = int(np.searchsorted(values, least.max()))
    high = len(values) - 1  # nothing kept
    while low < high:
        middle = (low + high) // 2
        if int((errors <= values[middle]).argmax(axis=1).sum()) <= budget:
            high = middle
        else:
            low = middle + 1
    threshold = float(values[low])
    open_ = least[~fronts.complete].max(initial=-1.0)
    settled = bool(open_ < threshold)
    sizes = (errors <= threshold).argmax(axis=1)
    return Choice(sizes, threshold if settled else 0.0, _WORTH * threshold, settled)


class _Knapsack:
    """Rows whose errors, or squares of them, are added up."""

    def __init__(
        self, fronts: Fronts, asked: Asked, within: Callable[[IntArray | None], bool] | None
    ) -> None:
        self.fronts = fronts
        self.asked = asked
        self.within = within
        self.scale = unit_of(fronts.errors[:, 0])  # of all, the largest: a power of two
        self.costs = fronts.errors / self.scale
        if asked.measure == "rms":
            self.costs = self.costs**2
        self.open = np.where(fronts.complete, np.inf, 0.0)

    def within_budget(self, budget: int | None) -> Choice:
        """Minimise the total with at most `budget` kept."""
        budget = min(budget or 0, self.costs.size)
        ladder = steps(self.costs)
        used = np.cumsum(ladder.edges)
        count = int(np.searchsorted(used, budget, side="right"))
        left = budget - int(used[count - 1]) if count else budget
        price = float(ladder.slope[count]) if count < len(used) else 0.0
        sizes = fill(self.costs, ladder.sizes(count, len(self.costs)), left)
        relaxed = self._relaxed(price)
        bound = relaxed.bound(budget)
        gap = max(self._cost(sizes) - bound, 0.0)
        settled = relaxed.unseen >= gap
        if self.asked.most_work > 0:
            better, excess = settle(self.costs, relaxed, budget, gap, self.asked.most_work)
            bound = relaxed.bound(budget, excess)
            if better is not None and self._cost(better) < self._cost(sizes):
                sizes = better
        return Choice(sizes, self._objective(bound), self._enough(price), settled)

    def within_limit(self) -> Choice:
        """Minimise the number kept with a total within the limit."""
        ladder, num_rows = steps(self.costs), len(self.costs)
        all_steps = ladder.sizes(len(ladder.row), num_rows)
        if self._within(np.zeros(num_rows, np.int64)):
            return Choice(np.zeros(num_rows, np.int64), 0.0, self._enough(math.inf), True)
        if not self._within(all_steps):
            complete = bool(self.fronts.complete.all())
            proved = complete and not (self._in_doubt(all_steps) and self._may_be_closer())
            return Choice(all_steps, math.inf if proved else 0.0, 0.0, complete)
        limit = self._limit()
        totals = math.fsum(self.costs[:, 0].tolist()) - np.cumsum(ladder.gain)
        count = 1 + min(int((totals > limit).sum()), len(totals) - 1)
        while not self._within(ladder.sizes(count, num_rows)):  # by rounding alone
            count += 1
        sizes = self._last_step(ladder, count)
        relaxed = self._relaxed(float(ladder.slope[count - 1]))
        least = self._fewest(relaxed, limit)
        settled = relaxed.unseen >= 0 or least >= sizes.sum()
        while least < sizes.sum() and self.asked.most_work > 0:
            paid = relaxed.price * least
            gap = limit - relaxed.total + paid
            gap = max(gap, 0.0) + _ROUNDING * (relaxed.total + paid + limit)
            settled = relaxed.unseen >= gap
            better, excess = settle(self.costs, relaxed, least, gap, self.asked.most_work)
            if better is not None and self._within(better):
                sizes = better
            if relaxed.bound(least, excess) <= limit * (1 + 2.0**-49):
                break
            least += 1
        return Choice(sizes, float(least), self._enough(relaxed.price), settled)

    def _last_step(self, ladder: Steps, count: int) -> IntArray:
        """Return the sizes after `count` steps, or with as little of the last as is needed."""
        num_rows = len(self.costs)
        base = ladder.sizes(count - 1, num_rows)
        for left in range(int(ladder.edges[count - 1])):
            sizes = fill(self.costs, base, left)
            if self._within(sizes):
                return sizes
        return ladder.sizes(count, num_rows)

    def _fewest(self, relaxed: Relaxed, limit: float) -> int:
        """Return the number of edges that the relaxation needs to be within the limit."""
        lower = relaxed.bound(0.0) - limit * (1 + 2.0**-49)
        return max(0, math.ceil(lower / relaxed.price * (1 - 2.0**-50)))

    def _relaxed(self, price: float) -> Relaxed:
        return Relaxed.at(self.costs, self.fronts.looked, self.open, price)

    def _chosen(self, table: FloatArray, sizes: IntArray) -> FloatArray:
        return np.asarray(table[np.arange(len(sizes)), sizes])

    def _cost(self, sizes: IntArray) -> float:
        return math.fsum(self._chosen(self.costs, sizes).tolist())

    def _within(self, sizes: IntArray) -> bool:
        """Whether the judge will find the total within the limit."""
        if self.within is not None and self._in_doubt(sizes):
            return self.within(sizes)
        return self._reached(sizes) <= float(self.asked.limit or 0.0)

    def _may_be_closer(self) -> bool:
        return self.within is None or self.within(None)

    def _in_doubt(self, sizes: IntArray) -> bool:
        return bool(in_doubt(np.array(self._reached(sizes)), float(self.asked.limit or 0.0)))

    def _reached(self, sizes: IntArray) -> float:
        return total(self._chosen(self.fronts.errors, sizes), self.asked.measure)

    def _limit(self) -> float:
        limit = float(self.asked.limit or 0.0) / self.scale
        return len(self.costs) * limit**2 if self.asked.measure == "rms" else limit

    def _objective(self, bound: float) -> float:
        """Return the total error for a sum of costs, rounded down."""
        bound = max(bound, 0.0)
        if self.asked.measure == "rms":
            bound = math.sqrt(bound / len(self.costs)) * (1 - 2.0**-50)
        return bound * self.scale

    def _enough(self, price: float) -> float:
        """Errors that cost less than an edge are not worth one more; some room for a guess."""
        worth = _WORTH * price
        return self.scale * (math.sqrt(worth) if self.asked.measure == "rms" else worth)
