"""Subset sums of whole numbers that are hard for branch-and-bound or dynamic programming.

Chvátal, "Hard knapsack problems", Oper. Res. 28 (1980) 1402-1411, has Todd's, Avis' and the random
problems; Martello and Toth, "Knapsack Problems" (Wiley 1990), chapter 4, measure by them and by the
even/odd problems after Jeroslow (Math. Program. 6 (1974) 105-109). Density, n over the bits of the
largest number, is that of Lagarias and Odlyzko, J. ACM 32 (1985) 229-246: near 1, lattices fail.

There a sum must not exceed the target. Here it may: closest means closest from either side. Every
coefficient and every target is a whole number below 2⁵³, so that floats hold it exactly.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from instances.library.named_set import NamedSet
from instances.philox import Stream, words
from instances.subset_sum import SubsetSum

_NUM_ROWS = 5
_SEED = 400
_WEIGHTS, _MASKS = 4, 5  # matrices of the stream that the families do not use


def _whole(rows: Sequence[Sequence[int]], targets: Sequence[int]) -> SubsetSum:
    """Return the instance of these whole numbers; refuse any that a float cannot hold."""
    if max(max(map(max, rows)), max(targets)) >= 2**53:
        raise ValueError("a number of 2**53 or more: choose fewer candidates")
    return SubsetSum(np.array(rows, np.float64), np.array(targets, np.float64))


def _random(n: int, largest: int) -> list[list[int]]:
    """Draw whole numbers from 1 to `largest`."""
    drawn = words(Stream(_SEED + n, matrix=_WEIGHTS), np.arange(_NUM_ROWS * n))
    numbers = [1 + (((int(high) << 32 | int(low)) * largest) >> 64) for high, low, _, _ in drawn]
    return [numbers[b * n : (b + 1) * n] for b in range(_NUM_ROWS)]


def _density_1(n: int) -> SubsetSum:
    rows = _random(n, 2**n)
    keep = words(Stream(_SEED + n, matrix=_MASKS), np.arange(_NUM_ROWS * n))[:, 0].reshape(-1, n)
    targets = [
        sum(a for a, word in zip(row, bits, strict=True) if word & 1)
        for row, bits in zip(rows, keep.tolist(), strict=True)
    ]
    return _whole(rows, targets)


def _even_odd(n: int) -> SubsetSum:
    rows = [[2 * a for a in row] for row in _random(n, 500)]
    return _whole(rows, [n * 1000 // 4 + 1] * len(rows))


def _chvatal(n: int) -> SubsetSum:
    rows = _random(n, 10 ** (n // 2))
    return _whole(rows, [sum(row) // 2 for row in rows])


def _todd(n: int) -> SubsetSum:
    k = n.bit_length() - 1
    row = [2 ** (k + n + 1) + 2 ** (k + j) + 1 for j in range(1, n + 1)]
    return _whole([row], [sum(row) // 2])


def _avis(n: int) -> SubsetSum:
    row = [n * (n + 1) + j for j in range(1, n + 1)]
    return _whole([row], [(n - 1) // 2 * n * (n + 1) + n * (n - 1) // 2])


_KINDS = (
    ("density-1", _density_1, (24, 32, 40), "Lagarias & Odlyzko 1985",
     "whole numbers uniform in [1, 2^n]; each target is the sum of a random mask"),
    ("even-odd", _even_odd, (20, 32, 44), "Martello & Toth 1990",
     "even numbers uniform in [2, 1000]; the target 250n + 1 is odd"),
    ("chvatal", _chvatal, (20, 24, 28), "Chvátal 1980",
     "whole numbers uniform in [1, 10^(n/2)]; the target is half of their sum"),
    ("todd", _todd, (16, 24, 32, 40), "Chvátal 1980",
     "2^(k+n+1) + 2^(k+j) + 1 with k = ⌊log₂ n⌋; the target is half of their sum"),
    ("avis", _avis, (16, 24, 32, 40), "Chvátal 1980",
     "n(n+1) + j; the target is ⌊(n−1)/2⌋ n(n+1) + n(n−1)/2"),
)  # fmt: skip

HARD_SETS = tuple(
    NamedSet(f"{name}-{n}", description, source, partial(build, n))
    for name, build, numbers, source, description in _KINDS
    for n in numbers
)
