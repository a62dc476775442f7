"""The recorded optima of the instance library against enumeration in fractions."""

import math

import numpy as np
import pytest
from oracle import enumerate_row

from instances.library import known_optima, list_sets, load_set
from instances.library.coupled_sets import COUPLED_SETS
from instances.neurons import Neurons
from instances.subset_sum import SubsetSum
from milp_lth.library_check import check_set
from solvers.solve import solve

SMALL = [
    name
    for name in list_sets()
    if isinstance(i := load_set(name), SubsetSum) and i.num_candidates <= 12
]
SEARCHED = [
    name
    for name in list_sets()
    if isinstance(i := load_set(name), Neurons) and i.num_candidates <= 100
]


@pytest.mark.parametrize("name", SMALL)
def test_optima_of_small_sets(name: str) -> None:
    instance = load_set(name)
    for b, recorded in enumerate(known_optima(name).tolist()):
        best = enumerate_row(instance, b)
        if best is None:
            assert math.isinf(recorded)
        else:
            mask, error = best
            assert recorded == (float(mask.sum()) if instance.counts else float(error))


def test_there_are_small_sets_of_every_kind() -> None:
    assert {name.split("-")[0] for name in SMALL} >= {"uniform", "product", "near", "huge"}
    assert {load_set(name).objective.name for name in SMALL} == {
        "closest", "sparsest", "fixed-size"
    }  # fmt: skip


@pytest.mark.parametrize("name", [named.name for named in COUPLED_SETS if not named.slow])
def test_optima_of_coupled_sets(name: str) -> None:
    assert check_set(name) == []


@pytest.mark.parametrize("name", SEARCHED)
def test_lns_is_within_a_hundredth_of_the_optima(name: str) -> None:
    instance, optima = load_set(name), known_optima(name)
    ratios = []
    for b, optimum in enumerate(optima):
        found = solve(instance.part(b, b + 1), "lns")
        assert found.violation[0] == 0
        assert found.objective[0] >= optimum - 1e-5
        ratios.append(found.objective[0] / optimum)
    assert np.exp(np.log(ratios).mean()) <= 1.01
