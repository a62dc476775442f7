"""Rows that a real network poses.

Training is not the same to the last bit on every machine, so these rows are stored beside this
file; ``docs/measurements/library_digits.py`` made them.
"""

from functools import partial
from importlib.resources import files

from instances.files import read_npz
from instances.library.named_set import NamedSet
from instances.objectives import Closest, Objective, Sparsest
from instances.subset_sum import SubsetSum


def _stored(name: str, objective: Objective) -> SubsetSum:
    content = files("instances.library").joinpath(f"{name}.npz").read_bytes()
    stored = SubsetSum.from_fields(read_npz(content))
    return SubsetSum(stored.coefficients, stored.targets, objective, stored.available)


def _digits(suffix: str, objective: Objective) -> NamedSet:
    return NamedSet(
        f"digits-mlp{suffix}",
        "weights of digits-mlp and what a source of seed 0 and width 24, matched, offers them",
        "this library",
        partial(_stored, "digits-mlp", objective),
    )


NETWORK_SETS = (_digits("", Closest()), _digits("-sparsest-1e-2", Sparsest(1e-2)))
