"""One run of one solver on one row, in a process that is killed at its limits."""

import dataclasses
import math
import time
from typing import Any, NamedTuple

import numpy as np

from instances.arrays import BoolArray
from instances.subset_sum import SubsetSum
from milp_lth.compare.problems import Problem, reordered
from solvers.solution import Status
from solvers.solve import judged
from solvers.solver import Proposal, Solver, nothing_known
from solvers.worker import OutOfMemoryError, Worker, WorkerDiedError

FINISHED, TIME, MEMORY, CRASHED, ERROR = "finished", "time limit", "memory", "crashed", "error"
UNSUPPORTED = "unsupported"
"""The solver takes other rows of this task, but not this one: it has failed on it."""

_BATCH_SECONDS = 2.0
_MOST_ROWS = 5000


class Run(NamedTuple):
    """What one run gave. Errors and objectives are recomputed from the mask, exactly."""

    set_name: str
    row: int
    solver: str
    seed: int
    task: str
    num_candidates: int
    outcome: str
    message: str
    optimum: float
    reported_status: str
    reported_objective: float
    reported_bound: float
    status: str
    objective: float
    violation: float
    bound: float
    seconds: float
    """From the instance's arrival in the solver's process to the answer; build included, start
    excluded."""
    build_seconds: float
    start_seconds: float
    mask: list[int]
    """The kept candidates."""
    trace: list[tuple[float, float, float]]
    """(seconds, objective, violation) of every improvement that was told of."""


def with_settings(solver: Solver, *, threads: int, seed: int) -> Solver:
    """Return the solver with `threads` and `seed`, where it has such fields."""
    names = {field.name for field in dataclasses.fields(solver)}  # type: ignore[arg-type]
    asked = {"threads": threads, "seed": seed}
    changes = {name: value for name, value in asked.items() if name in names}
    return dataclasses.replace(solver, **changes)  # type: ignore[type-var]


def measure(
    problem: Problem,
    name: str,
    solver: Solver,
    worker: Worker,
    *,
    seed: int,
    threads: int,
    time_limit: float,
) -> Run:
    """Let `solver` have one row, whatever it does: what breaks is told in the run's outcome."""
    instance, order = reordered(problem.instance, seed)
    trace: list[tuple[float, float, float]] = []
    began = time.perf_counter()

    def told(first: int, part: Proposal) -> None:
        at = time.perf_counter() - began
        objective, violation = instance.evaluate(part.mask)
        trace.append((at, float(objective[0]), float(violation[0])))

    outcome, message = FINISHED, ""
    proposal = nothing_known(instance)
    try:
        proposal = worker.propose(
            with_settings(solver, threads=threads, seed=seed), instance, time_limit, on_event=told
        )
        if "killed" in proposal.stats:
            outcome = TIME
    except OutOfMemoryError as error:
        outcome, message = MEMORY, str(error)
    except WorkerDiedError as error:
        outcome, message = CRASHED, str(error)
    except (RuntimeError, ValueError) as error:
        outcome, message = ERROR, str(error)
    start = proposal.stats.get("start_seconds", 0.0)
    seconds = proposal.stats.get("solve_seconds", time.perf_counter() - began - start)
    solution = judged(instance, proposal, name, seconds)
    if outcome == FINISHED and seconds >= time_limit and solution.status[0] == Status.FEASIBLE:
        outcome = TIME
    return Run(
        set_name=problem.set_name,
        row=problem.row,
        solver=name,
        seed=seed,
        task=problem.task,
        num_candidates=instance.num_candidates,
        outcome=outcome,
        message=message,
        optimum=problem.optimum,
        reported_status=str(proposal.reported.status[0]),
        reported_objective=float(proposal.reported.objective[0]),
        reported_bound=float(proposal.reported.bound[0]),
        status=Status(solution.status[0]).name,
        objective=float(solution.objective[0]),
        violation=float(solution.violation[0]),
        bound=float(solution.bound[0]),
        seconds=seconds,
        build_seconds=proposal.stats.get("build_seconds", 0.0),
        start_seconds=start,
        mask=_kept(solution.mask[0], order),
        trace=[(min(max(0.0, at - start), seconds), value, off) for at, value, off in trace],
    )


def not_supported(problem: Problem, name: str, *, seed: int) -> Run:
    """Return the run of a solver that does not take this row."""
    nothing = math.inf
    return Run(
        set_name=problem.set_name,
        row=problem.row,
        solver=name,
        seed=seed,
        task=problem.task,
        num_candidates=problem.instance.num_candidates,
        outcome=UNSUPPORTED,
        message="",
        optimum=problem.optimum,
        reported_status="",
        reported_objective=math.nan,
        reported_bound=math.nan,
        status=Status.NO_SOLUTION.name,
        objective=nothing,
        violation=nothing,
        bound=-nothing,
        seconds=0.0,
        build_seconds=0.0,
        start_seconds=0.0,
        mask=[],
        trace=[],
    )


def rows_per_second(
    instance: SubsetSum, solver: Solver, worker: Worker, *, latency: float, threads: int
) -> float | None:
    """Return how many rows of a batch a solver answers in a second; None where it does not.

    The rows of `instance` stand in turn until they would take about two seconds at the `latency` of
    one alone.
    """
    wanted = int(np.clip(_BATCH_SECONDS / max(latency, 1e-6), len(instance), _MOST_ROWS))
    rows = np.arange(wanted) % len(instance)
    available = None if instance.available is None else instance.available[rows]
    batch = SubsetSum(
        instance.coefficients[rows], instance.targets[rows], instance.objective, available
    )
    began = time.perf_counter()
    try:
        proposal = worker.propose(
            with_settings(solver, threads=threads, seed=0), batch, 10 * _BATCH_SECONDS
        )
    except RuntimeError:
        return None
    wall = time.perf_counter() - began - proposal.stats.get("start_seconds", 0.0)
    seconds = proposal.stats.get("solve_seconds", wall)
    return None if "killed" in proposal.stats else len(rows) / seconds


def _kept(mask: BoolArray, order: Any) -> list[int]:
    return sorted(int(k) for k in order[mask])
