"""Greedy neuron selection in a trained network: few units of each layer imitate all of them.

Ye, Wu, Zhou and Liu, "Greedy Optimization Provably Wins the Lottery: Logarithmic Number of Winning
Tickets is Enough", NeurIPS 2020, arXiv 2010.15969. Unit i of a hidden layer of N adds N·v_i·h_i to
the next layer's pre-activations, h_i being its activation and v_i its column of the next matrix;
the layer as it is takes the mean of the N. Few units take its place with coefficients a of sum 1:
their columns become N·a_i·v_i.
"""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from instances.neuron_selection import NeuronSelection
from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.edge_popup import checked_density
from milp_lth.rivals.floor import dense, retrained
from milp_lth.rivals.found import Found
from milp_lth.rivals.global_imitation import Rest, global_imitation
from milp_lth.rivals.hidden_units import Units, hidden_layers, units_of, weight_of
from milp_lth.rivals.imitation import imitation
from milp_lth.rivals.masked import masks_of
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch
from solvers.heuristic.devices import find_device, single_thread
from solvers.solution import Status
from solvers.solve import solve
from solvers.solver import Solver

IMITATIONS = ("local", "global", "best")


def greedy_selection(
    task: Task,
    shape: Shape,
    *,
    density: float,
    seed: int,
    imitation: str = "best",
    corrective: bool = False,
    finetune: bool = False,
    scale: float = 1.0,
    target: Found | None = None,
    num_inputs: int = 5000,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Train a dense network and keep some units of every hidden layer, greedily selected.

    Layers are pruned from the inputs to the outputs. A layer sees the activations of those pruned
    before it, and is to imitate what the trained network does on the same inputs. A unit that is
    not kept loses its row in the matrix before and its column in the one after; the columns of the
    others are multiplied by N·a_i.

    Parameters
    ----------
    task
        Its training part is trained on and imitated on; labels are for training alone.
    shape
        "fc2", "fc3" or "fc4".
    density
        Share of the units of every hidden layer to keep: round(density · units), at least one. A
        selection that does better with fewer keeps fewer. The share of edges is smaller: those
        between two hidden layers go at both ends.
    seed
        Of the network and its training; the selection draws nothing.
    imitation
        "local": of the next layer's pre-activations. "global": of the network's outputs; for the
        last hidden layer the two are one. "best": both, and of every layer the one that is closer
        in the outputs.
    corrective
        Whether local imitation solves all coefficients anew in every step, see
        `milp_lth.rivals.imitation.imitation`.
    finetune
        Train what is kept for as many epochs again, at a tenth of the learning rate.
    scale
        Epochs, as a share of those of `milp_lth.rivals.floor.DENSE_SCHEDULE`.
    target
        What `milp_lth.rivals.floor.dense` found, where that is known already; its training is
        counted all the same.
    num_inputs
        The most training inputs to imitate on: the first ones.
    device, on_epoch
        As for `milp_lth.rivals.training.train`.
    checkpoints
        A folder for the states of the trainings.

    Returns
    -------
    Found
        The network under its mask. Extra: "discrepancy", the mean squared distance of its outputs
        from those of the trained network, relative to the mean square of these, before it is
        finetuned; "global_layers", how many layers were imitated globally.

    Raises
    ------
    ValueError
        When the density, the scale or the imitation is out of range, or the shape has other layers.
    """
    checked_density(density)
    if imitation not in IMITATIONS:
        raise ValueError(f"imitation {imitation!r}: choose one of {', '.join(IMITATIONS)}")
    if target is None:
        hidden_layers(random_network(shape, seed))  # refuses before anything is trained
        target = dense(
            task, shape, seed=seed, scale=scale, device=device, on_epoch=on_epoch,
            checkpoints=checkpoints,
        )  # fmt: skip
    began = time.perf_counter()
    network = copy.deepcopy(target.network)
    inputs = task.train.x[:num_inputs]
    with single_thread(), torch.no_grad():
        extra = _prune(network, inputs, density, imitation, corrective, find_device(device))
    seconds = time.perf_counter() - began
    found = replace(
        target,
        network=network,
        masks=masks_of(network),
        target_seconds=target.search_seconds,
        search_seconds=seconds,
        extra=extra,
    )
    if not finetune:
        return found
    return retrained(
        found, task, seed=seed, scale=scale, device=device, on_epoch=on_epoch,
        checkpoint=checkpoint_in(checkpoints, "finetuning"),
    )  # fmt: skip


def _prune(
    network: nn.Module,
    inputs: torch.Tensor,
    density: float,
    how: str,
    corrective: bool,
    place: torch.device,
) -> dict[str, float]:
    """Prune the hidden layers of a network in place, and tell how far its outputs moved."""
    pairs = hidden_layers(network.to(place))
    x = inputs.to(place).double()
    outgoing = [weight_of(after) for _, after in pairs]
    wanted = []  # pre-activations of the network as it was
    h = torch.relu(x @ weight_of(pairs[0][0]).T)
    for v in outgoing:
        wanted.append(h @ v.T)
        h = torch.relu(wanted[-1])
    outputs, num_global = wanted[-1], 0
    h = torch.relu(x @ weight_of(pairs[0][0]).T)
    for layer, (before, after) in enumerate(pairs):
        units = Units(h, outgoing[layer], wanted[layer])
        rest = _rest(outgoing[layer + 1 :])
        num_kept = max(1, round(density * h.shape[1]))
        last = layer == len(pairs) - 1
        chosen = []
        if how != "global" or last:
            path = imitation(*units.moments(), num_kept=num_kept, corrective=corrective)
            chosen.append(path)
        if how != "local" and not last:
            chosen.append(global_imitation(units, rest, outputs, num_kept=num_kept))
        mixes = [torch.as_tensor(p.at_most(num_kept)[1], device=place) for p in chosen]
        offs = [float(((rest(units.mixed(a)) - outputs) ** 2).sum()) for a in mixes]
        best = min(range(len(mixes)), key=offs.__getitem__)
        num_global += not last and (how == "global" or best == 1)
        a = mixes[best]
        before.mask[a == 0] = False
        after.mask[:, a == 0] = False
        after.weight[:, a > 0] *= (len(a) * a[a > 0]).to(after.weight.dtype)
        h = torch.relu(units.mixed(a))
    network.cpu()
    return {
        "discrepancy": offs[best] / float((outputs**2).sum()),
        "global_layers": float(num_global),
    }


def _rest(matrices: list[torch.Tensor]) -> Rest:
    def rest(points: torch.Tensor) -> torch.Tensor:
        for matrix in matrices:
            points = torch.relu(points) @ matrix.T
        return points

    return rest


def selection_problem(
    network: nn.Module, inputs: torch.Tensor, *, size: int, layer: int = 0
) -> NeuronSelection:
    """State which units of a hidden layer to keep, as a problem that solvers take.

    Its objective is the root of the discrepancy D that local imitation makes small. The N columns
    of contributions, one number for every input and unit of the next layer, are replaced by the
    triangle of their QR factorisation, N numbers each: all distances stay what they are.

    Parameters
    ----------
    network
        Of matrices with a ReLU between any two.
    inputs
        Shape (T, features): all there are, or as many as are to be imitated on.
    size
        The most units to keep.
    layer
        The hidden layer, from 0.

    Returns
    -------
    NeuronSelection
        One layer, one candidate per unit.

    Raises
    ------
    ValueError
        When the size is below 1, there is no such layer, or the network is of another kind.
    """
    units = units_of(network, layer, inputs)
    return NeuronSelection(units.triangle()[None], size)


class Gap(NamedTuple):
    """Greedy selections of one size, and what is proved. D is a mean over inputs, not its root.

    Attributes
    ----------
    size
        The most units to keep.
    greedy
        D by `milp_lth.rivals.imitation.imitation`.
    corrective
        The same with all coefficients solved anew in every step.
    support
        The least D with the units that greedy keeps: what its own coefficients lose.
    optimum
        The least D that a solver found.
    bound
        No selection of that size has less.
    status
        What is proved of the optimum.
    seconds
        Of the solver.
    """

    size: int
    greedy: float
    corrective: float
    support: float
    optimum: float
    bound: float
    status: Status
    seconds: float


def optimality_gap(
    network: nn.Module,
    inputs: torch.Tensor,
    sizes: Sequence[int],
    *,
    layer: int = 0,
    solver: Solver | str = "selection",
    time_limit: float = math.inf,
) -> list[Gap]:
    """Hold greedy imitation of a layer against the proven optimum.

    Parameters
    ----------
    network, inputs, layer
        As for `selection_problem`; some thirty units at most can be proved.
    sizes
        Units to keep.
    solver, time_limit
        As for `solvers.solve.solve`, for each size.

    Returns
    -------
    list of Gap
        One for every size.

    Raises
    ------
    ValueError
        As for `selection_problem` and `solve`.
    """
    gram, cross, constant = units_of(network, layer, inputs).moments()
    gaps = []
    for size in sizes:
        problem = selection_problem(network, inputs, size=size, layer=layer)
        simple = imitation(gram, cross, constant, num_kept=size).at_most(size)
        full = imitation(gram, cross, constant, num_kept=size, corrective=True).at_most(size)
        support, _ = problem.evaluate(simple[1][None] > 0)
        found = solve(problem, solver, time_limit=time_limit)
        gaps.append(
            Gap(
                size,
                simple[0],
                full[0],
                float(support[0]) ** 2,
                float(found.objective[0]) ** 2,
                float(found.bound[0]) ** 2,
                Status(found.status[0]),
                found.seconds,
            )
        )
    return gaps
