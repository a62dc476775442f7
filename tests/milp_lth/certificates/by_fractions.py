"""Small networks, and what they and their tickets are in fractions, edge by edge."""

from fractions import Fraction
from itertools import pairwise

import torch
from torch import nn

from instances.arrays import FloatArray
from milp_lth.ticket import Ticket

Outputs = tuple[list[Fraction], list[Fraction]]


def network(*sizes: int, bias: bool = True, seed: int = 0) -> nn.Sequential:
    """Return random Linears with ReLUs between."""
    torch.manual_seed(seed)
    modules: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        modules += [nn.Linear(fan_in, fan_out, bias=bias), nn.ReLU()]
    return nn.Sequential(*modules[:-1]).requires_grad_(False)


def summed(ticket: Ticket, index: int, sign: int) -> list[list[Fraction]]:
    """Add the products of one layer of a two-layer ticket for one sign of its inputs."""
    layer = ticket.layers[index]
    u, v, kept, input_of = (
        getattr(layer, name).tolist() for name in ("u", "v", "v_mask", "input_of")
    )
    sums = [[Fraction(0)] * layer.num_inputs for _ in v]
    for j, row in enumerate(v):
        for h, i in enumerate(input_of):
            if kept[j][h] and u[h] * sign > 0:
                sums[j][i] += Fraction(row[h]) * Fraction(u[h])
    return sums


def outputs(module: nn.Module, ticket: Ticket, x: FloatArray) -> Outputs:
    """Evaluate Linears with ReLUs between, and a two-layer ticket of them, at one input."""
    own = theirs = [Fraction(v) for v in x.tolist()]
    linears = [part for part in module.modules() if isinstance(part, nn.Linear)]
    for index, linear in enumerate(linears):
        if index:
            own, theirs = ([max(v, Fraction(0)) for v in values] for values in (own, theirs))
        bias = [0.0] * len(linear.weight) if linear.bias is None else linear.bias.tolist()
        own = [
            Fraction(b) + sum(Fraction(w) * v for w, v in zip(row, own, strict=True))
            for row, b in zip(linear.weight.tolist(), bias, strict=True)
        ]
        one = [Fraction(1)] if ticket.layers[index].has_bias else []
        entered = theirs + one
        above = summed(ticket, index, 1)
        below = summed(ticket, index, -1) if ticket.layers[index].has_halves else above
        theirs = [
            sum((w if v > 0 else n) * v for w, n, v in zip(up, down, entered, strict=True))
            + Fraction(0)
            for up, down in zip(above, below, strict=True)
        ]
    return own, theirs


def class_of(values: list[Fraction]) -> int | None:
    """Return the place of the one largest output; of one alone, whether it is above 0."""
    if len(values) == 1:
        return int(values[0] > 0)
    largest = max(values)
    return values.index(largest) if values.count(largest) == 1 else None
