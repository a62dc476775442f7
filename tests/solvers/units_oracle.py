"""The oracle of shared units: every mask, one after the other, in fractions."""

from fractions import Fraction
from itertools import product

import numpy as np

from instances.shared_units import SharedUnits


def least_costs(instance: SharedUnits) -> np.ndarray:
    """Return the least cost of every block, infinite where nothing is feasible."""
    return np.array([_least_cost(instance, b) for b in range(len(instance))])


def _least_cost(instance: SharedUnits, b: int) -> float:
    _, m, n = instance.shape
    free = np.ones((m, n), bool) if instance.available is None else instance.available[b]
    answers = [_answers(instance, b, j, free[j]) for j in range(m)]
    unit, edge = Fraction(instance.unit_cost), Fraction(instance.edge_cost)
    if instance.structured:
        common = set.intersection(*map(set, answers))
        allowed = [s for s in common if all(free[:, h].all() for h in range(n) if s >> h & 1)]
        return min((float((unit + m * edge) * s.bit_count()) for s in allowed), default=np.inf)
    best: Fraction | None = None
    for sets in product(*answers):
        used = 0
        for s in sets:
            used |= s
        cost = unit * used.bit_count() + edge * sum(s.bit_count() for s in sets)
        if best is None or cost < best:
            best = cost
    return np.inf if best is None else float(best)


def _answers(instance: SharedUnits, b: int, j: int, free: np.ndarray) -> list[int]:
    """Return the sets of units, bit h = unit h, that meet output j of block b."""
    found = []
    target = Fraction(float(instance.targets[b, j]))
    for bits in range(1 << len(free)):
        units = [h for h in range(len(free)) if bits >> h & 1]
        total = sum((Fraction(float(instance.coefficients[b, j, h])) for h in units), Fraction(0))
        within = abs(target - total) <= Fraction(instance.tolerance)
        if within and all(free[h] for h in units):
            found.append(bits)
    return found
