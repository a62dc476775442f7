"""Where torch computes, and with how many threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def find_device(name: str) -> "torch.device":
    """Return the device of a name; "auto": CUDA where there is one, else the CPU."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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
