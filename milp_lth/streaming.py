"""Numbers that are too many to be held: kept on disk, and their exact median found in passes."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from instances.arrays import FloatArray

IN_MEMORY = 1 << 26
"""Bytes that a `Spool` holds before it takes to the disk."""

_PIECE = 1 << 22  # numbers handed out together
_DIGIT = 16  # bits looked at in a pass: a table of 65,536 counts
_SORTED = 1 << 22  # numbers that are sorted rather than counted once more


class Spool:
    """Numbers that are written once and read, in order, as often as wanted."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self._largest = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def add(self, numbers: FloatArray) -> None:
        """Append numbers ≥ 0, of any shape."""
        self._file.write(np.ascontiguousarray(numbers, np.float64).tobytes())
        self._largest = max(self._largest, float(numbers.max(initial=0.0)))

    def max(self) -> float:
        """Return the largest number; 0 where there is none."""
        return self._largest

    def __iter__(self) -> Iterator[FloatArray]:
        self._file.seek(0)
        while content := self._file.read(8 * _PIECE):
            yield np.frombuffer(content, np.float64)


def median(numbers: Callable[[], Iterable[FloatArray]]) -> float:
    """Return the median as ``numpy.median`` gives it, see `middle`.

    >>> median(lambda: [np.array([3.0, 0.5]), np.array([1.0, 2.0])])
    1.5
    """
    low, high = middle(numbers)
    return (low + high) / 2


def middle(numbers: Callable[[], Iterable[FloatArray]]) -> tuple[float, float]:
    """Return the two numbers in the middle; of an odd count the same number twice.

    Numbers ≥ 0 are ordered as their bits are, so that counting the leading bits tells which numbers
    to look at next.

    Parameters
    ----------
    numbers
        Called for every pass: yields all numbers, each ≥ 0 or infinite, always the same.

    Raises
    ------
    ValueError
        When there are none.
    """
    count, smallest, largest = 0, 2**64, 0
    for bits in map(_bits, numbers()):
        if len(bits):
            count += len(bits)
            smallest, largest = min(smallest, int(bits.min())), max(largest, int(bits.max()))
    if count == 0:
        raise ValueError("no numbers: there is no median")
    low, above = _ranked(numbers, (count - 1) // 2, smallest, largest)
    if above > count // 2:  # how many there are up to `low`
        return _number(low), _number(low)
    behind = (bits[bits > low] for bits in map(_bits, numbers()))
    return _number(low), _number(min(int(bits.min()) for bits in behind if len(bits)))


def _ranked(
    numbers: Callable[[], Iterable[FloatArray]], rank: int, low: int, high: int
) -> tuple[int, int]:
    """Return the bits of the number at `rank`, from 0, and how many numbers are not above it.

    All of them lie between `low` and `high`.
    """
    below = 0  # numbers below `low`
    while True:
        shift = max(0, (high - low).bit_length() - _DIGIT)
        counts = np.zeros(((high - low) >> shift) + 1, np.int64)
        for bits in map(_bits, numbers()):
            inside = bits[(bits >= low) & (bits <= high)]
            digits = ((inside - np.uint64(low)) >> np.uint64(shift)).astype(np.int64)
            counts += np.bincount(digits, minlength=len(counts))
        upto = below + np.cumsum(counts)
        digit = int(np.searchsorted(upto, rank, side="right"))
        below = int(upto[digit] - counts[digit])
        low, high = low + (digit << shift), min(high, low + ((digit + 1) << shift) - 1)
        if shift == 0:
            return low, int(upto[digit])
        if counts[digit] <= _SORTED:
            every = [b[(b >= low) & (b <= high)] for b in map(_bits, numbers())]
            ordered = np.sort(np.concatenate(every))
            found = ordered[rank - below]
            return int(found), below + int(np.searchsorted(ordered, found, side="right"))


def _bits(numbers: FloatArray) -> NDArray[np.uint64]:
    plain: Any = np.asarray(numbers, np.float64).reshape(-1) + 0.0  # −0 becomes 0
    return np.asarray(plain.view(np.uint64))


def _number(bits: int) -> float:
    return float(np.array(bits, np.uint64).view(np.float64))
