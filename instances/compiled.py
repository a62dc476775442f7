"""Compilation of the numeric kernels by numba."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.extending import register_jitable

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile `function` without the GIL, so that threads can run it side by side.

    The machine code is cached on disk. Where neither the package's folder nor the home folder can
    be written, numba refuses to cache and the function is compiled anew in every process.
    """
    try:
        return cast(F, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:
        return cast(F, numba.njit(nogil=True)(function))


def compilable(function: F) -> F:
    """Mark `function` as one that compiled code may call; from Python it stays plain Python."""
    return cast(F, register_jitable(function))
