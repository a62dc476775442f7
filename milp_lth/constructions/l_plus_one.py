"""L + 1 random matrices for a target of L layers: neurons are made in copies instead of twice.

The first target layer is the two-layer construction's, ``V relu(U x)``, whose outputs are made in ρ
copies. Every later layer is *one* random matrix: ρ edges, raw draws and no products, lead from the
ρ copies of neuron i to a neuron j, and those that are kept sum to W[j, i]. Edges have both signs
and copies have passed the activation already, so there are no halves, and no activation is
excluded that acts on single numbers. A middle layer makes its own neurons in copies, each with
edges and a SubsetSum of its own; the last layer makes one of each. So there are ρ² edges for each
weight of a middle layer, and depth is paid for with width.

Where there are biases, the paper makes ρ constant neurons in the first block, hands them on from
layer to layer, and sums their edges. Here, as in all constructions of this package, a bias is the
weight of one more input that is always 1: ρ edges lead from ρ constants, and nothing but the draws
is approximated.

Burkholz, "Most Activation Functions Can Win the Lottery Without Excessive Depth", NeurIPS 2022,
arXiv 2205.02321; for convolutions "Convolutional and Residual Networks Provably Contain Lottery
Tickets", ICML 2022, arXiv 2205.02343.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from instances.arrays import BoolArray, FloatArray
from instances.distributions import Distribution
from instances.philox import Stream
from instances.recipe import Recipe
from milp_lth.constructions.layout import DrawnLayer, Half, Layout, PrunedLayer, augmented
from milp_lth.constructions.theorem import Theorem
from milp_lth.constructions.two_layer import TwoLayer, matrices_for, reach, scale_for
from milp_lth.constructions.two_matrices import TwoMatrices
from milp_lth.network import Network
from milp_lth.networks.chain import mixing_step
from milp_lth.networks.forms import Convolution, Dense
from milp_lth.source import FIRST, Source

THEOREM = Theorem(
    paper="Burkholz 2022, two papers",
    assumes="a first block that can make both signs; any activation; draws uniform on [−1, 1]",
    width="C d log(dl / min{ε, δ}) in the first block, C log(dl / min{ε, δ}) copies behind it",
    depth="l + 1",
    promises="every weight of every copy within ε, with probability 1 − δ",
)


@dataclass(frozen=True, eq=False)
class RawMatrix(DrawnLayer):
    """One random matrix from the copies of a layer's inputs to the copies of its outputs.

    `width` counts the copies of the inputs. Copy c of input i is column ``c * fan-in + i``; behind
    all of them stand as many constants, where there is a bias.
    """

    scale: float
    """The power of two that it is drawn with."""

    @property
    def has_halves(self) -> bool:
        """False: an edge serves inputs of both signs."""
        return False

    @property
    def fan_in(self) -> int:
        """Copies of all inputs, without the constant ones."""
        return self.width * (self.num_inputs - self.has_bias)

    @property
    def num_constants(self) -> int:
        """Inputs that are always 1."""
        return self.width * self.has_bias

    @property
    def depth(self) -> int:
        """One."""
        return 1

    @property
    def mask_shape(self) -> tuple[int, int]:
        """Shape of the mask, which is that of the matrix."""
        return self.num_outputs, self.width * self.num_inputs

    def v(self, first: int = 0, stop: int | None = None) -> FloatArray:
        """Return the rows of the matrix from output `first` to before `stop`."""
        num_columns = self.mask_shape[1]
        outputs = np.arange(self.num_outputs)[first:stop, None]
        drawn = self.source.draw(self.index, FIRST, num_columns, outputs, np.arange(num_columns))
        return self.scale * drawn

    def num_edges(self) -> tuple[int, int]:
        """Count all entries; none is left out beforehand."""
        num_outputs, num_columns = self.mask_shape
        return num_outputs * num_columns, num_outputs * num_columns

    def pruned(
        self, mask: BoolArray, dtype: torch.dtype, *, first: int = 0, weights: bool = True
    ) -> "RawPruned":
        """Return the layer under `mask`; both dtypes hold what was drawn exactly."""
        if not weights:
            return RawPruned(self, mask, torch.empty(0))
        return RawPruned(self, mask, torch.tensor(self.v(first, first + len(mask)), dtype=dtype))

    @classmethod
    def _checked(cls, arrays: Any, numbers: dict[str, Any]) -> dict[str, Any]:
        if numbers["width"] < 1 or numbers["num_inputs"] <= numbers["has_bias"]:
            raise ValueError("its neurons have no inputs")
        return {}


class RawPruned(PrunedLayer):
    """A random matrix under its mask, `v` and `v_mask` (num_outputs, columns).

    Parameters
    ----------
    drawn
        What the matrix is drawn from.
    v_mask
        Bool: the kept entries.
    v
        What was drawn for these outputs; empty: there is the mask alone.
    """

    def __init__(self, drawn: RawMatrix, v_mask: BoolArray, v: torch.Tensor) -> None:
        super().__init__(drawn)
        self.width = drawn.width
        self.fan_in = drawn.fan_in
        self.num_hidden = max(drawn.mask_shape)
        self.v = nn.Parameter(v, requires_grad=False)
        self.register_buffer("v_mask", torch.tensor(v_mask))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map copies of inputs to copies of outputs, as the target's layer does the originals."""
        weight = self._with_one_constant(self.v * self.v_mask)
        return self.form.apply(self.form.prepare(x, self.has_bias), weight)

    def half_weights(self, sign: int) -> torch.Tensor:
        """Return what the edges from all copies sum to: (num_outputs, num_inputs), float64."""
        masked = self._with_one_constant(self.v.double() * self.v_mask)
        sums = torch.unflatten(masked[:, : self.fan_in], 1, (self.width, -1)).sum(dim=1)
        return torch.cat([sums, masked[:, self.fan_in :]], dim=1)

    def folded(self, sign: int) -> torch.Tensor:
        """Return the matrix under its mask, its constants as one last column, float64."""
        return self._with_one_constant(self.v.double() * self.v_mask)

    def kept(self) -> tuple[torch.Tensor, int]:
        """Return no units, and how many entries are kept."""
        return self.v_mask.new_zeros(0), int(self.v_mask.sum())

    def connected(self) -> torch.Tensor:
        """Return which copies and constants reach which outputs."""
        return self.v_mask

    def alive(self, inputs: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Return no units, and how many kept entries lead from `inputs` to `outputs`."""
        edges = self.v_mask & inputs & outputs[:, None]
        return self.v_mask.new_zeros(0), int(edges.sum())

    def _with_one_constant(self, masked: torch.Tensor) -> torch.Tensor:
        """Return a matrix with one column for all constants: each of them is 1."""
        if not self.has_bias:
            return masked
        constant = masked[:, self.fan_in :].sum(dim=1, keepdim=True)
        return torch.cat([masked[:, : self.fan_in], constant], dim=1)


@dataclass(frozen=True, eq=False)
class RawLayer(Layout):
    """One target layer and the edges of each of its weights, in every copy of its outputs."""

    drawn: RawMatrix

    def halves(self) -> tuple[Half, ...]:
        """Return one half: the columns of each input's copies."""
        drawn = self.drawn
        copies = np.arange(drawn.fan_in).reshape(drawn.width, -1).T
        constants = drawn.fan_in + np.arange(drawn.num_constants).reshape(-1, drawn.width)
        return (Half(0, np.concatenate([copies, constants])),)

    def recipe(self, half: Half) -> Recipe:
        """Return how the edges of every weight are drawn."""
        drawn = self.drawn
        return Recipe(
            Stream(drawn.source.seed, drawn.index, FIRST),
            stride=drawn.mask_shape[1],
            columns=half.units,
            rows_in_group=half.num_inputs,
            # no products, but not the finer grid of raw draws: float32 tickets hold these exactly
            unit=Distribution(drawn.source.distribution).factor_unit,
            distribution=drawn.source.distribution,
            factors=np.full(half.units.shape, drawn.scale),
        )


def l_plus_one(
    source: Source,
    index: int,
    network: Network,
    *,
    width: int,
    nonnegative: bool,
    assignment: str,
) -> TwoLayer | RawLayer:
    """Lay out the source for one target layer: two random matrices for the first, one for others.

    Raises
    ------
    ValueError
        When the network's layers do not stand in a chain along which copies of neurons stay apart,
        when a convolution has groups, or as for `two_layer`.
    """
    if index == 0:
        _refuse_what_copies_do_not_pass(network)
    layer, num_layers = network.layers[index], len(network.layers)
    last = index == num_layers - 1
    copies = 1 if last else source.layer_width(index + 1, num_layers, nonnegative=True)
    weight = augmented(layer)
    if copies > 1:
        weight = np.tile(weight, (copies, 1))  # copy by copy, so that channels are, too
        weight.flags.writeable = False
    if index == 0:
        fields = matrices_for(
            source, index, network, weight,
            width=width, nonnegative=nonnegative, assignment=assignment,
        )  # fmt: skip
        return TwoLayer(TwoMatrices(**fields, copies=copies), layer.name, weight)
    drawn = RawMatrix(
        source=source,
        index=index,
        num_inputs=weight.shape[1],
        num_outputs=len(weight),
        width=width,
        has_bias=layer.bias is not None,
        nonnegative=nonnegative,
        form=layer.form,
        copies=copies,
        scale=scale_for(weight, raw_reach(source.distribution, width)),
    )
    return RawLayer(drawn, layer.name, weight)


def raw_reach(distribution: str, width: int) -> float:
    """Return how large a weight may be beside the scale of its raw draws: a power of two.

    What copies differ by is multiplied by the edges behind them, so the scale is to be as small as
    sums allow. Those of n draws that fill an interval spread as √n: at 24 of them, weights as large
    as the largest draw are met as reliably as smaller ones.
    """
    if distribution in ("binary", "signed-constant", "hyperbolic"):
        return reach(distribution, width)
    return float(2.0 ** np.floor(np.log2(max(0.25, np.sqrt(width / 24)))))


def _refuse_what_copies_do_not_pass(network: Network) -> None:
    for layer in network.layers:
        if type(layer.form) not in (Dense, Convolution) or layer.form.groups != 1:
            kind = "groups" if layer.form.groups != 1 else f"the form of a {layer.form.kind}"
            raise ValueError(
                f"construction l-plus-one cannot make copies of layer {layer.name!r}, which has "
                f"{kind}: take --construction two-layer"
            )
    step = mixing_step(network)
    if step:
        raise ValueError(
            f"construction l-plus-one needs layers in a chain along which copies of neurons stay "
            f"apart: {step}; take --construction two-layer"
        )
