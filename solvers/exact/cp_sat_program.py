"""CP-SAT on any standard form: its numbers rounded to integers, far below the declared tolerance.

SubsetSum problems have a way of their own, exact to the last bit: `solvers.exact.cp_sat`.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.milp import MILP
from solvers.exact.clash import import_cp_model
from solvers.exact.float_mip import Answer

TOLERANCE = 1e-9
"""What bounds are lowered by, relative to the size of a row; the rounding is a thousandth of it."""

_ROOM = 2.0**59  # what a row may add up to in whole numbers


def run(
    parameters: dict[str, Any],
    milp: MILP,
    seconds: float,
    start: BoolArray | None,
    found: Callable[[FloatArray], None],
) -> Answer:
    """Solve a program, whose rows have been scaled, with CP-SAT's `parameters`.

    A continuous variable becomes a whole number of 2⁻ᵖ, and so do the rows that measure; p is as
    large as 64 bits allow.
    """
    cp_model = import_cp_model()
    began = time.perf_counter()
    shift = _shift(milp)
    if shift is None:
        return Answer("numbers too far apart")
    unit = np.where(milp.integer, 1.0, 2.0**shift)  # variables are counted in 1 / unit
    factor = np.where(milp.counts, 1.0, 2.0**shift)
    lower, upper = _limits(milp)
    model = cp_model.CpModel()
    x = [
        model.new_int_var(math.ceil(low * u), math.floor(high * u), f"x{j}")
        for j, (low, high, u) in enumerate(zip(lower, upper, unit, strict=True))
    ]
    values = np.rint(milp.values * factor[milp.rows] / unit[milp.columns]).astype(np.int64)
    order = np.argsort(milp.rows, kind="stable")
    ends = np.searchsorted(milp.rows[order], np.arange(len(milp.row_lower) + 1))
    for i in range(len(milp.row_lower)):
        entries = order[ends[i] : ends[i + 1]]
        total = cp_model.LinearExpr.weighted_sum(
            [x[j] for j in milp.columns[entries]], values[entries]
        )
        low, high = milp.row_lower[i] * factor[i], milp.row_upper[i] * factor[i]
        model.add_linear_constraint(
            total,
            math.ceil(low) if math.isfinite(low) else -(2**62),
            math.floor(high) if math.isfinite(high) else 2**62,
        )
    costs, weight, off = _costs(milp, unit, np.maximum(np.abs(lower), np.abs(upper)))
    model.minimize(cp_model.LinearExpr.weighted_sum(x, costs))
    if start is not None:
        for k, j in enumerate(milp.mask_columns):
            model.add_hint(x[j], bool(start[k]))
    build_seconds = time.perf_counter() - began
    solver = cp_model.CpSolver()
    for name, value in parameters.items():
        setattr(solver.parameters, name, value)
    if math.isfinite(seconds):
        solver.parameters.max_time_in_seconds = max(seconds, 1e-3)

    class Told(cp_model.CpSolverSolutionCallback):  # type: ignore[misc, name-defined]
        def on_solution_callback(self) -> None:
            found(np.array([self.value(v) for v in x]) / unit)

    status = solver.status_name(solver.solve(model, Told()))
    if status == "MODEL_INVALID":
        return Answer(f"{status}: {model.validate()}"[:200], build_seconds=build_seconds)
    if status not in ("OPTIMAL", "FEASIBLE"):
        bound = math.inf if status == "INFEASIBLE" else -math.inf
        return Answer(status, bound=bound, build_seconds=build_seconds)
    return Answer(
        status,
        solver.objective_value / weight,
        solver.best_objective_bound / weight - off,
        (np.array([solver.value(v) for v in x]) / unit,),
        build_seconds,
    )


def _limits(milp: MILP) -> tuple[FloatArray, FloatArray]:
    """Return bounds that are finite: a variable without one is the error of a row."""
    most = 4.0 * max(milp.size, 1.0)
    return np.maximum(milp.lower, -most), np.minimum(milp.upper, most)


def _shift(milp: MILP) -> int | None:
    """Return p; None where 64 bits do not allow one that is large enough."""
    lower, upper = _limits(milp)
    reach = np.maximum(np.abs(lower), np.abs(upper))
    sums = np.zeros(len(milp.row_lower))
    np.add.at(sums, milp.rows, np.abs(milp.values) * reach[milp.columns])
    cost = float((np.abs(milp.c) * reach).sum())
    if sums[milp.counts].max(initial=0.0) > _ROOM:  # these are not multiplied
        return None
    most = max(float(sums[~milp.counts].max(initial=1.0)), cost, milp.size, 1.0)
    shift = math.floor(math.log2(_ROOM / most))
    rounded = (len(milp.c) + 1) * 2.0**-shift
    return shift if shift >= 0 and rounded <= TOLERANCE * max(milp.size, 1.0) else None


def _costs(milp: MILP, unit: FloatArray, reach: FloatArray) -> tuple[Any, float, float]:
    """Return whole costs, what they were multiplied by, and how far the objective is then off."""
    costs = milp.c / unit
    smallest = np.abs(costs[costs != 0]).min(initial=1.0)
    most = float((np.abs(costs) * reach * unit).sum())
    weight = 1.0
    while not np.equal(costs * weight, np.rint(costs * weight)).all():
        if smallest * weight > 2.0**30 or most * weight > _ROOM:
            break
        weight *= 2.0
    whole = np.rint(costs * weight)
    off = float((np.abs(whole - costs * weight) * reach * unit).sum() / weight)
    return whole.astype(np.int64), weight, off
