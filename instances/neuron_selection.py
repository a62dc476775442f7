"""Hidden units whose best mixture is to stand for all of them: which few are kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from instances.arrays import BoolArray, FloatArray, frozen
from instances.instance import Verdict, wanted, whole_in
from instances.milp import MILP
from instances.nearest_point import nearest_point


@dataclass(frozen=True, eq=False)
class NeuronSelection:
    r"""In each layer b choose at most `size` neurons whose best convex combination is nearest.

    .. code-block:: text

        min ‖ Φ_b a − f_b ‖₂    over  a ≥ 0,  Σ_i a_i = 1,  a_i = 0 where not m_bi

    Column i of Φ is what neuron i contributes, number by number over all inputs; f is what is to
    be matched, by default the mean of the columns: what the whole layer puts out when each of its n
    neurons counts 1/n. So are neurons selected in Ye et al., "Greedy Optimization Provably Wins the
    Lottery", NeurIPS 2020, arXiv 2010.15969.

    The mask is the answer; the coefficients that go with it are `weights` of it. They are found by
    an active-set method, `instances.nearest_point`, from the columns of Φ − f1ᵀ: for a sum of 1,
    Φa − f is (Φ − f1ᵀ)a.

    An empty mask has no coefficients that sum to 1. It lacks one neuron, so its violation is 1;
    its objective is ‖f‖, since it puts out 0.

    Parameters
    ----------
    features
        Shape (b, T, n): T numbers that each of n neurons contributes.
    size
        The most neurons that may be kept, 1 at least.
    targets
        Shape (b, T); None: the mean over the neurons, rounded as it is.

    Raises
    ------
    ValueError
        When the batch is empty, a shape does not fit, a number is not finite, distances might
        overflow, or the size is no whole number above 0.

    Examples
    --------
    >>> instance = NeuronSelection([[[0.0, 1.0, 5.0], [1.0, 0.0, 5.0]]], 2, [[0.5, 0.5]])
    >>> objective, violation = instance.evaluate(np.array([[True, True, False]]))
    >>> float(objective[0]), float(violation[0])
    (0.0, 0.0)
    >>> instance.weights(np.array([[True, True, False]])).tolist()
    [[0.5, 0.5, 0.0]]
    """

    features: FloatArray
    size: int
    targets: FloatArray | None = None
    FORMAT: ClassVar[str] = "neuron-selection/1"
    counts: ClassVar[bool] = False
    tolerance: ClassVar[None] = None
    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        features = frozen(self.features, np.float64)
        if features.ndim != 3 or features.size == 0:
            raise ValueError(
                f"features of shape {features.shape}: give (layers, numbers, neurons), one of each "
                "at least"
            )
        targets = frozen(
            features.mean(axis=2) if self.targets is None else self.targets, np.float64
        )
        if targets.shape != features.shape[:2]:
            raise ValueError(
                f"targets of shape {targets.shape} for features {features.shape}: give (b, T), the "
                "features being (b, T, n)"
            )
        if not (np.isfinite(features).all() and np.isfinite(targets).all()):
            raise ValueError("features and targets must be finite: remove NaN and inf")
        if isinstance(self.size, float) or int(self.size) < 1:
            raise ValueError(f"size {self.size}: give a whole number of neurons, 1 or more")
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "size", int(self.size))
        with np.errstate(over="ignore"):
            if not np.isfinite(self.slack).all():
                raise ValueError("distances might overflow: scale features and targets down")

    def __len__(self) -> int:
        return len(self.features)

    @property
    def num_candidates(self) -> int:
        """Neurons of a layer."""
        return int(self.features.shape[2])

    @property
    def task(self) -> str:
        """What is asked, in words."""
        return f"neuron selection, at most {self.size} kept"

    @cached_property
    def slack(self) -> FloatArray:
        """What rounding may do to objectives: the terms of a sum times the longest column.

        The least distance for a mask depends on every column with a factor of at most 1. So it is
        off by no more than columns are, by their differences to the targets and the rotation to a
        triangle, and by what `nearest_point` leaves unproved; and by what is lost of small squares.
        """
        _, num_rows, n = self.features.shape
        reach = np.linalg.norm(self.features, axis=1).max(axis=1)
        reach = reach + np.linalg.norm(self._f, axis=1)
        return np.asarray(16 * (num_rows + 2 * n) * (np.finfo(np.float64).eps * reach + 2.0**-537))

    @property
    def _f(self) -> FloatArray:
        assert self.targets is not None
        return self.targets

    @cached_property
    def corners(self) -> FloatArray:
        """Φ − f1ᵀ, one row per neuron, turned so that at most n numbers of each are not 0.

        Shape (b, n, min(T, n)): the triangle of a QR factorisation, in which lengths are the same.
        """
        off = self.features - self._f[:, :, None]
        _, num_rows, n = off.shape
        turned = np.linalg.qr(off).R if num_rows > n else off
        return np.ascontiguousarray(turned.transpose(0, 2, 1))

    def part(self, start: int, stop: int) -> "NeuronSelection":
        """Return the layers from `start` up to but not including `stop`."""
        return NeuronSelection(self.features[start:stop], self.size, self._f[start:stop])

    def weights(self, mask: BoolArray) -> FloatArray:
        """Return the best coefficients of kept neurons, shape (b, n); 0 for an empty mask.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of shape (b, n).
        """
        if mask.dtype != np.bool_ or mask.shape != (len(self), self.num_candidates):
            raise ValueError(
                f"mask of {mask.dtype} and shape {mask.shape}: "
                f"give bool and shape {(len(self), self.num_candidates)}"
            )
        found = np.zeros(mask.shape)
        for b in np.flatnonzero(mask.any(axis=1)):
            found[b] = nearest_point(self.corners[b], mask[b]).weights
        return found

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge masks of shape (b, n) in float64, up to `slack`; the error is the objective.

        Raises
        ------
        ValueError
            When `mask` is not a bool array of that shape.
        """
        weights = self.weights(mask)
        objective = np.linalg.norm(np.einsum("bi,bid->bd", weights, self.corners), axis=1)
        kept = mask.sum(axis=1)
        objective[kept == 0] = np.linalg.norm(self._f[kept == 0], axis=1)
        violation = np.where(kept == 0, 1.0, np.maximum(kept - float(self.size), 0.0))
        return Verdict(objective, violation, objective.copy())

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks of shape (b, n): the distance, and how many are kept beyond the size."""
        objective, violation, _ = self.verdict(mask)
        return objective, violation

    def milp(self, b: int) -> MILP:
        """State layer `b`: the mask, the coefficients, and signed errors, whose squares are added.

        Rows are the errors, with n of them at most as in `corners`; the sum of the coefficients;
        that those of neurons not kept are 0; and the size. Errors are counted in a unit in which no
        corner is longer than 1, so that they weigh as much as the coefficients do.
        """
        corners = self.corners[b]
        n, d = corners.shape
        longest = float(np.linalg.norm(corners, axis=1).max())
        unit = 2.0 ** min(max(math.frexp(longest)[1], -1000), 1000)
        neuron, number = np.divmod(np.arange(n * d), d)
        everyone, one = np.arange(n), np.ones(n)
        entries = [
            (number, n + neuron, corners.reshape(-1) / unit),
            (np.arange(d), 2 * n + np.arange(d), np.ones(d)),
            (np.full(n, d), n + everyone, one),
            (d + 1 + everyone, n + everyone, one),
            (d + 1 + everyone, everyone, -one),
            (np.full(n, d + 1 + n), everyone, one),
        ]
        rows, columns, values = (np.concatenate(part) for part in zip(*entries, strict=True))
        order = np.lexsort((columns, rows))
        kept = order[values[order] != 0]
        num_rows = d + n + 2
        return MILP(
            c=np.concatenate([np.zeros(2 * n), np.full(d, unit)]),
            rows=rows[kept].astype(np.int64),
            columns=columns[kept].astype(np.int64),
            values=values[kept],
            row_lower=np.concatenate([np.zeros(d), [1.0], np.full(n + 1, -np.inf)]),
            row_upper=np.concatenate([np.zeros(d), [1.0], np.zeros(n), [float(self.size)]]),
            lower=np.concatenate([np.zeros(2 * n), np.full(d, -np.inf)]),
            upper=np.concatenate([np.ones(2 * n), np.full(d, np.inf)]),
            integer=np.arange(2 * n + d) < n,
            counts=np.arange(num_rows) == num_rows - 1,
            mask_columns=everyone,
            # missed by 1, each error is off by a unit, and the coefficients by 2n + 1 in all
            sensitivity=unit * float(np.sqrt(d)) + (2 * n + 1) * longest,
            squared=True,
        )

    @classmethod
    def tiny(cls) -> "NeuronSelection":
        """Return a layer of three neurons, two of which are kept."""
        return cls(np.array([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.25]]]), 2)

    def fields(self) -> dict[str, Any]:
        """Return the keys and values that state the batch in a file."""
        return {"features": self.features, "size": self.size, "targets": self._f}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "NeuronSelection":
        """Make the batch that `fields` states.

        Raises
        ------
        ValueError
            When a key is missing or a value does not fit.
        """
        features, _ = wanted(fields, "features", "size")
        return cls(features, whole_in(fields, "size") or 0, fields.get("targets"))
