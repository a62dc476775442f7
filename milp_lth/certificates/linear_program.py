"""The planes that give the best bound: the multipliers of a linear program.

Every neuron is a mixture of the corners of its pieces; what it passes on is the same mixture of the
corners' (z, e). That is the exact hull of a neuron over its rectangle. The multipliers of the rows
that tie the mixtures to the pre-activations are the slopes of planes, so the program's bound is
computed again from them, roundings counted (Neumaier and Shcherbina, "Safe bounds in linear and
mixed-integer linear programming", 2004): no tolerance of the solver matters. Differences are
written in units of the largest of their layer, else they would be smaller than the tolerances.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from instances.arrays import BoolArray, FloatArray
from milp_lth.certificates.relaxation import Corners, Linear, Planes, Relaxation

_TOLERANCE = 1e-10  # the tightest that HiGHS takes; bounds are worse by that, never wrong
_PENALTY = 1e4  # of a row that is missed, in units of the objective


class Answer(NamedTuple):
    """What a linear program says; nothing of it needs to be believed."""

    planes: tuple[Planes, ...]
    x: FloatArray
    """Shape (num_inputs,)."""
    loose: tuple[FloatArray, ...]
    """By layer, how far each neuron's mixture is above what the neuron does, in what is sought."""
    prefers_ticket: tuple[BoolArray, ...]
    """By layer, whether the sign of the ticket's neuron rather than the target's closes that."""
    loose_inputs: FloatArray
    """The same of inputs that come as relu(x) and relu(−x): both may be above 0 here; else 0."""


@dataclass(frozen=True, eq=False)
class Program:
    """The linear program of a relaxation; assumptions about neurons only take columns away."""

    relaxation: Relaxation

    @cached_property
    def _corners(self) -> tuple[Corners, ...]:
        return tuple(neurons.corners() for neurons in self.relaxation.neurons)

    @cached_property
    def _units(self) -> tuple[float, ...]:
        """What differences of each layer are measured in."""
        sizes = [float(neurons.largest_e.max()) for neurons in self.relaxation.neurons]
        return tuple(size if size > 0 else 1.0 for size in sizes)

    @cached_property
    def _matrix(self) -> Any:
        """Rows of a, d and the mixtures' sums, layer by layer; columns of the inputs first."""
        from scipy import sparse

        blocks: list[list[Any]] = []
        num_layers = len(self._corners)
        for layer, corners in enumerate(self._corners):
            of, unit = self.relaxation.pair.layers[layer], self._units[layer]
            error, n = of.error[0], len(of.target)
            row_a: list[Any] = [None] * (num_layers + 1)
            row_d, row_sum = list(row_a), list(row_a)
            if layer == 0:
                row_a[0], row_d[0] = of.target, error / unit
            else:
                before = self._corners[layer - 1]
                z, e = _spread(before.z), _spread(before.e)
                row_a[layer] = of.target @ z
                row_d[layer] = (error / unit) @ z + (of.ticket / unit) @ e
            row_a[layer + 1] = -_spread(corners.a)
            row_d[layer + 1] = -_spread(corners.d / unit)
            row_sum[layer + 1] = _spread(np.ones((n, corners.a.shape[1])))
            for row in (row_a, row_d, row_sum):
                blocks.append([_sparse(block) for block in row])
        return sparse.csc_array(sparse.block_array(blocks))

    @cached_property
    def _right(self) -> FloatArray:
        parts = []
        for layer, unit in enumerate(self._units):
            of = self.relaxation.pair.layers[layer]
            parts += [-of.target_bias, -of.bias_error[0] / unit, np.ones(len(of.target))]
        return np.concatenate(parts)

    @cached_property
    def _by_sign(self) -> tuple[Any, FloatArray] | None:
        """Rows that relu(x) and relu(−x) obey over an interval: only one of them is not 0."""
        if not self.relaxation.pair.by_sign:
            return None
        from scipy import sparse

        low, high = self.relaxation.box
        both = np.flatnonzero((low < 0) & (high > 0))
        num_inputs, rest = len(low), self._matrix.shape[1] - 2 * len(low)
        rows = np.zeros((len(both), 2 * num_inputs))
        rows[np.arange(len(both)), both] = 1 / high[both]
        rows[np.arange(len(both)), num_inputs + both] = -1 / low[both]
        empty = sparse.csc_array((len(both), rest))
        return sparse.csc_array(sparse.hstack([rows, empty])), np.ones(len(both))

    def solve(
        self, relaxation: Relaxation, functions: Linear, seconds: float = math.inf
    ) -> Answer | None:
        """Maximise the one function of the last layer's (z, e) under a relaxation's assumptions.

        None: the solver gave nothing within the time.
        """
        corners = [neurons.corners() for neurons in relaxation.neurons]
        allowed = [one.allowed for one in corners]
        last = self._corners[-1]
        worth = functions.on_z[0][:, None] * last.z + functions.on_e[0][:, None] * last.e
        unit = float(np.abs(worth[allowed[-1]]).max(initial=0.0)) or 1.0
        num_first = self._matrix.shape[1] - sum(one.size for one in allowed)
        objective = np.zeros(self._matrix.shape[1])
        objective[-worth.size :] = worth.ravel() / unit
        taken = np.concatenate([np.full(num_first, True), *(one.ravel() for one in allowed)])
        points = relaxation.points
        ends = np.zeros((len(taken), 2))
        ends[:num_first] = np.stack([points.min(axis=1), points.max(axis=1)], axis=1)
        ends[num_first:, 1] = 1.0
        found = self._optimum(objective, taken, ends, False, seconds)
        if found is None:
            found = self._optimum(objective, taken, ends, True, seconds)
        if found is None:
            return None
        values, multipliers = found
        return self._answer(values, multipliers * unit, functions)

    def _optimum(
        self,
        objective: FloatArray,
        taken: BoolArray,
        ends: FloatArray,
        elastic: bool,
        seconds: float,
    ) -> tuple[FloatArray, FloatArray] | None:
        """Return values and multipliers; `elastic`: rows may be missed, at a price."""
        from scipy import sparse
        from scipy.optimize import linprog

        matrix, costs, bounds = self._matrix[:, taken], -objective[taken], ends[taken]
        num_columns, num_rows = matrix.shape[1], matrix.shape[0]
        limits = {}
        if self._by_sign is not None:
            limits = {"A_ub": self._by_sign[0][:, taken], "b_ub": self._by_sign[1]}
        if elastic:
            one = sparse.identity(num_rows, format="csc")
            matrix = sparse.csc_array(sparse.hstack([matrix, one, -one]))
            costs = np.concatenate([costs, np.full(2 * num_rows, _PENALTY)])
            bounds = np.vstack([bounds, np.tile([0.0, np.inf], (2 * num_rows, 1))])
            if limits:
                more = sparse.csc_array((len(limits["b_ub"]), 2 * num_rows))
                limits["A_ub"] = sparse.csc_array(sparse.hstack([limits["A_ub"], more]))
        options = {
            "dual_feasibility_tolerance": _TOLERANCE,
            "primal_feasibility_tolerance": _TOLERANCE,
        }
        if math.isfinite(seconds):
            options["time_limit"] = max(seconds, 1e-2)
        found = linprog(
            costs, A_eq=matrix, b_eq=self._right, bounds=bounds, method="highs-ds",
            options=options, **limits,
        )  # fmt: skip
        if found.status != 0:
            return None
        values = np.zeros(len(taken))
        values[taken] = found.x[:num_columns]
        return values, np.asarray(found.eqlin.marginals)

    def _answer(self, values: FloatArray, multipliers: FloatArray, functions: Linear) -> Answer:
        planes, mixtures = [], []
        row, column = 0, len(values) - sum(one.a.size for one in self._corners)
        first = values[:column]
        for corners, unit in zip(self._corners, self._units, strict=True):
            n = len(corners.a)
            on_a, on_d = multipliers[row : row + n], multipliers[row + n : row + 2 * n] / unit
            planes.append(Planes(on_a[None], on_d[None]))
            mixtures.append(values[column : column + corners.a.size].reshape(corners.a.shape))
            row, column = row + 3 * n, column + corners.a.size
        loose, prefers, at_inputs = self._looseness(functions, planes, mixtures)
        x, both = first, np.zeros(column)
        if self.relaxation.pair.by_sign:
            positive, negative = first.reshape(2, -1)
            x, both = positive - negative, np.minimum(positive, negative)
            both = at_inputs.on_z[0].reshape(2, -1).sum(axis=0) * both
        return Answer(tuple(planes), np.clip(x, *self.relaxation.box), loose, prefers, both)

    def _looseness(
        self, functions: Linear, planes: Sequence[Planes], mixtures: Sequence[FloatArray]
    ) -> tuple[tuple[FloatArray, ...], tuple[BoolArray, ...], Linear]:
        """Compare mixtures of corners with what neurons make of the same mixture of (a, d)."""
        loose: list[FloatArray] = []
        prefers: list[BoolArray] = []
        for layer in reversed(range(len(mixtures))):
            corners, mixture = self._corners[layer], mixtures[layer]
            on_z, on_e = functions.on_z[0], functions.on_e[0]
            a, d = (mixture * corners.a).sum(axis=1), (mixture * corners.d).sum(axis=1)
            z = np.maximum(a, 0.0)
            e = np.select([a >= 0, a + d >= 0], [np.maximum(d, -a), a + d], 0.0)
            mixed = on_z * (mixture * corners.z).sum(axis=1)
            mixed += on_e * (mixture * corners.e).sum(axis=1)
            loose.append(mixed - on_z * z - on_e * e)
            prefers.append(on_e > 0)
            chosen = planes[layer]
            functions = self.relaxation.rows(layer, chosen.on_a, chosen.on_d)
        return tuple(reversed(loose)), tuple(reversed(prefers)), functions


def _spread(values: FloatArray) -> Any:
    """Put the rows of a matrix beside each other, each in its own columns."""
    from scipy import sparse

    n, k = values.shape
    columns = np.arange(n * k)
    return sparse.csr_array((values.ravel(), (columns // k, columns)), shape=(n, n * k))


def _sparse(block: Any) -> Any:
    from scipy import sparse

    return None if block is None else sparse.csr_array(block)
