"""What random weights look like: distributions by name, each as fixed as the generator.

All are made of draws of `instances.philox`; whoever draws elsewhere, such as on a GPU, brings these
few and gets the same numbers, bit for bit. Hyperbolic numbers are those of Orseau, Hutter and
Rivasplata ("Logarithmic pruning is all you need", NeurIPS 2020): as many of every order of
magnitude. They are looked up in a table of integers, like normal ones, so that no mathematics
library can make two machines differ.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream, normal, num_bits, uniform

UNIT_WORD = 2.0**-51
"""Uniform draws on this grid, counted in it, are the words that `hyperbolic_units` takes."""

_OCTAVE_BITS, _SEGMENT_BITS, _FRACTION_BITS, _HALF = 3, 6, 42, 21
_NUM_SEGMENTS = 1 << _SEGMENT_BITS
_DEVIATION = 4843165 * 2.0**-23  # 1/√3 on the grid of factors


class Draw(Protocol):
    """Numbers of a stream for some counters, in an array or a tensor shaped like these."""

    def __call__(self, stream: Stream, counters: Any, *, unit: float) -> Any:
        """Draw on the grid `unit`."""
        ...


class Draws(NamedTuple):
    """What every distribution is made of, as some library draws it."""

    uniform: Draw
    normal: Draw
    hyperbolic: Draw


class _Kind(NamedTuple):
    summary: str
    draw: Callable[[Draws, Stream, Any, float], Any]
    factor_unit: float = UNIT_FACTOR
    finest: float = 2.0**-52
    coarsest: float = 1.0
    largest: float = 1.0


@dataclass(frozen=True)
class Distribution:
    """A distribution of random weights.

    Parameters
    ----------
    name
        One of `DISTRIBUTIONS`; in "quantised-K" K is a whole number from 1 to 23.

    Raises
    ------
    ValueError
        When there is none of that name.

    Examples
    --------
    >>> Distribution("binary").draw(Stream(0), np.arange(4)).tolist()
    [1.0, -1.0, 1.0, -1.0]
    """

    name: str

    def __post_init__(self) -> None:
        _kind(self.name)

    def draw(self, stream: Stream, counters: IntArray, *, unit: float = UNIT_RAW) -> FloatArray:
        """Draw for `counters`, of any shape, on the grid that `unit` leads to.

        Parameters
        ----------
        stream, counters
            As for `instances.philox.uniform`.
        unit
            The grid that is asked for, from 2⁻⁵² to 2⁰; see `grid` for the one that comes out.

        Returns
        -------
        FloatArray
            Shaped like `counters`, and nobody else's.

        Raises
        ------
        ValueError
            When a number is out of range.
        """
        drawn: FloatArray = self.draw_by(_NUMPY, stream, counters, unit=unit)
        return drawn

    def draw_by(self, draws: Draws, stream: Stream, counters: Any, *, unit: float) -> Any:
        """Draw what `draw` does by the means of another library; its errors are those of `draw`."""
        return _kind(self.name).draw(draws, stream, counters, self.grid(unit))

    def grid(self, unit: float) -> float:
        """Return the power of two that all draws are multiples of when `unit` is asked for.

        Raises
        ------
        ValueError
            When `unit` is no power of two from 2⁻⁵² to 2⁰.
        """
        num_bits(unit)  # refuses what is out of range
        kind = _kind(self.name)
        return min(max(unit, kind.finest), kind.coarsest)

    @property
    def largest(self) -> float:
        """No draw is larger in magnitude, on whatever grid."""
        return _kind(self.name).largest

    @property
    def factor_unit(self) -> float:
        """The grid to ask for where draws are multiplied.

        They then fit float32, and 100 products or more add up in float64 with no rounding.
        """
        return _kind(self.name).factor_unit

    @property
    def coarse(self) -> bool:
        """Whether all draws are of one size, or on few numbers: sums are then no continuum."""
        return self.grid(UNIT_FACTOR) > UNIT_FACTOR or self.name == "signed-constant"

    @property
    def summary(self) -> str:
        """What it is, in a sentence."""
        return _kind(self.name).summary

    def num_exact_terms(self, unit: float, product: bool = False) -> int:
        """Return how many draws may be added in float64, in any order, with no rounding.

        Whatever they are: float64 holds all whole numbers up to 2⁵³, here counted in the grid, or
        in its square.

        Parameters
        ----------
        unit
            What was asked for when they were drawn.
        product
            Each term is a product of two draws.

        Raises
        ------
        ValueError
            When `unit` is no power of two from 2⁻⁵² to 2⁰.
        """
        units = int(self.largest / self.grid(unit))  # a whole number already
        return int(2**53 // (units**2 if product else units))


@cache
def powers_in_octave() -> IntArray:
    """Return 2⁻ⁱᐟ⁶⁴ for i = 0 … 64 in units of 2⁻⁴⁶, rounded to the nearest, read-only.

    They are computed by square roots of whole numbers: no mathematics library has a say.
    """
    precise = 256
    root = 1 << (precise - 1)
    for _ in range(_SEGMENT_BITS):
        root = math.isqrt(root << precise)
    powers = [1 << precise]
    for _ in range(_NUM_SEGMENTS):
        powers.append(powers[-1] * root >> precise)
    drop = precise - num_bits(UNIT_RAW)
    table = np.array([(power + (1 << (drop - 1))) >> drop for power in powers])
    table.flags.writeable = False
    return table


def hyperbolic_units(words: Any, table: Any, unit: float) -> Any:
    """Turn words into hyperbolic numbers, counted in `unit`; takes arrays as well as tensors.

    Of the 52 bits of a word, from the top, one is the sign, three choose the octave of the
    magnitude, six the segment of it, and 42 interpolate. The magnitude is rounded down, then gets
    its sign.

    Parameters
    ----------
    words
        int64, from −2⁵¹ to 2⁵¹ − 1.
    table
        `powers_in_octave`, indexed by what `words` are.
    unit
        A power of two from 2⁻⁴⁶ to 2⁻⁸.
    """
    place = words & ((1 << (_OCTAVE_BITS + _SEGMENT_BITS + _FRACTION_BITS)) - 1)
    octave = place >> (_SEGMENT_BITS + _FRACTION_BITS)
    segment = (place >> _FRACTION_BITS) & (_NUM_SEGMENTS - 1)
    high = (place >> _HALF) & ((1 << _HALF) - 1)  # two halves: their products fit 64 bits
    low = place & ((1 << _HALF) - 1)
    near = table[segment]
    step = near - table[segment + 1]
    size = near - ((step * high + ((step * low) >> _HALF)) >> _HALF)
    size = size >> (octave + (num_bits(UNIT_RAW) - num_bits(unit)))
    return size * (1 + 2 * (words >> 51))


def _hyperbolic(stream: Stream, counters: IntArray, *, unit: float) -> FloatArray:
    words = (uniform(stream, counters, unit=UNIT_WORD) / UNIT_WORD).astype(np.int64)
    drawn: FloatArray = hyperbolic_units(words, powers_in_octave(), unit) * unit
    return drawn


_NUMPY = Draws(uniform, normal, _hyperbolic)


def _signs(by: Draws, stream: Stream, counters: Any) -> Any:
    return by.uniform(stream, counters, unit=1.0) * 2 + 1  # of −1 and 0


_KINDS = {
    "uniform": _Kind(
        "Uniform on [−1, 1).",
        lambda by, stream, counters, unit: by.uniform(stream, counters, unit=unit),
    ),
    "normal": _Kind(
        "Standard normal, to ±7.15; times a scale it is Kaiming's.",
        lambda by, stream, counters, unit: by.normal(stream, counters, unit=unit),
        factor_unit=2.0**-20,
        finest=UNIT_RAW,
        largest=8.0,  # what 7.15 becomes on the coarsest grid
    ),
    "hyperbolic": _Kind(
        "Density proportional to 1/|w| on [2⁻⁸, 1], of both signs: every octave is as likely.",
        lambda by, stream, counters, unit: by.hyperbolic(stream, counters, unit=unit),
        finest=UNIT_RAW,
        coarsest=2.0**-8,  # where the smallest numbers are not yet rounded to 0
    ),
    "signed-constant": _Kind(
        "Plus or minus 1/√3, the standard deviation of the uniform distribution.",
        lambda by, stream, counters, unit: _signs(by, stream, counters) * _DEVIATION,
        finest=UNIT_FACTOR,
        coarsest=UNIT_FACTOR,
        largest=_DEVIATION,
    ),
    "binary": _Kind(
        "Plus or minus 1.",
        lambda by, stream, counters, unit: _signs(by, stream, counters),
        factor_unit=1.0,
        finest=1.0,
    ),
}

DISTRIBUTIONS = (*_KINDS, "quantised-K")
"""The names; K stands for a number from 1 to 23."""


def _kind(name: str) -> _Kind:
    if name in _KINDS:
        return _KINDS[name]
    quantised = re.fullmatch(r"quantised-([1-9][0-9]?)", name)
    if quantised is None or int(quantised[1]) > num_bits(UNIT_FACTOR):
        raise ValueError(
            f"unknown distribution {name!r}: choose one of {', '.join(DISTRIBUTIONS)}, "
            "K a whole number from 1 to 23"
        )
    unit = 2.0 ** -int(quantised[1])
    summary = f"Uniform on the multiples of 2^-{quantised[1]} in [−1, 1)."
    return _Kind(summary, _KINDS["uniform"].draw, factor_unit=unit, finest=unit)
