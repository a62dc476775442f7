"""CP-SAT against meet-in-the-middle: the same instances, exactly the same optima.

`solvers.exact.cp_sat` also finds the smallest of the best masks. Here CP-SAT is asked for less, so
that the comparison is in its favour: one minimisation of the error, and only that call is timed.
"""

import math
import statistics
from typing import Any, NamedTuple

from instances.generate import uniform_family
from instances.subset_sum import SubsetSum
from milp_lth.bench.batches import NUM_CANDIDATES
from milp_lth.bench.row import Row
from milp_lth.bench.timing import OnProgress, core_seconds, solving_seconds
from solvers.exact.clash import import_cp_model
from solvers.exact.scaling import scale_row
from solvers.registry import get_solver

TIME_LIMIT = 60.0
"""Seconds for one solve."""

_BAR = 8000.0
_UNTOUCHED = (True, 1)  # CP-SAT's defaults
_SETS = [(presolve, level) for presolve in (True, False) for level in (0, 1, 2)]


class _Outcome(NamedTuple):
    seconds: float
    proven: bool
    agrees: bool
    """Proven: the error is meet-in-the-middle's. Otherwise: it is none smaller."""


def parameter_set_rows(
    num_instances: int, seed: int, row_seconds: float, on_progress: OnProgress
) -> list[Row]:
    """Time CP-SAT's parameter sets, one worker, on the closest sums of 21 candidates.

    Parameters
    ----------
    num_instances
        How many instances: the first ones of the batch that gave `row_seconds`.
    seed
        Determines the instances.
    row_seconds
        What a row of that batch costs meet-in-the-middle.
    on_progress
        Is told of every solve.

    Returns
    -------
    list[Row]
        What meet-in-the-middle takes for these instances in a batch of their own; the mean seconds
        per instance of every set; the fastest set's mean as a multiple of `row_seconds`.

    Raises
    ------
    ValueError
        When `num_instances` is less than 1.
    """
    check_num_instances(num_instances)
    instance = uniform_family(num_instances, NUM_CANDIDATES, seed=seed)
    least = _least_errors(instance)
    outcomes: dict[tuple[bool, int], list[_Outcome]] = {one: [] for one in _SETS}
    done = 0
    for b in range(num_instances):  # set by set in turn: all meet the machine in the same mood
        for one in _SETS:
            outcomes[one].append(_solve(instance, b, least[b], *one))
            on_progress(done := done + 1, num_instances * len(_SETS))
    means = {one: statistics.fmean(o.seconds for o in outcomes[one]) for one in _SETS}
    alone = solving_seconds(instance) / num_instances
    what = f"closest, n = {NUM_CANDIDATES}"
    rows = [Row(f"{what}, {num_instances:,} rows alone", alone * 1e6, "µs per row")]
    rows += [_row(one, outcomes[one], means[one] / row_seconds) for one in _SETS]
    ratio = min(means.values()) / row_seconds
    more = {"agrees": all(row.more["agrees"] for row in rows[1:])}
    rows.append(Row(f"{what}, fastest CP-SAT / mitm", ratio, "×", _BAR, True, more=more))
    return rows


def check_num_instances(num_instances: int) -> None:
    """Refuse to compare on nothing.

    Raises
    ------
    ValueError
        When `num_instances` is less than 1.
    """
    if num_instances < 1:
        raise ValueError(f"{num_instances} instances: CP-SAT needs at least one to be timed on")


def _least_errors(instance: SubsetSum) -> list[int]:
    """Return the least error of each row, in its integer scale, by meet-in-the-middle."""
    mask = get_solver("mitm", threads=1).propose(instance, math.inf).mask
    errors = []
    for b in range(len(instance)):
        coefficients, target, *_ = scale_row(instance, b)
        errors.append(abs(target - sum(coefficients[k] for k in mask[b].nonzero()[0])))
    return errors


def _solve(instance: SubsetSum, b: int, least: int, presolve: bool, level: int) -> _Outcome:
    """Let CP-SAT minimise one row's error in exact integers."""
    cp_model = import_cp_model()
    coefficients, target, *_ = scale_row(instance, b)
    model = cp_model.CpModel()
    x = [model.new_bool_var(f"x{k}") for k in range(len(coefficients))]
    total = cp_model.LinearExpr.weighted_sum(x, coefficients)
    error = model.new_int_var(0, sum(map(abs, coefficients)) + abs(target), "error")
    model.add(error >= target - total)
    model.add(error >= total - target)
    model.minimize(error)
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = 1
    parameters.absolute_gap_limit = 0.0  # 1e-4 otherwise: no proof
    parameters.max_time_in_seconds = TIME_LIMIT
    parameters.catch_sigint_signal = False  # Ctrl-C is the caller's
    parameters.cp_model_presolve = presolve
    parameters.linearization_level = level
    found: list[Any] = []
    seconds = core_seconds(lambda: found.append(solver.solve(model)))
    status = solver.status_name(found[0])
    if status == "UNKNOWN":
        return _Outcome(seconds, False, True)
    if status not in ("OPTIMAL", "FEASIBLE"):
        return _Outcome(seconds, False, False)
    value = solver.value(error)
    proven = status == "OPTIMAL"
    return _Outcome(seconds, proven, value == least if proven else value >= least)


def _row(one: tuple[bool, int], outcomes: list[_Outcome], ratio: float) -> Row:
    presolve, level = one
    name = f"CP-SAT, presolve {'on' if presolve else 'off'}, linearization {level}"
    if one == _UNTOUCHED:
        name += " (default)"
    agrees = all(outcome.agrees for outcome in outcomes)
    unproven = sum(not outcome.proven for outcome in outcomes)
    note = f"{ratio:,.0f} × mitm, {'agrees' if agrees else 'DISAGREES'}"
    if unproven:
        note += f", {unproven} stopped after {TIME_LIMIT:g} s"
    more = {
        "presolve": presolve,
        "linearization_level": level,
        "ratio": ratio,
        "agrees": agrees,
        "num_instances": len(outcomes),
        "num_unproven": unproven,
    }
    mean = statistics.fmean(outcome.seconds for outcome in outcomes)
    return Row(name, mean, "s per row", note=note, more=more)
