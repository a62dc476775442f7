"""The one rule by which a status is derived."""

import numpy as np
import pytest

from instances.objectives import Closest, Objective, Sparsest
from instances.subset_sum import SubsetSum
from solvers.solution import Status, derive_status


def derive(
    objective: Objective, value: float, violation: float, bound: float, **gaps: float
) -> tuple[Status, float]:
    instance = SubsetSum([[1.0]], [1.0], objective)
    arrays = [np.array([x]) for x in (value, violation, bound)]
    status, bounds = derive_status(instance, *arrays, **gaps)
    return Status(status[0]), float(bounds[0])


@pytest.mark.parametrize(
    ("objective", "value", "violation", "bound", "expected"),
    [
        (Closest(), 0.1, 0.0, 0.1, Status.OPTIMAL),
        (Closest(), 0.1, 0.0, 0.0999999, Status.FEASIBLE),
        (Closest(), 0.1, 0.0, -np.inf, Status.FEASIBLE),
        (Closest(), 0.1, 0.0, np.nan, Status.FEASIBLE),
        (Closest(), 0.0, 0.0, -np.inf, Status.OPTIMAL),  # nothing is below 0
        (Closest(0.05), 0.1, 0.05, 0.06, Status.INFEASIBLE),
        (Closest(0.05), 0.1, 0.05, 0.05, Status.NO_SOLUTION),
        (Closest(0.05), 0.1, 0.05, 0.0, Status.NO_SOLUTION),
        (Closest(0.05), 0.04, 0.0, 0.04, Status.OPTIMAL),
        (Sparsest(0.05), 3.0, 0.0, 2.000001, Status.OPTIMAL),  # a count: the bound is rounded up
        (Sparsest(0.05), 3.0, 0.0, 2.0, Status.FEASIBLE),
        (Sparsest(0.05), 3.0, 0.1, 3.0, Status.NO_SOLUTION),
        (Sparsest(0.05), 3.0, 0.1, np.inf, Status.INFEASIBLE),
        (Closest(), np.inf, np.inf, np.inf, Status.INFEASIBLE),
    ],
)
def test_rule(
    objective: Objective, value: float, violation: float, bound: float, expected: Status
) -> None:
    assert derive(objective, value, violation, bound)[0] == expected


def test_gaps_are_part_of_the_claim() -> None:
    assert derive(Closest(), 0.11, 0.0, 0.1)[0] == Status.FEASIBLE
    assert derive(Closest(), 0.11, 0.0, 0.1, abs_gap=0.02)[0] == Status.OPTIMAL
    assert derive(Closest(), 0.11, 0.0, 0.1, rel_gap=0.2)[0] == Status.OPTIMAL


def test_a_bound_that_the_mask_refutes_is_dropped() -> None:
    assert derive(Closest(), 0.1, 0.0, 0.2) == (Status.FEASIBLE, 0.0)
    assert derive(Sparsest(0.5), 2.0, 0.0, np.inf) == (Status.FEASIBLE, 0.0)
