"""How close a ticket is to its target: on data, and weight by weight."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from milp_lth.constructions.layout import PrunedLayer
from milp_lth.network import read_network
from milp_lth.networks.forms import Convolution, Lookup
from milp_lth.networks.layer import LinearLayer
from milp_lth.networks.walked import Walked
from milp_lth.sharded_ticket import ShardedTicket
from milp_lth.streaming import Spool, middle
from milp_lth.ticket import Ticket

_BATCH_NUMBERS = 1 << 24  # hidden activations computed at a time: 64 MB in float32


@dataclass(frozen=True)
class LayerError:
    """Errors of one layer's weights, in units of the target's weights, over both halves."""

    name: str
    max_error: float
    median_error: float
    max_half_difference: float


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a ticket beside its target.

    Attributes
    ----------
    num_inputs
        How many inputs both networks saw.
    target_accuracy
        The fraction of them that the target puts into the right class; None without labels.
    ticket_accuracy
        The same of the ticket.
    agreement
        The fraction that both put into the same class.
    max_logit_error
        The largest difference between the networks' outputs.
    mean_logit_error
        Its mean over all inputs and outputs.
    max_logit
        The largest output of the target, to compare these with.
    layers
        For every layer its `name`, and the `max_error`, `median_error` and `max_half_difference`
        of its weights, in units of the target's weights, over both halves.
    edges
        The counts of `Ticket.edges`.
    """

    num_inputs: int
    target_accuracy: float | None
    ticket_accuracy: float | None
    agreement: float
    max_logit_error: float
    mean_logit_error: float
    max_logit: float
    layers: tuple[LayerError, ...]
    edges: dict[str, int | float]


def evaluate(
    ticket: Ticket | ShardedTicket,
    target: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
) -> Evaluation:
    """Run the ticket's own forward beside the target's.

    Parameters
    ----------
    ticket, target
        What is compared; the ticket need not have been made for this target.
    x
        Inputs, one per row, held out from whatever the target was trained on.
    y
        Their classes, shape (num_inputs,); None where they have none.

    Returns
    -------
    Evaluation
        Accuracies, agreement, errors of outputs and weights, counts of edges.

    Raises
    ------
    ValueError
        When there are no inputs, they do not fit, some lie where the ticket was not made for, or
        the target has another number of layers.
    """
    if len(x) == 0:
        raise ValueError("no inputs to evaluate on: give at least one")
    if ticket.settings.input_range[0] >= 0 and bool((x < 0).any()):
        raise ValueError(
            "some inputs are negative, but the ticket was made for inputs ≥ 0: "
            "declare an input range that begins below 0"
        )
    body = ticket.settings.body
    network = read_network(target, copy=False, products=isinstance(body, Walked) and body.products)
    layers = [_Gathered(layer) for layer in network.layers]
    if len(layers) != len(ticket.settings.layers):
        raise ValueError(
            f"the ticket has {len(ticket.settings.layers)} layers, the target {len(layers)}"
        )
    wanted, got = _logits(target, x, len(x)), _ticket_logits(ticket, x, layers)
    away = (wanted.double() - got.double()).abs()
    one, two = _classes(wanted), _classes(got)
    truth = None if y is None else y.to(two.device)
    return Evaluation(
        num_inputs=len(x),
        target_accuracy=None if truth is None else _share(one == truth),
        ticket_accuracy=None if truth is None else _share(two == truth),
        agreement=_share(one == two),
        max_logit_error=float(away.max()),
        mean_logit_error=float(away.mean()),
        max_logit=float(wanted.abs().max()),
        layers=tuple(layer.result() for layer in layers),
        edges=ticket.edges(),
    )


def _logits(module: nn.Module, x: torch.Tensor, batch: int) -> torch.Tensor:
    parameter = next(module.parameters())
    x = x.to(parameter.device, parameter.dtype if x.is_floating_point() else x.dtype)
    training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            return torch.cat([_output(module(part)) for part in torch.split(x, batch)])
    except RuntimeError as error:
        raise _unfit(x, error) from error
    finally:
        module.train(training)


def _ticket_logits(
    ticket: Ticket | ShardedTicket, x: torch.Tensor, layers: "list[_Gathered]"
) -> torch.Tensor:
    """Run the ticket, and compare its weights with those of the target's layers."""
    if isinstance(ticket, Ticket):
        logits = _logits(ticket, x, _batch(ticket, x))
        for k, layer in enumerate(layers):
            for first, block in ticket.blocks(k):
                layer.add(first, block)
        return logits
    try:
        with torch.inference_mode():
            x = x.to(ticket.device, ticket.dtype)
            return ticket(x, lambda k, first, block: layers[k].add(first, block))
    except RuntimeError as error:
        raise _unfit(x, error) from error


def try_out(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return what a network says to the first two inputs.

    Raises
    ------
    ValueError
        When they do not fit it.
    """
    return _logits(module, x[:2], 2)


def _unfit(x: torch.Tensor, error: RuntimeError) -> ValueError:
    return ValueError(f"inputs of shape {tuple(x.shape[1:])} do not fit the network: {error}")


def _output(result: Any) -> torch.Tensor:
    """Return what a network says, without the states that a recurrent one returns beside it."""
    first = result[0] if isinstance(result, tuple) else result
    if not isinstance(first, torch.Tensor):
        raise ValueError(f"the target returns a {type(first).__name__}: it must return a tensor")
    return first


def _batch(ticket: Ticket, x: torch.Tensor) -> int:
    """Return how many inputs are mapped together; each may be a picture or a sequence."""
    first = ticket.layers[0]
    features = 1 if isinstance(first.form, Lookup) else first.num_inputs - first.has_bias
    places = max(1, math.prod(x.shape[1:]) // features)
    pictures = isinstance(first.form, Convolution)  # what is no convolution sees them as one vector
    widest = max(
        layer.num_hidden
        * layer.form.groups
        * (1 if pictures and not isinstance(layer.form, Convolution) else places)
        for layer in ticket.layers
    )
    return max(1, _BATCH_NUMBERS // widest)


def _classes(logits: torch.Tensor) -> torch.Tensor:
    """Return the class with the largest logit; with one logit alone, whether it is positive."""
    return (logits[..., 0] > 0).long() if logits.shape[-1] == 1 else logits.argmax(dim=-1)


def _share(hits: torch.Tensor) -> float:
    return float(hits.double().mean())


class _Gathered:
    """The errors of one layer's weights, gathered block of outputs by block of outputs."""

    def __init__(self, wanted: LinearLayer) -> None:
        self._wanted = wanted
        self._errors = Spool()
        self._difference = 0.0

    def add(self, first: int, layer: PrunedLayer) -> None:
        """Compare the outputs of `layer`, the first of which is the target's `first`."""
        rows: Any = slice(first, first + len(layer.v_mask))
        if layer.copies > 1:  # one after the other: outputs of the target, again and again
            rows = np.arange(first, first + len(layer.v_mask)) % len(self._wanted.weight)
        weight = torch.from_numpy(self._wanted.weight[rows]).double()
        if self._wanted.bias is not None:
            bias = torch.from_numpy(self._wanted.bias[rows]).double()
            weight = torch.cat([weight, bias[:, None]], dim=1)
        positive = layer.half_weights(1).cpu()
        self._errors.add((positive - weight).abs().numpy())
        if layer.has_halves:
            num_weights = layer.num_inputs - layer.has_bias
            negative = layer.half_weights(-1).cpu()[:, :num_weights]
            self._errors.add((negative - weight[:, :num_weights]).abs().numpy())
            apart = (positive[:, :num_weights] - negative).abs().max()
            self._difference = max(self._difference, float(apart))

    def result(self) -> LayerError:
        """Say what there is to say; nothing can be added afterwards."""
        with self._errors as errors:
            low, _ = middle(lambda: errors)
            return LayerError(self._wanted.name, errors.max(), low, self._difference)
