"""What the float MIP solvers share: rows scaled, programs widened, bounds lowered, masks judged.

Such a solver answers up to its tolerances, and the optima of these problems lie below them. So the
measured rows are scaled to numbers far above the tolerances. A program that pays for whole numbers
is widened for the bound, and narrowed where its mask then fails. What is proved is lowered by the
solver's declared tolerance; of all masks that it comes by, the exact judge keeps the best.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance
from instances.milp import MILP
from solvers.solver import OnEvent, Proposal, Reported, nothing_known

_SIZE = 1e4
"""What the absolute numbers of a row add up to once it is scaled: with tolerances of 1e-10 their
ratio is some 50 times the rounding of a double. More only made solvers fail on their own checks."""

_SQUARED_SIZE = 1e2
"""The same where squares are added up: theirs spans twice the orders of magnitude."""

_SQUARED_MARGIN = 1e-6
"""What a bound on a sum of squares is lowered by, relative to it or to 1, before the root."""

_COUNT_MARGIN = 1e-6
"""What a bound on a count is lowered by before it is rounded up, relative to the largest cost, as
the solver sees it, or to 1."""

_SMALLEST, _LARGEST = 2.0**-900, 2.0**1000
"""Sizes of rows that can be scaled. No solver is asked about others, nor about sums that float64
cannot hold."""


class Answer(NamedTuple):
    """What a MIP solver says of a program."""

    status: str
    """Its own word, verbatim."""
    objective: float = math.nan
    bound: float = -math.inf
    """It says that nothing has a smaller objective; infinite: that nothing is feasible."""
    points: tuple[FloatArray, ...] = ()
    build_seconds: float = 0.0
    """What writing the program down took."""


Run = Callable[[MILP, float, BoolArray | None, Callable[[FloatArray], None]], Answer]
"""Solve a program within some seconds, from a mask if there is one; may tell of points as they are
found. It turns the failures of its backend into an answer."""


def propose_row(
    run: Run,
    instance: Instance,
    b: int,
    seconds: float,
    *,
    tolerance: float,
    start: BoolArray | None = None,
    on_event: OnEvent | None = None,
) -> Proposal:
    """Have `run` solve row `b`, and conclude what its `tolerance` allows.

    `start` and `on_event` are those of the batch. An infinite tolerance hands over the program as
    it is and concludes nothing.
    """
    deadline = time.monotonic() + seconds
    with np.errstate(over="ignore", invalid="ignore"):
        milp, row = instance.milp(b).without_fixed(), instance.part(b, b + 1)
        size = milp.size
    if not in_range(size):
        return unanswered(row, None if start is None else start[b : b + 1])
    hint = None if start is None else start[b]
    best = _Best(row, hint, None if on_event is None else lambda part: on_event(b, part))
    trusted = math.isfinite(tolerance)
    slack = tolerance * size if trusted else 0.0
    factor = factor_to(_SQUARED_SIZE if milp.squared else _SIZE, size) if trusted else 1.0

    stats = {"build_seconds": 0.0}

    def ask(program: MILP, seconds: float) -> Answer:
        told, weight = _scaled(program, factor) if trusted else (program, 1.0)
        answer = run(told, seconds, hint, lambda x: best.take(program.mask(x)))
        stats["build_seconds"] += answer.build_seconds
        for x in answer.points:
            best.take(program.mask(x))
        if program.squared:
            bound = answer.bound - _SQUARED_MARGIN * max(1.0, abs(answer.bound))
            answer = answer._replace(
                objective=_root(answer.objective), bound=_root(max(bound, 0.0))
            )
        return answer._replace(objective=answer.objective / weight, bound=answer.bound / weight)

    # where an error variable takes up what rows miss, the objective is off by the slack at most
    widens = trusted and milp.counting
    answer = ask(milp.widened(slack) if widens else milp, seconds)
    left = deadline - time.monotonic()
    if widens and answer.points and best.violation > 0 and left > 0:
        narrowed = milp.widened(-slack)
        if (narrowed.row_lower <= narrowed.row_upper).all():
            ask(narrowed, left)
    bound = answer.bound - lowering(milp, slack) if trusted else -math.inf
    return _proposal(best.mask, bound, answer)._replace(stats=stats)


class _Best:
    """The best mask of a row, by its instance's judge; tells of every better one."""

    def __init__(
        self, row: Instance, start: BoolArray | None, tell: Callable[[Proposal], None] | None
    ) -> None:
        self._row = row
        self._tell = tell
        self.mask = np.zeros(row.num_candidates, np.bool_) if start is None else start.copy()
        self.objective, self.violation = self._judge(self.mask)

    def take(self, mask: BoolArray) -> None:
        objective, violation = self._judge(mask)
        if (violation, objective) >= (self.violation, self.objective):
            return
        self.mask, self.objective, self.violation = mask, objective, violation
        if self._tell is not None:
            self._tell(_proposal(mask, -math.inf, Answer("")))

    def _judge(self, mask: BoolArray) -> tuple[float, float]:
        objective, violation = self._row.evaluate(mask[None, :])
        return float(objective[0]), float(violation[0])


def _root(square: float) -> float:
    return math.sqrt(square) if square >= 0 else math.nan


def _proposal(mask: BoolArray, bound: float, answer: Answer) -> Proposal:
    status = np.array([answer.status], "U24")
    reported = Reported(status, np.array([answer.objective]), np.array([answer.bound]))
    return Proposal(mask[None, :].copy(), np.array([bound]), reported, {})


def in_range(size: float) -> bool:
    """Whether rows of this `MILP.size` can be scaled to what solvers take."""
    return size == 0 or _SMALLEST <= size <= _LARGEST


def unanswered(row: Instance, start: BoolArray | None) -> Proposal:
    """Return what is said where no solver is asked."""
    proposal = nothing_known(row, start)
    proposal.reported.status[:] = "numbers out of range"
    return proposal


def factor_to(wanted: float, size: float) -> float:
    """Return the power of two that brings `size` to about `wanted`."""
    return 2.0 ** round(math.log2(wanted) - math.log2(size)) if size > 0 else 1.0


def weight_of(milp: MILP, factor: float) -> float:
    """Return the power of two to multiply costs by, when measured rows are by `factor`.

    Costs of whole numbers are left as they are, unless they are all tiny, or one is huge; where
    they are 0, so are those of what is measured, unless they are all tiny, or one is above 1.
    """
    whole = float(np.abs(milp.c[milp.integer]).max(initial=0.0))
    largest = whole or float(np.abs(milp.c).max(initial=0.0))
    moderate = 2.0**-8 <= largest <= (2.0**20 if whole else 1.0)
    weight = 1.0 if moderate else 2.0 ** -math.frexp(largest)[1]
    return weight if whole else weight * factor


def lowering(milp: MILP, slack: float) -> float:
    """Return how far what is proved of `milp` may be from the truth, rows being missed by `slack`.

    A program that pays for whole numbers alone is one that was widened by the slack.
    """
    if not milp.counting:
        return slack * milp.sensitivity
    weight = weight_of(milp, 1.0)
    return _COUNT_MARGIN * max(1.0, weight * float(np.abs(milp.c).max(initial=0.0))) / weight


def _scaled(milp: MILP, factor: float) -> tuple[MILP, float]:
    """Multiply the measured rows by `factor`; return what the objective was multiplied by, too.

    A continuous variable stands for an error: it is counted in units of 1 / `factor`, so that its
    coefficients stay as they are.
    """
    row = np.where(milp.counts, 1.0, factor)
    column = np.where(milp.integer, 1.0, 1.0 / factor)
    weight = weight_of(milp, factor)
    return replace(
        milp,
        c=milp.c * column * weight,
        values=milp.values * row[milp.rows] * column[milp.columns],
        row_lower=milp.row_lower * row,
        row_upper=milp.row_upper * row,
        lower=milp.lower / column,
        upper=milp.upper / column,
    ), weight
