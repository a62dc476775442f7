"""Blocks of subset sums that share hidden units: every unit in use is paid for once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from instances.arithmetic import judge
from instances.arrays import BoolArray, FloatArray, IntArray, frozen, frozen_available
from instances.instance import Verdict, number_in, wanted
from instances.milp import MILP
from instances.objectives import Sparsest
from instances.subset_sum import SubsetSum

_EXACT = 2.0**53  # whole numbers up to here are floats


@dataclass(frozen=True, eq=False)
class SharedUnits:
    r"""For each block choose which units serve which outputs, so that every output is met.

    A block has m outputs and n units. What unit h gives output j is a_jh; a unit that serves any
    output is in use.

    .. code-block:: text

        min  unit_cost · Σ_h y_h + edge_cost · Σ_jh x_jh
        subject to  |t_j − Σ_h a_jh x_jh| ≤ tolerance   and   x_jh ≤ y_h

    With `structured`, a unit in use serves all outputs: x_jh = y_h. Units are then pruned whole,
    and a block is a subset sum of vectors.

    In the two-layer construction a block is one input of a layer: its hidden units serve all
    outputs, and a unit that no output keeps is dropped.

    A mask has shape (b, m · n), with entry j · n + h for x_jh, or (b, n) where structured.

    Parameters
    ----------
    coefficients
        Shape (b, m, n).
    targets
        Shape (b, m).
    tolerance
        How far every sum may be from its target.
    unit_cost, edge_cost
        Not negative, and not both 0.
    structured
        Whether a unit serves all outputs or none.
    available
        Shape (b, m, n), True where a unit may serve an output; None: everywhere. Where structured,
        a unit must be available to all outputs.

    Raises
    ------
    ValueError
        When the batch is empty, a shape does not fit, or a number is not finite or out of range.

    Examples
    --------
    >>> instance = SharedUnits([[[0.5, 0.25], [0.5, 0.75]]], [[0.5, 0.5]], 0.25)
    >>> objective, violation = instance.evaluate(np.array([[True, False, False, True]]))
    >>> float(objective[0]), float(violation[0])
    (2.0, 0.0)
    >>> instance.num_units(np.array([[True, False, True, False]])).tolist()
    [1]
    """

    coefficients: FloatArray
    targets: FloatArray
    tolerance: float
    unit_cost: float = 1.0
    edge_cost: float = 0.0
    structured: bool = False
    available: BoolArray | None = None
    FORMAT: ClassVar[str] = "shared-units/1"

    def __post_init__(self) -> None:
        coefficients = frozen(self.coefficients, np.float64)
        targets = frozen(self.targets, np.float64)
        if coefficients.ndim != 3 or targets.shape != coefficients.shape[:2]:
            raise ValueError(
                f"coefficients {coefficients.shape} and targets {targets.shape}: "
                "give shapes (b, m, n) and (b, m)"
            )
        if targets.size == 0:
            raise ValueError("an empty batch: give at least one block with one output")
        if not (np.isfinite(coefficients).all() and np.isfinite(targets).all()):
            raise ValueError("coefficients and targets must be finite: remove NaN and infinity")
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "targets", targets)
        for name in ("tolerance", "unit_cost", "edge_cost"):
            value = float(getattr(self, name))
            if not 0 <= value < np.inf:
                raise ValueError(f"{name} {value}: give a number that is finite and not negative")
            object.__setattr__(self, name, value)
        if self.unit_cost == self.edge_cost == 0:
            raise ValueError("nothing costs anything: give a unit_cost or an edge_cost above 0")
        if self.structured not in (False, True):
            raise ValueError(f"structured {self.structured!r}: give True or False")
        object.__setattr__(self, "structured", bool(self.structured))
        if self.available is not None:
            available = frozen_available(self.available, coefficients.shape)
            object.__setattr__(self, "available", available)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Blocks b, outputs m and units n."""
        b, m, n = self.coefficients.shape
        return b, m, n

    @property
    def num_candidates(self) -> int:
        """Entries of a block's mask, available or not."""
        _, m, n = self.shape
        return n if self.structured else m * n

    @property
    def task(self) -> str:
        """What is asked, in words."""
        name = "whole-units" if self.structured else "shared-units"
        costs = f"unit {self.unit_cost:g}, edge {self.edge_cost:g}"
        return f"{name}({costs}) within {self.tolerance:g}"

    @property
    def counts(self) -> bool:
        """Whether both costs are whole numbers, and so every objective."""
        _, m, n = self.shape
        largest = self.unit_cost * n + self.edge_cost * m * n
        return self.unit_cost.is_integer() and self.edge_cost.is_integer() and largest <= _EXACT

    @property
    def linear(self) -> bool:
        """True."""
        return True

    @property
    def slack(self) -> FloatArray:
        """Zeros: sums and costs are judged exactly."""
        return np.zeros(len(self))

    def part(self, start: int, stop: int) -> "SharedUnits":
        """Return the blocks from `start` up to but not including `stop`."""
        return SharedUnits(
            self.coefficients[start:stop],
            self.targets[start:stop],
            self.tolerance,
            self.unit_cost,
            self.edge_cost,
            self.structured,
            None if self.available is None else self.available[start:stop],
        )

    def usable(self) -> BoolArray:
        """Return which unit may serve which output, shape (b, m, n)."""
        if self.available is None:
            return np.ones(self.shape, np.bool_)
        if self.structured:
            everywhere = self.available.all(axis=1, keepdims=True)
            return np.asarray(np.broadcast_to(everywhere, self.shape))
        return self.available

    def usable_units(self) -> BoolArray:
        """Return which unit may serve any output, shape (b, n)."""
        return np.asarray(self.usable().any(axis=1))

    def edges(self, mask: BoolArray) -> BoolArray:
        """Return which unit serves which output, shape (b, m, n).

        Raises
        ------
        ValueError
            When `mask` is not a bool array of shape (b, number of candidates).
        """
        if mask.dtype != np.bool_ or mask.shape != (len(self), self.num_candidates):
            raise ValueError(
                f"mask of {mask.dtype} and shape {mask.shape}: "
                f"give bool and shape {(len(self), self.num_candidates)}"
            )
        if self.structured:
            return np.asarray(np.broadcast_to(mask[:, None, :], self.shape))
        return mask.reshape(self.shape)

    def num_units(self, mask: BoolArray) -> IntArray:
        """Return how many units of each block are in use, shape (b,)."""
        return np.asarray(self.edges(mask).any(axis=1).sum(axis=1))

    def num_edges(self, mask: BoolArray) -> IntArray:
        """Return how often units serve outputs in each block, shape (b,)."""
        return np.asarray(self.edges(mask).sum(axis=(1, 2)))

    def cost(self, num_units: IntArray, num_edges: IntArray) -> FloatArray:
        """Return what so many units and edges cost, correctly rounded."""
        if self.counts:
            return np.asarray(self.unit_cost * num_units + self.edge_cost * num_edges)
        unit, edge = Fraction(self.unit_cost), Fraction(self.edge_cost)
        pairs = zip(num_units.tolist(), num_edges.tolist(), strict=True)
        return np.array([float(unit * units + edge * edges) for units, edges in pairs])

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks in exact arithmetic.

        Returns
        -------
        objective
            Shape (b,): the cost.
        violation
            Shape (b,): 0 where the mask is feasible; how far the worst output is beyond the
            tolerance; infinity where the mask uses what is unavailable.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of shape (b, number of candidates).
        """
        objective, violation, _ = self.verdict(mask)
        return objective, violation

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge masks as `evaluate` does, and tell the largest error of each block too.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of shape (b, number of candidates).
        """
        b, m, n = self.shape
        edges = self.edges(mask)
        judged = judge(
            self.coefficients.reshape(b * m, n),
            self.targets.reshape(b * m),
            edges.reshape(b * m, n),
            self.tolerance,
        )
        error, excess = (values.reshape(b, m).max(axis=1) for values in judged)
        excess[(edges & ~self.usable()).any(axis=(1, 2))] = np.inf
        return Verdict(self.cost(self.num_units(mask), self.num_edges(mask)), excess, error)

    def milp(self, b: int) -> MILP:
        """State block `b` in the standard form; its first variables are the mask."""
        _, m, n = self.shape
        a, targets = self.coefficients[b], self.targets[b]
        usable = self.part(b, b + 1).usable()[0]
        if self.structured:
            return MILP(
                c=np.full(n, self.unit_cost + m * self.edge_cost),
                rows=np.repeat(np.arange(m), n),
                columns=np.tile(np.arange(n), m),
                values=a.reshape(-1),
                row_lower=targets - self.tolerance,
                row_upper=targets + self.tolerance,
                lower=np.zeros(n),
                upper=usable[0].astype(np.float64),
                integer=np.ones(n, np.bool_),
                counts=np.zeros(m, np.bool_),
                mask_columns=np.arange(n),
            )
        # variable j n + h is x_jh, m n + h is y_h; row m + j n + h says x_jh − y_h ≤ 0
        edges = np.arange(m * n)
        return MILP(
            c=np.repeat([self.edge_cost, self.unit_cost], [m * n, n]),
            rows=np.concatenate([np.repeat(np.arange(m), n), m + edges, m + edges]),
            columns=np.concatenate([edges, edges, m * n + edges % max(n, 1)]),
            values=np.concatenate([a.reshape(-1), np.ones(m * n), -np.ones(m * n)]),
            row_lower=np.append(targets - self.tolerance, np.full(m * n, -np.inf)),
            row_upper=np.append(targets + self.tolerance, np.zeros(m * n)),
            lower=np.zeros(m * n + n),
            upper=np.append(usable.reshape(-1), usable.any(axis=0)).astype(np.float64),
            integer=np.ones(m * n + n, np.bool_),
            counts=np.repeat([False, True], [m, m * n]),
            mask_columns=edges,
        )

    def sums(self) -> SubsetSum:
        """Return every output as a problem of its own: row i · m + j is output j of block i."""
        b, m, n = self.shape
        return SubsetSum(
            self.coefficients.reshape(b * m, n),
            self.targets.reshape(b * m),
            Sparsest(self.tolerance),
            None if self.available is None else self.usable().reshape(b * m, n),
        )

    @classmethod
    def tiny(cls) -> "SharedUnits":
        """Return a block of two outputs and two units."""
        return cls(np.array([[[0.5, 0.25], [0.5, 0.75]]]), np.array([[0.5, 0.5]]), 0.25)

    def fields(self) -> dict[str, Any]:
        """Return the keys and values that state the batch in a file."""
        fields: dict[str, Any] = {
            "coefficients": self.coefficients,
            "targets": self.targets,
            "tolerance": self.tolerance,
            "unit_cost": self.unit_cost,
            "edge_cost": self.edge_cost,
            "structured": self.structured,
        }
        if self.available is not None:
            fields["available"] = self.available
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "SharedUnits":
        """Make the batch that `fields` states.

        Raises
        ------
        ValueError
            When a key is missing or a value does not fit.
        """
        coefficients, targets, _ = wanted(fields, "coefficients", "targets", "tolerance")
        structured = fields.get("structured", False)
        if not isinstance(structured, bool):
            raise ValueError(f"structured {str(structured)[:40]!r}: give true or false")
        return cls(
            coefficients,
            targets,
            number_in(fields, "tolerance", math.nan),
            number_in(fields, "unit_cost", 1.0),
            number_in(fields, "edge_cost", 0.0),
            structured,
            fields.get("available"),
        )
