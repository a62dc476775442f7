"""One case of fuzzing: a file is changed and read; nothing but a ValueError may come of it.

``python tests/fuzz/fuzzing.py 20000`` makes so many changes, evenly spread, and prints a table.
"""

import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
from whole_files import READERS, Reader

SECONDS = 10
"""What a case may take."""


class TooLongError(BaseException):
    """Raised in the middle of whatever takes too long; no `except Exception` catches it."""


@contextmanager
def at_most(seconds: int = SECONDS) -> Iterator[None]:
    """Raise `TooLongError` where something takes longer."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Case:
    """A whole file in a folder of its own, to be changed and read over and over."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.reader, self.folder = reader, folder
        self.path = reader.make(folder)
        self.content = self.path.read_bytes()
        self.names = self._names()
        reader.read(self.path)

    def _names(self) -> set[str]:
        return {str(path) for path in self.folder.rglob("*")}

    def tried(self, seed: int) -> str | None:
        """Change the file, read it, and return why it was refused; None where it was read.

        Raises
        ------
        AssertionError
            When a warning was printed, the reason is not one line, or files were left.
        TooLongError
            When it takes too long.
        Exception
            Whatever else the reader raised: a bug of it.
        """
        rng = np.random.default_rng(seed)
        change = self.reader.changes[int(rng.integers(len(self.reader.changes)))]
        self.path.write_bytes(change(self.content, rng))
        said = None
        with at_most(), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                self.reader.read(self.path)
            except ValueError as error:
                said = " ".join(str(error).split())
        assert not told, told[0].message
        assert said is None or 0 < len(said) < 2000, said
        left = self._names() - self.names
        for name in left:
            Path(name).unlink()
        assert not left, f"left behind: {left}"
        return said


def main(num_cases: int) -> int:
    """Spread the cases over all kinds of files and print what became of them."""
    each, failed = -(-num_cases // len(READERS)), 0
    print(f"{'file':45} {'cases':>6} {'read':>6} {'refused':>8} {'failed':>7} {'slowest, s':>11}")
    with tempfile.TemporaryDirectory() as place:
        for k, (name, reader) in enumerate(READERS.items()):
            case, found, slowest = Case(reader, Path(place) / str(k)), Counter[str](), 0.0
            for seed in range(each):
                began = time.perf_counter()
                try:
                    found["read" if case.tried(seed) is None else "refused"] += 1
                except (Exception, TooLongError):
                    found["failed"] += 1
                    print(f"{name}, seed {seed}:\n{traceback.format_exc()}", file=sys.stderr)
                slowest = max(slowest, time.perf_counter() - began)
            print(
                f"{name:45} {each:6} {found['read']:6} {found['refused']:8} {found['failed']:7} "
                f"{slowest:11.2f}"
            )
            failed += found["failed"]
    print(f"{each * len(READERS):,} changes to {len(READERS)} kinds of files, {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
