"""From solved problems back to a network."""

from collections.abc import Sequence

import numpy as np
import torch

from instances.arrays import BoolArray
from milp_lth.constructions.two_layer import TwoLayer
from milp_lth.reduction import Reduction
from milp_lth.ticket import Ticket, TicketLayer, TicketSettings, to_tensor
from solvers.solution import Solution


def assemble(reduction: Reduction, answers: Sequence[Solution | BoolArray]) -> Ticket:
    """Put the masks back into the random network.

    Parameters
    ----------
    reduction
        What `milp_lth.reduce` returned.
    answers
        For each of its parts, in order, a `Solution` or a mask of shape (rows, n).

    Returns
    -------
    Ticket
        A frozen module with the target's forward signature; weights are those drawn, unchanged.

    Raises
    ------
    ValueError
        When the answers are not as many as the parts, or a mask has another shape.
    """
    if len(answers) != len(reduction.parts):
        raise ValueError(f"{len(answers)} answers for {len(reduction.parts)} parts")
    masks = {id(layer): _empty_mask(layer) for layer in reduction.layers}
    for part, answer in zip(reduction.parts, answers, strict=True):
        mask = answer.mask if isinstance(answer, Solution) else answer
        expected = (len(part), part.half.units.shape[1])
        if mask.shape != expected or mask.dtype != np.bool_:
            raise ValueError(f"part {part.name}: give a bool mask of shape {expected}")
        part.layer.scatter(part.half, mask, masks[id(part.layer)])
    layers = [
        ticket_layer(layer, masks[id(layer)], reduction.network.dtype)
        for layer in reduction.layers
    ]
    settings = TicketSettings(
        reduction.source, reduction.assignment, reduction.input_range, reduction.network.steps
    )
    return Ticket(settings, layers)


def ticket_layer(layer: TwoLayer, v_mask: BoolArray, dtype: torch.dtype) -> TicketLayer:
    """Return one layer of the random network under the mask of V, shape (outputs, units)."""
    return TicketLayer(
        u=to_tensor(layer.u(), dtype),
        input_of=to_tensor(layer.input_of, torch.int64),
        v=to_tensor(layer.v(), dtype),
        v_mask=to_tensor(v_mask, torch.bool),
        num_inputs=layer.num_inputs,
        has_bias=layer.has_bias,
        nonnegative=layer.nonnegative,
    )


def _empty_mask(layer: TwoLayer) -> BoolArray:
    return np.zeros((layer.num_outputs, layer.num_units), np.bool_)
