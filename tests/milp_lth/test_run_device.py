"""The device that is asked for is that of whoever decides, named or not."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from instances.generate import uniform_family
from instances.neurons import Neurons
from milp_lth.cli import main as cli
from milp_lth.reduction import reduce
from milp_lth.run_settings import RunSettings
from milp_lth.solving import solve_chunks
from milp_lth.source import Source
from solvers.exact.cp_sat import CpSat
from solvers.exact.meet_in_the_middle import MeetInTheMiddle
from solvers.heuristic.coordinate_descent import CoordinateDescent
from solvers.heuristic.greedy import Greedy
from solvers.select import Auto, on_device, select
from solvers.solve import solve


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices of those who propose, as they do; the report's own small samples left out."""
    devices: list[str] = []
    for solver in (MeetInTheMiddle, CoordinateDescent, Greedy):

        def propose(self: Any, *given: Any, _as: Any = solver.propose, **named: Any) -> Any:
            devices.append(self.device)
            return _as(self, *given, **named)

        monkeypatch.setattr(solver, "propose", propose)
    monkeypatch.setattr("milp_lth.execution.render", lambda *run: "")
    return devices


def test_a_device_is_for_those_who_let_one_choose() -> None:
    assert on_device(Greedy(), "cpu") == Greedy(device="cpu")
    assert on_device(MeetInTheMiddle(), "cuda:1") == MeetInTheMiddle(device="cuda:1")
    assert on_device(CpSat(), "cpu") == CpSat()
    assert on_device(Greedy(device="cpu"), "auto") == Greedy(device="cpu")


def test_auto_is_whoever_select_chooses() -> None:
    small, large = uniform_family(3, 8), uniform_family(1, 60)
    assert Auto("cpu").choose(small) == MeetInTheMiddle(device="cpu")
    assert Auto().choose(small) == select(small)
    assert Auto("cpu").choose(large) == select(large)
    assert Auto().supports(small)
    assert Auto().supports(Neurons.tiny())
    found = solve(small, Auto("cpu"))
    assert found.solver == "mitm"
    assert found.counts()["OPTIMAL"] == 3
    assert (Auto("cpu").propose(small, np.inf).mask == found.mask).all()


@pytest.mark.parametrize(
    "options", [[], ["--solver", "greedy"], ["--objective", "data-aware"]], ids=" ".join
)
def test_run_uses_it(options: list[str], tmp_path: Path, used: list[str]) -> None:
    where = ["--device", "cpu", "--out", str(tmp_path / "run"), "--json"]
    assert cli._run(["run", "--target", "wine-mlp", "--width", "5", *options, *where]) in (0, 3)
    assert set(used) == {"cpu"}  # of what is solved to compare with, too


def test_workers_use_it(used: list[str]) -> None:
    assert RunSettings(device="cpu").make_solver() == Auto("cpu")
    assert RunSettings(solver="greedy", device="cpu").make_solver() == Greedy(device="cpu")
    reduction = reduce(torch.nn.Linear(5, 4), Source(width=8))
    with ThreadPoolExecutor(2) as pool:
        chunks = list(
            solve_chunks(reduction, RunSettings(device="cpu").make_solver(), executor=pool)
        )
    assert {chunk.solver for chunk in chunks} == {"mitm"}
    assert set(used) == {"cpu"}
