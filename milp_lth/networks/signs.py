"""Following signs through a network: which inputs are known to be ≥ 0, whatever the data.

The module's forward is traced once, and what every step makes of numbers ≥ 0 is known from its
kind alone; nothing is inferred from a sample.
"""

import copy
import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from milp_lth.networks.composites import LEAVES
from milp_lth.networks.layer import form_of, has_hooks
from milp_lth.networks.recurrent import Recurrent

_NONNEGATIVE = (
    nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Hardsigmoid, nn.Softplus, nn.Softmax, nn.Softmin,
    nn.Softmax2d,
)  # fmt: skip
_SIGN_KEEPING = (
    nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity,
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
    nn.ZeroPad1d, nn.ZeroPad2d, nn.PixelShuffle, nn.ChannelShuffle, nn.UpsamplingNearest2d,
)  # fmt: skip

_MAKES_NONNEGATIVE: frozenset[Any] = frozenset({
    torch.relu, functional.relu, functional.relu6, "relu", torch.sigmoid, functional.sigmoid,
    "sigmoid", functional.hardsigmoid, functional.softplus, torch.softmax, functional.softmax,
    "softmax", torch.abs, "abs", operator.abs, torch.square, "square", torch.exp, "exp",
})  # fmt: skip
_KEEPS_SIGN: frozenset[Any] = frozenset({
    torch.flatten, "flatten", "view", "reshape", torch.reshape, "contiguous", "clone", "detach",
    "permute", torch.permute, "transpose", torch.transpose, "squeeze", torch.squeeze, "unsqueeze",
    torch.unsqueeze, "expand", "repeat", "mean", torch.mean, "sum", torch.sum, "amax", torch.amax,
    operator.getitem, "float", "double", "unflatten", torch.unflatten, "chunk", torch.chunk,
    "split",
    functional.dropout, functional.max_pool1d, functional.max_pool2d, functional.avg_pool1d,
    functional.avg_pool2d, functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d,
    functional.adaptive_max_pool1d, functional.adaptive_max_pool2d, torch.max_pool2d,
})  # fmt: skip
_OF_BOTH: frozenset[Any] = frozenset({
    operator.add, operator.iadd, torch.add, "add", "add_", operator.mul, operator.imul, torch.mul,
    "mul", "mul_", operator.truediv, torch.div, "div", torch.minimum,
})  # fmt: skip
_OF_EITHER: frozenset[Any] = frozenset({torch.maximum})
_OF_ALL: frozenset[Any] = frozenset({torch.cat, torch.concat, torch.stack})
_CLAMPS: frozenset[Any] = frozenset({
    torch.clamp, "clamp", "clamp_", torch.clip, "clip", "clip_",
})  # fmt: skip
_IN_PLACE = {
    f"__{name}__": getattr(operator, name)
    for name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul")
}


class _Proxy(fx.Proxy):
    """Writes ``x += y`` down as what it is: a change of `x`, and not a sum beside it."""


def _changing(function: Callable[[Any, Any], Any]) -> Callable[[fx.Proxy, Any], Any]:
    def change(proxy: fx.Proxy, other: Any) -> Any:
        return proxy.tracer.create_proxy("call_function", function, (proxy, other), {})

    return change


for _name, _function in _IN_PLACE.items():
    setattr(_Proxy, _name, _changing(_function))


class Tracer(fx.Tracer):
    """Sees linear layers and the composites of `milp_lth.networks` as single steps."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether `m` is a step of its own."""
        return (
            isinstance(m, LEAVES)
            or form_of(m) is not None
            or bool(super().is_leaf_module(m, module_qualified_name))
        )

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return what stands for a tensor."""
        return _Proxy(node, self)


def trace(module: nn.Module) -> fx.Graph:
    """Trace a module's forward with its optional arguments left out.

    Raises
    ------
    ValueError
        When that is not possible.
    """
    left_out = {
        name: parameter.default
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    shared = {id(tensor): tensor for tensor in chain(module.parameters(), module.buffers())}
    try:  # on a copy: a forward may keep what it computes
        twin = copy.deepcopy(module, dict(shared))
        return Tracer().trace(twin, concrete_args=left_out or None)
    except Exception as error:  # whatever a user's forward does with a proxy
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"its forward cannot be traced: {reason}") from error


def follow_signs(module: nn.Module, graph: fx.Graph, *, nonnegative: bool) -> dict[str, bool]:
    """Return for every module that is called whether its inputs are always ≥ 0.

    Parameters
    ----------
    module, graph
        A module and the trace of its forward.
    nonnegative
        Whether the network's own inputs are declared to be.
    """
    modules = dict(module.named_modules())
    known: dict[fx.Node, bool] = {}
    found: dict[str, bool] = {}

    def all_known(values: Iterable[Any]) -> bool:
        return all(
            known.get(v, False) if isinstance(v, fx.Node) else isinstance(v, int | float) and v >= 0
            for v in values
        )

    for node in graph.nodes:
        if node.op == "placeholder":
            known[node] = nonnegative
        elif node.op == "call_module":
            name = str(node.target)
            fed = all_known(_arguments(node, "input"))
            known[node] = _of_module(modules[name], fed)
            children = {"": fed}
            if isinstance(modules[name], LEAVES):
                names = leaf_inputs(modules[name])
                children |= modules[name].nonnegative_children(
                    *[all_known([value]) for value in _arguments(node, *names)]
                )
            for child, answer in children.items():
                path = f"{name}.{child}".strip(".")
                found[path] = found.get(path, True) and answer
        elif node.op in ("call_function", "call_method"):
            known[node] = _of_function(node, all_known)
        if not known.get(node, False) and _changes(node, modules):
            known.clear()  # whatever was known may be the same memory
    return found


def leaf_inputs(module: nn.Module) -> tuple[str, ...]:
    """Return the inputs of one of `LEAVES`, as its `nonnegative_children` takes them."""
    return ("input",) if isinstance(module, Recurrent) else ("query", "key", "value")


def _arguments(node: fx.Node, *names: str) -> Sequence[Any]:
    """Return the first arguments of a call, by place or by name; None for what is not there."""
    given = node.args[: len(names)]
    return [*given, *(node.kwargs.get(name) for name in names[len(given) :])]


def _changes(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a step writes over numbers that were there before, other than by their own sign."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        if isinstance(module, _SIGN_KEEPING):
            return has_hooks(module)
        return bool(getattr(module, "inplace", False)) or has_hooks(module)
    if node.op not in ("call_function", "call_method"):
        return False
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return (
        node.target in _IN_PLACE.values()
        or (name.endswith("_") and not name.endswith("__"))
        or bool(node.kwargs.get("inplace", False))
        or "out" in node.kwargs
    )


def _of_module(module: nn.Module, fed: bool) -> bool:
    if has_hooks(module):
        return False
    if isinstance(module, LEAVES):
        return bool(module.nonnegative_output)
    if isinstance(module, nn.Hardtanh):
        return module.min_val >= 0 or (fed and module.max_val >= 0)
    return isinstance(module, _NONNEGATIVE) or (fed and isinstance(module, _SIGN_KEEPING))


def _of_function(node: fx.Node, all_known: Callable[[Iterable[Any]], bool]) -> bool:
    target = node.target
    if target in _MAKES_NONNEGATIVE:
        return True
    if target in _KEEPS_SIGN:
        return all_known(_arguments(node, "input"))
    if target in _OF_BOTH:
        return len(node.args) >= 2 and all_known(node.args[:2]) and not node.kwargs
    if target in _OF_EITHER:
        return any(all_known([value]) for value in node.args[:2])
    if target in _OF_ALL:
        values = node.args[0] if node.args else ()
        return isinstance(values, list | tuple) and all_known(values)
    if target in _CLAMPS:
        _, least, most = _arguments(node, "input", "min", "max")
        at_most = most is None or all_known([most])
        return at_most and (all_known([least]) or all_known(_arguments(node, "input")))
    if target is functional.pad:
        value = node.args[3] if len(node.args) > 3 else node.kwargs.get("value", 0.0)
        fed = all_known(_arguments(node, "input"))
        return fed and (value is None or all_known([value]))
    return False
