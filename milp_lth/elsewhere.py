"""Solving chunks in other processes, on this machine or on many.

Any executor of `concurrent.futures` will do; `milp_lth.cluster` makes one of a Dask scheduler. A
chunk travels as a seed and a range, with the target weights of its rows: candidates are drawn where
it is solved. Only a few chunks per worker are handed out at a time. What is lost with a worker is
handed out again; of a chunk that takes much longer than the others a second copy is, once workers
have nothing else to do. Answers do not depend on who gave them: a chunk's masks are those of its
rows.
"""

import atexit
import math
import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from dataclasses import dataclass, field, fields, replace
from typing import Any

from milp_lth import __version__
from milp_lth.ledger import Chunk
from milp_lth.reduction import Part, Reduction
from milp_lth.solving import UNLIMITED, Ranges
from solvers.cores import num_cores
from solvers.registry import REGISTRY, get_solver, solver_name
from solvers.select import Auto
from solvers.solve import judged, solve
from solvers.solver import Solver
from solvers.worker import Worker

RETRIES = 3
"""How often a chunk is handed out again after its worker failed."""

_AHEAD = 2  # chunks per worker that are handed out: one in hand, one in the bush
_LOOK = 1.0  # seconds between two looks at stragglers and new workers
_SLOW, _SLOW_SECONDS = 4.0, 5.0  # a straggler takes so many times the median, and so long


class WorkersLostError(ValueError):
    """There is nobody left to solve anything; what was solved is recorded."""


@dataclass(eq=False)
class _Errand:
    """A chunk that is out."""

    part: int
    start: int
    stop: int
    failures: int = 0
    futures: list["Future[Chunk]"] = field(default_factory=list)
    begun: float = 0.0


def solve_elsewhere(
    reduction: Reduction,
    ranges: Ranges,
    executor: Executor,
    solver: Solver | str | None = None,
    *,
    time_limit: float = math.inf,
) -> Iterator[Chunk]:
    """Have `executor` solve rows, and yield the chunks as they come.

    Parameters
    ----------
    reduction
        The problems.
    ranges
        Which rows, cut into chunks: (part, start, stop).
    executor
        Who solves them, one thread a chunk. Its `num_slots()`, where it has that, is asked again
        and again how many chunks it works on at once; else the number of its workers.
    solver
        As for `milp_lth.solve`; backends that take row after row get a process of their own each,
        killed at its limit.
    time_limit
        Seconds for all chunks together.

    Raises
    ------
    WorkersLostError
        When the executor is gone, or a chunk has failed again and again.
    ImportError
        When the workers lack this package, or have another version of it.
    """
    waiting = deque(_Errand(*piece) for piece in ranges)
    rows = sum(errand.stop - errand.start for errand in waiting)
    out: dict[Future[Chunk], _Errand] = {}
    seconds: list[float] = []
    slots = _num_slots(executor)

    def hand_out(errand: _Errand) -> None:
        share = time_limit * slots * (errand.stop - errand.start) / rows
        part = reduction.parts[errand.part].of_rows(errand.start, errand.stop)
        try:
            future = executor.submit(
                _solve, __version__, part, errand.part, errand.start, errand.stop, solver, share
            )
        except RuntimeError as error:  # a pool that is broken or shut down takes nothing
            raise _lost(error) from error
        errand.futures.append(future)
        errand.begun = time.monotonic()
        out[future] = errand

    try:
        while waiting or out:
            while waiting and len(out) < _AHEAD * slots:
                hand_out(waiting.popleft())
            done, _ = wait(out, timeout=_LOOK, return_when=FIRST_COMPLETED)
            for future in done:
                errand = out.pop(future, None)
                if errand is None:  # the other copy was faster
                    continue
                chunk = _result(future, errand)
                if chunk is None:
                    waiting.appendleft(errand)
                    continue
                seconds.append(time.monotonic() - errand.begun)
                for copy in errand.futures:
                    if out.pop(copy, None) is not None:
                        copy.cancel()
                if errand in waiting:  # its other copy had failed
                    waiting.remove(errand)
                yield chunk
            slots = _num_slots(executor)
            if not waiting and len(out) < slots and seconds:
                for errand in _stragglers(out, seconds):
                    hand_out(errand)
    finally:
        for future in out:
            future.cancel()


def _result(future: "Future[Chunk]", errand: _Errand) -> Chunk | None:
    """Return what came back; None where it is to be handed out again."""
    try:
        return future.result()
    except (BrokenExecutor, CancelledError) as error:
        raise _lost(error) from error
    except (ValueError, ImportError):
        raise  # the same would happen again
    except Exception as error:
        errand.failures += 1
        if errand.failures > RETRIES:
            raise WorkersLostError(
                f"a chunk failed {errand.failures} times, last with "
                f"{type(error).__name__}: {error}; what was solved is recorded"
            ) from error
        return None


def _lost(error: Exception) -> WorkersLostError:
    reason = str(error) or type(error).__name__
    return WorkersLostError(f"the workers are gone ({reason}); what was solved is recorded")


def _stragglers(out: dict["Future[Chunk]", _Errand], seconds: list[float]) -> list[_Errand]:
    """Return the errands that are out alone and take much longer than others did."""
    limit = max(_SLOW * statistics.median(seconds), _SLOW_SECONDS)
    now = time.monotonic()
    return [e for e in out.values() if len(e.futures) == 1 and now - e.begun > limit]


def _num_slots(executor: Executor) -> int:
    """Return how many chunks are worked on at once."""
    asked: Any = getattr(executor, "num_slots", None)
    known = asked() if callable(asked) else getattr(executor, "_max_workers", None)
    return max(1, int(known or num_cores()))


class _OwnWorker(threading.local):
    """A killable process for each thread that solves."""

    def __init__(self) -> None:
        self.worker = Worker()
        atexit.register(self.worker.kill)


_OWN = _OwnWorker()


def _solve(
    version: str,
    part: Part,
    place: int,
    start: int,
    stop: int,
    solver: Solver | str | None,
    time_limit: float,
) -> Chunk:
    """Do the work, wherever this runs."""
    if version != __version__:
        raise ImportError(
            f"a worker has milp_lth {__version__}, but {version} is asked for: install the same"
        )
    instance = part.instance(start, stop)
    if solver is None or isinstance(solver, Auto):
        decides = (solver or Auto()).choose(instance)
    else:
        decides = get_solver(solver) if isinstance(solver, str) else solver
    if any(one.name == "threads" for one in fields(decides)):  # type: ignore[arg-type]
        decides = replace(decides, threads=1)  # type: ignore[type-var]
    name = solver_name(decides)
    batched = name not in REGISTRY or REGISTRY[name].batched
    if batched and math.isinf(time_limit):
        return Chunk.of(place, start, stop, solve(instance, decides))
    began = time.perf_counter()
    proposal = _OWN.worker.propose(decides, instance, min(time_limit, UNLIMITED))
    taken = time.perf_counter() - began - proposal.stats.get("start_seconds", 0.0)
    return Chunk.of(place, start, stop, judged(instance, proposal, name, taken))
