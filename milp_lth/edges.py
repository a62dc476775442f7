"""Counting the edges of a ticket, block of outputs by block of outputs."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from milp_lth.constructions.layout import PrunedLayer
    from milp_lth.ticket import TicketSettings


class Blocks(Protocol):
    """A ticket whose layers can be looked at some outputs at a time."""

    settings: "TicketSettings"

    def blocks(self, index: int, *, weights: bool = True) -> "Iterator[tuple[int, PrunedLayer]]":
        """Yield a layer in pieces: the first output of each, and the layer of its outputs alone.

        Without `weights` the pieces have masks alone: they can be counted, not run.
        """
        ...


class MatrixCount(NamedTuple):
    """The edges of one matrix of a layer that the block structure leaves, and the kept ones."""

    layer: int
    matrix: str
    edges: int
    kept: int


def count_matrices(ticket: Blocks) -> list[MatrixCount]:
    """Count the edges of every matrix; those of U, one for each unit, are kept by any output."""
    found: list[MatrixCount] = []
    for k, drawn in enumerate(ticket.settings.layers):
        units, kept = _kept(ticket, k)
        if len(units):
            found.append(MatrixCount(k, "U", len(units), int(units.sum())))
        num_outputs, num_edges = drawn.mask_shape
        name = "V" if len(units) else "edges"
        found.append(MatrixCount(k, name, num_outputs * num_edges, kept))
    return found


def count_edges(ticket: Blocks) -> dict[str, int | float]:
    """Count edges as `milp_lth.ticket.Ticket.edges` says."""
    layers = ticket.settings.layers
    in_a_row = bool(ticket.settings.body.steps)  # else edges count within their layer
    inputs = _reached(ticket)
    counts = dict.fromkeys(("source_dense", "source_block", "kept_u", "kept_v", "alive"), 0)
    needed = torch.ones(layers[-1].num_outputs, dtype=torch.bool, device=inputs[0].device)
    for k in reversed(range(len(layers))):
        drawn = layers[k]
        dense, left = drawn.num_edges()
        units = alive = torch.zeros(0, dtype=torch.bool)
        leads = torch.zeros_like(inputs[k])
        for first, block in ticket.blocks(k, weights=False):
            outputs = needed[first : first + len(block.v_mask)]
            leads |= (block.connected() & outputs[:, None]).any(dim=0)
            used, kept_v = block.kept()
            lively, num_alive = block.alive(inputs[k], outputs)
            units, alive = _either(units, used), _either(alive, lively)
            counts["kept_v"] += kept_v
            counts["alive"] += num_alive
        counts["source_dense"] += dense
        counts["source_block"] += left
        counts["kept_u"] += int(units.sum())
        counts["alive"] += int(alive.sum())
        if in_a_row and k:
            needed = leads[: drawn.fan_in]
        elif k:
            needed = torch.ones(layers[k - 1].num_outputs, dtype=torch.bool, device=leads.device)
    num_weights = sum(drawn.num_weights for drawn in layers)
    return counts | {"per_weight": (counts["kept_u"] + counts["kept_v"]) / num_weights}


def _reached(ticket: Blocks) -> list[torch.Tensor]:
    """Return per layer the inputs that the ticket's inputs reach; a bias' constant always is."""
    in_a_row = bool(ticket.settings.body.steps)
    found: list[torch.Tensor] = []
    for k, drawn in enumerate(ticket.settings.layers):
        if found and in_a_row:
            parts = [
                (block.connected() & found[-1]).any(dim=1)
                for _, block in ticket.blocks(k - 1, weights=False)
            ]
            found.append(torch.cat([*parts, parts[0].new_ones(drawn.num_constants)]))
        else:
            _, block = next(ticket.blocks(k, weights=False))
            num_inputs = drawn.fan_in + drawn.num_constants
            found.append(torch.ones(num_inputs, dtype=torch.bool, device=block.v_mask.device))
    return found


def _kept(ticket: Blocks, index: int) -> tuple[torch.Tensor, int]:
    """Return which units of U any output keeps, and how many entries of V are kept."""
    units, count = torch.zeros(0, dtype=torch.bool), 0
    for _, block in ticket.blocks(index, weights=False):
        used, kept = block.kept()
        units, count = _either(units, used), count + kept
    return units, count


def _either(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return one.to(other.device) | other if len(one) else other
