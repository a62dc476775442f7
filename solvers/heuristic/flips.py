"""Flips: tabu search over the edges of arbitrary sources, in batches, on CPU or GPU.

From many random masks at once, and from `start`, the edge is flipped that leaves the least error,
even where that is more than before; it then stays as it is for some moves, unless flipping it leads
to the best mask of that walk. What is best in the end is improved by pairs of flips until none
helps. It proves nothing. To prefer for a first answer; from where it ends, an exact solver begins.

Source: Glover (1989), "Tabu search – part I".
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import BoolArray
from instances.instance import Instance
from solvers.heuristic.networks import Networks, numbers_held, propose_in_parts
from solvers.solver import OnEvent, Proposal

if TYPE_CHECKING:
    import torch

_PAIRS = 1 << 12  # masks of a source that are judged at a time


@dataclass(frozen=True)
class Flips:
    """Tabu search over single flips, then pairs of flips.

    Parameters
    ----------
    walks
        How many masks are walked from.
    moves
        How many flips each walk makes.
    tenure
        For how long what was flipped stays as it is: up to this share of the edges, drawn anew for
        every move.
    seed
        Determines the first masks and the tenures.
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    walks: int = 64
    moves: int = 150
    tenure: float = 0.3
    seed: int = 0
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.walks < 1 or self.moves < 0 or not 0 <= self.tenure <= 1:
            raise ValueError(
                f"{self.walks} walks, {self.moves} moves, tenure {self.tenure}: give 1 or more, "
                "0 or more, and a share up to 1"
            )

    def supports(self, instance: Instance) -> bool:
        """Whether the problems are arbitrary sources."""
        return isinstance(instance, ArbitrarySource)

    def propose(
        self,
        instance: ArbitrarySource,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose the best masks of all walks, without bounds; one walk begins at `start`."""
        return propose_in_parts(
            instance,
            time_limit,
            partial(_masks, self),
            device=self.device,
            numbers_per_source=numbers_held(instance, self.walks),
            start=start,
            on_event=on_event,
        )


def _masks(
    solver: Flips, networks: Networks, start: "torch.Tensor | None", deadline: float
) -> "torch.Tensor":
    """Walk, then improve the best mask of every source."""
    import torch

    n, device = networks.num_edges, networks.device
    rng = np.random.default_rng(solver.seed)  # every source gets the same draws: none minds others
    mask = torch.tensor(_first_masks(rng, solver.walks, n, networks.most), device=device)
    mask = mask.expand(len(networks.weights[0]), -1, -1).clone()
    if start is not None:
        mask[:, 0] = start
    best, error = mask.clone(), networks.objectives(mask)
    until = torch.zeros(mask.shape, dtype=torch.int32, device=device)
    flips = torch.eye(n, dtype=torch.bool, device=device)
    for move in range(solver.moves):
        if time.monotonic() > deadline:
            break
        after = networks.objectives_of_flips(mask)
        barred = (until > move) & (after >= error[:, :, None])
        found, k = after.masked_fill(barred, torch.inf).min(dim=-1)
        possible = torch.isfinite(found)
        mask ^= flips[k] & possible[:, :, None]
        stays = rng.integers(1, 2 + int(solver.tenure * n), solver.walks)
        ends = torch.tensor(move + 1 + stays, dtype=torch.int32, device=device)
        until.scatter_(2, k[:, :, None], ends.expand(len(mask), -1)[:, :, None])
        better = possible & (found < error)
        error = torch.where(better, found, error)
        best = torch.where(better[:, :, None], mask, best)
    least, walk = error.min(dim=1)
    rows = torch.arange(len(best), device=device)
    return _improved(networks, best[rows, walk], least, deadline)


def _first_masks(rng: np.random.Generator, walks: int, n: int, most: int) -> BoolArray:
    """Draw masks of all densities, none beyond the budget."""
    order = np.argsort(rng.random((walks, n)), axis=1).argsort(axis=1)
    kept = np.rint(rng.random(walks) * n).astype(int)
    return np.asarray(order < np.minimum(kept, most)[:, None])


def _improved(
    networks: Networks, mask: "torch.Tensor", error: "torch.Tensor", deadline: float
) -> "torch.Tensor":
    """Flip the best edge or pair of edges until none helps."""
    import torch

    n, device = networks.num_edges, networks.device
    flips = torch.eye(n, dtype=torch.bool, device=device)
    first, second = torch.triu_indices(n, n, device=device)
    pairs = flips[first] | flips[second]
    going = torch.ones(len(mask), dtype=torch.bool, device=device)
    while going.any():
        found, chosen = torch.full_like(error, torch.inf), torch.zeros_like(mask)
        for few in torch.split(pairs, _PAIRS):
            if time.monotonic() > deadline:
                return mask
            least, k = networks.objectives(mask[:, None] ^ few).min(dim=1)
            chosen = torch.where((least < found)[:, None], few[k], chosen)
            found = torch.minimum(found, least)
        going = found < error
        mask = mask ^ (chosen & going[:, None])
        error = torch.where(going, found, error)
    return mask
