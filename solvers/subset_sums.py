"""All subset sums of the weights of a neuron, in order: what solvers of small weights walk."""

from typing import NamedTuple, Self

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.neurons import Neurons

MAX_CANDIDATES = 16
_MOST = 1 << 23  # numbers in a neuron's tables


class SubsetTables(NamedTuple):
    """The subsets of each weight of one neuron, by their sums in ascending order.

    Of subsets with equal sums only one is there: the smallest mask, read as an integer; where a
    budget counts, the one that keeps least. Rows end in infinities where others are longer.
    """

    sums: FloatArray
    """Shape (d, m)."""
    sizes: IntArray
    """How many candidates each keeps, shape (d, m)."""
    codes: IntArray
    """The masks as integers, bit k = candidate k, shape (d, m)."""
    num: IntArray
    """Subsets of each weight, shape (d,)."""

    @staticmethod
    def fit(instance: Neurons) -> bool:
        """Whether the tables of a neuron fit in memory, and can be built in no time."""
        most = int(instance.useful().sum(axis=2).max())
        return most <= MAX_CANDIDATES and instance.coefficients.shape[1] << most <= _MOST

    @classmethod
    def of(cls, instance: Neurons, b: int) -> Self:
        """Return the tables of neuron `b`; candidates that change nothing are in no subset."""
        useful = instance.useful()[b]
        weights = [
            _subsets(instance.coefficients[b, i], useful[i], instance.budget is not None)
            for i in range(len(useful))
        ]
        num = np.array([len(sums) for sums, _, _ in weights])
        shape = (len(weights), int(num.max()))
        found = cls(
            np.full(shape, np.inf), np.zeros(shape, np.int64), np.zeros(shape, np.int64), num
        )
        for i, (sums, sizes, codes) in enumerate(weights):
            found.sums[i, : num[i]], found.sizes[i, : num[i]] = sums, sizes
            found.codes[i, : num[i]] = codes
        return found

    def misses(self, targets: FloatArray) -> FloatArray:
        """Return how far each target is from the nearest sum, and half a typical step, shape (d,).

        A weight alone misses its target by that; where others can take it up, by half a step.
        """
        places = np.arange(len(self.num))
        span = self.sums[places, self.num - 1] - self.sums[:, 0]
        nearest = np.abs(self.sums - targets[:, None]).min(axis=1)
        return np.asarray(nearest + span / (2 * self.num) + 1e-300)

    def taken(self, order: IntArray) -> Self:
        """Return the tables of the weights in another order."""
        sums, sizes, codes, num = (np.ascontiguousarray(array[order]) for array in self)
        return type(self)(sums, sizes, codes, num)  # type: ignore[arg-type]

    def mask(self, chosen: IntArray, num_candidates: int) -> BoolArray:
        """Return the mask of the subsets `chosen`, shape (d · num_candidates,)."""
        codes = self.codes[np.arange(len(chosen)), chosen]
        return ((codes[:, None] >> np.arange(num_candidates)) & 1).astype(np.bool_).reshape(-1)

    def chosen(self, mask: BoolArray, coefficients: FloatArray) -> IntArray:
        """Return which subset of each weight has the sum of `mask`, shape (d, n): the nearest."""
        wanted = np.where(mask, coefficients, 0.0).sum(axis=1)
        return np.asarray(np.abs(self.sums - wanted[:, None]).argmin(axis=1))


def _subsets(
    coefficients: FloatArray, useful: BoolArray, count: bool
) -> tuple[FloatArray, IntArray, IntArray]:
    bits = np.flatnonzero(useful)
    codes, sums, sizes = np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int64)
    for k in bits:
        codes = np.concatenate([codes, codes | (1 << int(k))])
        sums = np.concatenate([sums, sums + coefficients[k]])
        sizes = np.concatenate([sizes, sizes + 1])
    order = np.lexsort((codes, sizes if count else codes, sums))
    sums, sizes, codes = sums[order], sizes[order], codes[order]
    first = np.concatenate([[True], np.diff(sums) > 0])
    return sums[first], sizes[first], codes[first]
