"""OR-Tools MathOpt: the way to the MIP solvers that its wheel contains, HiGHS and SCIP.

https://developers.google.com/optimization/math_opt
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance
from instances.milp import MILP
from solvers.exact.clash import import_mathopt
from solvers.exact.float_mip import Answer, propose_row
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal


class Backend(Protocol):
    """One of MathOpt's solvers with its settings."""

    @property
    def engine(self) -> str:
        """Its name in MathOpt's ``SolverType``."""
        ...

    @property
    def tells(self) -> bool:
        """Whether it calls back at every better point."""
        ...

    @property
    def tolerance(self) -> float:
        """What its bounds are lowered by, relative to the size of a row; infinite: untuned."""
        ...

    def configure(self, parameters: Any, milp: MILP) -> None:
        """Write its settings for a program into MathOpt's ``SolveParameters``."""
        ...


def propose(
    backend: Backend,
    instance: Instance,
    time_limit: float,
    *,
    start: BoolArray | None = None,
    on_event: OnEvent | None = None,
) -> Proposal:
    """Solve row by row, each with its share of the time that is left.

    Where the solver fails a row keeps the mask it had; `reported` says what happened.
    """
    # listening costs SCIP two lines of complaint a row on standard error
    listens = backend.tells and on_event is not None
    run = partial(_run, backend, import_mathopt(backend.engine), listens)

    def one(b: int, seconds: float) -> Proposal:
        return propose_row(
            run, instance, b, seconds, tolerance=backend.tolerance, start=start, on_event=on_event
        )

    return row_by_row(instance, time_limit, one, start=start, on_event=on_event)


def _run(
    backend: Backend,
    mathopt: Any,
    listens: bool,
    milp: MILP,
    seconds: float,
    start: BoolArray | None,
    found: Callable[[FloatArray], None],
) -> Answer:
    began = time.perf_counter()
    model, x = _model(mathopt, milp)
    build_seconds = time.perf_counter() - began
    parameters = mathopt.SolveParameters()
    if math.isfinite(seconds):
        parameters.time_limit = timedelta(seconds=max(seconds, 1e-3))
    backend.configure(parameters, milp)
    hints = []
    if start is not None:
        kept = {x[j]: float(start[k]) for k, j in enumerate(milp.mask_columns)}
        hints.append(mathopt.SolutionHint(variable_values=kept))
    solve = partial(
        mathopt.solve,
        model,
        mathopt.SolverType[backend.engine],
        params=parameters,
        model_params=mathopt.ModelSolveParameters(solution_hints=hints),
    )
    try:
        result = _listen(mathopt, solve, x, found) if listens else _aside(solve)
    except _FAILURES as error:
        # MathOpt fails to translate its errors, and what is raised is an AttributeError: the
        # cause is behind it. https://github.com/google/or-tools/issues/4606
        message = str(error.__context__ or error).partition(" [")[0]
        return Answer(message, build_seconds=build_seconds)
    points = [s.primal_solution for s in result.solutions if s.primal_solution is not None]
    bounds = result.termination.objective_bounds
    reason = result.termination.reason
    return Answer(
        reason.name,
        bounds.primal_bound if points else math.nan,
        math.inf if reason == mathopt.TerminationReason.INFEASIBLE else bounds.dual_bound,
        tuple(np.array([point.variable_values[v] for v in x]) for point in points),
        build_seconds,
    )


_FAILURES = (AttributeError, RuntimeError, ValueError, NotImplementedError, AssertionError)


def _listen(
    mathopt: Any, solve: Callable[..., Any], x: list[Any], found: Callable[[FloatArray], None]
) -> Any:
    """Solve, and tell of every better point."""
    raised: list[BaseException] = []

    def better(data: Any) -> Any:
        try:
            found(np.array([data.solution[v] for v in x]))
        except BaseException as error:  # must not pass through the solver
            raised.append(error)
        return mathopt.CallbackResult(terminate=bool(raised))

    events = mathopt.CallbackRegistration(events={mathopt.Event.MIP_SOLUTION})
    result = solve(callback_reg=events, cb=better)
    if raised:
        raise raised[0]
    return result


def _aside(solve: Callable[[], Any]) -> Any:
    """Solve in a thread of its own.

    HiGHS ties its pool of threads to the thread that calls it, and once it is there refuses any
    other number of them.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(solve).result()


def _model(mathopt: Any, milp: MILP) -> tuple[Any, list[Any]]:
    model = mathopt.Model()
    x = [
        model.add_variable(lb=lower, ub=upper, is_integer=bool(integer))
        for lower, upper, integer in zip(milp.lower, milp.upper, milp.integer, strict=True)
    ]
    rows = [
        model.add_linear_constraint(lb=lower, ub=upper)
        for lower, upper in zip(milp.row_lower, milp.row_upper, strict=True)
    ]
    for i, j, value in zip(milp.rows, milp.columns, milp.values, strict=True):
        rows[i].set_coefficient(x[j], value)
    for j in np.flatnonzero(milp.c):
        if milp.squared:
            model.objective.set_quadratic_coefficient(x[j], x[j], milp.c[j] ** 2)
        else:
            model.objective.set_linear_coefficient(x[j], milp.c[j])
    return model, x
