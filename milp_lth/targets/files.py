"""Targets in files: state dicts of multi-layer perceptrons, read without running any code."""

import json
import os
import re
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from instances.files import write_atomically
from instances.plain_files import size_of
from milp_lth.network import Network, read_network
from milp_lth.networks.forms import frozen_linear
from milp_lth.networks.row import build_modules
from milp_lth.targets.modules import fill, state_dict
from milp_lth.targets.pt_file import MAPPED_BYTES, read_pt


def load_target(path: str | os.PathLike[str], module: nn.Module | None = None) -> nn.Module:
    """Read a multi-layer perceptron from a ``.safetensors`` or ``.pt`` state dict, or ONNX.

    An ``.onnx`` file says itself what it is. Of a state dict the architecture is read off the
    shapes: every two-dimensional ``*.weight`` is a Linear, with the ``*.bias`` of the same name
    where there is one, and a ReLU stands between any two of them. A ``.pt`` file's order is kept; a
    ``.safetensors`` file's names are put in natural order.

    Parameters
    ----------
    path
        The file; it is read without running any code.
    module
        What the state dict is of, its weights to be replaced; None: a multi-layer perceptron.

    Returns
    -------
    torch.nn.Module
        The network, frozen, on the CPU.

    Raises
    ------
    ValueError
        When the file cannot be read, holds a pickled module or anything but such layers, or
        neighbouring layers do not fit.
    ImportError
        When an ``.onnx`` file is given and onnx is not installed.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        from milp_lth.targets.onnx import load_onnx

        return load_onnx(path)
    try:
        if path.suffix == ".safetensors":
            tensors = _tensors(path)[0]
            tensors = dict(sorted(tensors.items(), key=lambda item: _natural(item[0])))
        elif path.suffix in (".pt", ".pth"):
            tensors = read_pt(path)
        else:
            raise ValueError("a target file ends in .onnx, .safetensors or .pt")
        return perceptron(tensors) if module is None else fill(module, tensors)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except MemoryError as error:
        raise ValueError(f"{path}: does not fit into memory") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:  # of many kinds: safetensors, zipfile and torch have theirs
        raise ValueError(f"{path}: not a whole {path.suffix} file of tensors") from error


def perceptron(tensors: Any) -> nn.Sequential:
    """Make the multi-layer perceptron that a state dict's shapes describe.

    Raises
    ------
    ValueError
        When they describe anything else.
    """
    tensors = state_dict(tensors)
    linears = []
    used = set()
    for key, weight in tensors.items():
        name, _, kind = key.rpartition(".")
        if kind != "weight" or weight.ndim != 2 or not weight.is_floating_point():
            continue
        bias = tensors.get(f"{name}.bias")
        if bias is not None and bias.shape != weight.shape[:1]:
            raise ValueError(
                f"layer {name!r}: bias {tuple(bias.shape)} beside weight {tuple(weight.shape)}"
            )
        used |= {key, f"{name}.bias"}
        linears.append((name, frozen_linear(weight, bias)))
    unknown = [key for key in tensors if key not in used]
    if unknown:
        shape = tuple(tensors[unknown[0]].shape)
        raise ValueError(
            f"{unknown[0]!r} of shape {shape} belongs to no Linear layer: only those can be told "
            "from a state dict, name the class of any other module with --module FILE.py:CLASS"
        )
    if not linears:
        raise ValueError("no layers: a target needs at least one two-dimensional weight")
    return _named(linears)


def _named(linears: list[tuple[str, nn.Linear]]) -> nn.Sequential:
    """Put a ReLU between the layers, and check all by reading them as any other target."""
    module = nn.Sequential()
    for k, (name, linear) in enumerate(linears):
        if k:
            module.add_module(f"relu{k}", nn.ReLU())
        free = name.replace(".", "_") or f"layer{k}"
        while hasattr(module, free):  # another layer, or what every module has
            free += "_"
        module.add_module(free, linear)
    read_network(module, copy=False)
    return module.eval()


def _tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a ``.safetensors`` file."""
    mapped = size_of(path) > MAPPED_BYTES
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    if not mapped:  # nobody can change these behind our back
        tensors = {key: tensor.clone() for key, tensor in tensors.items()}
    return tensors, metadata


def save_target(network: Network, path: Path) -> None:
    """Write a target that was read off a module, its steps in the file's metadata."""
    tensors = {}
    for k, layer in enumerate(network.layers):
        tensors[f"{k}.weight"] = network.tensor(layer.weight).contiguous()
        if layer.bias is not None:
            tensors[f"{k}.bias"] = network.tensor(layer.bias).contiguous()
    stated = {"steps": network.steps, "names": [layer.name for layer in network.layers]}
    write_atomically(path, safetensors.torch.save(tensors, {"network": json.dumps(stated)}))


def save_state(module: nn.Module, path: Path) -> None:
    """Write the state dict of any module."""
    tensors = {name: t.detach().cpu().clone() for name, t in module.state_dict().items()}
    write_atomically(path, safetensors.torch.save(tensors))


def load_state(path: Path, module: nn.Module) -> nn.Module:
    """Put what `save_state` wrote into a module of the same class.

    Raises
    ------
    ValueError
        When the file is missing, truncated, or of another module.
    """
    try:
        return fill(module, _tensors(path)[0])
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a whole target file") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def load_written_target(path: Path) -> Network:
    """Read what `save_target` wrote.

    Raises
    ------
    ValueError
        When the file is missing, truncated, or something else.
    """
    try:
        tensors, metadata = _tensors(path)
        stated = json.loads(metadata.get("network", "{}"))
        linears = []
        for k in range(len(stated["names"])):
            linears.append(frozen_linear(tensors[f"{k}.weight"], tensors.get(f"{k}.bias")))
        module = nn.Sequential(*build_modules(stated["steps"], linears))
        network = read_network(module, copy=False)
        return network.renamed(stated["names"])
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (safetensors.SafetensorError, KeyError, TypeError, AttributeError, RecursionError,
            RuntimeError, StopIteration) as error:  # fmt: skip
        raise ValueError(f"{path}: not a whole target file") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """Order names so that layer 2 comes before layer 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
