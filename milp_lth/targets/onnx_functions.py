"""Operators of ONNX without weights: activations, arithmetic, shapes."""

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from milp_lth.targets.onnx_builder import Sizes, Step, Value
from milp_lth.targets.onnx_layers import padded, with_bias

_FLOATS = {1: torch.float32, 11: torch.float64}
_CASTS = {**_FLOATS, 6: torch.int32, 7: torch.int64, 9: torch.bool}
_ALL = 2**31 - 1  # ends from here on mean: to the end

Function = Callable[[Step], Any]


def _module(make: Callable[[], nn.Module]) -> Function:
    return lambda step: step.module(make())


def _call(function: Callable[..., Any]) -> Function:
    return lambda step: step.call(function, step.data())


def _binary(function: Callable[..., Any]) -> Function:
    return lambda step: step.call(function, step.data(0), step.data(1))


def add(step: Step) -> Any:
    """Add; what is added to a layer without bias becomes its bias."""
    for x, constant in ((0, 1), (1, 0)):
        shape = step.shape(x)
        rank = None if shape is None else len(shape)
        layer = with_bias(step, step.data(x), step.data(constant), rank)
        if layer is not None:
            return layer
    return step.call(operator.add, step.data(0), step.data(1))


def divide(step: Step) -> Any:
    """Divide numbers with a point."""
    a, b = step.data(0), step.data(1)
    if any(isinstance(t, torch.Tensor) and not t.is_floating_point() for t in (a, b)):
        raise ValueError("a quotient of whole numbers is not supported")
    return step.call(operator.truediv, a, b)


def gelu(step: Step) -> Any:
    """Apply GELU, or what approximates it by tanh."""
    approximate = step.attribute("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise ValueError(f"the approximation {approximate!r} is unknown")
    return step.module(nn.GELU(approximate))


def _softmax(kind: Callable[[int], nn.Module]) -> Function:
    def read(step: Step) -> Any:
        axis = step.attribute("axis", -1 if step.opset >= 13 else 1)
        if step.opset < 13 and axis not in (-1, step.rank() - 1):
            raise ValueError("before opset 13, only the last axis is supported: export it anew")
        return step.module(kind(axis))

    return read


def clip(step: Step) -> Any:
    """Keep numbers between two bounds."""
    bounds: list[float | None] = [None, None]
    for k, name in enumerate(("min", "max")):
        if step.given(k + 1):
            tensor = step.constant(k + 1, name)
            if tensor.numel() != 1:
                raise ValueError(f"its {name} is not one number")
            bounds[k] = float(tensor)
        elif step.opset < 11 and step.raw(name) is not None:
            bounds[k] = step.attribute(name, 0.0)
    if bounds == [0, 6]:
        return step.module(nn.ReLU6())
    if bounds == [0, None]:
        return step.module(nn.ReLU())
    if bounds == [None, None]:
        return step.data()
    return step.call(torch.clamp, step.data(), bounds[0], bounds[1])


def constant(step: Step) -> Any:
    """Read a tensor that stands in the graph itself."""
    if "value" in step.node.attributes:
        return step.tensor_attribute("value")
    dtype = step.builder.file.dtype
    for name, kind in (("value_float", dtype), ("value_int", torch.int64)):
        if (number := step.raw(name)) is not None:
            return torch.tensor(number, dtype=kind)
        if (numbers := step.raw(f"{name}s")) is not None:
            return torch.tensor(numbers, dtype=kind)
    raise ValueError("only numbers are supported")


def same(step: Step) -> Value:
    """Do nothing."""
    return step.value()


def dropout(step: Step) -> Value:
    """Do nothing: training is over."""
    step.ignore("ratio", "seed", "is_test")
    if step.given(2) and bool(step.constant(2, "training_mode")):
        raise ValueError("it is in training mode: export the model with model.eval()")
    return step.value()


def cast(step: Step) -> Any:
    """Convert constants to another kind of numbers; a run keeps the one it has."""
    step.ignore("saturate", "round_mode")
    kind, value = step.attribute("to", 0), step.value()
    if kind not in _CASTS or (isinstance(value, Sizes) and kind not in (6, 7)):
        raise ValueError("casting to such numbers is not supported: export the model without")
    if isinstance(value, Sizes):
        return value
    if isinstance(value, torch.Tensor):
        return step.builder.checked(value.to(_CASTS[kind]))
    if _CASTS[kind] != step.builder.file.dtype:
        raise ValueError("mixes several kinds of numbers: export the model in one of them")
    return value


def flatten(step: Step) -> Any:
    """Put all dimensions from an axis on into one, and those before it into another."""
    axis, x = step.attribute("axis", 1), step.data()
    axis = axis + step.rank() if axis < 0 else axis
    if axis == 1:
        return step.module(nn.Flatten(1))
    if axis == 0:
        return step.call(torch.reshape, x, (1, -1))
    x = step.call(torch.flatten, x, 0, axis - 1)
    if axis == step.rank():
        return step.call(torch.unsqueeze, x, 1)
    return step.call(torch.flatten, x, 1)


def reshape(step: Step) -> Any:
    """Change the shape; a batch stays one, of any size, also where the file knows but one."""
    data, asked = step.data(), _asked_sizes(step)
    if step.attribute("allowzero", 0) and 0 in asked:
        raise ValueError("a size of 0 is not supported")
    shape = step.shape()
    if isinstance(data, torch.Tensor):
        return step.call(torch.reshape, data, _whole(asked, tuple(data.shape)))
    if not asked:
        raise ValueError("a single number has no batch: it must stay a dimension")
    first, rest = asked[0], list(asked[1:])
    keeps = first in (0, shape[0] if shape else 0) or _is_batch(first)
    for k, size in enumerate(rest, start=1):
        if size == 0:
            known = shape[k] if shape is not None and k < len(shape) else None
            rest[k - 1] = step.builder.size(data, k) if known is None else known
    per_row = _product(shape[1:]) if shape else None
    if first == -1 and per_row is not None and _product(rest) == per_row:
        keeps = True
    if keeps and len(rest) == 1 and (shape is None or len(shape) >= 2) and rest[0] in (-1, per_row):
        return step.module(nn.Flatten(1))
    if keeps:
        first = step.builder.size(data, 0) if any(size == -1 for size in rest) else -1
    return step.call(torch.reshape, data, (first, *rest))


def _asked_sizes(step: Step) -> tuple[int | fx.Node, ...]:
    value = step.value(1) if step.given(1) else None
    if isinstance(value, Sizes):
        return value.entries
    sizes = step.numbers("shape", 1)
    if sizes is None:
        raise ValueError("its shape is missing")
    return tuple(sizes)


def _whole(asked: tuple[int | fx.Node, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    sizes = []
    for k, size in enumerate(asked):
        if isinstance(size, fx.Node):
            raise ValueError("a constant cannot take the shape of a batch")
        sizes.append(shape[k] if size == 0 else size)
    return tuple(sizes)


def _is_batch(size: int | fx.Node) -> bool:
    """Whether this is the number of rows; of any value, since a batch has one."""
    return isinstance(size, fx.Node) and size.target == "size" and size.args[1:] == (0,)


def _product(sizes: Iterable[int | fx.Node | None]) -> int | None:
    """Return the product of sizes that are all known, else None."""
    known = [size if isinstance(size, int) else 0 for size in sizes]
    return math.prod(known) if min(known, default=1) > 0 else None


def shape_of(step: Step) -> Any:
    """Return the sizes of a value: numbers, and in a run the size of the batch."""
    x, shape = step.data(), step.shape()
    rank = step.rank()
    start, end = step.attribute("start", 0), step.attribute("end", rank)
    known = shape or (None,) * rank
    if isinstance(x, torch.Tensor):
        return torch.tensor(x.shape[start:end])
    entries = tuple(
        step.builder.size(x, k) if k == 0 or known[k] is None else known[k]
        for k in range(rank)[start:end]
    )
    return _sizes(entries, scalar=False)  # type: ignore[arg-type]


def _sizes(entries: tuple[int | fx.Node, ...], *, scalar: bool) -> Value:
    """Return sizes; a constant where all of them are numbers."""
    if any(isinstance(entry, fx.Node) for entry in entries):
        return Sizes(entries, scalar)
    return torch.tensor(entries[0] if scalar else entries, dtype=torch.int64)


def gather(step: Step) -> Any:
    """Pick entries along an axis."""
    value, index, axis = step.value(), step.constant(1, "indices"), step.attribute("axis", 0)
    if index.is_floating_point() or index.ndim > 1:
        raise ValueError("only a row of indices is supported")
    if isinstance(value, Sizes):
        picked = tuple(value.entries[k] for k in index.reshape(-1).tolist())
        return _sizes(picked, scalar=index.ndim == 0)
    if index.ndim == 0:
        return step.call(torch.select, value, axis, int(index))
    if bool((index < 0).any()):
        shape = step.shape()
        size = None if shape is None else shape[axis]
        if size is None:
            raise ValueError("indices from the end are not supported here")
        index = torch.where(index < 0, index + size, index)
    return step.call(torch.index_select, value, axis, index.long().reshape(-1))


def slice_(step: Step) -> Value:
    """Pick a part of the sizes of a value."""
    value = step.value()
    starts, ends, axes = (
        step.numbers(name, k) for k, name in enumerate(("starts", "ends", "axes"), start=1)
    )
    steps = step.numbers("steps", 4) if step.given(4) else None
    if (
        starts is None
        or ends is None
        or len(starts) != 1
        or len(ends) != 1
        or axes not in ([0], None)
    ):
        raise ValueError("only the sizes of a value can be sliced")
    part = slice(starts[0], None if ends[0] >= _ALL else ends[0], (steps or [1])[0])
    if isinstance(value, Sizes):
        return _sizes(value.entries[part], scalar=False)
    if isinstance(value, torch.Tensor) and value.ndim == 1:
        return value[part]
    raise ValueError("only the sizes of a value can be sliced")


def concat(step: Step) -> Any:
    """Put several values one after the other."""
    axis = step.attribute("axis", 0)
    values = [step.value(k) for k in range(len(step.node.inputs))]
    if not any(isinstance(value, Sizes) for value in values):
        return step.call(torch.cat, values, axis)
    entries: list[int | fx.Node] = []
    for value in values:
        if isinstance(value, fx.Node):
            raise ValueError("sizes and numbers cannot be put together")
        entries += value.entries if isinstance(value, Sizes) else value.reshape(-1).tolist()
    return _sizes(tuple(entries), scalar=False)


def transpose(step: Step) -> Any:
    """Put dimensions in another order."""
    order = step.numbers("perm", len(step.node.inputs))
    order = list(reversed(range(step.rank()))) if order is None else order
    return step.call(torch.permute, step.data(), tuple(order))


def squeeze(step: Step) -> Any:
    """Take away dimensions of size 1."""
    value, axes = step.value(), step.numbers("axes", 1)
    if isinstance(value, Sizes):
        return Sizes(value.entries, scalar=True)
    if axes is None:
        raise ValueError("its axes are missing: a batch of one must not lose its dimension")
    return step.call(torch.squeeze, value, tuple(axes))


def unsqueeze(step: Step) -> Any:
    """Add dimensions of size 1."""
    value, axes = step.value(), step.numbers("axes", 1)
    if isinstance(value, Sizes):
        return Sizes(value.entries, scalar=False)
    if axes is None:
        raise ValueError("its axes are missing")
    if min(axes, default=0) < 0:
        axes = [axis + step.rank() + len(axes) if axis < 0 else axis for axis in axes]
    for axis in sorted(axes):
        value = step.call(torch.unsqueeze, value, axis)
    return value


def reduce_mean(step: Step) -> Any:
    """Take the mean over some axes."""
    axes, keep = step.numbers("axes", 1), step.attribute("keepdims", 1) != 0
    nothing = step.attribute("noop_with_empty_axes", 0)
    x = step.data()
    if not axes:
        if nothing:
            return x
        axes = list(range(step.rank()))
    shape = step.shape()
    if keep and shape is not None and len(shape) == 4 and {a % 4 for a in axes} == {2, 3}:
        return step.module(nn.AdaptiveAvgPool2d(1))
    return step.call(torch.mean, x, tuple(axes), keepdim=keep)


def pad(step: Step) -> Any:
    """Put a constant around a value."""
    if step.attribute("mode", "constant") != "constant":
        raise ValueError("only padding by a constant is supported")
    pads, value = step.numbers("pads", 1), step.attribute("value", 0.0)
    if step.given(2):
        value = float(step.constant(2, "value"))
    axes = step.numbers("axes", 3)
    if pads is None or (axes is not None and len(pads) != 2 * len(axes)) or len(pads) % 2:
        raise ValueError("its pads are missing or do not fit")
    half = len(pads) // 2
    rank = half if axes is None else step.rank()
    pairs = [(0, 0)] * rank
    for k, axis in enumerate(axes or range(rank)):
        pairs[axis] = (pads[k], pads[half + k])
    while len(pairs) > 1 and pairs[0] == (0, 0):
        del pairs[0]
    if len(pairs) == 1 and rank == 4:
        pairs.insert(0, (0, 0))  # of an image
    if len(pairs) < 3 and rank == len(pairs) + 2:
        return padded(step, pairs, value)
    flat = tuple(number for pair in reversed(pairs) for number in pair)
    return step.call(functional.pad, step.data(), flat, value=value)


FUNCTIONS: dict[str, Function] = {
    "Relu": _module(nn.ReLU),
    "LeakyRelu": lambda step: step.module(nn.LeakyReLU(step.attribute("alpha", 0.01))),
    "Tanh": _module(nn.Tanh),
    "Sigmoid": _module(nn.Sigmoid),
    "Gelu": gelu,
    "Softmax": _softmax(nn.Softmax),
    "LogSoftmax": _softmax(nn.LogSoftmax),
    "Clip": clip,
    "Add": add,
    "Sub": _binary(operator.sub),
    "Mul": _binary(operator.mul),
    "Div": divide,
    "Pow": _binary(operator.pow),
    "Neg": _call(torch.neg),
    "Sqrt": _call(torch.sqrt),
    "Erf": _call(torch.erf),
    "ReduceMean": reduce_mean,
    "Flatten": flatten,
    "Reshape": reshape,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Concat": concat,
    "Gather": gather,
    "Slice": slice_,
    "Shape": shape_of,
    "Pad": pad,
    "Cast": cast,
    "Identity": same,
    "Dropout": dropout,
    "Constant": constant,
}
