"""From solved problems back to a network."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from instances.arrays import BoolArray
from milp_lth.reduction import Reduction
from milp_lth.ticket import Ticket, TicketSettings
from solvers.solution import Solution

if TYPE_CHECKING:
    from milp_lth.constructions.layout import Half


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
    masks = [np.zeros(layer.drawn.mask_shape, np.bool_) for layer in reduction.layers]
    of_layers: list[list[tuple[Half, BoolArray]]] = [[] for _ in masks]
    for part, answer in zip(reduction.parts, answers, strict=True):
        mask = answer.mask if isinstance(answer, Solution) else answer
        if mask.shape != part.shape or mask.dtype != np.bool_:
            raise ValueError(f"part {part.name}: give a bool mask of shape {part.shape}")
        part.layer.scatter(part.half, mask, masks[part.layer.drawn.index])
        of_layers[part.layer.drawn.index].append((part.half, mask))
    layers = tuple(
        layer.answered(answered)
        for layer, answered in zip(reduction.layers, of_layers, strict=True)
    )
    settings = replace(ticket_settings(reduction), layers=layers)
    return Ticket(settings, masks, reduction.network.dtype)


def ticket_settings(reduction: Reduction) -> TicketSettings:
    """Return what tickets of a reduction are, apart from their masks."""
    return TicketSettings(
        source=reduction.source,
        assignment=reduction.assignment,
        input_range=reduction.input_range,
        body=reduction.network.body,
        layers=tuple(layer.drawn for layer in reduction.layers),
    )
