"""What is proved about a construction."""

from typing import NamedTuple


class Theorem(NamedTuple):
    """What is proved about a construction, in words and with the paper's symbols.

    d and l are the target's width and depth, ε the error that is asked for, δ the probability of
    failing; C is a constant that no paper gives.

    Attributes
    ----------
    paper
        Where it is proved.
    assumes
        Of the target, its inputs and the random weights.
    width
        Of the random network, in units.
    depth
        In matrices.
    promises
        What follows.
    """

    paper: str
    assumes: str
    width: str
    depth: str
    promises: str
