"""What every problem class offers: a batch of problems that states and judges itself."""

from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Protocol, Self, overload

import numpy as np

from instances.arrays import BoolArray, FloatArray
from instances.milp import MILP


class Verdict(NamedTuple):
    """All that is judged of a batch of masks, shapes (b,); see `Instance.evaluate`."""

    objective: FloatArray
    violation: FloatArray
    error: FloatArray


class Instance(Protocol):
    """An immutable batch of problems, each asking which of its candidates to keep.

    A problem is whatever is answered by one mask: a SubsetSum, a neuron, a layer, a network. Who
    solves it sees the standard form or the class itself; who judges it is the class alone.
    """

    FORMAT: ClassVar[str]
    """What files call the class, with its version."""

    def __len__(self) -> int:
        """Return the number of problems, b."""
        ...

    @property
    def num_candidates(self) -> int:
        """Candidates per problem, n."""
        ...

    @property
    def task(self) -> str:
        """What is asked, in words that are the same for problems that may be compared."""
        ...

    @property
    def counts(self) -> bool:
        """Whether the objective is a whole number."""
        ...

    @property
    def tolerance(self) -> float | None:
        """The error up to which a mask is feasible; None: any error."""
        ...

    @property
    def linear(self) -> bool:
        """Whether the standard form is linear: see `MILP.squared`."""
        ...

    @property
    def slack(self) -> FloatArray:
        """How far the judged objectives may be from the true ones, shape (b,); 0 where exact."""
        ...

    def part(self, start: int, stop: int) -> Self:
        """Return the problems from `start` up to but not including `stop`."""
        ...

    def verdict(self, mask: BoolArray) -> Verdict:
        """Judge masks of shape (b, n), and tell their errors too."""
        ...

    def evaluate(self, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Judge masks of shape (b, n).

        Returns
        -------
        objective
            Shape (b,): what is minimised.
        violation
            Shape (b,): 0 where the mask is feasible, how far it is from that elsewhere.
        """
        ...

    def milp(self, b: int) -> MILP:
        """State problem `b` in the standard form."""
        ...

    @classmethod
    def tiny(cls) -> Self:
        """Return a problem that is solved at once, for solvers to warm up with."""
        ...

    def fields(self) -> dict[str, Any]:
        """Return the keys and values that state the batch in a file."""
        ...

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Make the batch that `fields` states.

        Raises
        ------
        ValueError
            When a key is missing or a value does not fit.
        """
        ...


@overload
def number_in(fields: Mapping[str, Any], name: str) -> float | None: ...


@overload
def number_in(fields: Mapping[str, Any], name: str, default: float) -> float: ...


def number_in(fields: Mapping[str, Any], name: str, default: float | None = None) -> float | None:
    """Return the number of this name, `default` where there is none.

    Raises
    ------
    ValueError
        When it is text, a truth value, several numbers, or larger than a float.
    """
    value = fields.get(name)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} {str(value)[:40]}: give single numbers, whole numbers for counts")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{name}: no float64 holds a number that large") from error


def whole_in(fields: Mapping[str, Any], name: str) -> int | None:
    """Return the whole number of this name, None where there is none.

    Raises
    ------
    ValueError
        When it is no whole number from −2⁵³ to 2⁵³.
    """
    value = number_in(fields, name)
    if value is not None and not (value.is_integer() and abs(value) <= 2**53):
        raise ValueError(f"{name} {value:g}: give a whole number, 2**53 at most")
    return None if value is None else int(value)


def wanted(fields: Mapping[str, Any], *names: str) -> list[Any]:
    """Return the values of `names`.

    Raises
    ------
    ValueError
        When one is missing.
    """
    missing = [name for name in names if name not in fields]
    if missing:
        raise ValueError(f"the key {missing[0]!r} is missing")
    return [fields[name] for name in names]
