"""Gurobi through gurobipy, where its wheel and a licence are there: a commercial MIP solver.

Prefer it among the MIP solvers when you have it: it is the fastest. The licence in the wheel takes
2000 variables and 2000 rows. With `tuned=False` (registered as ``gurobi-default``) nothing is
touched, to see what the defaults claim; nothing is concluded from it.
https://docs.gurobi.com
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance
from instances.milp import MILP
from solvers.exact.float_mip import Answer, propose_row
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal

_TUNED = {
    "MIPGap": 0.0,
    "MIPGapAbs": 0.0,
    "FeasibilityTol": 1e-9,  # the smallest that Gurobi takes, here and below
    "IntFeasTol": 1e-9,
    "OptimalityTol": 1e-9,
    "IntegralityFocus": 1,
}


@dataclass(frozen=True)
class Gurobi:
    """Gurobi for all objectives, one row after the other.

    Parameters
    ----------
    threads
        Gurobi threads per row.
    seed
        Gurobi's random seed.
    tuned
        Whether to scale the rows, close the gaps and tighten Gurobi's tolerances.
    """

    threads: int = 1
    seed: int = 0
    tuned: bool = True

    @property
    def tolerance(self) -> float:
        """Relative to the sum of a row's absolute numbers; untuned, nothing is promised at all."""
        return 1e-8 if self.tuned else math.inf

    def supports(self, instance: Instance) -> bool:
        """Whether the standard form is linear."""
        return instance.linear

    def propose(
        self,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve row by row, each with its share of the time that is left.

        Raises
        ------
        RuntimeError
            When Gurobi has no valid licence.
        """
        gurobipy = _import_gurobipy()
        parameters = {"OutputFlag": 0, "Threads": self.threads, "Seed": self.seed}
        try:
            environment = gurobipy.Env(params=parameters | (_TUNED if self.tuned else {}))
        except gurobipy.GurobiError as error:
            raise RuntimeError(f"Gurobi: {error}: install a licence, or choose highs") from error

        def run(
            milp: MILP, seconds: float, hint: BoolArray | None, found: Callable[[FloatArray], None]
        ) -> Answer:
            try:
                with gurobipy.Model(env=environment) as model:
                    return _solve(gurobipy.GRB, model, milp, seconds, hint, found)
            except gurobipy.GurobiError as error:  # a model too large for the licence, for one
                return Answer(str(error))

        def propose_one(b: int, seconds: float) -> Proposal:
            return propose_row(
                run, instance, b, seconds, tolerance=self.tolerance, start=start, on_event=on_event
            )

        with environment:
            return row_by_row(instance, time_limit, propose_one, start=start, on_event=on_event)


def _solve(
    GRB: Any,
    model: Any,
    milp: MILP,
    seconds: float,
    hint: BoolArray | None,
    found: Callable[[FloatArray], None],
) -> Answer:
    kinds = np.where(milp.integer, GRB.INTEGER, GRB.CONTINUOUS)
    x = model.addMVar(len(milp.c), lb=milp.lower, ub=milp.upper, obj=milp.c, vtype=kinds)
    matrix = np.zeros((len(milp.row_lower), len(milp.c)))
    matrix[milp.rows, milp.columns] = milp.values
    for sense, side in ((">", milp.row_lower), ("<", milp.row_upper)):
        bounded = np.isfinite(side)
        if bounded.any():
            model.addMConstr(matrix[bounded], x, sense, side[bounded])
    if hint is not None:
        x[milp.mask_columns].Start = hint.astype(np.float64)
    if math.isfinite(seconds):
        model.Params.TimeLimit = seconds

    def better(model: Any, where: int) -> None:
        if where == GRB.Callback.MIPSOL:
            found(model.cbGetSolution(x))

    model.optimize(better)
    words = {code: word for word, code in vars(GRB.Status).items() if isinstance(code, int)}
    status = words.get(model.Status, str(model.Status))
    if model.Status == GRB.INFEASIBLE:
        return Answer(status, bound=math.inf)
    if model.SolCount == 0:
        return Answer(status, bound=model.ObjBound)
    return Answer(status, model.ObjVal, model.ObjBound, (x.X,))


def _import_gurobipy() -> Any:
    """Import gurobipy.

    Raises
    ------
    ImportError
        When it is missing, with the cure.
    """
    try:
        import gurobipy
    except ImportError as error:
        raise ImportError("solver gurobi needs gurobipy: pip install gurobipy") from error
    return gurobipy
