"""Greedy with swaps: local search from the greedy subset, in batches, on CPU or GPU.

The best flip or pair of flips (an exchange is one out and one in) is made until none improves. The
order is that of the objective: for `Sparsest` a feasible mask comes first, then the fewest kept,
then the least error. It proves nothing. To prefer over greedy nearly always: some microseconds a
row more, ten times closer. It also polishes what another solver found, given as `start`.

Source: exchanges until none improves are Lin & Kernighan's (1973) and older; flips and pairs of
flips as the neighbourhood of number partitioning: Johnson, Aragon, McGeoch & Schevon (1991).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.subset_sum import SubsetSum
from solvers.heuristic.chunks import propose_in_chunks
from solvers.heuristic.greedy import greedy_masks
from solvers.heuristic.local_search import improve
from solvers.heuristic.rows import Rows
from solvers.solver import OnEvent, Proposal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Swaps:
    """Best-improvement local search over flips and pairs of flips, for all objectives.

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
        """Propose local optima, without bounds; the search begins at `start`, else at greedy's."""
        return propose_in_chunks(
            instance,
            time_limit,
            swapped_masks,
            device=self.device,
            numbers_per_row=instance.num_candidates**2,
            start=start,
            on_event=on_event,
        )


def swapped_masks(rows: Rows, start: "torch.Tensor | None", deadline: float) -> "torch.Tensor":
    """Return a local optimum of every row, shape (r, n), reached from `start`, else from greedy."""
    begin = greedy_masks(rows) if start is None else start & rows.free
    return improve(rows, begin, deadline)
