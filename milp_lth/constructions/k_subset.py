"""k-subset: the two-layer construction with exactly k products for every weight and half.

The density is chosen rather than found. Subsets of k among n hit a target within ε about when there
are √k / ε of them: with k = 1 this is the nearest product, with k = n/2 Pensia's, and in between
sparser tickets are bought with width.

Natale, Ferré, Giambartolomei, Giroire, Mallmann-Trenn, "On the Sparsity of the Strong Lottery
Ticket Hypothesis", NeurIPS 2024.
"""

from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_layer import two_layer as k_subset

__all__ = ["THEOREM", "k_subset"]

THEOREM = Theorem(
    paper="Natale et al. 2024",
    assumes="spectral norms ≤ 1, ‖x‖ ≤ 1, no biases; draws uniform, normal or of bounded k-sums",
    width="C d log²(dl/ε) / H₂(γ), H₂ the binary entropy",
    depth="2l",
    promises="every such target to within ε at the density γ that is asked for",
)
