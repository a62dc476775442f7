"""A batch of SubsetSum problems, the judge of every answer to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from instances.arithmetic import Judgement, judge
from instances.arrays import BoolArray, FloatArray, frozen, frozen_available
from instances.instance import Verdict, number_in, wanted, whole_in
from instances.milp import MILP
from instances.objectives import Closest, FixedSize, Objective, Sparsest, make_objective
from instances.recipe import Recipe


@dataclass(frozen=True, eq=False)
class SubsetSum:
    r"""For each row b choose a mask in {0, 1}ⁿ so that the kept coefficients sum to the target.

    .. code-block:: text

        closest      min |t − a·m|
        sparsest     min Σm      subject to |t − a·m| ≤ tolerance     then least error
        fixed-size   min |t − a·m|  subject to Σm = size

    Among equal answers the smallest mask wins, read as an integer with bit k = candidate k.

    Parameters
    ----------
    coefficients
        Shape (b, n); a row may be a broadcast view when all rows share one vector.
    targets
        Shape (b,).
    objective
        `Closest`, `Sparsest` or `FixedSize`.
    available
        Shape (b, n), True where a row may use a candidate; None: all of them.

    Raises
    ------
    ValueError
        When the batch is empty, a shape does not fit, or a number is not finite.

    Examples
    --------
    >>> instance = SubsetSum([[0.5, 0.25, -0.125]], [0.4])
    >>> objective, violation = instance.evaluate(np.array([[True, False, True]]))
    >>> float(objective[0]), float(violation[0])
    (0.025000000000000022, 0.0)
    """

    coefficients: FloatArray
    targets: FloatArray
    objective: Objective = field(default_factory=Closest)
    available: BoolArray | None = None
    recipe: Recipe | None = field(default=None, init=False)
    """How the coefficients were drawn, where `drawn` did it; see there."""
    FORMAT: ClassVar[str] = "subset-sum/1"

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
        if not (np.isfinite(coefficients).all() and np.isfinite(targets).all()):
            raise ValueError("coefficients and targets must be finite: remove NaN and infinity")
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "targets", targets)
        if self.available is not None:
            available = frozen_available(self.available, coefficients.shape)
            object.__setattr__(self, "available", available)

    @classmethod
    def drawn(
        cls,
        recipe: Recipe,
        targets: FloatArray,
        objective: Objective,
        available: BoolArray | None = None,
    ) -> "SubsetSum":
        """Draw the coefficients, and remember how: a device may draw them again.

        Parameters
        ----------
        recipe
            How they are drawn; its first row is that of the batch.
        targets, objective, available
            As for the class.
        """
        instance = cls(recipe.draw(len(targets)), targets, objective, available)
        object.__setattr__(instance, "recipe", recipe)
        return instance

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def num_candidates(self) -> int:
        """Candidates per row, available or not."""
        return int(self.coefficients.shape[1])

    @property
    def tolerance(self) -> float | None:
        """The error up to which a mask is feasible; None: any error."""
        return self.objective.tolerance

    @property
    def counts(self) -> bool:
        """Whether the objective is a count of candidates rather than an error."""
        return isinstance(self.objective, Sparsest)

    @property
    def task(self) -> str:
        """What is asked, in words."""
        asked = self.objective
        if isinstance(asked, FixedSize):
            asked_for = f"fixed-size({asked.size})"
        else:
            asked_for = asked.name
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

    def part(self, start: int, stop: int) -> "SubsetSum":
        """Return the rows from `start` up to but not including `stop`."""
        available = None if self.available is None else self.available[start:stop]
        part = SubsetSum(
            self.coefficients[start:stop], self.targets[start:stop], self.objective, available
        )
        if self.recipe is not None:
            object.__setattr__(part, "recipe", self.recipe.beginning(start))
        return part

    def judge(self, mask: BoolArray) -> Judgement:
        """Compute the exact error of each row and its excess over the tolerance.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the coefficients.
        """
        if mask.dtype != np.bool_ or mask.shape != self.coefficients.shape:
            raise ValueError(
                f"mask of {mask.dtype} and shape {mask.shape}: "
                f"give bool and shape {self.coefficients.shape}"
            )
        return judge(self.coefficients, self.targets, mask, self.tolerance)

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks of shape (b, n) in exact arithmetic.

        Returns
        -------
        objective
            Shape (b,): the error, or for `Sparsest` the number kept.
        violation
            Shape (b,): 0 where the mask is feasible; how far the error is beyond the tolerance;
            infinity where the mask uses an unavailable candidate or has the wrong size.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the coefficients.
        """
        objective, violation, _ = self.verdict(mask)
        return objective, violation

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge masks as `evaluate` does, and tell the errors too.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of the shape of the coefficients.
        """
        error, violation = self.judge(mask)
        kept = mask.sum(axis=1)
        if isinstance(self.objective, FixedSize):
            violation[kept != self.objective.size] = np.inf
        if self.available is not None:
            violation[(mask & ~self.available).any(axis=1)] = np.inf
        return Verdict(kept.astype(np.float64) if self.counts else error, violation, error)

    def milp(self, b: int) -> MILP:
        """State row `b` in the standard form; its first n variables are the mask."""
        n = self.num_candidates
        a, t = self.coefficients[b], float(self.targets[b])
        allowed = np.ones(n) if self.available is None else self.available[b].astype(np.float64)
        everyone = np.arange(n)
        if isinstance(self.objective, Sparsest):
            tolerance = self.objective.tolerance
            return MILP(
                c=np.ones(n),
                rows=np.zeros(n, np.int64),
                columns=everyone,
                values=a,
                row_lower=np.array([t - tolerance]),
                row_upper=np.array([t + tolerance]),
                lower=np.zeros(n),
                upper=allowed,
                integer=np.ones(n, np.bool_),
                counts=np.zeros(1, np.bool_),
                mask_columns=everyone,
            )
        # variable n is the error z: a·x + z ≥ t and a·x − z ≤ t
        size = self.objective.size if isinstance(self.objective, FixedSize) else None
        num_rows = 2 if size is None else 3
        return MILP(
            c=np.append(np.zeros(n), 1.0),
            rows=np.concatenate([np.repeat(np.arange(num_rows), n), [0, 1]]),
            columns=np.concatenate([np.tile(everyone, num_rows), [n, n]]),
            values=np.concatenate([a, a, np.ones(n if num_rows == 3 else 0), [1.0, -1.0]]),
            row_lower=np.array([t, -np.inf, size or 0.0][:num_rows]),
            row_upper=np.array([np.inf, t, size or 0.0][:num_rows]),
            lower=np.zeros(n + 1),
            upper=np.append(allowed, np.inf),
            integer=np.append(np.ones(n, np.bool_), np.False_),
            counts=np.array([False, False, True][:num_rows]),
            mask_columns=everyone,
        )

    @classmethod
    def tiny(cls) -> "SubsetSum":
        """Return a row of two candidates."""
        return cls(np.array([[0.5, 0.25]]), np.array([0.7]))

    def fields(self) -> dict[str, Any]:
        """Return the keys and values that state the batch in a file."""
        fields: dict[str, Any] = {
            "coefficients": self.coefficients,
            "targets": self.targets,
            "objective": self.objective.name,
        }
        if self.tolerance is not None:
            fields["tolerance"] = self.tolerance
        if isinstance(self.objective, FixedSize):
            fields["size"] = self.objective.size
        if self.available is not None:
            fields["available"] = self.available
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "SubsetSum":
        """Make the batch that `fields` states.

        Raises
        ------
        ValueError
            When a key is missing or a value does not fit.
        """
        coefficients, targets, name = wanted(fields, "coefficients", "targets", "objective")
        objective = make_objective(
            str(name), tolerance=number_in(fields, "tolerance"), size=whole_in(fields, "size")
        )
        return cls(coefficients, targets, objective, fields.get("available"))
