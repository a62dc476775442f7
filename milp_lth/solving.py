"""Solving a reduction piece by piece, here or elsewhere."""

import math
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np

from instances.arrays import BoolArray
from instances.subset_sum import SubsetSum
from milp_lth.ledger import Chunk
from milp_lth.reduction import Part, Reduction
from solvers.registry import REGISTRY
from solvers.solve import solve
from solvers.solver import Solver

CHUNK_ROWS = 20_000
"""Rows solved in one go: a fraction of a second to some seconds of work."""

REMOTE_CHUNK_ROWS = 100_000
"""The same where chunks are sent to other processes: a second of work at 21 candidates."""

SLOW_CHUNK_ROWS = 20
"""The same for solvers that take one row after the other."""

UNLIMITED = 1e9
"""Seconds: a time limit for solvers that are to have a process of their own and all the time."""

Ranges = Iterable[tuple[int, int, int]]
"""Pieces of work: part, first row, and the row behind the last."""


def limit_for(solver: str, time_limit: float | None) -> float:
    """Return the seconds that a solver is given where a user asks for so many, or for no limit.

    One that takes row after row always gets a limit, and thereby a process of its own: Ctrl-C,
    which may mean no more than "finish the chunk", would cut its search short.
    """
    if time_limit is not None:
        return time_limit
    return math.inf if solver not in REGISTRY or REGISTRY[solver].batched else UNLIMITED


def solve_chunks(
    reduction: Reduction,
    solver: Solver | str | None = None,
    *,
    time_limit: float = math.inf,
    chunk_rows: int | None = None,
    done: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    executor: Executor | None = None,
) -> Generator[Chunk, None, None]:
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
        Rows per chunk; None: 20,000, or 100,000 with an executor.
    done
        What is known of each part already, as (start, stop) in order.
    executor
        Where chunks are solved, each on one thread: any of `concurrent.futures`, or that of a Dask
        client, see `milp_lth.elsewhere`; None: here, one after the other.

    Yields
    ------
    Chunk
        In the order of `Reduction.chunks`, or with an executor as they come.
    """
    if executor is not None:
        from milp_lth.elsewhere import solve_elsewhere

        pieces = reduction.chunks(chunk_rows or REMOTE_CHUNK_ROWS, done)
        yield from solve_elsewhere(reduction, pieces, executor, solver, time_limit=time_limit)
        return
    ranges = list(reduction.chunks(chunk_rows or CHUNK_ROWS, done))
    rows_left = sum(stop - start for _, start, stop in ranges)
    seconds_left = time_limit
    stated = _stated(reduction, ranges)
    for p, start, stop in ranges:
        share = seconds_left * (stop - start) / rows_left
        began = time.perf_counter()
        solution = solve(next(stated), solver, time_limit=max(share, 1e-3))
        seconds_left -= time.perf_counter() - began
        rows_left -= stop - start
        yield Chunk.of(p, start, stop, solution)


def _stated(reduction: Reduction, ranges: Sequence[tuple[int, int, int]]) -> Iterator[SubsetSum]:
    """State the rows of every range: the next ones are drawn while those at hand are solved."""
    with ThreadPoolExecutor(1) as pool:

        def begin(piece: tuple[int, int, int]) -> "Future[SubsetSum]":
            return pool.submit(reduction.parts[piece[0]].instance, *piece[1:])

        ahead = begin(ranges[0])
        for following in ranges[1:]:
            rows, ahead = ahead.result(), begin(following)
            yield rows
        yield ahead.result()


def solve_rows(
    part: Part, place: int, start: int, stop: int, solver: Solver | str | None, time_limit: float
) -> Chunk:
    """Solve the rows from `start` to before `stop` of a part, the one at `place`."""
    solution = solve(part.instance(start, stop), solver, time_limit=time_limit)
    return Chunk.of(place, start, stop, solution)


def solve_masks(
    reduction: Reduction,
    solver: Solver | str | None = None,
    *,
    time_limit: float = math.inf,
    executor: Executor | None = None,
) -> list[BoolArray]:
    """Solve everything and return one mask per part, shape (rows, n), as `assemble` takes them.

    Parameters are those of `solve_chunks`.
    """
    masks = [np.zeros(part.shape, np.bool_) for part in reduction.parts]
    for chunk in solve_chunks(reduction, solver, time_limit=time_limit, executor=executor):
        chunk.write_to(masks)
    return masks
