"""Solving a reduction piece by piece."""

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from milp_lth.reduction import Reduction
from solvers.solution import Solution
from solvers.solve import solve
from solvers.solver import Solver

CHUNK_ROWS = 20_000
"""Rows solved in one go: a fraction of a second to some seconds of work."""

SLOW_CHUNK_ROWS = 20
"""The same for solvers that take one row after the other."""


class SolvedChunk(NamedTuple):
    """The rows from `start` to before `stop` of a part, solved."""

    part: int
    start: int
    stop: int
    solution: Solution


def solve_chunks(
    reduction: Reduction,
    solver: Solver | str | None = None,
    *,
    time_limit: float = math.inf,
    chunk_rows: int = CHUNK_ROWS,
    skip: Callable[[int, int], bool] = lambda part, start: False,
) -> Iterator[SolvedChunk]:
    """Solve the rows of all parts, a chunk at a time.

    Parameters
    ----------
    reduction
        The problems.
    solver
        As for `milp_lth.solve`.
    time_limit
        Seconds for all chunks together; each gets the share of its rows in what is left.
    chunk_rows
        Rows per chunk.
    skip
        Whether the chunk of a part that begins at a row is known already.

    Yields
    ------
    SolvedChunk
        In the order of `Reduction.chunks`.
    """
    chunks = [c for c in reduction.chunks(chunk_rows) if not skip(c[0], c[1])]
    rows_left = sum(stop - start for _, start, stop in chunks)
    seconds_left = time_limit
    for p, start, stop in chunks:
        instance = reduction.parts[p].instance(start, stop)
        share = seconds_left * (stop - start) / rows_left
        began = time.perf_counter()
        solution = solve(instance, solver, time_limit=max(share, 1e-3))
        seconds_left -= time.perf_counter() - began
        rows_left -= stop - start
        yield SolvedChunk(p, start, stop, solution)


def solve_masks(
    reduction: Reduction, solver: Solver | str | None = None, *, time_limit: float = math.inf
) -> list["np.ndarray[tuple[int, int], np.dtype[np.bool_]]"]:
    """Solve everything and return one mask per part, shape (rows, n), as `assemble` takes them."""
    masks = [np.zeros(part.shape, np.bool_) for part in reduction.parts]
    for chunk in solve_chunks(reduction, solver, time_limit=time_limit):
        masks[chunk.part][chunk.start : chunk.stop] = chunk.solution.mask
    return masks
