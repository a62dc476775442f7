"""The masks of a ledger, rows by rows: never all of them at once."""

from bisect import bisect_right

import numpy as np

from instances.arrays import BoolArray
from milp_lth.ledger import Chunk, ContradictionError, Ledger
from milp_lth.reduction import Reduction


class RecordedMasks:
    """What a complete ledger says about the rows of a reduction.

    Raises
    ------
    ContradictionError
        When what is recorded does not fit the problems.
    ValueError
        When not every row is recorded.
    """

    def __init__(self, reduction: Reduction, ledger: Ledger) -> None:
        self._reduction = reduction
        self._ledger = ledger
        self._starts: list[list[int]] = []
        self._last: Chunk | None = None
        parts, done = reduction.parts, ledger.done()
        for p, pieces in done.items():
            if p not in range(len(parts)) or pieces[-1][1] > len(parts[p]):
                raise ContradictionError("results are recorded for rows that do not exist")
        for p, part in enumerate(parts):
            pieces = done.get(p, [])
            ends = [0, *(stop for _, stop in pieces)]
            if [*(start for start, _ in pieces), len(part)] != ends:
                raise ValueError(f"{ledger.folder}: the run is not complete")
            self._starts.append(ends[:-1])

    def rows(self, place: int, start: int, stop: int) -> BoolArray:
        """Return the masks of some rows of the part at `place`, shape (stop - start, n).

        Raises
        ------
        ContradictionError
            When the recorded bits do not fit the problems.
        """
        starts = self._starts[place]
        mask = np.empty((stop - start, self._reduction.parts[place].shape[1]), np.bool_)
        for k in range(bisect_right(starts, start) - 1, len(starts)):
            if starts[k] >= stop:
                break
            chunk = self._chunk(place, starts[k])
            first, last = max(start, chunk.start), min(stop, chunk.stop)
            found = chunk.mask(mask.shape[1])[first - chunk.start : last - chunk.start]
            mask[first - start : last - start] = found
        return mask

    def block(self, layer: int, first: int, last: int) -> BoolArray:
        """Return the mask of the edges to the outputs `first` to before `last` of a layer."""
        layout = self._reduction.layers[layer]
        mask = np.zeros((last - first, layout.drawn.mask_shape[1]), np.bool_)
        for p, part in enumerate(self._reduction.parts):
            if part.layer is layout:
                served = part.half.num_inputs
                rows = self.rows(p, first * served, last * served)
                layout.scatter(part.half, rows, mask, first)
        return mask

    def _chunk(self, place: int, start: int) -> Chunk:
        """Read a chunk, or take the last one: neighbouring rows are asked for in turn."""
        if self._last is None or (self._last.part, self._last.start) != (place, start):
            self._last = self._ledger.chunk(place, start)
        return self._last
