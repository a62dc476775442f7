"""What every construction offers: a layer drawn at random, and where a target's weights lie."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.objectives import Objective
from instances.recipe import Recipe
from instances.subset_sum import SubsetSum
from milp_lth.networks.forms import DENSE, Form, read_form
from milp_lth.networks.layer import LinearLayer
from milp_lth.source import Source
from milp_lth.value_kinds import fits

_LARGEST = 2.0**1000
"""What no number of a layer comes near to: what is drawn from it is finite."""


@dataclass(frozen=True, eq=False)
class Half:
    """The candidates that serve one sign of the inputs.

    `units` has shape (inputs served, n): the candidates of each input in ascending order, then −1.
    The constant input of a bias is served by the positive half alone.
    """

    sign: int
    """1 or −1; 0 where one half serves both signs."""
    units: IntArray

    @property
    def num_inputs(self) -> int:
        """Inputs that this half serves: the first ones of the layer."""
        return len(self.units)


class PrunedLayer(nn.Module):
    """A random layer under its masks, in the place of one linear layer of the target.

    All weights are frozen at what was drawn; masks are bool buffers, True = kept. A layer of some
    outputs alone is what it would be if the target had no others.
    """

    num_inputs: int
    """The constant input of a bias among them."""
    has_bias: bool
    has_halves: bool
    """Whether inputs below and above 0 take different ways."""
    num_hidden: int
    """Numbers that one input makes on its way through."""
    form: Form
    index: int
    """Which layer of the target it stands for."""
    copies: int
    """How often each output of the target is made."""
    numbers: dict[str, Any]
    """Numbers that the target's layer has, such as `in_features`: it has them, too."""
    v: torch.Tensor
    v_mask: torch.Tensor

    def __init__(self, drawn: "DrawnLayer") -> None:
        super().__init__()
        self.num_inputs = drawn.num_inputs
        self.has_bias = drawn.has_bias
        self.has_halves = drawn.has_halves
        self.form = drawn.form
        self.index = drawn.index
        self.copies = drawn.copies
        self.numbers = {}

    def half_weights(self, sign: int) -> torch.Tensor:
        """Return what the edges for one sign sum to: shape (num_outputs, num_inputs), float64."""
        raise NotImplementedError

    def folded(self, sign: int) -> torch.Tensor:
        """Return the matrix that stands for the layer where it has no hidden units, float64.

        Its columns are the layer's own inputs: copies of an input have columns of their own.
        """
        return self.half_weights(sign)

    def kept(self) -> tuple[torch.Tensor, int]:
        """Return which edges in front of V, if there are any, are kept, and how many of V."""
        raise NotImplementedError

    def connected(self) -> torch.Tensor:
        """Return which of the layer's own inputs reach which outputs, shape (outputs, inputs)."""
        raise NotImplementedError

    def alive(self, inputs: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Return what `kept` does, of the edges from one of `inputs` to one of `outputs` alone."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class DrawnLayer:
    """What a random layer is drawn from: enough to draw it again."""

    source: Source
    index: int
    """Which layer of the target it stands for."""
    num_inputs: int
    """The constant input of a bias among them."""
    num_outputs: int
    width: int
    has_bias: bool
    """Whether the last input is the constant 1."""
    nonnegative: bool
    """Whether the other inputs are known to be ≥ 0."""
    form: Form = field(default=DENSE, kw_only=True)
    """How its matrices meet their inputs; `num_outputs` are the rows that this takes."""
    copies: int = field(default=1, kw_only=True)
    """How often each output of the target is made; `num_outputs` counts all of them."""

    @property
    def has_halves(self) -> bool:
        """Whether inputs below 0 need candidates of their own: where there are any, and a ReLU."""
        return self.form.activated and not self.nonnegative

    @property
    def num_weights(self) -> int:
        """Weights of the target, biases included: a bias is one, in however many rows."""
        num_rows = self.num_outputs // self.copies
        return num_rows * (self.num_inputs - self.has_bias) + (
            num_rows // self.form.taps * self.has_bias
        )

    @property
    def fan_in(self) -> int:
        """Inputs that the layer has of its own, without the constant ones: copies are counted."""
        return self.num_inputs - self.has_bias

    @property
    def num_constants(self) -> int:
        """Inputs that are always 1."""
        return int(self.has_bias)

    @property
    def depth(self) -> int:
        """Random matrices that stand one after the other for one of the target's."""
        raise NotImplementedError

    @property
    def mask_shape(self) -> tuple[int, int]:
        """Shape of the mask that prunes it: outputs, and edges to each."""
        raise NotImplementedError

    def num_edges(self) -> tuple[int, int]:
        """Count all edges, and those left when every hidden unit keeps one input."""
        raise NotImplementedError

    def weight_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """Return what the weights are held in where the target has `dtype`."""
        return dtype

    def pruned(
        self, mask: BoolArray, dtype: torch.dtype, *, first: int = 0, weights: bool = True
    ) -> PrunedLayer:
        """Return the layer under `mask`; in `dtype`, where that holds what was drawn exactly.

        Where the mask has fewer outputs than the layer, they are those from `first` on. Without
        `weights` nothing is drawn: edges can be counted, and no more.
        """
        raise NotImplementedError

    def stated(self) -> dict[str, Any]:
        """Return the numbers that describe it, as they are written to a file."""
        form = {} if self.form == DENSE else {"form": self.form.stated()}
        numbers = {name: getattr(self, name) for name in self._numbers()}
        if self.copies == 1:
            del numbers["copies"]
        return numbers | form

    def arrays(self) -> dict[str, Any]:
        """Return the arrays that describe it, as they are written to a file."""
        return {}

    @classmethod
    def read(cls, source: Source, index: int, stated: dict[str, Any], arrays: Any) -> Self:
        """Return the layer that `stated` and `arrays` of a file describe.

        Raises
        ------
        KeyError, TypeError, ValueError
            When they do not describe one.
        """
        stated = {"copies": 1} | stated
        numbers = {}
        for name, kind in cls._numbers().items():
            value = stated[name]
            if not fits(value, kind) or not abs(value) < _LARGEST:
                raise ValueError(f"its {name} is not what it should be")
            numbers[name] = kind(value)
        form = read_form(stated.get("form"))
        if numbers["copies"] < 1 or numbers["num_outputs"] % (
            form.taps * form.groups * numbers["copies"]
        ):
            raise ValueError("its rows are no whole number of kernels for every group")
        return cls(
            source=source, index=index, form=form, **numbers, **cls._checked(arrays, numbers)
        )

    @classmethod
    def _numbers(cls) -> dict[str, Any]:
        kinds = {field.name: field.type for field in fields(cls) if field.name != "index"}
        return {name: kind for name, kind in kinds.items() if kind in (int, float, bool)}

    @classmethod
    def _checked(cls, arrays: Any, numbers: dict[str, Any]) -> dict[str, Any]:
        """Return the fields that are arrays, or raise ValueError where they do not fit."""
        return {}


@dataclass(frozen=True, eq=False)
class Layout:
    """One target layer and where each of its weights sits in the source.

    Row ``j * half.num_inputs + i`` of a half's instance is the weight from input i to output j;
    where the layer has a bias, it is the last input.
    """

    drawn: DrawnLayer
    name: str
    weight: NDArray[Any]
    """Shape (num_outputs, num_inputs), the bias being the last column; float32 or float64."""
    first_output: int = 0
    """The output that the first row of `weight` belongs to: later ones in a layout of some rows."""

    def of_outputs(self, first: int, last: int) -> Self:
        """Return the layout with the weights of the outputs from `first` to before `last` alone."""
        rows = slice(first - self.first_output, last - self.first_output)
        return replace(self, weight=self.weight[rows], first_output=first)

    def halves(self) -> tuple[Half, ...]:
        """Return which candidates serve inputs above 0 and, where they differ, those below."""
        raise NotImplementedError

    def recipe(self, half: Half) -> Recipe:
        """Return how the candidates of a half's rows are drawn."""
        raise NotImplementedError

    def candidates(self, half: Half, first: int, last: int) -> FloatArray:
        """Return what may be summed, shape (outputs first to before last, inputs, n)."""
        recipe = self.recipe(half).beginning(first * half.num_inputs)
        shape = last - first, *half.units.shape
        return recipe.draw((last - first) * half.num_inputs).reshape(shape)

    def scatter(
        self, half: Half, mask: BoolArray, layer_mask: BoolArray, first_output: int = 0
    ) -> None:
        """Write the answer to a half's rows, shape (rows, n), into the layer's mask.

        A half's units are columns of it. Both may be of some outputs alone, from `first_output` on.
        """
        usable = half.units >= 0
        kept = mask.reshape(len(layer_mask), *half.units.shape)
        layer_mask[:, half.units[usable]] = kept[:, usable]

    def answered(self, masks: Sequence[tuple[Half, BoolArray]]) -> DrawnLayer:
        """Return what the pruned layer is drawn from, once the answers of all halves are known."""
        return self.drawn

    def available(self, half: Half, start: int, stop: int) -> BoolArray | None:
        """Return which candidates the rows from `start` to before `stop` may use; None: all."""
        return None if (half.units >= 0).all() else self.usable(half, start, stop)

    def usable(self, half: Half, start: int, stop: int) -> BoolArray:
        """Return where some rows have a candidate at all, shape (rows, n)."""
        found: BoolArray = (half.units >= 0)[np.arange(start, stop) % half.num_inputs]
        return found

    def targets(self, half: Half, first: int = 0, last: int | None = None) -> FloatArray:
        """Return what a half approximates of the outputs `first` to before `last`, row by row."""
        last = self.drawn.num_outputs if last is None else last
        rows = slice(first - self.first_output, last - self.first_output)
        return self.weight[rows, : half.num_inputs].astype(np.float64).reshape(-1)

    def instance(self, half: Half, objective: Objective, start: int, stop: int) -> SubsetSum:
        """State the SubsetSum problems of the rows from `start` to before `stop`."""
        first, last = start // half.num_inputs, (stop - 1) // half.num_inputs + 1
        offset = first * half.num_inputs
        targets = self.targets(half, first, last)[start - offset : stop - offset]
        available = self.available(half, start, stop)
        return SubsetSum.drawn(self.recipe(half).beginning(start), targets, objective, available)


def augmented(layer: LinearLayer) -> NDArray[Any]:
    """Return a layer's weights with its bias, if it has one, as the last column; read-only."""
    weight = layer.weight.view()
    if layer.bias is not None:
        weight = np.column_stack([weight, layer.bias])
    weight.flags.writeable = False
    return weight


def extremes(layer: LinearLayer) -> tuple[float, float]:
    """Return the smallest and the largest weight of a layer, its bias included."""
    arrays = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    return float(min(map(np.min, arrays))), float(max(map(np.max, arrays)))
