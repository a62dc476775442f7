"""The point of a polytope that is nearest to the origin, with a proof of how near it is.

Wolfe, "Finding the nearest point in a polytope", Mathematical Programming 11 (1976). It is the
active-set method of Lawson and Hanson's non-negative least squares, for weights that add up to 1.
"""

from typing import NamedTuple

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.compiled import compiled

_ROUNDING = 8 * float(np.finfo(np.float64).eps)
_ROUNDS = 20  # times the number of corners: a support is left for good, so few are ever needed


class Nearest(NamedTuple):
    """A point of a polytope, and how near any other could be."""

    weights: FloatArray
    """Shape (n,): not negative, of sum 1; 0 for corners that may not be used."""
    lower: float
    """No point of the polytope is nearer to the origin, up to the rounding of a dot product."""


def nearest_point(
    corners: FloatArray, usable: BoolArray, weights: FloatArray | None = None
) -> Nearest:
    """Return the weights of the point nearest to the origin among the usable corners' mixtures.

    A corner is added as long as it lies nearer, seen along the point w at hand, than w itself; then
    the nearest point of the affine hull is gone to, or as far towards it as weights stay positive,
    and corners that lost their weight are dropped. What proves the answer is w: every mixture x has
    ‖x‖ ≥ x·w / ‖w‖, and that is least at a corner. To have it as precise as corners are, w is what
    is left of a corner when the differences to the others are projected out of it, twice.

    Parameters
    ----------
    corners
        Shape (n, d), float64.
    usable
        Shape (n,); one at least is True.
    weights
        Shape (n,): where to begin, such as the answer for almost the same corners; only those of
        usable corners count.

    Examples
    --------
    >>> corners = np.array([[1.0, 1.0], [1.0, -1.0], [3.0, 0.0]])
    >>> nearest_point(corners, np.ones(3, bool))
    Nearest(weights=array([0.5, 0.5, 0. ]), lower=1.0)
    """
    start = np.zeros(len(corners)) if weights is None else np.where(usable, weights, 0.0)
    return Nearest(*_nearest(corners, usable, start))


@compiled
def _nearest(corners, usable, start):  # type: ignore[no-untyped-def]
    n, d = corners.shape
    weights = start.copy()
    squares = np.empty(n)
    longest = 0.0
    for i in range(n):
        squares[i] = corners[i] @ corners[i] if usable[i] else np.inf
        if usable[i] and squares[i] > longest:
            longest = squares[i]
    longest = np.sqrt(longest)
    support = np.empty(n, np.int64)
    num = 0
    total = weights.sum()
    for i in range(n):
        if weights[i] > 0:
            weights[i] /= total
            support[num] = i
            num += 1
    if num == 0:
        support[0] = np.argmin(squares)
        weights[support[0]] = 1.0
        num = 1
    directions, triangle = np.empty((n, d)), np.empty((n, n))
    point, hull = np.empty(d), np.empty(n)
    lower, shortest = 0.0, np.inf
    close = _ROUNDING * (n + d) * longest
    for _ in range(_ROUNDS * n):
        while True:
            _affine(corners, support, num, longest, directions, triangle, point, hull)
            share, first = 1.0, -1
            for k in range(num):
                have = weights[support[k]]
                if hull[k] <= 0.0 and have <= share * (have - hull[k]):
                    share, first = have / (have - hull[k]) if have > hull[k] else 0.0, k
            for k in range(num):
                i = support[k]
                weights[i] = hull[k] if first < 0 else weights[i] + share * (hull[k] - weights[i])
            if first < 0:
                break
            weights[support[first]] = 0.0
            left = 0
            for k in range(num):
                if weights[support[k]] > 0.0:
                    support[left] = support[k]
                    left += 1
                else:
                    weights[support[k]] = 0.0
            num = left
        norm = np.sqrt(point @ point)
        if norm <= close:
            return weights, 0.0
        least, best = np.inf, -1
        for i in range(n):
            if usable[i]:
                seen = corners[i] @ point
                if seen < least:
                    least, best = seen, i
        lower = max(lower, least / norm)
        if norm - lower <= close or norm >= shortest or weights[best] > 0.0:
            break
        shortest = norm
        support[num] = best
        num += 1
    return weights, lower


@compiled
def _affine(corners, support, num, longest, directions, triangle, point, hull):  # type: ignore[no-untyped-def]
    """Write the point of the support's affine hull nearest to 0 to `point`, its weights to `hull`.

    Differences to the first corner are made orthonormal, each twice; one that depends on those
    before it gets no weight.
    """
    base = corners[support[0]]
    small = _ROUNDING * longest
    for k in range(num - 1):
        directions[k] = corners[support[k + 1]] - base
        triangle[: k + 1, k] = 0.0
        for _ in range(2):
            for j in range(k):
                along = directions[j] @ directions[k]
                triangle[j, k] += along
                directions[k] -= along * directions[j]
        length = np.sqrt(directions[k] @ directions[k])
        triangle[k, k] = length
        if length > small:
            directions[k] /= length
        else:
            directions[k] = 0.0
            triangle[k, k] = 0.0
    point[:] = base
    hull[:num] = 0.0
    for _ in range(2):
        for k in range(num - 1):
            along = directions[k] @ point
            hull[k + 1] -= along
            point -= along * directions[k]
    total = 0.0
    for k in range(num - 2, -1, -1):
        if triangle[k, k] == 0.0:
            hull[k + 1] = 0.0
            continue
        for j in range(k + 1, num - 1):
            hull[k + 1] -= triangle[k, j] * hull[j + 1]
        hull[k + 1] /= triangle[k, k]
        total += hull[k + 1]
    hull[0] = 1.0 - total
