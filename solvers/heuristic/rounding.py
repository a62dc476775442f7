"""LP rounding with repair, in batches, on CPU or GPU.

The linear relaxation, 0 ≤ m ≤ 1 with sum t and least cost c · m, is a fractional knapsack and has a
closed form: negative candidates are complemented, and candidates are kept in the order of their
cost per magnitude until the sum is reached; the one that reaches it is kept in part. It is rounded
to the nearer side, and the best flips and pairs of flips follow until none improves. In the first
trial all costs are 1, the relaxation of `Sparsest`; in the others they are random: for `Sparsest`
between 1 − d and 1 + d, with d rising from 0 to 2 over the trials, else between −1 and 1, as there
every vertex of the relaxation is as good as any other. The best trial is proposed.

It proves nothing. To prefer hardly ever, and instructive: the relaxation of `Closest` is 0 nearly
everywhere, so that it only spreads out the places where local search begins, and measures no better
than as many random ones.

Source: Dantzig (1957) for the knapsack's relaxation; rounding by chance (Raghavan & Thompson 1987)
is done here by random costs, as only one candidate of a vertex is fractional.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance
from instances.philox import Stream, uniform
from instances.subset_sum import SubsetSum
from solvers.heuristic.chunks import propose_in_chunks
from solvers.heuristic.greedy import greedy_masks
from solvers.heuristic.local_search import improve
from solvers.heuristic.reductions import least
from solvers.heuristic.rows import Rows
from solvers.solver import OnEvent, Proposal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Rounding:
    """Rounded vertices of the linear relaxation, each improved by local search.

    Parameters
    ----------
    trials
        How many vertices are rounded, 1 or more.
    seed
        Determines the costs, the same ones for every row.
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    trials: int = 32
    seed: int = 0
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"trials {self.trials}: give at least 1")

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
        """Propose the best trials, without bounds; one more begins at `start`, else at greedy's."""
        costs = _costs(self, instance.num_candidates, instance.counts)
        return propose_in_chunks(
            instance,
            time_limit,
            partial(_masks, costs),
            device=self.device,
            numbers_per_row=4 * self.trials * instance.num_candidates,
            start=start,
            on_event=on_event,
        )


def _costs(solver: Rounding, num_candidates: int, counts: bool) -> FloatArray:
    """Return the costs of every trial, shape (trials, n)."""
    counters = np.arange(solver.trials * num_candidates).reshape(solver.trials, num_candidates)
    costs = uniform(Stream(solver.seed), counters)
    if counts:
        spread = 2 * np.arange(solver.trials)[:, None] / max(1, solver.trials - 1)
        costs = 1 + spread * costs
    costs[0] = 1.0
    return costs


def _masks(
    costs: FloatArray, rows: Rows, start: "torch.Tensor | None", deadline: float
) -> "torch.Tensor":
    import torch

    other = greedy_masks(rows) if start is None else start & rows.free
    vertices = _vertices(rows, torch.tensor(costs, device=rows.a.device))
    begin = torch.cat([vertices, other[:, None]], dim=1)
    r, trials, n = begin.shape
    every = rows.take(torch.arange(r, device=begin.device).repeat_interleave(trials))
    end = improve(every, begin.reshape(-1, n), deadline)
    best = least(every.judge(end).view(r, trials))[1]
    return end.view(r, trials, n)[torch.arange(r, device=begin.device), best]


def _vertices(rows: Rows, costs: "torch.Tensor") -> "torch.Tensor":
    """Return the rounded vertices of the relaxation for the costs of shape (trials, n).

    Shape (r, trials, n); what is not available is not kept.
    """
    import torch

    sizes, negative = rows.a.abs()[:, None, :], (rows.a < 0)[:, None, :]
    # dropping a negative candidate adds its magnitude to the sum, and saves its cost
    worth = torch.where(negative, -costs, costs) / sizes.clamp(min=torch.finfo(rows.a.dtype).tiny)
    order = worth.argsort(dim=2, stable=True)
    ordered = sizes.expand_as(order).gather(2, order)
    rest = rows.rest(rows.a < 0)[:, None].expand(order.shape[:2])
    taken = torch.zeros_like(order, dtype=torch.bool)
    for k in range(order.shape[2]):
        left = rest - ordered[:, :, k]
        # in whole while it fits; the one that does not is rounded up or down, and is the last
        taken[:, :, k] = left.abs() < rest.abs()
        rest = torch.where(left >= 0, left, torch.where(rest > 0, -torch.inf, rest))
    mask = torch.zeros_like(taken).scatter_(2, order, taken) ^ negative
    return mask & rows.free[:, None, :]
