"""`certify` proves what a run claims, and `check` proves it again and refutes forgeries."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tampering import (
    checked_again,
    prefer_another_mask,
    seal,
    small_run,
    stated,
    whole_ticket,
)
from torch import nn

from milp_lth.certificates.certificate_file import CERTIFICATES
from milp_lth.certificates.certifying import SAMPLE, certify_run
from milp_lth.certificates.claims import sampled_claims
from milp_lth.cli import main as cli
from milp_lth.execution import execute, rewrite_report
from milp_lth.ledger import ContradictionError, Ledger
from milp_lth.run import TICKET, Run
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.verification import check_run

NUM_ROWS = 8 * 7 + 8 * 6 + 3 * 9
"""Of the small run: both halves of the first layer, and the second."""


def milp_lth(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, standard output and error."""
    capsys.readouterr()
    code = cli._run([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def finished(folder: Path, **settings: Any) -> Path:
    run = create_run(RunSettings(**settings), folder)
    execute(Run(run))
    return run


@pytest.fixture(scope="module")
def certified_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of certificate. Read only."""
    folder = small_run(tmp_path_factory.mktemp("certified"))
    certify_run(folder, exact=True, radius=0.1, inputs=6)
    return folder


@pytest.fixture
def certified(certified_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(certified_run, tmp_path / "run"))


def test_what_is_certified_is_verified(certified: Path) -> None:
    said = stated(certified)
    assert said.keys() == {
        "format", "about", "asked", "outputs", "worst_case", "boxes", "num_claims", "rows"
    }  # fmt: skip
    assert said["asked"] == {"rows": SAMPLE, "exact": True, "radius": 0.1, "inputs": 6}
    assert said["num_claims"] == NUM_ROWS
    assert len(said["rows"]) == SAMPLE
    assert all(row["reached"] and row["feasible"] for row in said["rows"])
    seen: list[tuple[int, int]] = []
    assert check_run(certified, on_row=lambda *done: seen.append(done)) == []
    assert seen == [*((k, 8) for k in range(1, 9)), (SAMPLE, SAMPLE)]
    assert checked_again(certified) == []
    assert {box["status"] for box in said["boxes"]} == {"PROVED", "REFUTED"}
    assert said["worst_case"]["exact"]


def test_certificates_agree_with_the_runs_own_records(certified_run: Path) -> None:
    """What numpy proves is what the solver recorded; bounds are above all that was measured."""
    run, said = Run(certified_run), stated(certified_run)
    with Ledger(run.folder) as ledger:
        figures = ledger.figures()
        errors = {chunk.part: chunk.error for chunk in ledger.chunks()}
    for row in said["rows"]:
        assert row["least_error"] == errors[row["part"]][row["row"]]
    largest = max(layer["max_error"] for layer in said["outputs"]["layers"])
    assert largest == pytest.approx(figures["weights"]["max_error"], rel=1e-12)
    worst = said["worst_case"]
    assert figures["ticket"]["max_logit_error"] <= worst["upper"] * (1 + 1e-5)
    assert 0 < worst["lower"] <= worst["upper"] <= said["outputs"]["bound"]
    ticket, target = whole_ticket(run), run.network.module().double()
    x = torch.tensor([worst["input"]], dtype=torch.float64)
    apart = (ticket.double()(x) - target(x)).abs()[0, worst["output"]]
    assert float(apart) == pytest.approx(worst["lower"], rel=1e-6)


def test_the_sample_holds_the_rows_of_the_smaller_one(certified_run: Path) -> None:
    with Ledger(certified_run) as ledger:
        small, large, every = (
            {
                (chunk.part, chunk.start + int(r))
                for chunk, rows in sampled_claims(ledger, 0, size)
                for r in rows
            }
            for size in (8, SAMPLE, None)
        )
    assert (len(small), len(large), len(every)) == (8, SAMPLE, NUM_ROWS)
    assert small < large < every
    rows = stated(certified_run)["rows"]
    assert [(row["part"], row["row"]) for row in rows] == sorted(large)


def test_progress_and_one_atomic_file(finished_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished_run, tmp_path / "run"))
    seen: list[tuple[int, int]] = []
    said = certify_run(folder, rows=5, on_certificate=lambda *done: seen.append(done))
    assert seen == [(k, 6) for k in range(1, 7)]
    assert stated(folder) == {"format": "milp_lth certificates/1"} | said
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*(p.name for p in finished_run.iterdir()), CERTIFICATES]
    )
    again = certify_run(folder, rows=None)  # it may be done again, and asked for more
    assert len(again["rows"]) == 483
    assert check_run(folder) == []


def test_the_report_may_be_written_again(certified: Path) -> None:
    rewrite_report(Run(certified))
    assert check_run(certified) == []


def test_a_mask_that_is_not_the_best_is_refuted(certified: Path) -> None:
    """All else agrees with the mask: errors, figures, ticket, report, digests."""
    certify_run(certified, rows=None)
    prefer_another_mask(certified, np.random.default_rng(1))
    seal(certified)
    problems = check_run(certified)
    assert any("claimed optimal at" in problem for problem in problems), problems


def test_false_claims_are_not_certified(
    certified: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (certified / CERTIFICATES).unlink()
    prefer_another_mask(certified, np.random.default_rng(1))
    seal(certified)
    with pytest.raises(ContradictionError, match="claimed optimal at .* is reached"):
        certify_run(certified, rows=None)
    assert not (certified / CERTIFICATES).exists()
    code, out, _ = milp_lth("certify", certified, "--all", capsys=capsys)
    assert code == 1
    assert out.startswith("not certified: ")
    code, out, _ = milp_lth("certify", certified, "--all", "--json", capsys=capsys)
    assert (code, json.loads(out)["certified"]) == (1, False)


@pytest.mark.parametrize(
    ("settings", "statuses"),
    [
        ({"objective": "sparsest", "tolerance": 0.01}, {"OPTIMAL"}),
        ({"objective": "sparsest", "tolerance": 1e-3, "width": 6}, {"OPTIMAL", "INFEASIBLE"}),
        ({"objective": "closest", "tolerance": 1e-4, "width": 8}, {"OPTIMAL", "INFEASIBLE"}),
        ({"objective": "fixed-size", "size": 3, "construction": "direct"}, {"OPTIMAL"}),
        ({"construction": "k-subset"}, {"OPTIMAL"}),
    ],
)
def test_every_objective(tmp_path: Path, settings: dict[str, Any], statuses: set[str]) -> None:
    folder = finished(tmp_path / "run", target="wine-mlp", **settings)
    said = certify_run(folder, rows=None)
    assert {row["status"] for row in said["rows"]} == statuses
    assert all(row["feasible"] == (row["status"] == "OPTIMAL") for row in said["rows"])
    assert all(row["reached"] for row in said["rows"] if row["status"] == "OPTIMAL")
    assert check_run(folder) == []


def test_what_is_not_claimed_is_not_certified(tmp_path: Path) -> None:
    folder = finished(tmp_path / "run", target="wine-mlp", width=12, solver="greedy")
    said = certify_run(folder)
    assert said["num_claims"] <= 483 // 4  # an error of 0 needs no proof
    assert len(said["rows"]) == min(SAMPLE, said["num_claims"])
    assert check_run(folder) == []


@pytest.mark.parametrize(
    ("construction", "no_outputs", "no_rows"),
    [("perturbed", None, True), ("l-plus-one", True, False)],
)
def test_what_cannot_be_proved_is_said(
    tmp_path: Path, construction: str, no_outputs: bool | None, no_rows: bool
) -> None:
    settings = {"target": "wine-mlp", "construction": construction, "width": 10}
    folder = finished(tmp_path / "run", **settings)
    said = certify_run(folder, rows=20, exact=True, radius=0.01, inputs=1, time_limit=3)
    assert all(("missing" in row) == no_rows for row in said["rows"])
    missing = {"missing" in one for one in (said["outputs"], said["worst_case"], *said["boxes"])}
    assert len(missing) == 1
    assert no_outputs is None or missing == {no_outputs}
    assert check_run(folder) == []


def test_other_networks_get_what_is_possible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))\n"
    )
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    module = f"{tmp_path / 'net.py'}:Net"
    options = ("--target", tmp_path / "net.pt", "--module", module, "--width", 12)
    folder = tmp_path / "run"
    milp_lth("run", *options, "--out", folder, "--input-shape", "6", capsys=capsys)
    asked = ("--module", module, "--exact", "--radius", 0.1, "--inputs", 2)
    code, out, _ = milp_lth("certify", folder, *asked, capsys=capsys)
    assert code == 0
    assert out.count(": certificates are for Linear, ") == 3
    assert "no subset does better in 64 of the " in out
    assert out.endswith(f"{folder}: certified\n")
    assert check_run(folder, module=module) == []


def test_tickets_in_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("milp_lth.run.WHOLE_EDGES", 1000)
    monkeypatch.setattr("milp_lth.shards.BLOCK_EDGES", 500)
    torch.manual_seed(5)
    torch.save(nn.Sequential(nn.Linear(9, 14), nn.ReLU(), nn.Linear(14, 6)).state_dict(),
               tmp_path / "net.pt")  # fmt: skip
    folder = finished(tmp_path / "run", target=str(tmp_path / "net.pt"), width=12)
    said = certify_run(folder, exact=True, radius=0.1, inputs=2)
    assert "shards" in said["outputs"]["missing"]
    assert len(said["rows"]) == SAMPLE
    assert check_run(folder) == []


def test_unfinished_and_changed_runs_are_refused(tmp_path: Path, run_copy: Path) -> None:
    folder = create_run(RunSettings(target="wine-mlp"), tmp_path / "new")
    with pytest.raises(ValueError, match="not finished: milp-lth resume"):
        certify_run(folder)
    content = bytearray((run_copy / TICKET).read_bytes())
    content[-3] ^= 1
    (run_copy / TICKET).write_bytes(content)
    with pytest.raises(ValueError, match=f"{TICKET} was changed after the run: milp-lth check"):
        certify_run(run_copy)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"rows": -1}, "-1 rows: give 0 or more"),
        ({"radius": -0.1}, "radius -0.1: give a finite"),
        ({"radius": float("nan")}, "radius nan: give a finite"),
        ({"radius": 0.1, "inputs": 0}, "0 inputs: give 1 or more"),
        ({"time_limit": 0.0}, "time limit 0.0: give a number of seconds above 0"),
    ],
)
def test_numbers_out_of_range(run_copy: Path, options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        certify_run(run_copy, **options)


def test_the_command_line(certified: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--exact", "--radius", 0.01, "--inputs", 2)
    code, out, _ = milp_lth("certify", certified, *options, capsys=capsys)
    assert code == 0
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [
        "weights", "outputs", "worst input", "classes agree within 0.01 of 2 held-out inputs",
        "optimality",
    ]  # fmt: skip
    assert f"64 of the {NUM_ROWS} rows" in lines[-2]
    assert lines[-1] == f"{certified}: certified"
    code, out, _ = milp_lth("certify", certified, "--json", "--rows", 2, capsys=capsys)
    assert code == 0
    assert json.loads(out)["certified"] is True
    assert len(json.loads(out)["rows"]) == 2
    assert milp_lth("check", certified, capsys=capsys)[:2] == (0, f"{certified}: verified\n")
    (certified / CERTIFICATES).write_text("{")
    code, out, err = milp_lth("check", certified, capsys=capsys)
    assert (code, out) == (2, "")
    assert "certificates.json: damaged" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("options", [("--all", "--rows", 3), ("--inputs", 3), ("--rows", -1)])
def test_options_that_do_not_go_together(
    run_copy: Path, options: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = milp_lth("certify", run_copy, *options, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
