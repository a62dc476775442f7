"""Proofs of the library's coupled programs, for library_optima.py: each row by two methods.

The first is the solver that `milp_lth.library_check` takes. The second shares no code with it: of
neurons of few candidates and of shared units every choice is tried; neurons in norm 2 are listed
weight by weight, as long as they are no worse than the first answer; of those in norm 1 and inf
SCIP proves the program over all subsets of every weight, none of them left out; edge budgets are
solved by a plain dynamic program over all weights and numbers of edges. Of whatever is left SCIP
gets a minute a row, and CP-SAT proves some of the shared units a third time. What a MIP solver is
up to is recorded with it, as in subset-choice+gap1e-6.
"""

import math
from typing import Any

import numpy as np

from instances.edge_budget import EdgeBudget
from instances.instance import Instance
from instances.library.checksum import checksum
from instances.library.named_set import NamedSet
from instances.library.table import Proven
from instances.neurons import Neurons
from instances.shared_units import SharedUnits
from milp_lth import get_solver, solve
from milp_lth.library_check import Prover, proof, proven_optima, prover, rooms

SECONDS, SAMPLE = 60.0, 2  # of a MIP solver for a row; rows of a set that CP-SAT proves, too
ENUMERATED, MOST_LISTED = 24, 100  # candidates of neurons
GAPS = {1.0: 1e-5, math.inf: 1e-6}  # of neurons, by norm: what the bounds of SCIP come within
CHUNK = 50_000


def all_sums(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of all subsets of (…, n) numbers, shape (…, 2ⁿ), and their sizes."""
    sums, sizes = np.zeros((*coefficients.shape[:-1], 1)), np.zeros(1, np.int64)
    for k in range(coefficients.shape[-1]):
        sums = np.concatenate([sums, sums + coefficients[..., k, None]], axis=-1)
        sizes = np.concatenate([sizes, sizes + 1])
    return sums, sizes


def outputs(neuron: Neurons, weights: slice) -> np.ndarray:
    """Return what all choices for some weights leave of their targets at every measured row."""
    stacked = np.concatenate([neuron.inputs, neuron.ridge * np.eye(neuron.inputs.shape[1])])
    off = neuron.targets[0, weights, None] - all_sums(neuron.coefficients[0, weights])[0]
    found = np.zeros((1, len(stacked)))
    for column, choices in zip(stacked.T[weights], off, strict=True):
        found = (found[:, None] + choices[None, :, None] * column).reshape(-1, len(stacked))
    return found


def by_enumeration(neuron: Neurons) -> float:
    """Return the least norm of all masks of a neuron without a budget."""
    middle = neuron.targets.shape[1] // 2
    others = outputs(neuron, slice(middle, None))
    order = {1.0: 1, 2.0: 2, math.inf: np.inf}[neuron.norm]
    return min(
        float(np.linalg.norm(others + one, order, axis=1).min())
        for one in outputs(neuron, slice(0, middle))
    )


def by_listing(neuron: Neurons, value: float) -> float:
    """Return the least norm 2 of the masks that are not worse than `value`, all of them listed."""
    stacked = np.concatenate([neuron.inputs, neuron.ridge * np.eye(neuron.inputs.shape[1])])
    sums, sizes = all_sums(neuron.coefficients[0])
    off = neuron.targets[0, :, None] - sums
    order: list[int] = []  # the longest of what is left of the inputs' columns come last
    left = stacked * np.sort(np.abs(off), axis=1)[:, :2].mean(axis=1)
    while len(order) < len(off):
        lengths = np.linalg.norm(left, axis=0)
        lengths[order] = np.inf
        order.append(int(lengths.argmin()))
        unit = left[:, order[-1]] / lengths[order[-1]]
        left = left - np.outer(unit, unit @ left)
    r, off = np.linalg.qr(stacked[:, order])[1], off[order]
    limit = value**2 * (1 + 1e-9)
    budget = neuron.num_candidates if neuron.budget is None else neuron.budget
    best, open_ = np.inf, [(len(off), np.zeros((1, 0)), np.zeros(1), np.zeros(1, np.int64))]
    while open_:
        level, fixed, cost, kept = open_.pop()
        if level == 0:
            best = min(best, float(cost.min(initial=np.inf)))
            continue
        i = level - 1
        error = (fixed @ r[i, level:])[:, None] + r[i, i] * off[i]
        costs, sizes_now = cost[:, None] + error**2, kept[:, None] + sizes
        rows, choices = np.nonzero((costs <= limit) & (sizes_now <= budget))
        for first in range(0, len(rows), CHUNK):
            one, k = rows[first : first + CHUNK], choices[first : first + CHUNK]
            now = np.column_stack([off[i, k], fixed[one]])
            open_.append((i, now, costs[one, k], sizes_now[one, k]))
    return math.sqrt(best)


def by_program(problem: EdgeBudget) -> float:
    """Return the optimum of an edge budget by a dynamic program over weights and edges."""
    n, worst = problem.coefficients.shape[2], problem.measure == "max"
    most = problem.coefficients[0].size if problem.budget is None else problem.budget
    least = np.zeros(most + 1)
    for row, target in zip(problem.coefficients[0], problem.targets[0], strict=True):
        sums, sizes = all_sums(row)
        errors = np.full(n + 1, np.inf)
        np.minimum.at(errors, sizes, np.abs(target - sums))
        errors = errors**2 if problem.measure == "rms" else errors
        before, least = least, np.full(most + 1, np.inf)
        for size in range(min(n, most) + 1):
            rest = before[: most + 1 - size]
            total = np.maximum(rest, errors[size]) if worst else rest + errors[size]
            least[size:] = np.minimum(least[size:], total)
    if problem.error_limit is not None:
        within = np.flatnonzero(least <= problem.error_limit)
        return float(within[0]) if len(within) else math.inf
    best = float(least.min())
    return math.sqrt(best / problem.targets.shape[1]) if problem.measure == "rms" else best


def by_unit_sets(block: SharedUnits) -> float:
    """Return the least cost of a block over all sets of units."""
    _, _, n = block.shape
    sums, sizes = all_sums(block.coefficients[0])
    met = np.abs(block.targets[0, :, None] - sums) <= block.tolerance
    fewest = np.where(met, sizes.astype(np.float64), np.inf)  # edges of each output from the set
    if not block.structured:
        for h in range(n):  # the edges of a set may be those of any set within it
            pairs = fewest.reshape(len(fewest), -1, 2, 2**h)
            np.minimum(pairs[:, :, 1], pairs[:, :, 0], out=pairs[:, :, 1])
    costs = np.where(np.isfinite(fewest).all(axis=0), block.unit_cost * sizes, np.inf)
    if block.edge_cost:
        costs += block.edge_cost * fewest.sum(axis=0)
    return float(costs.min())


def second(row: Instance, value: float) -> tuple[str, float] | None:
    """Prove a row by other means; None where none is affordable."""
    if isinstance(row, EdgeBudget):
        return "program", by_program(row)
    if isinstance(row, SharedUnits):
        return "enumeration", by_unit_sets(row)
    if isinstance(row, Neurons) and row.num_candidates <= ENUMERATED:
        return "enumeration", by_enumeration(row)
    if isinstance(row, Neurons) and row.norm == 2 and row.ridge > 0:
        return ("listing", by_listing(row, value)) if row.num_candidates <= MOST_LISTED else None
    if isinstance(row, Neurons) and row.linear:
        return by_mip(row, "subset-choice", intervals=False)
    return by_mip(row, "scip")


def by_mip(row: Instance, name: str, **parameters: Any) -> tuple[str, float] | None:
    """Prove a row by a MIP solver, up to its tolerance."""
    gap = 0.0 if name == "cp-sat" else 1e-6
    if isinstance(row, Neurons):
        gap = GAPS.get(row.norm, gap)
    solution = solve(row, get_solver(name, **parameters), time_limit=SECONDS, abs_gap=gap)
    value = float(proven_optima(solution)[0])
    return None if np.isnan(value) else (method(Prover(name, gap)), value)


def method(used: Prover) -> str:
    """Return what the table calls a proof."""
    gap = f"+gap{used.abs_gap:.0e}".replace("e-0", "e-") if used.abs_gap else ""
    return used.solver + gap


def prove(named: NamedSet) -> Proven:
    """Prove every row of a set of coupled programs."""
    instance = named.build()
    used = prover(instance)
    values = proven_optima(proof(instance, used))
    if np.isnan(values).any():
        raise SystemExit(f"{named.name}: a row is not proved; nothing written")
    if isinstance(instance, Neurons):
        found = solve(instance, "lns").objective
        if (found < values - rooms(instance, used.abs_gap)).any():
            raise SystemExit(f"{named.name}: lns is better than what is proved; nothing written")
    methods = []
    for b, value in enumerate(values.tolist()):
        row = instance.part(b, b + 1)
        proofs = [second(row, value)]
        if isinstance(row, SharedUnits) and b < SAMPLE:
            proofs.append(by_mip(row, "cp-sat"))
        names = [method(used)]
        for name, again in filter(None, proofs):
            room = float(rooms(row, max(used.abs_gap, 1e-6 if "gap" in name else 0.0))[0])
            if again != value and not abs(again - value) <= room:
                raise SystemExit(f"{named.name}, row {b}: {value!r}, {name}: {again!r}")
            names.append(name)
        methods.append(",".join(names))
    return Proven(
        named.version, instance.num_candidates, checksum(instance), values, tuple(methods)
    )
