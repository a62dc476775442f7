"""Bounds that hold in spite of floating-point arithmetic: every rounding is counted and charged.

Sums and products are computed in float64, rounded to nearest, and an upper bound on all their
roundings is added afterwards: a sum of n products, in whatever order and with or without fused
operations, is off by at most γ_n Σ ``|a_k b_k|``, γ_n = n u / (1 − n u), u = 2⁻⁵³ (Higham,
"Accuracy and Stability of Numerical Algorithms", 2nd ed., §3.1 and §3.5).
"""

from typing import Any

import numpy as np

from instances.arrays import FloatArray

TINY = 1e-290
"""Charged beside every γ, which knows nothing of results so small that they lose digits."""


def gamma(num_terms: int) -> float:
    """Return an upper bound on γ_n for a sum of `num_terms` products, with some to spare.

    Six more roundings are counted, and 1 % is added, so that the charge itself may be computed in
    plain float64.

    Raises
    ------
    ValueError
        When the sum is so long that γ_n means nothing.
    """
    roundings = (num_terms + 6) * 2.0**-53
    if roundings > 1e-3:
        raise ValueError(f"sums of {num_terms:,} products are too long to be bounded in float64")
    return 1.01 * roundings / (1 - roundings)


def up(values: Any, ulps: int = 1) -> Any:
    """Return numbers rounded upwards by so many floats."""
    for _ in range(ulps):
        values = np.nextafter(values, np.inf)
    return values


def down(values: Any) -> Any:
    """Return the next floats below."""
    return np.nextafter(values, -np.inf)


def difference(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a − b as float64 and what was rounded away: their sum is a − b exactly.

    Knuth, "The Art of Computer Programming", vol. 2, §4.2.2, theorem B.
    """
    rounded = a - b
    of_b = rounded - a
    return rounded, (a - (rounded - of_b)) + (-b - of_b)
