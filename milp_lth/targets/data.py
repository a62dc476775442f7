"""Labelled inputs that no target was trained on, with a digest that identifies them."""

import hashlib
from dataclasses import dataclass, replace

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

    def normalised(self, mean: float, deviation: float) -> "Data":
        """Return the data with (x − mean) / deviation as inputs."""
        low, high = ((end - mean) / deviation for end in self.input_range)
        # the least float32 input may be rounded to below its range
        x = ((self.x - mean) / deviation).clamp(low, high)
        return replace(self, x=x, input_range=(low, high))

    def shaped(self, shape: tuple[int, ...]) -> "Data":
        """Return the data with every input in another shape.

        Raises
        ------
        ValueError
            When it has another number of values.
        """
        try:
            return replace(self, x=self.x.reshape(len(self.x), *shape))
        except RuntimeError as error:
            given = tuple(self.x.shape[1:])
            raise ValueError(
                f"the data {self.name!r} are of shape {given}: not to be put into {shape}"
            ) from error


def random_data(num_features: int, input_range: tuple[float, float], seed: int) -> Data:
    """Draw 1,000 unlabelled inputs, uniform in `input_range`, for a target without data."""
    low, high = input_range
    count = NUM_RANDOM_INPUTS * num_features
    unit = (uniform(Stream(seed, _RANDOM_LAYER), np.arange(count), unit=2.0**-23) + 1) / 2
    x = torch.tensor(low + (high - low) * unit.reshape(-1, num_features), dtype=torch.float32)
    return Data("random", f"seed {seed}", x.clamp(low, high), None, (low, high))
