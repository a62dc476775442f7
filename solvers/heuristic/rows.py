"""A batch of rows as tensors, and how good a mask is, as one number."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from instances.objectives import FixedSize, Objective, Sparsest
from instances.subset_sum import SubsetSum
from solvers.heuristic.devices import copied
from solvers.heuristic.reductions import add_up
from solvers.heuristic.torch_draw import draw

if TYPE_CHECKING:
    import torch

DRAW_ON = ("cuda",)
"""Kinds of devices that draw candidates; to others they are copied, which costs less."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What a batched heuristic works on. It only compares masks: the exact judge has the last word.

    Neither here nor in the heuristics is anything added up along a row in an order that depends on
    how many rows there are, so that a row's answer does not depend on its neighbours.
    """

    a: "torch.Tensor"
    """Shape (r, n), float64; 0 where a candidate is not available."""
    target: "torch.Tensor"
    """Shape (r,)."""
    free: "torch.Tensor"
    """Shape (r, n), bool: what may be kept."""
    unit: "torch.Tensor"
    """Shape (r,): what the rank counts for in `key`."""
    objective: Objective

    @classmethod
    def load(cls, instance: SubsetSum, device: "torch.device") -> "Rows":
        """Bring `instance` to `device`: a CUDA device draws the candidates itself where it can."""
        import torch

        if instance.recipe is not None and device.type in DRAW_ON:
            a = draw(instance.recipe, len(instance), device)
        else:
            a = copied(instance.coefficients, device)
        target = copied(instance.targets, device)
        if instance.available is None:
            return cls.of(a, target, torch.ones_like(a, dtype=torch.bool), instance.objective)
        free = copied(instance.available, device)
        return cls.of(torch.where(free, a, 0.0), target, free, instance.objective)

    @classmethod
    def of(
        cls,
        a: "torch.Tensor",
        target: "torch.Tensor",
        free: "torch.Tensor",
        objective: Objective,
    ) -> "Rows":
        """Put the tensors together."""
        import torch

        if isinstance(objective, Sparsest):
            unit = torch.full_like(target, 2 * objective.tolerance or 1.0)
        else:
            unit = 4 * (add_up(a.abs()) + target.abs()) + torch.finfo(a.dtype).tiny
        return cls(a, target, free, unit, objective)

    def __len__(self) -> int:
        return self.a.shape[0]

    @property
    def num_candidates(self) -> int:
        """Candidates per row, available or not."""
        return self.a.shape[1]

    @property
    def counted(self) -> bool:
        """Whether it matters how many are kept."""
        return isinstance(self.objective, Sparsest | FixedSize)

    def take(self, index: "torch.Tensor | slice") -> "Rows":
        """Return the rows with these indices; an index may appear again."""
        a, target, free, unit = (
            self.a[index],
            self.target[index],
            self.free[index],
            self.unit[index],
        )
        return Rows(a, target, free, unit, self.objective)

    def rest(self, mask: "torch.Tensor") -> "torch.Tensor":
        """Return target − sum of the kept, shape (r,)."""
        return self.target - add_up(self.a * mask)

    def key(self, error: "torch.Tensor", kept: "torch.Tensor") -> "torch.Tensor":
        """Return a number for every mask: the smaller one is the better one.

        It is the error plus `unit`, which is larger than the errors that matter, times a rank: for
        `Sparsest` how many are kept, n + 1 where the error is beyond the tolerance; for `FixedSize`
        how far the size is from the one that is asked for; for `Closest` 0.

        Parameters
        ----------
        error, kept
            Of some masks for every row, of shapes that begin with r.
        """
        import torch

        if isinstance(self.objective, Sparsest):
            within = error <= self.objective.tolerance
            rank = torch.where(within, kept, self.num_candidates + 1.0)
        elif isinstance(self.objective, FixedSize):
            rank = (kept - self.objective.size).abs()
        else:
            return error
        return error + rank * self.unit.view(-1, *[1] * (error.dim() - 1))

    def judge(self, mask: "torch.Tensor") -> "torch.Tensor":
        """Return the keys of one mask per row, shape (r,)."""
        return self.key(self.rest(mask).abs(), mask.sum(dim=1))

    def better(self, one: "torch.Tensor", other: "torch.Tensor") -> "torch.Tensor":
        """Return row by row the better one of two masks; `one` where they are equally good."""
        import torch

        return torch.where((self.judge(other) < self.judge(one))[:, None], other, one)
