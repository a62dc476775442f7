"""The least width at which every weight of a random layer is met, drawn and solved exactly.

The two-layer construction of Pensia et al. 2020, with the blocks of its proof: hidden unit k of
input i has a weight u_ik, and all outputs j share it; the unit serves positive inputs where u_ik is
positive, and negative ones elsewhere; each of the two halves of every weight w_ji is the sum of a
subset of its products v_jik · u_ik. Targets are uniform, divided by their spectral norm. More units
only add candidates, so that a draw has one least width. Beside it the widths at which single
products suffice, as in Malach et al. 2020.
"""

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.philox import UNIT_FACTOR, UNIT_RAW
from instances.subset_sum import SubsetSum
from solvers.exact.meet_in_the_middle import MAX_CANDIDATES
from solvers.solve import solve

MOST_UNITS = 192
"""Units drawn for each input; a half has 48 of them in all but 10⁻¹¹ of the blocks."""


def needed_widths(
    size: int, num_layers: int, tolerances: FloatArray, rng: np.random.Generator
) -> IntArray:
    """Draw layers and return the least width at which all their weights are met.

    Parameters
    ----------
    size
        d: a layer has d inputs and d outputs.
    num_layers
        How many are drawn.
    tolerances
        Errors allowed for each weight and half, falling.
    rng
        All numbers come from it.

    Returns
    -------
    IntArray
        Shape (num_layers, tolerances); `MOST_UNITS` + 1 where that many units do not suffice.
    """
    shape = num_layers, size, size
    targets = random_targets(rng, shape)
    u = _factors(rng, (num_layers, 1, size, MOST_UNITS))
    return least_widths(u, _factors(rng, (*shape, MOST_UNITS)), targets, tolerances)


def least_widths(
    u: FloatArray, v: FloatArray, targets: FloatArray, tolerances: FloatArray
) -> IntArray:
    """Return the least width at which all weights of each layer are met.

    Parameters
    ----------
    u
        Shape (layers, 1, inputs, units): the weights between an input and its hidden units.
    v
        Shape (layers, outputs, inputs, units): those between these units and the outputs.
    targets
        Shape (layers, outputs, inputs).
    tolerances
        Falling.

    Returns
    -------
    IntArray
        Shape (layers, tolerances); units + 1 where all of them do not suffice, or not the first
        48 of a half.
    """
    num_layers, num_units = len(targets), u.shape[-1]
    widths = []
    for others in (u <= 0, u > 0):
        places = np.argsort(others, axis=-1, kind="stable")[..., :MAX_CANDIDATES]
        most = places.shape[-1]
        products = np.take_along_axis(v, places, -1) * np.take_along_axis(u, places, -1)
        room = np.minimum(num_units - others.sum(axis=-1), most)
        room = np.broadcast_to(room, targets.shape).reshape(-1, 1)
        products = np.where(np.arange(most) < room, products.reshape(-1, most), 0.0)
        first = first_within(products, targets.ravel(), tolerances)
        places = np.broadcast_to(places, (*targets.shape, most)).reshape(-1, most)
        last = np.take_along_axis(places, np.clip(first - 1, 0, most - 1), 1) + 1
        widths.append(np.where(first > room, num_units + 1, np.where(first == 0, 0, last)))
    width = np.maximum(*widths).reshape(num_layers, -1, len(tolerances))
    return np.asarray(width.max(axis=1), np.int64)


def first_within(coefficients: FloatArray, targets: FloatArray, tolerances: FloatArray) -> IntArray:
    """Return how many of each row's first candidates it takes until a sum is close enough.

    Parameters
    ----------
    coefficients
        Shape (b, n).
    targets
        Shape (b,).
    tolerances
        Falling.

    Returns
    -------
    IntArray
        Shape (b, tolerances), from 0 to n; n + 1 where all are not enough.
    """
    b, n = coefficients.shape
    first = np.full((b, len(tolerances)), n + 1, np.int64)
    left, error = np.arange(b), np.abs(targets)
    for m in range(n + 1):
        if m > 0:
            error = solve(SubsetSum(coefficients[left, :m], targets[left]), "mitm").error
        met = error[:, None] <= tolerances
        first[left] = np.minimum(first[left], np.where(met, m, n + 1))
        left = left[~met[:, -1]]
        if not len(left):
            break
    return first


def needed_picks(size: int, tolerances: FloatArray, rng: np.random.Generator) -> IntArray:
    """Draw one layer and return the least width at which a product is near every weight.

    Parameters
    ----------
    size, tolerances, rng
        As for `needed_widths`.

    Returns
    -------
    IntArray
        Shape (tolerances,).
    """
    inputs = np.tile(np.arange(size), size)
    targets = random_targets(rng, (size, size)).ravel()
    met_at_once = np.abs(targets)[:, None, None] <= tolerances  # by keeping nothing
    needed = np.repeat(np.where(met_at_once, 0, -1), 2, axis=1)  # −1: not met yet
    left, begun, chunk = np.arange(size * size), 0, 64
    while len(left):
        u = _factors(rng, (size, chunk))[inputs[left]]
        away = np.abs(u * _factors(rng, (len(left), chunk)) - targets[left, None])
        for half, mine in enumerate((u > 0, u <= 0)):
            closest = np.where(mine, away, np.inf)
            for t, tolerance in enumerate(tolerances):
                met = closest <= tolerance
                place = begun + met.argmax(axis=1) + 1
                new = met.any(axis=1) & (needed[left, half, t] < 0)
                needed[left[new], half, t] = place[new]
        begun += chunk
        left = left[(needed[left] < 0).any(axis=(1, 2))]
        chunk = int(min(2 * chunk, max(64, 2**20 // max(1, len(left)))))
    return np.asarray(needed.max(axis=(0, 1)))


def random_targets(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Draw matrices whose spectral norm is 1, as large as the theorem allows, on a fine grid."""
    matrices = rng.uniform(-1, 1, shape)
    matrices /= np.linalg.norm(matrices, 2, axis=(-2, -1), keepdims=True)
    return np.asarray(np.rint(matrices / UNIT_RAW) * UNIT_RAW)


def _factors(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Draw from U[−1, 1) on the grid whose products add up without rounding."""
    most = round(1 / UNIT_FACTOR)
    return np.asarray(rng.integers(-most, most, shape) * UNIT_FACTOR)
