"""A matrix of the target that is a product of two."""

from typing import Self

import torch
from torch import nn


class Product(nn.Linear):
    """A Linear without bias whose matrix two random factors stand for, no ReLU between them."""

    @classmethod
    def of(cls, matrix: torch.Tensor) -> Self:
        """Return the frozen module of a matrix, shape (num_outputs, num_inputs)."""
        num_outputs, num_inputs = matrix.shape
        product = cls(num_inputs, num_outputs, bias=False, device="meta")
        product.weight = nn.Parameter(matrix, requires_grad=False)
        return product
