"""What a result was made with: written into every folder that a command writes results into."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from milp_lth import __version__
from solvers.cores import num_cores

_PACKAGES = (
    "numpy",
    "numba",
    "scipy",
    "torch",
    "ortools",
    "pulp",
    "gurobipy",
    "scikit-learn",
    "onnx",
    "dask",
)
"""All that computes, where it is installed."""

ENVIRONMENT: dict[str, Any] = {
    **dict.fromkeys(("processor", "system"), str),
    "cores": int,
    "memory": float,
    "accelerator": str | None,
    "versions": dict[str, str],
}
"""What an environment is made of, for `milp_lth.value_kinds.fits`."""


def environment() -> dict[str, Any]:
    """Return processor, cores, memory in bytes, accelerator, system, and versions by name.

    Cores are those that this process may use; versions are of Python and of packages.
    """
    return {
        "processor": _processor(),
        "cores": num_cores(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "accelerator": accelerator(),
        "system": platform.platform(),
        "versions": _versions(),
    }


def accelerator() -> str | None:
    """Return the name of the CUDA device that torch sees; None where there is none."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def described(stated: dict[str, Any]) -> str:
    """Return an environment in one line."""
    cores = f"{stated['cores']} core{'s' * (stated['cores'] != 1)}"
    memory = f"{stated['memory'] / 2**30:.0f} GiB"
    versions = ", ".join(f"{name} {number}" for name, number in stated["versions"].items())
    graphics = stated["accelerator"] or "no CUDA device"
    return f"{stated['processor']}, {cores}, {memory}, {graphics}; {stated['system']}; {versions}"


def _versions() -> dict[str, str]:
    versions = {"milp_lth": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
