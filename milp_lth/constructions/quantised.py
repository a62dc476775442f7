"""Quantised: random weights of few bits, and sums that equal the target's weights.

Both random matrices lie on the coarse grid 2⁻ᵏ, so their products lie on 4⁻ᵏ times the scale. A
target whose weights do, too, is met exactly or not at all: every weight is an integer feasibility
problem, Σ a x = t, and a ticket of zero errors computes what the target computes, bit for bit where
sums fit the floats that carry them. Targets are rounded beforehand (`quantise`, ``--target-bits``).

Kumar, Natale, "Quantization vs Pruning: Insights from the Strong Lottery Ticket Hypothesis", 2025,
arXiv 2508.11020.
"""

from typing import Any

from instances.distributions import Distribution
from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_layer import TwoLayer, two_layer
from milp_lth.network import Network
from milp_lth.source import Source

THEOREM = Theorem(
    paper="Kumar & Natale 2025",
    assumes="source on the grid δ = 2⁻ᵏ, target on a grid no finer than δ²",
    width="O(d log(1/δ))",
    depth="2l",
    promises="every such target exactly, with high probability",
)


def quantised(source: Source, index: int, network: Network, **options: Any) -> TwoLayer:
    """Lay out the source for one target layer.

    Raises
    ------
    ValueError
        As for `two_layer`; or when the layer's weights do not lie on the grid of products.
    """
    layout = two_layer(source, index, network, **options)
    distribution = Distribution(source.distribution)
    step = layout.drawn.scale * distribution.grid(distribution.factor_unit) ** 2
    if (layout.weight % step != 0).any():
        raise ValueError(
            f"layer {layout.name!r} has weights that are no multiples of {step:g}: round them with "
            "milp_lth.quantise, or --target-bits; or draw from a finer --distribution quantised-K"
        )
    return layout
