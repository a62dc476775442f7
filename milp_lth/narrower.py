"""Tickets of narrower random networks: what accuracy and agreement owe to the width."""

from dataclasses import replace
from typing import Any

from milp_lth.assembly import assemble
from milp_lth.evaluation import evaluate
from milp_lth.reduction import Reduction, reduce
from milp_lth.solving import solve_masks
from milp_lth.targets.data import Data
from solvers.solver import Solver

MAX_WEIGHTS = 100_000
"""Larger targets are left out: every width would be a run of its own."""

_QUARTERS = (1, 2, 3)
_MAX_CANDIDATES = 26  # of one row; beyond, solving takes longer than the picture is worth


def narrower_tickets(
    reduction: Reduction, data: Data, solver: Solver | None = None
) -> list[dict[str, Any]]:
    """Find and evaluate tickets of a quarter, a half and three quarters of the width.

    Parameters
    ----------
    reduction
        The problems at full width; seed, construction, assignment and objective are kept.
    data
        What the tickets are judged by.
    solver
        Who finds them; None: whoever `milp_lth.select` chooses.

    Returns
    -------
    list
        One dict a width, with ``width`` (of the first layer), ``accuracy`` and ``agreement``;
        empty where the target has more than 100,000 weights or rows too many candidates.
    """
    if sum(layer.weight.size for layer in reduction.layers) > MAX_WEIGHTS:
        return []
    target = reduction.network.module()
    points: list[dict[str, Any]] = []
    for quarters in _QUARTERS:
        widths = tuple(layer.drawn.width * quarters // 4 for layer in reduction.layers)
        if min(widths) < 1 or any(point["width"] == widths[0] for point in points):
            continue
        narrow = reduce(
            reduction.network,
            replace(reduction.source, width=widths),
            assignment=reduction.assignment,
            objective=reduction.objective,
            input_range=reduction.input_range,
        )
        if max(part.shape[1] for part in narrow.parts) > _MAX_CANDIDATES:
            break
        found = evaluate(assemble(narrow, solve_masks(narrow, solver)), target, data.x, data.y)
        points.append(
            {
                "width": widths[0],
                "accuracy": found.ticket_accuracy,
                "agreement": found.agreement,
            }
        )
    return points
