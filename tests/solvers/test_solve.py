"""The entry function: validation, selection, the registry, and solvers that lie or fail."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from instances.generate import uniform_family
from instances.subset_sum import SubsetSum
from solvers.exact.cp_sat import CpSat
from solvers.exact.meet_in_the_middle import MeetInTheMiddle
from solvers.registry import REGISTRY, available_solvers, get_solver, solver_name, why_unavailable
from solvers.select import select
from solvers.solution import Status
from solvers.solve import solve
from solvers.solver import OnEvent, Proposal, nothing_known
from solvers.worker import WORKER

INSTANCE = uniform_family(3, 10, seed=1)


@dataclass(frozen=True)
class Liar:
    """Claims that the empty mask is optimal."""

    bound: float = np.inf
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: SubsetSum) -> bool:
        return True

    def propose(
        self,
        instance: SubsetSum,
        time_limit: float,
        *,
        start: np.ndarray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        proposal = nothing_known(instance)
        proposal.bound[:] = self.bound
        proposal.reported.status[:] = "OPTIMAL"
        proposal.reported.objective[:] = 0.0
        return proposal


@dataclass(frozen=True)
class Misbehaves(Liar):
    """Runs for ever, dies, or raises."""

    how: str = "hangs"

    def propose(self, instance, time_limit, *, start=None, on_event=None):  # type: ignore[no-untyped-def]
        if len(instance) > 1:  # not on the warm-up
            print("chatter on standard output")
            if on_event is not None:
                part = nothing_known(instance.part(0, 1))
                part.mask[:] = True
                on_event(0, part)
            if self.how == "hangs":
                subprocess.Popen(["sleep", "1000.25"])
                time.sleep(1000)
            if self.how == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "raises":
                raise ZeroDivisionError("my own fault")
        return super().propose(instance, time_limit)


def test_a_liar_is_not_believed() -> None:
    for bound in (np.inf, 1e9, 0.5):
        solution = solve(INSTANCE, Liar(bound))
        assert (solution.objective == np.abs(INSTANCE.targets)).all()
        assert not (solution.status == Status.OPTIMAL).any()
        assert (solution.reported.status == "OPTIMAL").all()


@pytest.mark.parametrize("name", ["mitm", "cp-sat"])
def test_honest_solvers_are(name: str) -> None:
    assert solve(INSTANCE, name).counts()["OPTIMAL"] == 3


def test_a_solver_that_hangs_is_killed_and_keeps_what_it_found() -> None:
    began = time.monotonic()
    solution = solve(INSTANCE, Misbehaves(how="hangs"), time_limit=0.5)
    assert time.monotonic() - began - solution.stats["start_seconds"] < 0.5 * 1.1 + 1
    assert solution.stats["killed"] == 1
    assert solution.mask[0].all()
    assert not solution.mask[1:].any()
    if shutil.which("pgrep"):  # its children are gone too
        found = subprocess.run(["pgrep", "-f", "sleep 1000.25"], capture_output=True, check=False)
        assert found.stdout == b""
    assert solve(INSTANCE, "mitm", time_limit=20).counts()["OPTIMAL"] == 3  # and the next one works


@pytest.mark.parametrize(("how", "message"), [("dies", "died"), ("raises", "my own fault")])
def test_a_solver_that_fails_says_so(how: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        solve(INSTANCE, Misbehaves(how=how), time_limit=20)
    assert solve(INSTANCE, "mitm", time_limit=20).counts()["OPTIMAL"] == 3


def test_the_worker_stays_between_calls() -> None:
    solve(INSTANCE, "mitm", time_limit=20)
    first = WORKER._process
    solve(INSTANCE, "mitm", time_limit=20)
    assert WORKER._process is first


def test_the_worker_dies_with_its_owner() -> None:
    code = (
        "import os, signal\n"
        "from instances.generate import uniform_family\n"
        "from solvers.solve import solve\n"
        "from solvers.worker import WORKER\n"
        "solve(uniform_family(2, 5), 'mitm', time_limit=20)\n"
        "print(WORKER._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its owner")


def test_works_without_a_main_guard(tmp_path) -> None:  # type: ignore[no-untyped-def]
    script = tmp_path / "script.py"
    script.write_text(
        "from instances.generate import uniform_family\n"
        "from solvers.solve import solve\n"
        "print(solve(uniform_family(2, 12), 'mitm', time_limit=30).counts()['OPTIMAL'])\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "2\n"


@pytest.mark.parametrize(
    "arguments",
    [
        {"time_limit": 0},
        {"time_limit": -1},
        {"time_limit": float("nan")},
        {"abs_gap": -1},
        {"rel_gap": float("nan")},
        {"start": np.zeros((3, 10))},
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        solve(INSTANCE, "mitm", **arguments)  # type: ignore[arg-type]


def test_unknown_solvers_are_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown solver 'gurobii'.*mitm.*cp-sat.*cbc.*greedy"):
        solve(INSTANCE, "gurobii")
    with pytest.raises(ValueError, match="depth"):
        get_solver("mitm", depth=3)


def test_unsupported_instances_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mitm does not take.*cp-sat"):
        solve(uniform_family(1, 60), "mitm")


def test_selection() -> None:
    assert select(uniform_family(1, 48)) == MeetInTheMiddle()
    assert select(uniform_family(1, 49)) == CpSat()
    wide = uniform_family(2, 60)
    available = np.arange(60) < 20
    ragged = SubsetSum(wide.coefficients, wide.targets, available=np.tile(available, (2, 1)))
    assert select(ragged) == MeetInTheMiddle()


def test_missing_packages_are_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = REGISTRY["cbc"]._replace(needs="no_such_package")
    monkeypatch.setitem(REGISTRY, "cbc", absent)
    assert why_unavailable("cbc") == "solver cbc needs no_such_package: pip install no_such_package"
    with pytest.raises(ImportError, match="pip install"):
        get_solver("cbc")


@pytest.mark.parametrize("name", available_solvers())
def test_solvers_are_frozen_values_that_know_their_names(name: str) -> None:
    solver = get_solver(name)
    assert solver == get_solver(name)
    assert hash(solver) == hash(get_solver(name))
    assert solver_name(solver) == name
    fields = dataclasses.fields(solver)  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(solver, fields[0].name if fields else "anything", None)
