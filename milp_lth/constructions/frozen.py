"""Frozen: a random part of the network is settled beforehand, and only the rest is pruned.

A share 1 − `density` of V's entries is frozen, half of it pruned and half of it locked in, whatever
the target. What is locked in sums to a number of its own for each weight, so the free candidates
are asked for the rest: the target is shifted (in float64: rounded by half a unit of its last place
at most). Locked sums are larger than most weights, so what fails here is not how close sums come
but how far they reach: that costs more candidates than 1 / density where much is locked.

Otsuka et al., "Partially Frozen Random Networks Contain Compact Strong Lottery Tickets", TMLR 2025,
arXiv 2402.14029.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.arrays import BoolArray, FloatArray
from milp_lth.constructions.layout import Half
from milp_lth.constructions.pre_masked import PreMasked, PreMaskedMatrices
from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_layer import laid_out
from milp_lth.network import Network
from milp_lth.source import Source

THEOREM = Theorem(
    paper="Otsuka et al. 2025",
    assumes="as two-layer; a random share of the edges is pruned or locked in beforehand",
    width="that of two-layer times 1 / (share that is free)",
    depth="2l",
    promises="every such target to within ε; what is frozen need not be stored",
)


@dataclass(frozen=True, eq=False)
class FrozenMatrices(PreMaskedMatrices):
    """U and V, of which some entries of V are pruned or locked in beforehand."""

    def locked(self, luck: FloatArray) -> BoolArray:
        """Return which entries are kept whatever the target."""
        return np.asarray(luck >= self.density)  # the upper half of what is frozen

    def exists(self, luck: FloatArray) -> BoolArray:
        """Return which entries are there: what is pruned beforehand never is."""
        return self.free(luck) | self.locked(luck)


@dataclass(frozen=True, eq=False)
class Frozen(PreMasked):
    """One target layer beside two random matrices that are partly frozen."""

    drawn: FrozenMatrices

    def locked(self, half: Half, start: int, stop: int) -> BoolArray:
        """Return which candidates of some rows are locked in, shape (rows, n)."""
        return self.usable(half, start, stop) & self.drawn.locked(self.luck(half, start, stop))

    def targets(self, half: Half, first: int = 0, last: int | None = None) -> FloatArray:
        """Return what is left of the weights once the locked edges are taken off."""
        last = self.drawn.num_outputs if last is None else last
        start, stop = first * half.num_inputs, last * half.num_inputs
        candidates = self.recipe(half).beginning(start).draw(stop - start)
        sums = np.where(self.locked(half, start, stop), candidates, 0.0).sum(axis=1)
        return np.asarray(super().targets(half, first, last) - sums)

    def scatter(
        self, half: Half, mask: BoolArray, layer_mask: BoolArray, first_output: int = 0
    ) -> None:
        """Write the answer to a half's rows into the mask of V, and what is locked in beside it."""
        start = first_output * half.num_inputs
        kept = mask | self.locked(half, start, start + len(mask))
        super().scatter(half, kept, layer_mask, first_output)


def frozen(source: Source, index: int, network: Network, **options: Any) -> Frozen:
    """Lay out the source for one target layer, see `two_layer`."""
    return laid_out(Frozen, FrozenMatrices, source, index, network, options)
