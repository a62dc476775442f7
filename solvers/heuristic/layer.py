"""A layer of neurons on a torch device: all of them take each step together, weight by weight."""

from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray, largest
from instances.neurons import Neurons
from instances.subset_sum import SubsetSum
from solvers.exact.meet_in_the_middle import MAX_CANDIDATES, MeetInTheMiddle
from solvers.heuristic.devices import find_device

if TYPE_CHECKING:
    import torch

_IN_TABLES = 12
"""Candidates whose subset sums are all looked at; more are left to meet-in-the-middle."""

_FLOOR = 1e-10
"""What is added to the Gram matrix, relative to its mean diagonal, so that it can be factorised."""


def supports_layer(instance: object) -> TypeGuard[Neurons]:
    """Whether a layer can be made of an instance: neurons in norm 2, up to 48 candidates a weight.

    Where a budget is to be kept, all subsets of a weight must be looked at: 12 candidates then.
    """
    if not isinstance(instance, Neurons) or instance.norm != 2:
        return False
    most = MAX_CANDIDATES if instance.budget is None else _IN_TABLES
    return bool(instance.coefficients.shape[2] <= most)


class Charge(Protocol):
    """What the subsets of a weight cost beside their distance from what is wanted."""

    def added(
        self, k: int, away: "torch.Tensor", sizes: "torch.Tensor", kept: "torch.Tensor"
    ) -> "torch.Tensor":
        """Return the costs of the subsets of weight `k`, shape (b, subsets).

        `away` are their distances; `sizes` what they keep, shape (subsets,), and `kept`,
        shape (b, n), what is kept of the weight so far.
        """


class Layer:
    """The neurons of an instance, their inputs in order: those that matter most come last.

    Attributes
    ----------
    gram
        Shape (d, d): of the inputs, with the ridge, both divided by a power of two.
    weights
        Shape (b, d).
    off
        Shape (b, d): what each weight is off by.
    """

    def __init__(self, instance: Neurons, device: str, start: BoolArray | None) -> None:
        import torch

        where = find_device(device)
        reach = max(largest(instance.inputs), instance.ridge)
        unit = 2.0 ** np.frexp(reach)[1]  # their squares are then neither infinite nor all 0
        inputs = torch.tensor(instance.inputs / unit, device=where)
        gram = inputs.T @ inputs
        gram.diagonal().add_((instance.ridge / unit) ** 2)
        self._order = torch.argsort(gram.diagonal(), stable=True)
        self.gram = gram[self._order][:, self._order].contiguous()
        self.weights = torch.tensor(instance.targets, device=where)[:, self._order].contiguous()
        # weights first, so that what one step reads lies together
        self._useful = self._by_weight(instance.useful(), where)
        usable = np.where(instance.useful(), instance.coefficients, 0.0)
        self._coefficients = self._by_weight(usable, where)
        self._mask = torch.zeros_like(self._useful)
        if start is not None:
            kept = start.reshape(instance.coefficients.shape)
            self._mask = self._by_weight(kept, where) & self._useful
        self.off = self.weights - torch.where(self._mask, self._coefficients, 0.0).sum(dim=2).T
        n = instance.coefficients.shape[2]
        self._subsets = None
        if n <= _IN_TABLES:
            codes = torch.arange(1 << n, device=where)
            self._subsets = (codes[:, None] >> torch.arange(n, device=where)) & 1 > 0
            self._sizes = self._subsets.sum(dim=1).to(inputs.dtype)

    def _by_weight(self, numbers: NDArray[Any], where: "torch.device") -> "torch.Tensor":
        import torch

        moved = torch.tensor(np.ascontiguousarray(numbers.transpose(1, 0, 2)), device=where)
        return moved[self._order].contiguous()

    def factor(self) -> "torch.Tensor":
        """Return the upper triangle R with RᵀR = gram, a little raised."""
        import torch

        floor = _FLOOR * self.gram.diagonal().mean().clamp(min=1e-100)
        raised = self.gram.clone()
        raised.diagonal().add_(floor)
        triangle: torch.Tensor = torch.linalg.cholesky(raised, upper=True)
        return triangle

    def put_nearest(
        self, k: int, wanted: "torch.Tensor", charge: "Charge | None" = None
    ) -> "torch.Tensor":
        """Let weight `k` of each neuron sum what is nearest to `wanted`; return how `off` moved.

        With a `charge`, the squared distance is weighed against what the kept candidates cost.
        """
        import torch

        if self._subsets is None:
            kept = self._solve(k, wanted)
            sums = torch.where(kept, self._coefficients[k], 0.0).sum(dim=1)
        else:
            table = self._coefficients[k] @ self._subsets.T.to(wanted.dtype)
            away = (table - wanted[:, None]).abs()
            if charge is not None:
                away = charge.added(k, away, self._sizes, self._mask[k])
            best = away.argmin(dim=1)
            sums = table.gather(1, best[:, None])[:, 0]
            kept = self._subsets[best] & self._useful[k]
        self._mask[k] = kept
        before = self.off[:, k].clone()
        self.off[:, k] = self.weights[:, k] - sums
        return self.off[:, k] - before

    def clear(self) -> None:
        """Keep nothing."""
        self._mask[:] = False
        self.off = self.weights.clone()

    def kept(self) -> "torch.Tensor":
        """Count what each neuron keeps, shape (b,)."""
        return self._mask.sum(dim=(0, 2))

    def errors(self) -> "torch.Tensor":
        """Return the squared error of each neuron, shape (b,)."""
        return ((self.off @ self.gram) * self.off).sum(dim=1)

    def state(self) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Return a copy of what is kept and of what the weights are off by."""
        return self._mask.clone(), self.off.clone()

    def restore(self, state: tuple["torch.Tensor", "torch.Tensor"], which: "torch.Tensor") -> None:
        """Put some neurons, bool of shape (b,), back where they were."""
        mask, off = state
        self._mask[:, which] = mask[:, which]
        self.off[which] = off[which]

    def _solve(self, k: int, wanted: "torch.Tensor") -> "torch.Tensor":
        import torch

        rows = SubsetSum(
            self._coefficients[k].cpu().numpy(),
            wanted.cpu().numpy(),
            available=self._useful[k].cpu().numpy(),
        )
        mask = MeetInTheMiddle().propose(rows, np.inf).mask
        return torch.from_numpy(mask).to(self._mask.device)

    def mask(self) -> BoolArray:
        """Return the masks, shape (b, d·n), in the order of the inputs."""
        import torch

        back = torch.empty_like(self._mask)
        back[self._order] = self._mask
        return np.ascontiguousarray(back.transpose(0, 1).flatten(1).cpu().numpy())
