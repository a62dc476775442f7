"""Whether a ticket and its target put all inputs of a box into the same class."""

import math
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from torch import nn

from instances.arrays import FloatArray
from milp_lth.certificates.affine import Pair, read_pair
from milp_lth.certificates.ascent import ascend, differences
from milp_lth.certificates.branching import maximise
from milp_lth.certificates.exactly import outputs_at
from milp_lth.certificates.relaxation import Box, relax
from milp_lth.ticket import Ticket

PROVED, REFUTED, UNDECIDED = "PROVED", "REFUTED", "UNDECIDED"

_HALVINGS = 80  # of the way between two inputs of different classes
_NUM_STARTS = 16


class BoxAnswer(NamedTuple):
    """What is known of all inputs of a box.

    Attributes
    ----------
    status
        PROVED, REFUTED, or UNDECIDED within the time.
    counterexample
        An input of the box that refutes it, shape (num_inputs,), evaluated without
        rounding.
    classes
        There: the target's class and the ticket's; or the class of the centre and the
        ticket's.
    seconds
        What it took.
    num_nodes
        Linear programs solved.
    """

    status: str
    counterexample: FloatArray | None
    classes: tuple[int, int] | None
    seconds: float
    num_nodes: int


def agreement_on_box(
    target: nn.Module,
    ticket: Ticket,
    center: FloatArray | None = None,
    radius: float = math.inf,
    *,
    time_limit: float = 10.0,
    seed: int = 0,
) -> BoxAnswer:
    """Decide whether both networks give every input of a box the same class.

    The class is the largest output; of one output alone, whether it is above 0. Agreement is proved
    where neither network changes its class in the box. Where one does, the border between two
    classes runs through the box, and inputs on the wrong side of one of the two borders are looked
    for beside it.

    Parameters
    ----------
    target
        Linear, ReLU, Flatten and Dropout in a row.
    ticket
        What was found for it.
    center
        Shape (num_inputs,), of the ticket's input range; None: its middle.
    radius
        The box holds the inputs of the ticket's range that are within `radius` of `center` in every
        coordinate; its ends are rounded to float64. Infinite: the whole range.
    time_limit
        Seconds.
    seed
        Of the search for counterexamples.

    Returns
    -------
    BoxAnswer
        PROVED, or REFUTED by an input at which the largest outputs, none of them shared, differ.

    Raises
    ------
    ValueError
        When the networks are of another kind, or the centre is not in the ticket's range.
    """
    began = time.perf_counter()
    pair = read_pair(target, ticket)
    center, box = _box(pair, center, radius)
    search = _Search(pair, center, box, began, time_limit, seed)
    own = _class(outputs_at(pair, center)[0])
    if own is None:
        return search.answer(UNDECIDED)
    differing = search.differing(center)
    if differing is not None:
        return search.answer(REFUTED, center, differing)
    margins = _margins(own, pair.num_outputs)
    # of the target first, then of the ticket: g = f + (g − f)
    on_target, on_error = np.vstack([margins, margins]), np.vstack([0 * margins, margins])
    status, others = search.decide(on_target, on_error)
    for x in others:
        found = search.beside_border(x)
        if found is not None:
            return search.answer(REFUTED, *found)
    return search.answer(status)


def robustness_on_box(
    ticket: Ticket,
    center: FloatArray,
    radius: float,
    *,
    time_limit: float = 10.0,
    seed: int = 0,
) -> BoxAnswer:
    """Decide whether the ticket gives every input of a box the class of its centre.

    Parameters
    ----------
    ticket
        For a target of Linear, ReLU, Flatten and Dropout in a row.
    center
        The middle of the box, shape (num_inputs,).
    radius, time_limit, seed
        As for `agreement_on_box`.

    Returns
    -------
    BoxAnswer
        PROVED, or REFUTED by an input at which another output is larger.

    Raises
    ------
    ValueError
        When the network is of another kind, or the centre is not in the ticket's range.
    """
    began = time.perf_counter()
    pair = read_pair(ticket.fold("target"), ticket).twice("ticket")
    center, box = _box(pair, center, radius)
    search = _Search(pair, center, box, began, time_limit, seed)
    own = _class(outputs_at(pair, center)[1])
    if own is None:
        return search.answer(UNDECIDED)
    margins = _margins(own, pair.num_outputs)
    status, others = search.decide(margins, 0 * margins)
    for x in others:
        found = _class(outputs_at(pair, x)[1])
        if found not in (own, None):
            return search.answer(REFUTED, x, (own, found))
    return search.answer(status)


def _box(pair: Pair, center: FloatArray | None, radius: float) -> tuple[FloatArray, Box]:
    low, high = pair.box()
    middle = (low + high) / 2 if center is None else np.asarray(center, dtype=np.float64).ravel()
    if middle.shape != low.shape or not ((low <= middle) & (middle <= high)).all():
        raise ValueError(
            f"the centre of the box: give {pair.num_inputs} numbers in "
            f"[{low[0]:g}, {high[0]:g}], for which the ticket was made"
        )
    if not radius >= 0:
        raise ValueError(f"radius {radius}: give a number from 0 on")
    return middle, (np.maximum(low, middle - radius), np.minimum(high, middle + radius))


def _class(outputs: Sequence[Fraction]) -> int | None:
    """Return the place of the largest output, None where several are; of one, whether it is > 0."""
    if len(outputs) == 1:
        return int(outputs[0] > 0)
    largest = max(outputs)
    return outputs.index(largest) if outputs.count(largest) == 1 else None


def _margins(own: int, num_outputs: int) -> FloatArray:
    """Return rows that are all below 0 of outputs that belong to the class."""
    if num_outputs == 1:
        return np.array([[-1.0 if own else 1.0]])
    rows = np.delete(np.eye(num_outputs), own, axis=0)
    rows[:, own] = -1.0
    return rows


class _Search:
    """One box, and the time that is left for it."""

    def __init__(
        self,
        pair: Pair,
        center: FloatArray,
        box: Box,
        began: float,
        time_limit: float,
        seed: int,
    ) -> None:
        self.pair, self.center, self.box, self.began, self.seed = pair, center, box, began, seed
        self.time_limit = time_limit
        self.num_nodes = 0

    def decide(self, on_target: FloatArray, on_error: FloatArray) -> tuple[str, list[FloatArray]]:
        """Prove that all functions are below 0 in the box, or return inputs at which one is not."""
        found = ascend(
            self.pair, self.box, on_target, on_error, num_starts=_NUM_STARTS, seed=self.seed
        )
        order = np.argsort(-found.values)
        above = [found.inputs[k] for k in order if found.values[k] > 0]
        if above:
            return UNDECIDED, above
        optimum = maximise(
            relax(self.pair, self.box),
            on_target,
            on_error,
            found.inputs,
            enough=lambda lower, upper: lower > 0 or upper < 0,
            time_limit=self.time_limit - (time.perf_counter() - self.began),
        )
        self.num_nodes = optimum.num_nodes
        if optimum.upper < 0:
            return PROVED, []
        return UNDECIDED, [optimum.x] if optimum.lower > 0 else []

    def differing(self, x: FloatArray) -> tuple[int, int] | None:
        """Return the classes at an input if they differ, without rounding."""
        target, ticket = (_class(outputs) for outputs in outputs_at(self.pair, x))
        if target is None or ticket is None or target == ticket:
            return None
        return target, ticket

    def beside_border(self, x: FloatArray) -> tuple[FloatArray, tuple[int, int]] | None:
        """Look between the centre and an input of another class for one where classes differ.

        Halving the way leads to the target's border. There the ticket's outputs are off by what
        both networks differ by, so that on one side of it, however near, the classes differ.
        """
        classes = self.differing(x)
        if classes is not None:
            return x, classes
        own = self._classes(self.center)[0]
        near, far = self.center, x
        for _ in range(_HALVINGS):
            middle = np.clip((near + far) / 2, *self.box)
            target, ticket = self._classes(middle)
            classes = self.differing(middle) if target != ticket else None
            if classes is not None:
                return middle, classes
            near, far = (middle, far) if target == own else (near, middle)
        return None

    def _classes(self, x: FloatArray) -> tuple[int, int]:
        """Return both classes at an input in float64."""
        target, error = differences(self.pair, x[None])
        both = np.vstack([target, target + error])
        classes = both.argmax(axis=1) if both.shape[1] > 1 else both[:, 0] > 0
        return int(classes[0]), int(classes[1])

    def answer(
        self,
        status: str,
        counterexample: FloatArray | None = None,
        classes: tuple[int, int] | None = None,
    ) -> BoxAnswer:
        """State what is known."""
        seconds = time.perf_counter() - self.began
        return BoxAnswer(status, counterexample, classes, seconds, self.num_nodes)
