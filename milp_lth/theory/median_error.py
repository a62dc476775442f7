"""How close the best subset comes: the Gaussian heuristic for random subset sums."""

import math

import numpy as np

from instances.arrays import FloatArray
from instances.subset_sum import SubsetSum


def median_error(instance: SubsetSum) -> FloatArray:
    """Predict the median of the least error of each row, shape (b,).

    The 2ⁿ sums of n available coefficients lie around half their total like a normal density f;
    the distance to the nearest one is close to exponential with mean 1 / (2ⁿ⁺¹ f(target)), and its
    median is ln 2 times that (Mertens 2001; Borgs, Chayes and Pittel 2001 for partitions). True of
    the median only: the tail is much heavier where a target is at the edge of reach. Infinite
    where all coefficients are 0.

    Parameters
    ----------
    instance
        Its objective is not used.

    Returns
    -------
    FloatArray
        Shape (b,), in units of the targets.
    """
    a = instance.coefficients
    if instance.available is not None:
        a = np.where(instance.available, a, 0.0)
    variance = (a**2).sum(axis=1) / 4
    away = instance.targets - a.sum(axis=1) / 2
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        spread = np.sqrt(2 * math.pi * variance) * np.exp(away**2 / (2 * variance))
        predicted = math.log(2) * spread / 2.0 ** (instance.num_available() + 1)
    return np.where(variance > 0, predicted, np.inf)


def median_error_of_products(targets: FloatArray, num_candidates: int, scale: float) -> FloatArray:
    """Predict the median of the least error before anything is drawn, shape of `targets`.

    As `median_error`, for sums of products of U[0, 1] and `scale` · U[−1, 1], which is what one
    half of the two-layer construction offers: of variance scale² / 9 each, around 0.
    """
    z, n = np.asarray(targets) / scale, num_candidates
    spread = math.sqrt(math.pi * n) / 3 * np.exp(9 * z**2 / n)
    return np.asarray(math.log(2) * scale * spread / 2.0 ** (n + 1))
