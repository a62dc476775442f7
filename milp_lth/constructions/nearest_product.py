"""Nearest product: one pair of random weights for every weight of the target.

The network is that of the two-layer construction, much wider, and nothing is summed: of all the
products ``V[j, h] U[h, i]`` that serve a weight the nearest one is kept, a subset sum of size one.
The error falls as a power of the width, about 1 / width, where sums of many fall exponentially.

Malach, Yehudai, Shalev-Shwartz, Shamir, "Proving the Lottery Ticket Hypothesis: Pruning is All You
Need", ICML 2020, arXiv 2002.00585.
"""

from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_layer import two_layer as nearest_product

__all__ = ["THEOREM", "nearest_product"]

THEOREM = Theorem(
    paper="Malach et al. 2020",
    assumes="spectral norms ≤ 1, entries ≤ 1/√d, ‖x‖ ≤ 1, no biases; draws uniform on [−1, 1]",
    width="polynomial: a factor of O(d⁴l²)",
    depth="2l",
    promises="every such target to within ε, with as many kept edges as the target has",
)
