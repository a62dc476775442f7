"""Programs as free-format MPS text, which nearly every integer-programming solver reads.

Numbers are written with the fewest digits that read back as the same float. The variables are
named as `instances.statement` says.
"""

import re

import numpy as np

from instances.arrays import IntArray
from instances.milp import MILP
from instances.statement import Row, Statement, state

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,25}(\.[0-9]{0,25})?(e[+-]?[0-9]{1,3})?")
_ROW = re.compile(r"(r|count)([0-9]{1,9})(_upper)?")
_VARIABLE = re.compile(r"([xz])([0-9]{1,9})")
_SECTIONS = ("NAME", "ROWS", "COLUMNS", "RHS", "BOUNDS", "ENDATA")


def to_mps(milp: MILP, name: str = "program") -> str:
    r"""State `milp` as free-format MPS text; `from_mps` reads exactly the same program from it.

    Variables x0, x1, … are the mask, z0, z1, … the others. A row with two different bounds becomes
    two rows.

    Parameters
    ----------
    milp
        The program, such as ``instance.milp(0)``.
    name
        The program's name in the text: letters, digits, points, hyphens and underscores.

    Returns
    -------
    str
        The whole text, with the newline at its end.

    Examples
    --------
    >>> from instances.subset_sum import SubsetSum
    >>> text = to_mps(SubsetSum([[0.5, 0.1]], [0.4]).milp(0), "two")
    >>> [" ".join(line.split()) for line in text.splitlines() if " r0" in line]
    ['G r0', 'x0 r0 0.5', 'x1 r0 0.1', 'z0 r0 1.0', 'rhs r0 0.4']

    Raises
    ------
    ValueError
        When the name has other characters, a number is not finite, bounds cross, or an entry is
        there twice.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r}: give 1 to 100 letters, digits, points, hyphens or _")
    statement = state(milp)
    lines = [
        "* x: the mask, 1 = kept; z: the other variables",
        f"NAME          {name}",
        "ROWS",
        " N  obj",
        *(f" {row.kind}  {row.name}" for row in statement.rows),
        "COLUMNS",
        *_columns(milp, statement),
        "RHS",
        *(_line("rhs", row.name, row.bound) for row in statement.rows if row.kind != "N"),
        "BOUNDS",
        *_bounds(milp, statement.variables),
        "ENDATA",
    ]
    return "\n".join(lines) + "\n"


def _columns(milp: MILP, statement: Statement) -> list[str]:
    """State the entries by columns, the whole variables between markers."""
    rows_at: list[list[Row]] = [[] for _ in milp.row_lower]
    for row in statement.rows:
        rows_at[row.place].append(row)
    order = np.lexsort((milp.rows, milp.columns))
    starts = np.searchsorted(milp.columns[order], np.arange(len(milp.c) + 1))
    rows, values = milp.rows[order].tolist(), milp.values[order].tolist()
    lines = []
    whole = False
    for j, (name, cost) in enumerate(zip(statement.variables, milp.c.tolist(), strict=True)):
        if milp.integer[j] != whole:
            whole = not whole
            lines.append(_marker(whole))
        start, stop = starts[j], starts[j + 1]
        if repr(cost) != "0.0" or start == stop:  # a variable must occur to be there
            lines.append(_line(name, "obj", cost))
        for i, value in zip(rows[start:stop], values[start:stop], strict=True):
            lines.extend(_line(name, row.name, value) for row in rows_at[i])
    if whole:
        lines.append(_marker(False))
    return lines


def _line(first: str, second: str, number: float) -> str:
    """Lay a line out in the columns of fixed-format MPS: some readers guess by them."""
    return f"    {first:8}  {second:8}  {number!r}"


def _marker(begins: bool) -> str:
    return (
        f"    MARKER                 'MARKER'                 '{'INTORG' if begins else 'INTEND'}'"
    )


def _bounds(milp: MILP, names: list[str]) -> list[str]:
    """State the bounds of every variable: readers differ in what they take for granted.

    What is infinite goes first: some readers move the other bound with it.
    """
    lines: list[tuple[str, str, str]] = []
    for j, name in enumerate(names):
        lower, upper = repr(float(milp.lower[j])), repr(float(milp.upper[j]))
        if lower == upper:
            lines.append(("FX", name, lower))
        elif milp.integer[j] and (lower, upper) == ("0.0", "1.0"):
            lines.append(("BV", name, ""))
        elif (lower, upper) == ("-inf", "inf"):
            lines.append(("FR", name, ""))
        elif upper == "inf":
            lines += [("PL", name, ""), ("LO", name, lower)]
        elif lower == "-inf":
            lines += [("MI", name, ""), ("UP", name, upper)]
        else:
            lines += [("LO", name, lower), ("UP", name, upper)]
    return [f" {kind} bnd       {name:8}  {number}".rstrip() for kind, name, number in lines]


def from_mps(text: str) -> MILP:
    """Read a program from the MPS text that `to_mps` writes, every number as it was.

    The entries of the mask's variables come first, row by row, then those of the others: the order
    of `SubsetSum.milp`.

    Parameters
    ----------
    text
        What `to_mps` returned, or what stands in a file of it.

    Returns
    -------
    MILP
        The program, bit for bit the one that was written.

    Raises
    ------
    ValueError
        When the text is torn, or is MPS of another kind: named differently, with RANGES, OBJSENSE,
        two entries a line or variables without bounds.
    """
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words and not line.startswith("*"):
            try:
                if line[0] != " ":
                    reader.begin(words)
                else:
                    reader.take(words)
            except ValueError as error:
                raise ValueError(f"line {number} of the MPS text: {error}") from error
    return reader.program()


class _Reader:
    """What has been read so far."""

    def __init__(self) -> None:
        self.section = ""
        self.kinds: dict[str, str] = {}
        self.entries: dict[str, dict[int, float]] = {}
        self.bounds: dict[str, float] = {}
        self.places: dict[str, int] = {}
        self.integer: list[bool] = []
        self.whole = False
        self.sides: dict[str, dict[str, float]] = {}

    def begin(self, words: list[str]) -> None:
        following = dict(zip(("", *_SECTIONS), _SECTIONS, strict=False)).get(self.section)
        if words[0] != following or len(words) != (2 if words[0] == "NAME" else 1):
            raise ValueError(
                f"{_short(words)} where {following or 'nothing'} belongs: only what to_mps writes "
                "is read"
            )
        self.section = words[0]

    def take(self, words: list[str]) -> None:
        takes = {
            "ROWS": self._row,
            "COLUMNS": self._column,
            "RHS": self._rhs,
            "BOUNDS": self._bound,
        }
        if self.section not in takes or not takes[self.section](words):
            raise ValueError(f"{_short(words)} is nothing that to_mps writes there")

    def _row(self, words: list[str]) -> bool:
        if len(words) != 2 or words[0] not in ("N", "G", "L", "E") or words[1] in self.kinds:
            return False
        kind, name = words
        if not self.kinds:
            self.entries[name] = {}
            self.kinds[name] = kind
            return (kind, name) == ("N", "obj")
        if not _ROW.fullmatch(name):
            return False
        self.kinds[name] = kind
        self.entries[name] = {}
        return True

    def _column(self, words: list[str]) -> bool:
        if words[1:] == ["'MARKER'", "'INTEND'" if self.whole else "'INTORG'"]:
            self.whole = not self.whole
            return True
        if len(words) != 3 or not _VARIABLE.fullmatch(words[0]) or words[1] not in self.kinds:
            return False
        name, row, value = words
        j = self.places.setdefault(name, len(self.places))
        if j == len(self.integer):
            self.integer.append(self.whole)
        elif j + 1 < len(self.integer) or self.integer[j] != self.whole:
            raise ValueError(f"the entries of {name} do not stand together")
        if j in self.entries[row]:
            raise ValueError(f"{name} has a second entry in {row}")
        self.entries[row][j] = _number(value)
        return True

    def _rhs(self, words: list[str]) -> bool:
        if len(words) != 3 or words[0] != "rhs" or self.kinds.get(words[1], "N") == "N":
            return False
        if words[1] in self.bounds:
            raise ValueError(f"{words[1]} has a second bound")
        self.bounds[words[1]] = _number(words[2])
        return True

    def _bound(self, words: list[str]) -> bool:
        if len(words) < 3 or words[1] != "bnd" or words[2] not in self.places:
            return False
        kind, _, name = words[:3]
        if kind in ("FX", "LO", "UP"):
            if len(words) != 4:
                return False
            value = _number(words[3])
            new = {"FX": {"LO": value, "UP": value}}.get(kind, {kind: value})
        elif kind in _WITHOUT_NUMBER and len(words) == 3:
            if kind == "BV" and not self.integer[self.places[name]]:
                raise ValueError(f"{name} stands outside the markers of whole variables")
            new = _WITHOUT_NUMBER[kind]
        else:
            return False
        sides = self.sides.setdefault(name, {})
        if sides.keys() & new.keys():
            raise ValueError(f"{name} has a second bound")
        sides.update(new)
        return True

    def program(self) -> MILP:
        if self.section != "ENDATA":
            raise ValueError("the MPS text is torn: its last line, ENDATA, is missing")
        if not self.kinds or self.whole:
            raise ValueError("the MPS text has no objective, or a marker without its end")
        for name in self.places:
            if len(self.sides.get(name, {})) != 2:
                raise ValueError(f"the variable {name} of the MPS text needs both of its bounds")
        names, lower, upper = self._rows()
        mask_columns = self._mask_columns()
        rows = [i for i, name in enumerate(names) for _ in self.entries[name]]
        columns = [j for name in names for j in self.entries[name]]
        values = [value for name in names for value in self.entries[name].values()]
        c = np.zeros(len(self.places))
        for j, cost in self.entries["obj"].items():
            c[j] = cost
        others = np.ones(len(c), np.bool_)
        others[mask_columns] = False
        at_row, at_column = np.array(rows, np.int64), np.array(columns, np.int64)
        order = np.lexsort((at_column, at_row, others[at_column]))
        return MILP(
            c=c,
            rows=at_row[order],
            columns=at_column[order],
            values=np.array(values, np.float64)[order],
            row_lower=np.array(lower, np.float64),
            row_upper=np.array(upper, np.float64),
            lower=np.array([self.sides[name]["LO"] for name in self.places], np.float64),
            upper=np.array([self.sides[name]["UP"] for name in self.places], np.float64),
            integer=np.array(self.integer, np.bool_),
            counts=np.array([name.startswith("count") for name in names], np.bool_),
            mask_columns=mask_columns,
        )

    def _rows(self) -> tuple[list[str], list[float], list[float]]:
        """Return the program's rows: their names, and both bounds of each."""
        names: list[str] = []
        lower: list[float] = []
        upper: list[float] = []
        for name, kind in list(self.kinds.items())[1:]:
            if kind != "N" and name not in self.bounds:
                raise ValueError(f"the row {name} of the MPS text has no bound in RHS")
            bound = self.bounds.get(name, np.inf)
            if name.endswith("_upper"):
                twin = names[-1] if names else ""
                if (f"{twin}_upper", self.kinds.get(twin), kind) != (name, "G", "L") or repr(
                    self.entries[twin]
                ) != repr(self.entries[name]):
                    raise ValueError(
                        f"the row {name} of the MPS text does not repeat the one above"
                    )
                upper[-1] = bound
                continue
            if name not in (f"r{len(names)}", f"count{len(names)}"):
                raise ValueError(
                    f"the row {name} of the MPS text stands where r{len(names)} belongs"
                )
            names.append(name)
            lower.append(bound if kind in "EG" else -np.inf)
            upper.append(bound if kind in "EL" else np.inf)
        return names, lower, upper

    def _mask_columns(self) -> IntArray:
        """Return where the entries of the mask are; x and z must be numbered without gaps."""
        mask = [name for name in self.places if name[0] == "x"]
        others = [name for name in self.places if name[0] == "z"]
        for name in [f"x{k}" for k in range(len(mask))] + [f"z{k}" for k in range(len(others))]:
            if name not in self.places:
                raise ValueError(f"the variable {name} of the MPS text is missing")
        if others != [f"z{k}" for k in range(len(others))]:
            raise ValueError("the variables z0, z1, … of the MPS text are not in order")
        return np.array([self.places[f"x{k}"] for k in range(len(mask))], np.int64)


_WITHOUT_NUMBER = {
    "BV": {"LO": 0.0, "UP": 1.0},
    "FR": {"LO": -np.inf, "UP": np.inf},
    "MI": {"LO": -np.inf},
    "PL": {"UP": np.inf},
}


def _number(word: str) -> float:
    value = float(word) if _NUMBER.fullmatch(word) else np.inf
    if not np.isfinite(value):
        raise ValueError(f"{word[:40]!r} is no finite number")
    return value


def _short(words: list[str]) -> str:
    return repr(" ".join(words)[:60])
