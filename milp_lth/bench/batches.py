"""What a row costs meet-in-the-middle, in one thread."""

from collections.abc import Callable
from functools import partial

import numpy as np

from instances.generate import uniform_family
from instances.objectives import Closest, FixedSize
from instances.philox import Stream, uniform
from instances.subset_sum import SubsetSum
from milp_lth.bench.row import Row
from milp_lth.bench.timing import OnProgress, solving_seconds
from milp_lth.reduction import Reduction

NUM_ROWS = 20_000
"""Rows of a batch."""
NUM_CANDIDATES = 21
"""Candidates per row, as in the experiment of Pensia et al. 2020."""

TOLERANCE = 0.01
"""Of the sparsest sums."""
_ROWS_PER_VECTOR = 778  # weights per output of the paper's network, on average
_CLOSEST_BAR, _SPARSEST_BAR = 10.0, 1.0  # microseconds


def batch_rows(reduction: Reduction, seed: int, on_progress: OnProgress) -> list[Row]:
    """Measure every objective and shape of batch, in microseconds per row.

    Parameters
    ----------
    reduction
        The sparsest problems of a network's weights.
    seed
        Determines all other numbers.
    on_progress
        Is told of every row measured.
    """
    n = NUM_CANDIDATES
    cases: list[tuple[str, Callable[[], SubsetSum], float | None]] = [
        (f"closest, n = {n}", _family(n, seed), _CLOSEST_BAR),
        (f"closest, n = {n}, {_ROWS_PER_VECTOR} rows per vector", lambda: _shared(seed), None),
        (f"closest, n = {n} on average (ragged)", lambda: _ragged(seed), None),
        (f"fixed-size 3, n = {n}", _family(n, seed, FixedSize(3)), None),
        (f"fixed-size 8, n = {n}", _family(n, seed, FixedSize(8)), None),
        ("closest, n = 16", _family(16, seed), None),
        ("closest, n = 24", _family(24, seed), None),
    ]
    rows = []
    for name, build, bar in cases:
        microseconds = solving_seconds(build()) / NUM_ROWS * 1e6
        rows.append(Row(name, microseconds, "µs per row", bar))
        on_progress(len(rows), len(cases) + 1)
    seconds = sum(
        solving_seconds(reduction.parts[part].instance(start, stop))
        for part, start, stop in reduction.chunks(NUM_ROWS)
    )
    name = f"sparsest, ε = {TOLERANCE}, n = {n}"
    note = f"{reduction.num_rows:,} weights"
    value = seconds / reduction.num_rows * 1e6
    rows.append(Row(name, value, "µs per weight", _SPARSEST_BAR, note=note))
    on_progress(len(rows), len(cases) + 1)
    return rows


def _family(
    num_candidates: int, seed: int, objective: Closest | FixedSize | None = None
) -> Callable[[], SubsetSum]:
    objective = objective or Closest()
    return partial(uniform_family, NUM_ROWS, num_candidates, seed=seed, objective=objective)


def _shared(seed: int) -> SubsetSum:
    """Rows that share their vector with those next to them, as the weights of one output may."""
    family = uniform_family(NUM_ROWS, NUM_CANDIDATES, seed=seed)
    return SubsetSum(family.coefficients[np.arange(NUM_ROWS) // _ROWS_PER_VECTOR], family.targets)


def _ragged(seed: int) -> SubsetSum:
    """Rows that may each use seven eighths of a few more candidates."""
    num_candidates = NUM_CANDIDATES * 8 // 7
    family = uniform_family(NUM_ROWS, num_candidates, seed=seed)
    counters = np.arange(family.coefficients.size).reshape(family.coefficients.shape)
    available = uniform(Stream(seed, matrix=4), counters) < 0.75
    return SubsetSum(family.coefficients, family.targets, available=available)
