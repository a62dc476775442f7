"""Golden ratio: hyperbolic weights, and a greedy expansion in place of a solver.

Draws have the density 1 / |w|, so that every scale is met equally often. A weight is expanded like
a number in the base γ = 3/2: from each bucket of products, the next γ times smaller than the last,
one is kept if it fits below what remains. A digit may be any number of its bucket as long as γ is
at most the golden ratio, so random products serve. That is linear in the number of candidates, and
its error has a bound that is known beforehand: `solvers.heuristic.golden_ratio`.

Orseau, Hutter, Rivasplata, "Logarithmic Pruning is All You Need", NeurIPS 2020, arXiv 2006.12156.
"""

from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_layer import two_layer as golden_ratio

__all__ = ["THEOREM", "golden_ratio"]

THEOREM = Theorem(
    paper="Orseau et al. 2020",
    assumes="weights and inputs bounded, of any norm; draws hyperbolic",
    width="O(d²) times a logarithm, of which log(1/ε) serve a weight",
    depth="2l",
    promises="every such target to within ε, found greedily",
)
