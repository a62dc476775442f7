"""What a run has found so far, in SQLite: one row per solved chunk, one per figure."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from instances.arrays import BoolArray, FloatArray
from solvers.solution import Solution

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
        self._path = folder / FILE
        if not create and not self._path.is_file():
            raise ValueError(f"{self._path}: there is no such file")
        mode = "rwc" if create else "rw"
        try:
            self._connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}", uri=True
            )
            if create:
                self._connection.execute("pragma journal_mode = wal")
                self._connection.executescript(_SCHEMA)
            self._connection.execute("select count(*) from chunks").fetchone()
        except sqlite3.Error as error:
            raise ValueError(f"{self._path}: not a whole results file ({error})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def put(self, chunk: Chunk) -> None:
        """Record a solved chunk, durably."""
        arrays: tuple[NDArray[Any], ...] = (
            chunk.objective, chunk.error, chunk.bound, chunk.status,
        )  # fmt: skip
        with self._connection:
            self._connection.execute(
                "insert or replace into chunks values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*chunk[:4], *map(_bytes, arrays), *chunk[8:]),
            )

    def done(self) -> dict[int, list[tuple[int, int]]]:
        """Return (start, stop) of every recorded chunk, by part, in order."""
        found: dict[int, list[tuple[int, int]]] = {}
        for part, start, stop in self._select(
            "select part, start, stop from chunks order by part, start"
        ):
            found.setdefault(part, []).append((start, stop))
        return found

    def chunks(self) -> Iterator[Chunk]:
        """Yield the recorded chunks in order.

        Raises
        ------
        ValueError
            When a record is damaged.
        """
        for row in self._select("select * from chunks order by part, start"):
            part, start, stop, mask, objective, error, bound, status, *rest = row
            chunk = Chunk(
                part,
                start,
                stop,
                mask,
                np.frombuffer(objective, dtype="<f8"),
                np.frombuffer(error, dtype="<f8"),
                np.frombuffer(bound, dtype="<f8"),
                np.frombuffer(status, dtype=np.uint8),
                *rest,
            )
            arrays = (chunk.objective, chunk.error, chunk.bound, chunk.status)
            if any(len(array) != chunk.stop - chunk.start for array in arrays):
                where = f"part {chunk.part}, row {chunk.start}"
                raise ValueError(f"{self._path}: the record of {where} is damaged")
            yield chunk

    def put_figures(self, figures: dict[str, Any]) -> None:
        """Record figures by name, each as JSON."""
        rows = [(name, json.dumps(value)) for name, value in figures.items()]
        with self._connection:
            self._connection.executemany("insert or replace into figures values (?, ?)", rows)

    def figures(self) -> dict[str, Any]:
        """Return the recorded figures.

        Raises
        ------
        ValueError
            When one is damaged.
        """
        try:
            return {
                name: json.loads(value) for name, value in self._select("select * from figures")
            }
        except json.JSONDecodeError as error:
            raise ValueError(f"{self._path}: a recorded figure is damaged ({error})") from error

    def digest(self) -> str:
        """Return the SHA-256 of everything recorded but the digests themselves."""
        sha = hashlib.sha256()
        for row in self._select("select * from chunks order by part, start"):
            sha.update(repr(row).encode())
        for row in self._select("select * from figures order by name"):
            if row[0] != DIGESTS:
                sha.update(repr(row).encode())
        return sha.hexdigest()

    def _select(self, query: str) -> list[Any]:
        try:
            return self._connection.execute(query).fetchall()
        except sqlite3.Error as error:
            raise ValueError(f"{self._path}: not a whole results file ({error})") from error


def _bytes(array: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
