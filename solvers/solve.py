"""The one way to have an instance solved."""

import math
import time

from instances.arrays import BoolArray
from instances.instance import Instance, Verdict
from solvers.registry import available_solvers, get_solver, solver_name
from solvers.select import Auto, select
from solvers.solution import Solution, derive_status
from solvers.solver import OnEvent, Proposal, Solver


def solve(
    instance: Instance,
    solver: Solver | str | None = None,
    *,
    time_limit: float = math.inf,
    abs_gap: float = 0.0,
    rel_gap: float = 0.0,
    start: BoolArray | None = None,
    on_event: OnEvent | None = None,
) -> Solution:
    r"""Choose masks for every row of `instance`, and say what is known of them.

    For the objective `Closest` the problem of row b is

    .. code-block:: text

        min |t_b − Σ_k a_bk m_k|   over m in {0, 1}ⁿ

    The solver only proposes. Objectives are recomputed in exact arithmetic, and the status is
    derived from them and from the bound the solver proves; see `Status`.

    Parameters
    ----------
    instance
        The batch.
    solver
        A solver, the name of one, or None for what `select` chooses.
    time_limit
        Seconds for the whole batch. When it is given, the solver runs in a process of its own that
        is killed at the limit, kept within 10 % + 1 s; its start is not counted.
    abs_gap, rel_gap
        By how much a mask that is called OPTIMAL may be worse than the bound; part of the claim.
    start
        Masks to begin from, shape (b, n), and to keep where nothing better is found.
    on_event
        Called with the first row and the proposal for some rows as soon as they are found.

    Returns
    -------
    Solution
        The best mask known of every row, whatever its status.

    Raises
    ------
    ValueError
        When the solver is unknown or does not support the instance, or a number is out of range.
    ImportError
        When the package a solver stands on is missing.
    RuntimeError
        When the backend failed.

    Examples
    --------
    >>> from instances.generate import planted_family
    >>> instance, _ = planted_family(3, 20)
    >>> solve(instance, "mitm").counts()
    {'OPTIMAL': 3, 'FEASIBLE': 0, 'INFEASIBLE': 0, 'NO_SOLUTION': 0}
    """
    if not time_limit > 0:
        raise ValueError(f"time limit {time_limit}: give a number of seconds above 0")
    if not (abs_gap >= 0 and rel_gap >= 0):
        raise ValueError(f"gaps {abs_gap} and {rel_gap}: give numbers that are not negative")
    if solver is None:
        solver = select(instance)
    elif isinstance(solver, str):
        solver = get_solver(solver)
    elif isinstance(solver, Auto):
        solver = solver.choose(instance)
    name = solver_name(solver)
    if not solver.supports(instance):
        raise ValueError(
            f"solver {name} does not take {len(instance)} rows of {instance.num_candidates} "
            f"candidates that ask for {instance.task}: choose {_who_takes(instance)}"
        )
    given = None if start is None else instance.verdict(start)  # refuses a wrong shape or type
    began = time.perf_counter()
    if math.isinf(time_limit):
        proposal = solver.propose(instance, time_limit, start=start, on_event=on_event)
    else:
        from solvers.worker import WORKER

        proposal = WORKER.propose(solver, instance, time_limit, start=start, on_event=on_event)
    seconds = time.perf_counter() - began - proposal.stats.get("start_seconds", 0.0)
    return judged(
        instance,
        proposal,
        name,
        seconds,
        abs_gap=abs_gap,
        rel_gap=rel_gap,
        start=start,
        given=given,
    )


def judged(
    instance: Instance,
    proposal: Proposal,
    solver: str,
    seconds: float,
    *,
    abs_gap: float = 0.0,
    rel_gap: float = 0.0,
    start: BoolArray | None = None,
    given: Verdict | None = None,
) -> Solution:
    """Recompute what `proposal` claims and derive the status of every row.

    Parameters
    ----------
    instance, proposal
        The batch, and what was proposed for it.
    solver, seconds
        Whose proposal it is, and what it took.
    abs_gap, rel_gap
        As for `solve`.
    start, given
        The masks that were there before and their verdict: rows are never left worse.
    """
    mask = proposal.mask
    objective, violation, error = instance.verdict(mask)
    if start is not None and given is not None:  # never worse than what was given
        closer = given.violation < violation
        worse = closer | ((given.violation == violation) & (given.objective < objective))
        mask[worse] = start[worse]
        for mine, theirs in zip((objective, violation, error), given, strict=True):
            mine[worse] = theirs[worse]
    status, bound = derive_status(
        instance, objective, violation, proposal.bound, abs_gap=abs_gap, rel_gap=rel_gap
    )
    return Solution(
        instance=instance,
        mask=mask,
        objective=objective,
        violation=violation,
        error=error,
        bound=bound,
        status=status,
        reported=proposal.reported,
        stats=proposal.stats,
        solver=solver,
        seconds=seconds,
        abs_gap=abs_gap,
        rel_gap=rel_gap,
    )


def _who_takes(instance: Instance) -> str:
    takers = [name for name in available_solvers() if get_solver(name).supports(instance)]
    return " or ".join(takers[:3]) or "a smaller instance"
