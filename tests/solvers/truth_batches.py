"""Batches that solvers may get wrong: ties, denormals, 1e±300, zeros, targets at the edge of reach.

Each batch is drawn from a seed alone. Its rows are of many families at once; only what a batch has
in common, the number of candidates, the objective and the tolerance, is drawn for all of them.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from instances.arbitrary_source import ArbitrarySource
from instances.edge_budget import EdgeBudget
from instances.instance import Instance
from instances.neuron_selection import NeuronSelection
from instances.neurons import Neurons
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.perturbed import PerturbedSubsetSum
from instances.shared_units import SharedUnits
from instances.subset_sum import SubsetSum
from instances.valued_knapsack import ValuedKnapsack

Floats = NDArray[np.float64]

TINY = 5e-324
LARGEST = float(np.finfo(np.float64).max)

Family = Callable[[Generator, tuple[int, ...]], Floats]


def _grid(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.integers(-(2**40), 2**40, shape) * 2.0**-40)


def _coarse(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.integers(-4, 5, shape) * 0.25)


def _few(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.choice(_grid(rng, (3,)), shape))


def _zeros(rng: Generator, shape: tuple[int, ...]) -> Floats:
    zeros = rng.choice([0.0, -0.0], shape)
    return np.asarray(np.where(rng.random(shape) < 0.6, zeros, _grid(rng, shape)))


def _denormal(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.integers(-60, 61, shape) * TINY)


def _alike(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.choice([-1.0, 1.0], shape) * (1 + rng.integers(0, 4, shape) * 2.0**-52))


def _powers(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.choice([-1.0, 1.0], shape) * 2.0 ** -rng.integers(0, 30, shape))


def _negative(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return -np.abs(_grid(rng, shape))


def _positive(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.abs(_grid(rng, shape))


def _small(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return _grid(rng, shape) * 2.0**-980


def _huge(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(_grid(rng, shape) * 2.0**1000)


def _doubles(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return rng.standard_normal(shape)


def _spread(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.choice([-1.0, 1.0], shape) * 2.0 ** rng.uniform(-60, 60, shape))


def _extreme(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.choice([-1.0, 1.0], shape) * 2.0 ** rng.uniform(-1074, 1023, shape))


def _overflowing(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.uniform(-1, 1, shape) * LARGEST)


_PALETTE = (0.0, 1.0, -1.0, 0.1, -0.5, 1e300, -1e300, 1e-300, TINY, -TINY, 1e17, 1 / 3, LARGEST)


def _palette(rng: Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(rng.choice(_PALETTE, shape))


NARROW: tuple[Family, ...] = (
    _grid, _coarse, _few, _zeros, _denormal, _alike, _powers, _negative, _positive, _small, _huge,
)  # fmt: skip
"""Families whose sums 64 bits hold."""

WIDE: tuple[Family, ...] = (_doubles, _spread, _extreme, _overflowing, _palette)
"""Families whose sums they do not."""

MODERATE: tuple[Family, ...] = (_grid, _coarse, _few, _zeros, _alike, _powers, _negative)
"""Families without extreme magnitudes."""


def numbers(rng: Generator, b: int, shape: tuple[int, ...], families: tuple[Family, ...]) -> Floats:
    """Return numbers of shape (b, …), every row of a family of its own."""
    which = rng.integers(0, len(families), b)
    found = np.zeros((b, *shape))
    for k, family in enumerate(families):
        rows = np.flatnonzero(which == k)
        found[rows] = family(rng, (len(rows), *shape))
    return found


def targets_of(rng: Generator, a: Floats) -> Floats:
    """Return targets for coefficients of shape (b, n), many of them where a decision is close."""
    b, n = a.shape
    with np.errstate(over="ignore", invalid="ignore"):
        one, other = (np.where(rng.random((b, n)) < 0.5, a, 0.0).sum(axis=1) for _ in range(2))
        high, low = np.maximum(a, 0).sum(axis=1), np.minimum(a, 0).sum(axis=1)
        size = np.abs(a).max(axis=1, initial=0.0)
        kinds = np.stack([
            one,  # met exactly, where the sum was not rounded
            np.nextafter(one, math.inf),
            np.nextafter(one, -math.inf),
            one / 2 + other / 2,  # two sums are equally far
            rng.uniform(-1, 1, b) * size,
            rng.uniform(-1, 1, b) * size,
            high,
            np.nextafter(high, math.inf),
            low,
            np.nextafter(low, -math.inf),
            2 * high + 1,
            np.zeros(b),
            rng.choice([TINY, -TINY, -0.0], b),
            rng.standard_normal(b),
        ])  # fmt: skip
    chosen = kinds[rng.integers(0, len(kinds), b), np.arange(b)]
    return np.asarray(np.clip(np.nan_to_num(chosen), -LARGEST, LARGEST))


def tolerance_of(rng: Generator, a: Floats, t: Floats) -> float:
    """Return a tolerance that some row just meets, just misses, or one of no row's own."""
    row = int(rng.integers(len(t)))
    with np.errstate(over="ignore", invalid="ignore"):
        met = abs(float(t[row] - np.where(rng.random(a.shape[1]) < 0.5, a[row], 0.0).sum()))
    met = min(met, LARGEST) if not math.isnan(met) else 0.0
    below, above = (max(float(np.nextafter(met, end)), 0.0) for end in (0.0, LARGEST))
    return float(rng.choice([met, below, above, 0.0, TINY, 1e-9, 1e-3, 0.25, 0.5, 1e300]))


def objective_of(rng: Generator, n: int, tolerance: float) -> Objective:
    """Return one of the three objectives, with settings at the edge of sense, too."""
    size = int(rng.choice([0, 1, 1, 2, 3, n, n + 1]))
    choices: list[Objective] = [
        Closest(), Closest(tolerance), Sparsest(tolerance), FixedSize(size),
        FixedSize(size, tolerance), FixedSize(1),
    ]  # fmt: skip
    return choices[int(rng.integers(len(choices)))]


def available_of(rng: Generator, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Return which candidates may be used: all, or some, of some rows none."""
    if rng.random() < 0.5:
        return None
    share = rng.choice([0.0, 0.5, 0.9, 1.0], (shape[0], *(1 for _ in shape[1:])))
    return np.asarray(rng.random(shape) < share)


def _size(rng: Generator, most: int) -> int:
    """Return a number of candidates; none and one come up often."""
    return int(rng.choice([0, 1, 2, 3, *range(2, most + 1)]))


def subset_sums(rng: Generator, families: tuple[Family, ...], b: int, most: int) -> SubsetSum:
    """Draw rows of up to `most` candidates."""
    n = _size(rng, most)
    a = numbers(rng, b, (n,), families)
    t = targets_of(rng, a)
    objective = objective_of(rng, n, tolerance_of(rng, a, t))
    return SubsetSum(a, t, objective, available_of(rng, a.shape))


def perturbed_sums(
    rng: Generator, families: tuple[Family, ...], b: int, most: int
) -> PerturbedSubsetSum:
    """Draw rows whose candidates may move: not at all, a little, by their own size."""
    n = _size(rng, most)
    a = numbers(rng, b, (n,), families)
    t = targets_of(rng, a)
    share = rng.choice([0.0, 2.0**-10, 0.125, 1.0], (b, 1)) * rng.integers(0, 2, (b, n))
    p: Floats = np.abs(a) * share
    if rng.random() < 0.3:
        p = np.abs(numbers(rng, b, (n,), families))
    tolerance = tolerance_of(rng, a, t)
    objective = (Closest(), Closest(tolerance), Sparsest(tolerance))[int(rng.integers(3))]
    return PerturbedSubsetSum(a, t, p, objective, available_of(rng, a.shape))


def edge_budgets(rng: Generator, families: tuple[Family, ...], b: int, most: int) -> EdgeBudget:
    """Draw problems of some weights, with a budget or a limit, in all three measures."""
    r = int(rng.integers(1, 5))
    n = int(rng.integers(0, most // r + 1))
    a = numbers(rng, b, (r, n), families)
    t = targets_of(rng, a.reshape(b * r, n)).reshape(b, r)
    measure = str(rng.choice(["sum", "max", "rms"]))
    available = available_of(rng, a.shape)
    if rng.random() < 0.6:
        budget = int(rng.integers(0, r * n + 2))
        return EdgeBudget(a, t, budget, None, measure, available)
    limit = tolerance_of(rng, a[:, 0], t[:, 0]) * float(rng.choice([1.0, 1.0, r]))
    return EdgeBudget(a, t, None, min(limit, LARGEST), measure, available)


def neurons(rng: Generator, families: tuple[Family, ...], b: int, most: int) -> Neurons:
    """Draw neurons of few inputs: samples that repeat, that are 0, more or fewer than inputs."""
    d = int(rng.integers(1, 5))
    n = int(rng.integers(0, most // d + 1))
    a = numbers(rng, b, (d, n), families)
    t = targets_of(rng, a.reshape(b * d, n)).reshape(b, d)
    inputs = numbers(rng, int(rng.integers(1, 6)), (d,), families)
    inputs[:, rng.random(d) < 0.1] = 0.0
    inputs[rng.random(len(inputs)) < 0.2] = inputs[0]
    ridge = float(rng.choice([0.0, 0.0, 0.125, 1e-3]))
    budget = None if rng.random() < 0.6 else int(rng.integers(0, d * n + 2))
    norm = float(rng.choice([1.0, 2.0, math.inf]))
    return Neurons(inputs, a, t, norm, ridge, budget, available_of(rng, a.shape))


def shared_units(rng: Generator, families: tuple[Family, ...], b: int, most: int) -> SharedUnits:
    """Draw blocks whose outputs can be met together, by little, or not at all."""
    m = int(rng.integers(1, 4))
    structured = bool(rng.random() < 0.3)
    n = int(rng.integers(0, (most if structured else most // m) + 1))
    a = numbers(rng, b, (m, n), families)
    t = targets_of(rng, a.reshape(b * m, n)).reshape(b, m)
    if structured:  # by one set of units
        together = rng.random((b, 1, n)) < 0.5
        met = rng.random(b) < 0.7
        t[met] = np.clip(np.where(together, a, 0.0).sum(axis=2), -LARGEST, LARGEST)[met]
    costs = [(1.0, 0.0), (0.0, 1.0), (3.0, 1.0), (0.3, 0.1), (1.0, 2.0**-60), (1e300, 1.0)]
    unit, edge = costs[int(rng.integers(len(costs)))]
    tolerance = tolerance_of(rng, a[:, 0], t[:, 0])
    return SharedUnits(a, t, tolerance, unit, edge, structured, available_of(rng, a.shape))


def valued_knapsacks(
    rng: Generator, families: tuple[Family, ...], b: int, most: int
) -> ValuedKnapsack:
    """Draw knapsacks: weights of 0, weights with a common divisor, capacities at the edge."""
    n = _size(rng, most)
    values = numbers(rng, b, (n,), families)
    weights = rng.integers(0, 12, (b, n)) * rng.choice([1, 1, 7, 10**6], (b, 1))
    total = weights.sum(axis=1)
    part = np.where(rng.random((b, n)) < 0.5, weights, 0).sum(axis=1)
    edge = np.stack([part, np.maximum(part - 1, 0), part + 1, total, 0 * total, 2 * total + 5])
    capacity = edge[rng.integers(0, len(edge), b), np.arange(b)]
    return ValuedKnapsack(values, weights, capacity)


def arbitrary_sources(
    rng: Generator, families: tuple[Family, ...], b: int, most: int
) -> ArbitrarySource:
    """Draw sources of one to three layers, some of whose outputs some mask computes."""
    shapes = [s for s in _SOURCES if sum(p * q for p, q in pairwise(s)) <= most]
    shape = shapes[int(rng.integers(len(shapes)))]
    weights = tuple(numbers(rng, b, (p, q), families) for q, p in pairwise(shape))
    num_samples = int(rng.integers(1, 4))
    inputs = numbers(rng, num_samples, (shape[0],), families)
    outputs = numbers(rng, num_samples, (shape[-1],), families)
    h = inputs
    for depth, w in enumerate(weights):  # what the first source puts out under a random mask
        h = np.maximum(h, 0.0) if depth else h
        h = h @ np.where(rng.random(w[0].shape) < 0.7, w[0], 0.0).T
    if rng.random() < 0.5 and np.isfinite(h).all():
        outputs = h
    n = sum(w[0].size for w in weights)
    budget = None if rng.random() < 0.6 else int(rng.integers(0, n + 2))
    tolerance = None if rng.random() < 0.6 else float(rng.choice([0.0, 1e-9, 0.1, 0.5]))
    norm = str(rng.choice(["1", "inf"]))
    return ArbitrarySource(weights, inputs, outputs, norm, budget, tolerance)


_SOURCES = (
    (1, 1), (2, 1), (3, 2), (1, 1, 1), (1, 2, 1), (2, 2, 1), (2, 2, 2), (1, 3, 1), (1, 2, 1, 1),
    (1, 2, 2, 1),
)  # fmt: skip
"""How wide the layers are, inputs first."""


def neuron_selections(
    rng: Generator, families: tuple[Family, ...], b: int, most: int
) -> NeuronSelection:
    """Draw layers whose neurons are alike, equal, or 0, of few numbers."""
    n, num = int(rng.integers(1, most + 1)), int(rng.integers(1, 5))
    features = numbers(rng, b, (num, n), families)
    targets = None if rng.random() < 0.6 else numbers(rng, b, (num,), families)
    with np.errstate(over="ignore"):
        if targets is None and not np.isfinite(features.mean(axis=2)).all():
            targets = np.zeros((b, num))
    return NeuronSelection(features, int(rng.integers(1, n + 2)), targets)


class Kind:
    """A problem class of one range of numbers: how its batches are drawn."""

    def __init__(
        self, draw: Callable[..., Any], families: tuple[Family, ...], rows: int, most: int
    ) -> None:
        self.draw = draw
        self.families = families
        self.rows = rows
        self.most = most

    def batch(self, seed: int, rows: int = 0) -> Instance:
        """Return the batch of a seed, of `rows` rows or as many as are usual."""
        rng = np.random.default_rng(seed)
        while True:
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    drawn: Instance = self.draw(rng, self.families, rows or self.rows, self.most)
                return drawn
            except ValueError as error:  # as it should be: draw another one
                if "overflow" not in str(error):
                    raise


KINDS = {
    "sums": Kind(subset_sums, NARROW, 1000, 11),
    "wide sums": Kind(subset_sums, WIDE, 100, 8),
    "perturbed": Kind(perturbed_sums, NARROW, 1000, 10),
    "wide perturbed": Kind(perturbed_sums, WIDE, 50, 7),
    "budgets": Kind(edge_budgets, NARROW, 100, 10),
    "wide budgets": Kind(edge_budgets, WIDE, 20, 7),
    "neurons": Kind(neurons, MODERATE, 50, 9),
    "wide neurons": Kind(neurons, WIDE + NARROW, 20, 7),
    "units": Kind(shared_units, NARROW, 200, 10),
    "wide units": Kind(shared_units, WIDE, 20, 7),
    "knapsacks": Kind(valued_knapsacks, NARROW, 500, 10),
    "wide knapsacks": Kind(valued_knapsacks, WIDE, 50, 8),
    "sources": Kind(arbitrary_sources, MODERATE, 40, 8),
    "wide sources": Kind(arbitrary_sources, WIDE + NARROW, 20, 7),
    "selections": Kind(neuron_selections, MODERATE, 20, 5),
    "wide selections": Kind(neuron_selections, WIDE + NARROW, 10, 4),
}
