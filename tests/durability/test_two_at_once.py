"""Two processes at one folder: one works, the other is refused in a line."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from disturbing import Undisturbed
from jobs import JOBS, OUT, damaged, same
from launching import Warm, start

from milp_lth.cli import main as cli
from milp_lth.folders import alone_in

WINE = "run --target wine-mlp --width 8"
at_length = pytest.mark.skipif(
    "MILP_LTH_DURABILITY" not in os.environ, reason="make durability does this"
)


def refused(said: str) -> bool:
    return said == f"milp-lth: {OUT}: another process is at work there: wait until it has ended\n"


@pytest.mark.parametrize("name", JOBS)
def test_whoever_comes_second_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir(OUT)
    with alone_in(Path(OUT)):
        assert cli._run(JOBS[name].command.split()) == cli.BAD_INPUT
    assert refused(capsys.readouterr().err)
    assert not os.listdir(OUT)


def test_a_run_that_others_carry_out_is_neither_resumed_nor_reported(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run_copy.parent)
    os.rename(run_copy, OUT)
    for command in ("resume", "report"):
        with alone_in(Path(OUT)):
            assert cli._run([command, OUT]) == cli.BAD_INPUT
        assert refused(capsys.readouterr().err)
        assert cli._run([command, OUT]) == cli.OK
        capsys.readouterr()


@at_length
def test_two_begun_together_in_one_folder(tmp_path: Path, warm: Warm) -> None:
    command = [*WINE.split(), "--out", OUT]
    both = [start(command, tmp_path, warm=warm) for _ in range(2)]
    codes = sorted(one.wait() for one in both)
    said = next(one.said() for one in both if one.poll() == 2)
    assert codes == [0, 2]
    assert refused(said) or "exists and is not empty" in said
    assert said.count("\n") == 1
    assert damaged(tmp_path / OUT) == []
    assert JOBS["run"].results(tmp_path / OUT)


@at_length
def test_two_begun_together_without_a_folder_get_one_each(tmp_path: Path, warm: Warm) -> None:
    both = [start([*WINE.split(), "--json"], tmp_path, warm=warm) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    outs = {json.loads(one.printed())["out"] for one in both}
    assert outs == {"runs/wine-mlp-1", "runs/wine-mlp-2"}


def test_two_that_resume_together(
    tmp_path: Path, warm: Warm, expected: Callable[[str], Undisturbed]
) -> None:
    first = start(JOBS["run"].command.split(), tmp_path, warm=warm)
    while not (tmp_path / OUT / "settings.json").exists():
        time.sleep(0.01)
    first.kill()
    both = [start(["resume", OUT], tmp_path, warm=warm) for _ in range(2)]
    assert sorted(one.wait() for one in both) in ([0, 2], [0, 0])  # one after the other: no matter
    assert all(refused(one.said()) for one in both if one.poll() == 2)
    assert same(expected("run").results, JOBS["run"].results(tmp_path / OUT)) == ""


def test_a_lock_ends_with_its_owner_and_what_is_half_written_goes(tmp_path: Path) -> None:
    for name in (".report.html.ab_12345", ".keep", ".report.html", "index.html"):
        (tmp_path / name).touch()
    with pytest.raises(RuntimeError), alone_in(tmp_path):
        raise RuntimeError
    with alone_in(tmp_path):
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {".keep", ".report.html", "index.html"}
