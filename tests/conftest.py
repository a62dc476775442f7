"""What several tests need: a trained target, a finished run."""

from __future__ import annotations  # tests of the lower floors run where there is no torch

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import torch

    from milp_lth.targets.data import Data

settings.register_profile("suite", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def digits() -> tuple[torch.nn.Module, Data]:
    """digits-mlp and its held-out images."""
    from milp_lth.targets.named import load_named_target

    return load_named_target("digits-mlp")


@pytest.fixture(scope="session")
def wine() -> tuple[torch.nn.Module, Data]:
    """wine-mlp and its held-out wines."""
    from milp_lth.targets.named import load_named_target

    return load_named_target("wine-mlp")


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of wine-mlp. Read only: copy it before changing anything."""
    from milp_lth.execution import execute
    from milp_lth.run import Run
    from milp_lth.run_creation import create_run
    from milp_lth.run_settings import RunSettings

    folder = create_run(
        RunSettings(target="wine-mlp", width=(16, 10)), tmp_path_factory.mktemp("run")
    )
    execute(Run(folder))
    return folder


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may damage."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200605)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The developers' data folder, where there is one."""
    places = [os.environ.get("MILP_LTH_DATA", ""), Path(__file__).parents[2] / "shared" / "data"]
    for place in places:
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("needs the paper's networks: set MILP_LTH_DATA to a folder that holds them")
