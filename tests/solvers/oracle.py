"""The first oracle: all subsets, one after the other, in fractions. For n ≤ 12."""

from fractions import Fraction

import numpy as np

from instances.objectives import FixedSize, Sparsest
from instances.subset_sum import SubsetSum


def enumerate_row(instance: SubsetSum, b: int) -> tuple[np.ndarray, Fraction] | None:
    """Return the best mask and its error, exactly; None where no mask is feasible.

    The order is that of the objective: for `Sparsest` size before error, then the smallest mask.
    """
    n = instance.num_candidates
    a = [Fraction(x) for x in instance.coefficients[b]]
    allowed = np.ones(n, bool) if instance.available is None else instance.available[b]
    target, objective = Fraction(instance.targets[b]), instance.objective
    best: tuple[tuple[object, ...], np.ndarray, Fraction] | None = None
    sums = [Fraction(0)]
    for x in a:
        sums += [s + x for s in sums]
    for bits, total in enumerate(sums):
        mask = np.array([bits >> k & 1 for k in range(n)], bool)
        size, error = int(mask.sum()), abs(target - total)
        if (mask & ~allowed).any():
            continue
        if instance.tolerance is not None and error > Fraction(instance.tolerance):
            continue
        if isinstance(objective, FixedSize) and size != objective.size:
            continue
        key = (size, error, bits) if isinstance(objective, Sparsest) else (error, bits)
        if best is None or key < best[0]:
            best = (key, mask, error)
    return None if best is None else best[1:]
