"""Array types, and the read-only arrays that instances are made of."""

from numbers import Real
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
        array = np.asarray(values)
        if array.dtype != dtype:
            array = _converted(array, np.dtype(dtype))
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise ValueError(f"expected an array of {np.dtype(dtype)}: {error}") from error
    if _is_read_only(array):
        return array
    core = array[tuple(slice(0, 1) if s == 0 else slice(None) for s in array.strides)].copy()
    core.flags.writeable = False
    return np.broadcast_to(core, array.shape)


def _converted(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return numbers as others; text, dates and complex numbers are none, and 2 is no bool."""
    real = array.dtype == object and all(isinstance(number, Real) for number in array.flat)
    if array.dtype.kind not in "biuf" and not real:  # Python's own whole numbers have any size
        raise TypeError(f"these are of {array.dtype}")
    if dtype == np.bool_ and not ((array == 0) | (array == 1)).all():
        raise TypeError("not all of these are true or false, 1 or 0")
    return array.astype(dtype)


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


def largest(*arrays: FloatArray) -> float:
    """Return the largest magnitude in arrays of finite numbers; 0 where there is none."""
    ends = [float(end) for a in arrays for end in (a.max(initial=0.0), -a.min(initial=0.0))]
    return max(ends)
