"""Ctrl-C: the first one is a request, the second an order."""

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self


class Interrupts:
    """Remembers the first Ctrl-C while it is entered; the second raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def asked(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._asked

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print(
            "milp-lth: finishing this chunk; Ctrl-C again stops at once",
            file=sys.stderr,
            flush=True,
        )
