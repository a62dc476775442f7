"""Programs as text in CPLEX LP format: for people, and for solvers that read it."""

from collections.abc import Iterable

import numpy as np

from instances.arrays import BoolArray
from instances.milp import MILP
from instances.statement import state

_PER_LINE = 4  # terms; readers take lines of 255 characters


def to_lp(milp: MILP, name: str = "program") -> str:
    r"""State `milp` in CPLEX LP format, every number with the digits that tell it from all others.

    Variables x0, x1, … are the mask, z0, z1, … the others. A row with two different bounds becomes
    two rows; one without bounds is left out.

    Parameters
    ----------
    milp
        The program, such as ``instance.milp(0)``.
    name
        What the first line, a comment, calls it.

    Returns
    -------
    str
        The whole text, with the newline at its end.

    Examples
    --------
    >>> from instances.objectives import Sparsest
    >>> from instances.subset_sum import SubsetSum
    >>> print(to_lp(SubsetSum([[0.5, -0.1]], [0.5], Sparsest(0.25)).milp(0), "two"), end="")
    \ two. x: the mask, 1 = kept; z: the other variables
    Minimize
     obj: + 1.0 x0 + 1.0 x1
    Subject To
     r0: + 0.5 x0 - 0.1 x1
      >= 0.25
     r0_upper: + 0.5 x0 - 0.1 x1
      <= 0.75
    Binaries
     x0
     x1
    End

    Raises
    ------
    ValueError
        When the name has several lines, there is no variable, a number is not finite, bounds cross,
        or an entry is there twice.
    """
    if name.splitlines() != [name] or len(name) > 100:
        raise ValueError(f"name {name[:40]!r}: give one line of 1 to 100 characters")
    if len(milp.c) == 0:
        raise ValueError("LP text cannot state a program without variables: write MPS")
    variables, rows = state(milp)
    costs = milp.c.copy()
    idle = np.setdiff1d(np.arange(len(costs)), milp.columns)  # they must occur to be there
    stated = np.union1d(np.flatnonzero(costs), idle) if len(idle) or costs.any() else np.arange(1)
    lines = [
        f"\\ {name}. x: the mask, 1 = kept; z: the other variables",
        "Minimize",
        *_sum("obj", ((costs[j], variables[j]) for j in stated)),
        "Subject To",
    ]
    order = np.lexsort((milp.columns, milp.rows))
    starts = np.searchsorted(milp.rows[order], np.arange(len(milp.row_lower) + 1))
    for row in rows:
        if row.kind == "N":
            continue
        entries = order[starts[row.place] : starts[row.place + 1]]
        terms = [(milp.values[e], variables[milp.columns[e]]) for e in entries]
        lines += _sum(row.name, terms or [(0.0, variables[0])])
        lines.append(f"  {_SIGNS[row.kind]} {row.bound!r}")
    binary = milp.integer & (milp.lower == 0) & (milp.upper == 1)
    named = list(zip(variables, milp.integer, binary, strict=True))
    lines += [
        *_section("Bounds", _bounds(milp, variables, binary)),
        *_section("Generals", [f" {v}" for v, whole, short in named if whole and not short]),
        *_section("Binaries", [f" {v}" for v, _, short in named if short]),
        "End",
    ]
    return "\n".join(lines) + "\n"


_SIGNS = {"E": "=", "G": ">=", "L": "<="}


def _sum(name: str, terms: Iterable[tuple[float, str]]) -> list[str]:
    """Write a named sum, a few terms a line."""
    texts = [f"{'-' if a < 0 else '+'} {abs(float(a))!r} {variable}" for a, variable in terms]
    lines = [" ".join(texts[k : k + _PER_LINE]) for k in range(0, len(texts), _PER_LINE)]
    return [f" {name}: {lines[0]}", *(f"  {line}" for line in lines[1:])]


def _bounds(milp: MILP, variables: list[str], binary: BoolArray) -> list[str]:
    lines = []
    for j in np.flatnonzero(~binary):
        name, lower, upper = variables[j], float(milp.lower[j]), float(milp.upper[j])
        if lower == -np.inf and upper == np.inf:
            lines.append(f" {name} free")
        elif lower == upper:
            lines.append(f" {name} = {lower!r}")
        elif upper == np.inf:
            lines.append(f" {name} >= {lower!r}")
        else:
            lines.append(f" {lower!r} <= {name} <= {upper!r}")
    return lines


def _section(title: str, lines: list[str]) -> list[str]:
    return [title, *lines] if lines else []
