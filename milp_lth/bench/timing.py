"""How long one thread takes."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

from instances.subset_sum import SubsetSum
from solvers.registry import get_solver

_REPEATS = 3

OnProgress = Callable[[int, int], None]
"""Is told how many of how many measurements are done."""


def core_seconds(work: Callable[[], Any]) -> float:
    """Run `work`, of a single thread, and return the seconds its core was busy with it.

    The lesser of two clocks: the wall's counts what other processes took meanwhile, the process's
    what its other threads did, such as those of a library that wait for work in a loop.
    """
    wall, process = time.perf_counter(), time.process_time()
    work()
    return min(time.perf_counter() - wall, time.process_time() - process)


def solving_seconds(instance: SubsetSum) -> float:
    """Return what meet-in-the-middle takes for the whole batch in one thread: a median, seconds.

    All of `propose` counts: scaling to integers, the kernel, the bounds. Compilation does not.
    """
    solver = get_solver("mitm", threads=1)
    solver.propose(instance.part(0, min(3, len(instance))), math.inf)
    times = [core_seconds(lambda: solver.propose(instance, math.inf)) for _ in range(_REPEATS)]
    return statistics.median(times)
