"""Sparsest as a sequence of fixed sizes: 0 kept, then 1, then 2, until the tolerance is met."""

import time
from typing import TYPE_CHECKING

from instances.objectives import FixedSize, Sparsest
from solvers.heuristic.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


def sparsest_by_size(
    rows: Rows,
    mask: "torch.Tensor",
    fixed_size: "Callable[[Rows], torch.Tensor]",
    deadline: float,
) -> "torch.Tensor":
    """Replace feasible masks by the smallest ones that a heuristic for `FixedSize` finds.

    Parameters
    ----------
    rows
        A batch with the objective `Sparsest`.
    mask
        Masks that are known, shape (r, n). Rows whose mask is not feasible are left alone: where
        any size may be kept and none was found, a given size hardly helps.
    fixed_size
        Chooses masks for rows with the objective `FixedSize`.
    deadline
        When to stop, by `time.monotonic`.
    """
    mask = mask.clone()
    for size in range(rows.num_candidates):
        kept = mask.sum(dim=1)
        index = (feasible(rows, mask) & (kept >= size)).nonzero()[:, 0]  # as many: closer perhaps
        if not len(index) or time.monotonic() > deadline:
            break
        part = rows.take(index)
        found = fixed_size(Rows.of(part.a, part.target, part.free, FixedSize(size)))
        mask[index] = part.better(mask[index], found)
    return mask


def feasible(rows: Rows, mask: "torch.Tensor") -> "torch.Tensor":
    """Return whether each row's sum is within the tolerance of `Sparsest`, shape (r,)."""
    assert isinstance(rows.objective, Sparsest)
    return rows.rest(mask).abs() <= rows.objective.tolerance
