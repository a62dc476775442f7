"""Solving a reduction whose weights are coupled: part by part, in the order of its layers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from instances.arrays import BoolArray
from instances.edge_budget import EdgeBudget
from milp_lth.coupled import Coupling, DataAware, EdgeLimit
from milp_lth.data_aware import solve_layers
from milp_lth.reduction import Reduction
from solvers.solution import Solution, Status
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


class BudgetProblem(NamedTuple):
    """Weights that share a limit: of the network, or of a layer, whole or neuron by neuron."""

    name: str
    """Of the layer; empty for the network."""
    parts: tuple[int, ...]
    instance: EdgeBudget

    def masks(self, reduction: Reduction, mask: BoolArray) -> list[BoolArray]:
        """Take the masks of all problems apart: one per part, shape (rows, n)."""
        whole = mask.reshape(self.instance.coefficients.shape)
        found, first = [], 0
        for p in self.parts:
            rows, n = reduction.parts[p].shape
            each = rows // len(whole)
            mine = whole[:, first : first + each, :n]
            found.append(np.ascontiguousarray(mine.reshape(rows, n)))
            first += each
        return found

    def together(self, masks: Sequence[BoolArray]) -> BoolArray:
        """Do the opposite, with the masks of all parts of the reduction."""
        groups, _, widest = self.instance.coefficients.shape
        return np.concatenate(
            [_padded(masks[p], groups, widest) for p in self.parts], axis=1
        ).reshape(groups, -1)


def budget_problems(reduction: Reduction, limit: EdgeLimit) -> Iterator[BudgetProblem]:
    """State the weights of a reduction as problems of edges under `limit`, one after the other.

    Raises
    ------
    ValueError
        When `limit` has not one number nor one for every layer.
    """
    everyone = tuple(range(len(reduction.parts)))
    places = [("", everyone)]
    if limit.per != "network":
        places = [
            (layer.name, tuple(p for p in everyone if reduction.parts[p].layer is layer))
            for layer in reduction.layers
        ]
    shares = limit.shares(len(reduction.layers))
    for (name, parts), (size, error) in zip(places, shares, strict=True):
        first = reduction.parts[parts[0]]
        groups = first.layer.drawn.num_outputs if limit.per == "neuron" else 1
        widest = max(reduction.parts[p].shape[1] for p in parts)
        rows = [reduction.parts[p].instance() for p in parts]
        available = np.concatenate(
            [
                _padded(
                    np.ones(row.coefficients.shape, np.bool_)
                    if row.available is None
                    else row.available,
                    groups,
                    widest,
                )
                for row in rows
            ],
            axis=1,
        )
        instance = EdgeBudget(
            np.concatenate([_padded(row.coefficients, groups, widest) for row in rows], axis=1),
            np.concatenate([row.targets.reshape(groups, -1) for row in rows], axis=1),
            budget=size,
            error_limit=error,
            measure=limit.measure,
            available=None if available.all() else available,
        )
        yield BudgetProblem(name, parts, instance)


def _padded(rows: Any, groups: int, widest: int) -> Any:
    """Put the candidates of rows, shape (rows, n), in groups, with zeros behind."""
    wide = np.pad(rows, ((0, 0), (0, widest - rows.shape[1])))
    return wide.reshape(groups, -1, widest)


def _under_budget(
    reduction: Reduction, limit: EdgeLimit, solver: Solver | None, time_limit: float
) -> Iterator[SolvedPart]:
    rows_left, seconds_left = reduction.num_rows, time_limit
    for problem in budget_problems(reduction, limit):
        num_rows = problem.instance.targets.size
        solution = solve(
            problem.instance, solver or "budget", time_limit=seconds_left * num_rows / rows_left
        )
        _check_feasible(problem, solution)
        rows_left, seconds_left = rows_left - num_rows, seconds_left - solution.seconds
        stated = {
            "layer": problem.name,
            "per": limit.per,
            "task": problem.instance.task,
            "objective": solution.objective.tolist(),
            "bound": solution.bound.tolist(),
            "status": solution.counts(),
        }
        masks = problem.masks(reduction, solution.mask)
        for p, mask in zip(problem.parts, masks, strict=True):
            share = solution.seconds * len(mask) / num_rows
            yield SolvedPart(p, mask, solution.solver, share, stated)


def _check_feasible(problem: BudgetProblem, solution: Solution) -> None:
    """Refuse a limit that no mask keeps, naming the least one."""
    out = np.flatnonzero(solution.status == Status.INFEASIBLE)
    if len(out) == 0:
        return
    asked = problem.instance.part(int(out[0]), int(out[0]) + 1)
    free = replace(asked, budget=asked.num_candidates, error_limit=None)
    least = float(solve(free, "budget").objective[0])
    where = f" of layer {problem.name}" if problem.name else ""
    raise ValueError(
        f"error limit {asked.error_limit:g}: the {asked.measure} of errors{where} is {least:.6g} "
        "at least; give a larger limit, or a larger --width"
    )
