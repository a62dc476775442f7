"""What a target is apart from its linear layers."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import nn


class Body(Protocol):
    """A network with holes where its linear layers were."""

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of a network whose layers stand in a row; none of any other."""
        ...

    def nonnegative_inputs(self, input_range: tuple[float, float]) -> list[bool]:
        """Return for each linear layer whether its inputs are known to be ≥ 0."""
        ...

    def with_layers(self, layers: Sequence[nn.Module]) -> nn.Module:
        """Return a module with `layers` in the holes, in order."""
        ...

    def stated(self) -> dict[str, Any]:
        """Return what identifies it, as it is written to a file."""
        ...

    def described(self) -> str:
        """Say in a line what it is."""
        ...
