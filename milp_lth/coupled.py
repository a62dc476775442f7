"""What couples the weights of a run, as values: a budget of edges, or the data they act on."""

import math
from dataclasses import dataclass

from instances.edge_budget import MEASURES
from instances.neurons import NORMS


@dataclass(frozen=True)
class EdgeLimit:
    """At most `size` second-layer edges in the whole network, with the least total error.

    Raises
    ------
    ValueError
        When the size is negative, or the measure unknown.
    """

    size: int
    measure: str = "sum"

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"budget {self.size}: a network keeps 0 edges or more")
        if self.measure not in MEASURES:
            raise ValueError(f"measure {self.measure!r}: choose one of {', '.join(MEASURES)}")


@dataclass(frozen=True)
class DataAware:
    """The least error of every neuron's output on calibration inputs, layer after layer.

    Parameters
    ----------
    norm
        1, 2 or inf, over the inputs.
    ridge
        What the weights' own errors count beside those of the outputs, as a fraction of the root
        mean square of the layer's inputs: for directions that the data leaves free.

    Raises
    ------
    ValueError
        When the norm is unknown, or the ridge negative.
    """

    norm: float = 2.0
    ridge: float = 0.1

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"norm {self.norm}: choose 1, 2 or inf")
        if not (math.isfinite(self.ridge) and self.ridge >= 0):
            raise ValueError(f"ridge {self.ridge}: give a number that is not negative")


Coupling = EdgeLimit | DataAware
