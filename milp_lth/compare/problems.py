"""What is solved in a comparison: single rows, each with the best that is known of it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from instances.files import load_instance
from instances.instance import Instance
from instances.library import known_optima, load_set
from instances.philox import Stream, uniform
from instances.subset_sum import SubsetSum

_ORDER_LAYER = 2**16 - 3  # a stream that no layer of a source uses

STANDARD = ("uniform-16", "uniform-21", "product-21", "uniform-21-sparsest-1e-3", "uniform-32")
"""What is compared where nothing else is asked for."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One row of a set; `optimum` is infinite where it is infeasible, NaN where it is not known."""

    set_name: str
    row: int
    instance: Instance
    optimum: float

    @property
    def task(self) -> str:
        """What is asked: tasks are never mixed in one table."""
        return self.instance.task


def load_problems(names: Sequence[str], max_rows: int) -> list[Problem]:
    """Return the first rows of library sets or instance files.

    Parameters
    ----------
    names
        Names of sets (``milp-lth instances list``), or files of instances.
    max_rows
        Rows taken of each at most.

    Raises
    ------
    ValueError
        When a name is neither, or a file is damaged.
    """
    problems = []
    for name in names:
        if os.path.isfile(name):
            instance = load_instance(name)
            optima = np.full(len(instance), np.nan)
        else:
            instance, optima = load_set(name), known_optima(name)
        for row in range(min(max_rows, len(instance))):
            problems.append(Problem(name, row, instance.part(row, row + 1), float(optima[row])))
    return problems


def reordered(
    instance: Instance, seed: int
) -> tuple[Instance, "np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """Return the instance with its candidates in another order, and that order.

    Exact solvers have no seed that means much: their luck lies in the order of the variables. Seed
    0 is the order as it stands, and coupled programs, whose candidates belong together, keep it.
    """
    n = instance.num_candidates
    order = np.arange(n)
    if not isinstance(instance, SubsetSum):
        return instance, order
    if seed:
        order = np.argsort(uniform(Stream(seed, _ORDER_LAYER), order), kind="stable")
    available = None if instance.available is None else instance.available[:, order]
    return (
        SubsetSum(instance.coefficients[:, order], instance.targets, instance.objective, available),
        order,
    )
