"""Print what a row costs meet-in-the-middle, on one core: a table of docs/measurements.md.

python docs/measurements/kernels.py
"""

import statistics
import time

from milp_lth import Closest, Sparsest, get_solver, uniform_family

CASES = [
    (Closest(), n, num_rows)
    for n, num_rows in ((16, 20000), (20, 20000), (21, 20000), (24, 4000), (28, 1000), (32, 200))
] + [(Sparsest(0.01), 21, 20000), (Sparsest(1e-4), 21, 2000)]

solver = get_solver("mitm", threads=1)
print("| objective | candidates | µs per row and core |")
print("|---|---|---|")
for objective, num_candidates, num_rows in CASES:
    instance = uniform_family(num_rows, num_candidates, objective=objective)
    solver.propose(instance.part(0, 100), float("inf"))
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        solver.propose(instance, float("inf"))
        seconds.append(time.perf_counter() - began)
    print(f"| {objective} | {num_candidates} | {statistics.median(seconds) / num_rows * 1e6:.2f} |")
