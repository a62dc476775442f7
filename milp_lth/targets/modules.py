"""Targets whose architecture is code of the user's own, named on the command line."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn


def make_module(name: str) -> nn.Module:
    """Import what ``PACKAGE.MODULE:NAME`` or ``FILE.py:NAME`` names and call it without arguments.

    This runs the code: it is for names that the user gives, never for those found in a file.

    Raises
    ------
    ValueError
        When there is no such thing, it fails, or what it returns is no module.
    """
    where, _, attribute = name.rpartition(":")
    if not where or not attribute:
        raise ValueError(f"--module {name}: give FILE.py:CLASS or PACKAGE.MODULE:CLASS")
    try:
        made = getattr(_imported(where), attribute)()
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"--module {name}: {type(error).__name__}: {reason}") from error
    if not isinstance(made, nn.Module):
        raise ValueError(f"--module {name}: is a {type(made).__name__}, not a torch.nn.Module")
    return made


def _imported(where: str) -> Any:
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path = Path(where)
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(spec.name, module)  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def state_dict(content: Any) -> dict[str, torch.Tensor]:
    """Return what a file holds if that is a state dict.

    Raises
    ------
    ValueError
        When it is anything else.
    """
    if not isinstance(content, Mapping) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items()
    ):
        raise ValueError("not a state dict: save the module's state_dict()")
    return dict(content)


def fill(module: nn.Module, tensors: Any) -> nn.Module:
    """Put the weights of a state dict into a module, and freeze it.

    Raises
    ------
    ValueError
        When they do not fit.
    """
    tensors = state_dict(tensors)
    floating = {v.dtype for v in tensors.values() if v.is_floating_point()}
    if torch.float64 in floating:
        module = module.double()
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"no state dict of a {type(module).__name__}: {reason}") from error
    return module.eval().requires_grad_(False)
