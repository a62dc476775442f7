"""The exact judge of sums: no rounding on the way, one rounding of the result.

Every float64 is an integer times a power of two. Rows whose numbers share a unit small enough to
hold every sum in 64 bits are added in integers; all others are added as fractions. This file shares
no code with the solvers it judges.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray, FloatArray, IntArray

_CHUNK = 1 << 20  # numbers looked at together, so that the temporaries stay small
_ROOM = 2.0**61  # |target - sum| and the limit, in units, must stay below this


class Judgement(NamedTuple):
    """What is true of each row: correctly rounded float64 values, shape (b,)."""

    error: FloatArray
    """|target − sum of the kept coefficients|."""
    excess: FloatArray
    """How far the error is beyond the tolerance; 0 exactly when it is not."""


def judge(
    coefficients: FloatArray,
    targets: FloatArray,
    mask: BoolArray,
    tolerance: float | FloatArray | None,
) -> Judgement:
    """Compute the error of every row and its excess over `tolerance` (None: no limit).

    Parameters
    ----------
    coefficients, mask
        Shape (b, n).
    targets
        Shape (b,).
    tolerance
        In units of the targets; or shape (b, m), not negative: the limit of a row is the exact sum
        of its m terms.
    """
    b, n = coefficients.shape
    error = np.empty(b)
    excess = np.zeros(b)
    terms = tolerance if isinstance(tolerance, np.ndarray) else np.full((b, 1), tolerance or 0.0)
    step = max(1, _CHUNK // max(1, n + terms.shape[1]))
    for start in range(0, b, step):
        rows = slice(start, start + step)
        part = _judge_integers(coefficients[rows], targets[rows], mask[rows], terms[rows])
        error[rows], excess[rows], fits = part
        for r in start + np.flatnonzero(~fits):
            kept = [Fraction(a) for a in coefficients[r, mask[r]].tolist()]
            exact = abs(Fraction(float(targets[r])) - sum(kept))
            beyond = exact - sum(Fraction(term) for term in terms[r].tolist())
            error[r], excess[r] = _rounded(exact), _rounded(max(Fraction(0), beyond))
    if tolerance is None:
        excess[:] = 0.0
    return Judgement(error, excess)


def _judge_integers(
    coefficients: FloatArray, targets: FloatArray, mask: BoolArray, terms: FloatArray
) -> tuple[FloatArray, FloatArray, BoolArray]:
    n = coefficients.shape[1]
    kept = np.where(mask, coefficients, 0.0)
    numbers = np.column_stack([kept, targets, terms])
    unit = _lowest_bits(numbers).min(axis=1)  # as exponents of two
    with np.errstate(over="ignore"):
        fits = np.ldexp(np.abs(numbers), -unit[:, None]).sum(axis=1) < _ROOM
    scaled = np.ldexp(np.where(fits[:, None], numbers, 0.0), -unit[:, None]).astype(np.int64)
    distance = np.abs(scaled[:, n] - scaled[:, :n].sum(axis=1))
    beyond = np.maximum(distance - scaled[:, n + 1 :].sum(axis=1), 0)
    with np.errstate(over="ignore"):  # to infinity, which is how that is rounded
        return np.ldexp(distance.astype(float), unit), np.ldexp(beyond.astype(float), unit), fits


def _lowest_bits(numbers: FloatArray) -> NDArray[np.int32]:
    """Exponent of the lowest bit set in each number; a large one for zero."""
    mantissa, exponent = np.frexp(numbers)
    integer: IntArray = np.ldexp(mantissa, 53).astype(np.int64)
    _, trailing = np.frexp((integer & -integer).astype(float))
    return np.where(numbers == 0.0, 1023, exponent - 53 + trailing - 1).astype(np.int32)


def _rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")
