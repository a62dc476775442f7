"""Rows of floats as rows of integers, on a CUDA device: `solvers.exact.scaling` in integers alone.

One thread reads one row. What does not fit into 64 bits, or only just, is left to the CPU, so no
comparison depends on how a float is rounded.
"""

import numpy as np
from numba import cuda

from instances.compiled import compilable
from solvers.exact.cuda_compiled import kernel

MAX_COLUMNS = 62
"""Candidates of a row, available or not: they are bits of a word."""

MAX_ON_DEVICE = 32
"""Available candidates of a row."""

# what is given of a row, and what is found; from the exponent on it is told to the host
BITS_OF_TARGET, USABLE = range(2)
TARGET, LOW, HIGH, EXPONENT, STATUS, SUBSET, TOTAL = range(7)
NUM_FOUND = 7
ELSEWHERE, INFEASIBLE, PROVEN = range(3)

_ONE = 1 << 62  # the fraction of a unit, in which targets and tolerances are cut off
_FAR = 1 << 61  # stands for all that is farther than any sum
_MAX_SUM = 1 << 57
_SIGN = np.int64(-(2**63))


@kernel
def scale_rows(numbers, given, bits_of_tolerance, found):  # type: ignore[no-untyped-def]
    """Express rows in quarters of their units, as `solvers.exact.scaling.scale` does.

    Parameters
    ----------
    numbers
        Shape (b, n): the bits of the coefficients; quarters of the unit afterwards, 0 where a
        candidate is unavailable.
    given
        Shape (2, b): the bits of the targets, and which candidates are available, as bits.
    bits_of_tolerance
        The bits of the tolerance.
    found
        Shape (`NUM_FOUND`, b). ``TARGET``, ``LOW``, ``HIGH``, ``EXPONENT`` are written, and
        ``STATUS`` as ``ELSEWHERE`` where the row does not fit, else ``INFEASIBLE``.
    """
    r = cuda.grid(1)
    b, n = numbers.shape
    if r >= b:
        return
    usable = given[USABLE, r]
    unit = 2000
    for k in range(n):
        if usable >> k & 1 == 1:
            unit = min(unit, _lowest_bit(numbers[r, k]))
    if unit == 2000:  # there are only zeros
        unit = 0
    beyond, fits = 2, True  # as far from 0 as any target need be: more than all together
    for k in range(n):
        size = 0
        if usable >> k & 1 == 1:
            size = _in_units(numbers[r, k], unit)
            fits = fits and size >= 0
        beyond += max(size, 0)
        numbers[r, k] = -4 * size if numbers[r, k] < 0 else 4 * size
    word = given[BITS_OF_TARGET, r]
    whole, rest, cut = _parts(word, unit)
    quarter = 0
    if -beyond <= whole <= beyond and (rest > 0 or cut):
        half = _ONE >> 1
        quarter = 1 if rest < half else 2 if rest == half and not cut else 3
    found[TARGET, r] = 4 * min(max(whole, -beyond), beyond) + quarter
    limit, limit_rest, limit_cut = _parts(bits_of_tolerance, unit)
    most, sure = _floor_of_sum(whole, rest, cut, limit, limit_rest, limit_cut)
    whole, rest, cut = _parts(word ^ _SIGN, unit)
    least, also_sure = _floor_of_sum(whole, rest, cut, limit, limit_rest, limit_cut)
    found[LOW, r] = -4 * min(max(least, -beyond), beyond)
    found[HIGH, r] = 4 * min(max(most, -beyond), beyond)
    found[EXPONENT, r] = unit
    fits = fits and beyond - 2 <= _MAX_SUM and limit < _FAR >> 1 and sure and also_sure
    fits = fits and cuda.popc(usable) <= MAX_ON_DEVICE
    found[STATUS, r] = INFEASIBLE if fits else ELSEWHERE


@compilable
def _fields(word):  # type: ignore[no-untyped-def]
    """Return the integer that a float is a multiple of a power of two by, without sign, and it."""
    biased = word >> 52 & 0x7FF
    fraction = word & 0xFFFFFFFFFFFFF
    if biased > 0:
        fraction |= 1 << 52
    return fraction, max(biased, 1) - 1075


@compilable
def _lowest_bit(word):  # type: ignore[no-untyped-def]
    fraction, position = _fields(word)
    if fraction == 0:
        return 2000
    while fraction & 1 == 0:
        fraction >>= 1
        position += 1
    return position


@compilable
def _in_units(word, unit):  # type: ignore[no-untyped-def]
    """Return a multiple of the unit in units, without sign; −1 where it has more than 58 bits."""
    fraction, position = _fields(word)
    if fraction == 0:
        return 0
    if position > unit + 5:
        return -1
    return fraction << position - unit if position >= unit else fraction >> unit - position


@compilable
def _parts(word, unit):  # type: ignore[no-untyped-def]
    """Return the multiple of the unit below a float, the rest in 2⁻⁶² units, and if it was cut."""
    fraction, position = _fields(word)
    whole, rest, cut = 0, 0, False
    shift = unit - position
    if fraction == 0:
        return whole, rest, cut
    if shift <= 0:
        whole = fraction << -shift if shift >= -8 else _FAR
    elif shift <= 62:
        whole = fraction >> shift
        rest = (fraction - (whole << shift)) << 62 - shift
    else:
        rest = fraction >> min(shift - 62, 62)
        cut = rest << min(shift - 62, 62) != fraction
    if word < 0:
        whole = -whole
        if rest > 0 or cut:
            whole -= 1
            rest = _ONE - rest - (1 if cut else 0)
    return whole, rest, cut


@compilable
def _floor_of_sum(x, x_rest, x_cut, y, y_rest, y_cut):  # type: ignore[no-untyped-def]
    """Return ⌊x + y⌋, and whether what was cut off cannot change it."""
    rest = x_rest + y_rest
    return x + y + (1 if rest >= _ONE else 0), rest != _ONE - 1 or not (x_cut or y_cut)
