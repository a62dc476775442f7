"""Two classifiers on the same inputs: whether they differ, and by how much at most.

Of one seed's two networks McNemar's test asks whether the inputs that one alone gets right are as
many as those that the other alone does, exactly: a binomial with p = ½ (McNemar, Psychometrika
1947). The difference of two methods over several seeds is a mean over two crossed samples, the
inputs and the seeds. Its variance is that of a two-way layout with random effects, one measurement
a cell: (MS_inputs + MS_seeds − MS_rest) / (inputs · seeds), where seeds that vary less than chance
count as not varying at all; degrees of freedom after Satterthwaite (Biometrics 1946). Half an input
is added to each of the four cells of the table (Agresti and Min, Statistics in Medicine 2005), so
that networks which agree on everything are not taken to be equal for certain; with one seed this is
their interval. With five seeds, simulated intervals hold 94 to 98 %; with two, 89 % where seeds
differ much.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from instances.arrays import BoolArray

_LEVEL = 0.95
_ADDED = 2.0  # inputs, half a one in each cell


class Difference(NamedTuple):
    """A difference of accuracies, and its 95 % interval."""

    difference: float
    low: float
    high: float


def discordant(one: BoolArray, other: BoolArray) -> tuple[int, int]:
    """Count the inputs that one alone gets right, and those that the other alone does."""
    return int((one & ~other).sum()), int((other & ~one).sum())


def exact_p(only_one: int, only_other: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    >>> exact_p(1, 5)
    0.21875
    """
    fewer, num = min(only_one, only_other), only_one + only_other
    tail = sum(math.comb(num, k) for k in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**num))


def paired_difference(one: BoolArray, other: BoolArray) -> Difference:
    """Return how much more accurate `one` is than `other`, seed by seed on the same inputs.

    Parameters
    ----------
    one, other
        Whether each input was put into its class, shape (seeds, inputs).

    Returns
    -------
    Difference
        The difference, and the ends of its 95 % interval.

    Raises
    ------
    ValueError
        When the shapes differ, or there are no seeds or inputs.
    """
    if one.shape != other.shape or one.ndim != 2 or one.size == 0:
        raise ValueError(
            f"answers of shapes {one.shape} and {other.shape}: give both for the same seeds and "
            "inputs, at least one of each"
        )
    cells = one.astype(np.float64) - other.astype(np.float64)
    num_seeds, num_inputs = cells.shape
    of_inputs, of_seeds, mean = cells.mean(axis=0), cells.mean(axis=1), float(cells.mean())
    num = num_inputs + _ADDED
    centre = mean * num_inputs / num
    # The two inputs that are added differ by 1, 1, 0 and 0, half of each, and equally for all seeds
    spread = (float((of_inputs**2).sum()) + _ADDED / 2) / num - centre**2
    variance, freedom = spread / num, math.inf
    if num_seeds > 1:
        between, beyond = _of_seeds(cells, of_inputs, of_seeds, mean)
        if between > beyond:
            size = num_seeds * num_inputs
            variance += (between - beyond) / size
            freedom = variance**2 / (
                (spread / num) ** 2 / (num_inputs - 1 or 1)
                + (between / size) ** 2 / (num_seeds - 1)
                + (beyond / size) ** 2 / max(1, (num_seeds - 1) * (num_inputs - 1))
            )
    away = float(stats.t.ppf((1 + _LEVEL) / 2, freedom)) * math.sqrt(variance)
    return Difference(mean, max(-1.0, centre - away), min(1.0, centre + away))


def _of_seeds(
    cells: NDArray[np.float64],
    of_inputs: NDArray[np.float64],
    of_seeds: NDArray[np.float64],
    mean: float,
) -> tuple[float, float]:
    """Return the mean squares of the seeds, and of what neither seeds nor inputs explain."""
    num_seeds, num_inputs = cells.shape
    between = num_inputs * float(((of_seeds - mean) ** 2).sum()) / (num_seeds - 1)
    rest = cells - of_inputs - of_seeds[:, None] + mean
    beyond = float((rest**2).sum()) / max(1, (num_seeds - 1) * (num_inputs - 1))
    return between, beyond
