"""Solving a batch one row after the other, each with its share of the time."""

import time
from collections.abc import Callable

from instances.arrays import BoolArray
from instances.instance import Instance
from solvers.solver import OnEvent, Proposal, nothing_known, put_rows


def row_by_row(
    instance: Instance,
    time_limit: float,
    propose_row: Callable[[int, float], Proposal],
    *,
    start: BoolArray | None = None,
    on_event: OnEvent | None = None,
) -> Proposal:
    """Call ``propose_row(b, seconds)`` for every row b and put the proposals together.

    What a row leaves of its share goes to those after it. Rows that the clock leaves out stay as
    in `start`. The rows' stats are added up.
    """
    deadline = time.monotonic() + time_limit
    whole = nothing_known(instance, start)
    for b in range(len(instance)):
        share = (deadline - time.monotonic()) / (len(instance) - b)
        if share <= 0:
            break
        part = propose_row(b, share)
        put_rows(whole, b, part)
        for name, value in part.stats.items():
            whole.stats[name] = whole.stats.get(name, 0.0) + value
        if on_event is not None:
            on_event(b, part)
    return whole
