"""What couples the weights of a run, as values: a budget of edges, or the data they act on."""

import math
from dataclasses import dataclass
from typing import Any

from instances.edge_budget import MEASURES
from instances.neurons import NORMS

SHARERS = ("network", "layer", "neuron")


@dataclass(frozen=True)
class EdgeLimit:
    """The least total error within a budget of second-layer edges, or the fewest within an error.

    Parameters
    ----------
    size
        The most edges that are kept, one number or one per layer; or None.
    error
        The largest total error, one number or one per layer; or None. One of the two is to be
        given.
    measure
        The total of the weights' errors: "sum", "max" or "rms", the root mean square.
    per
        Who shares it: the weights of the whole "network", of every "layer", or of every "neuron".

    Raises
    ------
    ValueError
        When not one of size and error is given, it is negative, or a word is unknown.
    """

    size: int | tuple[int, ...] | None = None
    measure: str = "sum"
    error: float | tuple[float, ...] | None = None
    per: str = "network"

    def __post_init__(self) -> None:
        if (self.size is None) == (self.error is None):
            raise ValueError("give a budget of edges or an error limit, one of the two")
        if self.size is not None and min(_as_tuple(self.size), default=-1) < 0:
            raise ValueError(f"budget {self.size}: a network keeps 0 edges or more")
        if self.error is not None and not min(_as_tuple(self.error), default=-1.0) >= 0:
            raise ValueError(f"error limit {self.error}: give a number that is not negative")
        if self.measure not in MEASURES:
            raise ValueError(f"measure {self.measure!r}: choose one of {', '.join(MEASURES)}")
        if self.per not in SHARERS:
            raise ValueError(f"per {self.per!r}: choose one of {', '.join(SHARERS)}")

    def shares(self, num_layers: int) -> list[tuple[int | None, float | None]]:
        """Return budget and error limit of every layer, or of the network as the only one.

        Raises
        ------
        ValueError
            When there is not one number, nor as many as they are needed.
        """
        given = _as_tuple(self.error if self.size is None else self.size)
        num_problems = 1 if self.per == "network" else num_layers
        each = _one_each(given, num_problems, self.per)
        return [(None, one) if self.size is None else (one, None) for one in each]


def _as_tuple(given: Any) -> tuple[Any, ...]:
    return given if isinstance(given, tuple) else (given,)


def _one_each(given: tuple[Any, ...], num_problems: int, per: str) -> list[Any]:
    if len(given) not in (1, num_problems):
        raise ValueError(
            f"{len(given)} budgets or limits for one {per}: give one number"
            if num_problems == 1
            else f"{len(given)} budgets or limits for {num_problems} layers: give one, or one each"
        )
    return list(given if len(given) == num_problems else given * num_problems)


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
    budget
        The most second-layer edges that a neuron may keep, one number or one per layer; None: any
        number.

    Raises
    ------
    ValueError
        When the norm is unknown, or the ridge or the budget negative.
    """

    norm: float = 2.0
    ridge: float = 0.1
    budget: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"norm {self.norm}: choose 1, 2 or inf")
        if not (math.isfinite(self.ridge) and self.ridge >= 0):
            raise ValueError(f"ridge {self.ridge}: give a number that is not negative")
        if self.budget is not None and min(_as_tuple(self.budget), default=-1) < 0:
            raise ValueError(f"budget {self.budget}: a neuron keeps 0 edges or more")

    def budgets(self, num_layers: int) -> list[int | None]:
        """Return the budget of the neurons of every layer.

        Raises
        ------
        ValueError
            When there is not one number, nor one for every layer.
        """
        return _one_each(_as_tuple(self.budget), num_layers, "layer")


Coupling = EdgeLimit | DataAware
