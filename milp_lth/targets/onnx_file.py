"""What lies in an ONNX file: its nodes, tensors and shapes, read without running any code."""

import math
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from instances.plain_files import content_of, size_of

if TYPE_CHECKING:
    import onnx

NOT_WHOLE = "not a whole .onnx file"
OPSETS = range(7, 29)
"""Versions of the operators whose meaning is known here."""

_MAX_FILE = 2**31  # what the format allows
_MAX_EXTERNAL = 2**34
_MAX_NODES = 100_000
_SMALL = 64  # numbers of a tensor that shapes may be computed from
_DOMAINS = ("", "ai.onnx")

Shape = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One operator of a file; names of inputs that are left out are empty."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """The part of a file that its output needs."""

    opset: int
    nodes: tuple[OnnxNode, ...]
    input: str
    output: str
    dtype: torch.dtype
    """Of the input: float32 or float64."""
    shapes: dict[str, Shape]
    """Of values, as far as they are known; None is a size that is not."""
    uses: Counter[str]
    """How often every value is read, the file's output being one."""
    initializers: dict[str, Any]
    folder: Path

    def has_tensor(self, name: str) -> bool:
        """Whether the file holds a tensor of this name."""
        return name in self.initializers

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor that the file holds, or one that lies beside it.

        Raises
        ------
        ValueError
            When it is damaged, outside of the file's folder, or of another kind than numbers.
        """
        return read_tensor(self.initializers[name], self.folder)


def require_onnx() -> None:
    """Raise the `ImportError` that names the cure where the onnx package is missing."""
    if find_spec("onnx") is None:
        raise ImportError("ONNX files need onnx: pip install 'milp_lth[onnx]'")


def read_onnx(path: Path) -> OnnxGraph:
    """Read the nodes that an ONNX file's output needs.

    Parameters
    ----------
    path
        The file. Its tensors are read when they are asked for.

    Raises
    ------
    ImportError
        When onnx is not installed.
    OSError
        When the file cannot be read.
    ValueError
        When it is not a whole model of one input and one output, too large, or too new.
    """
    require_onnx()
    import onnx

    if size_of(path) >= _MAX_FILE:
        raise ValueError("larger than 2 GiB: keep its weights in a file beside it (external data)")
    try:
        model = onnx.load_model_from_string(content_of(path))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of protobuf, which need not be known here
        raise ValueError(NOT_WHOLE) from error
    opset = _opset(model)
    graph = model.graph
    if graph.sparse_initializer:
        raise ValueError("holds sparse tensors, which are not supported: make them dense")
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initializers]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ValueError(
            f"has {_count(inputs, 'input')} and {_count(graph.output, 'output')}: "
            "a target has one of each"
        )
    nodes = _needed(graph, graph.output[0].name)
    uses = Counter(name for node in nodes for name in node.inputs if name)
    uses[graph.output[0].name] += 1
    return OnnxGraph(
        opset=opset,
        nodes=nodes,
        input=inputs[0].name,
        output=graph.output[0].name,
        dtype=_input_dtype(inputs[0]),
        shapes=_shapes(model, set(initializers)),
        uses=uses,
        initializers=initializers,
        folder=path.parent,
    )


def _count(values: Any, word: str) -> str:
    return f"{len(values)} {word}{'' if len(values) == 1 else 's'}"


def _opset(model: "onnx.ModelProto") -> int:
    """Return the version of the operators, once it is clear that this is a model at all."""
    versions = [entry.version for entry in model.opset_import if entry.domain in _DOMAINS]
    if len(versions) != 1 or not model.graph.node:
        raise ValueError(NOT_WHOLE)
    if any(function.domain in _DOMAINS for function in model.functions):
        raise ValueError("gives operators of ONNX a meaning of its own, which is not supported")
    if versions[0] not in OPSETS:
        raise ValueError(
            f"is of opset {versions[0]}: export it with one from {OPSETS[0]} to {OPSETS[-1]}"
        )
    return int(versions[0])


def _needed(graph: "onnx.GraphProto", output: str) -> tuple[OnnxNode, ...]:
    """Return the nodes that lead to the output, in order."""
    if len(graph.node) > _MAX_NODES:
        raise ValueError(f"has {len(graph.node):,} nodes: more than {_MAX_NODES:,} are not read")
    wanted, found = {output}, []
    for k in reversed(range(len(graph.node))):
        node = graph.node[k]
        if wanted.isdisjoint(node.output):
            continue
        wanted |= set(node.input)
        standard = node.domain in _DOMAINS
        found.append(
            OnnxNode(
                node.name or next((name for name in node.output if name), str(k)),
                node.op_type if standard else f"{node.domain}::{node.op_type}",
                tuple(node.input),
                tuple(node.output),
                {attribute.name: _attribute(attribute) for attribute in node.attribute},
            )
        )
    return tuple(reversed(found))


def _attribute(attribute: "onnx.AttributeProto") -> Any:
    """Return an attribute's value; the attribute itself where it is of no kind that is used."""
    kinds = type(attribute)
    if attribute.ref_attr_name:
        return attribute
    if attribute.type == kinds.FLOAT:
        return float(attribute.f)
    if attribute.type == kinds.INT:
        return int(attribute.i)
    if attribute.type == kinds.STRING:
        return attribute.s.decode("utf-8", errors="replace")
    if attribute.type == kinds.FLOATS:
        return [float(number) for number in attribute.floats]
    if attribute.type == kinds.INTS:
        return [int(number) for number in attribute.ints]
    return attribute.t if attribute.type == kinds.TENSOR else attribute


def _input_dtype(value: "onnx.ValueInfoProto") -> torch.dtype:
    kinds = {1: torch.float32, 11: torch.float64}
    kind = value.type.tensor_type.elem_type
    if kind not in kinds:
        raise ValueError(
            f"its input is not of float32 or float64 numbers but of {kind_name(kind)}: "
            "export the model in one of these"
        )
    return kinds[kind]


def kind_name(kind: int) -> str:
    """Return what ONNX calls a kind of numbers."""
    import onnx

    names = {number: name for name, number in onnx.TensorProto.DataType.items()}
    return str(names.get(kind, f"kind {kind}")).lower()


def _shapes(model: "onnx.ModelProto", tensors: set[str]) -> dict[str, Shape]:
    """Return the shapes that ONNX infers; large tensors are stood for by their shapes alone."""
    import onnx

    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    graph, whole = bare.graph, model.graph
    graph.node.extend(whole.node)
    graph.output.extend(whole.output)
    graph.input.extend(value for value in whole.input if value.name not in tensors)
    for tensor in whole.initializer:
        if math.prod(tensor.dims) <= _SMALL and not tensor.external_data:
            graph.initializer.append(tensor)
        else:
            described = onnx.helper.make_tensor_value_info(
                tensor.name, tensor.data_type, list(tensor.dims)
            )
            graph.input.append(described)
    try:
        known = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
    except Exception:  # of many kinds, and no reason to stop: what needs a shape says so
        known = graph
    found: dict[str, Shape] = {}
    for value in (*known.value_info, *known.output, *known.input):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            found[value.name] = tuple(
                size.dim_value if size.HasField("dim_value") and size.dim_value >= 0 else None
                for size in kind.shape.dim
            )
    return found


def read_tensor(tensor: "onnx.TensorProto", folder: Path) -> torch.Tensor:
    """Return the numbers of a tensor, in memory of their own.

    Raises
    ------
    ValueError
        When it is damaged, outside of `folder`, or of another kind than float32, float64, integers
        and truth values.
    """
    import onnx

    kinds = onnx.TensorProto
    dtypes: dict[int, type] = {
        kinds.FLOAT: np.float32, kinds.DOUBLE: np.float64, kinds.INT64: np.int64,
        kinds.INT32: np.int32, kinds.BOOL: np.bool_,
    }  # fmt: skip
    name = shown(tensor.name)
    if tensor.data_type not in dtypes:
        raise ValueError(
            f"tensor {name} is of {kind_name(tensor.data_type)}: export the model in float32 or "
            "float64"
        )
    shape = tuple(tensor.dims)
    if min(shape, default=0) < 0:
        raise ValueError(NOT_WHOLE)
    try:
        if tensor.data_location == kinds.EXTERNAL:
            dtype = np.dtype(dtypes[tensor.data_type])
            array = _external(tensor, folder, dtype, math.prod(shape)).reshape(shape)
        else:
            array = onnx.numpy_helper.to_array(tensor)
    except OSError as error:
        raise ValueError(
            f"tensor {name} lies in another file, which cannot be read "
            f"({error.strerror or error}): keep the two files together"
        ) from error
    except (TypeError, OverflowError) as error:
        raise ValueError(NOT_WHOLE) from error
    except ValueError as error:
        if str(error).startswith("tensor "):
            raise
        raise ValueError(NOT_WHOLE) from error
    if array.shape != shape or array.dtype != dtypes[tensor.data_type]:
        raise ValueError(NOT_WHOLE)
    return torch.tensor(array)


def _external(tensor: "onnx.TensorProto", folder: Path, dtype: Any, count: int) -> Any:
    """Read numbers from a file in `folder`, and from nowhere else."""
    stated = {entry.key: entry.value for entry in tensor.external_data}
    name, location = shown(tensor.name), stated.get("location", "")
    home = folder.resolve()
    path = (home / location).resolve() if "\0" not in location else home
    if path == home or not path.is_relative_to(home) or Path(location).is_absolute():
        raise ValueError(
            f"tensor {name} refused: it lies at {shown(location)}, outside of the file's folder"
        )
    start, num_bytes = int(stated.get("offset", 0)), count * dtype.itemsize
    if start < 0 or num_bytes > _MAX_EXTERNAL or int(stated.get("length", num_bytes)) != num_bytes:
        raise ValueError(f"tensor {name} does not fit what is stated of {shown(location)}")
    if start + num_bytes > size_of(path):
        raise ValueError(f"tensor {name} reaches beyond the end of {shown(location)}: truncated")
    return np.fromfile(path, dtype.newbyteorder("<"), count, offset=start).astype(dtype, copy=False)


def shown(name: str) -> str:
    """Return a name from a file as it may stand in a message: quoted, in one line, not too long."""
    return repr(name if len(name) <= 60 else f"{name[:57]}…")
