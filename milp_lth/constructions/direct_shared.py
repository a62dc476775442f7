"""The direct construction with one vector of candidates for all weights of an output.

This is what the experiment of Pensia et al. 2020 (NeurIPS, arXiv 2006.07990) did. No network of
independent weights is pruned here: edges from different inputs to one output are the same numbers,
so an unlucky vector misses many weights together.
"""

from functools import partial

from milp_lth.constructions.direct import direct
from milp_lth.constructions.theorem import Theorem

THEOREM = Theorem(
    paper="the experiment of Pensia et al. 2020, as it was run",
    assumes="the same as direct; the sums of one output's weights are no longer independent",
    width="C log(dl/ε) numbers for every output",
    depth="l",
    promises="every weight within ε",
)

direct_shared = partial(direct, shared=True)
