"""Counter-based random numbers: the seed is the ticket, so this generator is fixed for ever.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
A matrix entry is a function of (seed, layer, matrix, row, column) alone: the key is
``(seed, layer * 2**16 + matrix)``, the counter ``row * columns + column``. So any range of a matrix
can be drawn alone, in any order, on any machine, and comes out the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from instances.arrays import FloatArray, IntArray
from instances.compiled import compilable, compiled
from instances.normal import NUM_SEGMENTS, quantiles

UNIT_FACTOR = 2.0**-23
"""Grid of numbers that will be multiplied: they fit float32, their products lie on 2⁻⁴⁶."""

UNIT_RAW = 2.0**-46
"""Grid of numbers that are summed as they are."""


class Stream(NamedTuple):
    """Which numbers are meant: those of one matrix of one layer under one seed.

    `seed` lies in [0, 2³²), `layer` and `matrix` in [0, 2¹⁶).
    """

    seed: int
    layer: int = 0
    matrix: int = 0

    def key(self) -> tuple[int, int]:
        """Return the two 32-bit words of the Philox key.

        Raises
        ------
        ValueError
            When one of the three is outside its range.
        """
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed {self.seed}: give a whole number from 0 to {2**32 - 1}")
        if not (0 <= self.layer < 2**16 and 0 <= self.matrix < 2**16):
            raise ValueError(
                f"layer {self.layer}, matrix {self.matrix}: both must lie in [0, 2**16)"
            )
        return self.seed, self.layer * 2**16 + self.matrix


@compilable
def philox(counter, key0, key1):  # type: ignore[no-untyped-def]
    """Return the four random 32-bit words of a counter; all are 64-bit unsigned integers."""
    mask32 = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    c0 = counter & mask32
    c1 = counter >> shift
    c2 = np.uint64(0)
    c3 = np.uint64(0)
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c0
        p1 = np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (p1 >> shift) ^ c1 ^ key0,
            p1 & mask32,
            (p0 >> shift) ^ c3 ^ key1,
            p0 & mask32,
        )
        key0 = (key0 + np.uint64(0x9E3779B9)) & mask32
        key1 = (key1 + np.uint64(0xBB67AE85)) & mask32
    return c0, c1, c2, c3


@compiled
def _fill_words(counters, key0, key1, out):  # type: ignore[no-untyped-def]
    for r in range(counters.size):
        w0, w1, w2, w3 = philox(counters[r], key0, key1)
        out[r, 0] = w0
        out[r, 1] = w1
        out[r, 2] = w2
        out[r, 3] = w3


@compiled
def _fill_uniform(counters, key0, key1, drop, out):  # type: ignore[no-untyped-def]
    for r in range(counters.size):
        w0, w1, _, _ = philox(counters[r], key0, key1)
        out[r] = np.int64((w0 << np.uint64(32)) | w1) >> drop


@compiled
def _fill_normal(counters, key0, key1, table, out):  # type: ignore[no-untyped-def]
    """Invert the normal distribution by table look-up, in integers of 2⁻⁴⁶ alone.

    The sign is one bit; the other 63 are the tail probability q of |z|. Its leading zeros choose
    the octave, the next six bits the segment, the 42 bits after them interpolate.
    """
    num_octaves = table.shape[0]
    for r in range(counters.size):
        w0, w1, _, _ = philox(counters[r], key0, key1)
        tail = ((w0 & np.uint64(0x7FFFFFFF)) << np.uint64(33)) | (w1 << np.uint64(1))
        octave = 0
        while octave < num_octaves - 1 and not tail >> np.uint64(63):
            tail = tail << np.uint64(1)
            octave += 1
        segment = np.int64((tail >> np.uint64(57)) & np.uint64(NUM_SEGMENTS - 1))
        fraction = np.int64((tail >> np.uint64(15)) & np.uint64(0x3FFFFFFFFFF))
        near = table[octave, segment]
        step = near - table[octave, segment + 1]
        high = fraction >> 21
        low = fraction & 0x1FFFFF
        z = near - ((step * high + ((step * low) >> 21)) >> 21)
        out[r] = -z if w0 >> np.uint64(31) else z


def words(stream: Stream, counters: IntArray) -> NDArray[np.uint32]:
    """Return the four random 32-bit words of each counter, in an axis of their own at the end.

    >>> words(Stream(seed=0), np.array([0])).tolist()
    [[1713891541, 3781805453, 3159862348, 2600524760]]
    """
    key0, key1 = stream.key()
    out = np.empty((counters.size, 4), dtype=np.uint32)
    _fill_words(_flat(counters), np.uint64(key0), np.uint64(key1), out)
    return out.reshape(*counters.shape, 4)


def uniform(stream: Stream, counters: IntArray, *, unit: float = UNIT_RAW) -> FloatArray:
    """Draw from the uniform distribution on [−1, 1), on the grid `unit`, a power of two.

    A coarser draw is the finer one rounded down.

    Parameters
    ----------
    stream
        Which matrix.
    counters
        Which of its entries: ``row * columns + column``, of any shape.
    unit
        The grid, from 2⁻⁵² to 2⁰.

    Returns
    -------
    FloatArray
        Exact multiples of `unit`, shaped like `counters`.
    """
    key0, key1 = stream.key()
    out = np.empty(counters.size, dtype=np.int64)
    drop = 63 - num_bits(unit)
    _fill_uniform(_flat(counters), np.uint64(key0), np.uint64(key1), drop, out)
    return np.multiply(out, unit, dtype=np.float64).reshape(counters.shape)


def normal(stream: Stream, counters: IntArray, *, unit: float = UNIT_RAW) -> FloatArray:
    """Draw from the standard normal distribution, rounded down to the grid `unit`.

    Only integers are used on the way, so no mathematics library can make two machines differ.
    Values end at ±7.15, the quantile of 2⁻⁴¹. Parameters and result as for `uniform`.
    """
    key0, key1 = stream.key()
    out = np.empty(counters.size, dtype=np.int64)
    _fill_normal(_flat(counters), np.uint64(key0), np.uint64(key1), quantiles(), out)
    bits = min(num_bits(unit), 46)
    rounded = np.right_shift(out, 46 - bits)
    return np.multiply(rounded, 2.0**-bits, dtype=np.float64).reshape(counters.shape)


def num_bits(unit: float) -> int:
    """Return how many bits behind the point numbers on the grid `unit` have.

    Raises
    ------
    ValueError
        When it is no power of two from 2⁻⁵² to 2⁰.
    """
    mantissa, exponent = np.frexp(unit)
    if mantissa != 0.5 or not -52 <= exponent - 1 <= 0:
        raise ValueError(f"unit {unit}: give a power of two from 2**-52 to 1")
    return int(1 - exponent)


def _flat(counters: IntArray) -> NDArray[np.uint64]:
    return np.ascontiguousarray(counters).reshape(-1).astype(np.uint64)
