"""What CBC gets wrong, and that its mistakes are not ours."""

import numpy as np
import pytest

from instances.generate import product_family
from instances.objectives import Sparsest
from solvers.solution import Status
from solvers.solve import solve

# CBC 2.10.3, with its preprocessing on, calls five kept candidates optimal here; two suffice
LOST = product_family(6, 9, seed=11, objective=Sparsest(0.02)).part(0, 1)


def test_preprocessing_loses_the_optimum() -> None:
    reference = solve(LOST, "mitm")
    assert reference.objective[0] == 2
    default = solve(LOST, "cbc-default")
    if default.objective[0] == 2:
        pytest.skip("this CBC does not have the fault")
    assert default.reported.status[0] == "Optimal"
    assert default.status[0] == Status.FEASIBLE


def test_tuned_settings_find_it() -> None:
    solution = solve(LOST, "cbc")
    assert solution.objective[0] == 2
    assert solution.status[0] == Status.OPTIMAL


@pytest.mark.parametrize("seed", range(3))
def test_bounds_hold(seed: int) -> None:
    instance = product_family(40, 8, seed=seed, objective=Sparsest(10.0 ** -(seed + 1)))
    reference = solve(instance, "mitm")
    optimum = np.where(reference.feasible, reference.objective, np.inf)
    solution = solve(instance, "cbc")
    assert (solution.bound <= optimum).all()
    optimal = solution.status == Status.OPTIMAL
    assert (solution.objective[optimal] == optimum[optimal]).all()
    assert optimal.any()
