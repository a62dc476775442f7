"""Hold meet-in-the-middle against all subsets on a million random rows; print what it got wrong.

python docs/measurements/false_claims.py [ROWS]

The oracle shares nothing with the solver: every subset of every row is summed in 64-bit integers.
"""

import sys
import time

import numpy as np

from milp_lth import (
    Closest,
    FixedSize,
    Sparsest,
    Status,
    SubsetSum,
    normal_family,
    planted_family,
    product_family,
    solve,
    uniform_family,
)

UNIT = 2.0**-46  # the grid of all four families
FAMILIES = {
    "uniform": uniform_family,
    "normal": normal_family,
    "product": product_family,
    "planted": lambda *sizes, **options: planted_family(*sizes, **options)[0],
    "planted, coarse": lambda *sizes, **options: planted_family(*sizes, unit=2.0**-5, **options)[0],
}
OBJECTIVES = [Closest(), Closest(1e-3), Sparsest(1e-2), Sparsest(1e-4), FixedSize(3)]
SIZES = (4, 7, 9, 10, 12)
CHUNK = 2000


def main(num_rows: int) -> int:
    """Print a table and return how many claims were false."""
    each = -(-num_rows // (len(FAMILIES) * len(OBJECTIVES) * len(SIZES)))
    began, wrong, total = time.monotonic(), 0, 0
    print("| family | rows | claimed optimal | falsely | other mask than the smallest best |")
    print("|---|---|---|---|---|")
    for name, family in FAMILIES.items():
        counts = np.zeros(4, np.int64)
        for k, objective in enumerate(OBJECTIVES):
            for n in SIZES:
                base = family(each, n, seed=1000 * k + n, objective=objective)
                targets = np.rint(base.targets / UNIT) * UNIT
                instance = SubsetSum(base.coefficients, targets, objective)
                for first in range(0, each, CHUNK):
                    counts += judge(instance.part(first, min(first + CHUNK, each)))
        print(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |", flush=True)
        wrong, total = wrong + int(counts[2] + counts[3]), total + int(counts[0])
    print(f"\n{total:,} rows, {wrong} wrong, {time.monotonic() - began:.0f} s")
    return wrong


def judge(instance: SubsetSum) -> np.ndarray:
    """Return how many rows there are, are claimed optimal, falsely, and with another mask."""
    n = instance.num_candidates
    solution = solve(instance, "mitm")
    subsets = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    sums = np.rint(instance.coefficients / UNIT).astype(np.int64) @ subsets.T
    errors = np.abs(np.rint(instance.targets / UNIT).astype(np.int64)[:, None] - sums)
    sizes = subsets.sum(axis=1)
    allowed = np.ones(errors.shape, bool)
    if instance.tolerance is not None:
        allowed &= errors <= instance.tolerance / UNIT
    if isinstance(instance.objective, FixedSize):
        allowed &= sizes == instance.objective.size
    cost = np.where(allowed, errors, np.iinfo(np.int64).max)
    if instance.counts:
        fewest = np.where(allowed, sizes, n + 1).min(axis=1)
        cost[sizes != fewest[:, None]] = np.iinfo(np.int64).max
    best = cost.argmin(axis=1)  # the first: the smallest mask
    feasible = allowed.any(axis=1)
    found = solution.mask @ (1 << np.arange(n))
    claimed = solution.status == Status.OPTIMAL
    objective = sizes[found] if instance.counts else errors[np.arange(len(found)), found]
    optimum = sizes[best] if instance.counts else errors[np.arange(len(best)), best]
    false = claimed & (~feasible | (objective != optimum))
    false |= ~claimed & feasible  # exact: it has nothing to be silent about
    other = claimed & feasible & (found != best)
    return np.array([len(found), claimed.sum(), false.sum(), other.sum()])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000) > 0)
