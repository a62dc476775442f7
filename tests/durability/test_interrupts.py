"""Ctrl-C, as `Interrupts` takes it: the first finishes, the second stops, whoever is in its way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from milp_lth.cli import main as cli
from milp_lth.cli.interrupts import Interrupts
from solvers.worker import Worker

UNMOVED = """
import hashlib, sys
from milp_lth.cli import interrupts
interrupts._PATIENCE = 0.5  # seconds
with interrupts.Interrupts("begin again", requests=int(sys.argv[1])):
    print("here", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # an hour, and nothing of Python in it
"""


def press() -> None:
    """Press Ctrl-C; Python looks at it between two of its steps."""
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100):
        time.sleep(0.001)


def work(chunk: Callable[[Interrupts], None]) -> None:
    with Interrupts() as interrupts:
        chunk(interrupts)


def test_the_first_is_a_request(capfd: pytest.CaptureFixture[str]) -> None:
    before, asked = signal.getsignal(signal.SIGINT), []

    def chunk(interrupts: Interrupts) -> None:
        asked.append(interrupts.asked())
        press()
        asked.append(interrupts.asked())

    with pytest.raises(KeyboardInterrupt):
        work(chunk)
    assert asked == [False, True]
    assert signal.getsignal(signal.SIGINT) == before
    assert signal.set_wakeup_fd(-1) == -1
    assert capfd.readouterr().err == (
        "milp-lth: finishing this chunk; Ctrl-C again stops at once\n"
        "milp-lth: interrupted; continue by giving the same command again\n"
    )


def test_what_tells_of_progress_stops_there() -> None:
    told: list[tuple[int, ...]] = []

    def chunk(interrupts: Interrupts) -> None:
        tell = interrupts.between(lambda *done: told.append(done))
        tell(1, 3)
        press()
        tell(2, 3)

    with pytest.raises(KeyboardInterrupt):
        work(chunk)
    assert told == [(1, 3)]


@pytest.mark.parametrize(
    "error", [None, KeyboardInterrupt(), SystemError("with an exception set"), ImportError("_C")]
)
def test_the_second_is_an_order_whatever_becomes_of_it(error: BaseException | None) -> None:
    """Some libraries swallow the exception, or raise another one in its place."""
    stopped = []

    def chunk(interrupts: Interrupts) -> None:
        press()
        try:
            press()
        except KeyboardInterrupt:
            stopped.append(True)
            if error is not None:
                raise error from None

    with pytest.raises(KeyboardInterrupt):
        work(chunk)
    assert stopped


def test_errors_and_results_pass() -> None:
    work(lambda interrupts: None)

    def chunk(interrupts: Interrupts) -> None:
        press()
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work(chunk)


@pytest.mark.parametrize("requests", [0, 1])
def test_code_that_takes_no_notice_is_ended(requests: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", UNMOVED, str(requests)],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    time.sleep(0.5)
    for _ in range(requests):
        process.send_signal(signal.SIGINT)
        time.sleep(1.0)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - began < 4
    assert said == "milp-lth: interrupted; begin again\n"


def test_what_ends_a_solver_is_not_left_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(folder: str, **options: object) -> None:
        press()
        os.rmdir(folder)

    ended = Worker()
    ended._folder = str(tmp_path / "temporary")
    os.mkdir(ended._folder)
    monkeypatch.setattr("solvers.worker.shutil.rmtree", remove)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        ended.kill()
    assert os.listdir(tmp_path) == []
    assert signal.getsignal(signal.SIGINT) == before


def test_pressed_again_while_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)

    def twice(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", twice)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main([])
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == cli.INTERRUPTED
