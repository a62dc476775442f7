"""Whatever is changed in a certified run at random, `check` finds it.

`make tamper` makes a thousand tamperings; the suite makes some.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tampering import CAREFUL, CARELESS, forge, small_run

from milp_lth.certificates.certifying import certify_run
from milp_lth.execution import execute
from milp_lth.run import Run
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.verification import check_run
from solvers.solve import solve

COUNT = int(os.environ.get("MILP_LTH_TAMPERINGS", "45"))
NAMES = [*CARELESS, *CAREFUL]

_answers: dict[tuple[bytes, ...], Any] = {}


@pytest.fixture(scope="module")
def certified_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run with all certificates: of wine-mlp where many are tampered with.

    Read only.
    """
    folder = tmp_path_factory.mktemp("certified")
    if COUNT >= 1000:
        folder = create_run(RunSettings(target="wine-mlp", width=(16, 10)), folder)
        execute(Run(folder))
    else:
        folder = small_run(folder)
    said = certify_run(folder, rows=None, exact=True, radius=0.1, inputs=5)
    assert said["worst_case"]["exact"]
    return folder


@pytest.fixture(autouse=True)
def _same_answer_to_the_same_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the time of a check are proofs by CP-SAT of rows that nobody touched."""

    def remembered(instance: Any, solver: Any, **options: Any) -> Any:
        key = (
            repr((solver, instance.objective)).encode(),
            instance.coefficients.tobytes(),
            instance.targets.tobytes(),
            b"" if instance.available is None else instance.available.tobytes(),
        )
        if key not in _answers:
            _answers[key] = solve(instance, solver, **options)
        return _answers[key]

    monkeypatch.setattr("milp_lth.verification.solve", remembered)


def test_the_run_is_verified_as_it_is(certified_run: Path) -> None:
    assert check_run(certified_run) == []


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_tampering_is_caught(certified_run: Path, tmp_path: Path, seed: int) -> None:
    """Problems are listed, or the file that cannot be read is named: nothing else is raised."""
    folder = Path(shutil.copytree(certified_run, tmp_path / "run"))
    name = NAMES[seed % len(NAMES)]
    said = forge(folder, name, np.random.default_rng(seed))
    try:
        problems = check_run(folder)
    except ValueError as error:
        problems = [str(error)]
    assert problems, said
