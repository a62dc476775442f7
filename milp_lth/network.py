"""A target network, as it is read off a module."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from milp_lth.networks.body import Body
from milp_lth.networks.layer import LinearLayer
from milp_lth.networks.row import NotARowError, read_row


@dataclass(frozen=True, eq=False)
class Network:
    """A target's linear layers, in order, and the rest of it."""

    body: Body
    layers: tuple[LinearLayer, ...]
    dtype: torch.dtype

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of a network in a row, see `milp_lth.networks.row`; none of any other."""
        return self.body.steps

    def nonnegative_inputs(self, input_range: tuple[float, float]) -> list[bool]:
        """Return for each linear layer whether its inputs are known to be ≥ 0."""
        return self.body.nonnegative_inputs(input_range)

    def renamed(self, names: Sequence[str]) -> "Network":
        """Return the same network with other names for its linear layers."""
        layers = tuple(
            replace(layer, name=name) for layer, name in zip(self.layers, names, strict=True)
        )
        return replace(self, layers=layers)

    def module(self) -> nn.Module:
        """Return a module that computes what the target computes, frozen, on the same memory."""
        made = []
        for layer in self.layers:
            column = None if layer.bias is None else self.tensor(layer.bias)
            made.append(layer.form.module(self.tensor(layer.weight), column))
        return self.body.with_layers(made)

    def tensor(self, array: NDArray[Any]) -> torch.Tensor:
        """Return weights in the target's dtype; a copy only where they have another."""
        return torch.from_numpy(array).to(self.dtype)


def read_network(
    module: nn.Module, *, copy: bool = True, strict: bool = False, products: bool = False
) -> Network:
    """Read the linear layers of any module.

    Where they stand in a row with nothing but ReLU, Flatten and Dropout between, the network can be
    written down as steps; any other is kept as a copy of the module, see
    `milp_lth.networks.walked.walk`.

    Parameters
    ----------
    module
        The target. Its weights are copied, so that it may be changed.
    copy
        False: a network in a row shares its weights, and is to be left alone.
    strict, products
        As for `walk`.

    Raises
    ------
    ValueError
        When the module has no linear layer, weights that are not finite or not float32 or float64,
        or, if `strict`, a matrix that would be left dense.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f"a target is a torch.nn.Module, not a {type(module).__name__}")
    try:
        row, layers = read_row(module, copy=copy)
        return Network(row, layers, _dtype(module))
    except NotARowError:
        from milp_lth.networks.walked import walk

        walked, layers = walk(module, strict=strict, products=products)
        return Network(walked, layers, _dtype(module))


def _dtype(module: nn.Module) -> torch.dtype:
    dtypes = {p.dtype for p in module.parameters()}
    return torch.float64 if torch.float64 in dtypes else torch.float32
