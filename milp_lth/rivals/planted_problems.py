"""Functions that a small network computes exactly: what is planted into random networks.

Three problems of Fischer and Burkholz, "Plant 'n' Seek: Can You Find the Winning Ticket?",
ICLR 2022, arXiv 2111.11153: ReLU units, circles, a helix. Theirs are smooth functions and labels
with noise; here the function is what the network computes, piece by piece linear, and no label is
in doubt: the planted ticket has no loss but rounding, and circles' classes are all right.

Networks have no biases: the last of their inputs is always 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray

Layers = list[FloatArray]
"""Weights from the inputs to the outputs, each of shape (outputs, inputs), ReLUs in between."""


class Problem(Protocol):
    """A function from some numbers in [−1, 1] to some outputs, and a network that computes it."""

    @property
    def name(self) -> str:
        """What rows of tables call it."""
        ...

    @property
    def num_inputs(self) -> int:
        """Numbers of an input, the constant 1 not counted."""
        ...

    def layers(self, depth: int) -> Layers:
        """Return the network with `depth` layers, at least 2; what is not an edge is exactly 0."""
        ...

    def outputs(self, x: FloatArray) -> FloatArray:
        """Return the function's values at points of shape (num_points, num_inputs)."""
        ...

    def classes(self, x: FloatArray) -> IntArray | None:
        """Return the classes of points; None where the values themselves are wanted."""
        ...

    def clear(self, x: FloatArray) -> BoolArray:
        """Return which points no rounding or approximation puts into another class."""
        ...


@dataclass(frozen=True)
class ReluUnits:
    """The ReLU of every input.

    Parameters
    ----------
    num_units
        How many inputs, and outputs, there are.
    """

    num_units: int = 1

    def __post_init__(self) -> None:
        if self.num_units < 1:
            raise ValueError(f"{self.num_units} units: give at least one")

    @property
    def name(self) -> str:
        """``relu``, and how many where there are several."""
        return "relu" if self.num_units == 1 else f"relu-{self.num_units}"

    @property
    def num_inputs(self) -> int:
        """As many as units."""
        return self.num_units

    def layers(self, depth: int) -> Layers:
        """Return a chain of `depth` edges for every unit."""
        first = np.eye(self.num_units, self.num_units + 1)
        return _deepened([first, np.eye(self.num_units)], depth)

    def outputs(self, x: FloatArray) -> FloatArray:
        """Return max(x, 0)."""
        return np.maximum(x, 0.0)

    def classes(self, x: FloatArray) -> IntArray | None:
        """Return None."""
        return None

    def clear(self, x: FloatArray) -> BoolArray:
        """Return True everywhere."""
        return np.ones(len(x), np.bool_)


@dataclass(frozen=True)
class Circle:
    """Rings around the origin of the plane: which one a point lies in.

    A polygon with `num_knots` pieces on either side stands for each square, so that r² is off by at
    most ±h²/4 with h = 1 / num_knots; no point of the data is as near as that to a boundary. The
    outputs are the lines gain · Σ_{b ≤ c} (r² − boundary_b), of which that of a point's class c is
    on top.

    Parameters
    ----------
    boundaries
        The squared radii between classes, rising; those of three classes unless others are given.
    num_knots
        Pieces of the polygon from 0 to 1.
    """

    boundaries: tuple[float, ...] = (0.375, 0.875)
    num_knots: int = 4
    name: ClassVar[str] = "circle"
    num_inputs: ClassVar[int] = 2
    gain: ClassVar[float] = 16.0

    def __post_init__(self) -> None:
        inside = (0.0, *self.boundaries, 2.0)
        if not self.boundaries or not (np.diff(inside) > 0).all() or self.num_knots < 1:
            raise ValueError(
                f"boundaries {self.boundaries}, {self.num_knots} knots: give rising squared radii "
                "between 0 and 2, and at least one knot"
            )

    @property
    def margin(self) -> float:
        """How far r² may be off."""
        return 1 / (4 * self.num_knots**2)

    def layers(self, depth: int) -> Layers:
        """Return the network; with three layers or more, r² is a unit of its own."""
        step = 1 / self.num_knots
        first, rises = [], []
        for axis in range(2):
            for sign in (1.0, -1.0):
                for k in range(self.num_knots):
                    weights = np.zeros(3)
                    weights[axis], weights[2] = sign, -k * step
                    first.append(weights)
                    rises.append(step if k == 0 else 2 * step)
        knots = np.array([*first, [0.0, 0.0, 1.0]])
        squares = np.array([[*rises, 0.0], [*np.zeros(len(rises)), 1.0]])
        slopes = np.arange(len(self.boundaries) + 1.0)
        heights = -np.cumsum([0.0, *self.boundaries]) - slopes * self.margin
        lines = self.gain * np.stack([slopes, heights], axis=1)
        return _deepened([knots, lines @ squares] if depth == 2 else [knots, squares, lines], depth)

    def outputs(self, x: FloatArray) -> FloatArray:
        """Return the heights of all lines, shape (num_points, classes)."""
        knots = np.linspace(0, 1, self.num_knots + 1)
        square = np.interp(np.abs(x), knots, knots**2).sum(axis=1) - self.margin
        beyond = square[:, None] - np.array(self.boundaries)
        return self.gain * np.cumsum(np.pad(beyond, ((0, 0), (1, 0))), axis=1)

    def classes(self, x: FloatArray) -> IntArray:
        """Return the rings that points lie in, counted from the origin."""
        rings: IntArray = np.searchsorted(np.array(self.boundaries), (x**2).sum(axis=1))
        return rings

    def clear(self, x: FloatArray) -> BoolArray:
        """Return which points are further from all boundaries than r² may be off."""
        off = (x**2).sum(axis=1)[:, None] - np.array(self.boundaries)
        return np.asarray((np.abs(off) > 1.01 * self.margin).all(axis=1))


@dataclass(frozen=True)
class Helix:
    """A conical helix from a number: the polygon through points of it.

    The curve is a · (cos 2πa', sin 2πa', 1), where a' rises from 1 to 1 + `num_turns` and a is a'
    as a share of that.

    Parameters
    ----------
    num_turns
        How often it goes round.
    num_knots
        The polygon's corners, both ends counted.
    """

    num_turns: float = 3.0
    num_knots: int = 30
    name: ClassVar[str] = "helix"
    num_inputs: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 < self.num_turns < math.inf or self.num_knots < 2:
            raise ValueError(
                f"{self.num_turns} turns, {self.num_knots} knots: give a positive number, and at "
                "least two knots"
            )

    def corners(self) -> tuple[FloatArray, FloatArray]:
        """Return the knots, from −1 to 1, and the helix there, shape (num_knots, 3)."""
        knots = np.linspace(-1, 1, self.num_knots)
        turns = 1 + self.num_turns * (knots + 1) / 2
        angles = 2 * np.pi * turns
        curve = np.stack([np.cos(angles), np.sin(angles), np.ones(len(knots))], axis=1)
        return knots, turns[:, None] / (1 + self.num_turns) * curve

    def layers(self, depth: int) -> Layers:
        """Return the network; beyond two layers all coordinates are 1 larger until the last."""
        knots, points = self.corners()
        slopes = np.diff(points, axis=0) / np.diff(knots)[:, None]
        bends = np.diff(slopes, axis=0, prepend=0.0)
        first = np.stack([np.ones(len(bends)), -knots[:-1]], axis=1)
        weights = np.concatenate([bends, points[:1]]).T
        weights[np.abs(weights) < 1e-9] = 0.0  # a straight coordinate has no bends
        curve = [np.concatenate([first, [[0.0, 1.0]]]), weights]
        if depth > 2:
            constant = np.zeros((1, weights.shape[1]))
            constant[0, -1] = 1.0
            curve[1:] = [
                np.concatenate([weights + constant, constant]),  # rows that a ReLU leaves alone
                np.concatenate([np.eye(3), -np.ones((3, 1))], axis=1),
            ]
        return _deepened(curve, depth)

    def outputs(self, x: FloatArray) -> FloatArray:
        """Return the points of the polygon, shape (num_points, 3)."""
        knots, points = self.corners()
        return np.stack([np.interp(x[:, 0], knots, p) for p in points.T], axis=1)

    def classes(self, x: FloatArray) -> IntArray | None:
        """Return None."""
        return None

    def clear(self, x: FloatArray) -> BoolArray:
        """Return True everywhere."""
        return np.ones(len(x), np.bool_)


PROBLEMS: dict[str, Problem] = {
    problem.name: problem for problem in (ReluUnits(), ReluUnits(2), Circle(), Helix())
}
"""Those that tables have, by name."""


def _deepened(layers: Sequence[FloatArray], depth: int) -> Layers:
    """Let values through unchanged where the network is narrowest, behind a ReLU."""
    narrowest = min(range(len(layers) - 1), key=lambda k: len(layers[k]))
    through = np.eye(len(layers[narrowest]))
    before, after = layers[: narrowest + 1], layers[narrowest + 1 :]
    return [*before, *[through] * (depth - len(layers)), *after]
