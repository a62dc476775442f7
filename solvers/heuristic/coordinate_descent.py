"""Block coordinate descent: each weight solved again for what all others leave to it.

In norm 2, and for all neurons of a layer at once. With the other weights fixed, the best subset of
one is that nearest to a shifted target: an exact SubsetSum. A sweep does so for every weight; the
error never rises. It begins from error feedback, or from `start`. To prefer for layers; on single
neurons lns finds better. It proves nothing.

Under a budget every neuron pays a price for what it keeps, found by bisection (Everett, Operations
Research 1963); what the price leaves of the budget is spent by sweeps that may not exceed it.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.neurons import Neurons
from solvers.heuristic.devices import single_thread
from solvers.heuristic.error_feedback import feed_back
from solvers.heuristic.layer import Charge, Layer, supports_layer
from solvers.solver import OnEvent, Proposal, nothing_known

if TYPE_CHECKING:
    import torch

_LEAST_PRICE = 1e-8  # of a neuron's error when nothing is kept
_PRICES = 12  # bisections: each with error feedback and a few sweeps
_SWEEPS_PER_PRICE = 2


@dataclass(frozen=True)
class CoordinateDescent:
    """Sweeps over the weights until none moves.

    Parameters
    ----------
    sweeps
        The most sweeps.
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    sweeps: int = 8
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether they are neurons in norm 2, up to 48 candidates a weight, 12 with a budget."""
        return supports_layer(instance)

    def propose(
        self,
        instance: Neurons,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose masks without bounds, never worse than `start`."""
        deadline = time.monotonic() + time_limit
        layer = Layer(instance, self.device, start)
        charge: Charge | None = None
        with single_thread():
            if instance.budget is not None:
                charge = _within_budget(layer, instance.budget, deadline)
            elif start is None:
                feed_back(layer, deadline)
            for _ in range(self.sweeps):
                if time.monotonic() > deadline or not _sweep(layer, deadline, charge):
                    break
                if on_event is not None:
                    on_event(0, nothing_known(instance, layer.mask()))
        return nothing_known(instance, layer.mask())


def _sweep(layer: Layer, deadline: float, charge: Charge | None = None) -> bool:
    """Solve every weight again; return whether any moved."""
    pull = layer.off @ layer.gram
    moved = False
    for k in range(len(layer.gram)):
        if time.monotonic() > deadline:
            break
        diagonal = layer.gram[k, k]
        if diagonal <= 0:
            continue
        wanted = layer.weights[:, k] - layer.off[:, k] + pull[:, k] / diagonal
        step = layer.put_nearest(k, wanted, charge)
        if bool((step != 0).any()):
            moved = True
            pull += step[:, None] * layer.gram[k]
    return moved


class _Price:
    """What every kept candidate costs, in units of squared errors."""

    def __init__(self, price: "torch.Tensor", weight: "torch.Tensor") -> None:
        self._price = price
        self._weight = weight
        """What a squared distance counts, by weight."""

    def added(
        self, k: int, away: "torch.Tensor", sizes: "torch.Tensor", kept: "torch.Tensor"
    ) -> "torch.Tensor":
        return self._weight[k] * away**2 + self._price[:, None] * sizes


class _Left:
    """What is left of the budget; more may not be kept."""

    def __init__(self, left: "torch.Tensor") -> None:
        self._left = left

    def added(
        self, k: int, away: "torch.Tensor", sizes: "torch.Tensor", kept: "torch.Tensor"
    ) -> "torch.Tensor":
        import torch

        room = self._left + kept.sum(dim=1)
        costs = torch.where(sizes <= room[:, None], away, torch.inf)
        self._left = room - sizes[costs.argmin(dim=1)]
        return costs


def _within_budget(layer: Layer, budget: int, deadline: float) -> Charge:
    """Leave the layer within the budget, and return what keeps it there.

    What it holds already is kept for neurons for which no price gives better.
    """
    import torch

    fits = layer.kept() <= budget
    best, least = layer.state(), torch.where(fits, layer.errors(), torch.inf)
    layer.clear()
    empty = layer.errors()
    emptied = ~fits | (empty < least)
    least = torch.where(emptied, empty, least)
    _replace(best, layer.state(), emptied)
    low, high = _LEAST_PRICE * empty, empty.clone()
    factor, gram = layer.factor().diagonal() ** 2, layer.gram.diagonal()
    for turn in range(_PRICES):
        if time.monotonic() > deadline:
            break
        # free of charge first: whoever keeps little then needs no price
        price = torch.zeros_like(low) if turn == 0 else (low * high).sqrt()
        layer.clear()
        feed_back(layer, deadline, _Price(price, factor))
        for _ in range(_SWEEPS_PER_PRICE):
            if not _sweep(layer, deadline, _Price(price, gram)):
                break
        fits, errors = layer.kept() <= budget, layer.errors()
        better = fits & (errors < least)
        least = torch.where(better, errors, least)
        _replace(best, layer.state(), better)
        if turn > 0:
            high = torch.where(fits, price, high)
        else:
            high = torch.where(fits, low, high)
        low = torch.where(fits, low, torch.maximum(price, low))
    layer.restore(best, torch.ones_like(fits))
    return _Left(budget - layer.kept().to(layer.gram.dtype))


def _replace(
    state: tuple["torch.Tensor", "torch.Tensor"],
    other: tuple["torch.Tensor", "torch.Tensor"],
    which: "torch.Tensor",
) -> None:
    """Overwrite some neurons of a state with those of another."""
    state[0][:, which] = other[0][:, which]
    state[1][which] = other[1][which]
