"""Files as they are read: regular ones alone, and JSON that is whole."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any


def size_of(path: Path) -> int:
    """Return the bytes of a file that has an end: no folder, pipe or device.

    Raises
    ------
    OSError
        When there is no such file, or it is none of these.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return found.st_size


def content_of(path: Path) -> bytes:
    """Return what is in a regular file.

    Raises
    ------
    OSError
        As `size_of` does.
    """
    size_of(path)
    return path.read_bytes()


def json_of(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    OSError
        As `size_of` does.
    ValueError
        When it is not UTF-8, no JSON, or nested too deeply.
    """
    try:
        return json.loads(content_of(path).decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
