"""Disturbs small commands, continues them, and compares with what they find undisturbed.

``make durability`` runs this. In a chain a command is killed or interrupted, continued, killed
again, …, and at last left alone: then what it found must be, bit for bit, what it finds
undisturbed.
"""

import contextlib
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from jobs import JOBS, OUT, Job, damaged, same
from launching import KILL_AT, Started, Warm, start

KILLED, PRESSED = ("kill", "kill all"), ("Ctrl-C", "Ctrl-C twice")
"""SIGKILL of the command alone, where what it started must end by itself, or of all; SIGINT."""

SLOW = "planted"
USUAL = [name for name in JOBS if name != SLOW]

STEP = "step"
"""SIGKILL at a step that changes files, see `launching`."""


class Disturbance(NamedTuple):
    """What befalls a command, and when."""

    how: str
    when: float
    """As a share of the time it works undisturbed, once its folder is there; a step's number."""


class Undisturbed(NamedTuple):
    """What a command finds, and when it is at work."""

    results: object
    begins: float
    """Seconds until its folder is there."""
    ends: float


def undisturbed(job: Job, folder: Path, warm: Warm | None) -> Undisturbed:
    """Carry out a command that nobody disturbs."""
    started = start(job.command.split(), folder, warm=warm)
    begins = _until_there(started, folder / OUT)
    assert started.wait() == 0, started.said()
    ends = time.monotonic() - started.began
    return Undisturbed(job.results(folder / OUT), begins, ends)


def _until_there(started: Started, path: Path) -> float:
    while not path.exists() and started.poll() is None:
        time.sleep(0.002)
    return time.monotonic() - started.began


def chain(
    job: Job, folder: Path, disturbances: Sequence[Disturbance], expected: Undisturbed,
    warm: Warm | None,
) -> tuple[Counter[str], list[str]]:  # fmt: skip
    """Disturb a command and those that continue it, let the last one finish, and judge it.

    Parameters
    ----------
    job, folder
        The command, and where it writes.
    disturbances
        Of a process each; some find that it has ended.
    expected
        What it finds undisturbed.
    warm
        Off which process it is started; None: from nothing.

    Returns
    -------
    Counter
        How often it was disturbed at work, and how.
    list of str
        What is wrong.
    """
    out, found, problems = folder / OUT, Counter[str](), []
    for disturbance in disturbances:
        started, at_work = _disturbed(job, folder, disturbance, expected, warm)
        pressed = time.time()
        code, said = started.wait(), started.said()
        if disturbance.how in PRESSED and code == 0 and "milp-lth:" not in said:
            at_work = _written_since(pressed, out)  # else all was done, and it was about to end
        found[disturbance.how] += at_work
        killed = () if disturbance.how in PRESSED else (-signal.SIGKILL,)
        good = (0,) if not at_work else killed or (130, -signal.SIGINT)  # to a shell, both are 130
        if code not in good or "Traceback" in said:
            problems.append(f"{disturbance}: exit code {code}: {said[-1000:]}")
        if left := started.left_behind():
            problems.append(f"{disturbance}: outlived their owner: {left}")
        if disturbance.how != "kill all" and (litter := started.litter()):
            problems.append(f"{disturbance}: temporary files left: {litter}")
        problems += damaged(out)
    finished = start(continuation(job, out), folder, warm=warm)
    if code := finished.wait():
        return found, [*problems, f"continued, exit code {code}: {finished.said()[-500:]}"]
    if difference := same(expected.results, job.results(out)):
        problems.append(f"differs from the undisturbed: {difference}")
    problems += damaged(out)
    problems += [f"left over: {path}" for path in out.rglob(".*")]
    return found, problems


def _written_since(when: float, folder: Path) -> bool:
    return any(path.stat().st_mtime > when for path in folder.rglob("*"))


def _disturbed(
    job: Job, folder: Path, disturbance: Disturbance, expected: Undisturbed, warm: Warm | None
) -> tuple[Started, bool]:
    """Start and disturb; return whether it was at work then."""
    how, when = disturbance
    command = continuation(job, folder / OUT)
    if how == STEP:
        started = start(command, folder, warm=warm, environment={KILL_AT: str(int(when))})
        return started, started.wait() == -signal.SIGKILL
    started = start(command, folder, warm=warm)
    _until_there(started, folder / OUT)
    time.sleep(when * (expected.ends - expected.begins))
    if how in KILLED:
        return started, started.kill(all_of_it=how == "kill all")
    at_work = started.poll() is None
    started.interrupt()
    if how == "Ctrl-C twice":
        time.sleep(0.1)
        started.interrupt()
    return started, at_work


def continuation(job: Job, out: Path) -> list[str]:
    """Return the command that is documented to continue a job: at first, itself."""
    begun = job.again == job.command or (out / "settings.json").exists()
    return (job.again if begun else job.command).split()


@contextlib.contextmanager
def fresh_folder() -> Iterator[Path]:
    """A folder of its own for everything."""
    folder = Path(tempfile.mkdtemp(prefix="milp_lth.durability."))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@click.command()
@click.option("--jobs", default=",".join(USUAL), show_default=True, help=f"Also: {SLOW}.")
@click.option("--each", default=15, show_default=True, help="Disturbances of every command.")
@click.option(
    "--how", default=",".join(KILLED), show_default=True, help=f"Also: {','.join(PRESSED)}."
)
@click.option("--steps", is_flag=True, help="Kills at every step that changes files, instead.")
@click.option("--seed", default=0, show_default=True)
@click.option("--cold", is_flag=True, help="Start every process from nothing, imports and all.")
def main(jobs: str, each: int, how: str, steps: bool, seed: int, cold: bool) -> None:
    """Disturb commands at random instants, and print what came of it."""
    if steps and cold:
        raise click.UsageError("--steps are those of a warm process: leave out --cold")
    total, bad = Counter[str](), 0
    for name in jobs.split(","):
        rng = np.random.default_rng([seed, *name.encode()])
        done, chains = Counter[str](), 0
        with fresh_folder() as folder, contextlib.nullcontext() if cold else Warm() as warm:
            expected = undisturbed(JOBS[name], folder, warm)
            while steps or done.total() < each:
                shutil.rmtree(folder / OUT)
                some = [Disturbance(STEP, chains)]
                if not steps:
                    number = min(int(rng.integers(1, 5)), each - done.total())
                    hows = rng.choice(how.split(","), number)
                    # of what is left for each, so that most find it at work
                    some = [Disturbance(str(one), rng.random() / number) for one in hows]
                found, problems = chain(JOBS[name], folder, some, expected, warm)
                done, chains, bad = done + found, chains + 1, bad + len(problems)
                for problem in problems:
                    click.echo(f"{name}, chain {chains}: {problem}")
                if steps and not found.total():
                    break
            if not done.total():
                bad += 1
                click.echo(f"{name}: never disturbed")
        total += done
        click.echo(f"{name}, {chains} chains: {_told(done)}")
    click.echo(f"in all: {_told(total)}; {bad} problems")
    raise SystemExit(bool(bad))


def _told(found: Counter[str]) -> str:
    return ", ".join(f"{how} {number}" for how, number in sorted(found.items()))


if __name__ == "__main__":
    main()
