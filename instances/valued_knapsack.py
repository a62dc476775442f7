"""Knapsacks of valued candidates: what a capacity makes one give up."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray, frozen
from instances.instance import Verdict, wanted
from instances.milp import MILP

_EXACT = 2.0**53  # whole numbers up to here are floats


@dataclass(frozen=True, eq=False)
class ValuedKnapsack:
    r"""For each row keep what is worth most, when what is kept must not weigh too much.

    .. code-block:: text

        min  Σ_k |v_k| (where m_k ≠ [v_k > 0])   subject to  Σ_k w_k m_k ≤ capacity

    The objective is the value given up: what is kept, Σ v_k m_k, is worth that much less than all
    that has a positive value. Candidates may have negative values: they are never worth keeping.

    Parameters
    ----------
    values
        Shape (b, n).
    weights
        Shape (b, n), whole numbers, 0 or more.
    capacity
        Shape (b,), whole numbers, 0 or more.

    Raises
    ------
    ValueError
        When the batch is empty, a shape does not fit, a value is not finite, or a weight or a
        capacity is not a whole number that is large enough and can be added up exactly.

    Examples
    --------
    >>> instance = ValuedKnapsack([[3.0, 2.0, 2.0, -1.0]], [[4, 3, 3, 1]], [6])
    >>> objective, violation = instance.evaluate(np.array([[False, True, True, False]]))
    >>> float(objective[0]), float(violation[0])
    (3.0, 0.0)
    """

    values: FloatArray
    weights: IntArray
    capacity: IntArray
    FORMAT: ClassVar[str] = "valued-knapsack/1"

    def __post_init__(self) -> None:
        values = frozen(self.values, np.float64)
        weights, capacity = _whole(self.weights, "weights"), _whole(self.capacity, "capacity")
        if values.ndim != 2 or weights.shape != values.shape or capacity.shape != values.shape[:1]:
            raise ValueError(
                f"values {values.shape}, weights {weights.shape} and capacity {capacity.shape}: "
                "give shapes (b, n), (b, n) and (b,)"
            )
        if len(values) == 0:
            raise ValueError("an empty batch: give at least one capacity")
        if not np.isfinite(values).all():
            raise ValueError("values must be finite: remove NaN and infinity")
        if (weights.sum(axis=1, dtype=np.float64) >= _EXACT).any():
            raise ValueError("weights add up to 2**53 or more: divide them by a common factor")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "capacity", capacity)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def num_candidates(self) -> int:
        """Candidates per row."""
        return int(self.values.shape[1])

    @property
    def task(self) -> str:
        """What is asked, in words."""
        return "least value given up within the capacity"

    @property
    def counts(self) -> bool:
        """Whether all values are whole numbers, and so every objective."""
        whole = not (self.values % 1).any()
        with np.errstate(over="ignore"):
            return whole and bool((np.abs(self.values).sum(axis=1) < _EXACT).all())

    @property
    def tolerance(self) -> None:
        """None: there is no error to be limited."""
        return None

    @property
    def linear(self) -> bool:
        """True."""
        return True

    @property
    def slack(self) -> FloatArray:
        """Zeros: values and weights are added exactly."""
        return np.zeros(len(self))

    def part(self, start: int, stop: int) -> "ValuedKnapsack":
        """Return the rows from `start` up to but not including `stop`."""
        rows = slice(start, stop)
        return ValuedKnapsack(self.values[rows], self.weights[rows], self.capacity[rows])

    def weight(self, mask: BoolArray) -> IntArray:
        """Return what the masks' candidates weigh, shape (b,).

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the values.
        """
        if mask.dtype != np.bool_ or mask.shape != self.values.shape:
            raise ValueError(
                f"mask of {mask.dtype} and shape {mask.shape}: "
                f"give bool and shape {self.values.shape}"
            )
        return np.asarray(np.where(mask, self.weights, 0).sum(axis=1))

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks of shape (b, n) in exact arithmetic.

        Returns
        -------
        objective
            Shape (b,): the value given up, rounded once.
        violation
            Shape (b,): by how much the kept candidates are too heavy; 0 where they are not.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the values.
        """
        objective, violation, _ = self.verdict(mask)
        return objective, violation

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge masks as `evaluate` does; the error is the value given up, too.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the values.
        """
        excess = np.maximum(self.weight(mask) - self.capacity, 0).astype(np.float64)
        lost = np.where(mask != (self.values > 0), np.abs(self.values), 0.0)
        given_up = np.array([_sum(row) for row in lost])
        return Verdict(given_up, excess, given_up.copy())

    def milp(self, b: int) -> MILP:
        """State row `b`; its first n variables are the mask, the last one is the value given up."""
        n = self.num_candidates
        everyone, entries = np.arange(n), np.stack([self.values[b], self.weights[b]])
        rows, columns = np.nonzero(entries)
        return MILP(
            c=np.append(np.zeros(n), 1.0),
            rows=np.append(rows, 0),
            columns=np.append(columns, n),
            values=np.append(entries[rows, columns], 1.0),
            row_lower=np.array([_sum(np.maximum(self.values[b], 0.0)), -np.inf]),
            row_upper=np.array([np.inf, float(self.capacity[b])]),
            lower=np.zeros(n + 1),
            upper=np.append(np.ones(n), np.inf),
            integer=np.arange(n + 1) < n,
            counts=np.array([False, True]),
            mask_columns=everyone,
        )

    @classmethod
    def tiny(cls) -> "ValuedKnapsack":
        """Return a row of two candidates, one of which may be kept."""
        return cls(np.array([[0.5, 0.75]]), np.array([[1, 1]]), np.array([1]))

    def fields(self) -> dict[str, Any]:
        """Return the keys and values that state the batch in a file."""
        return {"values": self.values, "weights": self.weights, "capacity": self.capacity}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "ValuedKnapsack":
        """Make the batch that `fields` states.

        Raises
        ------
        ValueError
            When a key is missing or a value does not fit.
        """
        return cls(*wanted(fields, "values", "weights", "capacity"))


def _whole(numbers: Any, name: str) -> IntArray:
    floats = frozen(numbers, np.float64)
    if not ((floats >= 0) & (floats <= _EXACT) & (floats == np.rint(floats))).all():
        raise ValueError(f"{name}: give whole numbers from 0 to 2**53")
    return frozen(floats.astype(np.int64), np.int64)


def _sum(numbers: FloatArray) -> float:
    try:
        return math.fsum(numbers.tolist())
    except OverflowError:
        return math.inf
