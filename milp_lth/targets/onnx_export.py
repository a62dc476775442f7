"""Writing networks and tickets as ONNX files."""

import inspect
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from instances.files import write_atomically

if TYPE_CHECKING:
    import onnx

_MAX_BYTES = 2**31  # what the format allows
_LOGS = ("torch", "torch.onnx", "torch.export", "torch._subclasses", "onnxscript", "onnx_ir")


def save_onnx(module: nn.Module, example_input: torch.Tensor, path: str | os.PathLike[str]) -> None:
    """Write a network or a ticket to an ONNX file.

    What torch's exporter understands can be written: tickets, folded ones, targets. The file takes
    batches of any number of rows, states nothing of the machine it was made on, and appears whole
    or not at all.

    Parameters
    ----------
    module
        What is written, as it computes in eval mode; it is left as it is.
    example_input
        Inputs that it takes, one a row; their values do not matter.
    path
        The ``.onnx`` file.

    Raises
    ------
    ValueError
        When the module cannot be exported, is too large for one file, or the file cannot be
        written.
    ImportError
        When onnx or onnxscript is not installed.
    """
    path = Path(path)
    content = onnx_bytes(module, example_input)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror or error})") from error


def require_exporter() -> None:
    """Raise the `ImportError` of `save_onnx` now rather than after the work."""
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise ImportError(
            "writing ONNX files needs onnx and onnxscript: pip install 'milp_lth[onnx]'"
        )


def onnx_bytes(module: nn.Module, example_input: torch.Tensor) -> bytes:
    """Return the content of an ONNX file that holds `module`.

    Raises
    ------
    ImportError, ValueError
        As `save_onnx` does.
    """
    require_exporter()
    import torch.onnx

    if not isinstance(example_input, torch.Tensor) or example_input.ndim < 2:
        raise ValueError("an example input is a tensor of inputs, one a row")
    num_bytes = sum(t.numel() * t.element_size() for t in module.state_dict().values())
    if num_bytes >= _MAX_BYTES:
        raise ValueError("more than 2 GiB do not fit into an ONNX file: export the folded network")
    rows = torch.cat([example_input[:1]] * 2)  # more than one, or the batch is taken for fixed
    with _evaluating(module), _quiet(), torch.no_grad():
        try:
            module(rows)  # tracing forgives numbers of two precisions
            program = torch.onnx.export(
                _exported(module, rows),
                (rows,),
                dynamo=True,
                dynamic_shapes=_any_batch(module),  # for their name alone
                input_names=["input"],
                output_names=["output"],
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # of many kinds
            reason = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
            raise ValueError(f"the module cannot be exported: {reason[0]}") from error
    if program is None:
        raise ValueError("the module cannot be exported")
    model = program.model_proto
    _clean(model)
    if model.ByteSize() >= _MAX_BYTES:
        raise ValueError("more than 2 GiB do not fit into an ONNX file: export the folded network")
    return bytes(model.SerializeToString(deterministic=True))


def _clean(model: "onnx.ModelProto") -> None:
    """Take away what the exporter says of source files, and functions that nothing calls."""
    graph = model.graph
    described: list[Any] = [
        model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info,
        *graph.initializer,
    ]  # fmt: skip
    for part in described:
        del part.metadata_props[:]
        part.doc_string = ""
    graph.name = "network"
    called = {(node.domain, node.op_type) for node in graph.node}
    if not any((f.domain, f.name) in called for f in model.functions):
        del model.functions[:]
        domains = {node.domain for node in graph.node} | {""}
        kept = [entry for entry in model.opset_import if entry.domain in domains]
        del model.opset_import[:]
        model.opset_import.extend(kept)


def _any_batch(module: nn.Module) -> Any:
    """Return that the first dimension is a batch's, in the form of the module's inputs."""
    batch = {0: torch.export.Dim("batch", min=1)}
    first = next(iter(inspect.signature(module.forward).parameters.values()), None)
    several = first is not None and first.kind is first.VAR_POSITIONAL
    return ((batch,),) if several else (batch,)


def _exported(module: nn.Module, rows: torch.Tensor) -> torch.export.ExportedProgram:
    """Trace a module for batches of any size, in operations that ONNX has a plain word for."""
    program = torch.export.export(module, (rows,), dynamic_shapes=_any_batch(module))
    operations: Any = torch.ops.aten
    plainer = {operations.column_stack.default: _columns, operations.index.Tensor: _picked}
    plain: torch.export.ExportedProgram = program.run_decompositions(plainer)
    return plain


def _columns(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Put columns side by side."""
    return torch.cat([t[:, None] if t.ndim == 1 else t for t in tensors], dim=1)


def _picked(x: torch.Tensor, indices: list[torch.Tensor | None]) -> Any:
    """Pick entries along one axis; anything else is left as it is."""
    used = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(used) != 1 or used[0][1].ndim != 1 or used[0][1].dtype == torch.bool:
        return NotImplemented
    return torch.index_select(x, used[0][0], used[0][1])


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode for a while."""
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in before.items():
            part.training = training


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's warnings about itself to itself."""
    logs = [logging.getLogger(name) for name in _LOGS]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)
