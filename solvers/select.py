"""Which solver an instance gets when none is named."""

from instances.instance import Instance
from solvers.registry import get_solver
from solvers.solver import Solver


def select(instance: Instance) -> Solver:
    """Return meet-in-the-middle where it can take the instance, else CP-SAT.

    >>> from instances.generate import uniform_family
    >>> select(uniform_family(1, 21))
    MeetInTheMiddle(threads=0)

    CP-SAT may need very long beyond 48 candidates: give it a time limit.
    """
    mitm = get_solver("mitm")
    return mitm if mitm.supports(instance) else get_solver("cp-sat")
