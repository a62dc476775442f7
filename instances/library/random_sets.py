"""Sets of random coefficients: those that lottery tickets are made of, and planted ones."""

from functools import partial

from instances.generate import planted_family, product_family, uniform_family
from instances.library.named_set import NamedSet
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.philox import UNIT_RAW
from instances.subset_sum import SubsetSum

_NUMBERS = (8, 12, 16, 20, 21, 24, 28, 32, 36, 40, 44, 48)
_NUM_ROWS = {8: 20, 12: 20, 16: 20, 20: 20, 21: 20, 24: 20, 28: 10, 32: 10, 36: 10, 40: 5, 44: 5,
             48: 2}  # fmt: skip
_FAMILIES = {
    "uniform": (uniform_family, 100, "uniform on [−1, 1)", "Lueker 1998"),
    "product": (product_family, 200, "products of [0, 1) and [−1, 1)", "Pensia et al. 2020"),
}
_PLANTED_SEED = 300


def _drawn(family: str, n: int, suffix: str, objective: Objective, source: str = "") -> NamedSet:
    """Return a set of a family; the seed depends on n alone, so objectives share the numbers."""
    make, seed, what, origin = _FAMILIES[family]
    return NamedSet(
        f"{family}-{n}{suffix}",
        f"{what}; targets uniform on [−0.5, 0.5)",
        source or origin,
        partial(make, _NUM_ROWS[n], n, seed=seed + n, objective=objective),
    )


def _planted(num_rows: int, n: int, unit: float) -> SubsetSum:
    instance, _ = planted_family(num_rows, n, seed=_PLANTED_SEED + n, unit=unit)
    return instance


RANDOM_SETS = (
    *(_drawn(family, n, "", Closest()) for family in _FAMILIES for n in _NUMBERS),
    *(
        _drawn(family, n, f"-sparsest-{text}", Sparsest(float(text)))
        for family in _FAMILIES
        for n in (16, 21, 24)
        for text in ("1e-2", "1e-3")
    ),
    *(
        _drawn(family, 21, f"-fixed-{size}", FixedSize(size), "Natale et al. 2024")
        for family in _FAMILIES
        for size in (3, 5, 8)
    ),
    *(
        NamedSet(
            f"planted-{n}",
            "uniform on [−1, 1); each target is the exact sum of a random mask",
            "this library",
            partial(_planted, _NUM_ROWS[n], n, UNIT_RAW),
        )
        for n in (16, 24, 32, 40)
    ),
    NamedSet(
        "planted-coarse-28",
        "planted, coefficients on the grid 2⁻⁸: many masks reach each target",
        "this library",
        partial(_planted, _NUM_ROWS[28], 28, 2.0**-8),
    ),
)
