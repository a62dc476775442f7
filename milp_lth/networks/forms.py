"""How a layer's weight matrix meets its inputs: as it is, as a convolution, as a table.

To the reduction every linear layer is a matrix, outputs × inputs. A convolution's has a row for
each output channel *and* place of its kernel, so that V relu(U x) is a 1×1 convolution U, a ReLU
and a k×k convolution V (da Cunha, Natale, Viennot, "Proving the Lottery Ticket Hypothesis for
Convolutional Neural Networks", ICLR 2022); its bias, the weight of a channel that is 1 everywhere,
padding included, stands at the first place of the kernel. The groups of a convolution share U.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import nn
from torch.nn import functional

from milp_lth.networks.product import Product

_CONVOLVE: dict[int, Callable[..., torch.Tensor]] = {1: functional.conv1d, 2: functional.conv2d}
_MODULES: dict[int, type[nn.Conv1d | nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}


_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class Form(Protocol):
    """What pruned, folded and plain layers of one kind have in common."""

    kind: ClassVar[str]
    activated: ClassVar[bool]
    """Whether a ReLU stands between the two random matrices: not where a product is wanted."""

    @property
    def taps(self) -> int:
        """Rows of the matrix for each output."""
        ...

    @property
    def groups(self) -> int:
        """Parts that inputs and outputs fall into, which share U and see nothing of each other."""
        ...

    def matrix(self, weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[torch.Tensor, Any]:
        """Return a module's weight and bias as the matrix and a column beside it."""
        ...

    def module(self, matrix: torch.Tensor, column: torch.Tensor | None) -> nn.Module:
        """Return a frozen module with the weights that `matrix` is given."""
        ...

    def prepare(self, x: torch.Tensor, constant: bool) -> torch.Tensor:
        """Return inputs as `apply` takes them, padded and with the `constant` 1 as the last."""
        ...

    def gather(self, x: torch.Tensor, input_of: torch.Tensor) -> torch.Tensor:
        """Return what was prepared, once for every unit: the input that it keeps."""
        ...

    def along(self, values: torch.Tensor) -> torch.Tensor:
        """Return a value per unit in a shape that multiplies what was gathered."""
        ...

    def apply(self, x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        """Map what was prepared or gathered to outputs."""
        ...

    def stated(self) -> dict[str, Any]:
        """Return what it is, as it is written to a file."""
        ...


@dataclass(frozen=True)
class Dense:
    """A Linear: inputs in the last dimension."""

    kind: ClassVar[str] = "dense"
    activated: ClassVar[bool] = True
    taps: ClassVar[int] = 1
    groups: ClassVar[int] = 1

    def matrix(self, weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[torch.Tensor, Any]:
        """Return both as they are."""
        return weight, bias

    def module(self, matrix: torch.Tensor, column: torch.Tensor | None) -> nn.Module:
        """Return a Linear."""
        return frozen_linear(matrix, column)

    def prepare(self, x: torch.Tensor, constant: bool) -> torch.Tensor:
        """Return inputs, with a 1 behind them where that is asked for."""
        return torch.cat([x, torch.ones_like(x[..., :1])], dim=-1) if constant else x

    def gather(self, x: torch.Tensor, input_of: torch.Tensor) -> torch.Tensor:
        """Return the inputs of all units, in the last dimension."""
        return x[..., input_of]

    def along(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values as they are."""
        return values

    def apply(self, x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        """Multiply by the matrix."""
        return functional.linear(x, matrix)

    def stated(self) -> dict[str, Any]:
        """Return the kind."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class Factors(Dense):
    """A product of two matrices of the target, made by two random ones without a ReLU between.

    Otsuka et al., "Strong Lottery Tickets in multi-head attention", arXiv 2511.04217.
    """

    kind: ClassVar[str] = "factors"
    activated: ClassVar[bool] = False

    def module(self, matrix: torch.Tensor, column: torch.Tensor | None) -> nn.Module:
        """Return a `Product`."""
        return Product.of(matrix)


@dataclass(frozen=True)
class Lookup(Dense):
    """An Embedding: the matrix meets an input that is 1 at one place, given as its index."""

    kind: ClassVar[str] = "lookup"
    padding_idx: int | None = None

    def matrix(self, weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[torch.Tensor, Any]:
        """Return the table, outputs × indices."""
        return weight.T, bias

    def module(self, matrix: torch.Tensor, column: torch.Tensor | None) -> nn.Module:
        """Return an Embedding."""
        num_indices, num_outputs = matrix.shape[1], matrix.shape[0]
        table = nn.Embedding(num_indices, num_outputs, self.padding_idx, device="meta")
        table.weight = nn.Parameter(matrix.T.contiguous(), requires_grad=False)
        return table

    def apply(self, x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        """Look indices up."""
        return functional.embedding(x, matrix.T)

    def stated(self) -> dict[str, Any]:
        """Return the kind and the index that means nothing."""
        return {"kind": self.kind, "padding_idx": self.padding_idx}


@dataclass(frozen=True)
class Convolution:
    """A Conv1d or Conv2d: channels before one or two dimensions of space."""

    kind: ClassVar[str] = "convolution"
    activated: ClassVar[bool] = True
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str

    @classmethod
    def of(cls, module: nn.Conv1d | nn.Conv2d) -> "Convolution":
        """Return the form of a module."""
        padding = module.padding if isinstance(module.padding, str) else tuple(module.padding)
        return cls(
            tuple(module.kernel_size), tuple(module.stride), padding, tuple(module.dilation),
            module.groups, module.padding_mode,
        )  # fmt: skip

    @property
    def taps(self) -> int:
        """Places of the kernel."""
        return math.prod(self.kernel)

    @property
    def _channels(self) -> int:
        """Dimension of the channels, counted from the last."""
        return -1 - len(self.kernel)

    @property
    def _pads(self) -> list[int]:
        """Return what `functional.pad` takes: the last dimension first, left and right."""
        pads: list[int] = []
        for d in reversed(range(len(self.kernel))):
            if isinstance(self.padding, str):
                total = self.dilation[d] * (self.kernel[d] - 1) * (self.padding == "same")
                pads += [total // 2, total - total // 2]
            else:
                pads += [self.padding[d], self.padding[d]]
        return pads

    def matrix(self, weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[torch.Tensor, Any]:
        """Return a row for each output channel and place; the bias at the first place."""
        matrix = weight.flatten(2).transpose(1, 2).flatten(0, 1)
        if bias is None:
            return matrix, None
        column = bias.new_zeros(len(bias), self.taps)
        column[:, 0] = bias
        return matrix, column.flatten()

    def module(self, matrix: torch.Tensor, column: torch.Tensor | None) -> nn.Module:
        """Return a Conv1d or Conv2d."""
        weight = self._weight(matrix)
        convolution = _MODULES[len(self.kernel)](
            weight.shape[1] * self.groups, weight.shape[0], self.kernel, self.stride,  # type: ignore[arg-type]
            self.padding, self.dilation, self.groups, column is not None, self.padding_mode,  # type: ignore[arg-type]
            device="meta",
        )  # fmt: skip
        convolution.weight = nn.Parameter(weight, requires_grad=False)
        if column is not None:  # the constant channel is 1 wherever the kernel meets it
            bias = column.view(-1, self.taps).sum(dim=1)
            convolution.bias = nn.Parameter(bias, requires_grad=False)
        return convolution

    def prepare(self, x: torch.Tensor, constant: bool) -> torch.Tensor:
        """Pad, and add a channel of 1 to each group where that is asked for."""
        if any(self._pads):
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x = functional.pad(x, self._pads, mode)
        if not constant:
            return x
        channels = torch.unflatten(x, self._channels, (self.groups, -1))
        ones = torch.ones_like(channels.narrow(self._channels, 0, 1))
        return torch.cat([channels, ones], self._channels).flatten(
            self._channels - 1, self._channels
        )

    def gather(self, x: torch.Tensor, input_of: torch.Tensor) -> torch.Tensor:
        """Return the channels of all units, group by group."""
        inputs = x.shape[self._channels] // self.groups
        first = torch.arange(self.groups, device=x.device) * inputs
        return x.index_select(self._channels, (first[:, None] + input_of).flatten())

    def along(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values along the channels of every group."""
        return values.repeat(self.groups).view(-1, *[1] * len(self.kernel))

    def apply(self, x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        """Convolve, without padding."""
        convolve = _CONVOLVE[len(self.kernel)]
        weight = self._weight(matrix)
        return convolve(x, weight, None, self.stride, 0, self.dilation, self.groups)

    def _weight(self, matrix: torch.Tensor) -> torch.Tensor:
        rows = torch.unflatten(matrix, 0, (-1, self.taps)).transpose(1, 2)
        weight = torch.unflatten(rows, 2, self.kernel)
        return weight.clone(memory_format=torch.contiguous_format)  # so that outputs are, too

    def stated(self) -> dict[str, Any]:
        """Return the kind and all sizes."""
        return {"kind": self.kind} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }


DENSE = Dense()


def read_form(stated: dict[str, Any] | None) -> Form:
    """Return the form that a file describes; one that says nothing means a Linear.

    Raises
    ------
    KeyError, TypeError, ValueError
        When it does not describe one.
    """
    if stated is None:
        return DENSE
    fields = {name: value for name, value in stated.items() if name != "kind"}
    kind = stated["kind"]
    if kind == Lookup.kind:
        padding_idx = fields["padding_idx"]
        return Lookup(None if padding_idx is None else int(padding_idx))
    if kind == Factors.kind:
        return Factors()
    if kind == Dense.kind:
        return DENSE
    if kind != Convolution.kind:
        raise ValueError(f"a layer of the kind {kind!r} is not known")
    numbers: dict[str, Any] = {
        name: tuple(map(int, value)) if isinstance(value, list) else value
        for name, value in fields.items()
    }
    form = Convolution(**numbers)
    dimensions, padding = len(form.kernel), form.padding
    if dimensions not in _CONVOLVE or min(form.kernel) < 1 or form.groups < 1:
        raise ValueError("its convolution has no such kernel")
    if {len(form.stride), len(form.dilation)} != {dimensions} or min(
        *form.stride, *form.dilation
    ) < 1:
        raise ValueError("its convolution has no such stride or dilation")
    if padding not in ("same", "valid") and (
        isinstance(padding, str) or len(padding) != dimensions or min(padding) < 0
    ):
        raise ValueError("its convolution has no such padding")
    if form.padding_mode not in _PADDING_MODES:
        raise ValueError("its convolution has no such padding mode")
    return form


def frozen_linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """Return a Linear with these weights, none of them trainable."""
    num_outputs, num_inputs = weight.shape
    if 0 in weight.shape:
        raise ValueError(f"a layer of shape {tuple(weight.shape)} has no weights")
    linear = nn.Linear(num_inputs, num_outputs, bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias, requires_grad=False)
    return linear
