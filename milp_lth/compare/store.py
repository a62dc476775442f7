"""Where a comparison keeps what it measured: SQLite, one row a run."""

import csv
import io
import json
import sqlite3
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, get_type_hints

from instances.files import write_atomically
from milp_lth.compare.measuring import Run
from milp_lth.databases import open_database, writing
from milp_lth.environment import ENVIRONMENT
from milp_lth.value_kinds import fits
from solvers.solution import Status

FILE = "comparison.sqlite"

_KEY = ("set_name", "row", "solver", "seed")
_REAL = ("optimum", "reported_objective", "reported_bound", "objective", "violation", "bound",
         "seconds", "build_seconds", "start_seconds")  # fmt: skip
_WHOLE = ("row", "seed", "num_candidates")
_COLUMNS = [f"{n} {'integer' if n in _WHOLE else 'text'} not null" for n in Run._fields]
_KINDS: Any = tuple[*get_type_hints(Run).values()]  # type: ignore[misc]
"""What a run is made of."""

_SETTINGS = {
    "asked": dict[str, Any],
    "environment": ENVIRONMENT | {"load": list[float]},
}
_SCHEMA = f"""
create table if not exists runs (
    {", ".join(_COLUMNS)},
    primary key ({", ".join(_KEY)})
) strict;
create table if not exists batches (
    set_name text not null, solver text not null, rows_per_second real,
    primary key (set_name, solver)
) strict;
create table if not exists settings (name text primary key, value text not null) strict;
"""


class Store:
    """The results of one comparison folder.

    Raises
    ------
    ValueError
        When the file is damaged or no such store.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._connection = open_database(self._path, _SCHEMA, create=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def put(self, run: Run) -> None:
        """Record a run, durably."""
        places = ", ".join("?" * len(Run._fields))
        with writing(self._connection, self._path) as connection:
            connection.execute(
                f"insert or replace into runs values ({places})",
                [_written(name, value) for name, value in run._asdict().items()],
            )

    def runs(self) -> list[Run]:
        """Return all runs, by set, row, solver and seed.

        Raises
        ------
        ValueError
            When the record of one is damaged.
        """
        rows = self._select(f"select * from runs order by {', '.join(_KEY)}")
        return [self._run(row) for row in rows]

    def _run(self, row: tuple[Any, ...]) -> Run:
        try:
            run = Run(*map(_read, Run._fields, row))
            if not fits(run, _KINDS) or run.status not in Status.__members__ or run.row < 0:
                raise ValueError("not the values of a run")
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{self._path}: the record of a run is damaged ({error})") from error
        return run

    def known(self) -> set[tuple[str, int, str, int]]:
        """Return (set, row, solver, seed) of every run."""
        return set(self._select(f"select {', '.join(_KEY)} from runs"))

    def put_batch(self, set_name: str, solver: str, rows_per_second: float | None) -> None:
        """Record a throughput."""
        with writing(self._connection, self._path) as connection:
            connection.execute(
                "insert or replace into batches values (?, ?, ?)",
                (set_name, solver, rows_per_second),
            )

    def batches(self) -> dict[tuple[str, str], float | None]:
        """Return rows per second by set and solver."""
        rows = self._select("select set_name, solver, rows_per_second from batches")
        return {(set_name, solver): value for set_name, solver, value in rows}

    def put_settings(self, settings: dict[str, Any]) -> None:
        """Record what was asked and where it ran."""
        rows = [(name, json.dumps(value)) for name, value in settings.items()]
        with writing(self._connection, self._path) as connection:
            connection.executemany("insert or replace into settings values (?, ?)", rows)

    def settings(self) -> dict[str, Any]:
        """Return what was recorded.

        Raises
        ------
        ValueError
            When it is damaged.
        """
        rows = self._select("select * from settings")
        try:
            settings = {name: json.loads(value) for name, value in rows}
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{self._path}: what was asked is damaged ({error})") from error
        if settings and not (fits(settings, _SETTINGS) and settings["environment"]["load"]):
            raise ValueError(f"{self._path}: what was asked is damaged")
        return settings

    def _select(self, query: str) -> list[Any]:
        try:
            return self._connection.execute(query).fetchall()
        except sqlite3.Error as error:
            raise ValueError(f"{self._path}: not a whole results file ({error})") from error


def write_csv(runs: list[Run], path: Path) -> None:
    """Write all runs, masks and traces as JSON text, to a CSV file."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(Run._fields)
    for run in runs:
        writer.writerow([json.dumps(v) if isinstance(v, list) else v for v in run])
    write_atomically(path, file.getvalue().encode())


def write_parquet(runs: list[Run], path: Path) -> None:
    """Write all runs to a Parquet file.

    Raises
    ------
    ImportError
        When pyarrow is missing.
    """
    require_parquet()
    import pyarrow as pa
    from pyarrow import parquet

    lists = {"mask": pa.list_(pa.int64()), "trace": pa.list_(pa.list_(pa.float64(), 3))}
    plain = {"real": pa.float64(), "integer": pa.int64(), "text": pa.string()}
    schema = pa.schema([(name, lists.get(name, plain[_kind(name)])) for name in Run._fields])
    columns = {name: [getattr(run, name) for run in runs] for name in Run._fields}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns, schema), file)
    write_atomically(path, file.getvalue())


def require_parquet() -> None:
    """Raise the `ImportError` of `write_parquet` now rather than after the work."""
    if find_spec("pyarrow") is None:
        raise ImportError("Parquet needs pyarrow: pip install 'milp_lth[parquet]'")


def _kind(name: str) -> str:
    return "real" if name in _REAL else "integer" if name in _WHOLE else "text"


def _written(name: str, value: Any) -> Any:
    if name in _REAL:  # text holds what a real column would not: NaN, and every bit
        return float(value).hex()
    return json.dumps(value) if isinstance(value, list) else value


def _read(name: str, value: Any) -> Any:
    if name in _REAL:
        return float.fromhex(value)
    if name == "trace":
        return [tuple(point) for point in json.loads(value)]
    return json.loads(value) if name == "mask" else value
