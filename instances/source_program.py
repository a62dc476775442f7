"""An arbitrary source as an integer program: masks on every layer, ReLUs between them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from instances.arrays import FloatArray
from instances.milp import MILP

_MOST = 200_000
"""Products of mask and activation that are written down."""

_BITS = 38
"""Of the numbers in the rows of products, as seen from the largest: sums of them are then exact in
floating point, in whatever order, and no row is at odds with another over a last bit."""

_BIG_M_BITS = 24
"""Of the big-M numbers, which are rounded up and one step more."""

_LEAST = 2.0**-1000
"""No unit is smaller than that: quotients would overflow."""

_CUT_MARGIN = 1e-8
"""What the cut on the error is loosened by: ten times what float solvers declare."""


def source_program(
    weights: Sequence[FloatArray],
    inputs: FloatArray,
    outputs: FloatArray,
    *,
    largest: bool,
    budget: int | None = None,
    tolerance: float | None = None,
) -> MILP:
    r"""State the choice of masks with the least error; the first variables are the mask.

    Every path from an edge to an output has a variable of its own for each sample, in units of the
    output, so that continuous variables have whole coefficients, as the standard form wants:

    .. code-block:: text

        g = m · relu(a)       a = Σ ±g′ over the edges into the unit, in the first layer Σ c·m′
        g ≤ U m     g ≥ a − U (1 − m)     g ≤ U d     g ≤ a − L (1 − d)     g ≥ 0

    d says whether the unit is on, for every path by itself, so that no rounding sets them against
    each other; there is none where the sign of a is known.
    L and U bound a whatever the mask. A unit without an edge in keeps none out, and the other way
    round: that loses no function. No error is worse than the empty mask's or beyond the tolerance.

    Parameters
    ----------
    weights
        The layers', each of shape (outputs, inputs).
    inputs, outputs
        The samples, shapes (T, d) and (T, o).
    largest
        Whether the largest error counts or the mean.
    budget, tolerance
        The most edges, the largest error that is allowed; None: any.

    Raises
    ------
    ValueError
        When the program would be too large.
    """
    return _Builder(weights, inputs, outputs).program(largest, budget, tolerance)


class _Copy(NamedTuple):
    """A unit seen along one path to an output: its activation times `scale` reaches the output."""

    unit: int
    scale: float
    edge: int
    """The first edge of the path, by its place in the mask."""
    sign: float
    parent: int
    """The copy of the unit it leads to."""


class _Builder:
    """The program as far as it is written."""

    def __init__(
        self, weights: Sequence[FloatArray], inputs: FloatArray, outputs: FloatArray
    ) -> None:
        self.weights, self.inputs, self.outputs = weights, inputs, outputs
        sizes = [w.size for w in weights]
        self.first_edge = np.concatenate([[0], np.cumsum(sizes)])
        self.num_edges = int(self.first_edge[-1])
        self.lower = [0.0] * self.num_edges
        self.upper = [1.0] * self.num_edges
        self.integer = [True] * self.num_edges
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.values: list[float] = []
        self.row_lower: list[float] = []
        self.row_upper: list[float] = []
        self.counts: list[bool] = []

    def program(self, largest: bool, budget: int | None, tolerance: float | None) -> MILP:
        self._refuse_too_many()
        low, high = self._intervals()
        copies = self._copies()
        for level, below in enumerate([np.abs(self.inputs), *high[:-1]]):
            self._drop_useless(level, below)
        sums = self._products(copies, low, high)
        errors = self._errors(sums, largest)
        self._keep_alive()
        if budget is not None and budget < self.num_edges:
            everyone = [(e, 1.0) for e in range(self.num_edges)]
            self._row(everyone, -np.inf, float(budget), counts=True)
        return self._cut(errors, largest, tolerance)

    def _intervals(self) -> tuple[list[FloatArray], list[FloatArray]]:
        """Bound what every unit adds up to, whatever the mask; shapes (T, units), by layer."""
        low, high = [], []
        bottom, top = np.minimum(self.inputs, 0.0), np.maximum(self.inputs, 0.0)
        for w in self.weights:
            plus, minus = np.maximum(w, 0.0).T, np.minimum(w, 0.0).T
            low.append(bottom @ plus + top @ minus)
            high.append(top @ plus + bottom @ minus)
            bottom, top = np.zeros_like(high[-1]), high[-1]
        return low, high

    def _copies(self) -> list[list[_Copy]]:
        """Return the copies of every layer's units, from the first layer's to the outputs."""
        num_layers = len(self.weights)
        found = [[_Copy(i, 1.0, -1, 1.0, -1) for i in range(len(self.weights[-1]))]]
        for level in range(num_layers - 1, 0, -1):
            w = self.weights[level]
            copies = []
            for parent, (unit, scale, *_) in enumerate(found[0]):
                for j in np.flatnonzero(w[unit]).tolist():
                    edge = int(self.first_edge[level]) + unit * w.shape[1] + j
                    weight = float(w[unit, j])
                    sign = 1.0 if weight > 0 else -1.0
                    copies.append(_Copy(j, scale * abs(weight), edge, sign, parent))
            found.insert(0, copies)
        return found

    def _refuse_too_many(self) -> None:
        """Count the paths before they are written down."""
        paths = np.ones(len(self.weights[-1]))
        num_products = 0.0
        for w in self.weights[:0:-1]:
            paths = paths @ (w != 0)
            num_products += float(paths.sum()) * len(self.inputs)
        if num_products > _MOST:
            raise ValueError(
                f"a program of {num_products:.0f} products, more than {_MOST}: take fewer layers, "
                "units or samples, or solve with flips or popup"
            )

    def _drop_useless(self, level: int, below: FloatArray) -> None:
        """Forbid edges that never carry anything: of weight 0, or from where all is off."""
        w, silent = self.weights[level], below.max(axis=0) <= 0
        for e in np.flatnonzero((w == 0) | silent).tolist():
            self.upper[int(self.first_edge[level]) + e] = 0.0

    def _products(
        self, copies: list[list[_Copy]], low: list[FloatArray], high: list[FloatArray]
    ) -> list[list[list[tuple[int, float]]]]:
        """Write every product; return the terms of each output of each sample."""
        reach = max(
            (
                copy.scale * float(np.maximum(high[level], -low[level])[:, copy.unit].max())
                for level in range(max(1, len(copies) - 1))
                for copy in copies[level]
            ),
            default=0.0,
        )
        exponent = float(np.frexp(reach)[1])
        step = max(2.0 ** (exponent - _BIG_M_BITS), _LEAST)
        sums = self._first_sums(copies[0], max(2.0 ** (exponent - _BITS), _LEAST))
        for level in range(len(self.weights) - 1):
            above: list[list[list[tuple[int, float]]]] = [
                [[] for _ in copies[level + 1]] for _ in self.inputs
            ]
            for p, copy in enumerate(copies[level]):
                for t in range(len(self.inputs)):
                    top = float(high[level][t, copy.unit]) * copy.scale
                    bottom = float(low[level][t, copy.unit]) * copy.scale
                    if top <= 0:
                        continue
                    switch = self._variable(0.0, 1.0, integer=True) if bottom < 0 else None
                    top = float(np.ceil(top / step) + 1) * step
                    bottom = float(np.floor(bottom / step) - 1) * step
                    g = self._product(sums[t][p], copy.edge, top, bottom, switch)
                    above[t][copy.parent].append((g, copy.sign))
            sums = above
        return sums

    def _first_sums(self, copies: list[_Copy], unit: float) -> list[list[list[tuple[int, float]]]]:
        """Return what the first layer's units add up to, in terms of the mask."""
        w = self.weights[0]
        sums = []
        for x in self.inputs:
            terms = []
            for copy in copies:
                values = (np.rint(copy.scale * w[copy.unit] * x / unit) * unit).tolist()
                start = copy.unit * w.shape[1]
                terms.append([(start + k, v) for k, v in enumerate(values) if v != 0])
            sums.append(terms)
        return sums

    def _product(
        self,
        terms: list[tuple[int, float]],
        edge: int,
        top: float,
        bottom: float,
        switch: int | None,
    ) -> int:
        """Write g = mask[edge] · relu(terms), whose sum lies in [bottom, top]."""
        g = self._variable(0.0, top)
        less = [(g, 1.0), *((j, -v) for j, v in terms)]
        self._row([(g, 1.0), (edge, -top)], -np.inf, 0.0)
        self._row([*less, (edge, -top)], -top, np.inf)
        if switch is None:
            self._row(less, -np.inf, 0.0)
        else:
            self._row([(g, 1.0), (switch, -top)], -np.inf, 0.0)
            self._row([*less, (switch, -bottom)], -np.inf, -bottom)
        return g

    def _errors(self, sums: list[list[list[tuple[int, float]]]], largest: bool) -> list[int]:
        """Write the errors; return the variables that add up to the objective.

        They are the largest error, or each error's part of the mean: whole numbers of it make up
        the error, and the objective needs no fractions, which CP-SAT would have to round.
        """
        num = 1.0 if largest else float(self.outputs.size)
        errors = [self._variable(0.0, np.inf)] if largest else []
        for of_sample, y in zip(sums, self.outputs.tolist(), strict=True):
            for terms, wanted in zip(of_sample, y, strict=True):
                if not largest:
                    errors.append(self._variable(0.0, np.inf))
                self._row([*terms, (errors[-1], num)], wanted, np.inf)
                self._row([*terms, (errors[-1], -num)], -np.inf, wanted)
        return errors

    def _keep_alive(self) -> None:
        """Let a hidden unit keep edges on both of its sides or on none."""
        for level in range(1, len(self.weights)):
            into, out = self.weights[level - 1], self.weights[level]
            for unit in range(len(into)):
                before = self.first_edge[level - 1] + unit * into.shape[1]
                ins = (before + np.arange(into.shape[1])).tolist()
                outs = (self.first_edge[level] + unit + np.arange(len(out)) * len(into)).tolist()
                for some, others in ((ins, outs), (outs, ins)):
                    for e in some:
                        terms = [(e, 1.0), *((other, -1.0) for other in others)]
                        self._row(terms, -np.inf, 0.0, counts=True)

    def _cut(self, errors: list[int], largest: bool, tolerance: float | None) -> MILP:
        """Put the program together; no error may be beyond the empty mask's or the tolerance."""
        place = len(self.row_lower)
        self._row([(j, 1.0) for j in errors], -np.inf, np.inf)
        c = np.zeros(len(self.upper))
        c[errors] = 1.0
        milp = self._milp(c)
        given = np.abs(self.outputs)
        most = float(given.max() if largest else given.mean())
        most = most if tolerance is None else min(most, tolerance)
        most += _CUT_MARGIN * milp.sensitivity * milp.size
        milp.upper[errors] = milp.row_upper[place] = most
        return milp

    def _milp(self, c: FloatArray) -> MILP:
        return MILP(
            c=c,
            rows=np.array(self.rows, np.int64),
            columns=np.array(self.columns, np.int64),
            values=np.array(self.values, np.float64),
            row_lower=np.array(self.row_lower),
            row_upper=np.array(self.row_upper),
            lower=np.array(self.lower),
            upper=np.array(self.upper),
            integer=np.array(self.integer, np.bool_),
            counts=np.array(self.counts, np.bool_),
            mask_columns=np.arange(self.num_edges),
            sensitivity=self._sensitivity(),
        )

    def _sensitivity(self) -> float:
        """Return how far an error may be missed when every row is, by one unit.

        A product is then off by one and by what its unit is; a sum by what its products are; an
        error by one more. All are in units of the output. In the first layer the numbers were
        rounded: each by less than a hundredth of what a solver's tolerance makes of one unit.
        """
        off = float(self.weights[0].shape[1]) / 100
        for w in self.weights[1:]:
            off = float(w.shape[1]) * (off + 1.0)
        return off + 1.0

    def _variable(self, lower: float, upper: float, *, integer: bool = False) -> int:
        self.lower.append(lower)
        self.upper.append(upper)
        self.integer.append(integer)
        return len(self.upper) - 1

    def _row(
        self,
        terms: list[tuple[int, float]],
        lower: float,
        upper: float,
        *,
        counts: bool = False,
    ) -> None:
        self.rows.extend([len(self.row_lower)] * len(terms))
        self.columns.extend(j for j, _ in terms)
        self.values.extend(v for _, v in terms)
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        self.counts.append(counts)
