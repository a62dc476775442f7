"""Simulated annealing, many rows and many chains at a time, on CPU or GPU.

Every chain proposes a flip or a pair of flips in each step and accepts it where that is better, or
with probability exp(−worsening / temperature). The temperature falls geometrically; it is measured
in the mean magnitude of the row's candidates. The energy is the error, for `Sparsest` how far it is
beyond the tolerance plus a price per candidate kept; for `FixedSize` only exchanges are accepted.
All chains begin at `start`, else at the local optimum that greedy with swaps finds, and the best
mask that any of them visits is proposed.

It proves nothing. To prefer hardly ever, and good to compare with: good sums do not lie close to
each other, so that annealing is little more than trying sums at random near the target.

Source: Kirkpatrick, Gelatt & Vecchi (1983); on number partitioning, where it loses to differencing,
Johnson, Aragon, McGeoch & Schevon (1991).
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.objectives import FixedSize, Sparsest
from instances.philox import Stream, words
from instances.subset_sum import SubsetSum
from solvers.heuristic.chunks import propose_in_chunks
from solvers.heuristic.reductions import add_up
from solvers.heuristic.rows import Rows
from solvers.heuristic.swaps import swapped_masks
from solvers.solver import OnEvent, Proposal

if TYPE_CHECKING:
    import torch

_PRICE = 0.3  # of a candidate that `Sparsest` keeps, in mean magnitudes


@dataclass(frozen=True)
class Annealing:
    """Simulated annealing over flips and pairs of flips, for all objectives.

    Parameters
    ----------
    chains
        How many chains each row has, 1 or more.
    steps
        How many moves each chain proposes.
    hot, cold
        The first and the last temperature, in mean magnitudes of a row's candidates.
    seed
        Determines all moves and all chances, the same ones for every row.
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    chains: int = 32
    steps: int = 500
    hot: float = 0.5
    cold: float = 0.1
    seed: int = 0
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.chains < 1 or self.steps < 0:
            raise ValueError(
                f"{self.chains} chains of {self.steps} steps: give at least 1 chain, and 0 steps"
            )
        if not 0 < self.cold <= self.hot < np.inf:
            raise ValueError(
                f"temperatures {self.hot} to {self.cold}: give two above 0, the higher one first"
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
        """Propose the best masks visited, without bounds; all chains begin at `start`."""
        n = instance.num_candidates
        return propose_in_chunks(
            instance,
            time_limit,
            partial(_masks, self),
            device=self.device,
            # masks and the record of what was accepted take a byte each
            numbers_per_row=self.chains * (16 + (n + self.steps) // 8),
            start=start,
            on_event=on_event,
        )


class _Draws(NamedTuple):
    """What chance decides, shapes (steps, chains)."""

    first: "torch.Tensor"
    second: "torch.Tensor"
    paired: "torch.Tensor"
    allowance: "torch.Tensor"
    """How much worse a move may be, in mean magnitudes."""

    @classmethod
    def of(cls, solver: Annealing, num_candidates: int, device: "torch.device") -> "_Draws":
        import torch

        counters = np.arange(solver.steps * solver.chains).reshape(solver.steps, solver.chains)
        drawn = words(Stream(solver.seed), counters).astype(np.int64)
        first = drawn[..., 0] % num_candidates
        others = max(1, num_candidates - 1)
        second = (first + 1 + drawn[..., 1] % others) % num_candidates
        paired = (drawn[..., 2] % 2 == 1) & (num_candidates > 1)
        chance = (drawn[..., 3] + 1) / 2**32
        fallen = np.arange(solver.steps)[:, None] / max(1, solver.steps - 1)
        temperature = solver.hot * (solver.cold / solver.hot) ** fallen
        parts = first, second, paired, -temperature * np.log(chance)
        return cls(*(torch.tensor(part, device=device) for part in parts))


def _masks(
    solver: Annealing, rows: Rows, start: "torch.Tensor | None", deadline: float
) -> "torch.Tensor":
    import torch

    begin = swapped_masks(rows, start, deadline)
    draws = _Draws.of(solver, rows.num_candidates, begin.device)
    shape = solver.steps, solver.chains, len(rows)
    history = torch.zeros(shape, dtype=torch.bool, device=begin.device)
    last, chain = _anneal(rows, begin, draws, history, deadline)
    mask = begin.T.contiguous()
    for step in range(solver.steps):  # replay the best chain of every row up to its best step
        flips = history[step].gather(0, chain[None])[0] & (step <= last)
        paired = flips & draws.paired[step, chain]
        for k, flip in ((draws.first, flips), (draws.second, paired)):
            place = k[step, chain][None]
            mask.scatter_(0, place, mask.gather(0, place) ^ flip)
    return mask.T


def _anneal(
    rows: Rows,
    begin: "torch.Tensor",
    draws: _Draws,
    history: "torch.Tensor",
    deadline: float,
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Let all chains run; write down in `history`, (steps, chains, r), what they accept.

    Returns
    -------
    last, chain
        When and where the best mask of every row was seen, shapes (r,); −1: at the beginning.
    """
    import torch

    steps, chains, r = history.shape
    every = torch.arange(chains, device=begin.device)
    a, free = rows.a.T.contiguous(), rows.free.T.contiguous()  # a step reads whole rows of these
    barred = not bool(free.all())
    scale = add_up(rows.a.abs()) / free.sum(dim=0).clamp(min=1)
    mask = begin.T[:, None, :].repeat(1, chains, 1)
    rest = rows.rest(begin).expand(chains, r)
    kept = begin.sum(dim=1).to(a.dtype).expand(chains, r)
    energy = _energy(rows, rest.abs(), kept, scale)
    best = rows.key(rest[0].abs(), kept[0])
    last = torch.full((r,), -1, device=a.device)
    chain = torch.zeros_like(last)
    for step in range(steps):
        if step % 16 == 0 and time.monotonic() > deadline:
            break
        k, m, paired = draws.first[step], draws.second[step], draws.paired[step][:, None]
        has_k, has_m = mask[k, every], mask[m, every]
        new = rest - torch.where(has_k, -a[k], a[k]) - torch.where(has_m, -a[m], a[m]) * paired
        error, count = new.abs(), kept
        if rows.counted:
            count = kept + torch.where(has_k, -1, 1) + torch.where(has_m, -1, 1) * paired
        cost = _energy(rows, error, count, scale)
        accept = cost <= energy + draws.allowance[step][:, None] * scale
        if isinstance(rows.objective, FixedSize):
            accept &= count == kept
        if barred:
            accept &= free[k] & (free[m] | ~paired)
        history[step] = accept
        mask[k, every], mask[m, every] = has_k ^ accept, has_m ^ (accept & paired)
        rest, energy = torch.where(accept, new, rest), torch.where(accept, cost, energy)
        kept = torch.where(accept, count, kept) if rows.counted else kept
        keys = torch.where(accept, rows.key(error.T, count.T).T, torch.inf)
        key = keys.amin(dim=0)
        better = key < best
        best, last = torch.where(better, key, best), torch.where(better, step, last)
        first = torch.where(keys == key, every[:, None], chains).amin(dim=0)  # faster than argmin
        chain = torch.where(better, first, chain)
    return last, chain


def _energy(
    rows: Rows, error: "torch.Tensor", kept: "torch.Tensor", scale: "torch.Tensor"
) -> "torch.Tensor":
    """Return what annealing lessens, in the units of the error."""
    if not isinstance(rows.objective, Sparsest):
        return error
    return (error - rows.objective.tolerance).clamp(min=0.0) + _PRICE * scale * kept
