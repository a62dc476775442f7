"""Three structures for a fully connected network: how many random weights stand for a target one.

Experiment 2 of Pensia, Rajput, Nagle, Vishwakarma and Papailiopoulos ("Optimal Lottery Tickets via
SubsetSum", NeurIPS 2020) prunes by edge-popup what their proof prunes by SubsetSum: for a target
matrix, V relu(U x) where every input feeds `REDUNDANCY` units of its own; the same without the
inner ReLU; and a plain network that is as large.
"""

import math
from collections.abc import Sequence
from itertools import count, pairwise
from typing import NamedTuple

REDUNDANCY = 5
"""Random weights for each target weight, as in the paper's experiment."""

STRUCTURES = ("plain", "wide", "redundant-relu", "redundant-linear")


class Matrix(NamedTuple):
    """One random matrix, as `milp_lth.rivals.masked.Masked` takes it."""

    shape: tuple[int, ...]
    """(outputs, inputs), or (units,) where every input feeds units of its own."""
    relu: bool
    """Whether a ReLU follows."""


def matrices(sizes: Sequence[int], structure: str) -> list[Matrix]:
    """Return the matrices of a fully connected network, from its inputs on.

    Parameters
    ----------
    sizes
        Numbers of inputs, hidden units of each layer, and outputs.
    structure
        "plain": just that. "redundant-relu": every matrix of shape (outputs, inputs) becomes two,
        of shapes (units,) and (outputs, units), with 5 · inputs units and a ReLU between them.
        "redundant-linear": the same, and no ReLU there. "wide": a plain network whose hidden layers
        are wider in the same proportion, just wide enough to have no fewer weights than these.

    Raises
    ------
    ValueError
        When the structure is unknown.

    Examples
    --------
    >>> [matrix.shape for matrix in matrices((64, 20, 10), "redundant-relu")]
    [(320,), (20, 320), (100,), (10, 100)]
    >>> [matrix.shape for matrix in matrices((64, 20, 10), "wide")]
    [(106, 64), (10, 106)]
    """
    if structure not in STRUCTURES:
        raise ValueError(f"unknown structure {structure!r}: choose one of {', '.join(STRUCTURES)}")
    if structure == "wide":
        sizes = _widened(sizes, num_weights(matrices(sizes, "redundant-relu")))
    found = []
    for inputs, outputs in pairwise(sizes):
        if structure.startswith("redundant"):
            found.append(Matrix((REDUNDANCY * inputs,), relu=structure == "redundant-relu"))
            inputs *= REDUNDANCY
        found.append(Matrix((outputs, inputs), relu=True))
    return [*found[:-1], found[-1]._replace(relu=False)]


def num_weights(network: Sequence[Matrix]) -> int:
    """Return how many weights all matrices have."""
    return sum(math.prod(matrix.shape) for matrix in network)


def _widened(sizes: Sequence[int], wanted: int) -> tuple[int, ...]:
    """Return the narrowest layers, in proportion, with at least `wanted` weights."""
    inputs, *hidden, outputs = sizes
    for first in count(hidden[0]):
        wide = (inputs, *(round(size * first / hidden[0]) for size in hidden), outputs)
        if num_weights(matrices(wide, "plain")) >= wanted:
            return wide
    raise AssertionError  # `count` never ends
