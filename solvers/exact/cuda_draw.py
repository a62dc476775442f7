"""Uniform candidates drawn on a CUDA device: the numbers of `instances.philox`, bit for bit."""

from typing import Any

import numpy as np
from numba import cuda

from instances.philox import Stream, philox, uniform
from solvers.exact.cuda_compiled import kernel

_THREADS = 128


@kernel
def _fill_uniform(first, key0, key1, drop, unit, out):  # type: ignore[no-untyped-def]
    i = cuda.grid(1)
    if i < out.shape[0]:
        w0, w1, _, _ = philox(np.uint64(first + i), key0, key1)
        out[i] = (np.int64((w0 << np.uint64(32)) | w1) >> drop) * unit


def draw_uniform(
    stream: Stream, first: int, num_rows: int, num_columns: int, unit: float, on: Any
) -> Any:
    """Draw what `instances.philox.uniform` does for so many counters from `first` on.

    Parameters
    ----------
    stream, unit
        As for `uniform`.
    first, num_rows, num_columns
        The first counter, and the shape in which they are arranged.
    on
        The CUDA stream to draw on.

    Returns
    -------
    DeviceNDArray
        float64, on the device.

    Raises
    ------
    ValueError
        When a number is out of range.
    """
    uniform(stream, np.arange(1), unit=unit)  # refuses what is out of range
    key0, key1 = stream.key()
    drop = 64 - int(np.frexp(1 / unit)[1])
    out = cuda.device_array(num_rows * num_columns, np.float64, stream=on)
    _fill_uniform[-(-out.size // _THREADS), _THREADS, on, 0](
        first, np.uint64(key0), np.uint64(key1), drop, unit, out
    )
    return out.reshape(num_rows, num_columns)
