"""Tickets of this project as one method among others: a target is trained, then approximated."""

import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from instances.objectives import Closest, Sparsest
from milp_lth.constructions.two_matrices import TwoPrunedMatrices
from milp_lth.coupled import DataAware, EdgeLimit
from milp_lth.finding import find_ticket
from milp_lth.rivals.floor import dense
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import Masked
from milp_lth.rivals.random_network import Shape
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch
from milp_lth.ticket import Ticket

OBJECTIVES = ("closest", "sparsest", "budget", "data-aware")

TOLERANCE = 0.01
"""Of the sparsest ticket, as in the experiment of Pensia et al. 2020."""


def subset_sum_ticket(
    task: Task,
    shape: Shape,
    *,
    objective: str,
    seed: int,
    edges_per_weight: float | None = None,
    scale: float = 1.0,
    target: Found | None = None,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Train a dense network, and approximate it by only pruning a random one.

    The random network is that of the two-layer construction, 24 hidden units for each input.

    Parameters
    ----------
    task, shape, scale, device, on_epoch, checkpoints
        As for `milp_lth.rivals.floor.dense`, which trains the target.
    objective
        "closest"; "sparsest", within `TOLERANCE`; "budget", the least total error within a number
        of second-layer edges; "data-aware", the least error of every layer's outputs on the
        training inputs.
    seed
        Of the target and of the random network.
    edges_per_weight
        "budget": second-layer edges, as a multiple of the target's weights.
    target
        What `dense` found, where that is known already; its training is counted all the same.

    Returns
    -------
    Found
        The ticket; its masks are those of all of its random matrices.

    Raises
    ------
    ValueError
        When the objective is unknown, or an argument is out of range.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"unknown objective {objective!r}: choose one of {', '.join(OBJECTIVES)}")
    if (objective == "budget") != (edges_per_weight is not None):
        raise ValueError("edges_per_weight belongs to the objective budget, and it needs them")
    if target is None:
        target = dense(
            task, shape, seed=seed, scale=scale, device=device, on_epoch=on_epoch,
            checkpoints=checkpoints,
        )  # fmt: skip
    coupling = _objective(objective, edges_per_weight, target.source_dense)
    _compile(objective)
    began = time.perf_counter()
    ticket = find_ticket(
        as_target(target.network),
        seed=seed,
        objective=coupling,
        calibration=task.train.x if objective == "data-aware" else None,
        input_range=task.train.input_range,
    )
    return replace(
        target,
        network=ticket,
        masks=ticket_masks(ticket),
        training="target",
        examples=target.examples + len(task.train.x) * (objective == "data-aware"),
        target_seconds=target.search_seconds,
        search_seconds=time.perf_counter() - began,
    )


def _objective(
    name: str, edges_per_weight: float | None, num_weights: int
) -> Closest | Sparsest | EdgeLimit | DataAware:
    if edges_per_weight is not None:
        return EdgeLimit(round(edges_per_weight * num_weights))
    if name == "data-aware":
        return DataAware()
    return Closest() if name == "closest" else Sparsest(TOLERANCE)


@cache
def _compile(objective: str) -> None:
    """Have everything imported and compiled once that is needed: seconds are those of searching."""
    weight = torch.tensor([[0.25, -0.5, 0.125], [0.5, 0.25, -0.75]])
    find_ticket(
        as_target(nn.Sequential(Masked(weight))),
        objective=_objective(objective, 1.0 if objective == "budget" else None, weight.numel()),
        calibration=torch.eye(3) if objective == "data-aware" else None,
        input_range=(0.0, 1.0),
    )


def as_target(network: nn.Module) -> nn.Sequential:
    """Return a row of masked matrices and ReLUs as one of Linear and ReLUs.

    Raises
    ------
    ValueError
        When there is something else in it.
    """
    steps: list[nn.Module] = []
    for step in network.children():
        if isinstance(step, Masked) and step.weight.dim() == 2:
            outputs, inputs = step.weight.shape
            linear = nn.Linear(inputs, outputs, bias=False, device="meta")  # draws nothing
            linear.weight = nn.Parameter(step.gain * step.weight.detach() * step.mask)
            steps.append(linear)
        elif isinstance(step, nn.ReLU):
            steps.append(nn.ReLU())
        else:
            raise ValueError(f"a {type(step).__name__}: give a fully connected network")
    return nn.Sequential(*steps).eval().requires_grad_(False)


def ticket_masks(ticket: Ticket) -> dict[str, torch.Tensor]:
    """Return the masks of both random matrices of every layer, all of their entries counted."""
    masks: dict[str, torch.Tensor] = {}
    for layer in ticket.layers:
        assert isinstance(layer, TwoPrunedMatrices)
        u_mask = torch.zeros(layer.num_hidden, layer.num_inputs, dtype=torch.bool)
        u_mask[torch.arange(layer.num_hidden), layer.input_of] = layer.u_mask
        masks |= {f"{layer.index}.u": u_mask, f"{layer.index}.v": layer.v_mask.clone()}
    return masks
