"""What counts in a comparison as solved, as proven, and as a false claim."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from milp_lth.compare.measuring import Run


@dataclass(frozen=True)
class Yardstick:
    """The same measure for every run.

    Parameters
    ----------
    time_limit
        Seconds a run had; those that fail count with it.
    abs_gap
        How far above the best known objective, or a bound, an objective may lie and still count.
        With 0, nothing but the optimum is the optimum.
    best
        The best objective known by (set, row); infinite where there is none.
    """

    time_limit: float
    abs_gap: float = 0.0
    best: dict[tuple[str, int], float] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Sequence[Run], *, time_limit: float, abs_gap: float = 0.0) -> Self:
        """Return the yardstick whose best is proven, or the best that any of the runs found.

        Raises
        ------
        ValueError
            When the gap is negative.
        """
        if not abs_gap >= 0:
            raise ValueError(f"--abs-gap {abs_gap}: give 0 or more")
        return cls(time_limit, abs_gap, best_known(runs))

    def solved(self, run: Run) -> bool:
        """Whether the answer, or the proof that there is none, is as good as the best known."""
        best = self._best(run)
        if math.isinf(best):
            return run.status == "INFEASIBLE"
        return run.violation == 0 and run.objective <= best + self.abs_gap

    def proven(self, run: Run) -> bool:
        """Whether a bound that holds meets the judged objective, or shows that there is none."""
        if run.status in ("OPTIMAL", "INFEASIBLE"):
            return True
        return run.violation == 0 and run.objective <= run.bound + self.abs_gap

    def falsely_claimed(self, run: Run) -> bool:
        """Whether the solver called an answer optimal, or a row infeasible, and it is not."""
        if not claimed(run):
            return False
        best = self._best(run)
        if run.reported_status.lower().startswith("infeasible"):
            return math.isfinite(best)
        return run.violation > 0 or run.objective > best + self.abs_gap

    def seconds(self, run: Run) -> float:
        """Return the time that counts: that of a run that fails is the limit."""
        return min(run.seconds, self.time_limit) if self.solved(run) else self.time_limit

    def log_excess(self, run: Run) -> float | None:
        """Return how far the answer is from the best known; None where either has no objective.

        The logarithm of the ratio of the errors, those below 10⁻¹⁵ counting as that; of 1 + what is
        kept too much, where edges are counted.
        """
        best = self._best(run)
        if run.violation > 0 or math.isinf(best):
            return None
        if run.task.startswith("sparsest"):
            return math.log1p(max(0.0, run.objective - best))
        return max(0.0, math.log(max(run.objective, _LEAST)) - math.log(max(best, _LEAST)))

    def _best(self, run: Run) -> float:
        return self.best[run.set_name, run.row]


_LEAST = 1e-15


def best_known(runs: Sequence[Run]) -> dict[tuple[str, int], float]:
    """Return the best objective known of every row: proven, or the best that any run found."""
    best: dict[tuple[str, int], float] = {}
    for run in runs:
        key = (run.set_name, run.row)
        if not math.isnan(run.optimum):
            best[key] = run.optimum
        elif run.violation == 0:
            best[key] = min(best.get(key, math.inf), run.objective)
        else:
            best.setdefault(key, math.inf)
    return best


def claimed(run: Run) -> bool:
    """Whether the solver itself said that its answer is the optimum, or that there is none."""
    return run.reported_status.lower().startswith(("optimal", "infeasible"))


def disagrees(run: Run) -> bool:
    """Whether the objective that the solver reported is another than that of its mask."""
    reported = run.reported_objective
    if math.isnan(reported) or run.violation > 0 or not math.isfinite(reported):
        return False
    return abs(reported - run.objective) > 1e-9 * max(1.0, abs(run.objective))
