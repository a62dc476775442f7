"""Subset sums whose kept candidates may move a little, the judge of every answer to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from instances.arithmetic import Judgement, judge
from instances.arrays import BoolArray, FloatArray, frozen, frozen_available
from instances.instance import Verdict, number_in, wanted
from instances.milp import MILP
from instances.objectives import Closest, FixedSize, Sparsest, make_objective

_FIXED = "perturbed sums of a fixed size are not asked for: choose Closest or Sparsest"


@dataclass(frozen=True, eq=False)
class PerturbedSubsetSum:
    r"""For each row b choose a mask in {0, 1}ⁿ; every kept candidate k may move by up to p_k.

    All of them together can move the sum of a mask by up to p·m, so that it misses the target by
    ``max(0, |t − a·m| − p·m)``.

    .. code-block:: text

        closest      min miss
        sparsest     min Σm      subject to miss ≤ tolerance     then least miss

    Among masks that miss by as little, closest prefers the least ``|t − a·m|``, which is what has
    to be moved. Among equal answers the smallest mask wins, read as an integer with bit k =
    candidate k.

    Xiong, Liao, Kyrillidis, "Strong Lottery Ticket Hypothesis with ε-perturbation", AISTATS 2023,
    arXiv 2210.16589.

    Parameters
    ----------
    coefficients
        Shape (b, n).
    targets
        Shape (b,).
    perturbations
        Shape (b, n), or any shape that can be broadcast to it: how far each candidate may move.
    objective
        `Closest` or `Sparsest`.
    available
        Shape (b, n), True where a row may use a candidate; None: all of them.

    Raises
    ------
    ValueError
        When the batch is empty, a shape does not fit, a number is not finite, a perturbation is
        negative, or the objective is `FixedSize`.

    Examples
    --------
    >>> instance = PerturbedSubsetSum([[0.5, 0.25, -0.125]], [0.5625], 0.0625)
    >>> mask = np.array([[True, False, False]])
    >>> objective, violation = instance.evaluate(mask)
    >>> float(objective[0]), float(violation[0]), instance.movement(mask).tolist()
    (0.0, 0.0, [1.0])
    """

    coefficients: FloatArray
    targets: FloatArray
    perturbations: FloatArray
    objective: Closest | Sparsest = field(default_factory=Closest)
    available: BoolArray | None = None
    FORMAT: ClassVar[str] = "perturbed-subset-sum/1"

    def __post_init__(self) -> None:
        coefficients = frozen(self.coefficients, np.float64)
        targets = frozen(self.targets, np.float64)
        if coefficients.ndim != 2 or targets.shape != coefficients.shape[:1]:
            raise ValueError(
                f"coefficients {coefficients.shape} and targets {targets.shape}: "
                "give shapes (b, n) and (b,)"
            )
        if len(targets) == 0:
            raise ValueError("an empty batch: give at least one target")
        given = frozen(np.atleast_1d(self.perturbations), np.float64)
        try:
            perturbations = np.broadcast_to(given, coefficients.shape)
        except ValueError as error:
            raise ValueError(
                f"perturbations {given.shape}: give the shape of the coefficients, "
                f"{coefficients.shape}, or one that can be broadcast to it"
            ) from error
        if not all(np.isfinite(a).all() for a in (coefficients, targets, perturbations)):
            raise ValueError(
                "coefficients, targets and perturbations must be finite: remove NaN and infinity"
            )
        if (perturbations < 0).any():
            raise ValueError("perturbations say how far a candidate may move: give 0 or more")
        if isinstance(self.objective, FixedSize):
            raise ValueError(_FIXED)
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "perturbations", perturbations)
        if self.available is not None:
            available = frozen_available(self.available, coefficients.shape)
            object.__setattr__(self, "available", available)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def num_candidates(self) -> int:
        """Candidates per row, available or not."""
        return int(self.coefficients.shape[1])

    @property
    def tolerance(self) -> float | None:
        """The miss up to which a mask is feasible; None: any miss."""
        return self.objective.tolerance

    @property
    def counts(self) -> bool:
        """Whether the objective is a count of candidates rather than a miss."""
        return isinstance(self.objective, Sparsest)

    @property
    def task(self) -> str:
        """What is asked, in words."""
        asked_for = f"perturbed {self.objective.name}"
        return asked_for if self.tolerance is None else f"{asked_for} within {self.tolerance:g}"

    @property
    def linear(self) -> bool:
        """True."""
        return True

    @property
    def slack(self) -> FloatArray:
        """Zeros: sums are judged exactly."""
        return np.zeros(len(self))

    def num_available(self) -> NDArray[np.int64]:
        """Return how many candidates each row may use, shape (b,)."""
        if self.available is None:
            return np.full(len(self), self.num_candidates)
        return np.asarray(self.available.sum(axis=1))

    def part(self, start: int, stop: int) -> "PerturbedSubsetSum":
        """Return the rows from `start` up to but not including `stop`."""
        return PerturbedSubsetSum(
            self.coefficients[start:stop],
            self.targets[start:stop],
            self.perturbations[start:stop],
            self.objective,
            None if self.available is None else self.available[start:stop],
        )

    def judge(self, mask: BoolArray) -> Judgement:
        """Compute the exact miss of each row, as its error, and its excess over the tolerance.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the coefficients.
        """
        freedom = self._freedom(mask)
        miss = judge(self.coefficients, self.targets, mask, freedom).excess
        if self.tolerance is None:
            return Judgement(miss, np.zeros(len(self)))
        limit = np.column_stack([freedom, np.full(len(self), self.tolerance)])
        return Judgement(miss, judge(self.coefficients, self.targets, mask, limit).excess)

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks of shape (b, n) in exact arithmetic.

        Returns
        -------
        objective
            Shape (b,): the miss, or for `Sparsest` the number kept.
        violation
            Shape (b,): 0 where the mask is feasible; how far the miss is beyond the tolerance;
            infinity where the mask uses an unavailable candidate.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the coefficients.
        """
        objective, violation, _ = self.verdict(mask)
        return objective, violation

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge masks as `evaluate` does, and tell the misses, as errors, too.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the coefficients.
        """
        miss, violation = self.judge(mask)
        if self.available is not None:
            violation[(mask & ~self.available).any(axis=1)] = np.inf
        kept = mask.sum(axis=1).astype(np.float64)
        return Verdict(kept if self.counts else miss, violation, miss)

    def movement(self, mask: BoolArray) -> FloatArray:
        """Return which fraction of their freedom the kept candidates use to meet the target.

        Kept candidate k ends at a_k + θ p_k, the same θ for all of a row.

        Returns
        -------
        FloatArray
            Shape (b,): θ = (t − a·m) / (p·m), cut off at −1 and 1; 0 where nothing may move.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the coefficients.
        """
        freedom = self._freedom(mask)
        nowhere = np.zeros(len(self))
        distance = judge(self.coefficients, self.targets, mask, None).error
        room = judge(freedom, nowhere, np.ones_like(mask), None).error
        kept = np.where(mask, self.coefficients, 0.0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            signed = self.targets - kept.sum(axis=1)
            rounding = (np.abs(kept).sum(axis=1) + np.abs(self.targets)) * mask.shape[1] * 2.0**-50
            theta = np.asarray(np.copysign(np.minimum(distance / room, 1.0), signed))
        theta[(distance == 0) | (room == 0)] = 0.0
        # where the sum in floats may be on the wrong side of the target, or too large for them
        doubtful = ~(np.abs(signed) > rounding) & (distance > 0) & (room > 0)
        for r in np.flatnonzero(doubtful):
            left = Fraction(float(self.targets[r])) - sum(map(Fraction, kept[r].tolist()))
            exact = left / sum(map(Fraction, freedom[r].tolist()))
            theta[r] = float(max(Fraction(-1), min(exact, Fraction(1))))
        return theta

    def _freedom(self, mask: BoolArray) -> FloatArray:
        """Return how far each candidate may move under `mask`, shape (b, n)."""
        if mask.dtype != np.bool_ or mask.shape != self.coefficients.shape:
            raise ValueError(
                f"mask of {mask.dtype} and shape {mask.shape}: "
                f"give bool and shape {self.coefficients.shape}"
            )
        return np.where(mask, self.perturbations, 0.0)

    def milp(self, b: int) -> MILP:
        """State row `b` in the standard form; its first n variables are the mask.

        What candidate k moves by, ``|y_k| ≤ p_k x_k``, is eliminated: Σ y reaches −p·x to p·x, so
        that (a + p)·x has to come up to the target and (a − p)·x to stay below it. With a variable
        for each y_k, CP-SAT finds no end on rows of nine candidates.
        """
        n = self.num_candidates
        a, t, p = self.coefficients[b], float(self.targets[b]), self.perturbations[b]
        allowed = np.ones(n) if self.available is None else self.available[b].astype(np.float64)
        everyone = np.arange(n)
        rows, columns = np.repeat([0, 1], n), np.tile(everyone, 2)
        values = np.concatenate([a + p, a - p])
        if isinstance(self.objective, Sparsest):
            tolerance = self.objective.tolerance
            return MILP(
                c=np.ones(n),
                rows=rows,
                columns=columns,
                values=values,
                row_lower=np.array([t - tolerance, -np.inf]),
                row_upper=np.array([np.inf, t + tolerance]),
                lower=np.zeros(n),
                upper=allowed,
                integer=np.ones(n, np.bool_),
                counts=np.zeros(2, np.bool_),
                mask_columns=everyone,
            )
        # variable n is the miss z: (a + p)·x + z ≥ t and (a − p)·x − z ≤ t
        return MILP(
            c=np.append(np.zeros(n), 1.0),
            rows=np.append(rows, [0, 1]),
            columns=np.append(columns, [n, n]),
            values=np.append(values, [1.0, -1.0]),
            row_lower=np.array([t, -np.inf]),
            row_upper=np.array([np.inf, t]),
            lower=np.zeros(n + 1),
            upper=np.append(allowed, np.inf),
            integer=np.append(np.ones(n, np.bool_), np.False_),
            counts=np.zeros(2, np.bool_),
            mask_columns=everyone,
        )

    @classmethod
    def tiny(cls) -> "PerturbedSubsetSum":
        """Return a row of two candidates."""
        return cls(np.array([[0.5, 0.25]]), np.array([0.7]), np.array([[0.125, 0.0625]]))

    def fields(self) -> dict[str, Any]:
        """Return the keys and values that state the batch in a file."""
        fields: dict[str, Any] = {
            "coefficients": self.coefficients,
            "targets": self.targets,
            "perturbations": self.perturbations,
            "objective": self.objective.name,
        }
        if self.tolerance is not None:
            fields["tolerance"] = self.tolerance
        if self.available is not None:
            fields["available"] = self.available
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "PerturbedSubsetSum":
        """Make the batch that `fields` states.

        Raises
        ------
        ValueError
            When a key is missing or a value does not fit.
        """
        coefficients, targets, perturbations, name = wanted(
            fields, "coefficients", "targets", "perturbations", "objective"
        )
        if str(name) == FixedSize.name:
            raise ValueError(_FIXED)
        objective = make_objective(str(name), tolerance=number_in(fields, "tolerance"))
        assert not isinstance(objective, FixedSize)
        return cls(coefficients, targets, perturbations, objective, fields.get("available"))
