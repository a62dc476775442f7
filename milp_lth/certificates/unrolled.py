"""Convolutions and pooling as plain matrices, for networks of pictures that are small.

A convolution is the matrix that it multiplies a flattened picture by. The largest of two numbers
p, q ≥ 0 is p + relu(q − p), so pooling is ReLUs, too: both networks pool alike.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from instances.arrays import BoolArray, FloatArray, IntArray
from milp_lth.networks.batch_norm import NoSequences
from milp_lth.networks.forms import Convolution, Form
from milp_lth.networks.walked import Hole, Walked

SUPPORTED = (
    "certificates are for Linear, Conv2d, ReLU, Flatten, Dropout and pooling in a Sequential, "
    "with an Unflatten in front where there are pictures"
)

_LARGEST = 1 << 24  # entries of one matrix


class Place(NamedTuple):
    """Here stands a layer; where it is a convolution, `shape` is that of its inputs."""

    layer: int
    shape: tuple[int, ...]


class Rectified(NamedTuple):
    """Here stands a ReLU."""


class Mixed(NamedTuple):
    """Here both networks multiply by one matrix; it has no bias."""

    matrix: FloatArray


Step = Place | Rectified | Mixed


def steps_of(body: Walked, outputs: list[int]) -> Iterator[Step]:
    """Walk through a module of known steps.

    Parameters
    ----------
    body
        The target beside its layers.
    outputs
        Features or channels that each layer makes.

    Raises
    ------
    ValueError
        When it holds anything else, or its pictures are too large.
    """
    index_of = {paths[0]: k for k, paths in enumerate(body.places) if len(paths) == 1}
    shape: tuple[int, ...] = ()
    started = rectified = False
    for path, module in _leaves("", body.template):
        if type(module) is Hole:
            if path not in index_of:
                raise ValueError(f"{SUPPORTED}: layer {path!r} stands at several places")
            yield Place(index_of[path], shape)
            made = outputs[index_of[path]]
            form: Any = module.numbers
            shape = (made, *_places(shape, form)) if "kernel_size" in form else ()
            started, rectified = True, False
        elif isinstance(module, nn.ReLU):
            if not started and shape:
                yield Mixed(np.eye(int(np.prod(shape))))
            started = rectified = True
            yield Rectified()
        elif type(module) is nn.Unflatten and module.dim == 1:
            shape = tuple(int(n) for n in module.unflattened_size)
        elif isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            shape = ()
        elif type(module) in (nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.MaxPool2d):
            windows, space = _windows(module, shape)
            if type(module) is nn.MaxPool2d:
                if not rectified:
                    raise ValueError(f"{SUPPORTED}: {path!r} pools what is no ReLU's")
                yield from _largest_of(windows, int(np.prod(shape)))
            else:
                yield Mixed(_mean_of(windows, int(np.prod(shape)), path))
            shape = (shape[0], *space)
        elif not isinstance(module, nn.Identity | nn.Dropout | nn.Dropout2d | NoSequences):
            raise ValueError(f"{SUPPORTED}: {path!r} is a {type(module).__name__}")


def unrolled(
    form: Form, matrix: FloatArray, bias: FloatArray | None, shape: tuple[int, ...]
) -> tuple[FloatArray, FloatArray]:
    """Return a layer's matrix and bias for flattened inputs of a shape (channels, height, width).

    Raises
    ------
    ValueError
        When the shape does not fit, or the matrix would be too large.
    """
    if not isinstance(form, Convolution):
        return matrix, np.zeros(len(matrix)) if bias is None else bias
    column = None if bias is None else torch.from_numpy(bias.copy())
    module: Any = form.module(torch.from_numpy(matrix.copy()), column)
    weight = module.weight.numpy()
    if len(form.kernel) != 2 or form.padding_mode != "zeros" or len(shape) != 3:
        raise ValueError(f"{SUPPORTED}: a Conv2d with zeros around a picture of known size")
    space = _places(shape, vars(module))
    num_places, num_inputs = int(np.prod(space)), int(np.prod(shape))
    if len(weight) * num_places * num_inputs > _LARGEST:
        raise ValueError(f"{SUPPORTED}: pictures of shape {shape} are too large to be unrolled")
    full = np.zeros((len(weight), num_places, num_inputs))
    per_group = len(weight) // form.groups
    for channel in range(weight.shape[1]):
        for tap in np.ndindex(*form.kernel):
            pixel, inside = _seen(tap, shape, space, vars(module))
            for group in range(form.groups):
                rows = np.arange(group * per_group, (group + 1) * per_group)
                first = (group * weight.shape[1] + channel) * shape[1] * shape[2]
                at = np.flatnonzero(inside)
                full[rows[:, None], at, first + pixel[inside]] = weight[rows, channel, *tap][
                    :, None
                ]
    spread = np.zeros(len(weight)) if module.bias is None else module.bias.numpy()
    return full.reshape(-1, num_inputs), np.repeat(spread, num_places)


def _leaves(path: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is not nn.Sequential:
        yield path, module
        return
    for name, part in module.named_children():
        yield from _leaves(f"{path}.{name}" if path else name, part)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _before(numbers: dict[str, Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the zeros in front of a picture, and all zeros, in both dimensions."""
    padding = numbers["padding"]
    if not isinstance(padding, str):
        rows, columns = _pair(padding)
        return (rows, columns), (2 * rows, 2 * columns)
    kernel, dilation = _pair(numbers["kernel_size"]), _pair(numbers["dilation"])
    total = [d * (k - 1) * (padding == "same") for k, d in zip(kernel, dilation, strict=True)]
    return (total[0] // 2, total[1] // 2), (total[0], total[1])


def _places(shape: tuple[int, ...], numbers: dict[str, Any]) -> tuple[int, int]:
    """Return height and width of what a convolution makes."""
    if len(shape) != 3:
        raise ValueError(f"{SUPPORTED}: a convolution's picture has no known size")
    kernel, stride = _pair(numbers["kernel_size"]), _pair(numbers["stride"])
    dilation, (_, zeros) = _pair(numbers["dilation"]), _before(numbers)
    rows, columns = (
        (shape[1 + k] + zeros[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1
        for k in (0, 1)
    )
    return rows, columns


def _seen(
    tap: tuple[int, ...], shape: tuple[int, ...], space: tuple[int, int], numbers: dict[str, Any]
) -> tuple[IntArray, BoolArray]:
    """Return which pixel of a channel one place of the kernel sees, and whether it is one."""
    stride, dilation = _pair(numbers["stride"]), _pair(numbers["dilation"])
    (top, left), _ = _before(numbers)
    rows = np.arange(space[0])[:, None] * stride[0] + tap[0] * dilation[0] - top
    columns = np.arange(space[1])[None, :] * stride[1] + tap[1] * dilation[1] - left
    inside = (rows >= 0) & (rows < shape[1]) & (columns >= 0) & (columns < shape[2])
    return (rows * shape[2] + columns).ravel(), np.asarray(inside).ravel()


def _windows(module: Any, shape: tuple[int, ...]) -> tuple[list[IntArray], tuple[int, int]]:
    """Return which features each place of a pooling sees, and how many places there are."""
    if len(shape) != 3:
        raise ValueError(f"{SUPPORTED}: a pooling's picture has no known size")
    size = shape[1:]
    if type(module) is nn.AdaptiveAvgPool2d:
        space = _pair(module.output_size)
        if any(n % m for n, m in zip(size, space, strict=True)):
            raise ValueError(f"{SUPPORTED}: pooling to {space} of pictures of {size}")
        kernel = stride = (size[0] // space[0], size[1] // space[1])
    else:
        kernel, stride = _pair(module.kernel_size), _pair(module.stride)
        plain = _pair(module.padding) == (0, 0) and not module.ceil_mode
        if not plain or _pair(getattr(module, "dilation", 1)) != (1, 1):
            raise ValueError(f"{SUPPORTED}: pooling without padding or dilation")
        space = tuple((n - k) // s + 1 for n, k, s in zip(size, kernel, stride, strict=True))  # type: ignore[assignment]
    if int(np.prod(shape)) ** 2 > _LARGEST:
        raise ValueError(f"{SUPPORTED}: pictures of shape {shape} are too large to be unrolled")
    features = np.arange(int(np.prod(shape))).reshape(shape)
    return [
        features[c, i * stride[0] :, j * stride[1] :][: kernel[0], : kernel[1]].ravel()
        for c, i, j in np.ndindex(shape[0], *space)
    ], space


def _mean_of(windows: list[IntArray], size: int, path: str) -> FloatArray:
    share = 1 / len(windows[0])
    if np.frexp(share)[0] != 0.5:
        raise ValueError(
            f"{SUPPORTED}: {path!r} means {len(windows[0])} numbers, and a share of that is no "
            "float: 2, 4, 8 and so on are"
        )
    matrix = np.zeros((len(windows), size))
    for row, window in zip(matrix, windows, strict=True):
        row[window] = share
    return matrix


def _largest_of(windows: list[IntArray], size: int) -> Iterator[Step]:
    """Compare numbers in pairs, then the larger ones of these."""
    left = [[np.eye(1, size, k)[0] for k in window] for window in windows]
    while len(left[0]) > 1:
        rows: list[FloatArray] = []
        pairs = len(left[0]) // 2
        for values in left:
            for p, q in zip(values[: 2 * pairs : 2], values[1::2], strict=False):
                rows += [p, q - p]
            rows += values[2 * pairs :]
        yield Mixed(np.array(rows))
        yield Rectified()
        per_window = len(rows) // len(windows)
        left = []
        for k in range(len(windows)):
            first = k * per_window
            one = [np.eye(1, len(rows), first + j)[0] for j in range(per_window)]
            left.append([one[2 * j] + one[2 * j + 1] for j in range(pairs)] + one[2 * pairs :])
    yield Mixed(np.array([values[0] for values in left]))
