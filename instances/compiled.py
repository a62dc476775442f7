"""Compilation of the numeric kernels by numba."""

from collections.abc import Callable
from typing import Any

import numba
from numba.extending import register_jitable

Kernel = Callable[..., Any]


def compiled(function: Kernel) -> Kernel:
    """Compile `function` without the GIL, so that threads can run it side by side.

    The machine code is cached on disk. Where neither the package's folder nor the home folder can
    be written, numba refuses to cache and the function is compiled anew in every process.
    """
    try:
        kernel: Kernel = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        kernel = numba.njit(nogil=True)(function)
    return kernel


def compilable(function: Kernel) -> Kernel:
    """Mark `function` as one that compiled code may call; from Python it stays plain Python."""
    marked: Kernel = register_jitable(function)
    return marked
