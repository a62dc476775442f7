"""What a backend is: a frozen value that proposes; `solvers.solve` judges."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray, FloatArray
from instances.instance import Instance


class Reported(NamedTuple):
    """What a backend said of itself, row by row, verbatim; nobody relies on it. Shapes (b,)."""

    status: NDArray[np.str_]
    objective: FloatArray
    bound: FloatArray


class Proposal(NamedTuple):
    """What a backend says before anyone believes it.

    Attributes
    ----------
    mask
        Shape (b, n).
    bound
        Shape (b,): no mask has a smaller objective; infinite where none is feasible. Already
        lowered by the backend's own tolerance. −inf: nothing is known.
    reported
        Its own status, objective and bound of every row, verbatim, each of shape (b,).
    stats
        Whatever else is worth knowing, by name. ``start_seconds`` is what passed before the solving
        began: imports, compilation, the start of a process. ``build_seconds`` is what writing down
        the programs took, where a backend needs them; ``solve_seconds`` what the whole call took in
        a process of its own.
    """

    mask: BoolArray
    bound: FloatArray
    reported: Reported
    stats: dict[str, float]


OnEvent = Callable[[int, Proposal], None]
"""Called with the first row and the proposal for some rows as soon as they are known; again when
they improve."""


class Solver(Protocol):
    """A backend with its parameters. A frozen dataclass; no base class is needed."""

    @property
    def tolerance(self) -> float:
        """What bounds are lowered by, relative to the size of a row; 0 where nothing is rounded."""
        ...

    def supports(self, instance: Instance) -> bool:
        """Whether `propose` can take this instance."""
        ...

    def propose(
        self,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose a mask and a bound for every row.

        Parameters
        ----------
        instance
            An instance that the solver supports.
        time_limit
            Seconds for the whole batch. A solver may overrun it: it is then killed from outside.
        start
            Masks to begin from, shape (b, n).
        on_event
            Told of rows as they are found.
        """
        ...


def nothing_known(instance: Instance, start: BoolArray | None = None) -> Proposal:
    """Return the proposal that claims nothing: `start`, or empty masks, and no bound."""
    b = len(instance)
    mask = np.zeros((b, instance.num_candidates), np.bool_) if start is None else start.copy()
    silent = Reported(np.full(b, "", dtype="U24"), np.full(b, np.nan), np.full(b, np.nan))
    return Proposal(mask, np.full(b, -np.inf), silent, {})


def put_rows(whole: Proposal, first: int, part: Proposal) -> None:
    """Write the rows of `part` into `whole`, beginning at row `first`."""
    rows = slice(first, first + len(part.bound))
    whole.mask[rows] = part.mask
    whole.bound[rows] = part.bound
    for mine, theirs in zip(whole.reported, part.reported, strict=True):
        mine[rows] = theirs
