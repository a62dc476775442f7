"""What is asked of a subset sum: three objectives, as values."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Closest:
    """The least error; a mask is feasible when its error is within `tolerance`, where one is given.

    Parameters
    ----------
    tolerance
        The largest error of a feasible mask, in units of the targets; None: any error.

    Raises
    ------
    ValueError
        When `tolerance` is negative or not finite.
    """

    tolerance: float | None = None
    name: ClassVar[str] = "closest"

    def __post_init__(self) -> None:
        _check_tolerance(self.tolerance)


@dataclass(frozen=True)
class Sparsest:
    """The fewest kept candidates with an error within `tolerance`; among those, the least error.

    Parameters
    ----------
    tolerance
        The largest error of a feasible mask, in units of the targets.

    Raises
    ------
    ValueError
        When `tolerance` is negative or not finite.
    """

    tolerance: float
    name: ClassVar[str] = "sparsest"

    def __post_init__(self) -> None:
        _check_tolerance(self.tolerance)


@dataclass(frozen=True)
class FixedSize:
    """The least error with exactly `size` candidates kept (Natale et al. 2024).

    Parameters
    ----------
    size
        How many candidates are kept.
    tolerance
        The largest error of a feasible mask, in units of the targets; None: any error.

    Raises
    ------
    ValueError
        When `size` or `tolerance` is negative, or `tolerance` is not finite.
    """

    size: int
    tolerance: float | None = None
    name: ClassVar[str] = "fixed-size"

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size {self.size}: a subset keeps 0 candidates or more")
        _check_tolerance(self.tolerance)


Objective = Closest | Sparsest | FixedSize

OBJECTIVES: dict[str, type[Objective]] = {o.name: o for o in (Closest, Sparsest, FixedSize)}


def make_objective(
    name: str, *, tolerance: float | None = None, size: int | None = None
) -> Objective:
    """Make an objective from its name and the settings that belong to it.

    >>> make_objective("sparsest", tolerance=0.01)
    Sparsest(tolerance=0.01)

    Raises
    ------
    ValueError
        When the name is unknown, or a setting is missing, superfluous or out of range.
    """
    if name not in OBJECTIVES:
        raise ValueError(f"unknown objective {name!r}: choose one of {', '.join(OBJECTIVES)}")
    settings: dict[str, Any] = {}
    if tolerance is not None:
        settings["tolerance"] = tolerance
    elif name == Sparsest.name:
        raise ValueError("the sparsest objective needs a tolerance: how far may a sum miss?")
    if name == FixedSize.name:
        if size is None:
            raise ValueError("the fixed-size objective needs a size: how many are to be kept?")
        settings["size"] = size
    elif size is not None:
        raise ValueError(f"the {name} objective takes no size: leave it out or choose fixed-size")
    return OBJECTIVES[name](**settings)


def _check_tolerance(tolerance: float | None) -> None:
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance {tolerance}: give a finite number that is not negative")
