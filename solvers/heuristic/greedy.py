"""Greedy: a first answer for any size, in batches, on CPU or GPU.

Starts from the empty subset and adds, again and again, the candidate that brings the sum closest to
the target, until none does (`Closest`), the error is within the tolerance (`Sparsest`) or the size
is reached (`FixedSize`). It proves nothing. To prefer where thousands of rows must be answered in a
moment or nothing exact can take them; its errors are about a thousand times the optimum at n = 20.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from instances.arrays import BoolArray
from instances.objectives import FixedSize
from instances.subset_sum import SubsetSum
from solvers.solver import OnEvent, Proposal, nothing_known, put_rows

if TYPE_CHECKING:
    import torch

_CHUNK = 1 << 22  # coefficients looked at together: 32 MB


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

    def supports(self, instance: SubsetSum) -> bool:
        """Whether the instance can be taken: always."""
        return True

    def propose(
        self,
        instance: SubsetSum,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose greedy masks, without bounds; `start` is kept for rows the clock leaves out."""
        deadline = time.monotonic() + time_limit
        whole = nothing_known(instance, start)
        step = max(1, _CHUNK // max(1, instance.num_candidates))
        for first in range(0, len(instance), step):
            if time.monotonic() > deadline:
                break
            rows = instance.part(first, min(first + step, len(instance)))
            part = nothing_known(rows)
            part.mask[:] = self._masks(rows)
            part.reported.status[:] = "done"
            put_rows(whole, first, part)
            if on_event is not None:
                on_event(first, part)
        return whole

    def _masks(self, instance: SubsetSum) -> BoolArray:
        import torch

        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        a = torch.tensor(instance.coefficients, device=device)
        rest = torch.tensor(instance.targets, device=device)
        free = torch.ones(a.shape, dtype=torch.bool, device=device)
        if instance.available is not None:
            free = torch.tensor(instance.available, device=device)
        mask = torch.zeros_like(free)
        size = instance.objective.size if isinstance(instance.objective, FixedSize) else None
        for _ in range(instance.num_candidates if size is None else min(size, a.shape[1])):
            away = torch.where(free, (rest[:, None] - a).abs(), torch.inf)
            best, k = away.min(dim=1)
            better = torch.isfinite(best) if size is not None else best < rest.abs()
            if instance.counts and instance.tolerance is not None:
                better &= rest.abs() > instance.tolerance
            if not better.any():
                break
            _add(mask, free, rest, a, k, better)
        return np.asarray(mask.cpu().numpy())


def _add(
    mask: "torch.Tensor",
    free: "torch.Tensor",
    rest: "torch.Tensor",
    a: "torch.Tensor",
    k: "torch.Tensor",
    better: "torch.Tensor",
) -> None:
    """Keep candidate ``k[r]`` in every row r where that is `better`."""
    column = k[:, None]
    mask.scatter_(1, column, mask.gather(1, column) | better[:, None])
    free.scatter_(1, column, free.gather(1, column) & ~better[:, None])
    rest -= (a.gather(1, column)[:, 0]) * better
