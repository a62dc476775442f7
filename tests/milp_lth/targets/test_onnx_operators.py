"""Every operator that is read from ONNX, against torch and the reference that comes with onnx."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.nn import functional as f

from milp_lth.targets.onnx import OPERATORS, load_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.reference")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
RNG = np.random.default_rng(7)

Rows = str | int | None


def node(operator: str, inputs: str, output: str = "y", **attributes: Any) -> Any:
    return helper.make_node(operator, inputs.split(), output.split(), name=output, **attributes)


def model(
    nodes: list[Any],
    shape: tuple[Rows, ...],
    *,
    opset: int = 20,
    dtype: Any = np.float32,
    **tensors: Any,
) -> Any:
    """A model from x to y; its tensors are arrays, or lists of whole numbers."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    held = [
        numpy_helper.from_array(np.asarray(value), name.replace("__", "."))
        for name, value in tensors.items()
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        held,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = min(made.ir_version, 9)
    return made


def randn(*shape: int, dtype: Any = np.float32) -> Any:
    return RNG.standard_normal(shape).astype(dtype)


def check(
    made: Any,
    folder: Path,
    shape: tuple[int, ...],
    oracle: Callable[[torch.Tensor], torch.Tensor],
    *,
    reference: bool = True,
    scale: float = 1.0,
) -> fx.GraphModule:
    path = folder / "model.onnx"
    onnx.save(made, path)
    module = load_onnx(path)
    assert isinstance(module, fx.GraphModule)
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())
    kind = made.graph.input[0].type.tensor_type.elem_type
    dtype = torch.float64 if kind == onnx.TensorProto.DOUBLE else torch.float32
    x = torch.tensor(randn(*shape) * scale, dtype=dtype)
    y = module(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y, oracle(x), rtol=1e-5, atol=1e-6)
    if reference:
        (expected,) = onnx.reference.ReferenceEvaluator(made).run(None, {"x": x.numpy()})
        torch.testing.assert_close(y, torch.tensor(expected), rtol=1e-5, atol=1e-5)
    for another in (copy.deepcopy(module), fx.symbolic_trace(module)):
        torch.testing.assert_close(another(x), y)
    return module


def kinds(module: nn.Module) -> list[str]:
    return [type(child).__name__ for child in module.children()]


def calls(module: fx.GraphModule) -> list[Any]:
    return [n.target for n in module.graph.nodes if n.op == "call_function"]


def t(array: Any) -> torch.Tensor:
    return torch.tensor(array)


# ---------------------------------------------------------------------------------- linear layers


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", ["none", "row", "1 row", "scalar", "one"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gemm(tmp_path: Path, transposed: int, bias: str, dtype: Any) -> None:
    w = randn(4, 3, dtype=dtype)
    shapes: dict[str, tuple[int, ...]] = {"row": (3,), "1 row": (1, 3), "scalar": (), "one": (1,)}
    tensors = {"w": w.T.copy() if transposed else w}
    if bias != "none":
        tensors["c"] = np.asarray(randn(*shapes[bias]), dtype)
    inputs = "x w c" if bias != "none" else "x w"
    gemm = node("Gemm", inputs, transB=transposed, alpha=0.5, beta=2.0)
    made = model([gemm], ("n", 4), dtype=dtype, **tensors)
    added = t(tensors["c"]) * 2 if "c" in tensors else 0
    module = check(made, tmp_path, (5, 4), lambda x: 0.5 * x @ t(w) + added)
    assert kinds(module) == ["Linear"]
    assert module.get_parameter("y.weight").dtype == (
        torch.float32 if dtype == np.float32 else torch.float64
    )


def test_matmul_and_add_are_one_layer(tmp_path: Path) -> None:
    w, b, v, c = randn(4, 3), randn(3), randn(3, 2), randn(1, 2)
    nodes = [
        node("MatMul", "x fc1.weight", "h"), node("Add", "h b", "a"), node("Relu", "a", "r"),
        node("MatMul", "r v", "o"), node("Add", "c o"),
    ]  # fmt: skip
    made = model(nodes, ("n", 4), fc1__weight=w, b=b, v=v, c=c)
    module = check(made, tmp_path, (5, 4), lambda x: torch.relu(x @ t(w) + t(b)) @ t(v) + t(c))
    assert kinds(module) == ["Linear", "ReLU", "Linear"]
    assert list(dict(module.named_children())) == ["fc1", "r", "o"]
    assert calls(module) == []


def test_a_sum_that_others_read_stays_one(tmp_path: Path) -> None:
    w, b = randn(4, 3), randn(3)
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "a"), node("Mul", "a h")]
    made = model(nodes, ("n", 4), w=w, b=b)
    module = check(made, tmp_path, (5, 4), lambda x: (x @ t(w) + t(b)) * (x @ t(w)))
    assert len(calls(module)) == 2


def test_a_scalar_is_no_bias(tmp_path: Path) -> None:
    w, b = randn(4, 3), randn(1)
    made = model([node("MatMul", "x w", "h"), node("Add", "h b")], ("n", 4), w=w, b=b)
    check(made, tmp_path, (5, 4), lambda x: x @ t(w) + t(b))
    column = randn(5, 1)
    made = model([node("MatMul", "x w", "h"), node("Add", "h b")], (5, 4), w=w, b=column)
    with pytest.raises(ValueError, match="batches of 5 alone"):
        check(made, tmp_path, (5, 4), lambda x: x @ t(w) + t(column))


def test_products_of_values(tmp_path: Path) -> None:
    w = randn(4, 4)
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "g"),
        node("Softmax", "g", "s", axis=-1), node("MatMul", "s x", "v"), node("MatMul", "v w"),
    ]  # fmt: skip
    made = model(nodes, ("n", 3, 4), w=w)
    check(
        made, tmp_path, (2, 3, 4),
        lambda x: torch.softmax(x @ x.transpose(1, 2), -1) @ x @ t(w),
    )  # fmt: skip
    left = randn(3, 3)
    made = model([node("MatMul", "w x")], ("n", 3, 4), w=left)
    check(made, tmp_path, (2, 3, 4), lambda x: t(left) @ x)


def test_weights_that_are_transposed_in_the_file(tmp_path: Path) -> None:
    w = randn(3, 4)
    nodes = [node("Transpose", "fc.weight", "t", perm=[1, 0]), node("MatMul", "x t")]
    module = check(model(nodes, ("n", 4), fc__weight=w), tmp_path, (5, 4), lambda x: x @ t(w).T)
    assert kinds(module) == ["Linear"]


# ----------------------------------------------------------------------------------- convolutions


@pytest.mark.parametrize(
    ("attributes", "bias"),
    [
        ({}, True),
        ({"pads": [1, 1, 1, 1]}, False),
        ({"pads": [1, 0, 1, 0], "strides": [2, 1], "dilations": [1, 2]}, True),
        ({"pads": [0, 1, 2, 0], "strides": [2, 2]}, True),
        ({"group": 2, "kernel_shape": [3, 2]}, True),
        ({"auto_pad": "VALID"}, True),
        ({"auto_pad": "SAME_UPPER"}, True),
        ({"auto_pad": "SAME_LOWER", "strides": [1, 1]}, True),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 3]}, False),
        ({"auto_pad": "NOTSET", "pads": [0, 0, 0, 0]}, True),
    ],
)
def test_conv_2d(tmp_path: Path, attributes: dict[str, Any], bias: bool) -> None:
    group = attributes.get("group", 1)
    w, b = randn(6, 4 // group, 3, 2), randn(6)
    made = model(
        [node("Conv", "x w b" if bias else "x w", **attributes)], ("n", 4, 9, 8),
        w=w, **({"b": b} if bias else {}),
    )  # fmt: skip
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    pads = attributes.get("pads", [0, 0, 0, 0])
    if attributes.get("auto_pad", "").startswith("SAME"):
        total = []
        for size, length, stride in zip((9, 8), (3, 2), strides, strict=True):
            total.append(max((math.ceil(size / stride) - 1) * stride + length - size, 0))
        less, more = [n // 2 for n in total], [n - n // 2 for n in total]
        upper = attributes["auto_pad"] == "SAME_UPPER"
        pads = [*less, *more] if upper else [*more, *less]

    def oracle(x: torch.Tensor) -> torch.Tensor:
        x = f.pad(x, (pads[1], pads[3], pads[0], pads[2]))
        return f.conv2d(x, t(w), t(b) if bias else None, strides, 0, dilations, group)

    module = check(made, tmp_path, (2, 4, 9, 8), oracle)
    assert kinds(module)[-1] == "Conv2d"
    uneven = pads[:2] != pads[2:]
    assert kinds(module)[:-1] == ["ConstantPad2d"] * uneven


@pytest.mark.parametrize("pads", [[2, 2], [1, 0]])
def test_conv_1d_and_its_bias(tmp_path: Path, pads: list[int]) -> None:
    w, b = randn(6, 1, 3), randn(6)
    nodes = [node("Conv", "x w", "c", pads=pads, strides=[2], group=2), node("Add", "c b")]
    made = model(nodes, ("n", 2, 9), w=w, b=b.reshape(1, 6, 1))
    module = check(
        made, tmp_path, (3, 2, 9),
        lambda x: f.conv1d(f.pad(x, tuple(pads)), t(w), t(b), 2, groups=2),
    )  # fmt: skip
    assert kinds(module)[-1] == "Conv1d"
    assert calls(module) == []


# ---------------------------------------------------------------------------------------- pooling


@pytest.mark.parametrize(
    ("attributes", "oracle"),
    [
        ({"kernel_shape": [2, 2]}, lambda x: f.max_pool2d(x, 2, 1)),
        ({"kernel_shape": [2, 3], "strides": [2, 2]}, lambda x: f.max_pool2d(x, (2, 3), 2)),
        (
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
            lambda x: f.max_pool2d(x, 3, 2, 1),
        ),
        (
            {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
            lambda x: f.max_pool2d(x, 2, 2, ceil_mode=True),
        ),
        (
            {"kernel_shape": [2, 2], "dilations": [2, 3]},
            lambda x: f.max_pool2d(x, 2, 1, dilation=(2, 3)),
        ),
        (
            {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]},
            lambda x: f.max_pool2d(f.pad(x, (0, 1, 0, 1), value=-math.inf), 2, 1),
        ),
        (
            {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"},
            lambda x: f.max_pool2d(f.pad(x, (1, 0, 1, 0), value=-math.inf), 2, 1),
        ),
    ],
)
def test_max_pool(tmp_path: Path, attributes: Any, oracle: Any) -> None:
    made = model([node("MaxPool", "x", **attributes)], ("n", 2, 7, 8))
    even = "pads" not in attributes or len(set(attributes["pads"])) == 1
    module = check(made, tmp_path, (2, 2, 7, 8), oracle, reference=even)  # wrong where it is uneven
    assert kinds(module)[-1] == "MaxPool2d"


@pytest.mark.parametrize(
    ("attributes", "oracle"),
    [
        ({"kernel_shape": [2, 2]}, lambda x: f.avg_pool2d(x, 2, 1)),
        (
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
            lambda x: f.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        ),
        (
            {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
            lambda x: f.avg_pool2d(x, 3, 1, 1),
        ),
        (
            {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1], "count_include_pad": 1},
            lambda x: f.avg_pool2d(f.pad(x, (0, 1, 0, 1)), 2, 1),
        ),
    ],
)
def test_average_pool(tmp_path: Path, attributes: Any, oracle: Any) -> None:
    made = model([node("AveragePool", "x", **attributes)], ("n", 2, 7, 8))
    module = check(made, tmp_path, (2, 2, 7, 8), oracle)
    assert kinds(module)[-1] == "AvgPool2d"


def test_pooling_of_one_dimension(tmp_path: Path) -> None:
    for operator, function in (("MaxPool", f.max_pool1d), ("AveragePool", f.avg_pool1d)):
        made = model([node(operator, "x", kernel_shape=[3], strides=[2])], ("n", 2, 9))
        check(made, tmp_path, (2, 2, 9), lambda x, function=function: function(x, 3, 2))


@pytest.mark.parametrize("sizes", [(5,), (5, 6)])
def test_global_average_pool(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    made = model([node("GlobalAveragePool", "x")], ("n", 2, *sizes))
    places = tuple(range(2, 2 + len(sizes)))
    module = check(made, tmp_path, (3, 2, *sizes), lambda x: x.mean(places, keepdim=True))
    assert kinds(module) == [f"AdaptiveAvgPool{len(sizes)}d"]


# ---------------------------------------------------------------------------------- normalization


@pytest.mark.parametrize("sizes", [(), (6,), (5, 6)])
def test_batch_normalization(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    scale, bias, mean, var = randn(3), randn(3), randn(3), np.abs(randn(3)) + 0.1
    made = model(
        [node("BatchNormalization", "x bn.weight b m v", epsilon=1e-3, momentum=0.8)],
        ("n", 3, *sizes), opset=15, bn__weight=scale, b=bias, m=mean, v=var,
    )  # fmt: skip
    module = check(
        made, tmp_path, (4, 3, *sizes),
        lambda x: f.batch_norm(x, t(mean), t(var), t(scale), t(bias), eps=1e-3),
    )  # fmt: skip
    assert kinds(module) == ["BatchNorm2d" if len(sizes) == 2 else "BatchNorm1d"]
    assert list(dict(module.named_children())) == ["bn"]


@pytest.mark.parametrize("axis", [-1, 2, -2, 1])
@pytest.mark.parametrize("with_bias", [True, False])
def test_layer_normalization(tmp_path: Path, axis: int, with_bias: bool) -> None:
    shape = (5,) if axis in (-1, 2) else (4, 5)
    scale, bias = randn(*shape), randn(*shape)
    tensors = {"s": scale, "b": bias} if with_bias else {"s": scale}
    made = model(
        [node("LayerNormalization", "x s b" if with_bias else "x s", axis=axis, epsilon=1e-4)],
        ("n", 4, 5), **tensors,
    )  # fmt: skip
    b = t(bias) if with_bias else None
    module = check(made, tmp_path, (3, 4, 5), lambda x: f.layer_norm(x, shape, t(scale), b, 1e-4))
    assert kinds(module) == ["LayerNorm"]


def test_normalization_in_small_steps(tmp_path: Path) -> None:
    nodes = [
        node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "d"),
        node("Pow", "d two", "p"), node("ReduceMean", "p", "v", axes=[-1]),
        node("Add", "v eps", "e"), node("Sqrt", "e", "s"), node("Div", "d s"),
    ]  # fmt: skip
    made = model(nodes, ("n", 5), opset=13, two=np.float32(2), eps=np.array([1e-5], np.float32))
    check(made, tmp_path, (3, 5), lambda x: f.layer_norm(x, (5,)))


# ------------------------------------------------------------------------------------ activations

ACTIVATIONS: dict[str, tuple[Any, int, Any, str]] = {
    "Relu": (node("Relu", "x"), 20, torch.relu, "ReLU"),
    "LeakyRelu": (node("LeakyRelu", "x"), 20, lambda x: f.leaky_relu(x, 0.01), "LeakyReLU"),
    "LeakyRelu 0.3": (
        node("LeakyRelu", "x", alpha=0.3), 20, lambda x: f.leaky_relu(x, 0.3), "LeakyReLU",
    ),
    "Tanh": (node("Tanh", "x"), 20, torch.tanh, "Tanh"),
    "Sigmoid": (node("Sigmoid", "x"), 20, torch.sigmoid, "Sigmoid"),
    "Gelu": (node("Gelu", "x"), 20, f.gelu, "GELU"),
    "Gelu tanh": (
        node("Gelu", "x", approximate="tanh"), 20, lambda x: f.gelu(x, approximate="tanh"), "GELU",
    ),
    "Softmax": (node("Softmax", "x"), 20, lambda x: x.softmax(-1), "Softmax"),
    "Softmax 1": (node("Softmax", "x", axis=1), 20, lambda x: x.softmax(1), "Softmax"),
    "Softmax, old": (node("Softmax", "x", axis=2), 11, lambda x: x.softmax(-1), "Softmax"),
    "LogSoftmax": (node("LogSoftmax", "x"), 20, lambda x: x.log_softmax(-1), "LogSoftmax"),
    "Neg": (node("Neg", "x"), 20, torch.neg, ""),
    "Erf": (node("Erf", "x"), 20, torch.erf, ""),
    "Clip, old": (node("Clip", "x", min=-0.5, max=1.0), 10, lambda x: x.clamp(-0.5, 1), ""),
    "ReLU6, old": (node("Clip", "x", min=0.0, max=6.0), 10, f.relu6, "ReLU6"),
    "Identity": (node("Identity", "x"), 20, lambda x: x, ""),
    "Dropout": (node("Dropout", "x"), 20, lambda x: x, ""),
    "Dropout, old": (node("Dropout", "x", ratio=0.3), 11, lambda x: x, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", ACTIVATIONS)
def test_activations(tmp_path: Path, case: str) -> None:
    made_node, opset, oracle, kind = ACTIVATIONS[case]
    made = model([made_node], ("n", 3, 4), opset=opset)
    module = check(made, tmp_path, (5, 3, 4), oracle, scale=4.0, reference=case != "Softmax, old")
    assert kinds(module) == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [(0, 6, "ReLU6"), (0, None, "ReLU"), (None, 2, ""), (-1, 1, ""), (None, None, "")],
)
def test_clip(tmp_path: Path, low: float | None, high: float | None, kind: str) -> None:
    bounds = {"low": low, "high": high}
    names = [n if bounds[n] is not None else "" for n in bounds]
    made_node = helper.make_node("Clip", ["x", *names], ["y"])
    tensors = {n: np.float32(v) for n, v in bounds.items() if v is not None}
    made = model([made_node], ("n", 4), **tensors)
    module = check(
        made, tmp_path, (50, 4),
        lambda x: x if low is high else x.clamp(low, high), scale=5.0,
        reference=low is not high,
    )  # fmt: skip
    assert kinds(module) == ([kind] if kind else [])


def test_gelu_in_small_steps(tmp_path: Path) -> None:
    nodes = [
        node("Constant", "", "root", value_float=math.sqrt(2)), node("Div", "x root", "d"),
        node("Erf", "d", "e"), node("Add", "one e", "a"), node("Mul", "x a", "m"),
        node("Mul", "m half"),
    ]  # fmt: skip
    made = model(nodes, ("n", 4), one=np.float32(1), half=np.array([0.5], np.float32))
    module = check(made, tmp_path, (5, 4), f.gelu)
    assert len(calls(module)) == 5


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
def test_arithmetic(tmp_path: Path, operator: str) -> None:
    function = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div}[operator]
    for constant in (randn(3, 4), randn(4), randn(1), np.float32(2.5), randn(1, 3, 1)):
        made = model([node(operator, "x c")], ("n", 3, 4), c=constant)
        check(made, tmp_path, (2, 3, 4), lambda x, c=constant: function(x, t(c)))
        made = model([node(operator, "c x")], ("n", 3, 4), c=constant)
        check(made, tmp_path, (2, 3, 4), lambda x, c=constant: function(t(c), x))
    nodes = [node("Relu", "x", "r"), node(operator, "r x")]
    check(model(nodes, ("n", 3)), tmp_path, (2, 3), lambda x: function(torch.relu(x), x))


# ----------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("axis", "oracle"),
    [
        (1, lambda x: x.flatten(1)),
        (2, lambda x: x.reshape(-1, 20)),
        (-1, lambda x: x.reshape(-1, 5)),
        (4, lambda x: x.reshape(-1, 1)),
    ],
)
def test_flatten(tmp_path: Path, axis: int, oracle: Any) -> None:
    nodes = [node("Flatten", "x", "f", axis=axis), node("Reshape", "f s")]
    made = model(nodes, ("n", 3, 4, 5), s=np.array([-1, 60]))
    module = check(made, tmp_path, (2, 3, 4, 5), lambda x: oracle(x).reshape(-1, 60))
    if axis == 1:
        assert kinds(module)[0] == "Flatten"


RESHAPES: dict[str, tuple[tuple[Rows, ...], list[int], tuple[int, ...], bool]] = {
    "0 -1": (("n", 3, 4), [0, -1], (-1, 12), True),
    "-1 all": (("n", 3, 4), [-1, 12], (-1, 12), True),
    "fixed batch": ((1, 3, 4), [1, 12], (-1, 12), True),
    "fixed batch, -1": ((1, 3, 4), [1, -1], (-1, 12), True),
    "fixed batch of 8": ((8, 3, 4), [8, 2, 6], (-1, 2, 6), False),
    "fixed batch, -1 inside": ((8, 3, 4), [8, -1, 6], (-1, 2, 6), False),
    "0 0 -1": (("n", 3, 4), [0, 0, -1], (-1, 3, 4), False),
    "0 0 and split": (("n", 3, 4), [0, 0, 2, 2], (-1, 3, 2, 2), False),
    "-1 and split": (("n", 3, 4), [-1, 6, 2], (-1, 6, 2), False),
}


@pytest.mark.parametrize("case", RESHAPES)
def test_reshape_keeps_the_batch(tmp_path: Path, case: str) -> None:
    shape, asked, expected, flattened = RESHAPES[case]
    made = model([node("Reshape", "x s")], shape, s=np.array(asked))
    for rows in (1, 7):
        fits = shape[0] in ("n", rows)
        module = check(made, tmp_path, (rows, 3, 4), lambda x: x.reshape(expected), reference=fits)
    assert kinds(module) == (["Flatten"] if flattened else [])


def test_a_view_of_a_batch_as_older_exporters_write_it(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "s"), node("Constant", "", "k", value_int=0),
        node("Gather", "s k", "n", axis=0), node("Unsqueeze", "n zero", "u"),
        node("Concat", "u rest", "shape", axis=0), node("Reshape", "x shape"),
    ]  # fmt: skip
    for rest in ([-1], [12], [2, 6], [2, -1]):
        made = model(nodes, ("n", 3, 4), zero=[0], rest=np.array(rest))
        module = check(made, tmp_path, (5, 3, 4), lambda x, r=rest: x.reshape(len(x), *r))
        assert kinds(module) == ["Flatten"] * (len(rest) == 1)
    nodes = [
        node("Shape", "x", "s"), node("Slice", "s zero one zero", "n"),
        node("Cast", "n", "c", to=7), node("Concat", "c rest", "shape", axis=0),
        node("Reshape", "x shape"),
    ]  # fmt: skip
    made = model(nodes, ("n", 3, 4), zero=[0], one=[1], rest=np.array([-1]))
    check(made, tmp_path, (5, 3, 4), lambda x: x.flatten(1))


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze(tmp_path: Path, opset: int) -> None:
    def with_axes(operator: str, value: str, output: str, axes: str, numbers: list[int]) -> Any:
        if opset < 13:
            return node(operator, value, output, axes=numbers)
        return node(operator, f"{value} {axes}", output)

    nodes = [
        with_axes("Unsqueeze", "x", "u", "a", [1, -1]), with_axes("Squeeze", "u", "s", "b", [-1]),
        with_axes("Squeeze", "s", "y", "c", [1]),
    ]  # fmt: skip
    tensors = {"a": [1, -1], "b": [-1], "c": [1]} if opset == 13 else {}
    check(model(nodes, ("n", 3), opset=opset, **tensors), tmp_path, (5, 3), lambda x: x)


def test_other_shapes(tmp_path: Path) -> None:
    nodes = [node("Transpose", "x", "t"), node("Transpose", "t")]
    check(model(nodes, ("n", 3, 4)), tmp_path, (2, 3, 4), lambda x: x)
    row = randn(1, 2, 4)
    nodes = [node("Relu", "x", "r"), node("Concat", "x r", axis=1)]
    check(model(nodes, ("n", 3)), tmp_path, (2, 3), lambda x: torch.cat([x, x.relu()], 1))
    nodes = [node("Mul", "x c", "m"), node("Concat", "m x", axis=-2)]
    check(
        model(nodes, ("n", 2, 4), c=row), tmp_path, (3, 2, 4),
        lambda x: torch.cat([x * t(row), x], -2),
    )  # fmt: skip
    made = model([node("Gather", "x i", axis=1)], ("n", 4), i=np.array([3, 0, 0, -1]))
    check(made, tmp_path, (2, 4), lambda x: x[:, [3, 0, 0, 3]])
    made = model([node("Gather", "x i", axis=1)], ("n", 4, 2), i=np.int64(1))
    check(made, tmp_path, (2, 4, 2), lambda x: x[:, 1])


@pytest.mark.parametrize(
    ("opset", "axes", "keep", "kind"),
    [(11, [2, 3], 1, True), (18, [-1, -2], 1, True), (18, [1], 0, False), (18, [-1], 1, False)],
)
def test_reduce_mean(tmp_path: Path, opset: int, axes: list[int], keep: int, kind: bool) -> None:
    if opset < 18:
        made = model(
            [node("ReduceMean", "x", axes=axes, keepdims=keep)], ("n", 2, 3, 4), opset=opset
        )
    else:
        made = model([node("ReduceMean", "x a", keepdims=keep)], ("n", 2, 3, 4), a=axes)
    module = check(made, tmp_path, (2, 2, 3, 4), lambda x: x.mean(axes, keepdim=bool(keep)))
    assert kinds(module) == ["AdaptiveAvgPool2d"] * kind


@pytest.mark.parametrize(
    ("pads", "tensors", "oracle"),
    [
        ([0, 0, 1, 0, 0, 0, 0, 2], {}, lambda x: f.pad(x, (0, 2, 1, 0))),
        ([0, 0, 0, 1, 0, 0, 0, 1], {"v": np.float32(3)}, lambda x: f.pad(x, (1, 1), value=3)),
        ([0, 1, 0, 0, 0, 1, 0, 0], {}, lambda x: f.pad(x, (0, 0, 0, 0, 1, 1))),
    ],
)
def test_pad(tmp_path: Path, pads: list[int], tensors: Any, oracle: Any) -> None:
    made = model(
        [node("Pad", "x p v" if tensors else "x p")], ("n", 2, 3, 4), p=np.array(pads), **tensors
    )
    check(made, tmp_path, (2, 2, 3, 4), oracle)


def test_constants_are_computed_while_reading(tmp_path: Path) -> None:
    w = randn(2, 6)
    nodes = [
        node("Reshape", "w s", "r"), node("Transpose", "r", "t"), node("Mul", "t two", "m"),
        node("Sqrt", "four", "q"), node("Add", "m q", "a"), node("Identity", "a", "i"),
        node("MatMul", "x i"),
    ]  # fmt: skip
    made = model(
        nodes, ("n", 4), w=w, s=np.array([3, 4]),
        two=np.float32(2), four=np.float32(4),
    )  # fmt: skip
    module = check(made, tmp_path, (5, 4), lambda x: x @ (t(w).reshape(3, 4).T * 2 + 2))
    assert kinds(module) == ["Linear"]
    assert calls(module) == []


def test_every_operator_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert not [name for name in OPERATORS if f'"{name}"' not in text]


# --------------------------------------------------------------------------- what is not supported

UNSUPPORTED: dict[str, tuple[Any, tuple[Rows, ...], dict[str, Any], str]] = {
    "operator": (node("LSTM", "x x x", "a y"), ("n", 3), {}, r"\(LSTM\) is not supported: an ONNX"),
    "domain": (node("Relu", "x", domain="my"), ("n", 3), {}, r"\(my::Relu\) is not supported"),
    "transA": (node("Gemm", "x w", transA=1), (3, 3), {"w": randn(3, 3)}, "transA"),
    "matrix bias": (
        node("Gemm", "x w c"), ("n", 3), {"w": randn(3, 3), "c": randn(2, 3)}, "only a bias",
    ),
    "3d": (node("Conv", "x w"), ("n", 1, 4, 4, 4), {"w": randn(1, 1, 2, 2, 2)}, "3 dimensions"),
    "kernel": (
        node("Conv", "x w", kernel_shape=[3, 3]), ("n", 1, 4, 4), {"w": randn(1, 1, 2, 2)},
        "kernel_shape is not that",
    ),
    "group": (node("Conv", "x w", group=2), ("n", 2, 4), {"w": randn(3, 1, 2)}, "2 groups"),
    "weights": (node("Conv", "x x"), ("n", 1, 4, 4), {}, "weights must be constant"),
    "negative pads": (
        node("Conv", "x w", pads=[-1, 0]), ("n", 1, 4), {"w": randn(1, 1, 2)}, "from 0 up",
    ),
    "strides": (node("Conv", "x w", strides=[0]), ("n", 1, 4), {"w": randn(1, 1, 2)}, "above 0"),
    "auto_pad of what is unknown": (
        node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2]), ("n", 1, None),
        {"w": randn(1, 1, 2)}, "needs a fixed size",
    ),
    "storage_order": (
        node("MaxPool", "x", kernel_shape=[2, 2], storage_order=1), ("n", 1, 4, 4), {},
        "storage_order",
    ),
    "uneven average": (
        node("AveragePool", "x", kernel_shape=[2], pads=[0, 1]), ("n", 1, 4), {}, "pad evenly",
    ),
    "pooling of nothing": (node("MaxPool", "x"), ("n", 1, 4), {}, "one or two dimensions alone"),
    "attribute": (node("Relu", "x", slope=1.0), ("n", 3), {}, "attribute 'slope'"),
    "kind of attribute": (node("LeakyRelu", "x", alpha="a"), ("n", 3), {}, "'alpha' is not of"),
    "training": (
        node("Dropout", "x r t"), ("n", 3), {"r": np.float32(0.5), "t": np.bool_(True)},
        r"model\.eval\(\)",
    ),
    "squeeze": (node("Squeeze", "x"), ("n", 3, 1), {}, "axes are missing"),
    "pad": (node("Pad", "x p", mode="reflect"), ("n", 3), {"p": [0, 1, 0, 1]}, "by a constant"),
    "cast": (node("Cast", "x", to=11), ("n", 3), {}, "several kinds of numbers"),
    "cast to halves": (node("Cast", "x", to=10), ("n", 3), {}, "casting to such numbers"),
    "two precisions": (node("Add", "x c"), ("n", 3), {"c": randn(3, dtype=np.float64)}, "mixes"),
    "missing input": (node("Add", "x z"), ("n", 3), {}, "'z' is read before anything gives it"),
    "no second input": (node("Add", "x"), ("n", 3), {}, "input 1 is missing"),
    "sizes": (node("Gather", "x i"), ("n", 3), {"i": [[0]]}, "row of indices"),
    "a shape of no use": (node("Reshape", "x s"), ("n", 3), {"s": [2, 2]}, "do not fit each other"),
    "shapes": (node("Gemm", "x w"), ("n", 3), {"w": randn(4, 3)}, "do not fit each other"),
    "broadcast": (node("Add", "x c"), ("n", 3), {"c": randn(4)}, "do not fit each other"),
    "layer norm": (node("LayerNormalization", "x s"), ("n", 3), {"s": randn(4, 3, 2)}, "scale"),
    "batch norm": (
        node("BatchNormalization", "x s s s s"), (None,) * 5, {"s": randn(3)}, "5 dimensions",
    ),
    "old softmax": (node("Softmax", "x", axis=1), ("n", 3, 4), {"opset": 11}, "opset 13"),
    "old opset": (node("Relu", "x"), ("n", 3), {"opset": 6}, "opset 6: export it with one from 7"),
    "new opset": (node("Relu", "x"), ("n", 3), {"opset": 99}, "opset 99"),
    "no batch": (node("Relu", "x"), (3,), {}, "no batch dimension"),
    "lost batch": (node("ReduceMean", "x a"), ("n", 3), {"a": [0]}, "one row for every row"),
    "half": (node("Relu", "x"), ("n", 3), {"dtype": np.float16}, "of float16: export"),
    "half weights": (
        node("Gemm", "x w"), ("n", 3), {"w": randn(3, 3, dtype=np.float16)}, "is of float16",
    ),
    "too much from constants": (
        node("Add", "a b", "y"), ("n", 3), {"a": randn(20000, 1), "b": randn(1, 20000)},
        "numbers would follow",
    ),
    "constant output": (node("Identity", "c"), ("n", 3), {"c": randn(3)}, "does not depend"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_is_not_supported_is_named_in_one_line(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    made_node, shape, tensors, message = UNSUPPORTED[case]
    path = tmp_path / "model.onnx"
    onnx.save(model([made_node], shape, **tensors), path)
    with pytest.raises(ValueError, match=message) as caught:
        load_onnx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
