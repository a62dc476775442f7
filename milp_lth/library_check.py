"""The instance library against its table: what an exact solver proves, and what is recorded."""

from collections.abc import Callable

import numpy as np

from instances.arrays import FloatArray
from instances.library.sets import known_optima, load_set
from instances.library.table import exact
from solvers.registry import REGISTRY, get_solver
from solvers.solution import Solution, Status
from solvers.solve import solve


def check_set(
    name: str, solver: str = "mitm", *, on_rows: Callable[[int], None] | None = None
) -> list[str]:
    """Solve a set of the library again and return what differs from the table.

    Parameters
    ----------
    name
        A set of `instances.library.sets.list_sets`.
    solver
        The name of a solver that proves optima to the last bit.
    on_rows
        Called with how many rows of the set are done, as they are.

    Raises
    ------
    ValueError
        When the solver cannot prove optima to the last bit.
    """
    check_solver(solver)
    try:
        instance, recorded = load_set(name), known_optima(name)
    except ValueError as error:
        return [str(error)]
    if len(recorded) != len(instance):
        return [f"set {name} has {len(instance)} rows, but {len(recorded)} are recorded"]
    solution = solve(
        instance,
        solver,
        on_event=on_rows and (lambda first, part: on_rows(first + len(part.bound))),
    )
    return [
        f"set {name}, row {b}: {_shown(old)} is recorded, but {solver} proves {_shown(new)}"
        for b, (old, new) in enumerate(zip(recorded, proven_optima(solution), strict=True))
        if old != new
    ]


def check_solver(name: str) -> None:
    """Refuse a solver that proves nothing, or whose proofs have a tolerance.

    Raises
    ------
    ValueError
        When `name` is unknown, or that of such a solver.
    """
    if get_solver(name).tolerance > 0 or not REGISTRY[name].exact:
        raise ValueError(
            f"solver {name} does not prove optima to the last bit: take mitm or cp-sat"
        )


def proven_optima(solution: Solution) -> FloatArray:
    """Return the optima that a solution proves: infinity where none exists, NaN where unproven."""
    optima = np.full(len(solution.status), np.nan)
    optimal = solution.status == Status.OPTIMAL
    optima[optimal] = solution.objective[optimal]
    optima[solution.status == Status.INFEASIBLE] = np.inf
    return optima


def _shown(value: float) -> str:
    if np.isnan(value):
        return "nothing"
    return "that no mask is feasible" if np.isinf(value) else exact(float(value))
