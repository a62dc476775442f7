"""Targets of few bits: weights rounded to whole multiples of a step, layer by layer."""

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from milp_lth.constructions.layout import extremes
from milp_lth.network import Network
from milp_lth.networks.layer import LinearLayer, form_of

MAX_BITS = 24


def quantise(target: nn.Module, bits: int) -> nn.Module:
    """Return a copy of `target` whose linear layers have weights of so many bits.

    The weights of a layer, its biases among them, become whole multiples of 2¹⁻ᵇⁱᵗˢ times the power
    of two that none of them exceeds: from −2ᵇⁱᵗˢ⁻¹ to 2ᵇⁱᵗˢ⁻¹ such steps.

    Parameters
    ----------
    target
        Any module; Linear, Conv1d, Conv2d and Embedding are rounded, whatever else it has is not.
    bits
        From 2 to 24, the sign included.

    Returns
    -------
    torch.nn.Module
        In the target's dtypes, which hold the rounded weights exactly.

    Raises
    ------
    ValueError
        When `bits` is out of range.

    Examples
    --------
    >>> linear = nn.Linear(2, 1, bias=False)
    >>> linear.weight.data = torch.tensor([[0.9, -0.3]])
    >>> quantise(linear, 3).weight.tolist()
    [[1.0, -0.25]]
    """
    check_bits(bits)
    rounded = copy.deepcopy(target)
    with torch.no_grad():
        for module in rounded.modules():
            if form_of(module) is None:
                continue
            own = module.weight, getattr(module, "bias", None)
            tensors = [t for t in own if isinstance(t, torch.Tensor)]
            step = _step(max(float(t.abs().max()) for t in tensors), bits)
            for tensor in tensors:
                tensor.copy_((tensor / step).round() * step)
    return rounded


def quantised(network: Network, bits: int) -> Network:
    """Return `network` with its layers rounded as `quantise` rounds a module's."""
    check_bits(bits)
    return replace(network, layers=tuple(_layer(layer, bits) for layer in network.layers))


def _layer(layer: LinearLayer, bits: int) -> LinearLayer:
    step = _step(max(map(abs, extremes(layer))), bits)

    def rounded(array: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.round(array / step) * step, array.dtype)

    bias = None if layer.bias is None else rounded(layer.bias)
    return replace(layer, weight=rounded(layer.weight), bias=bias)


def _step(largest: float, bits: int) -> float:
    mantissa, exponent = math.frexp(largest)
    return math.ldexp(1.0, exponent - (mantissa == 0.5) + 1 - bits) if largest else 1.0


def check_bits(bits: int) -> None:
    """Refuse numbers of bits that weights cannot be rounded to.

    Raises
    ------
    ValueError
        When `bits` is out of range.
    """
    if not 2 <= bits <= MAX_BITS:
        raise ValueError(f"{bits} bits: give a number from 2 to {MAX_BITS}, the sign included")
