"""SCIP through OR-Tools MathOpt: a float branch-and-cut solver with constraint programming inside.

Prefer it to HiGHS and CBC for Instance, and where every better mask is to be told of while a row
is being solved. Cutting planes are off by default: these problems are then solved three to ten
times faster. With `tuned=False` (registered as ``scip-default``) nothing is touched, to see
what the defaults claim; nothing is concluded from it.
https://www.scipopt.org; Achterberg (2009), https://doi.org/10.1007/s12532-008-0001-1
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.milp import MILP
from solvers.exact import mathopt
from solvers.exact.clash import import_mathopt
from solvers.solver import OnEvent, Proposal

_TUNED: dict[str, float] = {
    "numerics/feastol": 1e-10,  # SoPlex as it is built here takes nothing smaller
    "numerics/dualfeastol": 1e-10,
    "numerics/epsilon": 1e-12,
    "numerics/sumepsilon": 1e-12,
}

_CHAINED: dict[str, float] = {
    "numerics/feastol": 1e-7,  # in scaled rows a hundredth of the declared tolerance
    "numerics/dualfeastol": 1e-7,
}
"""Where rows tie continuous variables to each other: with those above, 28 of 9,894 small programs
of arbitrary sources got false bounds; with these none of 14,457."""


@dataclass(frozen=True)
class Scip:
    """SCIP for all objectives, one row after the other.

    Parameters
    ----------
    threads
        SCIP threads per row; it branches with one whatever is given.
    seed
        SCIP's random seed.
    tuned
        Whether to scale the rows, close the gaps and tighten SCIP's tolerances.
    cuts
        Whether a tuned SCIP adds cutting planes.
    """

    threads: int = 1
    seed: int = 0
    tuned: bool = True
    cuts: bool = False
    engine: ClassVar[str] = "GSCIP"
    tells: ClassVar[bool] = True

    @property
    def tolerance(self) -> float:
        """Relative to the sum of a row's absolute numbers; untuned, nothing is promised at all."""
        return 1e-9 if self.tuned else math.inf

    def supports(self, instance: Instance) -> bool:
        """Whether the standard form has no squares, or they are what is minimised."""
        return instance.linear or not instance.counts

    def propose(
        self,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve row by row, each with its share of the time that is left."""
        return mathopt.propose(self, instance, time_limit, start=start, on_event=on_event)

    def configure(self, parameters: Any, milp: MILP) -> None:
        """Write the settings for a program into MathOpt's ``SolveParameters``."""
        parameters.threads = self.threads
        parameters.gscip.bool_params["misc/catchctrlc"] = False  # Ctrl-C is the caller's
        if self.seed:
            parameters.random_seed = self.seed
        if self.tuned:
            parameters.relative_gap_tolerance = parameters.absolute_gap_tolerance = 0.0
            emphasis = import_mathopt().Emphasis
            if milp.squared:  # tighter tolerances end in numerical troubles, and cuts are the bound
                # an error that is replaced by what it consists of leaves products behind, and that
                # their sum is never negative takes minutes to find out, where it is found out
                parameters.gscip.bool_params["presolving/donotmultaggr"] = True
                return
            parameters.gscip.real_params.update(_CHAINED if milp.chained else _TUNED)
            parameters.heuristics = emphasis.LOW
            if not self.cuts:
                parameters.cuts = emphasis.OFF
