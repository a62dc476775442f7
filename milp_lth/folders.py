"""Folders that a command writes into: whether it may begin there, and that nobody else is at it."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

_HALF_WRITTEN = re.compile(r"\..+\.[a-z0-9_]{8}")
"""The names under which `write_atomically` writes, and which a killed process leaves."""


def is_free(folder: Path, *own: str) -> bool:
    """Whether a folder may be begun.

    Parameters
    ----------
    folder
        Need not be there.
    own
        Files that may lie in it, beside what a killed process left half-written.

    Returns
    -------
    bool
        False where anything else lies in it, or it is a file.
    """
    if not folder.exists():
        return True
    return folder.is_dir() and all(
        path.name in own or _HALF_WRITTEN.fullmatch(path.name) for path in folder.iterdir()
    )


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep others out of a folder while it is written; what a killed process left there goes.

    The lock is the operating system's: it ends with this process, however that comes. Where the
    file system has none, nobody is kept out.

    Raises
    ------
    ValueError
        When another process is at work there.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"{folder}: another process is at work there: wait until it has ended"
            ) from error
        except OSError:
            pass
        for path in folder.rglob(".*"):
            if _HALF_WRITTEN.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    path.unlink()
        yield
    finally:
        os.close(handle)
