"""Where torch computes, how arrays get there and back, and with how many threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def find_device(name: str) -> "torch.device":
    """Return the device of a name; "auto": CUDA where there is one, else the CPU."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def copied(array: NDArray[Any], device: "torch.device") -> "torch.Tensor":
    """Copy an array to `device`; to a CUDA device by way of pinned memory, and without waiting."""
    import torch

    if device.type != "cuda":
        return torch.tensor(array, device=device)
    pinned = torch.empty(array.shape, dtype=torch.tensor(array[:0]).dtype, pin_memory=True)
    pinned.numpy()[...] = array
    return pinned.to(device, non_blocking=True)


def fetched(tensor: "torch.Tensor") -> NDArray[Any]:
    """Copy a tensor back; from a CUDA device by way of pinned memory.

    Waits for the stream that the tensor is computed on, and for no other.
    """
    import torch

    if not tensor.is_cuda:
        return np.asarray(tensor.cpu().numpy())
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return np.asarray(pinned.numpy())


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch use one thread: for steps so small that threads wait longer than they work.

    On a machine that is busy with something else as well they wait ten times as long.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
