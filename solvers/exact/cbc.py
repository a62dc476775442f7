"""COIN-OR CBC through PuLP: a float branch-and-cut solver that reads any instance's standard form.

CBC answers up to its tolerances, and the optima of these problems lie below them. So the measured
rows are scaled up before they are written, CBC's tolerances and cutoff increment are lowered, its
preprocessing, which can lose the optimum, is off, and what it proves is lowered by a declared
tolerance: a bound, not a certificate of the last digit. With `tuned=False` (registered as
``cbc-default``) nothing is touched, to see what the defaults claim; nothing is concluded from it.
https://github.com/coin-or/Cbc, https://coin-or.github.io/pulp
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import BoolArray
from instances.instance import Instance
from instances.milp import MILP
from solvers.exact.clash import import_pulp
from solvers.exact.float_mip import factor_to, in_range, lowering, unanswered, weight_of
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal, Reported

_TUNED = (
    "preprocess off",  # CBC 2.10.3 with it calls 5 kept candidates optimal where 2 suffice
    "increment 1e-12",
    "primalTolerance 1e-9",
    "dualTolerance 1e-9",
    "integerTolerance 1e-9",
)

_SIZE = 1e6
"""What the absolute numbers of a row add up to once it is scaled."""


@dataclass(frozen=True)
class Cbc:
    """CBC for all objectives, one row after the other, each in a process of its own.

    Parameters
    ----------
    threads
        CBC threads per row.
    seed
        CBC's random seed.
    tuned
        Whether to scale the rows and tighten CBC's tolerances.
    """

    threads: int = 1
    seed: int = 0
    tuned: bool = True

    @property
    def tolerance(self) -> float:
        """Relative to the sum of a row's absolute numbers; untuned, nothing is promised at all."""
        return 1e-9 if self.tuned else math.inf

    def supports(self, instance: Instance) -> bool:
        """Whether the standard form is linear, and CBC to be believed about it.

        Tuned as here, CBC 2.10.3 proved bounds above the optimum of arbitrary sources.
        """
        return instance.linear and not (self.tuned and isinstance(instance, ArbitrarySource))

    def propose(
        self,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve row by row, each with its share of the time that is left."""

        def propose_row(b: int, seconds: float) -> Proposal:
            return self._row(instance, b, seconds)

        return row_by_row(instance, time_limit, propose_row, start=start, on_event=on_event)

    def _row(self, instance: Instance, b: int, seconds: float) -> Proposal:
        deadline = time.monotonic() + seconds
        row = instance.part(b, b + 1)
        with np.errstate(over="ignore", invalid="ignore"):
            milp = instance.milp(b).without_fixed()
            size = milp.size
        if not in_range(size):
            return unanswered(row, None)
        slack = self.tolerance * size if self.tuned else 0.0
        # where an error variable takes up what rows miss, the objective is off by the slack at
        # most; one that pays for whole numbers is widened for the bound, and narrowed where its
        # mask then fails
        widens = self.tuned and milp.counting
        stats = {"build_seconds": 0.0}
        widened = milp.widened(slack) if widens else milp
        status, x, objective = self._run(widened, size, seconds, stats)
        mask = np.zeros((1, instance.num_candidates), np.bool_)
        if x is not None:
            mask[0] = milp.mask(x)
        bound = -np.inf
        if self.tuned and status == "Infeasible":
            bound = np.inf
        elif self.tuned and status == "Optimal":
            # the mask's own objective: CBC writes its numbers with eight digits
            bound = float(row.evaluate(mask)[0][0]) - lowering(milp, slack)
        left = deadline - time.monotonic()
        if widens and x is not None and left > 0 and row.evaluate(mask)[1][0] > 0:
            narrowed = self._run(milp.widened(-slack), size, left, stats)[1]
            mask[0] = mask[0] if narrowed is None else milp.mask(narrowed)
        reported = Reported(np.array([status], "U24"), np.array([objective]), np.array([np.nan]))
        return Proposal(mask, np.array([bound]), reported, stats)

    def _run(
        self, milp: MILP, size: float, seconds: float, stats: dict[str, float]
    ) -> tuple[str, np.ndarray[Any, Any] | None, float]:
        """Run CBC; return its status, its variables or None, and its objective."""
        pulp = import_pulp()
        if (milp.row_lower > milp.row_upper).any():  # a narrowed row that nothing can meet
            return "Infeasible", None, math.nan
        factor = factor_to(_SIZE, size) if self.tuned else 1.0
        weight = weight_of(milp, factor) if self.tuned else 1.0
        began = time.perf_counter()
        problem, variables = _model(pulp, milp, factor, weight)
        stats["build_seconds"] += time.perf_counter() - began
        options = list(_TUNED) if self.tuned else []
        if self.seed:
            options.append(f"randomCbcSeed {self.seed}")
        solver = pulp.PULP_CBC_CMD(
            msg=False,
            threads=self.threads if self.threads > 1 else None,
            timeLimit=seconds if math.isfinite(seconds) else None,
            gapRel=0.0 if self.tuned else None,
            gapAbs=0.0 if self.tuned else None,
            options=options,
        )
        try:
            problem.solve(solver)
        except pulp.PulpSolverError:
            return "Crashed", None, math.nan
        status = pulp.LpSolution[problem.sol_status]  # LpStatus says Optimal on a time limit
        if problem.sol_status == pulp.LpSolutionInfeasible:
            return "Infeasible", None, math.nan
        if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
            return status, None, math.nan
        x = np.array([v.value() or 0.0 for v in variables])
        shown = "Optimal" if problem.sol_status == pulp.LpSolutionOptimal else status
        return shown, x, float(pulp.value(problem.objective) or 0.0) / weight


def _model(pulp: Any, milp: MILP, factor: float, weight: float) -> tuple[Any, list[Any]]:
    """Write the program: measured rows, and what they measure, times `factor`, costs `weight`."""
    measured = ~milp.counts
    scale_row = np.where(measured, factor, 1.0)
    # a continuous variable stands for an error: keep its coefficients, let its unit shrink instead
    scale_column = np.where(milp.integer, 1.0, 1.0 / factor)
    variables = [
        pulp.LpVariable(
            f"x{j}",
            milp.lower[j] / scale_column[j],
            None if np.isinf(milp.upper[j]) else milp.upper[j] / scale_column[j],
            pulp.LpInteger if milp.integer[j] else pulp.LpContinuous,
        )
        for j in range(len(milp.c))
    ]
    problem = pulp.LpProblem("subset_sum", pulp.LpMinimize)
    costs = milp.c * scale_column * weight
    problem += pulp.LpAffineExpression([(variables[j], costs[j]) for j in np.flatnonzero(costs)])
    for i in range(len(milp.row_lower)):
        entries = np.flatnonzero(milp.rows == i)
        terms = pulp.LpAffineExpression(
            [
                (variables[j], value * scale_row[i] * scale_column[j])
                for j, value in zip(milp.columns[entries], milp.values[entries], strict=True)
            ]
        )
        lower, upper = milp.row_lower[i] * scale_row[i], milp.row_upper[i] * scale_row[i]
        if lower == upper:
            problem += terms == lower
            continue
        if np.isfinite(lower):
            problem += terms >= lower
        if np.isfinite(upper):
            problem += terms <= upper
    return problem, variables
