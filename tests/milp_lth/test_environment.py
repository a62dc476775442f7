"""Every folder of results states what they were made with."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from milp_lth import __version__
from milp_lth.compare.comparison import Asked, Comparison
from milp_lth.compare.store import Store
from milp_lth.environment import ENVIRONMENT, described, environment
from milp_lth.reproduce.claims.every import Claims
from milp_lth.reproduce.constructions import Constructions
from milp_lth.reproduce.log_width import LogWidth
from milp_lth.reproduce.lower_bound import LowerBound
from milp_lth.reproduce.pensia2020 import Reproduction
from milp_lth.reproduce.phase_transition import PhaseTransition
from milp_lth.reproduce.planted import Planted
from milp_lth.reproduce.structures import Structures
from milp_lth.rivals.bench import Rivals
from milp_lth.value_kinds import fits
from solvers.cores import num_cores

BEGUN: list[Callable[[Path, Path], object]] = [
    lambda folder, target: Claims("digits", folder),
    lambda folder, target: Constructions("wine-mlp", None, folder),
    lambda folder, target: LogWidth(folder),
    lambda folder, target: LowerBound(folder),
    lambda folder, target: PhaseTransition(folder),
    lambda folder, target: Planted(folder),
    lambda folder, target: Reproduction(str(target), "wine", folder),
    lambda folder, target: Structures("digits", folder),
    lambda folder, target: Rivals("wine", ("dense",), folder),
]


def judge(stated: Any) -> None:
    assert fits(stated, ENVIRONMENT)
    assert stated["cores"] == num_cores()
    assert stated["memory"] > 2**20
    versions = stated["versions"]
    assert versions["milp_lth"] == __version__
    assert versions["python"].startswith("3.")
    for name in ("numpy", "numba", "scipy", "torch", "ortools", "pulp"):
        assert versions[name] == version(name)


@pytest.mark.parametrize("begin", BEGUN)
def test_experiments(
    begin: Callable[[Path, Path], object], finished_run: Path, tmp_path: Path
) -> None:
    begin(tmp_path, finished_run / "target.safetensors")
    (path,) = tmp_path.glob("*.json")
    judge(json.loads(path.read_text())["environment"])


def test_a_run(finished_run: Path) -> None:
    stated = json.loads((finished_run / "settings.json").read_text())["environment"]
    judge(stated)
    page = (finished_run / "report.html").read_text()
    for shown in (stated["processor"], stated["system"], stated["versions"]["ortools"]):
        assert f"<dd>{shown}</dd>" in page


def test_a_comparison(tmp_path: Path) -> None:
    Comparison(Asked(("uniform-12",), ("mitm",), rows=1), tmp_path)
    with Store(tmp_path) as store:
        stated = store.settings()["environment"]
    judge(stated)
    assert len(stated["load"]) == 3


def test_an_environment_in_one_line() -> None:
    stated = environment() | {"processor": "Z80", "cores": 1, "memory": 2**31, "accelerator": None}
    line = described(stated)
    assert line.startswith("Z80, 1 core, 2 GiB, no CUDA device; ")
    assert f"torch {version('torch')}" in line
    assert "\n" not in line
