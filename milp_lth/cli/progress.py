"""Progress with an estimate of what is left: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_SILENT = 2.0  # seconds before the first plain line
_EVERY = 5.0
_INSTANT = 0.2  # what is done by then was recorded before, and says nothing about the rate


class Progress:
    """Shows how many of a number of things are done. Writes to standard error alone.

    Parameters
    ----------
    what
        What is counted, such as "weights".
    quiet
        Show nothing.
    """

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        self._what = what
        self._quiet = quiet
        self._began = self._since = time.monotonic()
        self._known = 0
        self._next_line = self._began + _SILENT
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int, worst: float | None = None) -> None:
        """Report that `done` of `total` are done; `worst` is the largest error so far."""
        if self._quiet:
            return
        now = time.monotonic()
        if now - self._began < _INSTANT:
            self._known, self._since = done, now
        seconds = now - self._since
        rate = (done - self._known) / seconds if seconds else 0.0
        notes = [f"{rate:,.0f} {self._what}/s"] if rate >= 10 else []
        if worst is not None:
            notes.append(f"worst error {worst:.1e}")
        if sys.stderr.isatty():
            self._show_bar(done, total, ", ".join(notes))
        elif now >= self._next_line and done < total:
            left = [f"about {(total - done) / rate:.0f} s left"] if rate else []
            told = [f"{done:,} of {total:,} {self._what}", *left, *notes]
            print(", ".join(told), file=sys.stderr, flush=True)
            self._next_line = now + _EVERY

    def _show_bar(self, done: int, total: int, note: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.completed:,}/{task.total:,} {task.description}"),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.add_task(self._what, total=total, note=note)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, note=note)
