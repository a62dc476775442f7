"""Early-bird tickets of a transformer: gates that are trained for a short while say what to prune.

Chen, Cheng, Wang, Gan, Wang and Liu, "EarlyBERT: Efficient BERT Training via Early-bird Lottery
Tickets", ACL 2021, arXiv 2101.00063. Search: every head and neuron has a gate, which is trained
with the weights and pulled to 0. Draw: early on, those with small gates are pruned. Train: what is
left, a network of smaller matrices, is trained from where the search began, without gates.

Beside the paper's rule, quantiles of the gates, a knapsack keeps the largest sum of gates that a
number of operations allows, and it is proved that no choice has a larger one.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from instances.philox import Stream, uniform
from instances.valued_knapsack import ValuedKnapsack
from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.edge_popup import top_mask
from milp_lth.rivals.found import Found
from milp_lth.rivals.rewinding import later
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch, Schedule, Trained, train
from milp_lth.rivals.transformer import (
    Transformer,
    TransformerShape,
    Units,
    fixed_flops,
    flops,
    head_flops,
    masks_by_name,
    neuron_flops,
    rows_shape,
    shrunk,
)
from solvers.exact.knapsack_table import KnapsackTable
from solvers.solve import solve

TRANSFORMER_SCHEDULE = Schedule(num_epochs=40, learning_rate=0.1, weight_decay=1e-4)
"""Of the dense network, the search and the ticket alike; not the paper's, which fine-tunes BERT."""

RULES = ("quantile", "knapsack", "knapsack-weighted", "random")

HEADS_PRUNED, NEURONS_PRUNED = 1 / 3, 0.4
"""The paper's shares: of the heads of every block, and of the neurons of all blocks together."""

GAP = 1e-8
"""How far what a knapsack keeps may be from the best, as a share of the sum of all ``|gates|``: it
is for solvers in floating point, which lower what they prove, and part of their claim."""

_HEADS, _NEURONS = 23, 24  # matrices of streams that nothing else draws


def dense_transformer(
    task: Task,
    *,
    seed: int,
    shape: TransformerShape | None = None,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Train a transformer and prune nothing; arguments as for `early_bird`."""
    network = Transformer(shape or rows_shape(task), seed)
    trained = train(
        network, task, TRANSFORMER_SCHEDULE, seed=seed, scale=scale, device=device,
        on_epoch=on_epoch, checkpoint=checkpoint_in(checkpoints, "dense"),
    )  # fmt: skip
    everything = Units(*(tuple(gate > 0 for gate in part) for part in network.gates()))
    found = trained.found(network, "weights", {"flops": flops(network)})
    return replace(found, masks=masks_by_name(network, *everything))


def early_bird(
    task: Task,
    *,
    seed: int,
    shape: TransformerShape | None = None,
    rule: str = "quantile",
    draw: float = 0.2,
    penalty: float = 1e-4,
    solver: str | None = None,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Search gates, draw a ticket early, and train the smaller network from the first weights.

    Parameters
    ----------
    task
        Its training part is searched and trained with.
    seed
        Of the first weights, the order of examples, and of what is pruned at random.
    shape
        The architecture; None: that of `milp_lth.rivals.transformer.rows_shape`.
    rule
        "quantile": see `quantile_draw`. "knapsack": see `knapsack_draw`, with the operations that
        the quantiles leave as its budget; "knapsack-weighted": the same, gates weighted. "random":
        as many heads and neurons of every block as the quantiles keep, any of them.
    draw
        After which share of its epochs the search is stopped and the ticket drawn; the learning
        rate falls as if it went on. The paper's is a fifth of the search, too.
    penalty
        λ of what is added to the loss: λ · (Σ ``|gates of heads|`` + Σ ``|gates of neurons|``).
    solver
        Of the knapsack: the name of an exact one; None: `solvers.exact.knapsack_table`.
    scale
        Epochs, as a share of those of `TRANSFORMER_SCHEDULE`, of the search and of the training.
    device, on_epoch
        As for `milp_lth.rivals.training.train`.
    checkpoints
        A folder for the state of both trainings: what was interrupted goes on from it. Runs that
        differ in nothing but their rule may share one, and then also share the search.

    Returns
    -------
    Found
        The small network, trained. Its masks are those of the matrices of the whole one. In
        ``extra``: ``flops`` of the small network for one input, ``flops_share`` of the whole
        one's; ``training_share``, what search and training took of what the dense training takes,
        in examples times operations; ``gate_mass``, the sum of the gates that were kept.

    Raises
    ------
    ValueError
        When the rule is unknown, a number is out of range, or an input is no square image and no
        shape is given.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}: choose one of {', '.join(RULES)}")
    if not 0 < draw <= 1:
        raise ValueError(f"draw {draw}: give a share of the search's epochs, above 0 and up to 1")
    if not 0 <= penalty < math.inf:
        raise ValueError(f"penalty {penalty}: give a finite number, 0 or more")
    shape = shape or rows_shape(task)
    num_epochs = TRANSFORMER_SCHEDULE.scaled(scale)
    num_searched = max(1, round(draw * num_epochs))
    searched = Transformer(shape, seed)
    search = _searched(
        searched, task, penalty, seed=seed, scale=scale, device=device,
        on_epoch=later(on_epoch, 0, num_searched + num_epochs), epochs=range(num_searched),
        checkpoint=checkpoint_in(checkpoints, f"search-{penalty:g}"),
    )  # fmt: skip
    gates = _copied(searched.gates())
    whole = Transformer(shape, seed)
    kept = quantile_draw(gates)
    if rule.startswith("knapsack"):
        budget, weighted = flops(shrunk(whole, *kept)), rule == "knapsack-weighted"
        kept = knapsack_draw(gates, shape, budget, weighted=weighted, solver=solver)
    elif rule == "random":
        kept = random_draw(kept, seed)
    network = shrunk(whole, *kept)
    trained = train(
        network, task, TRANSFORMER_SCHEDULE, seed=seed, scale=scale, device=device,
        on_epoch=later(on_epoch, num_searched, num_searched + num_epochs),
        checkpoint=checkpoint_in(checkpoints, rule),
    )  # fmt: skip
    share = flops(network) / flops(whole)
    extra = {
        "flops": flops(network),
        "flops_share": share,
        "training_share": num_searched / num_epochs + share,
        "gate_mass": gate_mass(gates, kept),
    }
    curve = tuple(p._replace(examples=search.examples + p.examples) for p in trained.curve)
    both = Trained(search.examples + trained.examples, search.seconds + trained.seconds, curve)
    return replace(both.found(network, "weights", extra), masks=masks_by_name(whole, *kept))


def gates_over_time(
    task: Task,
    *,
    seed: int,
    shape: TransformerShape | None = None,
    penalty: float = 1e-4,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> list[Units]:
    """Search to the end and return the gates after every epoch; arguments as for `early_bird`.

    Where draws of successive epochs hardly differ any more, see `mask_distance`, a ticket can be
    drawn.
    """
    network = Transformer(shape or rows_shape(task), seed)
    found: list[Units] = []

    def note(epoch: int, num_epochs: int) -> None:
        found.append(_copied(network.gates()))
        if on_epoch is not None:
            on_epoch(epoch, num_epochs)

    _searched(network, task, penalty, seed=seed, scale=scale, device=device, on_epoch=note)
    return found


def quantile_draw(gates: Units) -> Units:
    """Return the masks that the paper draws: True = kept.

    Of every block, heads are kept whose gates are above the quantile `HEADS_PRUNED` of the block's;
    of all blocks, neurons whose gates are above the quantile `NEURONS_PRUNED` of all. The gates
    count with their signs, as in the authors' code. Quantiles are interpolated.

    Parameters
    ----------
    gates
        As a search leaves them.
    """
    heads, neurons = ([gate.double().numpy() for gate in part] for part in gates)
    threshold = np.quantile(np.concatenate(neurons), NEURONS_PRUNED)
    return Units(
        tuple(torch.from_numpy(gate > np.quantile(gate, HEADS_PRUNED)) for gate in heads),
        tuple(torch.from_numpy(gate > threshold) for gate in neurons),
    )


def knapsack(
    gates: Units, shape: TransformerShape, budget: int, *, weighted: bool = False
) -> ValuedKnapsack:
    """State the largest sum of gates within a number of operations as a knapsack.

    A head takes many times the operations of a neuron, and its gate is hardly larger: where a
    budget is tight, neurons are kept and heads are not. Weighted, every gate counts as many times
    as what it belongs to takes operations, and large gates are kept of either.

    Parameters
    ----------
    gates
        As a search leaves them; with their signs.
    shape
        What heads and neurons cost: `milp_lth.rivals.transformer.head_flops` and `neuron_flops`.
    budget
        Operations of the whole network for one input.
    weighted
        Whether a gate is multiplied by the operations of what it belongs to.

    Returns
    -------
    ValuedKnapsack
        One row: the heads of all blocks, then their neurons. All weights were divided by their
        greatest common divisor.

    Raises
    ------
    ValueError
        When the budget does not even allow a network without heads and neurons.
    """
    fixed = fixed_flops(shape)
    if budget < fixed:
        raise ValueError(f"budget {budget}: give {fixed} or more, which embedding and output take")
    costs = head_flops(shape), neuron_flops(shape)
    unit = math.gcd(*costs)
    values = [torch.cat(part).double().numpy() for part in gates]
    weights = np.repeat([cost // unit for cost in costs], [len(part) for part in values])
    worth = np.concatenate(values) * (weights if weighted else 1)
    return ValuedKnapsack(worth[None], weights[None], np.array([(budget - fixed) // unit]))


def knapsack_draw(
    gates: Units,
    shape: TransformerShape,
    budget: int,
    *,
    weighted: bool = False,
    solver: str | None = None,
) -> Units:
    """Return the masks that keep the largest sum of gates within a budget: True = kept.

    It is proved that no other choice has a larger sum: exactly, or up to `GAP` where `solver`
    computes in floating point.

    Parameters
    ----------
    gates, shape, budget, weighted
        As for `knapsack`.
    solver
        As for `early_bird`.

    Raises
    ------
    ValueError
        When the budget is too small, or the solver is unknown or proves nothing.
    """
    instance = knapsack(gates, shape, budget, weighted=weighted)
    gap = GAP * float(np.abs(instance.values).sum())
    solution = solve(instance, solver or KnapsackTable(), abs_gap=gap)
    if solution.counts()["OPTIMAL"] != 1:
        raise ValueError(f"solver {solver} proved no optimum: choose an exact one, such as scip")
    sizes = [len(gate) for part in gates for gate in part]
    masks = torch.split(torch.from_numpy(solution.mask[0]), sizes)
    num_blocks = len(gates.heads)
    return Units(masks[:num_blocks], masks[num_blocks:])


def random_draw(like: Units, seed: int) -> Units:
    """Return masks that keep as many heads and neurons of every block, drawn at random."""
    drawn = [
        tuple(_random_mask(mask, Stream(seed, block, matrix)) for block, mask in enumerate(masks))
        for masks, matrix in zip(like, (_HEADS, _NEURONS), strict=True)
    ]
    return Units(*drawn)


def gate_mass(gates: Units, kept: Units) -> float:
    """Return the sum of the gates of what is kept, rounded once."""
    pairs = zip((*gates.heads, *gates.neurons), (*kept.heads, *kept.neurons), strict=True)
    return math.fsum(value for gate, mask in pairs for value in gate[mask].tolist())


def mask_distance(one: Units, other: Units) -> tuple[float, float]:
    """Return the shares of heads and of neurons that one of two draws keeps and the other not."""
    heads, neurons = (
        float((torch.cat(mine) != torch.cat(theirs)).double().mean())
        for mine, theirs in zip(one, other, strict=True)
    )
    return heads, neurons


def _searched(network: Transformer, task: Task, penalty: float, **how: Any) -> Trained:
    """Train a network together with its gates."""
    gates = [gate.requires_grad_(True) for part in network.gates() for gate in part]
    return train(
        network,
        task,
        TRANSFORMER_SCHEDULE,
        penalty=lambda: penalty * torch.cat(gates).abs().sum(),
        **how,
    )


def _copied(gates: Units) -> Units:
    return Units(*(tuple(gate.detach().cpu().clone() for gate in part) for part in gates))


def _random_mask(like: torch.Tensor, stream: Stream) -> torch.Tensor:
    order = torch.from_numpy(uniform(stream, np.arange(len(like))))
    num_kept = int(like.sum())
    return top_mask(order, num_kept) if num_kept else torch.zeros_like(like)
