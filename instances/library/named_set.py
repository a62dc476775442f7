"""A set of the library: a name, and how to build the one batch that it names."""

from collections.abc import Callable
from dataclasses import dataclass

from instances.instance import Instance


@dataclass(frozen=True)
class NamedSet:
    """What is known of a set without building it.

    The instance never changes under its version: what must change becomes the next one.
    """

    name: str
    description: str
    source: str
    """Who posed such problems, as a short citation."""
    build: Callable[[], Instance]
    version: int = 1
    slow: bool = False
    """Whether proving its optima takes too long to be done in passing."""
