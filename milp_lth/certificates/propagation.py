"""A proven bound on how far a ticket can be from its target, over all that it was made for."""

from typing import NamedTuple

import numpy as np
from torch import nn

from instances.arrays import FloatArray
from milp_lth.certificates.affine import Pair, read_pair
from milp_lth.certificates.linear_program import Program
from milp_lth.certificates.relaxation import (
    Box,
    Linear,
    Relaxation,
    interval_bound,
    output_rows,
    relax,
)
from milp_lth.certificates.rounding import up
from milp_lth.certificates.weight_errors import LayerErrors, weight_errors
from milp_lth.ticket import Ticket

INTERVALS, PLANES, PROGRAM = "intervals", "planes", "linear program"

_PROGRAM_NEURONS, _PROGRAM_WEIGHTS = 64, 20_000  # larger ones take minutes, and win little


class PropagatedBound(NamedTuple):
    """No input of the domain has outputs further apart than this.

    Attributes
    ----------
    bound
        On ``max_x ‖f(x) − g(x)‖_∞``.
    per_output
        The same for each output, shape (num_outputs,).
    two_norm
        On ``max_x ‖f(x) − g(x)‖₂``.
    layers
        What the weights of every layer are off by.
    method
        Which method gave `bound`: "intervals", "planes" or "linear program".
    domain
        The inputs that it holds for, in words.
    """

    bound: float
    per_output: FloatArray
    two_norm: float
    layers: tuple[LayerErrors, ...]
    method: str
    domain: str


def propagated_bound(
    target: nn.Module, ticket: Ticket, *, box: Box | None = None
) -> PropagatedBound:
    """Bound ``|f(x) − g(x)|`` for all inputs of a box, by what the weights are off by.

    Both networks are meant as functions of real numbers; every rounding of the bound's own
    arithmetic is counted. The best of three methods is taken for each output: intervals, planes
    chosen by rule and, in small networks, planes chosen by linear programs; see
    `milp_lth.certificates.relaxation`.

    Parameters
    ----------
    target
        Linear, ReLU, Flatten and Dropout in a row.
    ticket
        What was found for it.
    box
        The lowest and the highest value of every input, each of shape (num_inputs,); None: the
        ticket's whole input range.

    Returns
    -------
    PropagatedBound
        The bounds, the weight errors that they come from, and how.

    Raises
    ------
    ValueError
        When the networks are of another kind, do not belong together, or the box is none.
    """
    pair = read_pair(target, ticket)
    relaxation = relax(pair, pair.box() if box is None else box)
    bounds, methods = difference_bounds(relaxation)
    both = bounds.reshape(2, -1)
    per_output = both.max(axis=0)
    worst = int(per_output.argmax())
    return PropagatedBound(
        bound=float(per_output[worst]),
        per_output=per_output,
        two_norm=float(up(np.linalg.norm(per_output) * (1 + 1e-12))),
        layers=weight_errors(pair),
        method=methods[worst + len(per_output) * int(both[1, worst] > both[0, worst])],
        domain=domain_in_words(pair, box),
    )


def both_ways(num_outputs: int) -> tuple[FloatArray, FloatArray]:
    """Return what makes g − f, then f − g, of every output: of f, and of the difference."""
    on_error = np.vstack([np.eye(num_outputs), -np.eye(num_outputs)])
    return np.zeros_like(on_error), on_error


def difference_bounds(relaxation: Relaxation) -> tuple[FloatArray, list[str]]:
    """Bound g − f, then f − g, of every output: shape (2 num_outputs,); and say by what."""
    functions = output_rows(relaxation, *both_ways(relaxation.pair.num_outputs))
    found = {PLANES: relaxation.bound(functions)}
    if relaxation.neurons:
        found[INTERVALS] = interval_bound(relaxation, functions)
        num_neurons = sum(len(neurons.a_low) for neurons in relaxation.neurons)
        num_weights = sum(layer.target.size for layer in relaxation.pair.layers)
        if num_neurons <= _PROGRAM_NEURONS and num_weights <= _PROGRAM_WEIGHTS:
            found[PROGRAM] = _program_bounds(relaxation, functions)
    table = np.maximum(np.stack(list(found.values())), 0.0)
    if relaxation.pair.is_equal:  # what is left are charges for rounding
        table[:] = 0.0
    best = table.argmin(axis=0)
    return table.min(axis=0), [list(found)[k] for k in best]


def _program_bounds(relaxation: Relaxation, functions: Linear) -> FloatArray:
    program = Program(relaxation)
    bounds = []
    for k in range(len(functions.constant)):
        function = Linear(*(part[k : k + 1] for part in functions))
        answer = program.solve(relaxation, function)
        planes = None if answer is None else answer.planes
        bounds.append(relaxation.bound(function, planes)[0])
    return np.asarray(np.nan_to_num(bounds, nan=np.inf))


def domain_in_words(pair: Pair, box: Box | None) -> str:
    """Say which inputs a statement is about."""
    if box is None:
        low, high = pair.input_range
        return f"all inputs in [{low:g}, {high:g}]^{pair.num_inputs}"
    low_end, high_end = (np.asarray(end, dtype=np.float64) for end in box)
    widest = float((high_end - low_end).max())
    return f"a box of {pair.num_inputs} inputs, at most {widest:g} wide"
