"""The table of proven optima, ``optima.solu``, in the style of MIPLIB's ``.solu`` files.

.. code-block:: text

    =set= NAME VERSION CANDIDATES SHA256
    =opt= NAME ROW OBJECTIVE METHODS
    =inf= NAME ROW METHODS

A set's line is followed by one for each of its rows, from 0 on. An objective is a whole number or a
hexadecimal float, so that no digit is lost; methods are those that proved it, joined by commas.
After one whose proof has a tolerance stands what it is up to, as in ``highs+gap1e-6``.
"""

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from instances.arrays import FloatArray


class Proven(NamedTuple):
    """What the table says of one set."""

    version: int
    num_candidates: int
    sha256: str
    optima: FloatArray
    """Shape (b,), read-only; infinite where no mask is feasible."""
    methods: tuple[str, ...]


@cache
def proven() -> Mapping[str, Proven]:
    """Return the table of this installation, by the name of the set."""
    return parse_table(files("instances.library").joinpath("optima.solu").read_text("utf-8"))


def parse_table(text: str) -> dict[str, Proven]:
    """Read a table; lines that begin with ``#`` are comments.

    Raises
    ------
    ValueError
        When a line is not of the three kinds or not in its place.
    """
    sets: dict[str, tuple[int, int, str]] = {}
    rows: dict[str, list[tuple[float, str]]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            match line.split():
                case ["=set=", name, version, candidates, sha256] if name not in sets:
                    sets[name] = int(version), int(candidates), sha256
                    rows[name] = []
                case ["=opt=", name, b, value, methods] if int(b) == len(rows[name]):
                    rows[name].append((_number(value), methods))
                case ["=inf=", name, b, methods] if int(b) == len(rows[name]):
                    rows[name].append((math.inf, methods))
                case _:
                    raise ValueError("not a line of its kind, or not in its place")
        except (ValueError, KeyError) as error:
            raise ValueError(f"optima, line {number}: {error}: install milp_lth anew") from error
    return {name: _proven(*sets[name], rows[name]) for name in sets}


def format_table(table: Mapping[str, Proven]) -> str:
    """Write a table, without comments, as `parse_table` reads it."""
    lines = []
    for name, entry in table.items():
        lines.append(f"=set= {name} {entry.version} {entry.num_candidates} {entry.sha256}")
        for b, (value, methods) in enumerate(zip(entry.optima, entry.methods, strict=True)):
            kind, shown = ("inf", "") if math.isinf(value) else ("opt", f" {exact(float(value))}")
            lines.append(f"={kind}= {name} {b}{shown} {methods}")
    return "\n".join(lines) + "\n"


def exact(value: float) -> str:
    """Write a number so that it is read back to the last bit: whole if it is, else hexadecimal."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else value.hex()


def _number(text: str) -> float:
    value = float.fromhex(text) if "x" in text else float(int(text))
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{text} is no optimum")
    return value


def _proven(
    version: int, num_candidates: int, sha256: str, rows: list[tuple[float, str]]
) -> Proven:
    optima = np.array([value for value, _ in rows], np.float64)
    optima.flags.writeable = False
    return Proven(version, num_candidates, sha256, optima, tuple(methods for _, methods in rows))
