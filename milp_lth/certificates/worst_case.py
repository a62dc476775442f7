"""The input on which a ticket is furthest from its target, and a proof that none is worse."""

import time
from typing import NamedTuple

import numpy as np
from torch import nn

from instances.arrays import FloatArray
from milp_lth.certificates.affine import Pair, read_pair
from milp_lth.certificates.ascent import ascend
from milp_lth.certificates.branching import OnNode, maximise
from milp_lth.certificates.exactly import outputs_at, rounded_down
from milp_lth.certificates.propagation import both_ways
from milp_lth.certificates.relaxation import Box, relax
from milp_lth.ticket import Ticket

REL_GAP = 1e-6
"""How far apart `lower` and `upper` may be, relatively, where the worst case is called exact."""


class WorstCase(NamedTuple):
    """``max_x ‖f(x) − g(x)‖_∞`` over a box lies between `lower` and `upper`.

    Attributes
    ----------
    lower
        The difference at `input` and `output`, exact but for rounding downwards once.
    upper
        Proved: every rounding is counted, and no solver's tolerance matters.
    input
        Where that is, shape (num_inputs,), float64.
    output
        The number of that output.
    seconds
        What it took.
    exact
        Whether ``upper − lower`` is at most ``rel_gap upper``.
    num_nodes
        Linear programs solved.
    rel_gap
        What was asked for.
    per_output
        A proved upper bound for each output, shape (num_outputs,).
    """

    lower: float
    upper: float
    input: FloatArray
    output: int
    seconds: float
    exact: bool
    num_nodes: int
    rel_gap: float
    per_output: FloatArray


def worst_case(
    target: nn.Module,
    ticket: Ticket,
    *,
    box: Box | None = None,
    time_limit: float = 60.0,
    rel_gap: float = REL_GAP,
    seed: int = 0,
    on_node: OnNode | None = None,
) -> WorstCase:
    """Find the input of a box on which the outputs are furthest apart, and prove that it is.

    The mixed-integer program is that of Tjeng, Xiao and Tedrake, "Evaluating Robustness of Neural
    Networks with Mixed Integer Programming", ICLR 2019, for two networks that see the same input.
    Differences are some 1e-5, below what a MIP solver may miss its rows by, so it is solved by a
    branch and bound of its own, whose bounds are recomputed: `milp_lth.certificates.branching`.

    Parameters
    ----------
    target
        Linear, ReLU, Flatten and Dropout in a row.
    ticket
        What was found for it.
    box
        The lowest and the highest value of every input, each of shape (num_inputs,); None: the
        ticket's whole input range.
    time_limit
        Seconds; the bounds known by then are returned.
    rel_gap
        The search ends once the bounds differ by no more than this share of the upper one.
    seed
        Of the inputs where the search begins.
    on_node
        Told of the progress: nodes done, lower and upper bound.

    Returns
    -------
    WorstCase
        The bounds, and the input that attains the lower one.

    Raises
    ------
    ValueError
        When the networks are of another kind, do not belong together, or the box is none.
    """
    began = time.perf_counter()
    pair = read_pair(target, ticket)
    relaxation = relax(pair, pair.box() if box is None else box)
    on_target, on_error = both_ways(pair.num_outputs)
    start = ascend(pair, relaxation.box, on_target, on_error, seed=seed).inputs
    optimum = maximise(
        relaxation,
        on_target,
        on_error,
        start,
        enough=lambda lower, upper: pair.is_equal or upper - lower <= rel_gap * upper,
        time_limit=time_limit - (time.perf_counter() - began),
        on_node=on_node,
    )
    lower, output = distance_at(pair, optimum.x)
    per_output = np.maximum(optimum.per_function.reshape(2, -1).max(axis=0), 0.0)
    if pair.is_equal:  # what is left are charges for rounding
        per_output[:] = 0.0
    upper = float(per_output.max())
    return WorstCase(
        lower=lower,
        upper=upper,
        input=optimum.x,
        output=output,
        seconds=time.perf_counter() - began,
        exact=upper - lower <= rel_gap * upper,
        num_nodes=optimum.num_nodes,
        rel_gap=rel_gap,
        per_output=per_output,
    )


def distance_at(pair: Pair, x: FloatArray) -> tuple[float, int]:
    """Return how far apart the outputs are at one input, and at which output.

    The distance is computed without rounding, and rounded downwards at last.
    """
    apart = [abs(a - b) for a, b in zip(*outputs_at(pair, x), strict=True)]
    output = max(range(len(apart)), key=lambda k: apart[k])
    return rounded_down(apart[output]), output
