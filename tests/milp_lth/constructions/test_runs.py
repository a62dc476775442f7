"""Every construction by the command line: run, check, explain, on a small target."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from milp_lth.cli import main as cli
from milp_lth.constructions.registry import CONSTRUCTIONS
from milp_lth.ledger import Ledger
from milp_lth.network import read_network
from milp_lth.run import Run
from milp_lth.sharded_ticket import ShardedTicket
from milp_lth.targets.files import save_target
from milp_lth.verification import check_run

WIDTHS = {"nearest-product": 64, "golden-ratio": 96, "binary": 24, "pre-masked": 32}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    path = tmp_path_factory.mktemp("target") / "small.safetensors"
    save_target(read_network(module), path)
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove one row of a run again, not eight; find no narrower tickets for a report."""
    monkeypatch.setattr("milp_lth.verification.SAMPLE", 1)
    monkeypatch.setattr("milp_lth.run.narrower_tickets", lambda *given: [])


def run(target: Path, folder: Path, name: str, *more: str) -> int:
    width = str(WIDTHS.get(name, 20))
    arguments = ["run", "--target", str(target), "--construction", name, "--input-range", "0", "1",
                 "--width", width, "--out", str(folder), "--json", *more]  # fmt: skip
    return cli._run(arguments)


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_a_run_of_every_construction_is_verified(
    name: str, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert run(target, folder, name) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["edges"]["kept_v"] > 0
    assert figures["ticket"]["agreement"] >= 0.9
    asked = json.loads((folder / "settings.json").read_text())["settings"]
    assert asked["objective"] == CONSTRUCTIONS[name].objective.name
    assert check_run(folder) == []
    shown = cli._run(["explain", str(folder), "--output", "1", "--input", "bias", "--json"])
    printed = capsys.readouterr()
    if name in ("frozen", "perturbed"):
        assert shown == 2
        assert "more than that" in printed.err
    else:
        assert shown == 0
        halves = json.loads(printed.out)["halves"]
        assert all(abs(half["ticket"]["error"]) < 0.2 for half in halves)


@pytest.mark.parametrize("name", ["nearest-product", "quantised", "frozen"])
def test_tickets_in_shards_are_the_same_tickets(
    name: str, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CONSTRUCTIONS[name].in_shards
    assert run(target, tmp_path / "whole", name) == 0
    monkeypatch.setattr("milp_lth.run.WHOLE_EDGES", 10)
    monkeypatch.setattr("milp_lth.shards.BLOCK_EDGES", 200)
    assert run(target, tmp_path / "sharded", name) == 0
    assert check_run(tmp_path / "sharded") == []
    tickets = [Run(tmp_path / folder).load_ticket() for folder in ("whole", "sharded")]
    assert isinstance(tickets[1], ShardedTicket)
    assert len(tickets[1].all_blocks()) > 2
    one, two = tickets[0].state_dict(), tickets[1].whole().state_dict()
    assert all((one[key] == two[key]).all() for key in one)
    assert tickets[0].edges() == tickets[1].edges()


def test_a_tampered_movement_is_found(target: Path, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "run"
    assert run(target, folder, "perturbed") == 0
    path = folder / "ticket.safetensors"
    with safe_open(path, framework="numpy") as file:
        stated = file.metadata()
    tensors = load_file(path)
    movement = tensors["0.movement"]
    movement.flat[np.flatnonzero(movement)[0]] *= 0.5
    save_file(tensors, path, stated)
    assert any("layer 0 of the ticket: its v is not" in problem for problem in check_run(folder))


def test_redraws_are_recorded_checked_and_said(
    target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    code = run(target, folder, "two-layer", "--width", "7", "--redraws", "9", "--tolerance", "0.02")
    assert code == 0
    assert json.loads(capsys.readouterr().out)["out_of_tolerance"] == 0
    assert check_run(folder) == []
    assert json.loads((folder / "settings.json").read_text())["settings"]["redraws"] == 9
    assert "no network that was drawn beforehand" in (folder / "report.html").read_text()
    run_ = Run(folder)
    with Ledger(folder) as ledger:
        again = run_.assemble(ledger)
    assert all(drawn.attempts.any() for drawn in again.settings.layers)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--construction", "direct", "--assignment", "block"], "no hidden units"),
        (["--construction", "k-subset", "--objective", "budget", "--budget", "9"], "two-layer"),
        (["--density", "0.5"], "pre-masked or frozen"),
        (["--distribution", "cauchy"], "choose one of uniform"),
        (["--redraws", "3"], "redraws need a tolerance"),
        (["--target-bits", "1"], "from 2 to 24"),
    ],
)
def test_what_does_not_fit_is_one_line(
    options: list[str], words: str, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(target, tmp_path / "run", "two-layer", *options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_rounded_target_is_what_a_run_is_about(
    target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert run(target, folder, "two-layer", "--target-bits", "4") == 0
    network = Run(folder).network
    for layer in network.layers:
        largest = max(np.abs(layer.weight).max(), np.abs(layer.bias).max())
        step = 2.0 ** np.ceil(np.log2(largest)) / 8
        assert (layer.weight % step == 0).all()
    assert check_run(folder) == []
