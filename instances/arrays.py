"""Array types, and the read-only arrays that instances are made of."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def frozen(values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """Return `values` as a read-only array that nobody else can write to.

    An array that is read-only down to the one that owns its memory is taken as it is; anything
    else is copied. A broadcast view (a stride of 0) stays one: only the memory behind it is copied.

    Raises
    ------
    ValueError
        When `values` cannot be converted to `dtype`.
    """
    try:
        array = np.asarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected an array of {np.dtype(dtype)}: {error}") from error
    if _is_read_only(array):
        return array
    core = array[tuple(slice(0, 1) if s == 0 else slice(None) for s in array.strides)].copy()
    core.flags.writeable = False
    return np.broadcast_to(core, array.shape)


def frozen_available(values: ArrayLike, shape: tuple[int, ...]) -> BoolArray:
    """Return which candidates may be used as a read-only array of the coefficients' `shape`.

    Raises
    ------
    ValueError
        When it has another shape.
    """
    available = frozen(values, np.bool_)
    if available.shape != shape:
        raise ValueError(
            f"available {available.shape}: give the shape of the coefficients, {shape}"
        )
    return available


def _is_read_only(array: NDArray[Any]) -> bool:
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return owner is None or isinstance(owner, bytes)
