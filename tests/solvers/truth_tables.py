"""Every mask of every problem, judged in whole numbers: what is true, without any solver.

A float64 is a whole number times a power of two. So the numbers of a problem are whole numbers of
one unit, and what any mask costs is one too: in 64 bits where that is known to be enough, else in
Python's integers, by the same lines. Nothing here is shared with `instances` but the statement of
the problems, and nothing with `solvers`.
"""

import math
from fractions import Fraction
from functools import reduce
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from instances.arbitrary_source import ArbitrarySource
from instances.edge_budget import EdgeBudget
from instances.instance import Instance
from instances.neuron_selection import NeuronSelection
from instances.neurons import Neurons
from instances.objectives import FixedSize
from instances.perturbed import PerturbedSubsetSum
from instances.shared_units import SharedUnits
from instances.subset_sum import SubsetSum
from instances.valued_knapsack import ValuedKnapsack

Numbers = NDArray[Any]
"""Whole numbers: int64, or objects that are Python's integers or fractions."""

_ROOM = 2**62


class Table(NamedTuple):
    """What all masks of a batch cost, exactly; mask m stands at the integer whose bits it is."""

    cost: Numbers
    """Shape (b, 2ⁿ), in units of the row."""
    feasible: NDArray[np.bool_]
    """Shape (b, 2ⁿ)."""
    error: Numbers | None = None
    """What decides between masks of equal cost, shape (b, 2ⁿ); None: it is not promised."""
    exponent: tuple[int, ...] = ()
    """Shape (b,): the unit is two to this power; (): 1."""
    divisor: int = 1
    """What costs are to be divided by."""
    squared: bool = False
    """Whether the objective is the root of what costs say."""

    def part(self, start: int, stop: int) -> "Table":
        """Return the rows from `start` up to but not including `stop`."""
        rows = slice(start, stop)
        error = None if self.error is None else self.error[rows]
        return self._replace(
            cost=self.cost[rows],
            feasible=self.feasible[rows],
            error=error,
            exponent=self.exponent[rows],
        )

    def exact(self, row: int, cost: Any) -> Fraction:
        """Return a cost, or its square, as a number."""
        unit = Fraction(2) ** (self.exponent[row] if self.exponent else 0)
        number = cost if isinstance(cost, Fraction) else Fraction(int(cost))
        return number * (unit * unit if self.squared else unit) / self.divisor

    def rounded(self, row: int, cost: Any) -> float:
        """Return the objective that a cost stands for, correctly rounded."""
        value = self.exact(row, cost)
        return root(value) if self.squared else as_float(value)

    def least(self) -> list[Any]:
        """Return the least feasible cost of every row; None where nothing is feasible."""
        rows = zip(self.cost, self.feasible, strict=True)
        return [cost[able].min() if able.any() else None for cost, able in rows]

    def best(self, row: int) -> int:
        """Return the smallest of the best masks of a row that has a feasible one."""
        places = np.flatnonzero(self.feasible[row])
        for numbers in (self.cost, self.error):
            if numbers is not None:
                values = numbers[row, places]
                places = places[values == values.min()]
        return int(places[0])


def as_float(value: Fraction) -> float:
    """Return a fraction correctly rounded, infinite where it is too large."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def root(value: Fraction) -> float:
    """Return the root of a fraction, rounded in the last place."""
    if value == 0:
        return 0.0
    shift = 120 - value.numerator.bit_length() + value.denominator.bit_length()
    shift += shift % 2
    scaled = Fraction(2) ** shift * value
    return as_float(Fraction(math.isqrt(int(scaled))) / Fraction(2) ** (shift // 2))


def whole(*arrays: NDArray[np.float64]) -> tuple[list[Numbers], tuple[int, ...]]:
    """Return arrays of shape (b, …) as whole numbers of a unit of their row, and its exponents."""
    b = len(arrays[0])
    flat = np.concatenate([a.reshape(b, -1) for a in arrays], axis=1)
    numbers = np.zeros(flat.shape, object)
    exponents = []
    for r, row in enumerate(flat.tolist()):
        ratios = [x.as_integer_ratio() for x in row]
        lowest = min(
            ((p & -p).bit_length() - q.bit_length() for p, q in ratios if p), default=0
        )  # q is a power of two
        exponents.append(lowest)
        numbers[r] = [_shifted(p, 1 - q.bit_length() - lowest) for p, q in ratios]
    ends = np.cumsum([math.prod(a.shape[1:]) for a in arrays])[:-1]
    parts = np.split(numbers, ends, axis=1)
    return [p.reshape(a.shape) for p, a in zip(parts, arrays, strict=True)], tuple(exponents)


def _shifted(number: int, places: int) -> int:
    return number << places if places >= 0 else number >> -places


def _small(numbers: list[Numbers], reach: int = 0) -> list[Numbers]:
    """Return numbers in 64 bits where these hold their sums and what is at most `reach`."""
    sums = sum(abs(a.reshape(len(a), -1)).sum(axis=1).max() for a in numbers if a.size)
    fits = max(int(sums), reach) < _ROOM
    return [a.astype(np.int64) for a in numbers] if fits else numbers


def subset_sums(numbers: Numbers) -> Numbers:
    """Return the sums of all subsets along the last axis, shape (…, 2ⁿ)."""
    sums = np.zeros((*numbers.shape[:-1], 1), numbers.dtype)
    for k in range(numbers.shape[-1]):
        sums = np.concatenate([sums, sums + numbers[..., k : k + 1]], axis=-1)
    return sums


def _kept(n: int) -> NDArray[np.int64]:
    """Return how many candidates each mask keeps, shape (2ⁿ,)."""
    return np.asarray(subset_sums(np.ones(n, np.int64)))


def _usable(available: NDArray[np.bool_] | None, b: int, n: int) -> NDArray[np.bool_]:
    """Return which masks keep available candidates alone, shape (b, 2ⁿ)."""
    if available is None:
        return np.ones((b, 2**n), np.bool_)
    return np.asarray(subset_sums((~available).reshape(b, n).astype(np.int64)) == 0)


def table_of(instance: Instance) -> Table:
    """Judge all masks of a batch, of at most some twelve candidates."""
    return _TABLES[type(instance)](instance)  # type: ignore[no-any-return]


def _subset_sum(instance: SubsetSum) -> Table:
    b, n = instance.coefficients.shape
    limit = np.full(b, instance.tolerance or 0.0)
    numbers, exponent = whole(instance.coefficients, instance.targets, limit)
    a, t, tolerance = _small(numbers)
    error = abs(t[:, None] - subset_sums(a))
    feasible = _usable(instance.available, b, n)
    if instance.tolerance is not None:
        feasible &= error <= tolerance[:, None]
    if isinstance(instance.objective, FixedSize):
        feasible &= _kept(n) == instance.objective.size
    if instance.counts:
        return Table(np.broadcast_to(_kept(n), (b, 2**n)), feasible, error)
    return Table(error, feasible, error, exponent)


def _perturbed(instance: PerturbedSubsetSum) -> Table:
    b, n = instance.coefficients.shape
    limit = np.full(b, instance.tolerance or 0.0)
    numbers, exponent = whole(
        instance.coefficients, instance.targets, instance.perturbations, limit
    )
    a, t, p, tolerance = _small(numbers)
    distance = abs(t[:, None] - subset_sums(a))
    miss = np.maximum(distance - subset_sums(p), 0)
    feasible = _usable(instance.available, b, n)
    if instance.tolerance is not None:
        feasible &= miss <= tolerance[:, None]
    if instance.counts:
        return Table(np.broadcast_to(_kept(n), (b, 2**n)), feasible, miss)
    return Table(miss, feasible, distance, exponent)


def _edge_budget(instance: EdgeBudget) -> Table:
    b, r, n = instance.coefficients.shape
    limit = np.full(b, instance.error_limit or 0.0)
    numbers, exponent = whole(instance.coefficients, instance.targets, limit)
    reach = int(sum(abs(a.reshape(b, -1)).sum(axis=1) for a in numbers).max())
    a, t, tolerance = _small(numbers, r * reach**2)
    apart = np.zeros((b, r, r, n), a.dtype)  # the candidates of weight i stand for it alone
    apart[:, np.arange(r), np.arange(r)] = a
    errors = abs(t[:, :, None] - subset_sums(apart.reshape(b, r, r * n)))
    squared = instance.measure == "rms"
    if squared:
        totals, tolerance = (errors**2).sum(axis=1), r * tolerance**2
    else:
        totals = errors.sum(axis=1) if instance.measure == "sum" else errors.max(axis=1)
    feasible, kept = _usable(instance.available, b, r * n), _kept(r * n)
    if instance.counts:
        feasible &= totals <= tolerance[:, None]
        return Table(np.broadcast_to(kept, totals.shape), feasible)
    feasible &= kept <= (instance.budget or 0)
    return Table(totals, feasible, None, exponent, r if squared else 1, squared)


def _neurons(instance: Neurons) -> Table:
    b, d, n = instance.coefficients.shape
    (a, t), exponent = whole(instance.coefficients, instance.targets)
    rows = np.concatenate([instance.inputs, instance.ridge * np.eye(d)])
    (z,), (unit,) = whole(rows[None])
    z = z[0]
    reach = int(abs(z).sum() * (abs(a).sum(axis=(1, 2)) + abs(t).sum(axis=1)).max())
    squared = instance.norm == 2
    a, t, z = _small([a, t, z], len(z) * reach**2 if squared else len(z) * reach)
    apart = np.zeros((b, d, d, n), a.dtype)
    apart[:, np.arange(d), np.arange(d)] = a
    off = t[:, :, None] - subset_sums(apart.reshape(b, d, d * n))
    outputs = abs(np.matmul(z, off))
    if squared:
        cost = (outputs**2).sum(axis=1)
    else:
        cost = outputs.sum(axis=1) if instance.norm == 1 else outputs.max(axis=1)
    feasible = _usable(instance.available, b, d * n)
    if instance.budget is not None:
        feasible &= _kept(d * n) <= instance.budget
    return Table(cost, feasible, None, tuple(e + unit for e in exponent), 1, squared)


def _shared_units(instance: SharedUnits) -> Table:
    b, m, n = instance.shape
    limit = np.full(b, instance.tolerance)
    numbers, _ = whole(instance.coefficients, instance.targets, limit)
    a, t, tolerance = _small(numbers)
    free = np.ones((b, m, n), np.bool_) if instance.available is None else instance.available
    if instance.structured:
        sums, units = subset_sums(a), _kept(n)
        edges = m * units
        feasible = _usable(np.asarray(free.all(axis=1)), b, n)
    else:
        apart = np.zeros((b, m, m, n), a.dtype)
        apart[:, np.arange(m), np.arange(m)] = a
        sums, edges = subset_sums(apart.reshape(b, m, m * n)), _kept(m * n)
        serves = (np.arange(2 ** (m * n))[:, None] >> np.arange(m * n)) & 1
        units = serves.reshape(2 ** (m * n), m, n).any(axis=1).sum(axis=1)
        feasible = _usable(free, b, m * n)
    feasible &= (abs(t[:, :, None] - sums) <= tolerance[:, None, None]).all(axis=1)
    (costs,), (unit,) = whole(np.array([[instance.unit_cost, instance.edge_cost]]))
    (each,) = _small([costs], int(max(costs[0])) * (1 + m) * (1 + n))
    cost = each[0, 0] * units.astype(each.dtype) + each[0, 1] * edges.astype(each.dtype)
    return Table(np.broadcast_to(cost, feasible.shape), feasible, None, (unit,) * b)


def _valued_knapsack(instance: ValuedKnapsack) -> Table:
    (values,), exponent = whole(instance.values)
    v = _small([values])[0]
    given_up = np.maximum(v, 0).sum(axis=1)[:, None] - subset_sums(v)
    feasible = subset_sums(instance.weights) <= instance.capacity[:, None]
    return Table(given_up, feasible, None, exponent)


def _arbitrary_source(instance: ArbitrarySource) -> Table:
    b, n = len(instance), instance.num_candidates
    masks = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    rows = [_source_costs(instance, r, masks) for r in range(b)]
    cost, exponent = np.stack([row for row, _ in rows]), tuple(e for _, e in rows)
    size = instance.outputs.size if instance.norm == "1" else 1
    feasible = np.ones(cost.shape, np.bool_)
    if instance.budget is not None:
        feasible &= _kept(n) <= instance.budget
    if instance.tolerance is not None:
        for r, e in enumerate(exponent):
            feasible[r] &= cost[r] <= math.floor(
                Fraction(instance.tolerance) / Fraction(2) ** e * size
            )
    return Table(cost, feasible, None, exponent, size)


def _source_costs(
    instance: ArbitrarySource, r: int, masks: NDArray[np.int64]
) -> tuple[Numbers, int]:
    (h, y), (unit,) = whole(instance.inputs[None], instance.outputs[None])
    h, y, exponent = h[0][:, :, None], y[0], unit
    first = 0
    for depth, weights in enumerate(instance.weights):
        (w,), (lower,) = whole(weights[r][None])
        exponent += lower
        num_out, num_in = w[0].shape
        here = masks[:, first : first + num_out * num_in].reshape(-1, num_out, num_in)
        first += num_out * num_in
        kept = (here * w[0]).transpose(1, 2, 0)
        if depth:
            h = np.maximum(h, 0)
        terms = (kept[None, :, j] * h[:, None, j] for j in range(num_in))
        h = reduce(np.add, terms)
    # outputs, counted in another unit, are brought to the finer of both
    finer = min(exponent, unit)
    error = abs(h * 2 ** (exponent - finer) - y[:, :, None] * 2 ** (unit - finer))
    error = error.reshape(-1, len(masks))
    return error.max(axis=0) if instance.norm == "inf" else error.sum(axis=0), finer


def _neuron_selection(instance: NeuronSelection) -> Table:
    b, n = len(instance), instance.num_candidates
    assert instance.targets is not None
    cost = np.zeros((b, 2**n), object)
    for r in range(b):
        (columns, f), (unit,) = whole(instance.features[r][None], instance.targets[r][None])
        scale = Fraction(4) ** unit
        corners = (columns[0] - f[0][:, None]).T
        cost[r] = [value * scale for value in _hull_distances(corners)]
        cost[r, 0] = int((f[0] ** 2).sum()) * scale
    kept = _kept(n)
    feasible = np.broadcast_to((kept > 0) & (kept <= instance.size), cost.shape)
    return Table(cost, feasible, None, (), 1, squared=True)


def _hull_distances(corners: Numbers) -> list[Fraction]:
    """Return the squared distance of 0 from the hull of every set of corners; of none, 0.

    The nearest point of a hull is that of the affine hull of some independent corners.
    """
    n = len(corners)
    gram = (corners @ corners.T).tolist()
    alone: dict[int, Fraction] = {}
    for size in range(1, n + 1):
        for chosen in combinations(range(n), size):
            value = _affine_distance([[gram[i][j] for j in chosen] for i in chosen])
            if value is not None:
                alone[sum(1 << i for i in chosen)] = value
    return [
        min((value for part, value in alone.items() if part & bits == part), default=Fraction(0))
        for bits in range(2**n)
    ]


def _affine_distance(gram: list[list[int]]) -> Fraction | None:
    """Return the squared distance of 0 from an affine hull whose nearest point lies within.

    None where the corners are dependent or the point is not between them.
    """
    size = len(gram)
    rows = [[Fraction(x) for x in row] + [Fraction(1), Fraction(0)] for row in gram]
    rows.append([Fraction(1)] * size + [Fraction(0), Fraction(1)])
    for k in range(size + 1):
        pivot = next((i for i in range(k, size + 1) if rows[i][k]), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(size + 1):
            if i != k and rows[i][k]:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    if any(row[-1] < 0 for row in rows[:size]):
        return None
    return -rows[size][-1]


_TABLES: dict[type, Any] = {
    SubsetSum: _subset_sum,
    PerturbedSubsetSum: _perturbed,
    EdgeBudget: _edge_budget,
    Neurons: _neurons,
    SharedUnits: _shared_units,
    ValuedKnapsack: _valued_knapsack,
    ArbitrarySource: _arbitrary_source,
    NeuronSelection: _neuron_selection,
}
