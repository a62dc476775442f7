"""What a target network is made of: its linear layers and the steps between them, in order."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.nn import functional

LINEAR, RELU = "linear", "relu"

_CHECKED_NUMBERS = 1 << 22  # looked at together: no copy of a large layer


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """One linear map of the target; `weight` has shape (d_out, d_in), `bias` (d_out,) or None.

    They are float32 or float64, as the target has them: a large target is in memory once.
    """

    name: str
    weight: NDArray[Any]
    bias: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Network:
    """A target read off a module.

    `steps` holds, in order, "linear", "relu" and "flatten START END"; dropout does nothing once
    training is over and is left out.
    """

    steps: tuple[str, ...]
    layers: tuple[LinearLayer, ...]
    dtype: torch.dtype

    def nonnegative_inputs(self, input_range: tuple[float, float]) -> list[bool]:
        """Return for each linear layer whether its inputs are known to be ≥ 0.

        They are after a ReLU, and at the front where `input_range` says so.
        """
        known, answers = input_range[0] >= 0, []
        for step in self.steps:
            if step == LINEAR:
                answers.append(known)
                known = False
            elif step == RELU:
                known = True
        return answers

    def renamed(self, names: Sequence[str]) -> "Network":
        """Return the same network with other names for its linear layers."""
        layers = tuple(
            replace(layer, name=name) for layer, name in zip(self.layers, names, strict=True)
        )
        return replace(self, layers=layers)

    def module(self) -> nn.Sequential:
        """Return a module that computes what the target computes, frozen, on the same memory."""
        linears = []
        for layer in self.layers:
            bias = None if layer.bias is None else self.tensor(layer.bias)
            linears.append(frozen_linear(self.tensor(layer.weight), bias))
        return nn.Sequential(*build_modules(self.steps, linears))

    def tensor(self, array: NDArray[Any]) -> torch.Tensor:
        """Return weights in the target's dtype; a copy only where they have another."""
        return torch.from_numpy(array).to(self.dtype)


def read_network(module: nn.Module, *, copy: bool = True) -> Network:
    """Read the layers of `module`, made of Linear, ReLU, Flatten and Dropout in a row.

    The module's forward is traced, so functions and methods of the same meaning are understood too.
    Its weights are copied, so that it may be changed; without `copy` it is to be left alone.

    Raises
    ------
    ValueError
        When the module holds anything else (it is named), branches, depends on its data, has no
        linear layer, or has weights that are not finite or not float32 or float64.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f"a target is a torch.nn.Module, not a {type(module).__name__}")
    holder = nn.Sequential(module)  # so that a bare Linear is a layer too
    try:
        graph = fx.Tracer().trace(holder)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"the target's forward cannot be traced: {reason}") from error
    modules = dict(holder.named_modules())
    steps: list[str] = []
    layers: list[LinearLayer] = []
    previous: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "placeholder":
            if previous is not None:
                raise ValueError("the target takes more than one input: only one is supported")
            previous = node
        elif node.op == "output":
            if node.args[0] is not previous:
                raise ValueError("the target must return its last layer, and nothing else")
        elif _is_shape(node):
            continue  # a size that a reshape below looks at
        else:
            step, layer = _step(node, modules, copy)
            if not node.args or node.args[0] is not previous:
                raise ValueError(
                    f"{_called(node, modules)}: the target branches, which is not supported"
                )
            if layer is not None:
                layers.append(layer)
            if step:
                steps.append(step)
            previous = node
    if not layers:
        raise ValueError("the target has no linear layer: there is nothing to approximate")
    for one, two in pairwise(layers):
        if one.weight.shape[0] != two.weight.shape[1]:
            raise ValueError(
                f"layer {two.name!r} takes {two.weight.shape[1]} inputs, "
                f"but {one.name!r} gives {one.weight.shape[0]}"
            )
    return Network(tuple(steps), tuple(layers), _dtype(module))


def _step(
    node: fx.Node, modules: dict[str, nn.Module], copy: bool
) -> tuple[str, LinearLayer | None]:
    if node.op == "call_module":
        module = modules[str(node.target)]
        if type(module) is nn.Linear:
            return LINEAR, _linear(str(node.target).removeprefix("0."), module, copy)
        if isinstance(module, nn.ReLU):
            return RELU, None
        if isinstance(module, nn.Flatten):
            return f"flatten {module.start_dim} {module.end_dim}", None
        if isinstance(module, nn.Dropout | nn.Identity):
            return "", None
    elif node.target in _FUNCTIONS:
        return _FUNCTIONS[node.target](node), None
    raise ValueError(
        f"{_called(node, modules)} is not supported: a target is made of Linear, ReLU, Flatten and "
        "Dropout"
    )


def _flatten(node: fx.Node) -> str:
    places = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | node.kwargs
    return f"flatten {places.get('start_dim', 0)} {places.get('end_dim', -1)}"


def _reshape(node: fx.Node) -> str:
    shape = node.args[1:]
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    if len(shape) != 2:
        raise ValueError(f"{node.name}: only a reshape to (batch, features) is supported")
    return "flatten 1 -1"


_FUNCTIONS: dict[Any, Callable[[fx.Node], str]] = {
    torch.relu: lambda node: RELU,
    functional.relu: lambda node: RELU,
    "relu": lambda node: RELU,
    torch.flatten: _flatten,
    "flatten": _flatten,
    "view": _reshape,
    "reshape": _reshape,
    functional.dropout: lambda node: "",
}


def _is_shape(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target == "size"
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] == "shape"
    return (
        node.target is operator.getitem
        and isinstance(node.args[0], fx.Node)
        and _is_shape(node.args[0])
    )


def _called(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    if node.op == "call_module":
        name = str(node.target).removeprefix("0.")
        return f"layer {name!r} ({type(modules[str(node.target)]).__name__})"
    return f"operation {getattr(node.target, '__name__', node.target)!r}"


def _linear(name: str, module: nn.Linear, copy: bool) -> LinearLayer:
    weight = module.weight.detach().cpu()
    bias = None if module.bias is None else module.bias.detach().cpu()
    for tensor in (weight,) if bias is None else (weight, bias):
        if tensor.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"layer {name!r} has weights of {tensor.dtype}: convert the target with .float()"
            )
        if not all(bool(torch.isfinite(part).all()) for part in _pieces(tensor)):
            raise ValueError(f"layer {name!r} has weights that are NaN or infinite")
    if 0 in weight.shape:
        raise ValueError(f"layer {name!r} has no weights: its shape is {tuple(weight.shape)}")
    return LinearLayer(name, _array(weight, copy), None if bias is None else _array(bias, copy))


def _pieces(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.split(tensor, max(1, _CHECKED_NUMBERS // max(1, tensor[:1].numel())))


def _array(tensor: torch.Tensor, copy: bool) -> NDArray[Any]:
    return np.array(tensor.numpy(), copy=copy or None)


def _dtype(module: nn.Module) -> torch.dtype:
    dtypes = {p.dtype for p in module.parameters()}
    return torch.float64 if torch.float64 in dtypes else torch.float32


def build_modules(steps: Sequence[str], layers: Sequence[nn.Module]) -> list[nn.Module]:
    """Return the modules of `steps`, with `layers` in the place of the linear ones."""
    remaining = iter(layers)
    modules: list[nn.Module] = []
    for step in steps:
        if step == LINEAR:
            modules.append(next(remaining))
        elif step == RELU:
            modules.append(nn.ReLU())
        else:
            _, start, end = step.split()
            modules.append(nn.Flatten(int(start), int(end)))
    return modules


def frozen_linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """Return a Linear with these weights, none of them trainable."""
    num_outputs, num_inputs = weight.shape
    linear = nn.Linear(num_inputs, num_outputs, bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias, requires_grad=False)
    return linear
