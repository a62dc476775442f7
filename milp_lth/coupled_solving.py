"""Solving a reduction whose weights are coupled: part by part, in the order of its layers."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from instances.arrays import BoolArray
from instances.edge_budget import EdgeBudget
from milp_lth.coupled import Coupling, DataAware, EdgeLimit
from milp_lth.data_aware import solve_layers
from milp_lth.reduction import Reduction
from solvers.solution import Status
from solvers.solve import solve
from solvers.solver import Solver


class SolvedPart(NamedTuple):
    """The masks of one part, shape (rows, n), and what they took."""

    part: int
    mask: BoolArray
    solver: str
    seconds: float
    stated: dict[str, Any]
    """What the coupled problem came to, as it is recorded."""


def solve_coupled(
    reduction: Reduction,
    coupling: Coupling,
    calibration: torch.Tensor | None = None,
    solver: Solver | None = None,
    *,
    time_limit: float = math.inf,
) -> Iterator[SolvedPart]:
    """Solve all parts under what couples them.

    Parameters
    ----------
    reduction
        The weights and their candidates.
    coupling
        What couples them.
    calibration
        Inputs, where the coupling is the data.
    solver
        One that takes the problem; None: the one made for it.
    time_limit
        Seconds for all together.

    Raises
    ------
    ValueError
        When calibration inputs are missing, or the solver does not take the problem.
    """
    if isinstance(coupling, EdgeLimit):
        yield from _under_budget(reduction, coupling, solver, time_limit)
        return
    if calibration is None:
        raise ValueError("data-aware pruning needs calibration inputs: give some")
    yield from _on_data(reduction, coupling, calibration, solver, time_limit)


def coupled_masks(
    reduction: Reduction,
    coupling: Coupling,
    calibration: torch.Tensor | None = None,
    solver: Solver | None = None,
    *,
    time_limit: float = math.inf,
) -> list[BoolArray]:
    """Return one mask per part, shape (rows, n), as `milp_lth.assemble` takes them.

    Parameters and errors are those of `solve_coupled`.
    """
    masks = [np.zeros(part.shape, np.bool_) for part in reduction.parts]
    for solved in solve_coupled(reduction, coupling, calibration, solver, time_limit=time_limit):
        masks[solved.part] = solved.mask
    return masks


def _on_data(
    reduction: Reduction,
    asked: DataAware,
    calibration: torch.Tensor,
    solver: Solver | None,
    time_limit: float,
) -> Iterator[SolvedPart]:
    places = {id(part.layer): [] for part in reduction.parts}  # type: dict[int, list[int]]
    for k, part in enumerate(reduction.parts):
        places[id(part.layer)].append(k)
    for layer in solve_layers(reduction, asked, calibration, solver, time_limit=time_limit):
        stated = {
            "layer": reduction.layers[layer.place].name,
            "calibration_error": layer.calibration_error,
            "status": layer.solution.counts(),
        }
        parts = places[id(reduction.layers[layer.place])]
        for k, mask in zip(parts, layer.masks, strict=True):
            seconds = layer.solution.seconds / len(parts)
            yield SolvedPart(k, mask, layer.solution.solver, seconds, stated)


def budget_problem(reduction: Reduction, limit: EdgeLimit) -> EdgeBudget:
    """State all weights of a reduction as one problem under a budget."""
    widest = max(part.shape[1] for part in reduction.parts)
    total = sum(map(len, reduction.parts))
    coefficients = np.zeros((1, total, widest))
    available = np.zeros((1, total, widest), np.bool_)
    targets = np.empty((1, total))
    first = 0
    for part in reduction.parts:
        instance = part.instance()
        rows = slice(first, first + len(part))
        n = part.shape[1]
        coefficients[0, rows, :n] = instance.coefficients
        available[0, rows, :n] = True if instance.available is None else instance.available
        targets[0, rows] = instance.targets
        first += len(part)
    return EdgeBudget(
        coefficients, targets, budget=limit.size, measure=limit.measure,
        available=None if available.all() else available,
    )  # fmt: skip


def _under_budget(
    reduction: Reduction, limit: EdgeLimit, solver: Solver | None, time_limit: float
) -> Iterator[SolvedPart]:
    problem = budget_problem(reduction, limit)
    solution = solve(problem, solver or "budget", time_limit=time_limit)
    stated = {
        "budget": limit.size,
        "measure": limit.measure,
        "total_error": float(solution.objective[0]),
        "bound": float(solution.bound[0]),
        "status": Status(solution.status[0]).name,
    }
    mask = solution.mask.reshape(problem.coefficients.shape[1:])
    first = 0
    for k, part in enumerate(reduction.parts):
        rows = slice(first, first + len(part))
        share = solution.seconds * len(part) / len(mask)
        yield SolvedPart(
            k, np.ascontiguousarray(mask[rows, : part.shape[1]]), solution.solver, share, stated
        )
        first += len(part)
