"""Folders that cannot be written: read where that is enough, refused in a line where it is not."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs import JOBS, OUT

from milp_lth.cli import main as cli
from milp_lth.ledger import Ledger


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, for its owner and for root."""
    if os.geteuid():
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode & ~0o222)
        yield
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)
        return
    bound = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False)
    if bound.returncode:
        pytest.skip("root may write everywhere but on a read-only mount, which cannot be made here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_is_read_where_it_cannot_be_written(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(run_copy)
    with read_only(run_copy):
        assert cli._run(["check", str(run_copy)]) == cli.OK
        assert cli._run(["resume", str(run_copy)]) == cli.OK
        assert cli._run(["explain", str(run_copy), "--layer", "0"]) == cli.OK
        capsys.readouterr()
        assert cli._run(["report", str(run_copy)]) == cli.BAD_INPUT
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "Read-only file system" in said or "Permission denied" in said
    assert contents(run_copy) == before


def test_an_unfinished_run_is_refused(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger(run_copy) as ledger:
        ledger._connection.executescript("delete from figures; delete from chunks where part = 0")
    before = contents(run_copy)
    with read_only(run_copy):
        assert cli._run(["resume", str(run_copy)]) == cli.BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith(f"milp-lth: {run_copy}/results.sqlite: cannot be written (attempt to")
    assert said.count("\n") == 1
    assert contents(run_copy) == before


@pytest.mark.parametrize("out", [OUT, f"{OUT}/new"])
@pytest.mark.parametrize("name", JOBS)
def test_nothing_is_begun(
    name: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    os.mkdir(OUT)
    command = [out if word == OUT else word for word in JOBS[name].command.split()]
    with read_only(tmp_path / OUT):
        assert cli._run(command) == cli.BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ead-only" in said or "Permission denied" in said
    assert os.listdir(OUT) == []
