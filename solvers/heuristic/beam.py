"""Beam search with an exact finish, in batches, on CPU or GPU.

Candidates are decided one after the other, the largest first, which measured far better than any
other order. Of the partial subsets the `width` most promising are kept: those whose rest is closest
to half the sum of the candidates yet to be decided, where the density of what these can reach is
highest. The last `finish` candidates are decided together: all their subsets are matched with all
partial subsets that are left. With `finish` and log2 `width` together at least n it is exact.

For `FixedSize` the middle is that of the sums with as many as are still to be kept, and distances
are measured in their standard deviation. For `Sparsest` the sizes are tried one after the other. It
proves nothing. To prefer where masks must be small or of a given size, and for `Closest` up to 32
candidates; beyond them differencing comes closer.

Source: beam search is Lowerre's (1976), in combinatorial optimization Ow & Morton's (1988); the
finish is meet-in-the-middle, Horowitz & Sahni (1974).
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.objectives import FixedSize, Sparsest
from instances.subset_sum import SubsetSum
from solvers.heuristic.by_size import feasible, sparsest_by_size
from solvers.heuristic.chunks import propose_in_chunks
from solvers.heuristic.reductions import least
from solvers.heuristic.rows import Rows
from solvers.heuristic.swaps import swapped_masks
from solvers.solver import OnEvent, Proposal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Beam:
    """Beam search over candidates of decreasing magnitude, for all objectives.

    Parameters
    ----------
    width
        How many partial subsets are kept, 1 or more.
    finish
        How many of the smallest candidates are decided together at the end.
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    width: int = 256
    finish: int = 10
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.width < 1 or not 0 <= self.finish <= 20:
            raise ValueError(
                f"width {self.width}, finish {self.finish}: "
                "give a width of at least 1, and from 0 to 20 candidates for the finish"
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
        return propose_in_chunks(
            instance,
            time_limit,
            partial(_masks, self),
            device=self.device,
            numbers_per_row=self.width * (n + 4) + 4 * 2 ** min(self.finish, n),
            start=start,
            on_event=on_event,
        )


def _masks(
    solver: Beam, rows: Rows, start: "torch.Tensor | None", deadline: float
) -> "torch.Tensor":
    if not isinstance(rows.objective, Sparsest):
        return _search(rows, solver.width, solver.finish)
    mask = swapped_masks(rows, None, deadline)
    lost = (~feasible(rows, mask)).nonzero()[:, 0]
    if len(lost):
        some = rows.take(lost)
        mask[lost] = some.better(mask[lost], _search(some, solver.width, solver.finish))
    return sparsest_by_size(
        rows, mask, lambda part: _search(part, solver.width, solver.finish), deadline
    )


def _search(rows: Rows, width: int, finish: int) -> "torch.Tensor":
    """Return masks for `Closest` (which also stands for `Sparsest` here) or `FixedSize`."""
    import torch

    size = rows.objective.size if isinstance(rows.objective, FixedSize) else None
    order = rows.a.abs().argsort(dim=1, descending=True, stable=True)
    a, free = rows.a.gather(1, order), rows.free.gather(1, order)
    first = max(0, a.shape[1] - finish)  # of those that are decided at the end
    rest, kept = rows.target[:, None], torch.zeros_like(rows.target)[:, None]
    ahead = _Ahead.of(a, free)
    origins = []
    for k in range(first):
        column = a[:, k : k + 1]
        taken = torch.where(free[:, k : k + 1], rest - column, torch.inf)  # never: infinitely far
        rest, kept = torch.cat([rest, taken], dim=1), torch.cat([kept, kept + 1], dim=1)
        if rest.shape[1] > width:
            away = ahead.distance(k + 1, rest, kept, size)
            origin = away.topk(width, dim=1, largest=False, sorted=False).indices
            rest, kept = rest.gather(1, origin), kept.gather(1, origin)
        else:
            origin = torch.arange(rest.shape[1], device=a.device).expand(len(a), -1)
        origins.append(origin.to(torch.int32))
    last = a[:, first:]
    if size is not None:  # every one counts so much that a wrong size is worse than any error
        rest = rest + (size - kept) * rows.unit[:, None]
        last = last + rows.unit[:, None]
    chosen, code = _match(rest, last, free[:, first:])
    mask = torch.zeros_like(free)
    mask[:, first:] = (code[:, None] >> torch.arange(a.shape[1] - first, device=a.device) & 1) == 1
    for k in range(first - 1, -1, -1):
        place = origins[k].gather(1, chosen[:, None]).long()[:, 0]
        parents = min(2**k, width)  # of both halves of what was there before the choice
        mask[:, k] = place >= parents
        chosen = place % parents
    return torch.zeros_like(mask).scatter_(1, order, mask) & rows.free


class _Ahead(NamedTuple):
    """What lies ahead of every decision: of the candidates from k on; shapes (r, n + 1)."""

    total: "torch.Tensor"
    squares: "torch.Tensor"
    num: "torch.Tensor"

    @classmethod
    def of(cls, a: "torch.Tensor", free: "torch.Tensor") -> "_Ahead":
        return cls(_from_right(a), _from_right(a**2), _from_right(free.to(a.dtype)))

    def distance(
        self, k: int, rest: "torch.Tensor", kept: "torch.Tensor", size: int | None
    ) -> "torch.Tensor":
        """Return how far `rest` is from the middle of what the candidates from k on can reach."""
        import torch

        total, squares, num = (part[:, k : k + 1] for part in self)
        if size is None:
            return (rest - total / 2).abs()
        need, some = size - kept, num.clamp(min=1.0)
        share = need / some
        variance = share * (1 - share) * (squares - total**2 / some)
        least = 1e-3 * squares / some + torch.finfo(rest.dtype).tiny
        away = (rest - share * total) ** 2 / (variance.clamp(min=0.0) + least)
        lost = (need < 0) | (need > num) | torch.isinf(rest)
        largest = torch.finfo(rest.dtype).max  # overflow is far, but not lost
        return torch.where(lost, torch.inf, away.nan_to_num(nan=largest, posinf=largest))


def _from_right(numbers: "torch.Tensor") -> "torch.Tensor":
    """Return the sums of all numbers from every place on, added up from the right; see `Rows`."""
    sums = numbers.new_zeros(len(numbers), numbers.shape[1] + 1)
    for k in range(numbers.shape[1] - 1, -1, -1):
        sums[:, k] = sums[:, k + 1] + numbers[:, k]
    return sums


def _match(
    rest: "torch.Tensor", a: "torch.Tensor", free: "torch.Tensor"
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return for every row which partial subset goes best with which subset of the last ones.

    The first is an index into `rest`, the second has bit k = candidate k of `a`; shapes (r,).
    """
    import torch

    sums = torch.zeros_like(rest[:, :1])
    for k in range(a.shape[1]):
        more = torch.where(free[:, k : k + 1], a[:, k : k + 1], -torch.inf)
        sums = torch.cat([sums, sums + more], dim=1)
    ordered, order = rest.sort(dim=1, stable=True)
    above = torch.searchsorted(ordered, sums).clamp(max=rest.shape[1] - 1)
    below = (above - 1).clamp(min=0)
    over, under = (ordered.gather(1, above) - sums).abs(), (ordered.gather(1, below) - sums).abs()
    nearest, code = torch.where(under < over, below, above), least(torch.minimum(over, under))[1]
    return order.gather(1, nearest.gather(1, code[:, None]))[:, 0], code
