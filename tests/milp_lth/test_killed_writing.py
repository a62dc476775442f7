"""Runs killed by SIGKILL while they write their ticket in shards, then resumed."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from milp_lth.execution import execute
from milp_lth.run import Run
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.shards import INDEX, shards_in
from milp_lth.verification import check_run

SMALL = {"run.WHOLE_EDGES": 1000, "shards.BLOCK_EDGES": 500, "shards.SHARD_BYTES": 130}

DRIVER = """
import itertools, os, sys, time
from instances import files
from milp_lth import run, shards
from milp_lth.execution import execute

run.WHOLE_EDGES, shards.BLOCK_EDGES, shards.SHARD_BYTES = 1000, 500, 130
folder, halt_in, file_number = sys.argv[1], sys.argv[2], int(sys.argv[3])


def halt():
    print("here", flush=True)
    time.sleep(600)


class Half:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        halt()


class Os:
    numbers = {"write": itertools.count(), "rename": itertools.count()}

    def __getattr__(self, name):
        return getattr(os, name)

    def due(self, step):
        return next(self.numbers[step]) == file_number and step == halt_in

    def fdopen(self, *given):
        file = os.fdopen(*given)
        return Half(file) if self.due("write") else file

    def replace(self, *given):
        if self.due("rename"):
            halt()
        os.replace(*given)


files.os = Os()
print("begins", flush=True)
execute(run.Run(folder))
"""


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(f"milp_lth.{name}", value)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody has carried out. Read only."""
    torch.manual_seed(5)
    net = nn.Sequential(nn.Linear(9, 14), nn.ReLU(), nn.Linear(14, 6, bias=False))
    target = tmp_path_factory.mktemp("target") / "net.pt"
    torch.save(net.state_dict(), target)
    return create_run(RunSettings(str(target), width=12), target.parent / "run")


@pytest.fixture
def whole(begun: Path, tmp_path: Path) -> dict[str, bytes]:
    """The files of the ticket that is written without interruption, by name."""
    run = Run(shutil.copytree(begun, tmp_path / "whole"))
    execute(run)
    written = ticket(run.folder)
    assert len(written) > 3
    return written


def ticket(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("ticket*")}


def carried_out(folder: Path, halt_in: str = "", number: int = 0) -> "subprocess.Popen[str]":
    """Begin in a process of its own, and wait until it is at work."""
    command = [sys.executable, "-c", DRIVER, str(folder), halt_in, str(number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    return process


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert process.stdout is not None
    process.stdout.close()


def test_killed_in_a_shard_and_again_before_the_index(
    begun: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "killed"))
    names = shards_in(tmp_path / "whole")
    for halt_in, number in (("write", 1), ("rename", len(names))):
        process = carried_out(folder, halt_in, number)
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        kill(process)
        (left,) = folder.glob(".ticket*")  # under no final name
        assert left.name.startswith(f".{[*names, INDEX][number]}.")
        assert ticket(folder) == {name: whole[name] for name in names[:number]}
        with pytest.raises(ValueError, match="index"):
            check_run(folder)
    execute(Run(folder))
    assert ticket(folder) == whole
    assert not list(folder.glob(".ticket*"))
    assert check_run(folder) == []


def test_killed_as_it_comes(begun: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "killed"))
    process = carried_out(folder)
    while not ticket(folder) and process.poll() is None:
        time.sleep(1e-4)
    kill(process)
    assert ticket(folder).items() <= whole.items()
    execute(Run(folder))
    assert ticket(folder) == whole
    assert not list(folder.glob(".ticket*"))
    assert check_run(folder) == []
