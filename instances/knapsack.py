"""Knapsack text: a first line ``n C``, then n lines ``profit weight``, all whole numbers.

Subset sum is the knapsack whose profits are its weights. There is no standard, but many collections
of knapsacks come like this; others, as two files ``NAME_w.txt``, the weights, and ``NAME_c.txt``,
the capacity. Traditionally the largest sum that is at most C is sought; here, as everywhere in this
project, the closest one, from below or above.
"""

import os
import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from instances.objectives import Closest
from instances.plain_files import size_of
from instances.subset_sum import SubsetSum

_MOST = 10_000_000
_LONGEST = 1000
_WHOLE = re.compile(r"[+-]?[0-9]{1,310}")


def read_knapsack(path: str | os.PathLike[str]) -> SubsetSum:
    """Read one subset sum from a knapsack file, or from either file of a pair.

    The coefficients are the weights, the target is the capacity, the objective is
    `Closest`: not, as is traditional, the largest sum that is at most the capacity.

    Parameters
    ----------
    path
        A file ``n C`` and n lines ``profit weight``, whatever it is called; or one that is called
        ``NAME_w.txt`` or ``NAME_c.txt`` and has the other one beside it.

    Returns
    -------
    SubsetSum
        One row.

    Raises
    ------
    ValueError
        When a file is missing, torn, too long or no such text; when a profit is not the weight, or
        a number is not a whole one that a float64 holds exactly.
    """
    path = Path(path)
    paired = path.name.endswith(("_w.txt", "_c.txt"))
    try:
        weights, capacity = _read_pair(path) if paired else _read_one(path)
    except OSError as error:
        missing = Path(error.filename or path)
        raise ValueError(f"{missing}: cannot be read ({error.strerror or error})") from error
    return SubsetSum(np.array(weights, np.float64)[None], np.array([capacity]), Closest())


def to_knapsack(instance: SubsetSum) -> str:
    """State an instance of one row and whole numbers as knapsack text.

    Raises
    ------
    ValueError
        When the instance has several rows, another objective than `Closest()`, unavailable
        candidates or numbers that are not whole: what knapsack text cannot state.
    """
    if len(instance) != 1:
        raise ValueError(f"knapsack text states one row, not {len(instance)}: take one with part()")
    if instance.objective != Closest():
        raise ValueError("knapsack text states no objective but closest without a tolerance")
    if instance.available is not None and not instance.available.all():
        raise ValueError("knapsack text states no unavailable candidates: leave them out")
    weights, capacity = instance.coefficients[0], instance.targets
    if (weights % 1).any() or (capacity % 1).any():
        raise ValueError("knapsack text states whole numbers only: multiply them by a power of two")
    lines = [f"{len(weights)} {int(capacity[0])}"]
    lines += [f"{w} {w}" for w in map(int, weights.tolist())]
    return "\n".join(lines) + "\n"


def _read_one(path: Path) -> tuple["array[float]", float]:
    lines = _lines(path)
    number, words = next(lines, (1, []))
    if len(words) != 2:
        raise ValueError(f"{path}: line {number} must hold the number of items and the capacity")
    num_items, capacity = (_whole(path, number, word) for word in words)
    if not 0 <= num_items <= _MOST:
        raise ValueError(f"{path}: {num_items:.0f} items; from 0 to {_MOST} can be read")
    weights = array("d")
    for number, words in lines:
        if len(words) != 2 or len(weights) == num_items:
            raise ValueError(
                f"{path}: line {number} is not one of {num_items:.0f} lines of profit and weight"
            )
        profit, weight = (_whole(path, number, word) for word in words)
        if profit != weight:
            raise ValueError(
                f"{path}: line {number} has a profit that is not the weight: only knapsacks that "
                "are subset sums can be read, make both equal"
            )
        weights.append(weight)
    if len(weights) != num_items:
        raise ValueError(f"{path}: torn: {len(weights)} items of {num_items:.0f} are there")
    return weights, capacity


def _read_pair(path: Path) -> tuple["array[float]", float]:
    stem = path.name[: -len("_w.txt")]
    capacities = _column(path.with_name(f"{stem}_c.txt"), 1)
    if len(capacities) != 1:
        raise ValueError(f"{stem}_c.txt must hold one number, the capacity")
    weights = _column(path.with_name(f"{stem}_w.txt"), _MOST)
    profits = path.with_name(f"{stem}_p.txt")
    if profits.exists() and _column(profits, _MOST) != weights:
        raise ValueError(
            f"{profits}: the profits are not the weights: only knapsacks that are subset sums can "
            "be read"
        )
    return weights, capacities[0]


def _column(path: Path, most: int) -> "array[float]":
    """Read one number a line."""
    numbers = array("d")
    for number, words in _lines(path):
        if len(words) != 1 or len(numbers) == most:
            raise ValueError(f"{path}: line {number} is one too many, or does not hold one number")
        numbers.append(_whole(path, number, words[0]))
    return numbers


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the numbers and words of the lines that have any, none of them long."""
    size_of(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            number = 0
            while line := file.readline(_LONGEST):
                number += 1
                if len(line) == _LONGEST:
                    raise ValueError(f"{path}: line {number} is too long for two numbers")
                if words := line.split():
                    yield number, words
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file") from error


def _whole(path: Path, number: int, word: str) -> float:
    if not _WHOLE.fullmatch(word):
        raise ValueError(f"{path}: line {number}: {word[:40]!r} is no whole number")
    value = float(word)
    if value != int(word):
        raise ValueError(
            f"{path}: line {number}: a float64 cannot hold {word} exactly; 2**53 is the limit, "
            "or divide all numbers by a common factor"
        )
    return value
