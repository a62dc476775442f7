"""Compilation of kernels for a CUDA device, by numba."""

from typing import Any

from numba import cuda

from instances.compiled import Kernel


def kernel(function: Kernel) -> Any:
    """Compile `function` when it is first launched; as in `instances.compiled`, cached on disk."""
    try:
        return cuda.jit(cache=True)(function)
    except RuntimeError:
        return cuda.jit(function)
