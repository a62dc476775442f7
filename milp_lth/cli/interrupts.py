"""Ctrl-C: the first one is a request, the second an order."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_PATIENCE = 2.0  # seconds
_CODE = 130


class Interrupts:
    """Remembers the first Ctrl-C while it is entered; the next raises KeyboardInterrupt.

    Leaving it raises that, too, where there was any: what was interrupted is not called done, and
    libraries in other languages swallow the exception now and then, or make another one of it.
    Where they do not come back for it, this process ends all the same.

    Parameters
    ----------
    then
        What to do after it; told when the work was interrupted.
    requests
        How often Ctrl-C is only remembered.
    """

    def __init__(
        self, then: str = "continue by giving the same command again", *, requests: int = 1
    ) -> None:
        self._then, self._requests = then, requests
        self._times = 0
        self._before: Any = None
        self._left = threading.Event()

    def asked(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._times > 0

    def between(self, tell: Callable[..., None]) -> Callable[..., None]:
        """Return a callback that calls `tell`, and stops the work where Ctrl-C was pressed."""

        def told(*done: Any) -> None:
            if self.asked():
                raise KeyboardInterrupt
            tell(*done)

        return told

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
            told, self._tells = os.pipe()
            os.set_blocking(self._tells, False)
            self._told_before = signal.set_wakeup_fd(self._tells, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(told,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            self._left.set()
            signal.set_wakeup_fd(self._told_before)
            os.close(self._tells)
            signal.signal(signal.SIGINT, self._before)
        stopped = self._times > self._requests or (self.asked() and kind is None)
        if self._then and (stopped or kind is KeyboardInterrupt):
            _say(f"interrupted; {self._then}")
        if stopped and kind is not KeyboardInterrupt:
            raise KeyboardInterrupt from error

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._times += 1
        if self._times > self._requests:
            raise KeyboardInterrupt
        _say("finishing this chunk; Ctrl-C again stops at once")

    def _watch(self, told: int) -> None:
        """End this process where the main thread takes no notice of an order."""
        times = 0
        while signals := os.read(told, 1):
            times += signals[0] == signal.SIGINT
            if times > self._requests and not self._left.wait(_PATIENCE):
                _say(f"interrupted; {self._then}" if self._then else "interrupted")
                if sys.stderr.isatty():
                    os.write(2, b"\x1b[?25h")  # the cursor, which a bar hides
                os._exit(_CODE)
        os.close(told)


def _say(text: str) -> None:
    """Write a line to standard error, even in the middle of another's being written."""
    os.write(2, f"milp-lth: {text}\n".encode())
