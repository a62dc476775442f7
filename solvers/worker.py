"""A process that solves, and can be killed: what makes a time limit certain.

Started as ``python -P -m solvers.worker``, never by multiprocessing, whose fork and spawn both were
seen to break in users' programs. It reads instances from its standard input and answers on its
standard output; whatever a backend prints goes to standard error.
"""

import atexit
import contextlib
import dataclasses
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any, BinaryIO

from instances.arrays import BoolArray
from instances.files import CLASSES, from_fields, to_fields
from instances.instance import Instance
from instances.neurons import Neurons
from solvers.frames import proposal_arrays, proposal_from, read_frame, write_frame
from solvers.memory import end_children, resident_bytes
from solvers.solver import OnEvent, Proposal, Solver, nothing_known, put_rows

_OUT_OF_MEMORY = 86  # the exit code that tells so

START_LIMIT = 120.0
"""Seconds that a worker may take to import its backend and compile its kernels."""


class WorkerDiedError(RuntimeError):
    """The worker's process ended by itself."""


class OutOfMemoryError(WorkerDiedError):
    """The worker's process ended because it took more memory than it may."""


class Worker:
    """A worker process and the pipe to it. One at a time solves; it is started anew when killed.

    Parameters
    ----------
    memory_limit
        Bytes that the process and all it starts may have resident; None: as many as there are. It
        is looked at ten times a second.
    """

    def __init__(self, memory_limit: float | None = None) -> None:
        self._memory_limit = memory_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._frames: queue.Queue[Any] = queue.Queue()
        self._folder = ""
        self._lock = threading.Lock()

    def propose(
        self,
        solver: Solver,
        instance: Instance,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Have `solver` propose, and kill it when it overruns `time_limit` seconds.

        The clock starts when the worker has imported the backend. Rows that were found before the
        kill are kept; the others are as in `start`.

        Raises
        ------
        RuntimeError
            When the backend raised, or its process died of itself: then a `WorkerDiedError`, or an
            `OutOfMemoryError`.
        """
        with self._lock:
            try:
                return self._propose(solver, instance, time_limit, start, on_event)
            except BaseException:
                self.kill()
                raise

    def _propose(
        self,
        solver: Solver,
        instance: Instance,
        time_limit: float,
        start: BoolArray | None,
        on_event: OnEvent | None,
    ) -> Proposal:
        whole = nothing_known(instance, start)
        began = time.monotonic()
        process = self._ready(solver)
        whole.stats["start_seconds"] = time.monotonic() - began
        header = {"solve": True, "time_limit": time_limit, "start": start is not None}
        arrays = to_fields(instance) | ({"start_mask": start} if start is not None else {})
        deadline = time.monotonic() + time_limit
        _send(process, header, arrays)
        while True:
            # the solver stops by itself if it can: it is killed a little later
            frame = self._next(deadline + min(0.05 * time_limit + 0.4, 5.0))
            if frame is None:
                self.kill()
                whole.stats["killed"] = 1.0
                return whole
            answer, parts = frame
            if "error" in answer:
                raise RuntimeError(f"{type(solver).__name__} failed: {answer['error']}")
            part = proposal_from(parts, answer["stats"])
            put_rows(whole, answer["first"], part)
            if answer["done"]:
                started = whole.stats["start_seconds"] + part.stats.get("start_seconds", 0.0)
                whole.stats.update(part.stats | {"start_seconds": started})
                return whole
            if on_event is not None:
                on_event(answer["first"], part)

    def _ready(self, solver: Solver) -> "subprocess.Popen[bytes]":
        """Return the process once it has imported the solver and tried it."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        process = self._process
        assert process is not None
        _send(process, {"solver": _place(solver), "parameters": _parameters(solver)}, {})
        frame = self._next(time.monotonic() + START_LIMIT)
        if frame is None:
            raise RuntimeError(f"the solver's process did not start within {START_LIMIT:.0f} s")
        if "error" in frame[0]:
            raise RuntimeError(f"{type(solver).__name__} failed: {frame[0]['error']}")
        return process

    def _start(self) -> None:
        self.kill()
        self._folder = tempfile.mkdtemp(prefix="milp_lth.")
        self._frames = queue.Queue()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "solvers.worker", self._folder, *self._options()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": self._folder, "PYTHONPATH": _search_path()},
            start_new_session=True,  # Ctrl-C is its owner's, and its own children die with it
        )
        self._process = process
        threading.Thread(target=_collect, args=(process, self._frames), daemon=True).start()

    def _options(self) -> list[str]:
        return [] if self._memory_limit is None else [str(int(self._memory_limit))]

    def _next(self, deadline: float) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the next message, or None when `deadline` has passed."""
        try:
            frame = self._frames.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None
        if frame is None:
            code = self._process.wait() if self._process is not None else None
            if code == _OUT_OF_MEMORY:
                raise OutOfMemoryError("the solver's process took more memory than it may")
            raise WorkerDiedError(f"the solver's process died (exit code {code})")
        return frame  # type: ignore[no-any-return]

    def kill(self) -> None:
        """End the process and all it started, and remove its temporary files."""
        with _undisturbed():
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                for pipe in (self._process.stdin, self._process.stdout):
                    with contextlib.suppress(OSError):
                        if pipe is not None:
                            pipe.close()
                self._process = None
            if self._folder:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = ""


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C back while something short is done, which nobody would do afterwards."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed and callable(before):
            before(signal.SIGINT, None)  # not sent once more: some count what is sent
        elif pressed:
            signal.raise_signal(signal.SIGINT)


WORKER = Worker()
"""The process that `solve` uses when a time limit is given; it lives until this one ends."""
atexit.register(WORKER.kill)


def _search_path() -> str:
    """Let the worker find what its owner imports, beginning with this very package."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.pathsep.join([here, *(p for p in sys.path if p and p != here)])


def _collect(process: "subprocess.Popen[bytes]", frames: "queue.Queue[Any]") -> None:
    stream: Any = process.stdout
    with contextlib.suppress(ValueError, OSError):  # the pipe was closed by kill()
        while (frame := read_frame(stream)) is not None:
            frames.put(frame)
    frames.put(None)


def _send(process: "subprocess.Popen[bytes]", header: dict[str, Any], arrays: Any) -> None:
    stream: Any = process.stdin
    try:
        write_frame(stream, header, arrays)
    except (BrokenPipeError, OSError) as error:
        raise WorkerDiedError("the solver's process died") from error


def _place(solver: Solver) -> str:
    return f"{type(solver).__module__}:{type(solver).__qualname__}"


def _parameters(solver: Any) -> dict[str, Any]:
    return dataclasses.asdict(solver)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    solver: Any = None
    while (frame := read_frame(requests)) is not None:
        header, arrays = frame
        try:
            if "solver" in header:
                module, _, name = header["solver"].partition(":")
                solver = getattr(import_module(module), name)(**header["parameters"])
                _warm_up(solver)
                write_frame(answers, {}, {})
                continue
            start = arrays.pop("start_mask", None)

            def found(first: int, part: Proposal) -> None:
                header = {"first": first, "done": False, "stats": {}}
                write_frame(answers, header, proposal_arrays(part))

            instance, limit = from_fields(arrays), header["time_limit"]
            began = time.perf_counter()
            whole = solver.propose(instance, limit, start=start, on_event=found)
            took = time.perf_counter() - began - whole.stats.get("start_seconds", 0.0)
            stats = whole.stats | {"solve_seconds": took}  # what the pipe takes left out
            header = {"first": 0, "done": True, "stats": stats}
            write_frame(answers, header, proposal_arrays(whole))
        except Exception as error:
            write_frame(answers, {"error": f"{type(error).__name__}: {error}"}, {})


def _warm_up(solver: Solver) -> None:
    """Solve something tiny, so that imports and compilation are not on the clock."""
    tinies = [problem_class.tiny() for problem_class in CLASSES.values()]
    tinies.append(dataclasses.replace(Neurons.tiny(), norm=1.0))  # other code than that of norm 2
    for tiny in tinies:
        if solver.supports(tiny):
            solver.propose(tiny, 10.0)


def _die_with(owner: int, folder: str) -> None:
    """End this process and its children once its owner is gone, however that came.

    Their temporary files go with them: nobody else is left to remove them.
    """
    while os.getppid() == owner:
        time.sleep(0.5)
    end_children()
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _stay_within(memory_limit: int) -> None:
    """End this process and its children once they have more than `memory_limit` bytes resident."""
    while resident_bytes() <= memory_limit:
        time.sleep(0.1)
    end_children()
    os._exit(_OUT_OF_MEMORY)


def main() -> None:
    """Serve until the owner closes the pipe."""
    folder, *limits = sys.argv[1:]
    for limit in limits:
        threading.Thread(target=_stay_within, args=(int(limit),), daemon=True).start()
    threading.Thread(target=_die_with, args=(os.getppid(), folder), daemon=True).start()
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a backend that prints must not break the messages
    try:
        _serve(requests, answers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
