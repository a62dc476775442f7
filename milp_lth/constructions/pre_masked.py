"""Pre-masked: a random network that was sparse before anything was pruned.

Of the entries of V only a random share, `density`, exists; the ticket is found among these. A
weight then has density · n of its n candidates, so the same errors need 1 / density times the
width. (A sparse U costs nothing beyond: every unit keeps one of its entries, whichever exist.)

Gadhikar, Mukherjee, Burkholz, "Why Random Pruning Is All We Need to Start Sparse", ICML 2023,
arXiv 2210.02412.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.philox import Stream, uniform
from instances.recipe import Recipe
from milp_lth.constructions.layout import Half
from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_layer import TwoLayer, laid_out
from milp_lth.constructions.two_matrices import TwoMatrices
from milp_lth.network import Network
from milp_lth.source import PRESENT, Source

THEOREM = Theorem(
    paper="Gadhikar et al. 2023",
    assumes="as two-layer; every edge exists with probability p, independently",
    width="that of two-layer times 1 / p, by thinned subset sums; log(1/sparsity)⁻¹ in the paper",
    depth="2l",
    promises="every such target to within ε, from a network that is sparse to begin with",
)

_ROWS = 1 << 22  # entries of V looked at together


@dataclass(frozen=True, eq=False)
class PreMaskedMatrices(TwoMatrices):
    """U and V, of which some entries of V are not there."""

    @property
    def density(self) -> float:
        """The source's: the share of V that is free."""
        assert self.source.density is not None
        return self.source.density

    def luck(self, first: int = 0, stop: int | None = None) -> FloatArray:
        """Return a number in [−1, 1) for the entries of V from output `first` to before `stop`.

        It decides what becomes of the entry.
        """
        stop = self.num_outputs if stop is None else stop
        counters = np.arange(first * self.num_units, stop * self.num_units)
        return uniform(self.stream(), counters).reshape(stop - first, self.num_units)

    def stream(self) -> Stream:
        """Return where that number is drawn from."""
        return Stream(self.source.seed, self.index, PRESENT)

    def free(self, luck: FloatArray) -> BoolArray:
        """Return which entries may be kept or pruned."""
        return np.asarray(luck < 2 * self.density - 1)

    def exists(self, luck: FloatArray) -> BoolArray:
        """Return which entries are there."""
        return self.free(luck)

    def num_edges(self) -> tuple[int, int]:
        """Count what exists of both matrices, and what is left when every unit keeps one input."""
        step = max(1, _ROWS // self.num_units)
        there = sum(
            int(self.exists(self.luck(first, min(first + step, self.num_outputs))).sum())
            for first in range(0, self.num_outputs, step)
        )
        return self.num_units * self.num_inputs + there, self.num_units + there


@dataclass(frozen=True, eq=False)
class PreMasked(TwoLayer):
    """One target layer beside two random matrices of which only some entries are free."""

    drawn: PreMaskedMatrices

    def luck(self, half: Half, start: int, stop: int) -> FloatArray:
        """Return what decides about the candidates of some rows of a half, shape (rows, n)."""
        drawn = self.drawn
        recipe = Recipe(drawn.stream(), drawn.num_units, half.units, half.num_inputs)
        return recipe.beginning(start).draw(stop - start)

    def available(self, half: Half, start: int, stop: int) -> BoolArray:
        """Return which candidates some rows may use."""
        return self.usable(half, start, stop) & self.drawn.free(self.luck(half, start, stop))


def pre_masked(source: Source, index: int, network: Network, **options: Any) -> PreMasked:
    """Lay out the source for one target layer, see `two_layer`."""
    return laid_out(PreMasked, PreMaskedMatrices, source, index, network, options)
