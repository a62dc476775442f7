"""How the time per row grows with the number of candidates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from instances.generate import uniform_family
from milp_lth.bench.batches import NUM_CANDIDATES, NUM_ROWS
from milp_lth.bench.row import Row
from milp_lth.bench.timing import OnProgress, solving_seconds
from solvers.exact.meet_in_the_middle import MAX_CANDIDATES

_BAR = 0.55
_FEWEST_ROWS = 3
_FROM = 24  # below, what a row costs whatever its width shows


@dataclass(frozen=True)
class Curve:
    """Seconds per row of meet-in-the-middle, closest sums, and the line through their logarithm.

    ``log2(seconds) ≈ slope · n + offset`` over the fitted numbers of candidates: those from 24 on,
    or all where fewer than two are.
    """

    points: tuple[tuple[int, float], ...]
    """(n, seconds per row), by n."""
    fitted: tuple[int, ...]
    slope: float
    offset: float

    def row(self) -> Row:
        """Return the slope as a row; two half tables would make it 0.5 plus what caches cost."""
        name = f"closest, slope of log2 time, n = {self.fitted[0]}–{self.fitted[-1]}"
        return Row(name, self.slope, "per candidate", _BAR)


def measure_curve(numbers: Sequence[int], seed: int, on_progress: OnProgress) -> Curve:
    """Measure closest sums of each of `numbers` of candidates, in one thread.

    Raises
    ------
    ValueError
        When there are fewer than two different numbers, or one is out of reach.
    """
    numbers = check_numbers(numbers)
    points = []
    for n in numbers:
        # the same work for all, as far as two half tables make it: about 0.3 s
        num_rows = int(min(NUM_ROWS, 2 * NUM_ROWS * 2.0 ** ((NUM_CANDIDATES - n) / 2)))
        num_rows = max(_FEWEST_ROWS, num_rows)
        seconds = solving_seconds(uniform_family(num_rows, n, seed=seed))
        points.append((n, seconds / num_rows))
        on_progress(len(points), len(numbers))
    fitted = [point for point in points if point[0] >= _FROM]
    if len(fitted) < 2:
        fitted = points
    n, seconds = np.array(fitted).T
    slope, offset = np.polyfit(n, np.log2(seconds), 1)
    return Curve(tuple(points), tuple(int(k) for k in n), float(slope), float(offset))


def check_numbers(numbers: Sequence[int]) -> list[int]:
    """Return the different numbers of candidates in order.

    Raises
    ------
    ValueError
        When there are fewer than two, or one is out of reach.
    """
    for n in numbers:
        if not 1 <= n <= MAX_CANDIDATES:
            raise ValueError(f"a curve at {n} candidates: give numbers from 1 to {MAX_CANDIDATES}")
    if len(set(numbers)) < 2:
        raise ValueError("a curve needs at least two numbers of candidates, as in 24,32")
    return sorted(set(numbers))
