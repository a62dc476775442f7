"""Binary random networks: every weight is +1 or −1, and depth makes up for the missing sizes.

Sreenivasan, Rajput, Sohn, Papailiopoulos, "Finding (Nearly) Everything within Random Binary
Networks", AISTATS 2022, arXiv 2110.08996: every further layer of a random network of ±1 can double,
so a weight of b bits takes b layers.

A target layer W becomes b + 1 random matrices. The first is the U of two-layer: a unit keeps one
input x and carries ``|x|``, for inputs of one sign. Those between are a ladder: a unit keeps to its
input and sign, with one edge of +1, which passes ``2ᵖ |x|`` on, or with two to units that carry the
same, which doubles it. Which edges these are is decided by the random signs alone, whatever the
target. The last matrix is ±step; its entries at the units of an input, times 2ᵖ, are what a weight
may sum: whole numbers of steps. The step belongs to the distribution, as the scale of two-layer
does: no weight is more than 2ᵇ steps.

Where all powers from 2⁰ to 2ᵇ⁻¹ are there, subsets reach *every* whole number between the sum of
the negative ones and that of the positive ones: each is larger by 1 than all smaller ones together,
so signs move the range and leave no gap. Hence one unit for each lower power will do, and all
others carry the highest, which alone needs both signs: of 24 units 17 do, and a weight of 2ᵇ steps
is out of reach in one case of 7,000, one of half the size in one of 130,000. A unit for a lower
power is sought among all of a level, each of which will do with probability 1/2: with 8 bits and 24
units one ladder in 2¹⁷ lacks one. So the widths are those of two-layer; the proof has their square.
"""

from dataclasses import dataclass, replace

import numpy as np

from instances.arrays import IntArray
from instances.compiled import compilable, compiled
from instances.distributions import Distribution
from instances.philox import Stream
from instances.recipe import Recipe
from milp_lth.constructions.binary_ladder import LADDER, BinaryLadder
from milp_lth.constructions.layout import Half, Layout, augmented
from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_layer import matrices_for, scale_for, signed_halves
from milp_lth.network import Network
from milp_lth.source import SECOND, Source

THEOREM = Theorem(
    paper="Sreenivasan et al. 2022",
    assumes="bounded weights of the target; random ones are +1 or −1 with probability 1/2",
    width="C d log²(dl/ε)",
    depth="C l log(dl/ε)",
    promises="every such target to within ε; a weight of b bits exactly, through b + 1 matrices",
)

_CHUNK = 1 << 22  # entries of a level drawn at a time


@dataclass(frozen=True, eq=False)
class Ladder(Layout):
    """One target layer, and where each of its weights finds powers of two."""

    drawn: BinaryLadder

    def halves(self) -> tuple[Half, ...]:
        """Return the positive half and, unless the inputs are known to be ≥ 0, the negative one."""
        return signed_halves(self.drawn, self.drawn.powers() >= 0)

    def recipe(self, half: Half) -> Recipe:
        """Return how a half's multiples of the step are drawn: V, times the powers of two."""
        drawn = self.drawn
        carried = drawn.u() * np.exp2(drawn.powers())
        return Recipe(
            Stream(drawn.source.seed, drawn.index, SECOND),
            stride=drawn.num_units,
            columns=half.units,
            rows_in_group=half.num_inputs,
            unit=Distribution(drawn.source.distribution).factor_unit,
            distribution=drawn.source.distribution,
            factors=np.where(half.units >= 0, drawn.step * carried[half.units], 0.0),
        )


def binary(
    source: Source,
    index: int,
    network: Network,
    *,
    width: int,
    nonnegative: bool,
    assignment: str,
) -> Ladder:
    """Lay out the source for one target layer.

    Raises
    ------
    ValueError
        When the layer is a product without a ReLU, the assignment is unknown, or the weights are
        beyond what can be scaled.
    """
    layer = network.layers[index]
    if not layer.form.activated:
        raise ValueError(
            f"{layer.name}: binary has ReLUs between its matrices, and this product of two "
            "matrices can have none: choose the construction two-layer"
        )
    assert source.bits is not None
    weight = augmented(layer)
    fields = matrices_for(
        source,
        index,
        network,
        weight,
        width=width,
        nonnegative=nonnegative,
        assignment=assignment,
        scale=scale_for(weight, reach=1.0) * 2.0**-source.bits,
    )
    step = fields.pop("scale")
    no_parents = np.zeros((0, len(fields["input_of"]), 2), np.int64)
    first = BinaryLadder(**fields, step=step, parents=no_parents)
    blocks = [half.units for half in Ladder(first, layer.name, weight).halves()]
    levels = [first.powers()]
    parents = np.full((source.bits - 1, first.num_units, 2), -1)
    for k, level in enumerate(parents):
        above = np.full(first.num_units, -1)
        for units in blocks:
            _climb(first, k + 2, units, levels[-1], above, level)
        levels.append(above)
    return Ladder(replace(first, parents=parents), layer.name, weight)


def _climb(
    drawn: BinaryLadder, level: int, blocks: IntArray, below: IntArray, above: IntArray,
    parents: IntArray,
) -> None:  # fmt: skip
    """Choose the parents of a level's units, and write the powers they carry into `above`.

    `blocks` has a row for every input, whose units see each other, padded with −1.
    """
    num_rows = max(1, _CHUNK // max(1, blocks.shape[1] ** 2))
    for first in range(0, len(blocks), num_rows):
        units = blocks[first : first + num_rows]
        edges = drawn.source.draw(
            drawn.index, LADDER + level, drawn.num_units, units[:, :, None], units[:, None, :]
        )
        _choose_parents(units, edges > 0, level, below, above, parents)


@compiled
def _choose_parents(units, edges, level, below, above, parents):  # type: ignore[no-untyped-def]
    """Let the units of each block take powers: those below the highest once, the lowest first.

    All others take the highest they can. Where there are fewer units than powers, the lowest ones
    are given up.
    """
    for b in range(len(units)):
        block = units[b][units[b] >= 0]
        powers = below[block]
        for p in range(max(0, level + 1 - len(block)), level - 1):
            for a, h in enumerate(block):
                if above[h] < 0 and _keep_edges(edges[b, a], block, powers, p, parents[h]):
                    above[h] = p
                    break
        for a, h in enumerate(block):
            p = level - 1
            while above[h] < 0 and p >= 0:
                if _keep_edges(edges[b, a], block, powers, p, parents[h]):
                    above[h] = p
                p -= 1


@compilable
def _keep_edges(edges, block, powers, p, parents):  # type: ignore[no-untyped-def]
    """Write the parents that let a unit carry 2ᵖ, if there are any; return whether."""
    for a, h in enumerate(block):
        if edges[a] and powers[a] == p:
            parents[0] = h
            return True
    first = -1
    for a, h in enumerate(block):
        if edges[a] and powers[a] == p - 1 >= 0:
            if first >= 0:
                parents[0], parents[1] = first, h
                return True
            first = h
    return False
