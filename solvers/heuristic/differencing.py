"""Largest differencing: subset sum as number partitioning, in batches, on CPU or GPU.

With signs s = 2 · mask − 1 a sum is close to t where Σ s_k a_k is close to 2 t − Σ a. So that
number is appended to the candidates, all lose their signs (negative ones are complemented), and
they are to be parted into two heaps of like sums. The two largest are put on different heaps, that
is, replaced by their difference, until `finish` numbers are left, whose signs are all tried. The
first of the `branches` does only that. The others put the two largest on one heap now and then,
that is, replace them by their sum: those that do so least often come first, and among these the
ones that do so early, which measured better than late or at random.

`Closest` is what it solves. For `FixedSize` a large number is added to every coefficient and `size`
times as much to the target, and the best exchanges follow. For `Sparsest` the sizes are tried one
after the other. It proves nothing. To prefer for `Closest` with more candidates than exact solvers
take: beyond 32 no other heuristic here comes as close, and the more there are, the more it gains.

Source: Karmarkar & Karp (1982), "The differencing method of set partitioning"; the branches are
those of complete differencing, Korf (1998), in the order of Harvey & Ginsberg (1995).
"""

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.objectives import Closest, FixedSize, Sparsest
from instances.subset_sum import SubsetSum
from solvers.heuristic.by_size import sparsest_by_size
from solvers.heuristic.chunks import propose_in_chunks
from solvers.heuristic.local_search import improve
from solvers.heuristic.reductions import add_up, least_in_table
from solvers.heuristic.rows import Rows
from solvers.heuristic.swaps import swapped_masks
from solvers.solver import OnEvent, Proposal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Differencing:
    """Karmarkar–Karp differencing with limited discrepancies and an exhaustive finish.

    Parameters
    ----------
    branches
        How many ways of differencing are tried, 1 or more; the first is Karmarkar & Karp's.
    finish
        How many numbers are left for trying all signs, 1 or more; 1: differencing to the end.
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    branches: int = 16
    finish: int = 10
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.branches < 1 or not 1 <= self.finish <= 20:
            raise ValueError(
                f"branches {self.branches}, finish {self.finish}: "
                "give at least 1 branch, and from 1 to 20 numbers for the finish"
            )

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
        """Propose masks, without bounds; `start` is kept where it is better."""
        n = instance.num_candidates
        widest = max(n + 1, 2 ** (min(self.finish, n + 1) - 1))
        return propose_in_chunks(
            instance,
            time_limit,
            partial(_masks, self),
            device=self.device,
            numbers_per_row=self.branches * widest,
            start=start,
            on_event=on_event,
        )


def _masks(
    solver: Differencing, rows: Rows, start: "torch.Tensor | None", deadline: float
) -> "torch.Tensor":
    def masks(rows: Rows) -> "torch.Tensor":
        mask = _closest(rows, solver.branches, solver.finish)
        return mask if isinstance(rows.objective, Closest) else improve(rows, mask, deadline)

    if not isinstance(rows.objective, Sparsest):
        return masks(rows)
    mask = rows.better(swapped_masks(rows, None, deadline), masks(rows))
    return sparsest_by_size(rows, mask, masks, deadline)


def _closest(rows: Rows, branches: int, finish: int) -> "torch.Tensor":
    """Return masks whose sums are close to the targets, of the size that is asked for, if any."""
    import torch

    a, target = rows.a, rows.target
    if isinstance(rows.objective, FixedSize):
        # any other size would miss by more than the right one can
        a = torch.where(rows.free, a + rows.unit[:, None], 0.0)
        target = target + rows.objective.size * rows.unit
    goal = 2 * target - add_up(a)
    numbers = torch.cat([a.abs(), goal.abs()[:, None]], dim=1)
    r, width = numbers.shape
    plans = torch.tensor(_plans(width - min(finish, width), branches), device=a.device)
    every = numbers.repeat_interleave(len(plans), dim=0)
    left = _difference(every, plans.repeat(r, 1))[0]
    _, plan, code = least_in_table(_all_signs(left).view(r, len(plans), -1))
    orders = _difference(numbers, plans[plan])[1]  # again, for the chosen branch alone
    signs = _signs(code, left.shape[1], orders, plans[plan])
    away = torch.where((a < 0) ^ (goal < 0)[:, None], -1, 1) * signs[:, :-1]
    return (away * signs[:, -1:] < 0) & rows.free


def _plans(steps: int, branches: int) -> BoolArray:
    """Return where each branch takes the sum, shape (at most `branches`, steps)."""
    sets = itertools.chain.from_iterable(
        itertools.combinations(range(steps), k) for k in range(steps + 1)
    )
    chosen = list(itertools.islice(sets, branches))
    plans = np.zeros((len(chosen), steps), np.bool_)
    for plan, where in zip(plans, chosen, strict=True):
        plan[list(where)] = True
    return plans


def _difference(
    numbers: "torch.Tensor", sums: "torch.Tensor"
) -> "tuple[torch.Tensor, list[torch.Tensor]]":
    """Join the two largest numbers of every row once per column of `sums` (True: by their sum).

    Returns
    -------
    left
        The numbers that are left, ascending.
    orders
        How the numbers were sorted: at first, and after every step.
    """
    import torch

    numbers, order = numbers.sort(dim=1, stable=True)
    orders = [order]
    for step in range(sums.shape[1]):
        largest, second = numbers[:, -1:], numbers[:, -2:-1]
        joined = torch.where(sums[:, step : step + 1], largest + second, largest - second)
        numbers, order = torch.cat([numbers[:, :-2], joined], dim=1).sort(dim=1, stable=True)
        orders.append(order)
    return numbers, orders


def _all_signs(numbers: "torch.Tensor") -> "torch.Tensor":
    """Return |Σ ± numbers| for all signs of all but the last, which has a plus.

    Shape (r, 2^(m−1)); bit k of the index is the sign of number k, 1 for a plus.
    """
    last = numbers.shape[1] - 1
    total = numbers.new_empty(len(numbers), 2**last)
    total[:, :1] = numbers[:, -1:]
    for k in range(last):
        minus, plus = total[:, : 2**k], total[:, 2**k : 2 ** (k + 1)]
        plus.copy_(minus + numbers[:, k : k + 1])
        minus -= numbers[:, k : k + 1]
    return total.abs_()


def _signs(
    code: "torch.Tensor", left: int, orders: "list[torch.Tensor]", sums: "torch.Tensor"
) -> "torch.Tensor":
    """Return the sign, ±1, of every number that there was before differencing; undoes the steps."""
    import torch

    bits = torch.arange(left - 1, device=code.device)
    plus = torch.ones_like(code)[:, None]
    signs = torch.cat([2 * (code[:, None] >> bits & 1) - 1, plus], dim=1)
    for step in range(len(orders) - 1, 0, -1):
        signs = torch.empty_like(signs).scatter_(1, orders[step], signs)
        joined = signs[:, -1:]
        second = torch.where(sums[:, step - 1 : step], joined, -joined)
        signs = torch.cat([signs[:, :-1], second, joined], dim=1)
    return torch.empty_like(signs).scatter_(1, orders[0], signs)
