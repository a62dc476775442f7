"""How far the weights of a ticket are from those of its target, layer by layer."""

from typing import NamedTuple

import numpy as np

from instances.arrays import FloatArray
from milp_lth.certificates.affine import Pair, PairedLayer
from milp_lth.certificates.rounding import gamma, up


class LayerErrors(NamedTuple):
    """Upper bounds on the error ΔW of one layer's weights and Δb of its biases; rounded upwards.

    Where the layer treats inputs above and below 0 apart, ΔW has columns for both.

    Attributes
    ----------
    name
        What the layer is called in the target.
    max_error
        The largest ``|ΔW|`` or ``|Δb|``: the exact number, rounded upwards once.
    frobenius
        Frobenius norm of ΔW.
    spectral
        Spectral norm of ΔW.
    infinity
        The largest sum of ``|ΔW|`` in a row: how far outputs move where inputs are at most
        1.
    one
        The largest sum of ``|ΔW|`` in a column.
    """

    name: str
    max_error: float
    frobenius: float
    spectral: float
    infinity: float
    one: float


def weight_errors(pair: Pair) -> tuple[LayerErrors, ...]:
    """Bound the weight errors of every layer that the target has.

    Parameters
    ----------
    pair
        The target and its ticket, see `milp_lth.certificates.affine.read_pair`.
    """
    return tuple(_layer_errors(layer) for layer in pair.layers if layer.is_given)


def _layer_errors(layer: PairedLayer) -> LayerErrors:
    size = _rounded_up(*layer.error)
    bias = _rounded_up(*layer.bias_error)
    rows, columns = size.shape
    if not size.any():
        return LayerErrors(layer.name, float(bias.max()), 0.0, 0.0, 0.0, 0.0)
    frobenius = float(up(_norm(size) * (1 + gamma(size.size))))
    infinity = float(up(size.sum(axis=1).max() * (1 + gamma(columns))))
    one = float(up(size.sum(axis=0).max() * (1 + gamma(rows))))
    return LayerErrors(
        layer.name,
        max_error=float(max(size.max(), bias.max())),
        frobenius=frobenius,
        spectral=min(_spectral(*layer.error), frobenius),
        infinity=infinity,
        one=one,
    )


def _rounded_up(rounded: FloatArray, left: FloatArray) -> FloatArray:
    """Return ``|rounded + left|`` as the least float64 that is not below it."""
    size = np.abs(rounded)
    return np.where(left * np.sign(rounded) > 0, up(size), size)


def _norm(values: FloatArray) -> float:
    """Return the root of the sum of squares, without underflow."""
    largest = float(values.max(initial=0.0))
    return 0.0 if largest == 0 else largest * float(np.sqrt(((values / largest) ** 2).sum()))


def _spectral(error: FloatArray, left: FloatArray) -> float:
    """Bound the spectral norm of ``error + left``.

    With any V near an orthogonal matrix, ``‖D‖ ≤ ‖D V‖ ‖V⁻¹‖``; that of D's right singular vectors
    makes ``(D V)ᵀ(D V)`` nearly diagonal, and its row sums nearly the squares of singular values.
    """
    if error.shape[0] < error.shape[1]:
        error, left = error.T, left.T
    rows, columns = error.shape
    largest = float(np.abs(error).max())
    scaled = error / largest  # its roundings are charged with those of the product
    v = np.linalg.svd(scaled, full_matrices=False)[2].T
    product = scaled @ v
    away = 2 * gamma(columns) * _norm(np.abs(scaled) @ np.abs(v))
    gram = np.abs(product.T @ product) + gamma(rows) * (np.abs(product.T) @ np.abs(product))
    squared = float(gram.sum(axis=1).max()) * (1 + gamma(columns))
    skew = np.abs(v.T @ v - np.eye(columns)) + gamma(columns) * (np.abs(v.T) @ np.abs(v) + 1)
    least = 1 - float(skew.sum(axis=1).max()) * (1 + gamma(columns))  # of the eigenvalues of VᵀV
    norm = (np.sqrt(squared) + away) / np.sqrt(least) * (1 + 2.0**-48)
    lost = _norm(np.abs(left)) * (1 + gamma(left.size))
    return float(up(largest * norm + lost, 4))
