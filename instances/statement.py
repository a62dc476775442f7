"""What a program's text states, whatever its format: names, and rows with a bound each."""

from typing import NamedTuple

import numpy as np

from instances.arrays import FloatArray
from instances.milp import MILP


class Row(NamedTuple):
    """One row of the text: ``name: A[place]·x ≥, ≤ or = bound``; kind "N" binds nothing."""

    name: str
    kind: str
    bound: float
    place: int


class Statement(NamedTuple):
    """The names of the variables, and the rows in order."""

    variables: list[str]
    rows: list[Row]


def state(milp: MILP) -> Statement:
    """Name the variables and rows of `milp`, which is made sure to be one that text can state.

    Variable x3 is entry 3 of the mask, z3 the fourth of the others. Row r3 is the program's row 3,
    or count3 where the program counts it as whole; where it has two bounds, "_upper" is a row of
    its own: the ranges of MPS state the width, which need not be a float, and few readers know
    them.

    Raises
    ------
    ValueError
        When a number is not finite or bounds cross; when a mask's variable or an entry is there
        twice.
    """
    _check(milp)
    variables = [""] * len(milp.c)
    for k, j in enumerate(milp.mask_columns.tolist()):
        variables[j] = f"x{k}"
    for k, j in enumerate([j for j, name in enumerate(variables) if not name]):
        variables[j] = f"z{k}"
    rows = []
    bounds = zip(milp.row_lower.tolist(), milp.row_upper.tolist(), strict=True)
    for i, (lower, upper) in enumerate(bounds):
        name = f"count{i}" if milp.counts[i] else f"r{i}"
        if repr(lower) == repr(upper):  # −0 and 0 are told apart, so that both can be read back
            rows.append(Row(name, "E", lower, i))
        elif np.isinf(lower) and np.isinf(upper):
            rows.append(Row(name, "N", 0.0, i))
        elif np.isinf(lower):
            rows.append(Row(name, "L", upper, i))
        else:
            rows.append(Row(name, "G", lower, i))
            if np.isfinite(upper):
                rows.append(Row(f"{name}_upper", "L", upper, i))
    return Statement(variables, rows)


def _check(milp: MILP) -> None:
    if milp.squared:
        raise ValueError(
            "LP and MPS state linear programs, and this one adds squares up: ask for norm 1 or inf "
            "where there is one"
        )
    if not (np.isfinite(milp.c).all() and np.isfinite(milp.values).all()):
        raise ValueError("the program's costs and coefficients must be finite")
    _check_bounds("row", milp.row_lower, milp.row_upper)
    _check_bounds("variable", milp.lower, milp.upper)
    if len(np.unique(milp.mask_columns)) < len(milp.mask_columns):
        raise ValueError("two entries of the mask are one variable: name each variable once")
    if len(np.unique(milp.rows * len(milp.c) + milp.columns)) < len(milp.values):
        raise ValueError("a row has two entries for one variable: add them up")


def _check_bounds(what: str, lower: FloatArray, upper: FloatArray) -> None:
    wrong = np.isnan(lower) | np.isnan(upper) | (lower == np.inf) | (upper == -np.inf)
    wrong |= lower > upper
    for k in np.flatnonzero(wrong)[:1]:
        raise ValueError(
            f"{what} {k} of the program has bounds {lower[k]} and {upper[k]}: "
            "give a lower one that is not above the upper one"
        )
