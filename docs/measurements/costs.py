"""Print what networks of up to 10¹¹ weights would take, from rates measured on this machine.

python docs/measurements/costs.py

One core, the direct construction with 21 candidates a weight, weights like those of trained
networks (normal, spread 0.05). "Solve" is all of a chunk's work: drawing, solving, judging; "check"
draws and judges again. Bytes are those of a run's folder.
"""

import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from instances.philox import Stream, normal
from milp_lth import Closest, Source, Sparsest, reduce
from milp_lth.execution import execute
from milp_lth.run import Run
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.solving import solve_rows
from solvers.registry import get_solver

OUTPUTS, INPUTS, WIDTH, SPREAD = 200, 1000, 21, 0.05
SIZES = (10**6, 10**8, 10**9, 10**11)
ONE_CORE = get_solver("mitm", threads=1, device="cpu")


def target() -> torch.nn.Module:
    """Return a layer of so many weights."""
    layer = torch.nn.Linear(INPUTS, OUTPUTS, bias=False)
    weights = SPREAD * normal(Stream(0, matrix=9), np.arange(OUTPUTS * INPUTS))
    layer.weight.data = torch.tensor(weights.reshape(OUTPUTS, INPUTS), dtype=torch.float32)
    return torch.nn.Sequential(layer)


def seconds(work) -> float:
    """Return the least of three times."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def rates(objective) -> tuple[float, float]:
    """Return the seconds a weight takes to be solved and to be checked, on one core."""
    source = Source(width=WIDTH, construction="direct")
    (part,) = reduce(target(), source, objective=objective, input_range=(0, 1)).parts
    rows = len(part)
    chunk = solve_rows(part, 0, 0, rows, ONE_CORE, math.inf)
    mask = chunk.mask(WIDTH)
    solved = seconds(lambda: solve_rows(part, 0, 0, rows, ONE_CORE, math.inf))
    checked = seconds(lambda: part.instance(0, rows).verdict(mask))
    return solved / rows, checked / rows


def stored() -> tuple[float, float]:
    """Return the bytes a weight takes in a run's ledger and in its ticket."""
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "target.safetensors", Path(folder) / "run"
        save_file(target().state_dict(), file)
        settings = RunSettings(
            target=str(file), width=WIDTH, construction="direct", objective="sparsest",
            tolerance=0.01, input_range=(0.0, 1.0),
        )  # fmt: skip
        execute(Run(create_run(settings, out)))
        sizes = [sum(f.stat().st_size for f in out.glob(p)) for p in ("results*", "ticket*")]
    ledger, ticket = (size / (OUTPUTS * INPUTS) for size in sizes)
    return ledger, ticket


def hours(number: float) -> str:
    """Write core seconds as something people can picture."""
    return f"{number:,.1f} s" if number < 600 else f"{number / 3600:,.1f} h"


def size(number: float) -> str:
    """Write bytes."""
    for unit in ("MB", "GB", "TB"):
        number /= 1000
        if number < 1000 * 1000:
            return f"{number / 1000:,.1f} {unit}"
    return f"{number:,.1f} TB"


if __name__ == "__main__":
    kinds = {"closest": Closest(), "sparsest, ε = 0.01": Sparsest(0.01)}
    found = {name: rates(objective) for name, objective in kinds.items()}
    ledger, ticket = stored()
    for name, (solved, checked) in found.items():
        print(f"{name}: {solved * 1e6:.2f} µs a weight to solve, {checked * 1e6:.2f} to check")
    print(f"ledger {ledger:.1f} bytes a weight, ticket {ticket:.2f}\n")
    names = "".join(f" {name}: solve | check |" for name in found)
    print(f"| weights |{names} target, float32 | ledger | ticket |")
    print("|---|" + "---|---|" * len(found) + "---|---|---|")
    for weights in SIZES:
        cells = [hours(rate * weights) for pair in found.values() for rate in pair]
        cells += [size(each * weights) for each in (4.0, ledger, ticket)]
        print(f"| 10^{round(math.log10(weights))} | " + " | ".join(cells) + " |")
