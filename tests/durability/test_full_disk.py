"""A disk that is full: one line, nothing half-written, and later the work goes on."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from disturbing import Undisturbed, continuation
from jobs import JOBS, OUT, damaged, same
from launching import Warm, start

from milp_lth.cli import main as cli
from milp_lth.compare.store import Store, write_csv, write_parquet
from milp_lth.ledger import Ledger
from milp_lth.verification import check_run


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[list[str]]:
    """Mount a disk of so many kilobytes at a folder; the command that is yielded makes it large."""
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("only who may mount can make a small disk")
    try:
        yield ["mount", "-o", "remount,size=64m", str(folder)]
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(
    ("name", "kilobytes"),
    [("run", 3000), ("rivals", 8), ("compare", 140)],
)
@pytest.mark.skipif("MILP_LTH_DURABILITY" not in os.environ, reason="make durability does this")
def test_on_a_full_disk_it_stops_and_with_more_space_it_goes_on(
    name: str, kilobytes: int, tmp_path: Path, warm: Warm,
    expected: Callable[[str], Undisturbed],
) -> None:  # fmt: skip
    disk, job = tmp_path / "disk", JOBS[name]
    disk.mkdir()
    with small_disk(disk, kilobytes) as enlarging:
        stopped = start(continuation(job, disk / OUT), disk, warm=warm, logs=tmp_path)
        assert stopped.wait() == cli.BAD_INPUT
        (said,) = [line for line in stopped.said().splitlines() if line.startswith("milp-lth: ")]
        assert any(reason in said for reason in ("No space left", "is full", "disk I/O error"))
        assert "Traceback" not in stopped.said()
        assert damaged(disk) == []
        assert not list(disk.rglob(".*"))
        subprocess.run(enlarging, check=True)
        went_on = start(continuation(job, disk / OUT), disk, warm=warm, logs=tmp_path)
        assert went_on.wait() == 0, went_on.said()
        assert same(expected(name).results, job.results(disk / OUT)) == ""


def test_no_space_for_any_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of its files is the one that finds no space, then the same folder is continued."""
    command = ["run", "--target", "wine-mlp", "--width", "8", "--out", str(tmp_path / OUT)]
    failed: list[str] = []

    def replace(half_written: str, path: Path) -> None:
        if path.name not in failed:
            failed.append(path.name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.rename(half_written, path)

    monkeypatch.setattr("instances.files.os.replace", replace)
    while cli._run(command) != cli.OK:
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "No space left on device" in said
        assert not list(tmp_path.rglob(".*"))
        assert not (tmp_path / OUT / failed[-1]).exists()
        assert damaged(tmp_path) == []
        if (tmp_path / OUT / "settings.json").exists():
            command = ["resume", str(tmp_path / OUT)]
    order = ["target.safetensors", "settings.json", "ticket.safetensors", "report.html"]
    assert failed == order
    assert check_run(tmp_path / OUT) == []


def test_no_space_for_a_database(run_copy: Path, tmp_path: Path) -> None:
    with Ledger(run_copy) as ledger:
        chunk, before = next(ledger.chunks()), ledger.digest()
        ledger._connection.execute("pragma max_page_count = 1")
        with pytest.raises(ValueError, match=r"results\.sqlite: cannot be written \(.* is full\)"):
            ledger.put(chunk._replace(part=7, packed_mask=bytes(2**20)))
        with pytest.raises(ValueError, match=r"results\.sqlite: cannot be written \(.* is full\)"):
            ledger.put_figures({"long": "long" * 2**18})
        assert ledger.digest() == before
    with Store(tmp_path) as store:
        store._connection.execute("pragma max_page_count = 1")
        with pytest.raises(ValueError, match=r"comparison\.sqlite: cannot be written"):
            store.put_settings({"long": "long" * 2**18})


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_tables_of_runs_appear_whole_or_not_at_all(
    write: Callable[[list[Any], Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "runs"
    path.write_text("those of before")
    monkeypatch.setattr("instances.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write([], path)
    assert path.read_text() == "those of before"
    assert os.listdir(tmp_path) == ["runs"]
