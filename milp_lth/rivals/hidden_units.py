"""Hidden units of a network, and what each contributes to the layer behind it."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from instances.arrays import FloatArray
from milp_lth.rivals.masked import Masked


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a hidden layer, and what is wanted of them on T inputs.

    Attributes
    ----------
    activations
        h, shape (T, N), float64.
    outgoing
        v, shape (units of the next layer, N): the next matrix.
    wanted
        Shape (T, units of the next layer): pre-activations that the mixture is to imitate.
    """

    activations: torch.Tensor
    outgoing: torch.Tensor
    wanted: torch.Tensor

    def moments(self) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Return G, b and c of `milp_lth.rivals.imitation`, of means over the inputs."""
        n, num_inputs = self.outgoing.shape[1], len(self.wanted)
        h, v = self.activations, self.outgoing
        gram = (h.T @ h) * (v.T @ v) * (n * n / num_inputs)
        constant = float((self.wanted**2).sum()) / num_inputs
        return gram, self.along(self.wanted) / num_inputs, constant

    def along(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the inner product of every unit's contributions with `outputs`, shape (N,)."""
        product = ((self.activations.T @ outputs) * self.outgoing.T).sum(dim=1)
        return product * self.outgoing.shape[1]

    def mixed(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return what the units put out together, shape (T, units of the next layer)."""
        return self.activations @ self.scaled(coefficients).T

    def triangle(self) -> FloatArray:
        """Return the contributions in N numbers per unit, with squares that are means over inputs.

        Shape (N, N), with fewer rows where there are fewer numbers. A contribution is the outer
        product of activations and outgoing weights, so each of the two becomes a triangle first.
        """
        n, num_inputs = self.outgoing.shape[1], len(self.activations)
        h = torch.linalg.qr(self.activations, mode="r").R
        v = torch.linalg.qr(self.outgoing, mode="r").R
        columns = (h[:, None, :] * v[None, :, :]).reshape(-1, n) * (n / num_inputs**0.5)
        return np.asarray(torch.linalg.qr(columns, mode="r").R.cpu().numpy())

    def scaled(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return the next matrix with the columns N·a_i·v_i."""
        return self.outgoing * (self.outgoing.shape[1] * coefficients)


def hidden_layers(network: nn.Module) -> list[tuple[Masked, Masked]]:
    """Return the matrices before and after every hidden layer.

    Raises
    ------
    ValueError
        When the network is not one of matrices with a ReLU between any two.
    """
    modules = list(network.children())
    matrices = [module for module in modules[::2] if isinstance(module, Masked)]
    plain = all(matrix.weight.dim() == 2 for matrix in matrices)
    relus = [module for module in modules[1::2] if isinstance(module, nn.ReLU)]
    if not plain or len(matrices) + len(relus) != len(modules) or len(matrices) != len(relus) + 1:
        raise ValueError(
            "neurons are selected between matrices with a ReLU between any two: choose the shape "
            "fc2, fc3 or fc4"
        )
    return list(pairwise(matrices))


@torch.no_grad()
def units_of(network: nn.Module, layer: int, inputs: torch.Tensor) -> Units:
    """Return the units of a hidden layer, to be mixed to what the layer puts out itself.

    Parameters
    ----------
    network
        Of masked matrices, see `hidden_layers`.
    layer
        From 0.
    inputs
        Shape (T, features).

    Raises
    ------
    ValueError
        When there is no such layer, or the network is of another kind.
    """
    pairs = hidden_layers(network)
    if not 0 <= layer < len(pairs):
        raise ValueError(f"hidden layer {layer}: give a number from 0 to {len(pairs) - 1}")
    x = inputs.double()
    for before, _ in pairs[: layer + 1]:
        x = torch.relu(x @ weight_of(before).T)
    outgoing = weight_of(pairs[layer][1])
    return Units(x, outgoing, x @ outgoing.T)


def weight_of(layer: Masked) -> torch.Tensor:
    """Return the matrix that a layer computes with, float64."""
    return (layer.gain * layer.weight * layer.mask).detach().double()
