"""Print how close the heuristics come, and what a row costs: the tables of docs/measurements.md.

python docs/measurements/heuristics.py
"""

import time

import numpy as np
import torch

from milp_lth import Sparsest, get_solver, product_family, solve, uniform_family

NAMES = ["greedy", "swaps", "beam", "differencing", "rounding", "annealing", "tabu"]

torch.set_num_threads(1)


def timed(name, instance):
    """Return the solution, and the microseconds of one core per row: the least of three."""
    solver = get_solver("mitm", threads=1) if name == "mitm" else get_solver(name)
    solution = solve(instance, solver)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        solver.propose(instance, np.inf)
        seconds.append(time.process_time() - began)
    return solution, 1e6 * min(seconds) / len(instance)


sizes = (16, 21, 24, 32)
print("| closest | " + " | ".join(f"n = {n}" for n in sizes) + " | µs, n = 21 | µs, n = 32 |")
print("|---" * 7 + "|")
for family in (uniform_family, product_family):
    instances = [family(1000, n, seed=3) for n in sizes]
    exact = [solve(instance, "mitm") for instance in instances]
    print(f"| *{family.__name__.partition('_')[0]}* | | | | | | |")
    for name in ["mitm", *NAMES]:
        found = [timed(name, instance) for instance in instances]
        cells = []
        for (ours, _), best in zip(found, exact, strict=True):
            ratio = np.median(ours.objective / best.objective)
            share = 100 * np.mean(ours.objective == best.objective)
            cells.append(f"{ratio:,.{1 if ratio < 10 else 0}f} × ({share:.1f} %)")
        cells += [f"{found[1][1]:.0f}", f"{found[3][1]:.0f}"]
        print(f"| `{name}` | " + " | ".join(cells) + " |")

print("\n| sparsest, n = 21 | ε = 0.01: feasible | fewest | kept | µs |"
      " ε = 0.001: feasible | fewest | kept | µs |")  # fmt: skip
print("|---" * 9 + "|")
for name in ["mitm", *NAMES]:
    cells = []
    for tolerance in (1e-2, 1e-3):
        instance = uniform_family(1000, 21, seed=3, objective=Sparsest(tolerance))
        best = solve(instance, "mitm")
        ours, micros = timed(name, instance)
        fewest = np.mean(ours.feasible & (ours.objective == best.objective))
        cells += [f"{100 * share:.1f} %" for share in (ours.feasible.mean(), fewest)]
        cells += [f"{ours.objective[ours.feasible].mean():.2f}", f"{micros:.0f}"]
    print(f"| `{name}` | " + " | ".join(cells) + " |")

print("\n| closest, median error | " + " | ".join(f"n = {n} | µs" for n in (48, 64, 100)) + " |")
print("|---" * 7 + "|")
for name in NAMES:
    cells = []
    for n in (48, 64, 100):
        ours, micros = timed(name, uniform_family(200, n, seed=3))
        cells += [f"{np.median(ours.objective):.1e}", f"{micros:.0f}"]
    print(f"| `{name}` | " + " | ".join(cells) + " |")
