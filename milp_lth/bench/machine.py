"""What the machine is that measured something."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from solvers.cores import num_cores

_PACKAGES = ("numba", "numpy", "ortools", "torch")


def machine() -> dict[str, Any]:
    """Return processor, cores, memory in bytes, accelerator, system and versions."""
    return {
        "processor": _processor(),
        "cores": num_cores(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "accelerator": accelerator(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in _PACKAGES},
    }


def accelerator() -> str | None:
    """Return the name of the CUDA device that torch sees; None where there is none."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def described(stated: dict[str, Any]) -> str:
    """Return a machine in one line."""
    cores = f"{stated['cores']} core{'s' * (stated['cores'] != 1)}"
    memory = f"{stated['memory'] / 2**30:.0f} GiB"
    versions = ", ".join(f"{name} {number}" for name, number in stated["versions"].items())
    graphics = stated["accelerator"] or "no CUDA device"
    return f"{stated['processor']}, {cores}, {memory}, {graphics}; {stated['system']}; {versions}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
