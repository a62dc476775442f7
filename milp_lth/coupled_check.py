"""Checking what a run says of its coupled problem: recomputed from the masks."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from instances.arrays import BoolArray
from milp_lth.coupled import DataAware, EdgeLimit
from milp_lth.coupled_solving import budget_problem
from milp_lth.data_aware import output_errors
from milp_lth.ledger import Ledger
from milp_lth.reduction import Reduction
from milp_lth.run import Run
from solvers.solution import Status, derive_status

_TOLERANCE = 1e-9  # sums of squares over many inputs, relatively, whatever the machine


def check_coupling(run: Run, ledger: Ledger) -> Iterator[str]:
    """Yield what does not hold of the coupled problem that a run recorded; nothing without one."""
    coupling = run.settings.coupling()
    if coupling is None:
        return
    recorded = ledger.figures().get("coupling")
    if not isinstance(recorded, list) or not all(isinstance(one, dict) for one in recorded):
        yield "what the coupled problem came to is not recorded"
        return
    if isinstance(coupling, EdgeLimit):
        yield from _check_budget(run.reduction, coupling, run.masks(ledger), recorded)
    elif isinstance(coupling, DataAware):
        errors = output_errors(run.reduction, run.masks(ledger), run.calibration().x)
        if len(recorded) != len(errors):
            yield f"{len(recorded)} layers are recorded, but there are {len(errors)}"
        for one, error in zip(recorded, errors, strict=False):
            said = one.get("calibration_error")
            if not (isinstance(said, float) and math.isclose(said, error, rel_tol=_TOLERANCE)):
                yield (
                    f"layer {one.get('layer')}: the recorded error on calibration inputs is "
                    f"{said}, but it is {error}"
                )


def _check_budget(
    reduction: Reduction, limit: EdgeLimit, masks: list[BoolArray], recorded: list[dict[str, Any]]
) -> Iterator[str]:
    problem = budget_problem(reduction, limit)
    widest = problem.coefficients.shape[2]
    whole = np.concatenate([np.pad(m, ((0, 0), (0, widest - m.shape[1]))) for m in masks])
    objective, violation = problem.evaluate(whole.reshape(1, -1))
    said = recorded[0] if recorded else {}
    if violation[0] > 0:
        yield f"{whole.sum():,} edges are kept, but the budget is {limit.size:,}"
    if said.get("total_error") != objective[0]:
        yield f"the recorded total error is {said.get('total_error')}, but it is {objective[0]}"
    bound = np.array([float(said.get("bound", -math.inf))])
    status, relied_on = derive_status(problem, objective, violation, bound)
    if said.get("status") != Status(status[0]).name or said.get("bound") != relied_on[0]:
        yield f"the recorded status {said.get('status')} does not follow from the bound {bound[0]}"
