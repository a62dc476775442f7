"""Sums and least elements of every row, whatever the other rows and the number of threads are.

`torch.Tensor.min` with a dimension starts all threads even for a few numbers, which takes
milliseconds where other processes keep the cores busy; and it finds the place as it goes, five
times slower than `amin`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def add_up(numbers: "torch.Tensor") -> "torch.Tensor":
    """Return the sums along axis 1, added up from left to right."""
    total = numbers.new_zeros(len(numbers))
    for k in range(numbers.shape[1]):
        total += numbers[:, k]
    return total


def least(numbers: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the least number of every row of shape (r, n), and where it is first; shapes (r,)."""
    place = numbers.argmin(dim=1, keepdim=True)
    return numbers.gather(1, place)[:, 0], place[:, 0]


def least_in_table(
    numbers: "torch.Tensor",
) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Return the least number of every table of shape (r, n, m), and where it is first: n, m."""
    value, row = least(numbers.amin(dim=2))
    chosen = numbers.gather(1, row[:, None, None].expand(-1, 1, numbers.shape[2]))[:, 0]
    return value, row, least(chosen)[1]
