"""The weights of a neuron, a layer or a network that share one budget of edges."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from instances.arithmetic import Judgement, judge
from instances.arrays import BoolArray, FloatArray, frozen, frozen_available, largest
from instances.instance import Verdict, number_in, wanted, whole_in
from instances.milp import MILP

MEASURES = ("sum", "max", "rms")
_ROOM = 2.0**-48  # of all numbers' sum; two roundings, and those of a bound proved in float64
_LEAST = 2.0**-1074
_LARGEST = 2.0**1022


@dataclass(frozen=True, eq=False)
class EdgeBudget:
    r"""For each weight choose which candidates it sums, when what is kept is counted together.

    .. code-block:: text

        budget K         min total(e)   subject to Σ m ≤ K        with  e_i = |t_i − Σ_k a_ik m_ik|
        error limit E    min Σ m        subject to total(e) ≤ E

    The total of the weights' errors is their sum, their maximum or their root mean square; whether
    it is within a limit is decided without rounding. Problem b is a neuron, a layer or a network: r
    weights that share what may be kept.

    Parameters
    ----------
    coefficients
        Shape (b, r, n); a broadcast view where weights share candidates.
    targets
        Shape (b, r).
    budget
        The most candidates that a problem may keep, or None.
    error_limit
        The largest total that is feasible, or None. One of the two is to be given.
    measure
        "sum", "max" or "rms".
    available
        Shape (b, r, n), True where a weight may use a candidate; None: all of them.

    Raises
    ------
    ValueError
        When a shape does not fit, a number is not finite, not one of budget and limit is given, or
        a total might overflow.

    Examples
    --------
    >>> instance = EdgeBudget([[[0.5, 0.25], [0.5, 0.25]]], [[0.5, 0.125]], budget=1)
    >>> objective, _ = instance.evaluate(np.array([[True, False, False, False]]))
    >>> float(objective[0])
    0.125
    """

    coefficients: FloatArray
    targets: FloatArray
    budget: int | None = None
    error_limit: float | None = None
    measure: str = "sum"
    available: BoolArray | None = None
    FORMAT: ClassVar[str] = "edge-budget/1"

    def __post_init__(self) -> None:
        coefficients = frozen(self.coefficients, np.float64)
        targets = frozen(self.targets, np.float64)
        if coefficients.ndim != 3 or targets.shape != coefficients.shape[:2]:
            raise ValueError(
                f"coefficients {coefficients.shape} and targets {targets.shape}: "
                "give shapes (b, r, n) and (b, r)"
            )
        if targets.size == 0:
            raise ValueError("no weights: give at least one problem of at least one target")
        if not (np.isfinite(coefficients).all() and np.isfinite(targets).all()):
            raise ValueError("coefficients and targets must be finite: remove NaN and infinity")
        if self.measure not in MEASURES:
            raise ValueError(f"measure {self.measure!r}: choose sum, max or rms")
        if (self.budget is None) == (self.error_limit is None):
            raise ValueError("give a budget of edges or a limit of the error, one of the two")
        if self.budget is not None and not (self.budget >= 0 and float(self.budget).is_integer()):
            raise ValueError(f"budget {self.budget}: give a whole number of edges, 0 or more")
        limit = self.error_limit
        if limit is not None and not (math.isfinite(limit) and limit >= 0):
            raise ValueError(f"error limit {limit}: give a finite number that is not negative")
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "targets", targets)
        if self.budget is not None:
            object.__setattr__(self, "budget", int(self.budget))
        if limit is not None:
            object.__setattr__(self, "error_limit", float(limit))
        if self.available is not None:
            available = frozen_available(self.available, coefficients.shape)
            object.__setattr__(self, "available", available)
        reach = largest(coefficients) * coefficients[0].size + largest(targets) * targets.shape[1]
        if self.measure != "max" and not reach <= _LARGEST:
            raise ValueError("the total might overflow: scale coefficients and targets down")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def num_candidates(self) -> int:
        """Candidates per problem: those of all its weights."""
        return math.prod(self.coefficients.shape[1:])

    @property
    def counts(self) -> bool:
        """Whether the fewest edges are asked for."""
        return self.budget is None

    @property
    def tolerance(self) -> float | None:
        """The error limit; None where a budget is given."""
        return self.error_limit

    @property
    def task(self) -> str:
        """What is asked, in words."""
        if self.counts:
            return f"fewest edges, {self.measure} of errors within {self.error_limit:g}"
        return f"{self.measure} of errors, at most {self.budget} edges"

    @property
    def linear(self) -> bool:
        """Whether the measure is the sum or the maximum."""
        return self.measure != "rms"

    @property
    def slack(self) -> FloatArray:
        """Zeros for counts and maxima, which are exact; else what rounding may do to a total."""
        return np.zeros(len(self)) if self.counts or self.measure == "max" else self._rounding

    @cached_property
    def _rounding(self) -> FloatArray:
        reach = np.abs(self.targets) + np.abs(self.coefficients).sum(axis=2)
        return np.array([_ROOM * total(row, self.measure) + _LEAST for row in reach])

    def num_available(self) -> int:
        """Return the most candidates that a weight may use."""
        if self.available is None:
            return int(self.coefficients.shape[2])
        return int(self.available.sum(axis=2).max())

    def part(self, start: int, stop: int) -> "EdgeBudget":
        """Return the problems from `start` up to but not including `stop`."""
        return EdgeBudget(
            self.coefficients[start:stop],
            self.targets[start:stop],
            self.budget,
            self.error_limit,
            self.measure,
            None if self.available is None else self.available[start:stop],
        )

    def errors(self, mask: BoolArray) -> FloatArray:
        """Compute the exact error of every weight, shape (b, r), each rounded once.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of shape (b, r·n).
        """
        return self._judged(mask).error

    def _judged(self, mask: BoolArray) -> Judgement:
        if mask.dtype != np.bool_ or mask.shape != (len(self), self.num_candidates):
            raise ValueError(
                f"mask of {mask.dtype} and shape {mask.shape}: "
                f"give bool and shape {(len(self), self.num_candidates)}"
            )
        kept = mask.reshape(self.coefficients.shape)
        rows = zip(self.coefficients, self.targets, kept, strict=True)
        judged = [judge(a, t, m, self.error_limit) for a, t, m in rows]
        return Judgement(*(np.array(numbers) for numbers in zip(*judged, strict=True)))

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge masks of shape (b, r·n); the error is the total of the weights' errors.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of that shape.
        """
        errors, excess = self._judged(mask)
        totals = np.array([total(row, self.measure) for row in errors])
        kept = mask.sum(axis=1).astype(np.float64)
        if self.error_limit is None:
            violation = np.maximum(kept - float(self.budget or 0), 0.0)
        elif self.measure == "max":
            violation = excess.max(axis=1)
        else:
            violation = np.maximum(totals - self.error_limit, 0.0)
            for b in np.flatnonzero(in_doubt(totals, self.error_limit)).tolist():
                violation[b] = max(violation[b], _LEAST) if self._exceeds(b, mask[b]) else 0.0
        if self.available is not None:
            unusable = ~self.available.reshape(mask.shape)
            violation[(mask & unusable).any(axis=1)] = np.inf
        return Verdict(kept if self.counts else totals.copy(), violation, totals)

    def _exceeds(self, b: int, mask: BoolArray) -> bool:
        """Whether the total of problem `b`, a sum or a root mean square, exceeds the limit."""
        limit, kept = Fraction(self.error_limit or 0.0), mask.reshape(self.coefficients.shape[1:])
        rows = zip(self.coefficients[b], self.targets[b].tolist(), kept, strict=True)
        errors = [abs(Fraction(t) - sum(map(Fraction, a[m].tolist()))) for a, t, m in rows]
        if self.measure == "sum":
            return sum(errors) > limit
        return sum(error**2 for error in errors) > len(errors) * limit**2

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks of shape (b, r·n).

        Returns
        -------
        objective
            Shape (b,): the total error, or under an error limit the edges kept.
        violation
            Shape (b,): the edges beyond the budget, or the total beyond the limit; infinity where
            the mask uses an unavailable candidate.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of that shape.
        """
        objective, violation, _ = self.verdict(mask)
        return objective, violation

    def milp(self, b: int) -> MILP:
        """State problem `b`; the first variables are the mask, then come the errors.

        The sum has an error for every weight, the maximum one for all, or none under a limit; of
        the root mean square the errors are signed, and their squares are added.

        Raises
        ------
        ValueError
            When a limit is set to the root mean square: no linear row states it.
        """
        if self.counts and self.measure == "rms":
            raise ValueError(
                "a limit on the root mean square is no linear row: limit the sum or the maximum"
            )
        r, n = self.coefficients.shape[1:]
        targets, every, limit = self.targets[b], np.arange(r), self.error_limit or 0.0
        num_errors = {"sum": r, "rms": r, "max": int(not self.counts)}[self.measure]
        error = r * n + (every if num_errors == r else np.zeros(r, np.int64))
        row, column = np.repeat(every, n), np.arange(r * n)
        values = self.coefficients[b].reshape(-1)
        entries = [(row, column, values)]
        low, high = targets, targets
        if self.measure == "rms":
            entries.append((every, error, np.ones(r)))
        elif num_errors == 0:
            low, high = targets - limit, targets + limit
        else:
            entries += [(r + row, column, values), (every, error, np.ones(r))]
            entries.append((r + every, error, -np.ones(r)))
            low = np.concatenate([targets, np.full(r, -np.inf)])
            high = np.concatenate([np.full(r, np.inf), targets])
        counts = np.zeros(len(low), np.bool_)
        if not self.counts:
            entries.append((np.full(r * n, len(low)), column, np.ones(r * n)))
            low, high = np.append(low, -np.inf), np.append(high, float(self.budget or 0))
            counts = np.append(counts, True)
        elif self.measure == "sum":
            entries.append((np.full(r, len(low)), error, np.ones(r)))
            low, high = np.append(low, -np.inf), np.append(high, limit)
            counts = np.append(counts, False)
        rows, columns, all_values = (np.concatenate(part) for part in zip(*entries, strict=True))
        kept = all_values != 0
        order = np.lexsort((columns[kept], rows[kept], columns[kept] >= r * n))
        weight = {"sum": 1.0, "max": 1.0, "rms": 1 / math.sqrt(r)}[self.measure]
        free = np.full(num_errors, -np.inf if self.measure == "rms" else 0.0)
        usable = np.ones(r * n) if self.available is None else self.available[b].reshape(-1) * 1.0
        return MILP(
            c=np.repeat([1.0, 0.0] if self.counts else [0.0, weight], [r * n, num_errors]),
            rows=rows[kept][order],
            columns=columns[kept][order],
            values=all_values[kept][order],
            row_lower=low,
            row_upper=high,
            lower=np.concatenate([np.zeros(r * n), free]),
            upper=np.concatenate([usable, np.full(num_errors, np.inf)]),
            integer=np.arange(r * n + num_errors) < r * n,
            counts=counts,
            mask_columns=column,
            sensitivity=float(r) if self.measure == "sum" else 1.0,
            squared=self.measure == "rms",
        )

    @classmethod
    def tiny(cls) -> "EdgeBudget":
        """Return two weights of two candidates, one of which may be kept."""
        return cls(np.array([[[0.5, 0.25], [0.5, 0.25]]]), np.array([[0.7, 0.2]]), 1)

    def fields(self) -> dict[str, Any]:
        """Return the keys and values that state the batch in a file."""
        fields: dict[str, Any] = {
            "coefficients": self.coefficients,
            "targets": self.targets,
            "measure": self.measure,
        }
        for name in ("budget", "error_limit", "available"):
            if getattr(self, name) is not None:
                fields[name] = getattr(self, name)
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "EdgeBudget":
        """Make the batch that `fields` states.

        Raises
        ------
        ValueError
            When a key is missing or a value does not fit.
        """
        coefficients, targets = wanted(fields, "coefficients", "targets")
        return cls(
            coefficients,
            targets,
            whole_in(fields, "budget"),
            number_in(fields, "error_limit"),
            str(fields.get("measure", "sum")),
            fields.get("available"),
        )


def total(errors: FloatArray, measure: str) -> float:
    """Return the sum, maximum or root mean square of errors, rounded a few times at most."""
    if measure == "max":
        return float(errors.max())
    if measure == "sum":
        return _sum(errors)
    scale = unit_of(errors)
    return scale * math.sqrt(_sum((errors / scale) ** 2) / len(errors))


def in_doubt(totals: FloatArray, limit: float) -> BoolArray:
    """Return which totals of rounded errors are so near the limit that rounding may decide."""
    return np.asarray(np.abs(totals - limit) <= _ROOM * limit + 64 * _LEAST)


def unit_of(errors: FloatArray) -> float:
    """Return a power of two near the largest error: squares of quotients do not overflow."""
    return float(2.0 ** min(int(np.frexp(errors.max())[1]), 1023))


def _sum(numbers: FloatArray) -> float:
    try:
        return math.fsum(numbers.tolist())
    except OverflowError:
        return math.inf
