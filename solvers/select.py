"""Which solver an instance gets when none is named."""

from instances.instance import Instance
from solvers.registry import get_solver
from solvers.solver import Solver

PREFERRED = (
    "mitm",
    "budget",
    "unit-sets",
    "shared-units",
    "sphere",
    "interval-tree",
    "cp-sat",
    "scip",
)


def select(instance: Instance) -> Solver:
    """Return the first of `PREFERRED` that can take the instance.

    >>> from instances.generate import uniform_family
    >>> select(uniform_family(1, 21))
    MeetInTheMiddle(threads=0, device='auto')

    Exact solvers may need very long beyond what they are made for, such as CP-SAT beyond 48
    candidates: give a time limit.

    Raises
    ------
    ValueError
        When no solver can.
    """
    for name in PREFERRED:
        solver = get_solver(name)
        if solver.supports(instance):
            return solver
    raise ValueError(f"no solver takes {instance.task}")
