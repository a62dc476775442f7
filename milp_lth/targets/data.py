"""Labelled inputs that no target was trained on, with a digest that identifies them."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from instances.philox import Stream, uniform

NUM_RANDOM_INPUTS = 1000
_RANDOM_LAYER = 2**16 - 1  # a stream that no layer of a source uses


@dataclass(frozen=True, eq=False)
class Data:
    """Inputs `x` (one per row, float32), classes `y` or None, and the range `x` is declared in."""

    name: str
    split: str
    x: torch.Tensor
    y: torch.Tensor | None
    input_range: tuple[float, float]

    def digest(self) -> str:
        """Return the SHA-256 of inputs and classes."""
        parts = [self.x] if self.y is None else [self.x, self.y]
        sha = hashlib.sha256()
        for part in parts:
            sha.update(repr((tuple(part.shape), str(part.dtype))).encode())
            sha.update(part.contiguous().numpy().tobytes())
        return sha.hexdigest()


def random_data(num_features: int, input_range: tuple[float, float], seed: int) -> Data:
    """Draw 1,000 unlabelled inputs, uniform in `input_range`, for a target without data."""
    low, high = input_range
    count = NUM_RANDOM_INPUTS * num_features
    unit = (uniform(Stream(seed, _RANDOM_LAYER), np.arange(count), unit=2.0**-23) + 1) / 2
    x = torch.tensor(low + (high - low) * unit.reshape(-1, num_features), dtype=torch.float32)
    return Data("random", f"seed {seed}", x.clamp(low, high), None, (low, high))
