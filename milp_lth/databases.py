"""SQLite files that hold the tables which belong there, and nothing else."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from instances.plain_files import size_of


def open_database(path: Path, schema: str, *, create: bool) -> sqlite3.Connection:
    """Open a database, or create it.

    One with views, triggers or other tables is refused: what these do when they are read or written
    to is up to whoever made the file.

    Parameters
    ----------
    path
        The file.
    schema
        The statements that create its tables.
    create
        Whether it may be missing or empty.

    Raises
    ------
    ValueError
        When it is missing (unless `create`), damaged, has other tables, or cannot be written.
    """
    try:
        if not create or path.exists():
            size_of(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: there is no such file") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    mode = "rwc" if create else "rw"
    if not all(os.access(place, os.W_OK) for place in (path.parent, path) if place.exists()):
        if create:
            raise ValueError(f"{path}: cannot be written (read-only)")
        log = path.with_name(f"{path.name}-wal")  # without one, nothing need be written to read
        mode = "ro" if log.exists() else "ro&immutable=1"
    connection = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
        found = _tables(connection)
        if create and not found:
            with writing(connection, path):
                connection.execute("pragma journal_mode = wal")
                connection.executescript(f"begin immediate; {schema} commit;")  # all or none
            found = _tables(connection)
        with sqlite3.connect(":memory:") as empty:
            empty.executescript(schema)
            expected = _tables(empty)
        empty.close()
        if found != expected:
            raise sqlite3.DatabaseError("its tables are others")
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error | UnicodeDecodeError):  # a damaged schema, quoted
            raise ValueError(f"{path}: not a whole results file ({error})") from error
        raise
    return connection


@contextlib.contextmanager
def writing(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """Write to a database: all of it durably, or nothing.

    Raises
    ------
    ValueError
        When it cannot be written, as on a full disk.
    """
    try:
        with connection:
            yield connection
    except sqlite3.Error as error:
        raise ValueError(f"{path}: cannot be written ({error})") from error


def _tables(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Return the name of everything in a database, and what created it, white space apart."""
    rows = connection.execute("select name, sql from sqlite_master where sql is not null")
    return {(str(name), " ".join(str(sql).split())) for name, sql in rows}
