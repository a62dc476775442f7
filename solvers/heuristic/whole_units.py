"""Subset sums of vectors: units that are kept for all outputs or for none, by local search.

The excess of all outputs over the tolerance is brought down by the best flip or exchange of units,
from many random sets; then units are dropped, alone or two for one, while every output is met.
"""

import time
from itertools import combinations

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.shared_units import SharedUnits


def search_whole(
    instance: SharedUnits,
    start: BoolArray,
    rounds: int,
    seed: int,
    deadline: float,
) -> BoolArray:
    """Return the best masks found from `start` and from `rounds` random sets a block."""
    masks = start.copy()
    usable = instance.usable()[:, 0]
    drawn = np.random.default_rng(seed).random((rounds, usable.shape[1])) < 0.5
    for b in range(len(instance)):
        one = instance.part(b, b + 1)
        block = _Block(one, usable[b])
        begins = [start[b], usable[b], *drawn]
        for begin in begins:
            if time.monotonic() > deadline:
                return masks
            mask = block.descend(begin & usable[b], deadline)
            if _key(one, mask) < _key(one, masks[b]):
                masks[b] = mask
    return masks


def _key(one: SharedUnits, mask: BoolArray) -> tuple[float, float]:
    objective, violation = one.evaluate(mask[None, :])
    return float(violation[0]), float(objective[0])


class _Block:
    """One block, in floats: who judges the masks is the instance."""

    def __init__(self, one: SharedUnits, usable: BoolArray) -> None:
        self._a: FloatArray = one.coefficients[0].T.copy()  # (n, m)
        self._target = one.targets[0]
        self._limit = one.tolerance
        self._usable = usable

    def descend(self, mask: BoolArray, deadline: float) -> BoolArray:
        """Take the best flip or exchange until none improves, then drop what can go."""
        mask = mask.copy()
        best, reached = mask.copy(), (np.inf, np.inf)
        while time.monotonic() <= deadline:
            rest = self._target - self._a[mask].sum(axis=0)
            step = np.where(mask[:, None], self._a, -self._a)  # what a flip adds to the rest
            kept, spare = np.flatnonzero(mask), np.flatnonzero(~mask & self._usable)
            excess = float(self._excess(rest))
            here = (excess, float(len(kept)))
            if not here < reached:  # by rounding alone was the last move better
                break
            best, reached = mask.copy(), here
            if excess > 0:
                options = [
                    self._best(rest, step, [()], np.flatnonzero(self._usable)),
                    self._best(rest, step, [(int(h),) for h in kept], spare),
                ]
            else:
                options = [self._best(rest, step, [()], kept)]
                if options[0][0] > 0:
                    options.append(
                        self._best(rest, step, list(combinations(kept.tolist(), 2)), spare)
                    )
            after, units = min(options, key=lambda option: option[0])
            if after > 0 and not after < excess:
                break
            mask[units] ^= True
        return best

    def _best(
        self, rest: FloatArray, step: FloatArray, groups: list[tuple[int, ...]], others: IntArray
    ) -> tuple[float, list[int]]:
        """Return the least excess after flipping one of `groups` and one of `others`, and these."""
        least, units = np.inf, list[int]()
        for group in groups if len(others) else []:
            after = self._excess(rest + step[list(group)].sum(axis=0) + step[others])
            k = int(after.argmin())
            if after[k] < least:
                least, units = float(after[k]), [*group, int(others[k])]
            if least == 0:
                break
        return least, units

    def _excess(self, rests: FloatArray) -> FloatArray:
        """Return by how much all outputs together are beyond the tolerance."""
        beyond: FloatArray = np.maximum(np.abs(rests) - self._limit, 0.0)
        return np.asarray(beyond.sum(axis=-1))
