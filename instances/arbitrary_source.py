"""Masks on every layer of a small random network, so that it computes given outputs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray, frozen
from instances.instance import Verdict, number_in, wanted, whole_in
from instances.milp import MILP
from instances.source_program import source_program

NORMS = ("1", "inf")


@dataclass(frozen=True, eq=False)
class ArbitrarySource:
    r"""For each source b choose which edges of all its layers to keep.

    .. code-block:: text

        min ‖f_m(x) − y‖   where   f_m(x) = (m_L∘W_L) relu( … relu((m_1∘W_1) x))

    over all samples (x, y): in norm "inf" the largest error of any sample and output, in norm "1"
    the mean error. No block structure, no biases: give the inputs a column of ones where one is
    wanted.

    The mask has an entry for each edge: one layer's after the other, each row by row. Among equal
    answers the smallest mask wins, read as an integer with bit k = edge k.

    Parameters
    ----------
    weights
        The layers' weights from the inputs to the outputs, each of shape (b, outputs of the layer,
        inputs of the layer): b sources of one shape.
    inputs
        Shape (T, d): the samples, the same for all sources.
    outputs
        Shape (T, o): what is to be computed from them.
    norm
        "1" or "inf".
    budget
        How many edges may be kept; None: any number.
    tolerance
        The error up to which a mask is feasible; None: any error.

    Raises
    ------
    ValueError
        When there is no source, layer or sample, shapes do not chain, a number is not finite or out
        of range, or outputs might overflow.

    Examples
    --------
    >>> source = ArbitrarySource((np.array([[[1.0], [-2.0]]]), np.array([[[1.0, 0.5]]])),
    ...                          inputs=[[1.0], [-1.0]], outputs=[[1.0], [1.0]])
    >>> objective, violation = source.evaluate(np.ones((1, 4), np.bool_))
    >>> float(objective[0]), source.num_candidates
    (0.0, 4)
    """

    weights: tuple[FloatArray, ...]
    inputs: FloatArray
    outputs: FloatArray
    norm: str = "inf"
    budget: int | None = None
    tolerance: float | None = None
    FORMAT: ClassVar[str] = "arbitrary-source/1"

    def __post_init__(self) -> None:
        weights = tuple(frozen(w, np.float64) for w in self.weights)
        inputs = frozen(self.inputs, np.float64)
        outputs = frozen(self.outputs, np.float64)
        _check_shapes(weights, inputs, outputs)
        if not all(np.isfinite(numbers).all() for numbers in (*weights, inputs, outputs)):
            raise ValueError("weights, inputs and outputs must be finite: remove NaN and infinity")
        if self.norm not in NORMS:
            raise ValueError(f"norm {self.norm!r}: choose one of {', '.join(NORMS)}")
        if self.budget is not None and self.budget < 0:
            raise ValueError(f"budget {self.budget}: give a number of edges that is not negative")
        if self.tolerance is not None and not (
            math.isfinite(self.tolerance) and self.tolerance >= 0
        ):
            raise ValueError(
                f"tolerance {self.tolerance}: give a finite number that is not negative"
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "outputs", outputs)
        with np.errstate(over="ignore", invalid="ignore"):
            if not np.isfinite(self.slack).all():
                raise ValueError("the outputs might overflow: scale weights or inputs down")

    def __len__(self) -> int:
        return len(self.weights[0])

    @property
    def num_candidates(self) -> int:
        """Edges per source."""
        return sum(w.shape[1] * w.shape[2] for w in self.weights)

    @property
    def counts(self) -> bool:
        """False: the objective is an error."""
        return False

    @property
    def task(self) -> str:
        """What is asked, in words."""
        asked = "least largest error" if self.norm == "inf" else "least mean error"
        asked += " of a source" if self.budget is None else f" of {self.budget} edges of a source"
        return asked if self.tolerance is None else f"{asked} within {self.tolerance:g}"

    @property
    def linear(self) -> bool:
        """True."""
        return True

    @property
    def slack(self) -> FloatArray:
        """How far rounding may have moved the judged objectives, shape (b,).

        The magnitudes that any mask can reach are carried through the layers, and with them the
        error that k additions in floating point can make of them, or that products next to 0 lose;
        twice that, for the rounding of the bound itself.
        """
        eps, lost = np.finfo(np.float64).eps, 2.0**-1074
        most = np.broadcast_to(np.abs(self.inputs), (len(self), *self.inputs.shape))
        off = np.zeros_like(most)
        for w in self.weights:
            across = np.swapaxes(np.abs(w), 1, 2)
            reached = most @ across
            off = off @ across + (w.shape[2] + 1) * (eps * (reached + off @ across) + lost)
            most = reached
        off = off + eps * (most + off + np.abs(self.outputs))
        if self.norm == "inf":
            return np.asarray(2 * off.max(axis=(1, 2)))
        error = most + off + np.abs(self.outputs)
        added = self.outputs.size * eps * error.mean(axis=(1, 2))
        return np.asarray(2 * (off.mean(axis=(1, 2)) + added))

    def part(self, start: int, stop: int) -> "ArbitrarySource":
        """Return the sources from `start` up to but not including `stop`."""
        weights = tuple(w[start:stop] for w in self.weights)
        return ArbitrarySource(
            weights, self.inputs, self.outputs, self.norm, self.budget, self.tolerance
        )

    def layer_masks(self, mask: BoolArray) -> list[BoolArray]:
        """Split masks of shape (…, n) into the layers', shapes (…, outputs, inputs)."""
        ends = np.cumsum([w[0].size for w in self.weights])
        parts = np.split(mask, ends[:-1], axis=-1)
        return [
            m.reshape(*m.shape[:-1], *w.shape[1:]) for m, w in zip(parts, self.weights, strict=True)
        ]

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge masks as `evaluate` does; the error is the objective.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of shape (b, n).
        """
        shape = (len(self), self.num_candidates)
        if mask.dtype != np.bool_ or mask.shape != shape:
            raise ValueError(
                f"mask of {mask.dtype} and shape {mask.shape}: give bool and shape {shape}"
            )
        error = self._errors(mask, self.weights)
        return Verdict(error, self._violation(mask, error), error.copy())

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks of shape (b, n) in float64, up to `slack`.

        Sums are added in one order everywhere, so that every machine judges alike.

        Returns
        -------
        objective
            Shape (b,): the largest or the mean error.
        violation
            Shape (b,): edges beyond the budget, plus what the error is beyond the tolerance.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of shape (b, n).
        """
        objective, violation, _ = self.verdict(mask)
        return objective, violation

    def evaluate_many(self, b: int, masks: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge many masks of source `b`, shape (k, n), each as `evaluate` does."""
        error = self._errors(masks, tuple(w[b : b + 1] for w in self.weights))
        return error, self._violation(masks, error)

    def _errors(self, mask: BoolArray, weights: tuple[FloatArray, ...]) -> FloatArray:
        """Return the error of every mask; the masks' axis goes last, where numpy is fast."""
        h = self.inputs[:, :, None]
        for depth, (m, w) in enumerate(zip(self.layer_masks(mask), weights, strict=True)):
            kept = np.moveaxis(np.where(m, w, 0.0), 0, -1)
            if depth > 0:
                h = np.maximum(h, 0.0)
            terms = (h[:, None, j] * kept[None, :, j] for j in range(kept.shape[1]))
            h = reduce(np.add, terms)
        error = np.abs(h - self.outputs[:, :, None]).reshape(-1, len(mask))
        if self.norm == "inf":
            return np.asarray(error.max(axis=0))
        return np.asarray(reduce(np.add, error) / len(error))

    def _violation(self, mask: BoolArray, error: FloatArray) -> FloatArray:
        violation = np.zeros(len(mask))
        if self.budget is not None:
            violation += np.maximum(mask.sum(axis=1) - self.budget, 0)
        if self.tolerance is not None:
            violation += np.maximum(error - self.tolerance, 0.0)
        return violation

    def milp(self, b: int) -> MILP:
        """State source `b` in the standard form; its first n variables are the mask."""
        return source_program(
            [w[b] for w in self.weights],
            self.inputs,
            self.outputs,
            largest=self.norm == "inf",
            budget=self.budget,
            tolerance=self.tolerance,
        )

    @classmethod
    def tiny(cls) -> "ArbitrarySource":
        """Return a source of four edges and one sample."""
        weights = (np.array([[[0.5], [-0.25]]]), np.array([[[0.5, 0.75]]]))
        return cls(weights, np.array([[1.0]]), np.array([[0.2]]))

    def fields(self) -> dict[str, Any]:
        """Return the keys and values that state the batch in a file."""
        fields: dict[str, Any] = {f"weights_{k + 1}": w for k, w in enumerate(self.weights)}
        fields |= {"inputs": self.inputs, "outputs": self.outputs, "norm": self.norm}
        if self.budget is not None:
            fields["budget"] = self.budget
        if self.tolerance is not None:
            fields["tolerance"] = self.tolerance
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "ArbitrarySource":
        """Make the batch that `fields` states.

        Raises
        ------
        ValueError
            When a key is missing or a value does not fit.
        """
        _, inputs, outputs, norm = wanted(fields, "weights_1", "inputs", "outputs", "norm")
        num_layers = sum(str(name).startswith("weights_") for name in fields)
        weights = wanted(fields, *(f"weights_{k + 1}" for k in range(num_layers)))
        limits = whole_in(fields, "budget"), number_in(fields, "tolerance")
        return cls(tuple(weights), inputs, outputs, str(norm), *limits)


def _check_shapes(weights: tuple[FloatArray, ...], inputs: FloatArray, outputs: FloatArray) -> None:
    if not weights or any(w.ndim != 3 or w.size == 0 for w in weights):
        raise ValueError("weights: give at least one layer, each of shape (b, outputs, inputs)")
    if inputs.ndim != 2 or outputs.ndim != 2 or len(inputs) != len(outputs) or not outputs.size:
        raise ValueError(
            f"inputs {inputs.shape} and outputs {outputs.shape}: give shapes (T, d) and (T, o) "
            "with at least one sample"
        )
    width = inputs.shape[1]
    for k, w in enumerate(weights):
        if w.shape[0] != weights[0].shape[0] or w.shape[2] != width:
            raise ValueError(
                f"layer {k + 1} has shape {w.shape}: give ({weights[0].shape[0]}, outputs, {width})"
            )
        width = w.shape[1]
    if width != outputs.shape[1]:
        raise ValueError(f"the last layer has {width} outputs, the samples {outputs.shape[1]}")
