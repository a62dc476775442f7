"""Targets in ONNX files: any network of the operators below, as a traced module."""

import os
from pathlib import Path

import torch
from torch import fx, nn

from milp_lth.targets.onnx_builder import Builder, Step
from milp_lth.targets.onnx_file import NOT_WHOLE, OnnxGraph, OnnxNode, read_onnx, shown
from milp_lth.targets.onnx_functions import FUNCTIONS
from milp_lth.targets.onnx_layers import LAYERS

OPERATORS = LAYERS | FUNCTIONS
"""What reads each operator."""

_BATCH = 3  # rows that a module is tried with


def load_onnx(path: str | os.PathLike[str]) -> nn.Module:
    """Read an ONNX file as a module of Linear, Conv, BatchNorm, activations and functions.

    Nothing in the file is run. A batch may have any number of rows, also where the file knows but
    one; what only training needs is left out.

    Parameters
    ----------
    path
        The ``.onnx`` file. Weights that it keeps in other files lie in its folder.

    Returns
    -------
    torch.fx.GraphModule
        The network in eval mode, frozen, on the CPU, float32 or float64 as the file is.

    Raises
    ------
    ValueError
        When the file cannot be read, is not whole, reaches out of its folder, has more than one
        input or output, or an operator that is not supported.
    ImportError
        When onnx is not installed.
    """
    path = Path(path)
    try:
        return _module(read_onnx(path))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except MemoryError as error:
        raise ValueError(f"{path}: does not fit into memory") from error
    except ValueError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


def _module(file: OnnxGraph) -> nn.Module:
    builder = Builder(file)
    for node in file.nodes:
        if node.operator not in OPERATORS:
            raise ValueError(
                f"node {shown(node.name)} ({shown(node.operator)[1:-1]}) is not supported: an ONNX "
                f"target is made of {', '.join(sorted(OPERATORS))}"
            )
        _translate(builder, node)
    result = builder.values.get(file.output)
    if result is None:
        raise ValueError(NOT_WHOLE)
    if not isinstance(result, fx.Node):
        raise ValueError("its output does not depend on its input")
    builder.graph.output(result)
    builder.graph.lint()
    module = fx.GraphModule(builder.root, builder.graph, "OnnxTarget").eval()
    _try(module, file)
    return module


def _translate(builder: Builder, node: OnnxNode) -> None:
    try:
        step = Step(builder, node)
        value = OPERATORS[node.operator](step)
        step.finish()
    except MemoryError:
        raise
    except Exception as error:  # whatever torch says of numbers that do not fit
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if reason == NOT_WHOLE:
            raise ValueError(reason) from error
        raise ValueError(f"node {shown(node.name)} ({node.operator}): {reason}") from error
    if not node.outputs or node.outputs[0] in builder.values:
        raise ValueError(NOT_WHOLE)
    builder.values[node.outputs[0]] = value


def _try(module: nn.Module, file: OnnxGraph) -> None:
    """Find out, without computing, whether all layers fit and a batch of any size goes through.

    Raises
    ------
    ValueError
        When they do not, or it does not.
    """
    shape = file.shapes.get(file.input)
    if shape is not None and len(shape) < 2:
        raise ValueError("its input has no batch dimension: export the model with one")
    if shape is None or None in shape[1:]:
        return  # sizes of images may be any: a run will tell
    silent = _Silent(module)
    tensors = {name: tensor.to("meta") for name, tensor in silent.state_dict().items()}

    def rows(batch: int) -> int:
        try:
            x = torch.empty((batch, *shape[1:]), dtype=file.dtype, device="meta")  # type: ignore[arg-type]
            result = torch.func.functional_call(silent, tensors, (x,))
        except Exception as error:  # of many kinds
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"its layers do not fit each other: {reason}") from error
        return len(result) if result.ndim else 0

    stated = shape[0] or _BATCH
    alone = rows(stated)
    try:
        fits = alone == stated and rows(_BATCH) == _BATCH
    except ValueError as error:
        raise ValueError(
            f"works for batches of {stated} alone: export it with a dynamic batch dimension"
        ) from error
    if not fits:
        raise ValueError("its output has not one row for every row of its input")


class _Silent(nn.Module):
    """A traced module that does not print its code when something in it goes wrong."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.module.forward(x)
        return result
