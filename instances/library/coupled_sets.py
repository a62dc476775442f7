"""Sets of coupled programs: neurons on data, shared budgets and units, whole small sources.

All numbers are drawn on grids, and only multiplied, added and compared where that is exact: the
sets are the same to the last bit on every machine.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import FloatArray
from instances.edge_budget import EdgeBudget
from instances.generate import uniform_family
from instances.instance import Instance
from instances.library.named_set import NamedSet
from instances.neurons import Neurons
from instances.philox import Stream, normal, uniform
from instances.shared_units import SharedUnits

_NEURONS, _BUDGETS, _UNITS, _SOURCES = 600, 700, 800, 900  # seeds
_INPUTS, _LOADINGS, _FIRST = 4, 5, 6  # matrices that no family of `instances.generate` draws
_COARSE = 2.0**-10
_SAMPLES, _RIDGE = 32, 2.0**-4

Inputs = Callable[[int, int, int], FloatArray]


def _drawn(stream: Stream, rows: int, columns: int) -> FloatArray:
    counters = np.arange(rows * columns).reshape(rows, columns)
    return normal(stream, counters, unit=_COARSE)


def _activations(seed: int, samples: int, d: int) -> FloatArray:
    """Return what a ReLU leaves of normal numbers: half of them are 0."""
    return np.maximum(_drawn(Stream(seed, matrix=_INPUTS), samples, d), 0.0)


def _correlated(seed: int, samples: int, d: int) -> FloatArray:
    """Return a ReLU of four features, shared by all inputs, and a little of each one's own."""
    features = _drawn(Stream(seed, matrix=_INPUTS), samples, 4)
    loadings = _drawn(Stream(seed, matrix=_LOADINGS), 4, d)
    own = _drawn(Stream(seed, layer=1, matrix=_INPUTS), samples, d) / 4
    return np.asarray(np.maximum((features[:, :, None] * loadings).sum(axis=1) + own, 0.0))


def _with_repeats(seed: int, samples: int, d: int) -> FloatArray:
    """Return activations of which a fourth are always 0, and a fourth repeat others."""
    inputs = _activations(seed, samples, d)
    inputs[:, ::4] = 0.0
    inputs[:, 1::4] = inputs[:, 2::4]
    return inputs


def _neurons(
    num_rows: int,
    d: int,
    n: int,
    norm: float,
    *,
    inputs: Inputs = _activations,
    samples: int = _SAMPLES,
    ridge: float = _RIDGE,
    budget: int | None = None,
) -> Neurons:
    drawn = uniform_family(num_rows * d, n, seed=_NEURONS + d * n)
    return Neurons(
        inputs(_NEURONS + d * n, samples, d),
        drawn.coefficients.reshape(num_rows, d, n),
        drawn.targets.reshape(num_rows, d),
        norm,
        ridge,
        budget,
    )


def _budgets(num_rows: int, r: int, n: int, measure: str, **limit: float) -> EdgeBudget:
    drawn = uniform_family(num_rows * r, n, seed=_BUDGETS + r)
    coefficients = drawn.coefficients.reshape(num_rows, r, n)
    targets = drawn.targets.reshape(num_rows, r)
    return EdgeBudget(coefficients, targets, measure=measure, **limit)  # type: ignore[arg-type]


def _units(num_rows: int, m: int, n: int, tolerance: float, **costs: float) -> SharedUnits:
    drawn = uniform_family(num_rows * m, n, seed=_UNITS + 100 * m + n)
    coefficients = drawn.coefficients.reshape(num_rows, m, n)
    return SharedUnits(coefficients, drawn.targets.reshape(num_rows, m), tolerance, **costs)  # type: ignore[arg-type]


def _sources(num_rows: int, hidden: int, norm: str, **limits: float) -> ArbitrarySource:
    """Draw sources of three inputs, one of them always 1, that are to compute max(x, y)."""
    seed = _SOURCES + hidden
    counters = np.arange(num_rows * hidden * 3).reshape(num_rows, hidden, 3)
    first = uniform(Stream(seed, matrix=_FIRST), counters, unit=_COARSE)
    last = uniform(Stream(seed, layer=1, matrix=_FIRST), counters[..., 0], unit=_COARSE)
    points = uniform(Stream(seed, matrix=_INPUTS), np.arange(24).reshape(12, 2), unit=_COARSE)
    return ArbitrarySource(
        (first, last[:, None, :]),
        np.concatenate([points, np.ones((12, 1))], axis=1),
        points.max(axis=1, keepdims=True),
        norm,
        **limits,  # type: ignore[arg-type]
    )


def _set(name: str, what: str, build: Callable[[], Instance], *, slow: bool = False) -> NamedSet:
    return NamedSet(name, what, "this library", build, slow=slow)


_SHAPES = {24: (6, 4), 48: (12, 4), 64: (16, 4), 80: (16, 5), 100: (20, 5)}
_NORM_SIZES = (
    (2.0, (24, 48, 64, 100)),
    (1.0, (24, 48, 64, 100)),
    (math.inf, (24, 48, 64, 80, 100)),
)
_NEURON_SETS = tuple(
    _set(
        f"neurons-{norm:g}-{size}",
        "neurons of {} weights with {} candidates each, on {} sparse activations".format(
            *_SHAPES[size], _SAMPLES
        ),
        partial(_neurons, 6 if size == 24 else 4, *_SHAPES[size], norm),
    )
    for norm, sizes in _NORM_SIZES
    for size in sizes
)
_OF_INPUTS = (
    _set(
        "neurons-2-200",
        "neurons of 40 weights with 5 candidates each, on 96 sparse activations",
        partial(_neurons, 3, 40, 5, 2.0, samples=96),
        slow=True,
    ),
    _set(
        "neurons-2-64-budget-20",
        "as neurons-2-64, with 20 candidates kept at most",
        partial(_neurons, 4, 16, 4, 2.0, budget=20),
    ),
    _set(
        "neurons-2-48-repeated",
        "neurons of 12 weights; a fourth of the inputs are always 0, a fourth repeat others",
        partial(_neurons, 4, 12, 4, 2.0, inputs=_with_repeats, ridge=0.0),
    ),
    _set(
        "neurons-2-64-correlated",
        "neurons of 16 weights, on activations made of four features",
        partial(_neurons, 4, 16, 4, 2.0, inputs=_correlated),
    ),
)
_BUDGET_SETS = (
    *(
        _set(
            f"budget-{measure}-{r}",
            f"{r:,} weights that share {budget:,} edges, {n} candidates each",
            partial(_budgets, num_rows, r, n, measure, budget=budget),
        )
        for r, n, num_rows, budget in ((100, 12, 4, 100), (1000, 16, 2, 1500))
        for measure in ("sum", "rms", "max")
    ),
    _set(
        "budget-edges-100",
        "the fewest edges of 100 weights, 12 candidates each, whose errors sum to 1 at most",
        partial(_budgets, 4, 100, 12, "sum", error_limit=1.0),
    ),
)
_UNIT_SETS = (
    *(
        _set(
            f"shared-units-{m}-{n}",
            f"blocks of {m} outputs that share {n} units",
            partial(_units, num_rows, m, n, tolerance),
        )
        for m, n, num_rows, tolerance in ((5, 12, 8, 0.05), (8, 16, 6, 0.02), (10, 20, 4, 0.01))
    ),
    _set(
        "shared-units-6-14-edges",
        "blocks of 6 outputs that share 14 units; a unit costs as much as four edges",
        partial(_units, 6, 6, 14, 0.02, unit_cost=4.0, edge_cost=1.0),
    ),
    _set(
        "shared-units-4-20-whole",
        "blocks of 4 outputs and 20 units, each pruned whole",
        partial(_units, 6, 4, 20, 0.05, structured=True),
    ),
)
_SOURCE_SETS = (
    _set(
        "source-inf-16",
        "sources of 3 inputs and 4 hidden units that are to compute max(x, y)",
        partial(_sources, 5, 4, "inf"),
    ),
    _set(
        "source-1-16",
        "as source-inf-16, the mean error",
        partial(_sources, 5, 4, "1"),
    ),
    _set(
        "source-inf-20-budget-10",
        "sources of 3 inputs and 5 hidden units, with 10 edges kept at most",
        partial(_sources, 3, 5, "inf", budget=10),
        slow=True,
    ),
)

COUPLED_SETS = (*_NEURON_SETS, *_OF_INPUTS, *_BUDGET_SETS, *_UNIT_SETS, *_SOURCE_SETS)
