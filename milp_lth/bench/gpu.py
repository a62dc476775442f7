"""What a CUDA device brings: the same rows there and on two cores, and all masks compared.

"whole" is all of `propose`, from float64 candidates to masks and bounds; "drawn there" draws the
candidates on the device, so that only targets and masks are copied. The cores solve a tenth of the
rows. Of the heuristics both are measured on the device: candidates drawn there, and copied.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from instances.generate import uniform_family
from instances.neurons import Neurons
from instances.objectives import Closest, Objective, Sparsest
from instances.philox import Stream, normal, uniform
from instances.subset_sum import SubsetSum
from milp_lth.bench.row import Row
from milp_lth.bench.timing import OnProgress
from solvers.exact.meet_in_the_middle import MeetInTheMiddle
from solvers.heuristic.coordinate_descent import CoordinateDescent
from solvers.registry import get_solver

_SUMS_BAR, _LAYER_BAR = 50.0, 20.0
_CORES = 2
_SPREAD = 0.05  # of the targets: trained weights are about so large
_OBJECTIVES: tuple[Objective, ...] = (Closest(), Sparsest(0.01))
_SIZES = (16, 21, 24)
_HEURISTICS, _CANDIDATES = ("greedy", "swaps", "beam", "tabu"), 21
_DEVICE = "cuda"
_RUNS = 3
_LAYER = (500, 784, 6)  # the first layer of the paper's network, six candidates a weight
_SAMPLES = 20_000


def why_no_gpu() -> str:
    """Return in one line why there is no device to be measured; empty when there is one."""
    from solvers.exact import cuda_launch

    return cuda_launch.why_not()


def gpu_rows(num_rows: int, seed: int, on_progress: OnProgress) -> list[Row]:
    """Measure sums of some sizes, heuristics, and a data-aware layer.

    Parameters
    ----------
    num_rows
        Rows of a batch on the device.
    seed
        Determines all numbers.
    on_progress
        Is told of every case.

    Raises
    ------
    ValueError
        When there are fewer than ten rows.
    """
    if num_rows < 10:
        raise ValueError(f"{num_rows} rows: give ten or more")
    cases = [(objective, n) for objective in _OBJECTIVES for n in _SIZES]
    work = [partial(_sums, objective, n, num_rows, seed) for objective, n in cases]
    work += [partial(_drawing, name, num_rows, seed) for name in _HEURISTICS]
    work.append(partial(_layer, seed))
    rows: list[Row] = []
    for done, measure in enumerate(work, start=1):
        rows += measure()
        on_progress(done, len(work))
    return rows


def _sums(objective: Objective, n: int, num_rows: int, seed: int) -> list[Row]:
    from solvers.exact import cuda_launch

    stream = Stream(seed, matrix=n)
    coefficients = uniform(stream, np.arange(num_rows * n).reshape(num_rows, n))
    targets = _SPREAD * normal(Stream(seed, matrix=n + 64), np.arange(num_rows))
    everything = SubsetSum(coefficients, targets, objective)
    some = everything.part(0, num_rows // 10)
    there, here = MeetInTheMiddle(device="cuda"), MeetInTheMiddle(_CORES, "cpu")
    most = cuda_launch.rows_at_once(n)

    def drawn() -> Any:
        pieces = range(0, num_rows, most)
        found = [
            cuda_launch.solve_uniform(stream, k * n, n, targets[k : k + most], objective).mask
            for k in pieces
        ]
        return np.concatenate(found)

    for warm in (there, here):
        warm.propose(some.part(0, min(1000, len(some))), math.inf)
    slow, expected = _best_of(1, lambda: here.propose(some, math.inf).mask)
    whole_seconds, whole = _best_of(_RUNS, lambda: there.propose(everything, math.inf).mask)
    drawn_seconds, masks = _best_of(_RUNS, drawn)
    same = bool((whole[: len(some)] == expected).all() and (masks == whole).all())
    rate = len(some) / slow
    name = f"{everything.task}, n = {n}"
    bar = _SUMS_BAR if n == 21 and isinstance(objective, Closest) else None
    rows = [Row(f"{name}, {_CORES} cores", rate, "rows/s")]
    for what, seconds in (("whole", whole_seconds), ("drawn there", drawn_seconds)):
        note = f"{num_rows / seconds:,.0f} rows/s, masks {'equal' if same else 'DIFFER'}"
        rows.append(
            Row(f"{name}, device / cores, {what}", num_rows / seconds / rate, "×",
                bar, True, note, {"rows_per_second": num_rows / seconds, "same": same})
        )  # fmt: skip
    return rows


def _drawing(name: str, num_rows: int, seed: int) -> list[Row]:
    """Measure a heuristic on candidates that the device draws, and on copied ones."""
    drawn = uniform_family(num_rows, _CANDIDATES, seed=seed)
    copied = SubsetSum(drawn.coefficients, drawn.targets)
    solver = get_solver(name, device=_DEVICE)
    for warm in (drawn, copied):
        solver.propose(warm.part(0, min(1000, num_rows)), math.inf)
    slow, expected = _best_of(_RUNS, lambda: solver.propose(copied, math.inf).mask)
    fast, masks = _best_of(_RUNS, lambda: solver.propose(drawn, math.inf).mask)
    same = bool((masks == expected).all())
    rate = num_rows / fast
    note = f"{rate:,.0f} rows/s, masks {'equal' if same else 'DIFFER'}"
    return [
        Row(f"{name}, n = {_CANDIDATES}, drawn there / copied", slow / fast, "×",
            None, True, note, {"rows_per_second": rate, "same": same})
    ]  # fmt: skip


def _layer(seed: int) -> list[Row]:
    """Measure coordinate descent on a layer of the paper's size."""
    outputs, inputs, n = _LAYER
    numbers = np.arange(outputs * inputs * n).reshape(outputs, inputs, n)
    active = np.maximum(uniform(Stream(seed, matrix=1), np.arange(_SAMPLES * inputs)), 0.0)
    layer = Neurons(
        active.reshape(_SAMPLES, inputs),
        4 * _SPREAD * uniform(Stream(seed, matrix=2), numbers),
        _SPREAD * normal(Stream(seed, matrix=3), numbers[:, :, 0]),
        ridge=0.1,
    )
    solver = CoordinateDescent(device="cpu")
    few = layer.part(0, 2)
    for device in ("cpu", "cuda"):
        replace(solver, device=device).propose(few, math.inf)
    slow, here = _best_of(1, lambda: solver.propose(layer, math.inf).mask)
    there = replace(solver, device="cuda")
    fast, masks = _best_of(_RUNS, lambda: there.propose(layer, math.inf).mask)
    errors = [float(layer.evaluate(mask)[0].mean()) for mask in (here, masks)]
    note = f"{slow:.2f} s, {fast:.3f} s; mean error {errors[0]:.6g}, {errors[1]:.6g}"
    name = f"data-aware layer, {outputs} × {inputs} weights of {n} candidates, device / cores"
    return [Row(name, slow / fast, "×", _LAYER_BAR, True, note)]


def _best_of(runs: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least seconds, and what came out last."""
    seconds, masks = math.inf, None
    for _ in range(runs):
        began = time.perf_counter()
        masks = work()
        seconds = min(seconds, time.perf_counter() - began)
    return seconds, masks
