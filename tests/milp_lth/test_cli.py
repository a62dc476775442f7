"""The command line, as a user meets it: exit codes, one-line errors, JSON, nothing left behind."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from instances.files import load_instance, save_instance
from instances.generate import planted_family, uniform_family
from instances.objectives import Closest, Sparsest
from instances.subset_sum import SubsetSum
from milp_lth.cli import main as cli
from milp_lth.ticket_files import load_ticket


def milp_lth(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, standard output and error."""
    capsys.readouterr()
    code = cli._run([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_run_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = milp_lth(
        "run", "--target", "wine-mlp", "--width", "24,12", "--seed", 3, "--json", capsys=capsys
    )
    assert (code, err) == (0, "")
    figures = json.loads(out)
    assert figures["target"].keys() == {"accuracy"}
    assert figures["ticket"].keys() >= {"accuracy", "agreement", "max_logit_error"}
    assert figures["edges"].keys() == {
        "source_dense", "source_block", "kept_u", "kept_v", "alive", "per_weight"
    }  # fmt: skip
    assert figures["status"] == {"OPTIMAL": 483, "FEASIBLE": 0, "INFEASIBLE": 0, "NO_SOLUTION": 0}
    assert (figures["within_tolerance"], figures["out_of_tolerance"]) == (483, 0)
    assert figures["seconds"].keys() >= {"solve", "total"}
    folder = Path(figures["out"])
    assert folder == Path("runs/wine-mlp-1")
    assert sorted(p.name for p in folder.iterdir()) == [
        "report.html", "results.sqlite", "settings.json", "target.safetensors", "ticket.safetensors"
    ]  # fmt: skip
    assert load_ticket(folder / "ticket.safetensors").settings.source.seed == 3
    code, out, err = milp_lth("check", folder, "--json", capsys=capsys)
    assert (code, json.loads(out)) == (0, {"verified": True, "problems": []})
    code, out, _ = milp_lth("report", folder, capsys=capsys)
    assert (code, out) == (0, "runs/wine-mlp-1/report.html\n")
    code, out, _ = milp_lth("check", folder, capsys=capsys)
    assert (code, out) == (0, "runs/wine-mlp-1: verified\n")
    with sqlite3.connect(folder / "results.sqlite") as connection:
        connection.execute("update figures set value = '1' where name = 'within_tolerance'")
    connection.close()
    code, out, _ = milp_lth("check", folder, capsys=capsys)
    assert code == 1
    assert "not verified: the recorded within_tolerance is 1, but it is 483\n" in out


def test_what_people_see(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = milp_lth(
        "run", "--target", "wine-mlp", "--width", 12, "--out", "here", capsys=capsys
    )
    assert (code, err) == (0, "")
    assert "agreement with the target" in out
    assert "483 OPTIMAL" in out
    assert out.endswith("report and ticket: here\n")
    code, out, err = milp_lth("solvers", capsys=capsys)
    assert code == 0
    assert all(name in out for name in ("mitm", "cp-sat", "cbc", "greedy"))
    code, out, _ = milp_lth("solvers", "--json", capsys=capsys)
    assert {row["name"] for row in json.loads(out)["rows"]} >= {"mitm", "cp-sat", "cbc", "greedy"}
    code, out, _ = milp_lth("--help", capsys=capsys)
    assert code == 0
    assert "Exit codes" in out


def test_a_file_without_data_is_judged_on_random_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    safetensors.torch.save_file(net.state_dict(), "net.safetensors")
    torch.save(net.state_dict(), "net.pt")
    for name in ("net.safetensors", "net.pt"):
        code, out, _ = milp_lth("run", "--target", name, "--json", capsys=capsys)
        figures = json.loads(out)
        assert code == 0
        assert figures["ticket"]["accuracy"] is figures["target"]["accuracy"] is None
        assert figures["ticket"]["agreement"] > 0.99
        assert figures["weights"]["num_rows"] == 2 * 20 + 5 + 12  # both halves in the first layer
        assert milp_lth("check", figures["out"], capsys=capsys)[0] == 0
    code, out, _ = milp_lth(
        "run", "--target", "net.pt", "--input-range", 0, 1, "--json", capsys=capsys
    )
    assert json.loads(out)["weights"]["num_rows"] == 20 + 5 + 12


def test_a_file_with_data(digits, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    torch.save(digits[0].state_dict(), "digits.pt")
    code, out, _ = milp_lth(
        "run", "--target", "digits.pt", "--data", "digits", "--width", 14, "--json", capsys=capsys
    )
    assert code == 0
    assert json.loads(out)["ticket"]["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--objective", "closest", "--tolerance", 1e-9], 3),
        (["--objective", "sparsest", "--tolerance", 0.05], 3),
        (["--objective", "sparsest", "--tolerance", 5], 0),
        (["--objective", "fixed-size", "--size", 2], 0),
        (["--objective", "fixed-size", "--size", 40], 3),
    ],
)
def test_targets_out_of_reach_are_recorded(
    options: list[object], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "--target", "wine-mlp", "--width", 8, "--out", "run", "--json", *options]
    got, out, _ = milp_lth(*arguments, capsys=capsys)
    figures = json.loads(out)
    assert got == code
    assert (figures["out_of_tolerance"] > 0) == (code == 3)
    assert len(list(Path("run").iterdir())) == 5  # complete
    assert milp_lth("check", "run", capsys=capsys)[0] == 0


@pytest.mark.parametrize("solver", ["cp-sat", "cbc", "greedy"])
def test_other_solvers(solver: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(3, 2, bias=False)).state_dict(), "net.pt")
    arguments = ["run", "--target", "net.pt", "--width", 14, "--solver", solver, "--out", "run"]
    code, out, _ = milp_lth(*arguments, "--time-limit", 60, "--json", capsys=capsys)
    assert code == 0
    status = json.loads(out)["status"]
    assert status["OPTIMAL"] == (12 if solver == "cp-sat" else 0)
    assert milp_lth("check", "run", capsys=capsys)[0] == 0


BAD_RUNS = {
    "an unknown target": (["--target", "resnet"], "choose one of digits-mlp, wine-mlp"),
    "a missing file": (["--target", "none.pt"], "none.pt: cannot be read (No such file"),
    "a truncated file": (["--target", "short.pt"], "short.pt: not a whole .pt file"),
    "garbage": (["--target", "garbage.safetensors"], "garbage.safetensors: not a whole"),
    "a pickled module": (["--target", "module.pt"], "state_dict()"),
    "NaN weights": (["--target", "nan.pt"], "NaN"),
    "infinite weights": (["--target", "inf.pt"], "infinite"),
    "wrong shapes": (["--target", "shapes.pt"], "takes 5 inputs"),
    "an unsupported layer": (["--target", "conv.pt"], "'conv.weight' of shape (2, 1, 3, 3)"),
    "width 0": (["--width", "0"], "at least one hidden unit"),
    "a width that is no number": (["--width", "wide"], "give a whole number"),
    "too many widths": (["--width", "4,4,4"], "3 widths for 2 layers"),
    "an unknown solver": (["--solver", "gurobii"], "choose one of mitm, cp-sat, cbc"),
    "a negative tolerance": (["--tolerance", "-0.1"], "tolerance -0.1"),
    "no tolerance": (["--objective", "sparsest"], "needs a tolerance"),
    "no size": (["--objective", "fixed-size"], "needs a size"),
    "a size too many": (["--size", "3"], "takes no size"),
    "an unknown objective": (["--objective", "best"], "closest"),
    "an unknown assignment": (["--assignment", "best"], "matched"),
    "an unknown option": (["--colour", "red"], "--colour"),
    "a seed out of range": (["--seed", "-1"], "seed -1"),
    "a time limit of 0": (["--time-limit", "0"], "time limit"),
    "an input range upside down": (["--input-range", "1", "-1"], "lower first"),
    "inputs outside their range": (["--target", "wine-mlp", "--input-range", "0", "1"], "negative"),
    "data that do not fit": (["--target", "good.pt", "--data", "digits"], "64 features"),
    "unknown data": (["--data", "imagenet"], "choose one of digits, wine, mnist, or a folder"),
    "an unknown device": (["--device", "abacus"], "abacus"),
    "a folder in use": (["--out", "used"], "not empty"),
    "a file for a folder": (["--out", "good.pt"], "not empty"),
}


def write_bad_targets() -> None:
    good = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2)).state_dict()
    torch.save(good, "good.pt")
    torch.save(nn.Linear(2, 2), "module.pt")
    torch.save(good | {"0.weight": torch.full((2, 3), torch.nan)}, "nan.pt")
    torch.save(good | {"2.bias": torch.full((2,), -torch.inf)}, "inf.pt")
    torch.save(good | {"2.weight": torch.ones(2, 5)}, "shapes.pt")
    torch.save({"conv.weight": torch.ones(2, 1, 3, 3)} | good, "conv.pt")
    Path("short.pt").write_bytes(Path("good.pt").read_bytes()[:700])
    Path("garbage.safetensors").write_bytes(b"\x93garbage" * 40)
    Path("used").mkdir()
    Path("used/mine.txt").write_text("precious")


@pytest.mark.parametrize("case", BAD_RUNS)
def test_bad_input_is_one_line_and_writes_nothing(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bad_targets()
    before = {p: p.stat().st_mtime_ns for p in Path().rglob("*")}
    options, message = BAD_RUNS[case]
    code, out, err = milp_lth("run", *options, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith("milp-lth: ")
    assert err.count("\n") == 1
    assert message in err
    assert {p: p.stat().st_mtime_ns for p in Path().rglob("*")} == before


def test_bad_folders_and_files(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    Path("instance.json").write_text("{}")
    no_rows = {"format": "subset-sum/1", "coefficients": [], "targets": [], "objective": "closest"}
    Path("no_rows.json").write_text(json.dumps(no_rows))
    np.savez("no_rows.npz", **no_rows | {"coefficients": np.empty((0, 3)), "targets": np.empty(0)})
    for arguments in (
        ["check", "nowhere"],
        ["check", "empty"],
        ["resume", "empty"],
        ["report", "empty"],
        ["solve", "none.npz"],
        ["solve", "instance.json"],
        ["solve", "no_rows.json"],
        ["solve", "no_rows.npz"],
        ["solve", "instance.json", "--solver", "x"],
        ["fly"],
    ):
        code, out, err = milp_lth(*arguments, capsys=capsys)
        assert (code, out, err.count("\n")) == (2, "", 1), arguments
    assert milp_lth(capsys=capsys)[0] == 2  # no command: the help


def test_a_read_only_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    code, _, err = milp_lth("run", "--target", "wine-mlp", "--out", "x", capsys=capsys)
    assert (code, err) == (2, "milp-lth: x: cannot be written (Permission denied)\n")


def test_solve(capsys: pytest.CaptureFixture[str]) -> None:
    instance, mask = planted_family(30, 12, seed=1)
    for name in ("i.npz", "i.json"):
        save_instance(instance, name)
        code, out, _ = milp_lth("solve", name, "--json", capsys=capsys)
        stated = json.loads(out)
        assert code == 0
        assert stated["status"]["OPTIMAL"] == 30
        assert stated["solver"] == "mitm"
        assert [row["kept"] for row in stated["rows"]] == [m.nonzero()[0].tolist() for m in mask]
        assert all(row["error"] == 0 for row in stated["rows"])
    code, out, _ = milp_lth("solve", "i.json", "--solver", "greedy", capsys=capsys)
    assert code == 0
    assert "and 10 more rows" in out
    assert load_instance("i.json").objective == Closest()


def test_solve_out_of_reach(capsys: pytest.CaptureFixture[str]) -> None:
    save_instance(SubsetSum([[0.5, 0.1], [0.5, 0.1]], [9.0, 0.6], Sparsest(0.01)), "i.json")
    code, out, _ = milp_lth("solve", "i.json", "--json", capsys=capsys)
    stated = json.loads(out)
    assert code == 3
    assert (stated["within_tolerance"], stated["out_of_tolerance"]) == (1, 1)
    assert stated["status"]["INFEASIBLE"] == 1
    assert stated["rows"][0]["bound"] is None


def test_gaps_are_printed_with_the_claim(capsys: pytest.CaptureFixture[str]) -> None:
    save_instance(uniform_family(2, 12), "i.json")
    arguments = ["solve", "i.json", "--solver", "cbc", "--time-limit", 60]
    assert json.loads(milp_lth(*arguments, "--json", capsys=capsys)[1])["status"]["OPTIMAL"] == 0
    _, out, _ = milp_lth(*arguments, "--abs-gap", "1e-6", capsys=capsys)
    assert "2 OPTIMAL (gap: 1e-06 absolute, 0 relative)" in out


def test_an_unavailable_solver_is_exit_code_4(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from solvers.registry import REGISTRY

    monkeypatch.setitem(REGISTRY, "cbc", REGISTRY["cbc"]._replace(needs="no_such_package"))
    code, _, err = milp_lth("run", "--solver", "cbc", capsys=capsys)
    assert code == 4
    assert "pip install no_such_package" in err
    assert "no: solver cbc needs" in milp_lth("solvers", capsys=capsys)[1]


def slow_run(*options: str) -> "subprocess.Popen[str]":
    """Start a run that takes long, in a process of its own."""
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(40, 20)).state_dict(), "net.pt")
    arguments = ["run", "--target", "net.pt", "--width", "34", "--solver", "cp-sat", "--out", "run"]
    return subprocess.Popen(
        [sys.executable, "-c", "from milp_lth.cli.main import main; main()", *arguments, *options],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_chunks(number: int) -> None:
    for _ in range(1200):
        time.sleep(0.1)
        if Path("run/settings.json").exists():
            with sqlite3.connect("run/results.sqlite") as connection:
                if connection.execute("select count(*) from chunks").fetchone()[0] >= number:
                    return
            connection.close()
    pytest.fail("the run does not get ahead")


def test_ctrl_c_finishes_the_chunk_and_the_run_can_be_resumed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    process = slow_run()
    wait_for_chunks(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "finishing this chunk" in err
    assert "milp-lth resume run" in err
    code, _, err = milp_lth("check", "run", capsys=capsys)
    assert code == 2
    interrupted = (
        sqlite3.connect("run/results.sqlite").execute("select start, mask from chunks").fetchall()
    )
    assert len(interrupted) >= 1
    finish_with_mitm()
    assert milp_lth("resume", "run", capsys=capsys)[0] == 0
    assert milp_lth("check", "run", capsys=capsys)[0] == 0
    finished = dict(
        sqlite3.connect("run/results.sqlite").execute(
            "select start, mask from chunks where part = 0"
        )
    )
    assert all(finished[start] == mask for start, mask in interrupted)


def finish_with_mitm() -> None:
    """Change who solves the rest, so that the test does not take all day."""
    path = Path("run/settings.json")
    path.write_text(path.read_text().replace('"solver": "cp-sat"', '"solver": "mitm"'))


def test_progress_is_plain_lines_without_a_terminal() -> None:
    process = slow_run("--time-limit", "12")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    lines = [line for line in err.splitlines() if "weights, about" in line]
    assert len(lines) >= 2
    assert "worst error" in lines[0]
    assert ", ," not in err
