"""Which solver an instance gets when none is named."""

from dataclasses import dataclass, fields, replace
from typing import ClassVar

from instances.arrays import BoolArray
from instances.instance import Instance
from solvers.registry import get_solver
from solvers.solver import OnEvent, Proposal, Solver

PREFERRED = (
    "mitm",
    "perturbed",
    "nearest",
    "budget",
    "unit-sets",
    "shared-units",
    "sphere",
    "interval-tree",
    "selection",
    "knapsack",
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

    Parameters
    ----------
    instance
        A batch of any problem class.

    Returns
    -------
    Solver
        What `solve` takes when none is named.

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


def on_device(solver: Solver, device: str) -> Solver:
    """Return `solver` computing on `device`, if it lets one choose; "auto" changes nothing."""
    chooses = any(field.name == "device" for field in fields(solver))  # type: ignore[arg-type]
    return replace(solver, device=device) if chooses and device != "auto" else solver  # type: ignore[type-var]


@dataclass(frozen=True)
class Auto:
    """Whoever `select` chooses, on a device of one's own choice.

    Parameters
    ----------
    device
        A torch device, for those who let one choose; "auto": as they do by themselves.
    """

    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def choose(self, instance: Instance) -> Solver:
        """Return who decides; the errors are those of `select`."""
        return on_device(select(instance), self.device)

    def supports(self, instance: Instance) -> bool:
        """Whether anybody does."""
        return any(get_solver(name).supports(instance) for name in PREFERRED)

    def propose(
        self,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose what the chosen one does; `solve` asks that one itself, and names it."""
        chosen = self.choose(instance)
        return chosen.propose(instance, time_limit, start=start, on_event=on_event)
