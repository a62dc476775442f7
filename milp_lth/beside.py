"""What coupling bought: a coupled ticket beside independent closest sums of the same source."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from instances.arrays import BoolArray
from instances.objectives import Closest
from milp_lth.assembly import assemble
from milp_lth.data_aware import output_errors
from milp_lth.evaluation import evaluate
from milp_lth.reduction import Reduction
from milp_lth.solving import solve_masks
from milp_lth.targets.data import Data
from solvers.solver import Solver


def beside_independent(
    reduction: Reduction,
    masks: Sequence[BoolArray],
    data: Data,
    solver: Solver | None = None,
) -> dict[str, dict[str, Any]]:
    """Evaluate the ticket of `masks`, and that of every weight's closest sum, on held-out data.

    Parameters
    ----------
    reduction, masks
        The problems, and the answers of the coupled ticket.
    data
        What both are judged by.
    solver
        Who finds the closest sums; None: whoever `milp_lth.select` chooses.

    Returns
    -------
    dict
        For "coupled" and "independent": ``accuracy``, ``agreement``, ``max_logit_error``,
        ``kept_v``, ``per_weight``, of the weights' errors the ``max_error``, ``median_error`` and
        ``sum_error``, and ``output_errors``, of every layer's outputs the root mean square error.
    """
    alone = solve_masks(replace(reduction, objective=Closest()), solver)
    return {
        "coupled": _figures(reduction, masks, data),
        "independent": _figures(reduction, alone, data),
    }


def _figures(reduction: Reduction, masks: Sequence[BoolArray], data: Data) -> dict[str, Any]:
    found = evaluate(assemble(reduction, masks), reduction.network.module(), data.x, data.y)
    errors = np.concatenate(
        [
            part.instance().judge(mask).error
            for part, mask in zip(reduction.parts, masks, strict=True)
        ]
    )
    return {
        "accuracy": found.ticket_accuracy,
        "agreement": found.agreement,
        "max_logit_error": found.max_logit_error,
        "kept_v": found.edges["kept_v"],
        "per_weight": found.edges["per_weight"],
        "max_error": float(errors.max()),
        "median_error": float(np.median(errors)),
        "sum_error": float(errors.sum()),
        "output_errors": output_errors(reduction, masks, data.x),
    }
