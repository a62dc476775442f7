"""What is wrong with a solution: every claim of it against a table of all masks."""

import math
from fractions import Fraction

import numpy as np
from truth_tables import Table, as_float

from instances.arbitrary_source import ArbitrarySource
from instances.instance import Instance
from instances.perturbed import PerturbedSubsetSum
from instances.subset_sum import SubsetSum
from solvers.registry import REGISTRY
from solvers.solution import Solution, Status

CLAIMS = ("optimal", "infeasible", "bound", "status", "claims")
NUMBERS = ("objective", "violation", "nan", "mask")
"""The kinds of faults: what is claimed falsely, and what is computed wrongly."""

NEVER_SILENT = ("mitm", "nearest", "perturbed", "knapsack", "enumerate")
"""Exact to the last bit, with nothing to leave open when there is no clock."""

SMALLEST_MASK = {SubsetSum: ("mitm", "nearest", "cp-sat"), PerturbedSubsetSum: ("perturbed",)}
"""Who compares exact errors and, of equal answers, gives the smallest mask."""

PROVES = ("shared-units",)
"""A heuristic that tells bounds; the others have none to tell."""


def faults(instance: Instance, table: Table, solution: Solution) -> dict[str, list[int]]:
    """Return the rows of every kind of fault.

    A judged number may be off by the instance's slack where it has one, and what is claimed of it
    by as much again.
    """
    wrong: dict[str, list[int]] = {}
    shape = (len(instance), instance.num_candidates)
    if solution.mask.dtype != np.bool_ or solution.mask.shape != shape:
        return {"mask": list(range(len(instance)))}
    least = table.least()
    codes = solution.mask @ (1 << np.arange(shape[1], dtype=np.int64))
    for r, (code, best) in enumerate(zip(codes.tolist(), least, strict=True)):
        for kind in _of_row(instance, table, solution, r, code, best):
            wrong.setdefault(kind, []).append(r)
    return wrong


def _of_row(
    instance: Instance, table: Table, solution: Solution, r: int, code: int, best: object
) -> list[str]:
    objective, bound = float(solution.objective[r]), float(solution.bound[r])
    violation, slack = float(solution.violation[r]), float(instance.slack[r])
    status = Status(solution.status[r])
    cost, able = table.cost[r, code], bool(table.feasible[r, code])
    found = []
    if any(map(math.isnan, (objective, bound, violation, float(solution.error[r])))):
        found.append("nan")
    if not _near(objective, table, r, cost, slack):
        found.append("objective")
    feasible = violation == 0
    if feasible != able and not _at_the_edge(instance, table, r, cost, slack):
        found.append("violation")
    if feasible != (status in (Status.OPTIMAL, Status.FEASIBLE)):
        found.append("status")
    if best is None:
        doubtful = feasible and not able  # a judge with slack let it pass: it is in no table
        if status == Status.OPTIMAL and not doubtful:
            found.append("optimal")
        return found + _unclaimed(instance, solution, r, status)
    optimum = table.rounded(r, best)
    doubtful = _at_the_edge(instance, table, r, best, slack)
    if bound > optimum + slack and not (math.isinf(bound) and doubtful):
        found.append("bound")
    if status == Status.INFEASIBLE and not doubtful:
        found.append("infeasible")
    name = solution.solver
    if status == Status.OPTIMAL:
        if slack:
            missed = objective > optimum + 2 * slack
        elif name in SMALLEST_MASK.get(type(instance), ()):
            missed = code != table.best(r)
        else:
            missed = table.rounded(r, cost) != optimum
        if missed and not (feasible and not able):
            found.append("optimal")
    return found + _unclaimed(instance, solution, r, status)


def _unclaimed(instance: Instance, solution: Solution, r: int, status: Status) -> list[str]:
    """Tell of claims that a heuristic makes, and of those that an exact solver fails to make."""
    name = solution.solver
    silent = status in (Status.FEASIBLE, Status.NO_SOLUTION)
    if name in NEVER_SILENT and silent and instance.slack[r] == 0:
        return ["silent"]
    if not REGISTRY[name].exact and name not in PROVES and solution.bound[r] != 0:
        return ["claims"]
    return []


def _near(objective: float, table: Table, r: int, cost: object, slack: float) -> bool:
    if slack == 0:
        return objective == table.rounded(r, cost)
    return abs(objective - table.rounded(r, cost)) <= slack


def _at_the_edge(instance: Instance, table: Table, r: int, cost: object, slack: float) -> bool:
    """Whether an error is so near the tolerance that a judge with slack may decide either way."""
    if not isinstance(instance, ArbitrarySource) or instance.tolerance is None:
        return False
    return abs(as_float(table.exact(r, cost) - Fraction(instance.tolerance))) <= slack
