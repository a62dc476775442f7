"""The recorded optima of the instance library against enumeration in fractions."""

import math

import pytest
from oracle import enumerate_row

from instances.library import known_optima, list_sets, load_set

SMALL = [name for name in list_sets() if load_set(name).num_candidates <= 12]


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
