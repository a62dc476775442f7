"""Neurons whose masks are judged by what they do to outputs on given inputs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray, frozen, frozen_available, largest
from instances.instance import Verdict, number_in, wanted, whole_in
from instances.milp import MILP

NORMS = (1.0, 2.0, math.inf)


@dataclass(frozen=True, eq=False)
class Neurons:
    r"""For each neuron b choose which candidates each of its weights sums, for the data at hand.

    .. code-block:: text

        min ‖ Z (w_b − s_b) ‖      with  s_bi = Σ_k a_bik m_bik

    Z are calibration inputs, shared by all neurons; below them stand the rows ridge · I, so that
    directions that the data leaves free are not. The norm is 1, 2 or inf.

    Parameters
    ----------
    inputs
        Shape (T, d): T samples of d inputs.
    coefficients
        Shape (b, d, n).
    targets
        Shape (b, d).
    norm
        1, 2 or inf, of the outputs' errors over all samples.
    ridge
        What the errors of the weights themselves are multiplied by.
    budget
        The most candidates that a neuron may keep; None: any number.
    available
        Shape (b, d, n), True where a weight may use a candidate; None: all of them.

    Raises
    ------
    ValueError
        When a shape does not fit, a number is not finite, the norm is unknown, or outputs might
        overflow.

    Examples
    --------
    >>> instance = Neurons([[1.0, 1.0]], [[[0.5], [0.25]]], [[0.7, 0.0]])
    >>> objective, _ = instance.evaluate(np.array([[True, True]]))
    >>> float(objective[0].round(12))
    0.05
    """

    inputs: FloatArray
    coefficients: FloatArray
    targets: FloatArray
    norm: float = 2.0
    ridge: float = 0.0
    budget: int | None = None
    available: BoolArray | None = None
    FORMAT: ClassVar[str] = "neurons/1"
    counts: ClassVar[bool] = False
    tolerance: ClassVar[None] = None

    def __post_init__(self) -> None:
        inputs, targets = frozen(self.inputs, np.float64), frozen(self.targets, np.float64)
        coefficients = frozen(self.coefficients, np.float64)
        if coefficients.ndim != 3 or targets.shape != coefficients.shape[:2]:
            raise ValueError(
                f"coefficients {coefficients.shape} and targets {targets.shape}: "
                "give shapes (b, d, n) and (b, d)"
            )
        if inputs.ndim != 2 or inputs.shape[1:] != targets.shape[1:]:
            raise ValueError(
                f"inputs of shape {inputs.shape} for weights of shape {targets.shape}: give "
                "calibration inputs of shape (samples, d), d as for the weights"
            )
        if inputs.size == 0 or len(targets) == 0:
            raise ValueError("no calibration inputs, or no neurons: give one of each at least")
        if not all(np.isfinite(a).all() for a in (inputs, coefficients, targets)):
            raise ValueError("inputs, coefficients and targets must be finite: remove NaN and inf")
        if self.norm not in NORMS:
            raise ValueError(f"norm {self.norm}: choose 1, 2 or inf")
        if not (math.isfinite(self.ridge) and self.ridge >= 0):
            raise ValueError(f"ridge {self.ridge}: give a finite number that is not negative")
        if self.budget is not None and self.budget < 0:
            raise ValueError(f"budget {self.budget}: a neuron keeps 0 candidates or more")
        for name, value in (("inputs", inputs), ("coefficients", coefficients),
                            ("targets", targets), ("norm", float(self.norm))):  # fmt: skip
            object.__setattr__(self, name, value)
        if self.available is not None:
            available = frozen_available(self.available, coefficients.shape)
            object.__setattr__(self, "available", available)
        reach = largest(coefficients) * coefficients.shape[2] + largest(targets)
        reach *= max(largest(inputs), self.ridge) * (inputs.size + 1)
        if not reach <= 2.0 ** (500 if self.norm == 2 else 1000):
            raise ValueError("the outputs might overflow: scale inputs or weights down")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def num_candidates(self) -> int:
        """Candidates per neuron: those of all its weights."""
        return math.prod(self.coefficients.shape[1:])

    @property
    def task(self) -> str:
        """What is asked, in words."""
        limit = "" if self.budget is None else f", at most {self.budget} kept"
        return f"data-aware, norm {self.norm:g}{limit}"

    @property
    def linear(self) -> bool:
        """Whether the norm is 1 or inf."""
        return self.norm != 2

    @cached_property
    def slack(self) -> FloatArray:
        """What rounding may do to objectives: the terms of a sum times the size of its numbers.

        And what is lost of numbers next to 0, or of squares of such.
        """
        _, d, n = self.coefficients.shape
        sizes = np.abs(self.targets) + np.abs(self.coefficients).sum(axis=2)
        reach = self._norm(np.abs(self.inputs) @ sizes.T, self.ridge * sizes.T)
        lost = 2.0 ** (-537 if self.norm == 2 else -1074)
        num_terms = len(self.inputs) + d + n
        return np.asarray(4 * num_terms * (np.finfo(np.float64).eps * reach + lost))

    def part(self, start: int, stop: int) -> "Neurons":
        """Return the neurons from `start` up to but not including `stop`."""
        rows = slice(start, stop)
        return Neurons(
            self.inputs,
            self.coefficients[rows],
            self.targets[rows],
            self.norm,
            self.ridge,
            self.budget,
            None if self.available is None else self.available[rows],
        )

    def kept_sums(self, mask: BoolArray) -> FloatArray:
        """Return what the kept candidates of each weight sum to, shape (b, d)."""
        kept = mask.reshape(self.coefficients.shape)
        return np.asarray(np.where(kept, self.coefficients, 0.0).sum(axis=2))

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge masks of shape (b, d·n) in float64, up to `slack`; the error is the objective.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of that shape.
        """
        if mask.dtype != np.bool_ or mask.shape != (len(self), self.num_candidates):
            raise ValueError(
                f"mask of {mask.dtype} and shape {mask.shape}: "
                f"give bool and shape {(len(self), self.num_candidates)}"
            )
        off = (self.targets - self.kept_sums(mask)).T
        objective = self._norm(self.inputs @ off, self.ridge * off)
        violation = np.zeros(len(self))
        if self.budget is not None:
            violation = np.maximum(mask.sum(axis=1) - float(self.budget), 0.0)
        if self.available is not None:
            unusable = ~self.available.reshape(mask.shape)
            violation[(mask & unusable).any(axis=1)] = np.inf
        return Verdict(objective, violation, objective.copy())

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks of shape (b, d·n): the norm, and what is kept beyond the budget."""
        objective, violation, _ = self.verdict(mask)
        return objective, violation

    def _norm(self, outputs: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the norms of the columns of `outputs` with `weights` below them."""
        if self.norm == 2:
            return np.asarray(np.sqrt((outputs**2).sum(axis=0) + (weights**2).sum(axis=0)))
        if self.norm == 1:
            return np.asarray(np.abs(outputs).sum(axis=0) + np.abs(weights).sum(axis=0))
        return np.asarray(np.maximum(np.abs(outputs).max(axis=0), np.abs(weights).max(axis=0)))

    def measured(self) -> FloatArray:
        """Return the rows whose errors the norm adds up, shape (rows, d).

        The inputs with the ridge below; for norm 2 the triangle of their QR factorisation, in
        which every norm is the same; for inf without repeated samples.
        """
        rows = self.inputs
        if self.ridge > 0:
            rows = np.concatenate([rows, self.ridge * np.eye(rows.shape[1])])
        if self.norm == 2 and len(rows) > rows.shape[1]:
            rows = np.linalg.qr(rows).R
        elif self.norm == math.inf:
            rows = np.unique(rows, axis=0)
        return np.asarray(rows[(rows != 0).any(axis=1)])

    def useful(self) -> BoolArray:
        """Return which candidates can change an output, shape (b, d, n).

        The others are unavailable, or 0, or of an input that is 0 in all samples.
        """
        live = (self.inputs != 0).any(axis=0) | (self.ridge > 0)
        useful = (self.coefficients != 0) & live[:, None]
        return np.asarray(useful if self.available is None else useful & self.available)

    def milp(self, b: int) -> MILP:
        """State neuron `b`; the first variables are the mask, then come the errors.

        Useless candidates are fixed at 0. Norm 1 has an error for every row, norm inf one for all,
        and norm 2 the signed errors, whose squares are added.
        """
        rows = self.measured()
        n, num_rows = self.num_candidates, len(rows)
        everyone = np.arange(n)
        sums = (rows[:, :, None] * self.coefficients[b]).reshape(num_rows, n)
        wanted_sums = rows @ self.targets[b]
        upper = self.useful()[b].reshape(-1).astype(np.float64)
        row, column = np.divmod(np.arange(num_rows * n), n)
        if self.norm == 2:
            errors = n + np.arange(num_rows)
            entries = [(row, column, sums.reshape(-1)), (errors - n, errors, np.ones(num_rows))]
            low, high = wanted_sums, wanted_sums
        else:
            errors = n + (np.arange(num_rows) if self.norm == 1 else np.zeros(num_rows, np.int64))
            every = np.arange(num_rows)
            entries = [
                (row, column, sums.reshape(-1)),
                (every, errors, np.ones(num_rows)),
                (num_rows + row, column, sums.reshape(-1)),
                (num_rows + every, errors, -np.ones(num_rows)),
            ]
            low = np.concatenate([wanted_sums, np.full(num_rows, -np.inf)])
            high = np.concatenate([np.full(num_rows, np.inf), wanted_sums])
        num_errors = len(np.unique(errors))
        counts = np.zeros(len(low), np.bool_)
        if self.budget is not None:
            entries.append((np.full(n, len(low)), everyone, np.ones(n)))
            low, high = np.append(low, -np.inf), np.append(high, float(self.budget))
            counts = np.append(counts, True)
        all_rows, columns, values = (np.concatenate(part) for part in zip(*entries, strict=True))
        order = np.lexsort((columns, all_rows))
        kept = order[values[order] != 0]
        return MILP(
            c=np.concatenate([np.zeros(n), np.ones(num_errors)]),
            rows=all_rows[kept].astype(np.int64),
            columns=columns[kept].astype(np.int64),
            values=values[kept],
            row_lower=low,
            row_upper=high,
            lower=np.concatenate(
                [np.zeros(n), np.full(num_errors, -np.inf if self.norm == 2 else 0.0)]
            ),
            upper=np.concatenate([upper, np.full(num_errors, np.inf)]),
            integer=np.arange(n + num_errors) < n,
            counts=counts,
            mask_columns=everyone,
            sensitivity={1.0: float(num_rows), 2.0: math.sqrt(num_rows), math.inf: 1.0}[self.norm],
            squared=self.norm == 2,
        )

    @classmethod
    def tiny(cls) -> "Neurons":
        """Return a neuron of two weights with two candidates each, in norm 2."""
        return cls(np.eye(2), np.array([[[0.5, 0.25], [0.5, -0.5]]]), np.array([[0.7, 0.1]]))

    def fields(self) -> dict[str, Any]:
        """Return the keys and values that state the batch in a file."""
        fields: dict[str, Any] = {
            "inputs": self.inputs,
            "coefficients": self.coefficients,
            "targets": self.targets,
            "norm": f"{self.norm:g}",
            "ridge": self.ridge,
        }
        if self.budget is not None:
            fields["budget"] = self.budget
        if self.available is not None:
            fields["available"] = self.available
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Neurons":
        """Make the batch that `fields` states.

        Raises
        ------
        ValueError
            When a key is missing or a value does not fit.
        """
        inputs, coefficients, targets = wanted(fields, "inputs", "coefficients", "targets")
        named = {str(norm): norm for norm in NORMS} | {f"{norm:g}": norm for norm in NORMS}
        norm = str(fields.get("norm", 2))
        if norm not in named:
            raise ValueError(f"norm {norm[:40]}: choose 1, 2 or inf")
        return cls(
            inputs,
            coefficients,
            targets,
            named[norm],
            number_in(fields, "ridge", 0.0),
            whole_in(fields, "budget"),
            fields.get("available"),
        )
