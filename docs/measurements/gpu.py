"""Time the exact kernels on a CUDA device and on two cores, and compare all masks.

python docs/measurements/gpu.py [ROWS]

Needs numpy, numba and numba-cuda, and the repository's root on the path. "whole" is
`MeetInTheMiddle.propose`, from float64 candidates to masks and bounds; "drawn there" draws the
candidates on the device, so that only targets and masks are copied. Each is the best of three runs;
the cores solve a tenth of the rows, and these masks are compared.
"""

import math
import sys
import time
from collections.abc import Callable

import numpy as np

from instances.objectives import Closest, Objective, Sparsest
from instances.philox import Stream, normal, uniform
from instances.subset_sum import SubsetSum
from solvers.cores import num_cores
from solvers.exact import cuda_launch
from solvers.exact.meet_in_the_middle import MeetInTheMiddle

OBJECTIVES: list[Objective] = [Closest(), Sparsest(0.01)]
SPREAD = 0.05  # of the targets: trained weights are about so large
SIZES = (16, 21, 24)
RUNS = 3


def best_of(runs: int, work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the least seconds, and what came out last."""
    seconds, masks = math.inf, np.empty(0)
    for _ in range(runs):
        began = time.perf_counter()
        masks = work()
        seconds = min(seconds, time.perf_counter() - began)
    return seconds, masks


def measure(n: int, objective: Objective, num_rows: int) -> bool:
    """Print one line of the table, and return whether all masks were equal."""
    stream = Stream(n)
    coefficients = uniform(stream, np.arange(num_rows * n).reshape(num_rows, n))
    targets = SPREAD * normal(Stream(n, matrix=1), np.arange(num_rows))
    everything = SubsetSum(coefficients, targets, objective)
    some = everything.part(0, num_rows // 10)
    there, here = MeetInTheMiddle(device="cuda"), MeetInTheMiddle(2, "cpu")

    def drawn() -> np.ndarray:
        most = cuda_launch.rows_at_once(n)
        pieces = range(0, num_rows, most)
        found = [
            cuda_launch.solve_uniform(stream, k * n, n, targets[k : k + most], objective)
            for k in pieces
        ]
        return np.concatenate([piece.mask for piece in found])

    for warm in (there, here):
        warm.propose(some.part(0, min(1000, len(some))), math.inf)
    slow, expected = best_of(1, lambda: here.propose(some, math.inf).mask)
    fast, whole = best_of(RUNS, lambda: there.propose(everything, math.inf).mask)
    faster, masks = best_of(RUNS, drawn)
    equal = bool((whole[: len(some)] == expected).all() and (masks == whole).all())
    cores, device, alone = len(some) / slow, num_rows / fast, num_rows / faster
    print(
        f"| {everything.task} | {n} | {cores:,.0f} | {device:,.0f} ({device / cores:,.0f} ×) "
        f"| {alone:,.0f} ({alone / cores:,.0f} ×) | {'all' if equal else 'NOT ALL'} |",
        flush=True,
    )
    return equal


def main(num_rows: int) -> int:
    """Print a table and return 1 if any masks differ."""
    reason = cuda_launch.why_not()
    if reason:
        print(reason)
        return 0
    from numba import cuda

    name = cuda.get_current_device().name
    print(f"{name if isinstance(name, str) else name.decode()}, {num_cores()} cores", end=", ")
    print(f"{num_rows:,} rows, rows per second\n")
    print("| objective | n | two cores | device, whole | device, drawn there | masks equal |")
    print("|---|---|---|---|---|---|")
    equal = [measure(n, objective, num_rows) for objective in OBJECTIVES for n in SIZES]
    return int(not all(equal))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
