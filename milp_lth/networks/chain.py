"""Layers in a chain: whether copies of their neurons, made one after the other, stay apart.

A layer that makes all of its outputs in copies hands on more numbers than the target's does. What
stands between two layers may then neither count them nor mix them: it has to do to every copy what
it did to the one.
"""

import operator
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.nn import functional

from milp_lth.networks.batch_norm import NoSequences
from milp_lth.networks.composites import LEAVES
from milp_lth.networks.forms import Convolution
from milp_lth.networks.layer import LinearLayer, has_hooks
from milp_lth.networks.signs import trace
from milp_lth.networks.walked import Walked

if TYPE_CHECKING:
    from milp_lth.network import Network

_ELEMENTWISE: frozenset[Any] = frozenset({
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.Softplus, nn.Softsign, nn.Softshrink,
    nn.Hardshrink, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Threshold,
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d,
    torch.relu, torch.relu_, torch.tanh, torch.sigmoid, torch.selu, torch.celu,
    functional.relu, functional.relu6, functional.leaky_relu, functional.elu, functional.selu,
    functional.celu, functional.gelu, functional.silu, functional.mish, functional.sigmoid,
    functional.logsigmoid, functional.tanh, functional.tanhshrink, functional.softplus,
    functional.softsign, functional.softshrink, functional.hardshrink, functional.hardtanh,
    functional.hardsigmoid, functional.hardswish, functional.threshold, functional.dropout,
    "relu", "relu_", "tanh", "sigmoid", "contiguous", "clone", "detach",
})  # fmt: skip
_POOLING: dict[int, frozenset[Any]] = {
    1: frozenset({
        nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveMaxPool1d, nn.AdaptiveAvgPool1d,
        functional.max_pool1d, functional.avg_pool1d, functional.adaptive_max_pool1d,
        functional.adaptive_avg_pool1d, torch.max_pool1d,
    }),
    2: frozenset({
        nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d,
        functional.max_pool2d, functional.avg_pool2d, functional.adaptive_max_pool2d,
        functional.adaptive_avg_pool2d, torch.max_pool2d,
    }),
}  # fmt: skip


def mixing_step(network: "Network") -> str:
    """Say what keeps copies of neurons from staying apart between the layers.

    Copies stand in the order copy, neuron: as features, or as channels in front of space. What
    comes before the first layer or behind the last never sees them. Between the layers may stand
    activations of single numbers, dropout, pooling over space, and a flatten to (batch, features)
    that does not say how many features there are: ``x.flatten(1)``, ``x.view(x.size(0), -1)``. A
    ``view(-1, 400)`` counts the features, and is no such step.

    Returns
    -------
    str
        The first such step and what is wrong with it; empty where there is none.
    """
    body, layers = network.body, network.layers
    if not isinstance(body, Walked) or len(layers) == 1:
        return ""
    for layer, paths in zip(layers, body.places, strict=True):
        if len(paths) > 1:
            return f"layer {layer.name!r} stands at several places"
    module = network.module()
    if isinstance(module, LEAVES):
        return f"its layers are parts of a step, {type(module).__name__}"
    for path, part in list(module.named_modules()):
        if isinstance(part, NoSequences):  # it looks at the shape, which no trace knows
            module.set_submodule(path, nn.Identity())
    try:
        graph = trace(module)
    except ValueError as error:
        return str(error)
    return _follow(graph, dict(module.named_modules()), layers, [p for (p,) in body.places])


def _follow(
    graph: fx.Graph,
    modules: dict[str, nn.Module],
    layers: Sequence[LinearLayer],
    paths: Sequence[str],
) -> str:
    """Walk from the first layer to the last, see `mixing_step`."""
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    for path in paths:
        if calls[path] == 0:
            return f"layer {path!r} is part of another step"
        if calls[path] > 1:
            return f"layer {path!r} is called {calls[path]} times"
    node = next(node for node in graph.nodes if _is_call(node, paths[0]))
    place, space = 0, _space(layers[0])
    while place < len(layers) - 1:
        users = [user for user in node.users if not _is_size(user)]
        if len(users) != 1:
            return f"{_called(node, modules)} does not lead to one next step"
        before, node = node, users[0]
        if _is_call(node, paths[place + 1]):
            place += 1
            reason = _meeting(layers[place - 1], space, layers[place])
            if reason:
                return reason
            space = _space(layers[place])
        elif _flattens(node, before, modules):
            space = 0
        elif not _keeps(node, before, modules, space):
            return f"{_called(node, modules)} is no step that every copy can take alone"
    return ""


def _is_call(node: fx.Node, path: str) -> bool:
    return node.op == "call_module" and str(node.target) == path


def _space(layer: LinearLayer) -> int:
    """Dimensions behind the channels of what a layer makes; 0: features stand last."""
    return len(layer.form.kernel) if isinstance(layer.form, Convolution) else 0


def _meeting(one: LinearLayer, space: int, two: LinearLayer) -> str:
    """Say why a layer does not take what another made, which has `space` by now."""
    if space != _space(two):
        return f"layer {two.name!r} takes features where {one.name!r} has channels, or the reverse"
    if not (_space(one) or _space(two)) and len(one.weight) != two.weight.shape[1]:
        return f"layer {two.name!r} takes several outputs of {one.name!r} in one vector"
    return ""


def _keeps(node: fx.Node, before: fx.Node, modules: dict[str, nn.Module], space: int) -> bool:
    kind: Any = node.target
    if node.op == "call_module":
        if has_hooks(modules[str(kind)]):
            return False
        kind = type(modules[str(kind)])
    elif node.op not in ("call_function", "call_method"):
        return False
    alone: bool = node.all_input_nodes == [before]
    return alone and (kind in _ELEMENTWISE or kind in _POOLING.get(space, ()))


def _flattens(node: fx.Node, before: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a step makes (batch, features) of anything, however many features there are."""
    if node.op == "call_module":
        module: Any = modules[str(node.target)]
        is_plain = type(module) is nn.Flatten and not has_hooks(module)
        return is_plain and (module.start_dim, module.end_dim) == (1, -1)
    if not node.args or node.args[0] is not before:
        return False
    if node.target in (torch.flatten, "flatten"):
        given = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | node.kwargs
        return {"start_dim": 0, "end_dim": -1} | given == {"start_dim": 1, "end_dim": -1}
    if node.target not in (torch.reshape, "reshape", "view"):
        return False
    shape = node.args[1:]
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    return len(shape) == 2 and _is_batch(shape[0]) and bool(shape[1] == -1)


def _is_size(node: fx.Node) -> bool:
    """Whether a step looks at a shape alone."""
    if node.op == "call_method":
        return node.target == "size"
    return node.target is getattr and node.args[1] == "shape"


def _is_batch(value: Any) -> bool:
    """Whether a number of a shape is how many inputs there are: ``x.size(0)``, ``x.shape[0]``."""
    if not isinstance(value, fx.Node):
        return False
    if value.op == "call_method":
        return value.target == "size" and tuple(value.args[1:]) == (0,)
    whole = value.args[0] if value.target is operator.getitem else None
    return isinstance(whole, fx.Node) and _is_size(whole) and bool(value.args[1] == 0)


def _called(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    if node.op == "call_module":
        return f"layer {str(node.target)!r} ({type(modules[str(node.target)]).__name__})"
    return f"operation {getattr(node.target, '__name__', node.target)!r}"
