"""Starting ``milp-lth`` in processes that are to be killed: from nothing, or off a warm one.

A command's imports take longer than small work. ``python launching.py`` has done them, and forks
for every command, so that a random instant is mostly one of the work.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Self

_MARK = "MILP_LTH_TEST_PROCESS"
KILL_AT = "MILP_LTH_TESTKILL_AT"
_STEPS = {"open": 0, "os.rename": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0,
          "sqlite3.connect": 0}  # fmt: skip
"""What changes files, by its auditing event, and which of its arguments is the path."""
_ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
_WARM = (
    "milp_lth.execution", "milp_lth.run_creation", "milp_lth.compare.page",
    "milp_lth.compare.comparison", "milp_lth.rivals.page", "milp_lth.rivals.edge_popup",
    "milp_lth.rivals.masked", "milp_lth.rivals.checkpoint", "milp_lth.reproduce.structures",
    "milp_lth.reproduce.planted", "milp_lth.reproduce.claims.every",
    "milp_lth.reproduce.phase_transition",
    "milp_lth.constructions.two_layer", "milp_lth.constructions.direct", "milp_lth.report.figures",
    "milp_lth.cli.figures", "solvers.exact.cp_sat", "ortools.sat.python.cp_model",
    "solvers.exact.meet_in_the_middle", "numba.np.arrayobj", "sklearn.datasets", "sklearn.metrics",
    "plotly.graph_objects", "plotly.io", "matplotlib.backends.backend_svg", "torch._dynamo",
    "rich.console", "rich.table",
)  # fmt: skip
"""What commands import on use."""


@dataclass
class Started:
    """A command at work, in a session of its own."""

    pid: int
    mark: str
    out: Path
    """What it prints is here, and what it says on standard error in a file beside."""
    warm: "Warm | None"
    began: float = field(default_factory=time.monotonic)
    _code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it works."""
        if self._code is None:
            if self.warm is None:
                found, status = os.waitpid(self.pid, os.WNOHANG)
            else:
                found, status = self.warm.ask(wait=self.pid)
            if found:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self, seconds: float = 300.0) -> int:
        """Return the exit code."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            assert time.monotonic() < deadline, f"still at work after {seconds} s"
            time.sleep(0.005)
        return code

    def descendants(self) -> list[int]:
        """Return the processes that it started, whoever owns them now."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{_MARK}={self.mark}\0".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return [pid for pid in found if pid != self.pid]

    def kill(self, *, all_of_it: bool = True) -> bool:
        """Kill it by SIGKILL, with all it started or alone; return whether it was still at work."""
        at_work = self.poll() is None
        if at_work:
            os.kill(self.pid, signal.SIGKILL)
        for pid in self.descendants() if all_of_it else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return self.wait() == -signal.SIGKILL if at_work else False

    def interrupt(self) -> None:
        """Press Ctrl-C: the signal goes to all processes of its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGINT)

    def left_behind(self, seconds: float = 5.0) -> list[int]:
        """Return what it started and is still there some seconds after its end."""
        deadline = time.monotonic() + seconds
        while (left := self.descendants()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def litter(self) -> list[str]:
        """Return the temporary files that it and what it started have left.

        A cache of torch's does not count: it is meant to stay.
        """
        left = os.listdir(_temporary(self.out))
        return [name for name in left if not name.startswith("torchinductor_")]

    def printed(self) -> str:
        """Return its standard output."""
        return self.out.read_text()

    def said(self) -> str:
        """Return its standard error."""
        return self.out.with_suffix(".err").read_text()


def _temporary(out: Path) -> Path:
    """Where a command that prints to `out` has its temporary files."""
    return out.with_suffix(".tmp")


def start(
    arguments: Sequence[str], folder: Path, *, warm: "Warm | None" = None,
    logs: Path | None = None, environment: dict[str, str] | None = None,
) -> Started:  # fmt: skip
    """Start ``milp-lth`` with these arguments in a folder, off a warm process if there is one.

    What it prints goes to files in `logs`, else beside the folder's others.
    """
    mark = uuid.uuid4().hex
    logs = folder / "logs" if logs is None else logs
    logs.mkdir(exist_ok=True)
    out = logs / f"{mark}.out"
    _temporary(out).mkdir()
    extra = (environment or {}) | {_MARK: mark, "TMPDIR": str(_temporary(out))}
    if warm is not None:
        pid = warm.ask(arguments=list(arguments), cwd=str(folder), out=str(out), extra=extra)[0]
        return Started(pid, mark, out, warm)
    with out.open("wb") as printed, out.with_suffix(".err").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "milp_lth", *arguments],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=printed, stderr=said,
            start_new_session=True, env=_ENVIRONMENT | extra,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    process.returncode = 0  # it is waited for by its number
    return Started(process.pid, mark, out, None)


class Warm:
    """A process that has imported what commands need, and forks for each of them."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=_ENVIRONMENT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.ask() == [0, 0]
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()

    def ask(self, **request: Any) -> list[int]:
        """Return the answer to a request: to start a command, or how one is."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: list[int] = json.loads(self._process.stdout.readline())
        return answer


def _serve() -> None:
    for name in _WARM:
        import_module(name)
    sys.modules["plotly.graph_objects"].Figure(layout={"template": "plotly"})
    vars(sys.modules["milp_lth.rivals.checkpoint"])["_EVERY"] = 0.0  # seconds: small work has some
    from milp_lth.cli.main import COMMANDS, main

    for name in COMMANDS:
        import_module(f"milp_lth.cli.{name}")
    at_work = set()
    for line in sys.stdin:
        request = json.loads(line)
        answer = [0, 0]
        if "wait" in request:
            answer = list(os.waitpid(request["wait"], os.WNOHANG))
            at_work.discard(answer[0])
        elif request:
            answer[0] = os.fork()
            if answer[0] == 0:
                _become(request)
                main(request["arguments"])
            at_work.add(answer[0])
        print(json.dumps(answer), flush=True)
    for pid in at_work:  # whoever asked is gone, perhaps killed: some commands would never end
        os.kill(pid, signal.SIGKILL)


def _become(request: dict[str, Any]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has none
    os.chdir(request["cwd"])
    os.environ |= request["extra"]
    tempfile.tempdir = None  # as found before, it would be another's
    streams = (os.devnull, request["out"], str(Path(request["out"]).with_suffix(".err")))
    for number, name in enumerate(streams):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    if KILL_AT in request["extra"]:
        _die_at_step(int(request["extra"][KILL_AT]), request["cwd"])


def _die_at_step(number: int, folder: str) -> None:
    """Have this process killed as it changes anything in `folder` for the so-manieth time."""
    steps = itertools.count()

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event not in _STEPS or (event == "open" and not given[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        path = given[_STEPS[event]]
        path = "" if isinstance(path, int) else os.path.abspath(os.fsdecode(path))
        if not path.startswith(folder + os.sep) or path.startswith(os.environ["TMPDIR"]):
            return
        if next(steps) == number:
            if event == "open" and given[2] & (os.O_CREAT | os.O_TRUNC):
                Path(path).write_text("half")  # killed a little later, it could leave this
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    _serve()
