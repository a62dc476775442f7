"""Operators of ONNX that become layers with weights, pooling or normalization."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from milp_lth.targets.onnx_builder import Step

Padding = list[tuple[int, int]]
"""What is added before and after, for every dimension of an image."""

_CONVOLUTIONS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
_POOLS: dict[str, dict[int, type[nn.Module]]] = {
    "MaxPool": {1: nn.MaxPool1d, 2: nn.MaxPool2d},
    "AveragePool": {1: nn.AvgPool1d, 2: nn.AvgPool2d},
    "GlobalAveragePool": {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d},
}
_NORMS: dict[int, type[nn.Module]] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}


def _filled(module: nn.Module, **tensors: torch.Tensor | None) -> nn.Module:
    """Give a module that was made without memory its numbers."""
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        held = getattr(module, name)
        if held.shape != tensor.shape:
            raise ValueError(
                f"its {name} has shape {tuple(tensor.shape)}, where {tuple(held.shape)} is needed"
            )
        if isinstance(held, nn.Parameter):
            tensor = nn.Parameter(tensor.contiguous(), requires_grad=False)
        setattr(module, name, tensor)
    return module


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    num_outputs, num_inputs = weight.shape
    if 0 in weight.shape:
        raise ValueError("it has no weights")
    layer = nn.Linear(num_inputs, num_outputs, bias=bias is not None, device="meta")
    return _filled(layer, weight=weight, bias=bias)


def gemm(step: Step) -> Any:
    """Compute ``alpha · x · B + beta · C``: by a Linear where B and C are constant."""
    alpha, beta = step.attribute("alpha", 1.0), step.attribute("beta", 1.0)
    transposed = step.attribute("transB", 0)
    if step.attribute("transA", 0):
        raise ValueError("transA is not supported: the rows of its input must be those of a batch")
    b, c = step.data(1), step.data(2) if step.given(2) else None
    if isinstance(b, fx.Node) or isinstance(c, fx.Node):
        return _gemm_of_nodes(step, b, c, (alpha, beta))
    if b.ndim != 2:
        raise ValueError(f"its weights have shape {tuple(b.shape)}, not two dimensions")
    weight = b if transposed else b.t()
    weight = weight if alpha == 1 else weight * alpha
    if c is not None:
        if c.ndim > 2 or (c.ndim == 2 and c.shape[0] != 1):
            raise ValueError("its constant is not one row: only a bias is supported")
        if c.numel() not in (1, len(weight)):
            raise ValueError(f"it adds {c.numel()} numbers to {len(weight)} outputs")
        c = (c if beta == 1 else c * beta).reshape(c.shape[-1:]).expand(len(weight))
    result = step.module(_linear(weight, c), name=step.layer_name(1))
    return _without_bias(step, result) if c is None else result


def _gemm_of_nodes(step: Step, b: Any, c: Any, factors: tuple[float, float]) -> Any:
    """Compute with functions what is no layer, since its factors depend on the input."""
    b = step.call(torch.transpose, b, 0, 1) if step.attribute("transB", 0) else b
    result = step.call(torch.matmul, step.data(), b)
    result = result if factors[0] == 1 else step.call(torch.mul, result, factors[0])
    if c is None:
        return result
    c = c if factors[1] == 1 else step.call(torch.mul, c, factors[1])
    return step.call(torch.add, result, c)


def matmul(step: Step) -> Any:
    """Make a Linear where the second factor is a constant matrix; a bias may follow."""
    a, b = step.data(0), step.data(1)
    if isinstance(a, fx.Node) and isinstance(b, torch.Tensor) and b.ndim == 2:
        return _without_bias(step, step.module(_linear(b.t(), None), name=step.layer_name(1)))
    return step.call(torch.matmul, a, b)


def _without_bias(step: Step, result: Any) -> Any:
    """Note that a bias may be added to what a layer gives, if nothing else reads it."""
    if isinstance(result, fx.Node) and step.builder.file.uses[step.node.outputs[0]] == 1:
        step.builder.open_layers[result] = step.builder.root.get_submodule(str(result.target))
    return result


def with_bias(step: Step, x: Any, constant: Any, rank: int | None) -> Any:
    """Make a constant that is added to a layer's outputs its bias, or return None.

    `rank` is that of the layer's outputs, where it is known.
    """
    layer = step.builder.open_layers.get(x) if isinstance(x, fx.Node) else None
    if layer is None or not isinstance(constant, torch.Tensor):
        return None
    weight = layer.get_parameter("weight")
    shape = (len(weight), *[1] * (weight.ndim - 2))
    extra = constant.ndim - len(shape)
    fits = constant.shape[max(extra, 0) :] == shape and set(constant.shape[: max(extra, 0)]) <= {1}
    if not fits or extra < 0 or (extra > 0 and (rank is None or constant.ndim > rank)):
        return None
    layer.register_parameter("bias", nn.Parameter(constant.reshape(-1), requires_grad=False))
    del step.builder.open_layers[x]
    return x


def conv(step: Step) -> Any:
    """Make a convolution of one or two dimensions; uneven padding stands before it."""
    weight = step.constant(1, "weights")
    bias = step.constant(2, "bias") if step.given(2) else None
    rank = weight.ndim - 2
    if rank not in _CONVOLUTIONS:
        raise ValueError(f"convolutions of {rank} dimensions are not supported: only of 1 and 2")
    if 0 in weight.shape:
        raise ValueError("it has no weights")
    group = step.attribute("group", 1)
    if list(weight.shape[2:]) != step.attribute("kernel_shape", list(weight.shape[2:])):
        raise ValueError("its kernel_shape is not that of its weights")
    if group < 1 or weight.shape[0] % group:
        raise ValueError(f"its {weight.shape[0]} outputs cannot be put into {group} groups")
    strides, dilations = _steps(step, "strides", rank), _steps(step, "dilations", rank)
    padding = _padding(step, list(weight.shape[2:]), strides, dilations)
    x, symmetric = _padded(step, padding, 0.0)
    layer = _CONVOLUTIONS[rank](
        weight.shape[1] * group, weight.shape[0], tuple(weight.shape[2:]), tuple(strides),
        symmetric, tuple(dilations), group, bias is not None, device="meta",
    )  # fmt: skip
    result = step.module(_filled(layer, weight=weight, bias=bias), x, step.layer_name(1))
    return _without_bias(step, result) if bias is None else result


def _steps(step: Step, name: str, rank: int) -> list[int]:
    """Return strides or dilations: one for every dimension, 1 where nothing is said."""
    found = step.attribute(name, [1] * rank)
    if len(found) != rank or min(found) < 1:
        raise ValueError(f"its {name} are {found}: {rank} numbers above 0 are needed")
    return found


def _padding(step: Step, kernel: list[int], strides: list[int], dilations: list[int]) -> Padding:
    """Return what is padded, explicit or so that sizes stay as they are."""
    rank, mode = len(kernel), step.attribute("auto_pad", "NOTSET")
    pads = step.attribute("pads", [0] * 2 * rank)
    if mode == "NOTSET":
        if len(pads) != 2 * rank or min(pads) < 0:
            raise ValueError(f"its pads are {pads}: {2 * rank} numbers from 0 up are needed")
        return list(zip(pads[:rank], pads[rank:], strict=True))
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError("its auto_pad is unknown")
    shape, found = step.shape() or (), []
    sizes = shape[2:] if len(shape) == rank + 2 else (None,) * rank
    for size, length, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        span = (length - 1) * dilation + 1
        if stride == 1:
            total = span - 1
        elif size is None:
            raise ValueError(f"auto_pad {mode} needs a fixed size of its input: export with pads")
        else:
            total = max(0, (math.ceil(size / stride) - 1) * stride + span - size)
        less, more = total // 2, total - total // 2
        found.append((less, more) if mode == "SAME_UPPER" else (more, less))
    return found


def _padded(
    step: Step, padding: Padding, value: float, *, most: list[int] | None = None
) -> tuple[Any, tuple[int, ...]]:
    """Return the input, padded where a layer's own padding will not do, and that padding.

    `most` is the most that the layer can pad by itself, for every dimension.
    """
    own = tuple(before for before, _ in padding)
    even = all(before == after for before, after in padding)
    if even and (most is None or all(p <= m for p, m in zip(own, most, strict=True))):
        return step.data(), own
    return padded(step, padding, value), (0,) * len(padding)


def padded(step: Step, padding: Padding, value: float) -> Any:
    """Return the input with `value` around it in its last one or two dimensions."""
    flat = tuple(number for pair in reversed(padding) for number in pair)
    name = f"{step.node.name}_pad"
    if len(padding) == 1:
        return step.module(nn.ConstantPad1d((flat[0], flat[1]), value), name=name)
    if len(padding) == 2:
        return step.module(nn.ConstantPad2d((flat[0], flat[1], flat[2], flat[3]), value), name=name)
    return step.call(functional.pad, step.data(), flat, value=value)


def _window(step: Step) -> tuple[list[int], list[int], list[int], Padding]:
    """Return kernel, strides, dilations and padding of a pooling layer."""
    kernel = step.attribute("kernel_shape", [0])
    rank = len(kernel)
    if rank not in (1, 2) or min(kernel) < 1:
        raise ValueError("pooling of one or two dimensions alone is supported")
    strides, dilations = _steps(step, "strides", rank), _steps(step, "dilations", rank)
    return kernel, strides, dilations, _padding(step, kernel, strides, dilations)


def max_pool(step: Step) -> Any:
    """Take the largest of every window."""
    kernel, strides, dilations, padding = _window(step)
    if step.attribute("storage_order", 0):
        raise ValueError("storage_order is not supported")
    rounded_up = step.attribute("ceil_mode", 0) != 0
    x, own = _padded(step, padding, -math.inf, most=[length // 2 for length in kernel])
    if rounded_up and x is not step.data():
        raise ValueError("ceil_mode with uneven padding is not supported")
    pool = _POOLS["MaxPool"][len(kernel)]
    return step.module(
        pool(tuple(kernel), tuple(strides), own, tuple(dilations), ceil_mode=rounded_up), x
    )


def average_pool(step: Step) -> Any:
    """Take the mean of every window."""
    kernel, strides, dilations, padding = _window(step)
    counted = step.attribute("count_include_pad", 0) != 0
    rounded_up = step.attribute("ceil_mode", 0) != 0
    if max(dilations) > 1:
        raise ValueError("average pooling with dilations is not supported")
    x, own = _padded(step, padding, 0.0, most=[length // 2 for length in kernel])
    uneven = x is not step.data()
    if (uneven and not counted) or (rounded_up and (uneven or (counted and any(own)))):
        raise ValueError("such padding is not supported: pad evenly, by at most half of the kernel")
    pool = _POOLS["AveragePool"][len(kernel)]
    return step.module(
        pool(
            tuple(kernel), tuple(strides), own, ceil_mode=rounded_up, count_include_pad=counted
        ),
        x,
    )  # fmt: skip


def global_average_pool(step: Step) -> Any:
    """Take the mean of every channel."""
    pools = _POOLS["GlobalAveragePool"]
    rank = step.rank() - 2
    if rank not in pools:
        raise ValueError("pooling of one or two dimensions alone is supported")
    return step.module(pools[rank](1))


def batch_normalization(step: Step) -> Any:
    """Normalize by recorded means and variances."""
    step.ignore("momentum", "is_test")
    if step.attribute("training_mode", 0) or not step.attribute("spatial", 1):
        raise ValueError("it is in training mode: export the model with model.eval()")
    rank = step.rank()
    if rank not in _NORMS:
        raise ValueError(f"normalizing an input of {rank} dimensions is not supported")
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = {name: step.constant(k + 1, name) for k, name in enumerate(names)}
    layer = _NORMS[rank](
        tensors["weight"].numel(), eps=step.attribute("epsilon", 1e-5), device="meta"
    )
    layer = _filled(layer, **tensors, num_batches_tracked=torch.tensor(0))
    return step.module(layer, name=step.layer_name(1))


def layer_normalization(step: Step) -> Any:
    """Normalize over the last dimensions."""
    step.ignore("stash_type")
    weight = step.constant(1, "scale")
    bias = step.constant(2, "bias") if step.given(2) else None
    axis = step.attribute("axis", -1)
    if weight.ndim != (-axis if axis < 0 else step.rank() - axis):
        raise ValueError("its scale has not the shape of what is normalized")
    layer = nn.LayerNorm(
        tuple(weight.shape),
        eps=step.attribute("epsilon", 1e-5),
        bias=bias is not None,
        device="meta",
    )
    return step.module(_filled(layer, weight=weight, bias=bias), name=step.layer_name(1))


LAYERS: dict[str, Callable[[Step], Any]] = {
    "Gemm": gemm,
    "MatMul": matmul,
    "Conv": conv,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
}
