"""Greedy: a first answer for any size, in batches, on CPU or GPU.

Starts from the empty subset and adds, again and again, the candidate that brings the sum closest to
the target, until none does (`Closest`), the error is within the tolerance (`Sparsest`) or the size
is reached (`FixedSize`). It proves nothing. To prefer where thousands of rows must be answered in a
moment or nothing exact can take them; its errors are about ten thousand times the optimum at
n = 20.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.objectives import FixedSize, Sparsest
from instances.subset_sum import SubsetSum
from solvers.heuristic.chunks import propose_in_chunks
from solvers.heuristic.reductions import least
from solvers.heuristic.rows import Rows
from solvers.solver import OnEvent, Proposal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Greedy:
    """Best-improvement greedy for all objectives.

    Parameters
    ----------
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether the rows are SubsetSum problems."""
        return isinstance(instance, SubsetSum)

    def propose(
        self,
        instance: SubsetSum,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose greedy masks, without bounds; `start` is kept where it is better."""
        return propose_in_chunks(
            instance,
            time_limit,
            lambda rows, start, deadline: greedy_masks(rows),
            device=self.device,
            numbers_per_row=instance.num_candidates,
            start=start,
            on_event=on_event,
        )


def greedy_masks(rows: Rows) -> "torch.Tensor":
    """Return the greedy mask of every row, shape (r, n)."""
    import torch

    a, rest = rows.a, rows.target.clone()
    free = rows.free.clone()
    mask = torch.zeros_like(free)
    size = rows.objective.size if isinstance(rows.objective, FixedSize) else None
    for _ in range(a.shape[1] if size is None else min(size, a.shape[1])):
        away = torch.where(free, (rest[:, None] - a).abs(), torch.inf)
        best, k = least(away)
        better = torch.isfinite(best) if size is not None else best < rest.abs()
        if isinstance(rows.objective, Sparsest):
            better &= rest.abs() > rows.objective.tolerance
        if not better.any():
            break
        column = k[:, None]
        mask.scatter_(1, column, mask.gather(1, column) | better[:, None])
        free.scatter_(1, column, free.gather(1, column) & ~better[:, None])
        rest -= a.gather(1, column)[:, 0] * better
    return mask
