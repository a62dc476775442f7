"""How every batched heuristic proposes: so many rows at a time as fit the memory."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from instances.arrays import BoolArray
from instances.subset_sum import SubsetSum
from solvers.heuristic.devices import copied, fetched, find_device
from solvers.heuristic.look_ahead import LookAhead, side_stream
from solvers.heuristic.rows import Rows
from solvers.solver import OnEvent, Proposal, nothing_known, put_rows

if TYPE_CHECKING:
    import torch

_NUMBERS = 1 << 20  # looked at together: 8 MB in float64, some of it in the cache
_CUDA_SHARE = 1 / 8  # of the free memory: steps of a heuristic keep several results as large
_CUDA_NUMBERS = 1 << 27  # at most: 1 GiB keeps any device busy, and the next rows can be made ready

Masks = Callable[[Rows, "torch.Tensor | None", float], "torch.Tensor"]
"""Chooses masks, shape (r, n), for rows, from where to begin, until a time by `time.monotonic`."""


def propose_in_chunks(
    instance: SubsetSum,
    time_limit: float,
    masks: Masks,
    *,
    device: str,
    numbers_per_row: int,
    start: BoolArray | None = None,
    on_event: OnEvent | None = None,
) -> Proposal:
    """Call `masks` for one chunk of rows after the other; without bounds.

    A row is never left worse than in `start`, and as there where the clock leaves it out.

    Parameters
    ----------
    instance, time_limit, start, on_event
        As for `solvers.solver.Solver.propose`.
    masks
        What chooses the masks.
    device
        Where: a torch device; "auto": CUDA where there is one, else the CPU.
    numbers_per_row
        How many numbers `masks` holds at a time for each row.
    """
    import torch

    deadline = time.monotonic() + time_limit
    whole = nothing_known(instance, start)
    where = find_device(device)
    ahead = LookAhead(instance, where, side_stream(where))
    step, first = rows_at_once(numbers_per_row, where), 0
    while first < len(instance) and time.monotonic() <= deadline:
        stop = min(first + step, len(instance))
        part = instance.part(first, stop)
        given = None if start is None else start[first:stop]
        proposal = nothing_known(part, given)
        if instance.num_candidates:
            found = _attempt(ahead, first, stop, masks, given, deadline)
            if found is None:
                torch.cuda.empty_cache()
                step = (len(part) + 1) // 2
                continue
            proposal.mask[:] = found
            if given is not None:
                _keep_better(part, proposal.mask, given)
        proposal.reported.status[:] = "done" if time.monotonic() <= deadline else "time limit"
        put_rows(whole, first, proposal)
        if on_event is not None:
            on_event(first, proposal)
        first = stop
    return whole


def _attempt(
    ahead: LookAhead,
    first: int,
    stop: int,
    masks: Masks,
    given: BoolArray | None,
    deadline: float,
) -> BoolArray | None:
    """Return masks of some rows; None where the device, which others use too, lacks the memory."""
    import torch

    try:
        rows = ahead.take(first, stop)
        ahead.prepare(stop, 2 * stop - first)
        begin = None if given is None else copied(given, rows.a.device)
        return fetched(masks(rows, begin, deadline) & rows.free)
    except torch.OutOfMemoryError:
        if stop - first == 1:
            raise
        ahead.forget()
        return None


def rows_at_once(numbers_per_row: int, device: "torch.device") -> int:
    """Return how many rows are worked on together where each takes so many numbers.

    On a GPU as many as fit into an eighth of its free memory, in float64, and into 1 GiB.
    """
    numbers = _NUMBERS
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        numbers = min(int(free * _CUDA_SHARE) // 8, _CUDA_NUMBERS)
    return max(1, numbers // max(1, numbers_per_row))


def _keep_better(instance: SubsetSum, mask: BoolArray, given: BoolArray) -> None:
    """Put `given` back where it is the better mask."""
    new, old = instance.verdict(mask), instance.verdict(given)
    keys = [(old.violation, new.violation), (old.objective, new.objective), (old.error, new.error)]
    better = np.zeros(len(instance), np.bool_)
    for before, now in reversed(keys):  # the last key decides least
        better = (before < now) | ((before == now) & better)
    mask[better] = given[better]
