"""Local search over flips and pairs of flips, on which several heuristics stand.

A move flips one candidate or two: two may be an exchange, one out and one in, or both in or both
out. All n (n + 1) / 2 moves of a row are looked at together: move (i, j) flips both, move (i, i)
flips i alone, so each pair is there twice.
"""

import time
from typing import TYPE_CHECKING, NamedTuple

from solvers.heuristic.chunks import rows_at_once
from solvers.heuristic.reductions import least_in_table
from solvers.heuristic.rows import Rows

if TYPE_CHECKING:
    import torch


class State(NamedTuple):
    """Where a search is."""

    mask: "torch.Tensor"
    """Shape (r, n)."""
    rest: "torch.Tensor"
    """Shape (r,): target − sum of the kept."""
    key: "torch.Tensor"
    """Shape (r,): see `Rows.key`."""

    @classmethod
    def at(cls, rows: Rows, mask: "torch.Tensor") -> "State":
        """Return the state of a search that stands at `mask`."""
        rest = rows.rest(mask)
        return cls(mask, rest, rows.key(rest.abs(), mask.sum(dim=1)))

    def take(self, index: "torch.Tensor") -> "State":
        """Return the rows with these indices."""
        return State(*(part[index] for part in self))

    def where(self, these: "torch.Tensor", other: "State") -> "State":
        """Return these rows as they are, all others as in `other`."""
        import torch

        mask = torch.where(these[:, None], self.mask, other.mask)
        rest = torch.where(these, self.rest, other.rest)
        return State(mask, rest, torch.where(these, self.key, other.key))

    def moved(
        self, rows: Rows, i: "torch.Tensor", j: "torch.Tensor", key: "torch.Tensor"
    ) -> "State":
        """Return the state after a move per row whose key is known; shapes (r,)."""
        import torch

        first, second = i[:, None], j[:, None]
        mask = self.mask.scatter(1, first, ~self.mask.gather(1, first))
        # the second reads the old mask: where both are the same one it is flipped once
        mask.scatter_(1, second, ~self.mask.gather(1, second))
        adds = _adds(rows, self)
        rest = self.rest - adds.gather(1, first)[:, 0]
        pair = (first != second)[:, 0]
        return State(mask, torch.where(pair, rest - adds.gather(1, second)[:, 0], rest), key)


def move_keys(rows: Rows, state: State, barred: "torch.Tensor | None" = None) -> "torch.Tensor":
    """Return the keys that all moves lead to, shape (r, n, n).

    Infinite where a move flips what is `barred` (shape (r, n); None: nothing).
    """
    import torch

    adds = _adds(rows, state)
    single = state.rest[:, None] - adds
    rest = single[:, :, None] - adds[:, None, :]
    rest.diagonal(dim1=1, dim2=2).copy_(single)
    keys = rest.abs_()
    if rows.counted:
        # float32 holds these whole numbers, and is faster
        more = torch.where(state.mask, -1.0, 1.0).to(torch.float32)
        kept = more[:, :, None] + more[:, None, :]
        kept.diagonal(dim1=1, dim2=2).copy_(more)
        kept += state.mask.sum(dim=1)[:, None, None]
        keys = rows.key(keys, kept)
    return keys if barred is None else without(keys, barred)


def without(keys: "torch.Tensor", barred: "torch.Tensor") -> "torch.Tensor":
    """Return the keys with infinity where a move flips what is `barred`, shape (r, n)."""
    import torch

    return keys.masked_fill(barred[:, :, None] | barred[:, None, :], torch.inf)


def improve(rows: Rows, mask: "torch.Tensor", deadline: float) -> "torch.Tensor":
    """Make the best move of every row again and again until none improves.

    Parameters
    ----------
    rows
        The batch.
    mask
        Where to begin, shape (r, n); keeps what is available alone.
    deadline
        When to stop, by `time.monotonic`.

    Returns
    -------
    torch.Tensor
        Masks that are not worse, shape (r, n).
    """
    import torch

    step = rows_at_once(rows.num_candidates**2, mask.device)
    blocks = [slice(first, first + step) for first in range(0, len(rows), step)]
    return torch.cat([_improve(rows.take(block), mask[block], deadline) for block in blocks])


def _improve(rows: Rows, mask: "torch.Tensor", deadline: float) -> "torch.Tensor":
    import torch

    found = mask.clone()
    state = State.at(rows, mask)
    barred = barred_candidates(rows)
    index = torch.arange(len(rows), device=mask.device)
    while len(index) and time.monotonic() < deadline:
        key, i, j = least_in_table(move_keys(rows, state, barred))
        better = key < state.key
        if not better.all():  # rows at their end are looked at no more
            still = better.nonzero()[:, 0]
            index, rows, state = index[still], rows.take(still), state.take(still)
            key, i, j = key[still], i[still], j[still]
            barred = None if barred is None else barred[still]
        state = state.moved(rows, i, j, key)
        found[index] = state.mask
    return found


def barred_candidates(rows: Rows) -> "torch.Tensor | None":
    """Return what is not available, shape (r, n); None where everything is."""
    return None if bool(rows.free.all()) else ~rows.free


def _adds(rows: Rows, state: State) -> "torch.Tensor":
    """Return what flipping each candidate adds to the sum, shape (r, n)."""
    import torch

    return torch.where(state.mask, -rows.a, rows.a)
