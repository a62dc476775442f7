"""Networks to prune, drawn from a seed by the generator of the tickets: the seed is the network.

The architectures are those of Pensia et al., "Optimal Lottery Tickets via SubsetSum", NeurIPS 2020:
fully connected ones of two and four layers, and LeNet-5 (LeCun et al., "Gradient-based learning
applied to document recognition", 1998) with ReLUs. None has biases.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from instances.distributions import Distribution
from instances.philox import Stream
from milp_lth.rivals.masked import Masked
from milp_lth.rivals.structures import matrices

SHAPES = ("fc2", "fc3", "fc4", "lenet5")

_WEIGHTS = 16  # matrices of streams that no source draws
_CONVOLUTIONS = ((6, 1, 5, 5), (16, 6, 5, 5))
_PADDINGS = (2, 0)
_PIXELS = 28
_DEVIATIONS = {"normal": 1.0, "signed-constant": 3**-0.5, "uniform": 3**-0.5}


@dataclass(frozen=True)
class Shape:
    """The architecture of a network.

    Parameters
    ----------
    name
        "fc2": features-hidden-classes; "fc3" and "fc4" have two and three hidden layers. "lenet5":
        two convolutions with pooling, then 400-120-84-classes; for images of 28×28 pixels.
    num_features, num_classes
        Numbers of an input and of an output.
    num_hidden
        Units of a hidden layer; LeNet-5 has its own numbers.
    masked_convolutions
        Whether the convolutions of LeNet-5 have masks, too; in the paper's experiment they are
        random and not pruned.

    Raises
    ------
    ValueError
        When the name is unknown, or inputs are no images of the right size.
    """

    name: str
    num_features: int
    num_classes: int
    num_hidden: int = 500
    masked_convolutions: bool = False

    def __post_init__(self) -> None:
        if self.name not in SHAPES:
            raise ValueError(f"unknown shape {self.name!r}: choose one of {', '.join(SHAPES)}")
        if self.name == "lenet5" and self.num_features != _PIXELS**2:
            raise ValueError(
                f"lenet5 takes images of 28×28, not {self.num_features} numbers: "
                "choose fc2 or fc4, or the data mnist"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Inputs, hidden units and outputs of the fully connected part."""
        if self.name == "lenet5":
            return 400, 120, 84, self.num_classes
        hidden = (self.num_hidden,) * {"fc2": 1, "fc3": 2, "fc4": 3}[self.name]
        return self.num_features, *hidden, self.num_classes


def random_network(
    shape: Shape,
    seed: int,
    *,
    distribution: str = "normal",
    structure: str = "plain",
    trainable: bool = False,
) -> nn.Sequential:
    """Draw a network, all of it kept.

    Weights have mean 0 and standard deviation √(2 / fan-in) (He, Zhang, Ren and Sun, "Delving deep
    into rectifiers", ICCV 2015), those of units with one input √2. They are float32, the same on
    every machine.

    Parameters
    ----------
    shape
        The architecture.
    seed
        From 0 to 2³² − 1.
    distribution
        "normal", "signed-constant" (plus or minus the standard deviation) or "uniform".
    structure
        Of the fully connected part, see `milp_lth.rivals.structures.matrices`.
    trainable
        Whether weights have gradients, those of convolutions without masks, too.

    Returns
    -------
    nn.Sequential
        Takes inputs of shape (num_inputs, num_features), puts out logits.

    Raises
    ------
    ValueError
        When the distribution or the structure is unknown, or the seed out of range.

    Examples
    --------
    >>> random_network(Shape("fc2", 64, 10, num_hidden=32), seed=0)(torch.ones(5, 64)).shape
    torch.Size([5, 10])
    """
    if distribution not in _DEVIATIONS:
        known = ", ".join(_DEVIATIONS)
        raise ValueError(f"unknown distribution {distribution!r}: choose one of {known}")
    steps: list[nn.Module] = []
    layer = 0
    if shape.name == "lenet5":
        steps.append(nn.Unflatten(1, (1, _PIXELS, _PIXELS)))
        for weight_shape, padding in zip(_CONVOLUTIONS, _PADDINGS, strict=True):
            weight = _drawn(weight_shape, distribution, seed, layer)
            made = Masked if shape.masked_convolutions else _convolution
            steps += [
                made(weight, padding=padding, trainable=trainable),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            layer += 1
        steps.append(nn.Flatten())
    for matrix in matrices(shape.sizes, structure):
        weight = _drawn(matrix.shape, distribution, seed, layer)
        steps.append(Masked(weight, trainable=trainable))
        if matrix.relu:
            steps.append(nn.ReLU())
        layer += 1
    return nn.Sequential(*steps)


def _drawn(shape: tuple[int, ...], distribution: str, seed: int, layer: int) -> torch.Tensor:
    fan_in = math.prod(shape[1:])
    scale = math.sqrt(2 / fan_in) / _DEVIATIONS[distribution]
    counters = np.arange(math.prod(shape)).reshape(shape)
    drawn = Distribution(distribution).draw(Stream(seed, layer, _WEIGHTS), counters)
    return torch.tensor(drawn * scale, dtype=torch.float32)


def _convolution(weight: torch.Tensor, *, padding: int, trainable: bool) -> nn.Conv2d:
    outputs, inputs, size, _ = weight.shape
    # a convolution that draws weights of its own would take them from the user's generator
    plain: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, inputs, outputs, size, padding=padding, bias=False
    )
    plain.weight = nn.Parameter(weight, requires_grad=trainable)
    return plain
