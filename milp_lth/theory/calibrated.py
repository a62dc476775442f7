"""Constants that no paper gives, calibrated: how many random numbers a theorem's event takes.

Draws are nested: n + 1 candidates are the n before and one more, and what is met stays met. So each
trial has one least number of candidates, found by exact solvers, and the same trials tell how often
any number is enough. A constant is the least that holds at all accuracies that are tried; that it
holds at finer ones is a belief, which its being the same at all of these supports.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.objectives import Closest, FixedSize
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream, uniform
from instances.subset_sum import SubsetSum
from milp_lth.theory.constants import DEFAULT_TRIALS, Constant, Sweep
from milp_lth.theory.proportion import proportion_interval
from solvers.exact.meet_in_the_middle import MAX_CANDIDATES
from solvers.solve import solve

LEAST_TRIALS = 400
"""With fewer, not even successes alone would show the share that is asked for."""

_U, _V = 24, 25  # matrices of streams that networks do not draw
_DRAWN = 3 * MAX_CANDIDATES  # of which about half are usable
_BLOCK = 500  # trials solved together
_RECORDED = 32  # pairs of a sweep, about
_NEVER = np.iinfo(np.int64).max
_GRID = 33  # targets that stand for all of an interval


@dataclass(frozen=True)
class Event:
    """What is counted for one constant.

    Attributes
    ----------
    name, law, event
        As of `milp_lth.theory.constants.Constant`.
    constant
        What the law says of n candidates, at an accuracy and a size.
    accuracies
        Those that are tried.
    draws
        "products" of U[0, 1] and U[−1, 1]; "raw" products of two U[−1, 1], of which those with
        a first factor ≤ 0 are counted but not usable; "raw-grid", the same on the multiples of the
        accuracy; "uniform".
    reach
        Targets lie in ± this.
    num_targets
        1: the farthest alone; more: all have to be met, at equal distances.
    sizes
        Numbers of candidates to be kept.
    share
        The probability that is asked for; None: 1 − accuracy.
    """

    name: str
    law: str
    event: str
    constant: Callable[[int, float, int | None], float]
    accuracies: tuple[float, ...]
    draws: str
    reach: float
    num_targets: int = _GRID
    sizes: tuple[int | None, ...] = (None,)
    share: float | None = None

    def targets(self, accuracy: float) -> FloatArray:
        """Return the targets; on a grid the odd multiples of its square."""
        if self.num_targets == 1:
            return np.array([self.reach])
        targets = np.linspace(-self.reach, self.reach, self.num_targets)
        if self.draws == "raw-grid":
            step = accuracy**2
            last = self.reach / step - 1
            targets = np.clip(2 * np.round(targets / step / 2) + 1, -last, last) * step
        return targets

    def draw(
        self, stream: Stream, accuracy: float, first: int, stop: int
    ) -> tuple[FloatArray, IntArray]:
        """Draw trials `first` to before `stop`.

        Returns
        -------
        coefficients
            Shape (trials, candidates): the usable ones in order, then zeros.
        counts
            The same shape: how many draws there are up to each.
        """
        columns = MAX_CANDIDATES
        if self.sizes == (1,):
            columns = math.ceil(3 * math.log(1 / accuracy) / accuracy)
        elif self.draws.startswith("raw"):
            columns = _DRAWN
        counters = np.arange(first * columns, stop * columns).reshape(-1, columns)
        counts = np.broadcast_to(np.arange(1, columns + 1), counters.shape)
        if self.draws == "uniform":
            return uniform(stream._replace(matrix=_V), counters, unit=UNIT_RAW), counts
        unit = accuracy if self.draws == "raw-grid" else UNIT_FACTOR
        u = uniform(stream._replace(matrix=_U), counters, unit=unit)
        v = uniform(stream._replace(matrix=_V), counters, unit=unit)
        if self.draws == "products":
            return np.abs(u) * v, counts
        usable_first = np.argsort(u <= 0, axis=1, kind="stable")[:, :MAX_CANDIDATES]
        products = np.take_along_axis(np.maximum(u, 0.0) * v, usable_first, axis=1)
        return products, usable_first + 1


def _per_log(n: int, accuracy: float, size: int | None) -> float:
    return n / math.log(2 / accuracy)


def _subsets(n: int, size: int | None) -> float:
    """Return n H₂(k/n): about the binary logarithm of the number of subsets of size k."""
    return n * entropy((size or 0) / n)


_FINE = (0.03, 0.01, 0.003, 0.001)

EVENTS = (
    Event(
        "pensia", "n ≥ C ln(2/ε)",
        "of n products of two U[−1, 1], those with a first factor above 0 usable: some sum within "
        "ε of each of 33 targets in [−1, 1], with probability 1 − ε",
        _per_log, _FINE, "raw", 1.0,
    ),
    Event(
        "one-target", "n ≥ C ln(2/ε)",
        "of n products of U[0, 1] and U[−1, 1]: some sum within ε of 1/4, with probability 1 − ε",
        _per_log, _FINE, "products", 0.25, num_targets=1,
    ),
    Event(
        "copies", "n ≥ C ln(2/ε)",
        "of n draws from U[−1, 1]: some sum within ε of each of 33 targets in [−1/2, 1/2], with "
        "probability 1 − ε",
        _per_log, _FINE, "uniform", 0.5,
    ),
    Event(
        "attention", "n ≥ C ln(2/ε)",
        "of n products of two U[−1, 1]: some sum within ε of each of 33 targets in [−1, 1], with "
        "probability 1 − ε",
        _per_log, _FINE, "products", 1.0,
    ),
    Event(
        "amplified", "n H₂(k/n) ≥ c_amp log₂²(k/ε)",
        "of n products of two U[−1, 1], those with a first factor above 0 usable: some sum of "
        "exactly k within ε of each of 33 targets in [−1, 1], with probability 1 − ε",
        lambda n, accuracy, k: _subsets(n, k) / math.log2((k or 1) / accuracy) ** 2,
        (0.03, 0.01, 0.003), "raw", 1.0, sizes=(4, 6),
    ),
    Event(
        "fixed-size", "n H₂(k/n) ≥ c_hyp log₂(k/ε)",
        "of n products of two U[−1, 1], those with a first factor above 0 usable: some sum of "
        "exactly k within ε of 1, with probability 1/2",
        lambda n, accuracy, k: _subsets(n, k) / math.log2((k or 1) / accuracy),
        _FINE, "raw", 1.0, num_targets=1, sizes=(4, 6), share=0.5,
    ),
    Event(
        "quantised", "n ≥ C log₂(1/δ)",
        "of n products of two draws from the multiples of δ in [−1, 1), those with a first factor "
        "above 0 usable: some sum equal to each of 33 odd multiples of δ² in [−1, 1], with "
        "probability 1 − δ",
        lambda n, step, size: n / math.log2(1 / step),
        (1 / 16, 1 / 32, 1 / 64, 1 / 128), "raw-grid", 1.0,
    ),
    Event(
        "pick", "n ≥ c ln(1/ε)/ε",
        "of n products of U[0, 1] and U[−1, 1]: one within ε of 1/4, with probability 1 − ε; by "
        "the density ln 2 of products at 1/4, c tends to 1/(2 ln 2) = 0.72",
        lambda n, accuracy, size: n * accuracy / math.log(1 / accuracy),
        (0.03, 0.01, 0.003), "products", 0.25, num_targets=1, sizes=(1,),
    ),
)  # fmt: skip
"""What is calibrated, in the order of the file."""


def entropy(share: float) -> float:
    """Return H₂(p), the binary entropy in bits; 0 at 0 and 1."""
    if not 0 < share < 1:
        return 0.0
    return -share * math.log2(share) - (1 - share) * math.log2(1 - share)


def numbers_needed(
    coefficients: FloatArray, targets: FloatArray, tolerance: float, size: int | None = None
) -> IntArray:
    """Return how many of each row's first candidates it takes until every target is met.

    Parameters
    ----------
    coefficients
        Shape (b, n).
    targets
        Shape (t,): the same of every row.
    tolerance
        How close a sum has to come.
    size
        Exactly so many candidates are kept; None: any number.

    Returns
    -------
    IntArray
        Shape (b,), up to n; n + 1 where all are not enough.
    """
    num_rows, most = coefficients.shape
    if size == 1:
        met = np.abs(coefficients[:, None] - targets[:, None]) <= tolerance
        first = np.where(met.any(axis=2), met.argmax(axis=2) + 1, most + 1)
        return np.asarray(first.max(axis=1))
    objective = Closest() if size is None else FixedSize(size)
    needed = np.full((num_rows, len(targets)), most + 1)
    row, place = (index.ravel() for index in np.indices(needed.shape))
    for n in range(size or 1, most + 1):
        low, high = _reach(coefficients[:, :n], size)
        z = targets[place]
        some = np.flatnonzero((z <= high[row] + tolerance) & (z >= low[row] - tolerance))
        if len(some):
            instance = SubsetSum(coefficients[row[some], :n], z[some], objective)
            close = some[solve(instance, "mitm").error <= tolerance]
            needed[row[close], place[close]] = n
            row, place = np.delete(row, close), np.delete(place, close)
        if not len(row):
            break
    return np.asarray(needed.max(axis=1))


def _reach(coefficients: FloatArray, size: int | None) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest sum of each row."""
    if size is None:
        return np.minimum(coefficients, 0).sum(axis=1), np.maximum(coefficients, 0).sum(axis=1)
    ordered = np.sort(coefficients, axis=1)
    return ordered[:, :size].sum(axis=1), ordered[:, -size:].sum(axis=1)


def calibrate(
    events: Sequence[Event] = EVENTS,
    *,
    trials: int = DEFAULT_TRIALS,
    seed: int = 0,
    on_trials: Callable[[int, int], None] | None = None,
) -> list[Constant]:
    """Draw, solve and count; return the constants.

    Parameters
    ----------
    events
        Which.
    trials
        How often each is drawn at the accuracy 0.01; at others so often that failures are as many.
    seed
        Determines every draw.
    on_trials
        Called with the trials that are done and all there are.

    Raises
    ------
    ValueError
        When the trials are too few to show anything.
    """
    if trials < LEAST_TRIALS:
        raise ValueError(
            f"{trials} trials: give at least {LEAST_TRIALS}, or intervals have no upper end"
        )
    plans = [
        [(accuracy, size, _num_trials(event, accuracy, trials))
         for accuracy in event.accuracies for size in event.sizes]
        for event in events
    ]  # fmt: skip
    total, done = sum(num for plan in plans for _, _, num in plan), 0
    found = []
    for event, plan in zip(events, plans, strict=True):
        sweeps: list[Sweep] = []
        for accuracy, size, num in plan:
            counts = []
            for first in range(0, num, _BLOCK):
                stop = min(num, first + _BLOCK)
                stream = Stream(seed, EVENTS.index(event) * 64 + len(sweeps))
                counts.append(_trials(event, stream, accuracy, size, first, stop))
                done += stop - first
                if on_trials is not None:
                    on_trials(done, total)
            sweeps.append(_sweep(event, accuracy, size, np.concatenate(counts)))
        laws = [
            [event.constant(n, sweep.accuracy, sweep.size)
             for n in (sweep.least, sweep.low, sweep.high)]
            for sweep in sweeps
        ]  # fmt: skip
        value, low, high = (max(column) for column in zip(*laws, strict=True))
        found.append(Constant(event.name, event.law, event.event, value, low, high, tuple(sweeps)))
    return found


def _num_trials(event: Event, accuracy: float, trials: int) -> int:
    failing = accuracy if event.share is None else 1 - event.share
    return max(LEAST_TRIALS, math.ceil(0.01 * trials / failing))


def _trials(
    event: Event, stream: Stream, accuracy: float, size: int | None, first: int, stop: int
) -> IntArray:
    """Return how many draws each trial takes; a number no trial can take where all are too few."""
    coefficients, counts = event.draw(stream, accuracy, first, stop)
    tolerance = 0.0 if event.draws == "raw-grid" else accuracy
    needed = numbers_needed(coefficients, event.targets(accuracy), tolerance, size)
    beyond = np.full((len(counts), 1), _NEVER)
    return np.take_along_axis(np.hstack([counts, beyond]), needed[:, None] - 1, axis=1)[:, 0]


def _sweep(event: Event, accuracy: float, size: int | None, needed: IntArray) -> Sweep:
    """Count successes by the number of candidates, and read the least number off them."""
    share = 1 - accuracy if event.share is None else event.share
    trials = len(needed)
    ordered = np.sort(needed)
    steps = np.unique(ordered[ordered < _NEVER])
    successes = [(int(n), int(np.searchsorted(ordered, n, "right"))) for n in steps]
    ends = [proportion_interval(count, count, trials) for _, count in successes]
    shares = (
        [count / trials for _, count in successes],
        [end[1] for end in ends],
        [end[0] for end in ends],
    )
    if shares[2][-1] < share:
        raise ValueError(f"{event.name}: too few trials for an interval at {accuracy:g}: give more")
    least, low, high = (
        next(n for (n, _), reached in zip(successes, column, strict=True) if reached >= share)
        for column in shares
    )
    shown = [pair for pair in successes if 2 * pair[1] >= trials and pair[0] <= high]
    every = -(-len(shown) // _RECORDED)
    recorded = tuple(
        pair for k, pair in enumerate(shown) if k % every == 0 or pair[0] in (least, low, high)
    )
    return Sweep(accuracy, size, share, trials, recorded, least, low, high)
