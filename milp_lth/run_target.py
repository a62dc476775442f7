"""A run's target: as it is asked for, and as it lies in the run's folder."""

import os
from pathlib import Path
from typing import Any

from torch import nn

from instances.files import write_atomically
from instances.plain_files import content_of
from milp_lth.network import Network, read_network
from milp_lth.quantising import quantised
from milp_lth.run_settings import RunSettings
from milp_lth.targets.files import (
    load_state,
    load_target,
    load_written_target,
    save_state,
    save_target,
)
from milp_lth.targets.modules import make_module
from milp_lth.targets.named import NAMED_TARGETS, load_named_target

TARGET, TARGET_ONNX = "target.safetensors", "target.onnx"

LARGE_TARGET = 100 * 2**20
"""Bytes beyond which a target file is not copied into the folder."""


def load_asked_target(settings: RunSettings) -> nn.Module:
    """Return the module that is asked for, with its weights.

    Raises
    ------
    ValueError
        When it cannot be had.
    """
    if settings.target in NAMED_TARGETS:
        if settings.module is not None:
            raise ValueError(f"--module is for files: {settings.target} has its own")
        return load_named_target(settings.target)[0]
    if "." not in os.path.basename(settings.target):
        raise ValueError(
            f"unknown target {settings.target!r}: choose one of {', '.join(NAMED_TARGETS)}, "
            "or give an .onnx, .safetensors or .pt file"
        )
    skeleton = None if settings.module is None else make_module(settings.module)
    return load_target(settings.target, skeleton)


def read_for(settings: RunSettings, module: nn.Module) -> Network:
    """Read the layers of a run's target, rounded where that is asked for."""
    network = read_network(module, copy=False, strict=settings.strict, products=settings.products)
    return network if settings.target_bits is None else quantised(network, settings.target_bits)


def write_run_target(
    settings: RunSettings, module: nn.Module, network: Network, folder: Path
) -> tuple[dict[str, Any], Path]:
    """Write the target into a run's folder, if it is not too large.

    Returns
    -------
    dict
        What the run's settings say of it: what it is, and where, if not in the folder.
    Path
        The file that holds it.
    """
    stated = network.body.stated()
    asked = Path(settings.target)
    if asked.is_file() and asked.stat().st_size > LARGE_TARGET:
        stated["path"] = os.path.abspath(asked)
        return stated, asked
    if asked.suffix == ".onnx" and not network.steps:
        write_atomically(folder / TARGET_ONNX, content_of(asked))
        try:
            load_target(folder / TARGET_ONNX)
        except ValueError:  # its weights lie in files beside it
            (folder / TARGET_ONNX).unlink()
            stated["path"] = os.path.abspath(asked)
            return stated, asked
        return stated, folder / TARGET_ONNX
    if network.steps:
        save_target(network, folder / TARGET)
    else:
        save_state(module, folder / TARGET)
    return stated, folder / TARGET


def read_run_target(
    folder: Path, settings: RunSettings, stated: dict[str, Any], module: str | None
) -> tuple[Network, Path]:
    """Read the target of a run, and the file that holds it.

    Code is run only where `module` names it, as for `make_module`; the folder cannot.

    Raises
    ------
    ValueError
        When the file is damaged, or the target is of a class that is not given.
    """
    path = stated.get("path")
    if path is None and "steps" in stated:
        return load_written_target(folder / TARGET), folder / TARGET
    if path is None and (folder / TARGET_ONNX).exists():
        file = folder / TARGET_ONNX
        return read_for(settings, load_target(file)), file
    skeleton: nn.Module | None = None
    if settings.target in NAMED_TARGETS:
        skeleton = NAMED_TARGETS[settings.target][0]()
    elif settings.module is not None:
        if module is None:
            raise ValueError(
                f"{folder}: its target is a module of {settings.module}: give that as --module "
                "again, if you trust the code"
            )
        skeleton = make_module(module)
    if path is not None:
        return read_for(settings, load_target(path, skeleton)), Path(path)
    if skeleton is None:
        raise ValueError(f"{folder / TARGET}: a target without its class")
    file = folder / TARGET
    return read_for(settings, load_state(file, skeleton)), file
