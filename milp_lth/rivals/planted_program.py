"""The sparsest ticket of a random network with one hidden layer: a program that backends solve."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import BoolArray, FloatArray, IntArray
from instances.instance import Verdict
from instances.milp import MILP

MAX_INPUTS = 6
"""A hidden unit with d inputs has 2^d − 1 variants."""


@dataclass(frozen=True, eq=False)
class SparsestTicket:
    r"""Keep the fewest edges with which a random network is within its tolerance on all samples.

    With few inputs all that a hidden unit h can be is listed: its variants, one for each set s of
    inputs that it keeps. What every variant puts out is then a number, and no ReLU is left in the
    program:

    .. code-block:: text

        min  Σ |s| z_hs + Σ e_jhs
        subject to  |y_tj − Σ_hs V_jh relu(U_h · x_t restricted to s) e_jhs| ≤ tolerance
                    e_jhs ≤ z_hs    and    Σ_s z_hs ≤ 1

    Parameters
    ----------
    source
        One network of two layers with at most six inputs, norm "inf", a tolerance and no budget.

    Raises
    ------
    ValueError
        When it is something else.
    """

    source: ArbitrarySource
    FORMAT: ClassVar[str] = "sparsest-ticket/1"
    counts: ClassVar[bool] = True
    linear: ClassVar[bool] = True
    task: ClassVar[str] = "fewest edges of a source within its tolerance"

    def __post_init__(self) -> None:
        source = self.source
        if len(source) != 1 or len(source.weights) != 2 or source.norm != "inf":
            raise ValueError(
                f"{len(source)} networks of {len(source.weights)} layers, norm {source.norm!r}: "
                'give one of two layers, norm "inf"; for deeper ones choose flips or popup'
            )
        if source.tolerance is None or source.budget is not None:
            raise ValueError("give a tolerance, and no budget: edges are what is minimised")
        if source.inputs.shape[1] > MAX_INPUTS:
            raise ValueError(
                f"{source.inputs.shape[1]} inputs: give at most {MAX_INPUTS}, or choose flips"
            )

    def __len__(self) -> int:
        return 1

    @property
    def num_candidates(self) -> int:
        """Edges of the network."""
        return self.source.num_candidates

    @property
    def tolerance(self) -> float | None:
        """That of the source."""
        return self.source.tolerance

    @property
    def slack(self) -> FloatArray:
        """Zero: edges are counted; the source's own slack is that of the errors."""
        return np.zeros(1)

    def part(self, start: int, stop: int) -> "SparsestTicket":
        """Return the one problem there is."""
        return SparsestTicket(self.source.part(start, stop))

    def verdict(self, mask: BoolArray) -> Verdict:
        """Count edges; error and violation are those of the source."""
        _, violation, error = self.source.verdict(mask)
        return Verdict(mask.sum(axis=1).astype(np.float64), violation, error)

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks of shape (1, n)."""
        edges, violation, _ = self.verdict(mask)
        return edges, violation

    @cached_property
    def variants(self) -> BoolArray:
        """Return which inputs each variant of a unit keeps, shape (2^d − 1, d)."""
        kept = product([False, True], repeat=self.source.inputs.shape[1])
        return np.array(list(kept)[1:])

    def milp(self, b: int) -> MILP:
        """State the program; its first variables are the mask, then come all z_hs and all e_jhs."""
        u, v = (weights[b] for weights in self.source.weights)
        sums = np.einsum("td,hd,sd->ths", self.source.inputs, u, self.variants.astype(np.float64))
        put_out = np.maximum(sums, 0.0)
        num_samples, num_units, num_variants = put_out.shape
        num_outputs = len(v)
        m1 = np.arange(u.size).reshape(u.shape)
        m2 = u.size + np.arange(v.size).reshape(v.shape)
        z = u.size + v.size + np.arange(num_units * num_variants).reshape(num_units, num_variants)
        e = z.max() + 1 + np.arange(num_outputs * z.size).reshape(num_outputs, *z.shape)
        rows = _Rows()
        rows.add(z, 1.0, -np.inf, 1.0)  # at most one variant of a unit
        for k in range(u.shape[1]):  # edges are those of the variants
            keeps = z[:, self.variants[:, k]]
            rows.add(np.c_[m1[:, k], keeps], np.r_[1.0, -np.ones(keeps.shape[1])], 0.0, 0.0)
        rows.add(
            np.c_[m2.reshape(-1), e.reshape(v.size, -1)],
            np.r_[1.0, -np.ones(num_variants)],
            0.0,
            0.0,
        )
        every = np.broadcast_to(z, e.shape)
        rows.add(np.stack([e.reshape(-1), every.reshape(-1)], 1), np.array([1.0, -1.0]), -1.0, 0.0)
        num_counted = rows.num
        tolerance = self.source.tolerance or 0.0
        for j in range(num_outputs):
            y = self.source.outputs[:, j]
            values = (v[j][None, :, None] * put_out).reshape(num_samples, -1)
            columns = np.broadcast_to(e[j].reshape(1, -1), values.shape)
            rows.add(columns, values, y - tolerance, y + tolerance)
        num_variables = int(e.max()) + 1
        c = np.zeros(num_variables)
        c[: self.num_candidates] = 1.0
        upper = np.ones(num_variables)
        # what never carries anything needs no variables
        silent = (put_out <= 0).all(axis=0)
        upper[z[silent]] = 0.0
        upper[e[:, silent]] = 0.0
        upper[e[v == 0]] = 0.0
        return rows.program(c, upper, num_counted, self.num_candidates)

    @classmethod
    def tiny(cls) -> "SparsestTicket":
        """Return a network of two edges that both have to stay."""
        one = np.ones((1, 1, 1))
        return cls(ArbitrarySource((one, one), one[0], one[0], tolerance=0.5))

    def fields(self) -> dict[str, Any]:
        """Return those of the source."""
        return self.source.fields()

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "SparsestTicket":
        """Make it from those of the source, with its errors."""
        return cls(ArbitrarySource.from_fields(fields))


class _Rows:
    """The rows of a program, written block by block."""

    def __init__(self) -> None:
        self.num = 0
        self._entries: list[tuple[IntArray, IntArray, FloatArray]] = []
        self._limits: list[FloatArray] = []

    def add(
        self,
        columns: IntArray,
        values: FloatArray | float,
        lower: FloatArray | float,
        upper: FloatArray | float,
    ) -> None:
        """Add rows of these columns, shape (rows, entries), their values, and their limits."""
        values = np.broadcast_to(values, columns.shape)
        rows = np.broadcast_to(self.num + np.arange(len(columns))[:, None], columns.shape)
        there = values != 0
        self._entries.append((rows[there], columns[there], values[there]))
        limits = np.empty((2, len(columns)))
        limits[0], limits[1] = lower, upper
        self._limits.append(limits)
        self.num += len(columns)

    def program(self, c: FloatArray, upper: FloatArray, num_counted: int, n: int) -> MILP:
        """Put the program together; the first rows count, all variables are 0 or 1."""
        rows, columns, values = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        lower_limits, upper_limits = np.concatenate(self._limits, axis=1)
        return MILP(
            c=c,
            rows=rows,
            columns=columns,
            values=values,
            row_lower=lower_limits,
            row_upper=upper_limits,
            lower=np.zeros(len(c)),
            upper=upper,
            integer=np.ones(len(c), np.bool_),
            counts=np.arange(self.num) < num_counted,
            mask_columns=np.arange(n),
        )
