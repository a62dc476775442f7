"""What leaves an answer as it is: laws for rows whose masks are too many to be judged one by one.

Permuting candidates, negating all numbers, multiplying them by a power of two, adding a candidate
that is of no use.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from truth_batches import (
    MODERATE,
    NARROW,
    WIDE,
    Family,
    edge_budgets,
    neuron_selections,
    neurons,
    perturbed_sums,
    shared_units,
    subset_sums,
    valued_knapsacks,
)

from instances.edge_budget import EdgeBudget
from instances.neuron_selection import NeuronSelection
from instances.perturbed import PerturbedSubsetSum
from instances.shared_units import SharedUnits
from instances.subset_sum import SubsetSum
from instances.valued_knapsack import ValuedKnapsack
from solvers.registry import get_solver
from solvers.solution import Solution, Status
from solvers.solve import solve


class Drawn(NamedTuple):
    """How the batches of a solver's laws are drawn."""

    draw: Callable[..., Any]
    families: tuple[Family, ...]
    rows: int
    most: int


LAWS = {
    "mitm": Drawn(subset_sums, NARROW[:4] + NARROW[5:9], 40, 28),
    "nearest": Drawn(subset_sums, NARROW[:10] + WIDE[:2], 40, 300),
    "cp-sat": Drawn(subset_sums, NARROW[:4] + NARROW[5:9], 2, 16),
    "cbc": Drawn(subset_sums, MODERATE, 2, 12),
    "highs": Drawn(subset_sums, MODERATE, 2, 12),
    "scip": Drawn(subset_sums, MODERATE, 2, 12),
    "enumerate": Drawn(subset_sums, NARROW[:4] + NARROW[5:9], 4, 7),
    "perturbed": Drawn(perturbed_sums, NARROW[:4] + NARROW[5:9], 40, 18),
    "budget": Drawn(edge_budgets, MODERATE, 4, 60),
    "unit-sets": Drawn(shared_units, NARROW[:4] + NARROW[5:9], 10, 16),
    "knapsack": Drawn(valued_knapsacks, NARROW[:10], 20, 60),
    "sphere": Drawn(neurons, MODERATE, 4, 24),
    "interval-tree": Drawn(neurons, MODERATE, 4, 24),
    "subset-choice": Drawn(neurons, MODERATE, 2, 16),
    "selection": Drawn(neuron_selections, MODERATE, 4, 12),
}
"""The exact solvers; what a heuristic finds may depend on the order of candidates."""

LEFT_OPEN = ("cbc", "highs", "scip")
"""Those that compute in floats and may leave open in one form what they prove in another; the
others may not, where objectives are exact."""

_MORE = 3


def broken_laws(name: str, seed: int) -> tuple[Counter[str], list[tuple[str, int]]]:
    """Return how many rows a solver was given for each law, and each law it broke, with the row."""
    rng = np.random.default_rng([seed, *name.encode()])
    drawn, solver = LAWS[name], get_solver(name)
    given, broken = Counter[str](), list[tuple[str, int]]()
    for _ in range(100):  # until a batch is of the solver's kind
        instance = drawn.draw(rng, drawn.families, drawn.rows, drawn.most)
        if solver.supports(instance):
            break
    else:
        return given, broken
    answer = solve(instance, name)
    for law in (permuted, negated, scaled, extended):
        try:
            with np.errstate(over="ignore"):
                changed, factor = law(instance, rng)
        except ValueError:  # its numbers have no sign, or are too large to be multiplied
            continue
        if not solver.supports(changed):
            continue
        given[law.__name__] += len(instance)
        found = differing(answer, solve(changed, name), factor)
        broken += [(law.__name__, r) for r in found]
    return given, broken


def differing(answer: Solution, other: Solution, factor: float) -> list[int]:
    """Return the rows with another status, or an objective that is not `factor` times as large."""
    slack = answer.instance.slack * factor + other.instance.slack
    optimal = (answer.status == Status.OPTIMAL) & (other.status == Status.OPTIMAL)
    found = optimal & ~_close(answer.objective * factor, other.objective, 2 * slack)
    infeasible = [s.status == Status.INFEASIBLE for s in (answer, other)]
    found |= infeasible[0] & other.feasible | infeasible[1] & answer.feasible
    if answer.solver not in LEFT_OPEN and not slack.any():
        found |= answer.status != other.status
    return np.flatnonzero(found).tolist()


def _close(one: Any, other: Any, slack: Any) -> Any:
    return (one == other) | (np.abs(one - other) <= slack)


def permuted(instance: Any, rng: Generator) -> tuple[Any, float]:
    """Put the candidates in another order, in all rows alike."""
    order = rng.permutation(_last(instance))
    changes = {name: getattr(instance, name)[..., order] for name in _by_candidate(instance)}
    return replace(instance, **changes), 1.0


def negated(instance: Any, rng: Generator) -> tuple[Any, float]:
    """Change the sign of all numbers."""
    if isinstance(instance, ValuedKnapsack):
        raise ValueError("weights are never negative")
    return replace(instance, **{name: -getattr(instance, name) for name in _signed(instance)}), 1.0


def scaled(instance: Any, rng: Generator) -> tuple[Any, float]:
    """Multiply what is measured by a power of two, so large that nothing is rounded."""
    factor = 2.0 ** int(rng.integers(1, 40))
    names = {ValuedKnapsack: ["values"]}.get(type(instance), _signed(instance))
    if isinstance(instance, PerturbedSubsetSum):
        names = [*names, "perturbations"]
    changes: dict[str, Any] = {name: getattr(instance, name) * factor for name in names}
    if isinstance(instance, SharedUnits):
        changes["tolerance"] = instance.tolerance * factor
    elif isinstance(instance, EdgeBudget) and instance.error_limit is not None:
        changes["error_limit"] = instance.error_limit * factor
    elif isinstance(instance, SubsetSum | PerturbedSubsetSum) and instance.tolerance is not None:
        within: Any = instance.objective
        changes["objective"] = replace(within, tolerance=within.tolerance * factor)
    paid = isinstance(instance, SharedUnits) or (instance.counts and "values" not in names)
    return replace(instance, **changes), 1.0 if paid else factor


def extended(instance: Any, rng: Generator) -> tuple[Any, float]:
    """Add candidates that are not available; worth nothing; equal to one that is there."""
    if isinstance(instance, NeuronSelection):
        copies = rng.integers(0, _last(instance), _MORE)
        features = np.concatenate([instance.features, instance.features[..., copies]], axis=2)
        return replace(instance, features=features), 1.0
    changes = {}
    for name in _by_candidate(instance):
        numbers = getattr(instance, name)
        more = (*numbers.shape[:-1], _MORE)
        filling = np.full(more, {"values": -1.0, "weights": 0}.get(name, 0.375), numbers.dtype)
        changes[name] = np.concatenate([numbers, filling], axis=-1)
    if not isinstance(instance, ValuedKnapsack):
        available = instance.available
        shape = instance.coefficients.shape
        available = np.ones(shape, np.bool_) if available is None else available
        none = np.zeros((*shape[:-1], _MORE), np.bool_)
        changes["available"] = np.concatenate([available, none], axis=-1)
    return replace(instance, **changes), 1.0


def _last(instance: Any) -> int:
    return int(getattr(instance, _by_candidate(instance)[0]).shape[-1])


def _by_candidate(instance: Any) -> list[str]:
    """Return the names of what has a number for every candidate, the last axis being theirs."""
    if isinstance(instance, ValuedKnapsack):
        return ["values", "weights"]
    if isinstance(instance, NeuronSelection):
        return ["features"]
    names = ["coefficients"]
    if isinstance(instance, PerturbedSubsetSum):
        names.append("perturbations")
    return names if instance.available is None else [*names, "available"]


def _signed(instance: Any) -> list[str]:
    return ["features" if isinstance(instance, NeuronSelection) else "coefficients", "targets"]
