"""``milp-lth rivals``: one object, one page, one line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from milp_lth.cli import main as cli
from milp_lth.rivals.bench import Rivals
from milp_lth.rivals.methods import DENSITIES, METHODS
from milp_lth.rivals.page import write_page
from milp_lth.rivals.table import cells, rows

QUICK = ["rivals", "--scale", "0.02", "--seeds", "2", "--device", "cpu", "--densities", "0.5"]


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_json_is_one_object_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    command = [*QUICK, "--methods", "edge-popup,ticket-sparsest", "--out", out, "--json"]
    assert cli._run(command) == cli.OK
    text, error = said(capsys)
    stated = json.loads(text)
    assert error == ""
    assert stated["out"] == out
    assert [row["row"] for row in stated["rows"]] == ["dense", "edge-popup 0.5", "ticket-sparsest"]
    assert cli._run(command) == cli.OK
    assert json.loads(said(capsys)[0]) == stated


def test_a_network_that_was_changed_gives_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*QUICK, "--methods", "random", "--out", str(tmp_path / "out")]
    assert cli._run(command) == cli.OK
    assert "random 0.5*" in said(capsys)[0]  # two epochs: not converged
    path = tmp_path / "out/networks/random-0.5-seed1.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert cli._run(command) == cli.UNVERIFIED
    assert re.search(r"random 0\.5\* .* no *\n", said(capsys)[0])


def test_the_page_is_whole_and_escapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Rivals("digits", ("random", "magnitude"), tmp_path / "out", num_seeds=1, scale=0.02,
                   densities=(0.5,), device="cpu")  # fmt: skip
    found.measure()
    told = rows(found)
    monkeypatch.setitem(found.store.settings["environment"], "processor", "<b>fast & cheap</b>")
    html = write_page(found, told).read_text(encoding="utf-8")
    body = html[html.index("<body") :]
    assert "&lt;b&gt;fast &amp; cheap&lt;/b&gt;" in body
    assert "<b>fast" not in html
    own = html[: html.index("<script>")] + body  # without plotly's own text
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", own)
    for row in told:
        for cell in cells(row):
            assert cell in body
    assert body.count('<tr class="open">') == 3
    assert body.count("plotly-graph-div") == 3
    assert "2 epochs" not in body
    assert "100 epochs" in body
    table = (tmp_path / "out/table.md").read_text(encoding="utf-8").splitlines()
    assert len(table) == 2 + 3
    assert len({line.count("|") for line in table}) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "edge-popup,obd"], "unknown method 'obd'"),
        (["--densities", "half"], "--densities half"),
        (["--densities", "0"], "density 0"),
        (["--seeds", "0"], "--seeds 0"),
        (["--scale", "0"], "--scale 0"),
        (["--data", "cifar"], "unknown data 'cifar'"),
        (["--size", "huge"], "'huge' is not one of"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["rivals", *arguments, "--out", str(tmp_path / "out")]
    assert cli._run(command) == cli.BAD_INPUT
    out, error = said(capsys)
    assert out == ""
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [*QUICK, "--methods", "random", "--out", str(tmp_path / "out")]
    assert cli._run(command) == cli.OK
    path = tmp_path / "out/measured/dense-seed0.json"
    path.write_bytes(path.read_bytes()[:100])
    said(capsys)
    assert cli._run(command) == cli.BAD_INPUT
    assert said(capsys)[1].count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(["rivals", "--device", "cuda", "--out", str(tmp_path / "out")]) == cli.BAD_INPUT
    assert "give cpu or auto" in said(capsys)[1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_ended_in_the_middle_is_continued(
    how: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*QUICK, "--scale", "0.5", "--methods", "random", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "milp_lth", *command],
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    measured, deadline = tmp_path / "out/measured", time.monotonic() + 60
    while not (measured.exists() and any(measured.glob("*.json"))):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(how)
    assert process.stderr is not None
    error = process.stderr.read().decode()
    assert process.wait() == (-signal.SIGKILL if how == signal.SIGKILL else cli.INTERRUPTED)
    if how == signal.SIGINT:
        assert "continue by giving the same command again" in error
    before = {path.name: path.stat().st_mtime_ns for path in measured.glob("*.json")}
    assert 1 <= len(before) < 4
    assert cli._run([*command, "--json"]) == cli.OK
    assert all(row["verified"] for row in json.loads(said(capsys)[0])["rows"])
    after = {path.name: path.stat().st_mtime_ns for path in measured.glob("*.json")}
    assert len(after) == 4
    assert before.items() <= after.items()


def test_help_names_every_method_and_the_densities(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["rivals", "--help"]) == cli.OK
    text = " ".join(said(capsys)[0].split()).replace("- ", "-")
    assert all(name in text for name in METHODS)
    assert ",".join(f"{density:g}" for density in DENSITIES) in text
