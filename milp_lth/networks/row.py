"""Networks whose layers stand in a row: Linear, ReLU, Flatten and Dropout, nothing else."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional
from torch.nn.utils import prune

from milp_lth.networks.forms import DENSE
from milp_lth.networks.layer import LinearLayer, read_layer

LINEAR, RELU = "linear", "relu"


class NotARowError(ValueError):
    """Why a module is no such network."""


@dataclass(frozen=True)
class Row:
    """The steps of a network in a row: all there is to know of it beside its layers.

    `steps` holds, in order, "linear", "relu" and "flatten START END"; dropout does nothing once
    training is over and is left out.
    """

    steps: tuple[str, ...]

    def nonnegative_inputs(self, input_range: tuple[float, float]) -> list[bool]:
        """Return which layers' inputs are ≥ 0: after a ReLU, and in front if `input_range` is."""
        known, answers = input_range[0] >= 0, []
        for step in self.steps:
            if step == LINEAR:
                answers.append(known)
                known = False
            elif step == RELU:
                known = True
        return answers

    def with_layers(self, layers: Sequence[nn.Module]) -> nn.Sequential:
        """Return a Sequential with `layers` in the place of the linear steps."""
        return nn.Sequential(*build_modules(self.steps, layers))

    def stated(self) -> dict[str, Any]:
        """Return the steps: the network can be built from them alone."""
        return {"steps": list(self.steps)}

    def described(self) -> str:
        """Return the steps with arrows between."""
        return " → ".join(self.steps)


def read_row(module: nn.Module, *, copy: bool) -> tuple[Row, tuple[LinearLayer, ...]]:
    """Read the layers of `module`, made of Linear, ReLU, Flatten and Dropout in a row.

    The module's forward is traced, so functions and methods of the same meaning are understood too.

    Raises
    ------
    NotARowError
        When the module holds anything else (it is named), branches, depends on its data, or has no
        linear layer.
    ValueError
        When layers do not fit, or weights are not finite or not float32 or float64.
    """
    holder = nn.Sequential(module)  # so that a bare Linear is a layer too
    try:
        graph = fx.Tracer().trace(holder)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotARowError(f"the target's forward cannot be traced: {reason}") from error
    modules = dict(holder.named_modules())
    if any(_is_hooked(part) for part in modules.values()):
        raise NotARowError("hooks may compute anything")
    steps: list[str] = []
    found: list[str] = []
    previous: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "placeholder":
            if previous is not None:
                raise NotARowError("the target takes more than one input")
            previous = node
        elif node.op == "output":
            if node.args[0] is not previous:
                raise NotARowError("the target must return its last layer, and nothing else")
        elif _is_shape(node):
            continue  # a size that a reshape below looks at
        else:
            step = _step(node, modules)
            if not node.args or node.args[0] is not previous:
                raise NotARowError(f"{_called(node, modules)}: the target branches")
            if step == LINEAR:
                found.append(str(node.target))
            if step:
                steps.append(step)
            previous = node
    if not found or len({id(modules[name].weight) for name in found}) < len(found):
        raise NotARowError("every linear layer of a row has weights of its own")
    layers = tuple(
        read_layer(name.removeprefix("0."), modules[name], DENSE, copy=copy) for name in found
    )
    for one, two in pairwise(layers):
        if one.weight.shape[0] != two.weight.shape[1]:
            raise ValueError(
                f"layer {two.name!r} takes {two.weight.shape[1]} inputs, "
                f"but {one.name!r} gives {one.weight.shape[0]}"
            )
    return Row(tuple(steps)), layers


def _is_hooked(module: nn.Module) -> bool:
    """Whether hooks are registered, other than those that put masks of torch's own pruning on."""
    hooks = [*vars(module)["_forward_pre_hooks"].values(), *vars(module)["_forward_hooks"].values()]
    return not all(isinstance(hook, prune.BasePruningMethod) for hook in hooks)


def _step(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    if node.op == "call_module":
        module = modules[str(node.target)]
        if type(module) is nn.Linear:
            return LINEAR
        if isinstance(module, nn.ReLU):
            return RELU
        if isinstance(module, nn.Flatten):
            return f"flatten {module.start_dim} {module.end_dim}"
        if isinstance(module, nn.Dropout | nn.Identity):
            return ""
    elif node.target in _FUNCTIONS:
        return _FUNCTIONS[node.target](node)
    raise NotARowError(f"{_called(node, modules)} is none of Linear, ReLU, Flatten and Dropout")


def _flatten(node: fx.Node) -> str:
    places = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | node.kwargs
    return f"flatten {places.get('start_dim', 0)} {places.get('end_dim', -1)}"


def _reshape(node: fx.Node) -> str:
    shape = node.args[1:]
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    if len(shape) != 2:
        raise NotARowError(f"{node.name}: a reshape to more than (batch, features)")
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
