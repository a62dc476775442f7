"""The whole measurement: rows, CP-SAT beside them, and the curve."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from instances.objectives import Sparsest
from milp_lth.bench.batches import NUM_CANDIDATES, TOLERANCE, batch_rows
from milp_lth.bench.curve import Curve, check_numbers, measure_curve
from milp_lth.bench.parameter_sets import check_num_instances, parameter_set_rows
from milp_lth.bench.row import Row
from milp_lth.bench.timing import OnProgress
from milp_lth.environment import environment
from milp_lth.reduction import Reduction, reduce
from milp_lth.source import Source
from milp_lth.targets.files import load_target
from milp_lth.targets.named import load_named_target

_TARGET = "digits-mlp"


@dataclass(frozen=True)
class Kernels:
    """What was measured, in one run and in one thread."""

    rows: tuple[Row, ...]
    curve: Curve
    seed: int
    versions: dict[str, str]

    def stated(self) -> dict[str, Any]:
        """Return everything as keys and values."""
        return {
            "rows": [row.stated() for row in self.rows],
            "curve": [{"n": n, "seconds": seconds} for n, seconds in self.curve.points],
            "slope": self.curve.slope,
            "seed": self.seed,
            "environment": environment(),
            "versions": self.versions,
        }


def measure_kernels(
    reduction: Reduction,
    *,
    num_instances: int,
    numbers: Sequence[int],
    seed: int,
    progress: Callable[[str], AbstractContextManager[OnProgress]],
) -> Kernels:
    """Measure meet-in-the-middle and compare it with CP-SAT, in one thread: some minutes.

    Parameters
    ----------
    reduction
        What `read_problems` returned.
    num_instances
        How many instances CP-SAT is timed on, with every parameter set.
    numbers
        The numbers of candidates of the curve.
    seed
        Determines every number but those of `reduction`.
    progress
        Makes, from what is counted, what is told how many are done.

    Raises
    ------
    ValueError
        When a parameter is out of range.
    """
    check_num_instances(num_instances)
    check_numbers(numbers)
    with progress("kernels") as tell:
        rows = batch_rows(reduction, seed, tell)
    with progress("CP-SAT solves") as tell:
        row_seconds = rows[0].value / 1e6
        rows += parameter_set_rows(num_instances, seed, row_seconds, tell)
    with progress("points of the curve") as tell:
        curve = measure_curve(numbers, seed, tell)
    versions = {name: version(name) for name in ("numba", "numpy", "ortools")}
    return Kernels((*rows, curve.row()), curve, seed, versions)


def read_problems(path: str | os.PathLike[str] | None, seed: int) -> Reduction:
    """Pose the weights of the network in a file, or of digits-mlp, as sparsest problems.

    Each weight gets 21 candidates of its own: the direct construction.

    Raises
    ------
    ValueError
        When the file cannot be read or holds no multi-layer perceptron.
    """
    module = load_named_target(_TARGET)[0] if path is None else load_target(path)
    source = Source(seed=seed, width=NUM_CANDIDATES, construction="direct")
    return reduce(module, source, objective=Sparsest(TOLERANCE))
