"""Checking what a run says of its coupled problem: recomputed from the masks."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from instances.arrays import BoolArray, FloatArray
from milp_lth.coupled import DataAware, EdgeLimit
from milp_lth.coupled_solving import budget_problems
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
        masks = run.masks(ledger)
        yield from _check_neurons(run.reduction, coupling, masks)
        errors = output_errors(run.reduction, masks, run.calibration().x)
        if len(recorded) != len(errors):
            yield f"{len(recorded)} layers are recorded, but there are {len(errors)}"
        for one, error in zip(recorded, errors, strict=False):
            said = one.get("calibration_error")
            if not (isinstance(said, float) and math.isclose(said, error, rel_tol=_TOLERANCE)):
                yield (
                    f"layer {one.get('layer')}: the recorded error on calibration inputs is "
                    f"{said}, but it is {error}"
                )


def _check_neurons(reduction: Reduction, asked: DataAware, masks: list[BoolArray]) -> Iterator[str]:
    for layer, budget in zip(reduction.layers, asked.budgets(len(reduction.layers)), strict=True):
        kept = sum(
            mask.reshape(layer.drawn.num_outputs, -1).sum(axis=1)
            for part, mask in zip(reduction.parts, masks, strict=True)
            if part.layer is layer
        )
        if budget is not None and int(np.max(kept)) > budget:
            yield f"layer {layer.name}: a neuron keeps {np.max(kept):,} edges, not {budget:,}"


def _check_budget(
    reduction: Reduction, limit: EdgeLimit, masks: list[BoolArray], recorded: list[dict[str, Any]]
) -> Iterator[str]:
    problems = list(budget_problems(reduction, limit))
    if len(recorded) != len(problems):
        yield f"{len(recorded)} coupled problems are recorded, but there are {len(problems)}"
    for problem, said in zip(problems, recorded, strict=False):
        where = f"layer {problem.name}: " if problem.name else ""
        objective, violation = problem.instance.evaluate(problem.together(masks))
        if (violation > 0).any():
            yield f"{where}what is kept does not satisfy: {problem.instance.task}"
        if said.get("objective") != objective.tolist():
            yield f"{where}the recorded objective is not that of the masks"
        bound = _numbers(said.get("bound"), len(objective))
        status, relied_on = derive_status(problem.instance, objective, violation, bound)
        counted = {kind.name: int((status == kind).sum()) for kind in Status}
        if said.get("status") != counted or said.get("bound") != relied_on.tolist():
            yield f"{where}the recorded status {said.get('status')} does not follow from the bounds"


def _numbers(said: Any, length: int) -> FloatArray:
    """Return what is said as floats; −∞ where it is something else."""
    good = isinstance(said, list) and all(isinstance(one, float | int) for one in said)
    if not good or len(said) != length:
        return np.full(length, -math.inf)
    return np.array(said, np.float64)
