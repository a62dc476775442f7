"""All constructions by name: what ``--construction`` offers."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from milp_lth.constructions.direct import ParallelEdges, direct
from milp_lth.constructions.layout import DrawnLayer, Layout
from milp_lth.constructions.two_layer import two_layer
from milp_lth.constructions.two_matrices import TwoMatrices


class Construction(NamedTuple):
    """How a layer is laid out, and what it is drawn from."""

    lay_out: Callable[..., Layout]
    """Called with the source, the layer's index and the network, and by name with width,
    nonnegative and, where there are hidden units to assign, assignment."""
    drawn: type[DrawnLayer]
    has_assignment: bool


CONSTRUCTIONS = {
    "two-layer": Construction(two_layer, TwoMatrices, has_assignment=True),
    "direct": Construction(partial(direct, shared=False), ParallelEdges, has_assignment=False),
    "direct-shared": Construction(
        partial(direct, shared=True), ParallelEdges, has_assignment=False
    ),
}
