"""Families are determined by their seeds, and are what they say."""

import numpy as np
import pytest

from instances.generate import normal_family, planted_family, product_family, uniform_family
from instances.objectives import Sparsest


@pytest.mark.parametrize("family", [uniform_family, normal_family, product_family])
def test_same_seed_same_instance(family) -> None:  # type: ignore[no-untyped-def]
    one, two, other = family(5, 7, seed=3), family(5, 7, seed=3), family(5, 7, seed=4)
    assert (one.coefficients == two.coefficients).all()
    assert (one.targets == two.targets).all()
    assert (one.coefficients != other.coefficients).all()
    assert one.targets.min() >= -0.5
    assert one.targets.max() < 0.5


def test_golden_instance() -> None:
    instance = uniform_family(1, 3, seed=7)
    assert (instance.coefficients * 2.0**46).tolist() == [
        [-6389886427132.0, 57274585179595.0, 854998384916.0]
    ]
    assert float(instance.targets[0]).hex() == "0x1.670b0523dff78p-2"


def test_moments() -> None:
    assert uniform_family(2000, 50).coefficients.var() == pytest.approx(1 / 3, rel=0.02)
    assert normal_family(2000, 50).coefficients.var() == pytest.approx(1, rel=0.02)
    assert product_family(2000, 50).coefficients.var() == pytest.approx(1 / 9, rel=0.02)


def test_planted_targets_are_met_exactly() -> None:
    for unit in (2.0**-46, 2.0**-4):
        instance, mask = planted_family(50, 20, seed=1, unit=unit, objective=Sparsest(0.0))
        _, violation = instance.evaluate(mask)
        assert not violation.any()


def test_products_are_exact() -> None:
    coefficients = product_family(100, 10).coefficients
    assert (coefficients * 2.0**46 == np.rint(coefficients * 2.0**46)).all()


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        uniform_family(0, 3)
