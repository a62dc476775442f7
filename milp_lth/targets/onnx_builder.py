"""A traced module, built operator by operator from the nodes of an ONNX file."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import fx, nn

from milp_lth.targets.onnx_file import OnnxGraph, OnnxNode, Shape, read_tensor, shown

MAX_COMPUTED = 2**28
"""Numbers that may be computed from a file's constants while it is read."""

T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """The sizes of a value, or some of them: numbers, and nodes where only a run tells."""

    entries: tuple[int | fx.Node, ...]
    scalar: bool = False


Value = fx.Node | torch.Tensor | Sizes
"""What a name in the file stands for: a node of the module, a constant, or sizes."""


class Builder:
    """The module that is being built, and what the file's names stand for so far."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.file = graph
        self.root = nn.Module()
        self.graph = fx.Graph()
        self.values: dict[str, Value] = {graph.input: self.graph.placeholder("x")}
        self.open_layers: dict[fx.Node, nn.Module] = {}
        """Layers that have no bias yet, by what they give."""
        self._computed = 0

    def value(self, name: str) -> Value:
        """Return what a name stands for.

        Raises
        ------
        ValueError
            When nothing has that name, or its tensor cannot be read.
        """
        if name not in self.values:
            if not self.file.has_tensor(name):
                raise ValueError(f"{shown(name)} is read before anything gives it")
            self.values[name] = self.checked(self.file.tensor(name))
        return self.values[name]

    def checked(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a constant, once it is clear that it may be computed with the others.

        Raises
        ------
        ValueError
            When it has another precision than the file's input.
        """
        if tensor.is_floating_point() and tensor.dtype != self.file.dtype:
            raise ValueError("mixes float32 and float64: export the model in one of them")
        return tensor

    def module(self, name: str, module: nn.Module, x: Value) -> fx.Node | torch.Tensor:
        """Apply a module, frozen, under a name that the module can have."""
        module = module.eval().requires_grad_(False)
        if not isinstance(x, fx.Node):
            return self.compute(module, x)
        target = self._free(re.sub(r"\W", "_", name, flags=re.ASCII).strip("_")[:60] or "layer")
        self.root.add_module(target, module)
        return self.graph.call_module(target, (x,))

    def _free(self, name: str) -> str:
        """Return a name of no other part of the module, and none that a module has already."""
        free, k = name, 1
        while hasattr(self.root, free):
            free, k = f"{name}_{k}", k + 1
        return free

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Apply a function; at once where all that it takes is constant."""
        flat = [part for arg in args for part in (arg if isinstance(arg, list) else [arg])]
        if not any(isinstance(part, fx.Node) for part in flat):
            return self.compute(function, *args, **kwargs)
        return self.graph.call_function(function, tuple(map(self._argument, args)), kwargs)

    def _argument(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._constant(part) for part in value]
        if isinstance(value, torch.Tensor) and value.numel() == 1 and value.ndim <= 1:
            return value.item()
        return self._constant(value)

    def _constant(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        name = self._free("constant")
        self.root.register_buffer(name, value)
        return self.graph.get_attr(name)

    def compute(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Compute a constant from constants.

        Raises
        ------
        ValueError
            When there would be too many numbers.
        """
        if isinstance(function, nn.Module) and function.state_dict():
            raise ValueError("a layer of a constant is not supported: compute it before exporting")
        self._computed += function(*map(_like, args), **kwargs).numel()
        if self._computed > MAX_COMPUTED:
            raise ValueError(f"more than {MAX_COMPUTED:,} numbers would follow from its constants")
        with torch.no_grad():
            result: torch.Tensor = function(*args, **kwargs)
        return result

    def size(self, x: fx.Node, axis: int) -> fx.Node:
        """Return the size of a value in a run."""
        return self.graph.call_method("size", (x, axis))


def _like(value: Any) -> Any:
    if isinstance(value, list):
        return [_like(part) for part in value]
    return value.to("meta") if isinstance(value, torch.Tensor) else value


class Step:
    """One node of the file, as the one who translates it sees it."""

    def __init__(self, builder: Builder, node: OnnxNode) -> None:
        self.builder = builder
        self.node = node
        self.opset = builder.file.opset
        self._unread = set(node.attributes)

    def finish(self) -> None:
        """Refuse what the translation did not look at.

        Raises
        ------
        ValueError
            When an attribute was not asked for, or a second output is used.
        """
        for name in sorted(self._unread):
            raise ValueError(f"its attribute {shown(name)} is not supported")
        for name in self.node.outputs[1:]:
            if name and self.builder.file.uses[name]:
                raise ValueError("only its first output is supported")

    def given(self, index: int) -> bool:
        """Whether the node has an input of this index."""
        return index < len(self.node.inputs) and self.node.inputs[index] != ""

    def value(self, index: int = 0) -> Value:
        """Return an input, whatever it is."""
        if not self.given(index):
            raise ValueError(f"its input {index} is missing")
        return self.builder.value(self.node.inputs[index])

    def data(self, index: int = 0) -> fx.Node | torch.Tensor:
        """Return an input that is computed with."""
        value = self.value(index)
        if isinstance(value, Sizes):
            raise ValueError("computing with the sizes of a run is not supported")
        return value

    def constant(self, index: int, what: str) -> torch.Tensor:
        """Return an input that must be constant."""
        value = self.value(index)
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"its {what} must be constant")
        return value

    def layer_name(self, index: int) -> str:
        """Return what a layer is called: as its weight is, or else as its node is."""
        weight = self.node.inputs[index]
        return weight.removesuffix(".weight") if weight.endswith(".weight") else self.node.name

    def shape(self, index: int = 0) -> Shape | None:
        """Return the shape of an input, if it is known."""
        value = self.builder.values.get(self.node.inputs[index])
        if isinstance(value, torch.Tensor):
            return tuple(value.shape)
        return self.builder.file.shapes.get(self.node.inputs[index])

    def rank(self, index: int = 0) -> int:
        """Return how many dimensions an input has."""
        shape = self.shape(index)
        if shape is None:
            raise ValueError("the shape of its input is unknown: export the model with shapes")
        return len(shape)

    def attribute(self, name: str, default: T) -> T:
        """Return an attribute of the kind that `default` is of; a list has any length."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(default):
            raise ValueError(f"its attribute {shown(name)} is not of the kind it should be")
        return value

    def raw(self, name: str) -> Any:
        """Return an attribute, or None where there is none."""
        self._unread.discard(name)
        return self.node.attributes.get(name)

    def ignore(self, *names: str) -> None:
        """Take note of attributes that mean nothing once training is over."""
        self._unread -= set(names)

    def numbers(self, name: str, index: int) -> list[int] | None:
        """Return whole numbers that are an attribute or, in newer files, a constant input."""
        if self.given(index):
            tensor = self.constant(index, name)
            if tensor.is_floating_point() or tensor.ndim > 1:
                raise ValueError(f"its {name} are not whole numbers")
            return [int(number) for number in tensor.reshape(-1).tolist()]
        if name not in self.node.attributes:
            return None
        return self.attribute(name, [0])

    def tensor_attribute(self, name: str) -> torch.Tensor:
        """Return a tensor that is an attribute."""
        value = self.raw(name)
        if type(value).__name__ != "TensorProto":
            raise ValueError(f"its attribute {shown(name)} is not a tensor")
        return self.builder.checked(read_tensor(value, self.builder.file.folder))

    def module(self, module: nn.Module, x: Value | None = None, name: str = "") -> Any:
        """Apply a module to the first input, or to `x`."""
        return self.builder.module(name or self.node.name, module, self.data() if x is None else x)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Apply a function, see `Builder.call`."""
        return self.builder.call(function, *args, **kwargs)
