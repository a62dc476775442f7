"""Random SubsetSums of one kind by the thousands, each solved exactly: their errors, summed up."""

import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from instances.arrays import FloatArray
from instances.distributions import Distribution
from instances.generate import product_family
from instances.objectives import Closest, FixedSize, Objective
from instances.philox import Stream, uniform
from instances.subset_sum import SubsetSum
from milp_lth.theory.laws import RandomSums
from milp_lth.theory.median_error import median_error
from solvers.exact.count_solutions import count_solutions
from solvers.solve import solve

TOLERANCES = 2.0 ** -np.arange(0, 32.5, 0.5)
"""Successes are counted for each of these."""

_TAIL = 2.0 ** -np.arange(1.0, 18.0)
LEVELS = np.unique(np.concatenate([_TAIL, 1 - _TAIL, np.linspace(0.4, 0.6, 41), [0.99, 0.999]]))
"""Which quantiles are kept: the tails, and what is near the median, for intervals."""

_ROWS = 20_000  # solved at once


class Cell(NamedTuple):
    """What is drawn: the law of the candidates, how many, the targets' range, the subsets' size."""

    distribution: str
    num_candidates: int
    target_range: float = 0.5
    size: int | None = None

    @property
    def name(self) -> str:
        """What it is recorded under."""
        size = "" if self.size is None else f" size {self.size}"
        n, r = self.num_candidates, self.target_range
        return f"{self.distribution} n {n} range {r:g}{size}"

    @property
    def law(self) -> RandomSums:
        """The closed forms for it."""
        return RandomSums.of(self.distribution, self.num_candidates, size=self.size)

    @property
    def targets(self) -> FloatArray:
        """Targets that stand for all: the middles of ten equal parts of one half of the range."""
        return self.target_range * (np.arange(10) + 0.5) / 10

    def predicted(self, level: float) -> float:
        """Return the quantile of the error that the closed forms predict."""
        return _predicted(self, level)

    def draw(self, num_rows: int, seed: int) -> SubsetSum:
        """Draw that many rows, as the families of `instances.generate` do."""
        n = self.num_candidates
        asked: Objective = Closest() if self.size is None else FixedSize(self.size)
        if self.distribution == "products":
            return product_family(
                num_rows, n, seed=seed, objective=asked, target_range=self.target_range
            )
        counters = np.arange(num_rows * n).reshape(num_rows, n)
        coefficients = Distribution(self.distribution).draw(Stream(seed), counters)
        places = uniform(Stream(seed, matrix=1), np.arange(num_rows), unit=2.0**-52)
        return SubsetSum(coefficients, places * self.target_range, asked)

    def batches(self, trials: int, seed: int) -> Iterator[SubsetSum]:
        """Draw `trials` rows in batches, each from a seed of its own."""
        for k, first in enumerate(range(0, trials, _ROWS)):
            yield self.draw(min(_ROWS, trials - first), seed_of(seed, self.name, k))


@cache
def _predicted(cell: Cell, level: float) -> float:
    return cell.law.quantile(level, cell.targets)


def seed_of(seed: int, *what: str | int) -> int:
    """Return the seed of a part of an experiment: others for other parts."""
    words = [zlib.crc32(str(one).encode()) for one in what]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1)[0])


def measured(cell: Cell, trials: int, seed: int) -> dict[str, Any]:
    """Solve `trials` rows to optimality and sum up their errors.

    Returns
    -------
    dict
        ``errors``: their quantiles at `LEVELS`; ``relative``: those of the errors in units of the
        median that theory predicts for the drawn coefficients, where all subsets are allowed;
        ``within``: how many are within each of `TOLERANCES`; ``mean``, ``trials``, ``optimal``.
    """
    errors, relative, num_optimal = [], [], 0
    for instance in cell.batches(trials, seed):
        solution = solve(instance, "mitm")
        errors.append(solution.error)
        num_optimal += solution.counts()["OPTIMAL"]
        if cell.size is None:
            relative.append(solution.error / median_error(instance))
    error = np.concatenate(errors)
    within = np.searchsorted(np.sort(error), TOLERANCES, side="right")
    return {
        "trials": trials,
        "optimal": num_optimal,
        "errors": np.quantile(error, LEVELS).tolist(),
        "relative": np.quantile(np.concatenate(relative), LEVELS).tolist() if relative else None,
        "within": within.tolist(),
        "mean": float(error.mean()),
    }


def counted(cell: Cell, expected: float, trials: int, seed: int) -> dict[str, Any]:
    """Count the subsets within the tolerance within which the density at 0 promises so many.

    Returns
    -------
    dict
        ``tolerance``; ``mean`` and ``variance`` of the counts; ``histogram``: how often each count
        occurred, from 0 on; ``trials``.
    """
    tolerance = float(expected / (2 * cell.law.num_subsets * cell.law.density(0.0)))
    counts = [
        count_solutions(instance, tolerance)
        for instance in cell.batches(trials, seed_of(seed, "counts"))
    ]
    count = np.concatenate(counts)
    return {
        "trials": trials,
        "tolerance": tolerance,
        "mean": float(count.mean()),
        "variance": float(count.var(ddof=1)),
        "histogram": np.bincount(count).tolist(),
    }


def quantile(values: list[float], level: float) -> float:
    """Return one of the quantiles that `measured` keeps."""
    return float(np.exp(np.interp(level, LEVELS, np.log(np.maximum(values, 1e-300)))))


def resampled_medians(values: list[float], trials: int, rng: np.random.Generator) -> FloatArray:
    """Draw 1,000 medians as a bootstrap of all trials would.

    The median of a sample drawn again is an order statistic of the first sample, and its place
    follows a beta distribution.
    """
    places = rng.beta((trials + 1) / 2, (trials + 1) / 2, 1000)
    logs = np.interp(places, LEVELS, np.log(np.maximum(values, 1e-300)))
    return np.asarray(np.exp(logs))
