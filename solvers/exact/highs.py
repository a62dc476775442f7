"""HiGHS through OR-Tools MathOpt: a float branch-and-cut solver under a permissive licence.

One more opinion, free, maintained, and part of OR-Tools; SCIP is faster on SubsetSum. Its sub-MIP
heuristics are off: they improve an answer by just the feasibility tolerance, which HiGHS' own last
check then refuses ("Solve error"), on one row in a hundred; without them it is faster, too. With
`tuned=False` (registered as ``highs-default``) nothing is touched, to see what the defaults claim;
nothing is concluded from it.
https://highs.dev; Huangfu and Hall (2018), https://doi.org/10.1007/s12532-017-0130-5
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import BoolArray
from instances.instance import Instance
from instances.milp import MILP
from solvers.exact import mathopt
from solvers.solver import OnEvent, Proposal

_TUNED: dict[str, float] = {
    "mip_feasibility_tolerance": 1e-10,  # the smallest that HiGHS takes, here and below
    "primal_feasibility_tolerance": 1e-10,
    "dual_feasibility_tolerance": 1e-10,
    "small_matrix_value": 1e-12,
}
_SUB_MIPS = (
    "mip_heuristic_run_rins",
    "mip_heuristic_run_rens",
    "mip_heuristic_run_root_reduced_cost",
)


@dataclass(frozen=True)
class Highs:
    """HiGHS for all objectives, one row after the other.

    Parameters
    ----------
    threads
        HiGHS threads per row.
    seed
        HiGHS' random seed.
    tuned
        Whether to scale the rows, close the gaps and tighten HiGHS' tolerances.
    """

    threads: int = 1
    seed: int = 0
    tuned: bool = True
    engine: ClassVar[str] = "HIGHS"
    tells: ClassVar[bool] = False

    @property
    def tolerance(self) -> float:
        """Relative to the sum of a row's absolute numbers; untuned, nothing is promised at all."""
        return 1e-9 if self.tuned else math.inf

    def supports(self, instance: Instance) -> bool:
        """Whether the standard form is linear, and HiGHS to be believed about it.

        Tuned as here, HiGHS 1.12 proved bounds above the optimum of arbitrary sources.
        """
        return instance.linear and not (self.tuned and isinstance(instance, ArbitrarySource))

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
        parameters.highs.int_options["threads"] = self.threads  # MathOpt's own field is refused
        if self.seed:
            parameters.random_seed = self.seed
        if self.tuned:
            parameters.relative_gap_tolerance = parameters.absolute_gap_tolerance = 0.0
            parameters.highs.double_options.update(_TUNED)
            parameters.highs.bool_options.update(dict.fromkeys(_SUB_MIPS, False))
