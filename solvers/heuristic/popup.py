"""Popup: scores for the edges of arbitrary sources, trained by gradients, as in edge-popup.

Weights stay as they are. Every edge has a score; each layer keeps the share of its edges whose
scores are largest in magnitude, and the gradient passes that choice as if it were not there (Adam,
mean squared error). Several shares and starts are trained at once, and one more that keeps what has
a positive score, whatever its share. Of all masks on the way the best one is proposed. It proves
nothing. To compare with: this is how the field looks for such masks in networks of any size.

Source: Ramanujan, Wortsman, Kembhavi, Farhadi, Rastegari (2020), "What's hidden in a randomly
weighted neural network?", https://github.com/allenai/hidden-networks
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance
from solvers.heuristic.networks import Networks, propose_in_parts
from solvers.solver import OnEvent, Proposal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Popup:
    """Score training, several shares and starts at once.

    Parameters
    ----------
    shares
        What share of its edges each layer keeps: the densities that are tried.
    starts
        How many first scores are tried with each share.
    steps
        How many steps of Adam are made.
    rate
        The step size.
    seed
        Determines the first scores.
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    shares: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    starts: int = 4
    steps: int = 400
    rate: float = 0.05
    seed: int = 0
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", tuple(self.shares))
        if not all(0 < share <= 1 for share in self.shares):
            raise ValueError(f"shares {self.shares}: give numbers above 0 and up to 1")
        if self.starts < 1 or self.steps < 1 or not self.rate > 0:
            raise ValueError(
                f"{self.starts} starts, {self.steps} steps, rate {self.rate}: give at least one of "
                "each, and a positive rate"
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
        """Propose the best masks on the way, without bounds; `start` is kept where it is better."""
        return propose_in_parts(
            instance,
            time_limit,
            partial(_masks, self),
            device=self.device,
            numbers_per_source=4 * self.starts * (len(self.shares) + 1) * instance.num_candidates,
            start=start,
            on_event=on_event,
        )


def _masks(
    solver: Popup, networks: Networks, start: "torch.Tensor | None", deadline: float
) -> "torch.Tensor":
    """Train the scores; return the best mask of every source."""
    import torch

    device, num_sources = networks.device, len(networks.weights[0])
    shares = torch.tensor([*solver.shares, 0.0], device=device).repeat_interleave(solver.starts)
    drawn = torch.tensor(_first_scores(solver, networks, len(shares)), device=device)
    scores = drawn.expand(num_sources, -1, -1).clone().requires_grad_()
    adam = torch.optim.Adam([scores], lr=solver.rate)
    best = torch.zeros(num_sources, networks.num_edges, dtype=torch.bool, device=device)
    error = torch.full((num_sources,), torch.inf, dtype=torch.float64, device=device)
    for _ in range(solver.steps):
        if time.monotonic() > deadline:
            break
        with torch.no_grad():
            mask = _kept(networks, scores, shares)
            found, k = networks.objectives(mask).min(dim=1)
            better = found < error
            chosen = mask.gather(1, k[:, None, None].expand(-1, 1, mask.shape[2]))[:, 0]
            best = torch.where(better[:, None], chosen, best)
            error = torch.where(better, found, error)
        strength = torch.where((shares > 0)[:, None], scores.abs(), scores)
        through = mask + (strength - strength.detach())
        adam.zero_grad()
        loss = networks.misses(through).square().mean(dim=(-2, -1)).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return best


def _first_scores(solver: Popup, networks: Networks, num_trained: int) -> FloatArray:
    """Draw scores as the source does: uniform, up to one over the root of a unit's inputs."""
    rng = np.random.default_rng(solver.seed)  # every source gets the same draws: none minds others
    bounds = [np.full(w[0].numel(), 1.0 / np.sqrt(w.shape[2])) for w in networks.weights]
    reach = np.concatenate(bounds)
    return np.asarray(rng.uniform(-1.0, 1.0, (num_trained, networks.num_edges)) * reach)


def _kept(networks: Networks, scores: "torch.Tensor", shares: "torch.Tensor") -> "torch.Tensor":
    """Return the masks of scores, shape (b, k, n); share 0: what has a positive score."""
    import torch

    layers = []
    for layer in networks.layers(scores):
        flat = layer.flatten(2)
        size = torch.clamp((shares * flat.shape[2]).round(), min=1.0)[:, None]
        largest = _rank(flat.abs()) < size
        layers.append(torch.where((shares > 0)[:, None], largest, flat > 0))
    mask = torch.cat(layers, dim=2)
    if networks.most < networks.num_edges:  # of what is kept, the budget's largest scores
        mask &= _rank(torch.where(mask, scores.abs(), -1.0)) < networks.most
    return mask


def _rank(numbers: "torch.Tensor") -> "torch.Tensor":
    """Return the place of each number in its row, the largest first."""
    return numbers.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
