"""Print what one budget of edges for a whole network takes to solve, and how exactly it is solved.

python docs/measurements/edge_budget.py [NETWORK.pt]

Without a file the network is a stand-in: 784-500-10 with normal weights. Every weight has 21 raw
draws of its own, uniform between the smallest and the largest weight: the direct construction.
"""

import sys
import time

import numpy as np
import torch

from instances.edge_budget import EdgeBudget
from instances.subset_sum import SubsetSum
from milp_lth import Source, load_target, reduce, solve
from solvers.exact.budget import Budget
from solvers.exact.choice_knapsack import steps
from solvers.exact.fronts import compile_fronts, fronts

SHARES = (0.25, 0.5, 1, 2, 4)


def stand_in():
    """Return a network of the shape of the paper's, without biases."""
    torch.manual_seed(0)
    linear = [torch.nn.Linear(784, 500, bias=False), torch.nn.Linear(500, 10, bias=False)]
    for layer in linear:
        torch.nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    return torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1])


def weights(target):
    """Return the candidates and the values of all weights."""
    reduction = reduce(target, Source(width=21, construction="direct"), input_range=(0, 1))
    parts = [part.instance() for part in reduction.parts]
    return [np.concatenate([getattr(part, name) for part in parts])
            for name in ("coefficients", "targets")]  # fmt: skip


def plain_program(errors, budget):
    """Return the least sum of errors by a dynamic program over all rows and numbers of edges."""
    least = np.zeros(budget + 1)
    for row in errors:
        before, least = least, least + row[0]
        for size in range(1, min(len(row), budget + 1)):
            least[size:] = np.minimum(least[size:], before[:-size] + row[size])
    return least[-1]


coefficients, targets = weights(load_target(sys.argv[1]) if len(sys.argv) > 1 else stand_in())
compile_fronts()
began = time.perf_counter()
whole = fronts(SubsetSum(coefficients, targets)).errors
print(f"{len(targets):,} weights; whole fronts: {time.perf_counter() - began:.1f} s")
ladder = steps(whole)
used = np.cumsum(ladder.edges)

print("| edges per weight | sum of errors | fronts, s | all, s | gap | relative | status |"
      " relaxation alone: gap | one step gains |")  # fmt: skip
print("|---" * 9 + "|")
for share in SHARES:
    budget = int(share * len(targets))
    instance = EdgeBudget(coefficients[None], targets[None], budget)
    began = time.perf_counter()
    solution = solve(instance, Budget())
    seconds = time.perf_counter() - began
    relaxed = solve(instance, Budget(exact=False))
    objective, status = solution.objective[0], next(k for k, v in solution.counts().items() if v)
    gap, loose = (float((s.objective - s.bound)[0]) for s in (solution, relaxed))
    step = ladder.gain[min(np.searchsorted(used, budget, side="right"), len(used) - 1)]
    assert loose <= step + instance.slack[0]
    print(
        f"| {share} | {objective:.6g} | {solution.stats['front_seconds']:.1f} | {seconds:.1f} "
        f"| {gap:.1e} | {gap / objective:.1e} | {status} | {loose:.1e} | {step:.1e} |",
        flush=True,
    )

for share in SHARES:
    budget = int(share * 5000)
    instance = EdgeBudget(coefficients[None, :5000], targets[None, :5000], budget)
    plain = plain_program(whole[:5000], budget)
    found = solve(instance, Budget()).objective[0]
    print(f"5,000 weights, {share} edges each: {found:.12g}; a plain dynamic program: {plain:.12g}")
