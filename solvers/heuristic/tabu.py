"""Tabu search over flips and pairs of flips, in batches, on CPU or GPU.

The best move is made even where it makes things worse, and what it flips stays as it is for
`tenure` · n moves, unless flipping it leads to the best mask so far. Begins at `start`, else at the
local optimum that greedy with swaps finds, and proposes the best mask on its way.

It proves nothing. To prefer hardly ever, and good to compare with: with many candidates it comes
closest of all that walk, but beam search and differencing come closer in less time. For `Sparsest`
it sees only the error until the tolerance is met, and so ends with large masks.

Source: Glover (1989), "Tabu search – part I".
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.subset_sum import SubsetSum
from solvers.heuristic.chunks import propose_in_chunks
from solvers.heuristic.local_search import State, barred_candidates, move_keys, without
from solvers.heuristic.reductions import least_in_table
from solvers.heuristic.rows import Rows
from solvers.heuristic.swaps import swapped_masks
from solvers.solver import OnEvent, Proposal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Tabu:
    """Tabu search with a fixed tenure and aspiration, for all objectives.

    Parameters
    ----------
    moves
        How many moves are made.
    tenure
        For how long what was flipped stays as it is, as a share of the number of candidates.
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    moves: int = 100
    tenure: float = 0.5
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.moves < 0 or not 0 <= self.tenure <= 1:
            raise ValueError(
                f"{self.moves} moves, tenure {self.tenure}: give 0 or more, and a share up to 1"
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
        """Propose the best masks on the way, without bounds; the search begins at `start`."""
        return propose_in_chunks(
            instance,
            time_limit,
            partial(_masks, self),
            device=self.device,
            numbers_per_row=3 * instance.num_candidates**2,
            start=start,
            on_event=on_event,
        )


def _masks(
    solver: Tabu, rows: Rows, start: "torch.Tensor | None", deadline: float
) -> "torch.Tensor":
    import torch

    state = best = State.at(rows, swapped_masks(rows, start, deadline))
    barred = barred_candidates(rows)
    tenure = int(solver.tenure * rows.num_candidates)
    until = torch.zeros_like(rows.a, dtype=torch.int32)
    for move in range(solver.moves):
        if time.monotonic() > deadline:
            break
        keys = move_keys(rows, state, barred)
        tempting = least_in_table(keys)
        allowed = least_in_table(without(keys, until > move))
        aspires = tempting[0] < best.key
        key, i, j = (torch.where(aspires, *pair) for pair in zip(tempting, allowed, strict=True))
        new = state.moved(rows, i, j, key)
        new = new.where(torch.isfinite(new.key), state)  # else everything is tabu or not available
        until = torch.where(new.mask != state.mask, move + 1 + tenure, until)
        state = new
        best = state.where(state.key < best.key, best)
    return best.mask
