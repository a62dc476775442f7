"""How far the hidden states of a GRU's or LSTM's ticket can be from the target's, step by step.

The bound follows the target along its own sequence and knows of the ticket only the errors of its
weights: E⁺ and E⁻ for inputs above and below 0, e for the biases. With d the bound of the step
before, unit by unit, a gate's argument is off by at most

    |E| · |x| + e  from the input  and  |W| · d + max(|E⁺|, |E⁻|) · (|h| + d) + e  from the state,

and its value by that times the steepest slope that the sigmoid or tanh has so near the target's
argument. The rest is the product rule.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from milp_lth.constructions.layout import PrunedLayer


class Errors(NamedTuple):
    """A layer's target weights and the absolute errors of the ticket's, shape (outputs, inputs)."""

    weight: torch.Tensor
    bias: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    of_bias: torch.Tensor

    @classmethod
    def of(cls, layer: PrunedLayer, weight: torch.Tensor, bias: torch.Tensor) -> "Errors":
        """Compare a layer of a ticket with what it stands for."""
        weight, bias = weight.detach().double(), bias.detach().double()
        positive = layer.half_weights(1)
        negative = layer.half_weights(-1) if layer.has_halves else positive
        return cls(
            weight, bias, (positive[:, :-1] - weight).abs(), (negative[:, :-1] - weight).abs(),
            (positive[:, -1] - bias).abs(),
        )  # fmt: skip

    def from_input(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the layer makes of inputs that both have, and how far off the ticket is."""
        away = torch.relu(x) @ self.positive.T + torch.relu(-x) @ self.negative.T + self.of_bias
        return x @ self.weight.T + self.bias, away

    def from_state(self, h: torch.Tensor, d: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same of states that are up to `d` apart."""
        worse = torch.maximum(self.positive, self.negative)
        away = d @ self.weight.abs().T + (h.abs() + d) @ worse.T + self.of_bias
        return h @ self.weight.T + self.bias, away


def sigmoid(x: torch.Tensor, d: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return σ(x), and how far it is at most from σ of what is up to `d` away."""
    steepest = torch.sigmoid(torch.relu(x.abs() - d))
    return torch.sigmoid(x), (d * steepest * (1 - steepest)).clamp(max=1)


def tanh(x: torch.Tensor, d: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tanh(x), and how far it is at most from that of what is up to `d` away."""
    return torch.tanh(x), (d * (1 - torch.tanh(torch.relu(x.abs() - d)) ** 2)).clamp(max=2)


Pair = tuple[torch.Tensor, torch.Tensor]
"""A number of the target's, and how far the ticket's may be from it."""


def times(one: Pair, two: Pair) -> Pair:
    """Multiply: |âb̂ − ab| ≤ |a| |b̂ − b| + |b| |â − a| + |â − a| |b̂ − b|."""
    (a, d), (b, e) = one, two
    return a * b, a.abs() * e + b.abs() * d + d * e


def plus(one: Pair, two: Pair) -> Pair:
    """Add."""
    return one[0] + two[0], one[1] + two[1]


def gru_step(given: tuple[Pair, ...], recalled: tuple[Pair, ...], state: Pair) -> Pair:
    """Return the next state."""
    reset, update = (sigmoid(*plus(given[k], recalled[k])) for k in (0, 1))
    new, new_off = tanh(*plus(given[2], times(reset, recalled[2])))
    (z, z_off), (h, d) = update, state
    # ĥ' − h' = (1 − ẑ)(n̂ − n) + ẑ(ĥ − h) + (ẑ − z)(h − n)
    least, most = (z - z_off).clamp(min=0), (z + z_off).clamp(max=1)
    return new + z * (h - new), (1 - least) * new_off + most * d + z_off * (h - new).abs()


def lstm_step(given: tuple[Pair, ...], recalled: tuple[Pair, ...], cell: Pair) -> tuple[Pair, Pair]:
    """Return the next state and cell."""
    arguments = [plus(one, two) for one, two in zip(given, recalled, strict=True)]
    write, keep, show = (sigmoid(*arguments[k]) for k in (0, 1, 3))
    cell = plus(times(keep, cell), times(write, tanh(*arguments[2])))
    return times(show, tanh(*cell)), cell


def bound(
    module: nn.GRU | nn.LSTM, layers: tuple[PrunedLayer, PrunedLayer], x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Follow one layer of a recurrent network.

    Parameters
    ----------
    module
        The target, of one layer and one direction, with biases.
    layers
        Those of its ticket: of the input and of the state.
    x
        Sequences, shape (batch, steps, features).

    Returns
    -------
    tuple of Tensor
        The target's states and how far the ticket's may be from them, (batch, steps, size) each.
    """
    given = Errors.of(layers[0], module.weight_ih_l0, module.bias_ih_l0)
    recalled = Errors.of(layers[1], module.weight_hh_l0, module.bias_hh_l0)
    gates = len(module.weight_ih_l0) // module.hidden_size
    state = cell = (torch.zeros(len(x), module.hidden_size).double(),) * 2
    found = []

    def parts(pair: Pair) -> tuple[Pair, ...]:
        return tuple(zip(*(tensor.chunk(gates, dim=1) for tensor in pair), strict=True))

    for step in x.double().unbind(1):
        of_input, of_state = parts(given.from_input(step)), parts(recalled.from_state(*state))
        if isinstance(module, nn.GRU):
            state = gru_step(of_input, of_state, state)
        else:
            state, cell = lstm_step(of_input, of_state, cell)
        state = state[0], torch.minimum(state[1], 1 + state[0].abs())  # all lie in [−1, 1]
        found.append(state)
    states, away = (torch.stack(tensors, dim=1) for tensors in zip(*found, strict=True))
    return states, away


def observed(ticket: Callable[..., object], module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return how far the states of both are apart, shape (batch, steps, size)."""
    with torch.no_grad():
        (one, _), (two, _) = ticket(x), module(x)  # type: ignore[misc]
    return (one - two).abs()
