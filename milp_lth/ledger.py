"""What a run has found so far, in SQLite: one row per solved chunk, one per figure.

A chunk's numbers are blobs. One that is empty repeats another: objectives the errors, bounds the
objectives. Whole numbers below 256, such as counts of candidates, take a byte each, others eight.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray, FloatArray
from milp_lth.databases import open_database, writing
from milp_lth.recorded_figures import check_figures
from milp_lth.value_kinds import fits
from solvers.solution import Solution, Status

FILE = "results.sqlite"

DIGESTS = "digests"
"""The figure that seals a finished run."""

_SCHEMA = """
create table if not exists chunks (
    part integer not null, start integer not null, stop integer not null,
    mask blob not null, objective blob not null, error blob not null, bound blob not null,
    status blob not null, solver text not null, abs_gap real not null, rel_gap real not null,
    seconds real not null,
    primary key (part, start)
) strict;
create table if not exists figures (name text primary key, value text not null) strict;
"""


_PLACE = tuple[int, int, int]
_ROW = tuple[int, int, int, bytes, bytes, bytes, bytes, bytes, str, float, float, float]
"""What the columns of a chunk hold."""


class ContradictionError(ValueError):
    """Records that cannot both be true."""


class Chunk(NamedTuple):
    """The recorded answer to the rows from `start` to before `stop` of a part; shapes (rows,)."""

    part: int
    start: int
    stop: int
    packed_mask: bytes
    objective: FloatArray
    error: FloatArray
    bound: FloatArray
    status: NDArray[np.uint8]
    solver: str
    abs_gap: float
    rel_gap: float
    seconds: float

    @classmethod
    def of(cls, part: int, start: int, stop: int, solution: Solution) -> Self:
        """Return what is recorded of a solution: all but the problems, which can be drawn again."""
        s = solution
        return cls(
            part, start, stop, np.packbits(s.mask).tobytes(), s.objective, s.error, s.bound,
            s.status, s.solver, s.abs_gap, s.rel_gap, s.seconds,
        )  # fmt: skip

    def mask(self, num_candidates: int) -> BoolArray:
        """Return the masks, shape (rows, num_candidates).

        Raises
        ------
        ContradictionError
            When the recorded bits are not as many.
        """
        num_bits = (self.stop - self.start) * num_candidates
        packed = np.frombuffer(self.packed_mask, dtype=np.uint8)
        if len(packed) != (num_bits + 7) // 8:
            raise ContradictionError("the recorded masks do not fit the problems")
        bits = np.unpackbits(packed, count=num_bits)
        return bits.reshape(self.stop - self.start, num_candidates).astype(np.bool_)

    def write_to(self, masks: Sequence[BoolArray]) -> None:
        """Write the masks where they belong among those of all parts, shapes (rows, n)."""
        mask = masks[self.part]
        mask[self.start : self.stop] = self.mask(mask.shape[1])


class Ledger:
    """The results of one run folder.

    Raises
    ------
    ValueError
        When the file is missing (unless `create`), damaged, or no ledger.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.folder = folder
        self._path = folder / FILE
        self._connection = open_database(self._path, _SCHEMA, create=create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def put(self, chunk: Chunk) -> None:
        """Record a solved chunk, durably."""
        blobs = (
            _bytes(chunk.objective, unless=chunk.error),
            _bytes(chunk.error),
            _bytes(chunk.bound, unless=chunk.objective),
            chunk.status.astype(np.uint8).tobytes(),
        )
        with writing(self._connection, self._path) as connection:
            connection.execute(
                "insert or replace into chunks values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*chunk[:4], *blobs, *chunk[8:]),
            )

    def done(self) -> dict[int, list[tuple[int, int]]]:
        """Return (start, stop) of every recorded chunk, by part, in order."""
        found: dict[int, list[tuple[int, int]]] = {}
        for part, start, stop in self._select(
            "select part, start, stop from chunks order by part, start"
        ):
            if not fits((part, start, stop), _PLACE) or not 0 <= start < stop or part < 0:
                raise ValueError(f"{self._path}: the record of part {part}, row {start} is damaged")
            found.setdefault(part, []).append((start, stop))
        return found

    def chunks(self) -> Iterator[Chunk]:
        """Yield the recorded chunks in order, read one after the other.

        Raises
        ------
        ValueError
            When a record is damaged.
        """
        for row in self._select("select * from chunks order by part, start"):
            yield self._chunk(row)

    def chunk(self, part: int, start: int) -> Chunk:
        """Return the recorded chunk of a part that begins at row `start`.

        Raises
        ------
        ValueError
            When there is none, or its record is damaged.
        """
        query = "select * from chunks where part = ? and start = ?"
        for row in self._select(query, part, start):
            return self._chunk(row)
        raise ValueError(f"{self._path}: part {part}, row {start} is not recorded")

    def _chunk(self, row: tuple[Any, ...]) -> Chunk:
        part, start, stop, mask, objective, error, bound, status, *rest = row
        try:
            if not fits(row, _ROW) or not 0 <= start < stop or part < 0 or min(rest[1:]) < 0:
                raise ValueError("another place, or other kinds of values")
            errors = _numbers(error, stop - start)
            objectives = _numbers(objective, stop - start) if objective else errors
            bounds = _numbers(bound, stop - start) if bound else objectives
            statuses = np.frombuffer(status, dtype=np.uint8)
            if len(statuses) != stop - start or statuses.max() >= len(Status):
                raise ValueError("as many statuses as rows")
            if any(np.isnan(numbers).any() for numbers in (objectives, errors, bounds)):
                raise ValueError("NaN")
        except ValueError as damage:
            where = f"part {part}, row {start}"
            raise ValueError(f"{self._path}: the record of {where} is damaged") from damage
        return Chunk(part, start, stop, mask, objectives, errors, bounds, statuses, *rest)

    def put_figures(self, figures: dict[str, Any]) -> None:
        """Record figures by name, each as JSON."""
        rows = [(name, json.dumps(value)) for name, value in figures.items()]
        with writing(self._connection, self._path) as connection:
            connection.executemany("insert or replace into figures values (?, ?)", rows)

    def figures(self, *, shown: bool = False) -> dict[str, Any]:
        """Return the recorded figures.

        Parameters
        ----------
        shown
            Whether pages or tables are made of them: each must then be what they take for granted.

        Raises
        ------
        ValueError
            When one is damaged.
        """
        rows = list(self._select("select * from figures"))
        try:
            figures = {name: json.loads(value) for name, value in rows}
            if shown:
                check_figures(figures, finished=DIGESTS in figures)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{self._path}: a recorded figure is damaged ({error})") from error
        return figures

    def digest(self) -> str:
        """Return the SHA-256 of everything recorded but the digests themselves."""
        sha = hashlib.sha256()
        for row in self._select("select * from chunks order by part, start"):
            sha.update(repr(row).encode())
        for row in self._select("select * from figures order by name"):
            if row[0] != DIGESTS:
                sha.update(repr(row).encode())
        return sha.hexdigest()

    def _select(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.Error as error:
            raise ValueError(f"{self._path}: not a whole results file ({error})") from error


def _bytes(array: FloatArray, *, unless: FloatArray | None = None) -> bytes:
    """Return numbers as they are recorded: nothing where they are those of `unless`."""
    if unless is not None and array.tobytes() == unless.tobytes():
        return b""
    small = (array >= 0) & (array < 256) & (array == np.floor(array)) & ~np.signbit(array)
    return array.astype(np.uint8 if small.all() else "<f8").tobytes()


def _numbers(blob: bytes, count: int) -> FloatArray:
    """Return what `_bytes` recorded; ValueError where the blob has another length."""
    array = np.frombuffer(blob, dtype=np.uint8 if len(blob) == count else "<f8")
    if len(array) != count:
        raise ValueError(f"{count} numbers in {len(blob)} bytes")
    return array.astype(np.float64)
