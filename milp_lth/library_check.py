"""The instance library against its table: what an exact solver proves, and what is recorded."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import FloatArray
from instances.instance import Instance
from instances.library.sets import known_optima, load_set
from instances.library.table import exact
from instances.neurons import Neurons
from solvers.registry import REGISTRY, get_solver, solver_name
from solvers.select import select
from solvers.solution import Solution, Status
from solvers.solve import solve
from solvers.solver import OnEvent

_ROUNDING = 2.0**-48  # the tolerance of bounds that are lowered by what rounding may do, no more


class Prover(NamedTuple):
    """A solver, and the gap up to which it is to prove."""

    solver: str
    abs_gap: float = 0.0


def prover(instance: Instance) -> Prover:
    """Return what a set is proved by where nothing else is asked for.

    The interval tree for neurons in norm 1 and inf; enumeration for arbitrary sources; else what
    `select` chooses.
    """
    if isinstance(instance, Neurons) and instance.linear:
        return Prover("interval-tree")
    if isinstance(instance, ArbitrarySource):
        return Prover("enumerate")
    return Prover(solver_name(select(instance)))


def proof(instance: Instance, by: Prover, *, on_event: OnEvent | None = None) -> Solution:
    """Solve a set, up to the gap that its prover is allowed."""
    return solve(instance, by.solver, abs_gap=by.abs_gap, on_event=on_event)


def rooms(instance: Instance, abs_gap: float) -> FloatArray:
    """Return how far two proven optima of each row may be apart, shape (b,)."""
    return np.asarray(2 * instance.slack + abs_gap)


def check_set(
    name: str, solver: str = "auto", *, on_rows: Callable[[int], None] | None = None
) -> list[str]:
    """Solve a set of the library again and return what differs from the table.

    Objectives that are judged exactly are compared to the last bit, others up to their slack and
    the gap of the proof.

    Parameters
    ----------
    name
        A set of `instances.library.sets.list_sets`.
    solver
        The name of a solver that proves optima to the last bit, or "auto": that of `prover`.
    on_rows
        Called with how many rows of the set are done, as they are.

    Raises
    ------
    ValueError
        When the solver cannot prove optima to the last bit.
    """
    if solver != "auto":
        check_solver(solver)
    try:
        instance, recorded = load_set(name), known_optima(name)
    except ValueError as error:
        return [str(error)]
    if len(recorded) != len(instance):
        return [f"set {name} has {len(instance)} rows, but {len(recorded)} are recorded"]
    by = prover(instance) if solver == "auto" else Prover(solver)
    solution = proof(
        instance, by, on_event=on_rows and (lambda first, part: on_rows(first + len(part.bound)))
    )
    pairs = zip(recorded, proven_optima(solution), rooms(instance, by.abs_gap), strict=True)
    return [
        f"set {name}, row {b}: {_shown(old)} is recorded, but {by.solver} proves {_shown(new)}"
        for b, (old, new, room) in enumerate(pairs)
        if old != new and not abs(old - new) <= room
    ]


def check_solver(name: str) -> None:
    """Refuse a solver that proves nothing, or whose proofs have a tolerance beyond rounding.

    Raises
    ------
    ValueError
        When `name` is unknown, or that of such a solver.
    """
    if get_solver(name).tolerance > _ROUNDING or not REGISTRY[name].exact:
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
