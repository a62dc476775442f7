"""The judged answer, and the one place where a status is derived."""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance
from instances.shared_units import SharedUnits
from solvers.solver import Reported


class Status(enum.IntEnum):
    """What is known of one row. It says nothing about how the row was solved."""

    #: The mask is feasible, and no other is better by more than the gap that was asked for.
    OPTIMAL = 0
    #: The mask is feasible; a better one is not ruled out.
    FEASIBLE = 1
    #: It is proved that no mask is feasible.
    INFEASIBLE = 2
    #: No feasible mask was found, and none is ruled out.
    NO_SOLUTION = 3


@dataclass(frozen=True, eq=False)
class Solution:
    """Masks with what is true of them; every number but `bound` and `reported` was recomputed.

    Attributes
    ----------
    instance
        What was solved.
    mask
        Shape (b, n), True = kept: the best known of every row, whatever its status.
    objective
        Shape (b,): what is minimised, an error or a count.
    violation
        Shape (b,): 0 where the mask is feasible, how far it is from that elsewhere.
    error
        Shape (b,), in units of the targets.
    bound
        Shape (b,): the solver's claim, raised to a whole number where the objective is a count, and
        dropped to 0 where the mask at hand refutes it.
    status
        Shape (b,): members of `Status`, as numbers.
    reported
        What the backend said of itself: status, objective and bound, each of shape (b,).
    stats
        What else the backend told, by name: see `Proposal`.
    solver
        Its registered name.
    seconds
        What solving took; ``stats["start_seconds"]`` (imports, compilation, the start of a process)
        left out.
    abs_gap
        By how much a mask that is called OPTIMAL may be worse than the bound.
    rel_gap
        The same, as a fraction of the objective.
    """

    instance: Instance
    mask: BoolArray
    objective: FloatArray
    violation: FloatArray
    error: FloatArray
    bound: FloatArray
    status: NDArray[np.uint8]
    reported: Reported
    stats: dict[str, float]
    solver: str
    seconds: float
    abs_gap: float = 0.0
    rel_gap: float = 0.0

    @property
    def feasible(self) -> BoolArray:
        """Whether each row's mask meets its constraints, tolerance included."""
        return np.asarray(self.violation == 0)

    def counts(self) -> dict[str, int]:
        """Return how many rows have each status, by the status' name."""
        found = np.bincount(self.status, minlength=len(Status))
        return {status.name: int(found[status]) for status in Status}


def derive_status(
    instance: Instance,
    objective: FloatArray,
    violation: FloatArray,
    bound: FloatArray,
    *,
    abs_gap: float = 0.0,
    rel_gap: float = 0.0,
) -> tuple[NDArray[np.uint8], FloatArray]:
    """Conclude from recomputed objectives and claimed lower bounds.

    OPTIMAL is a feasible mask whose objective is at most ``bound + max(abs_gap, rel_gap ·
    |objective|)``, plus the instance's slack where objectives cannot be judged exactly; INFEASIBLE
    a bound that exceeds the tolerance (for the objectives that are errors) or is infinite. A bound
    above the objective of a feasible mask is false: it is dropped.

    Returns
    -------
    status
        Shape (b,), members of `Status`.
    bound
        Shape (b,), the bounds that were relied on.
    """
    bound = np.maximum(np.nan_to_num(bound, nan=0.0, posinf=np.inf, neginf=0.0), 0.0)
    if instance.counts:
        bound = np.ceil(bound)
    feasible = violation == 0
    bound = np.where(feasible & (bound > objective + instance.slack), 0.0, bound)
    finite = np.where(np.isfinite(objective), np.abs(objective), 0.0)
    gap = np.maximum(abs_gap, rel_gap * finite) + instance.slack
    impossible = np.isposinf(bound)
    pays = instance.counts or isinstance(instance, SharedUnits)  # whole numbers or not
    if instance.tolerance is not None and not pays:
        impossible |= bound > instance.tolerance
    status = np.full(len(bound), Status.NO_SOLUTION, dtype=np.uint8)
    status[~feasible & impossible] = Status.INFEASIBLE
    status[feasible] = Status.FEASIBLE
    status[feasible & (objective <= bound + gap)] = Status.OPTIMAL
    return status, bound
