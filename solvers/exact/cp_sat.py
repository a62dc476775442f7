"""OR-Tools CP-SAT: exact in integers, for rows too wide for meet-in-the-middle, and to cross-check.

Every row is expressed in 64-bit integers that order its sums exactly as the floats do; only a row
whose numbers span too many orders of magnitude is rounded, and its bound lowered accordingly.
Problems of other classes are solved by their standard form, rounded to integers likewise.
Linearisation is off by default: these problems are then solved about four times faster. So is
presolve, which gains nothing on them (``milp-lth bench kernels`` measures both).
https://developers.google.com/optimization/cp
"""

import time
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.objectives import FixedSize
from instances.subset_sum import SubsetSum
from solvers.exact.clash import import_cp_model
from solvers.exact.cp_sat_program import TOLERANCE as PROGRAM_TOLERANCE
from solvers.exact.cp_sat_program import run as run_program
from solvers.exact.float_mip import propose_row
from solvers.exact.scaling import proven_bound, round_row, scale, scale_row
from solvers.row_by_row import row_by_row
from solvers.solver import OnEvent, Proposal, Reported

_ANY_SUM = (-(2**62), 2**62)
_LARGEST = Fraction(float(np.finfo(np.float64).max))


class _Row(NamedTuple):
    """One row in quarters of `unit`; what `solvers.exact.scaling` makes of it."""

    coefficients: list[int]
    target: int
    low: int
    high: int
    unit: Fraction
    slack: int
    """How far a sum may be from the true one, in quarters; 0: the integers are exact."""


@dataclass(frozen=True)
class CpSat:
    """CP-SAT for all objectives, one row after the other.

    Parameters
    ----------
    threads
        CP-SAT workers per row. With more than one, equal seeds need not give equal masks once a
        time limit bites.
    seed
        CP-SAT's random seed.
    presolve
        Whether CP-SAT simplifies the model first.
    linearization_level
        How much of the model CP-SAT relaxes to a linear program: 0, 1 or 2.
    """

    threads: int = 1
    seed: int = 0
    presolve: bool = False
    linearization_level: int = 0
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether the standard form is linear."""
        return instance.linear

    def propose(
        self,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Solve row by row, each with its share of the time that is left."""
        if not isinstance(instance, SubsetSum):
            return self._programs(instance, time_limit, start, on_event)
        fits = scale(instance).fits

        def propose_row(b: int, seconds: float) -> Proposal:
            hint = None if start is None else start[b]
            return _Search(self, instance, b, bool(fits[b]), hint, on_event).run(seconds)

        whole = row_by_row(instance, time_limit, propose_row, start=start, on_event=on_event)
        whole.stats["num_rounded"] = float((~fits).sum())
        return whole

    def parameters(self) -> dict[str, Any]:
        """Return CP-SAT's parameters by name."""
        return {
            "num_workers": self.threads,
            "random_seed": self.seed,
            "cp_model_presolve": self.presolve,
            "linearization_level": self.linearization_level,
            "catch_sigint_signal": False,  # Ctrl-C is the caller's
            "absolute_gap_limit": 0.0,
            "relative_gap_limit": 0.0,
        }

    def _programs(
        self,
        instance: Instance,
        time_limit: float,
        start: BoolArray | None,
        on_event: OnEvent | None,
    ) -> Proposal:
        """Solve problems of other classes by their standard form, up to `PROGRAM_TOLERANCE`."""
        run = partial(run_program, self.parameters())

        def propose_one(b: int, seconds: float) -> Proposal:
            return propose_row(
                run, instance, b, seconds,
                tolerance=PROGRAM_TOLERANCE, start=start, on_event=on_event,
            )  # fmt: skip

        return row_by_row(instance, time_limit, propose_one, start=start, on_event=on_event)


class _Search:
    """The stages of one row: the objective, then the error, then the smallest mask."""

    def __init__(
        self,
        settings: CpSat,
        instance: SubsetSum,
        b: int,
        fits: bool,
        hint: BoolArray | None,
        on_event: OnEvent | None,
    ) -> None:
        self.settings = settings
        self.instance = instance
        self.b = b
        self.on_event = on_event
        self.mask = np.zeros(instance.num_candidates, np.bool_) if hint is None else hint.copy()
        self.bound = -np.inf
        self.reported = ("UNKNOWN", np.nan, np.nan)
        self.build_seconds = 0.0
        numbers = scale_row(instance, b) if fits else round_row(instance, b)
        self.row = _Row(*numbers, slack=0 if fits else 2 * instance.num_candidates + 4)

    def run(self, seconds: float) -> Proposal:
        deadline = time.monotonic() + seconds
        # rounded rows: sums within the tolerance must not be cut off, for the bound to hold
        window = (self.row.low - self.row.slack, self.row.high + self.row.slack)
        if self.instance.counts:
            size = self._least_size(window, deadline)
            if size is None:
                window = _ANY_SUM  # nothing is within reach: come as close as can be
            if size is not None or np.isposinf(self.bound):
                self._least_error(size, window, deadline)
        else:
            fixed = self.instance.objective
            size = fixed.size if isinstance(fixed, FixedSize) else None
            self._least_error(size, _ANY_SUM, deadline)
        return self._proposal()

    def _least_size(self, window: tuple[int, int], deadline: float) -> int | None:
        """Find and prove the least number kept; None if it stayed unproven or nothing fits."""
        model, x, total = self._model()
        model.add_linear_constraint(total, *window)
        model.minimize(sum(x))
        solver, status = self._solve(model, x, deadline)
        self.reported = _reported(solver, status)
        if status == "INFEASIBLE":
            self.bound = np.inf
        elif status in ("OPTIMAL", "FEASIBLE"):
            self._take(solver, x)
            self.bound = solver.best_objective_bound
        return round(solver.objective_value) if status == "OPTIMAL" else None

    def _least_error(self, size: int | None, window: tuple[int, int], deadline: float) -> None:
        """Come as close as can be, with exactly `size` kept where it is given."""
        model, x, total = self._model()
        span = sum(map(abs, self.row.coefficients)) + abs(self.row.target)
        error = model.new_int_var(0, span, "error")
        model.add(error >= self.row.target - total)
        model.add(error >= total - self.row.target)
        if window != _ANY_SUM:
            model.add_linear_constraint(total, *window)
        if size is not None:
            model.add(sum(x) == size)
        model.minimize(error)
        solver, status = self._solve(model, x, deadline)
        if not self.instance.counts:
            self.reported = _reported(solver, status, float(self.row.unit) / 4)
        if status == "INFEASIBLE" and not self.instance.counts:
            self.bound = np.inf
        if status not in ("OPTIMAL", "FEASIBLE"):
            return
        self._take(solver, x)
        if not self.instance.counts:
            # best_objective_bound is a float: the proto has the integer
            proven = solver.response_proto.inner_objective_lower_bound
            lower = (proven - 1 - self.row.slack) * self.row.unit / 4
            self.bound = float(np.nextafter(float(min(lower, _LARGEST)), -np.inf))
        if status == "OPTIMAL":
            self._smallest_mask(round(solver.value(error)), size, window, deadline)
            if self.row.slack == 0 and not self.instance.counts:
                self.bound = proven_bound(self.instance, self.b, self.mask)

    def _smallest_mask(
        self, error: int, size: int | None, window: tuple[int, int], deadline: float
    ) -> None:
        """Among the masks with this error find the smallest, read as an integer."""
        cp_model = import_cp_model()
        model, x, total = self._model()
        sums = sorted({self.row.target - error, self.row.target + error})
        allowed = [s for s in sums if window[0] <= s <= window[1]]
        model.add_linear_expression_in_domain(total, cp_model.Domain.from_values(allowed))
        if size is not None:
            model.add(sum(x) == size)
        for first in range(len(x) - 1, -1, -40):  # from the highest bits on, 40 at a time
            bits = range(max(0, first - 39), first + 1)
            model.minimize(sum((1 << (k - bits[0])) * x[k] for k in bits))
            solver, status = self._solve(model, x, deadline)
            if status != "OPTIMAL":
                return
            self._take(solver, x)
            for k in bits:
                model.add(x[k] == int(self.mask[k]))

    def _model(self) -> tuple[Any, list[Any], Any]:
        cp_model = import_cp_model()
        began = time.perf_counter()
        model = cp_model.CpModel()
        available = self.instance.available
        x = [
            model.new_bool_var(f"x{k}")
            if available is None or available[self.b, k]
            else model.new_constant(0)
            for k in range(self.instance.num_candidates)
        ]
        total = cp_model.LinearExpr.weighted_sum(x, self.row.coefficients)
        self.build_seconds += time.perf_counter() - began
        return model, x, total

    def _solve(self, model: Any, x: list[Any], deadline: float) -> tuple[Any, str]:
        cp_model = import_cp_model()
        solver = cp_model.CpSolver()
        left = deadline - time.monotonic()
        if left <= 0:
            return solver, "UNKNOWN"
        if np.isfinite(left):
            solver.parameters.max_time_in_seconds = left
        for name, value in self.settings.parameters().items():
            setattr(solver.parameters, name, value)
        model.clear_hints()
        for k, variable in enumerate(x):
            if self.instance.available is None or self.instance.available[self.b, k]:
                model.add_hint(variable, bool(self.mask[k]))
        status = solver.status_name(solver.solve(model))
        if status == "MODEL_INVALID":
            raise RuntimeError(f"CP-SAT refused row {self.b}: {model.validate()}")
        return solver, status

    def _take(self, solver: Any, x: list[Any]) -> None:
        self.mask = np.array([bool(solver.boolean_value(v)) for v in x], dtype=np.bool_)
        if self.on_event is not None:
            self.on_event(self.b, self._proposal())

    def _proposal(self) -> Proposal:
        status, objective, bound = self.reported
        reported = Reported(np.array([status], "U24"), np.array([objective]), np.array([bound]))
        stats = {"build_seconds": self.build_seconds}
        return Proposal(self.mask[None, :].copy(), np.array([self.bound]), reported, stats)


def _reported(solver: Any, status: str, unit: float = 1.0) -> tuple[str, float, float]:
    if status not in ("OPTIMAL", "FEASIBLE"):
        return status, float("nan"), float("nan")
    return status, solver.objective_value * unit, solver.best_objective_bound * unit
