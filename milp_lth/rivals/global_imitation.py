"""Greedy global imitation: units of one layer are chosen by what the whole network puts out.

Ye, Wu, Zhou and Liu, "Greedy Optimization Provably Wins the Lottery: Logarithmic Number of Winning
Tickets is Enough", NeurIPS 2020, arXiv 2010.15969.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from milp_lth.rivals.hidden_units import Units
from milp_lth.rivals.imitation import ImitationPath, Recorder

_HALVINGS = 8  # of the first step that a line search tries
_AROUND = (0.6, 0.8, 1.25, 1.6)  # times the best of them

Rest = Callable[[torch.Tensor], torch.Tensor]
"""What the layers behind do to pre-activations, shape (T, units)."""


def global_imitation(
    units: Units,
    rest: Rest,
    outputs: torch.Tensor,
    *,
    num_kept: int,
    num_tried: int = 4,
    num_steps: int | None = None,
) -> ImitationPath:
    """Choose units so that the network's outputs are imitated: greedy global imitation.

    Steps are those of `milp_lth.rivals.imitation.imitation`, their discrepancy that of the outputs.
    By its gradient the neurons are ranked: by what D changes at first per unit of the way that the
    pre-activations go. Along the first few a line search tries out γ. Once `num_kept` neurons are
    kept, these alone are stepped to.

    Parameters
    ----------
    units
        Those of the layer.
    rest
        What the layers behind make of its mixture.
    outputs
        Shape (T, outputs): what is to be imitated.
    num_kept
        The most units.
    num_tried
        Units that are tried out in every step.
    num_steps
        The most steps; None: 5 for every unit that may be kept.

    Returns
    -------
    ImitationPath
        Of discrepancies of outputs.
    """
    gram, cross, _ = units.moments()
    diagonal = gram.diagonal()
    num_inputs, n = units.activations.shape

    def discrepancy(points: torch.Tensor) -> float:
        return float(((rest(points) - outputs) ** 2).sum()) / num_inputs

    found = Recorder(n)
    live = (diagonal > 0).nonzero().flatten().tolist() or [0]
    first = min(live, key=lambda i: discrepancy(units.mixed(_one(i, cross))))
    a = _one(first, cross)
    point = units.mixed(a)
    least = discrepancy(point)
    kept = found.take(a, least)
    for _ in range(5 * num_kept if num_steps is None else num_steps):
        slope = units.along(_gradient(rest, point, outputs))
        slope = slope - a @ slope
        moved = gram @ a
        way = (diagonal - 2 * moved + a @ moved).clamp(min=0).sqrt()
        useful = (way > 0) & (a < 1) & ((slope < 0) | (a > 0))
        if kept >= num_kept:
            useful &= a > 0
        rank = torch.where(useful, slope.abs() / way, 0)
        tried = [i for i in rank.topk(min(num_tried, n)).indices.tolist() if rank[i] > 0]
        best = _Step(least, -1, 0.0)
        for i in tried:
            lowest = -float(a[i] / (1 - a[i]))
            farthest = 1.0 if slope[i] < 0 else lowest
            to_unit = units.mixed(_one(i, a)) - point
            best = min(best, _line_search(discrepancy, point, to_unit, i, farthest))
        if best.unit < 0:
            break
        least, i, gamma = best
        dropped = gamma == -float(a[i] / (1 - a[i]))
        a = (1 - gamma) * a
        a[i] = 0 if dropped else a[i] + gamma
        point = units.mixed(a)
        kept = found.take(a, least)
    return found.path()


class _Step(NamedTuple):
    """What a step comes to, which unit it goes to, and how far."""

    discrepancy: float
    unit: int
    gamma: float


def _line_search(
    discrepancy: Callable[[torch.Tensor], float],
    point: torch.Tensor,
    to_unit: torch.Tensor,
    unit: int,
    farthest: float,
) -> _Step:
    """Try halvings of the farthest step, then some steps around the best of them."""

    def tried(gamma: float) -> _Step:
        return _Step(discrepancy(point + gamma * to_unit), unit, gamma)

    best = min(tried(farthest * 0.5**k) for k in range(_HALVINGS))
    around = [best.gamma * factor for factor in _AROUND]
    return min(best, *(tried(gamma) for gamma in around if abs(gamma) <= abs(farthest)))


def _one(i: int, like: torch.Tensor) -> torch.Tensor:
    one = torch.zeros_like(like)
    one[i] = 1
    return one


def _gradient(rest: Rest, point: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        point = point.detach().requires_grad_(True)
        loss = ((rest(point) - outputs) ** 2).sum() / len(outputs)
        return torch.autograd.grad(loss, point)[0]
