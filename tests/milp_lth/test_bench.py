"""What bench measures, on batches too small for the numbers to mean anything."""

import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from instances.generate import uniform_family
from instances.philox import uniform
from instances.subset_sum import SubsetSum
from milp_lth.bench import batches, curve, gpu, parameter_sets, runs, workers
from milp_lth.bench.kernels import read_problems
from milp_lth.bench.row import Row
from milp_lth.cli import main as cli
from solvers.exact import cuda_launch
from solvers.exact.meet_in_the_middle import MeetInTheMiddle
from solvers.exact.scaling import scale_row

Run = Callable[..., tuple[int, str, str]]

WITH_BARS = [
    "closest, n = 21",
    "sparsest, ε = 0.01, n = 21",
    "closest, n = 21, fastest CP-SAT / mitm",
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``milp-lth bench kernels`` on small batches, beside a small network's net.pt."""
    monkeypatch.chdir(tmp_path)
    for module in (batches, curve):
        monkeypatch.setattr(module, "NUM_ROWS", 200)
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(30, 15), nn.ReLU(), nn.Linear(15, 2)).state_dict(), "net.pt")

    def run_bench(*options: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli._run(["bench", "kernels", *map(str, options)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_bench


def test_json_and_page(run: Run) -> None:
    small = ["--instances", 2, "--curve", "20,16,20", "--weights", "net.pt", "--seed", 3]
    code, out, err = run(*small, "--out", "bench.html", "--json")
    assert (code, err) == (0, "")
    stated = json.loads(out)
    assert stated["seed"] == 3
    assert stated["versions"].keys() == {"numba", "numpy", "ortools"}
    assert stated["environment"]["cores"] >= 1
    assert [point["n"] for point in stated["curve"]] == [16, 20]
    assert all(point["seconds"] > 0 for point in stated["curve"])
    rows = {row["row"]: row for row in stated["rows"]}
    assert all(row.keys() >= {"row", "value", "unit", "bar", "met"} for row in stated["rows"])
    assert all(row["value"] > 0 for row in stated["rows"] if row["unit"] != "per candidate")
    slope = "closest, slope of log2 time, n = 16–20"
    assert [name for name, row in rows.items() if row["bar"] is not None] == [*WITH_BARS, slope]
    assert all((row["met"] is None) == (row["bar"] is None) for row in stated["rows"])
    assert rows[slope]["value"] == stated["slope"]
    sets = [row for name, row in rows.items() if name.startswith("CP-SAT")]
    assert len({(row["presolve"], row["linearization_level"]) for row in sets}) == len(sets) == 6
    assert all(row["agrees"] is True for row in sets)
    assert all((row["num_instances"], row["num_unproven"]) == (2, 0) for row in sets)
    ratio = rows["closest, n = 21, fastest CP-SAT / mitm"]
    assert ratio["value"] == min(row["ratio"] for row in sets)
    assert ratio["agrees"] is True
    page = Path("bench.html").read_text(encoding="utf-8")
    assert f"2\\u003csup\\u003e{stated['slope']:.3f} n" in page
    assert all(name in page for name in rows)
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "http" not in own
    assert not re.search(r"<script[^>]*\ssrc=", page)


def test_what_people_see(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameter_sets, "NUM_CANDIDATES", 8)
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = run("--instances", 2, "--curve", "24,26")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["what", "measured", "bar", "met"]
    assert re.fullmatch(r"closest, n = 21 +[\d.,]+ µs per row +≤ 10 +(yes|no) *", lines[1])
    assert "2,368 weights" in out  # digits-mlp
    assert out.count(" × mitm, agrees)") == 6
    assert "n = 24–26" in out
    assert list(Path().iterdir()) == [Path("net.pt")]


BAD = {
    "no instances": (["--instances", "0"], "at least one"),
    "one point": (["--curve", "24"], "at least two"),
    "the same point twice": (["--curve", "24,24"], "at least two"),
    "points that are no numbers": (["--curve", "24,many"], "whole numbers"),
    "a point out of reach": (["--curve", "24,60"], "from 1 to 48"),
    "a point below all": (["--curve", "0,24"], "from 1 to 48"),
    "a seed out of range": (["--seed", "-1"], "seed -1"),
    "no such file": (["--weights", "none.pt"], "cannot be read"),
    "another file": (["--weights", "text.pt"], "text.pt"),
    "a page of another kind": (["--out", "bench.pdf"], ".html"),
    "a page in no folder": (["--out", "none/bench.html"], "no folder none"),
    "a folder for a page": (["--out", "folder.html"], "there is a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, run: Run) -> None:
    Path("text.pt").write_text("no tensors")
    Path("folder.html").mkdir()
    options, message = BAD[case]
    code, out, err = run("--weights", "net.pt", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_least_errors_are_those_of_all_subsets() -> None:
    instance = uniform_family(3, 9, seed=5)
    for b, least in enumerate(parameter_sets._least_errors(instance)):
        coefficients, target, *_ = scale_row(instance, b)
        subsets = (kept for size in range(10) for kept in combinations(coefficients, size))
        assert least == min(abs(target - sum(kept)) for kept in subsets)


def test_disagreement_and_time_limits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = uniform_family(1, 10)
    (least,) = parameter_sets._least_errors(instance)
    for claimed, agrees in ((least, True), (least + 4, False), (max(0, least - 4), False)):
        outcome = parameter_sets._solve(instance, 0, claimed, False, 0)
        assert (outcome.proven, outcome.agrees) == (True, agrees)
    monkeypatch.setattr(parameter_sets, "TIME_LIMIT", 0.0)
    outcome = parameter_sets._solve(instance, 0, least, False, 0)
    assert (outcome.proven, outcome.agrees) == (False, True)
    row = parameter_sets._row((False, 0), [outcome, outcome._replace(agrees=False)], 2.0)
    assert (row.more["num_unproven"], row.more["agrees"]) == (2, False)
    assert "2 × mitm, DISAGREES, 2 stopped after 0 s" in row.texts()[1]


def test_ragged_rows_have_21_candidates_on_average() -> None:
    ragged = batches._ragged(0)
    assert ragged.num_available().mean() == pytest.approx(21, abs=0.05)
    assert len(np.unique(ragged.num_available())) > 5


def test_every_weight_has_its_own_candidates() -> None:
    reduction = read_problems(None, 1)
    assert reduction.num_rows == 2368
    assert all(part.shape[1] == 21 for part in reduction.parts)
    coefficients = np.concatenate([p.instance().coefficients for p in reduction.parts])
    assert len(np.unique(coefficients)) > 0.99 * coefficients.size


def test_the_line_is_fitted_from_24_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([5.0, 1.0, 4.0, 32.0])  # per row, at 20, 24, 28 and 30 candidates
    monkeypatch.setattr(curve, "solving_seconds", lambda instance: next(seconds) * len(instance))
    told: list[tuple[int, int]] = []
    fit = curve.measure_curve([30, 20, 28, 24], 0, lambda *done: told.append(done))
    assert fit.fitted == (24, 28, 30)
    assert [n for n, _ in fit.points] == [20, 24, 28, 30]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    x, y = np.array([24, 28, 30]), np.array([0, 2, 5])
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    assert fit.slope == pytest.approx(slope)
    assert fit.row().met is False


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        (Row("a", 9.876, "µs", 10.0), ("a", "9.88 µs", "≤ 10", "yes")),
        (Row("b", 7999.6, "×", 8000.0, True), ("b", "8,000 ×", "≥ 8,000", "no")),
        (Row("c", 0.05, "s", note="so"), ("c", "0.0500 s (so)", "–", "–")),
        (Row("d", -0.5, ""), ("d", "-0.500", "–", "–")),
        (Row("e", 0.0, "s"), ("e", "0.00 s", "–", "–")),
    ],
)
def test_rows_as_people_read_them(row: Row, texts: tuple[str, ...]) -> None:
    assert row.texts() == texts


def test_whole_runs_are_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    file = tmp_path / "net.pt"
    torch.save(nn.Sequential(nn.Linear(9, 4)).state_dict(), file)
    monkeypatch.setattr(runs, "_FILE", {"mine": ("--width", "9", "--construction", "direct")})
    assert cli._run(["bench", "runs", "--weights", str(file), "--json"]) == 0
    stated = json.loads(capsys.readouterr().out)
    seconds, memory = stated["rows"]
    assert seconds["row"] == "mine: command to report"
    assert 0 < seconds["phases"]["total"] < seconds["value"]
    assert seconds["num_rows"] == 40
    assert 100 < memory["value"] < 4000
    assert stated["environment"].keys() >= {"processor", "cores", "memory", "accelerator"}
    monkeypatch.setattr(runs, "_DIGITS", {"bad": ("--width", "0")})
    assert cli._run(["bench", "runs"]) == 2
    assert "width 0" in capsys.readouterr().err
    assert cli._run(["bench", "runs", "--data", "digits"]) == 2


def test_workers_are_timed_and_agree(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "CHUNK_ROWS", 1000)
    assert cli._run(["bench", "workers", "--chunks", "3", "--json"]) == 0
    rows = {row["row"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["2 workers / one: speed"]["same"]
    assert rows["one worker / here: overhead"]["bar"] == 5
    assert rows["here, one thread"]["value"] > 0
    for bad in ("0", "one"):
        assert cli._run(["bench", "workers", "--workers", bad]) == 2
        assert "whole numbers" in capsys.readouterr().err


def test_a_gpu_is_measured_or_it_is_said_why_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if torch.cuda.is_available():
        assert cli._run(["bench", "gpu", "--rows", "20000", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        assert all(row.get("same", True) for row in rows)
        return
    assert cli._run(["bench", "gpu", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["rows"] == []
    assert captured.err.startswith("not measured: ")
    assert captured.err.count("\n") == 1
    with pytest.raises(ValueError, match="ten or more"):
        gpu.gpu_rows(9, 0, lambda done, of: None)


def test_what_is_measured_on_a_gpu_runs_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement itself, with the CPU in the device's place."""
    monkeypatch.setattr(gpu, "MeetInTheMiddle", lambda *given, **named: MeetInTheMiddle(1, "cpu"))
    monkeypatch.setattr(gpu, "_LAYER", (3, 10, 4))
    monkeypatch.setattr(gpu, "_SAMPLES", 50)
    monkeypatch.setattr(gpu, "_SIZES", (12,))
    monkeypatch.setattr(gpu, "_CANDIDATES", 9)
    monkeypatch.setattr(gpu, "_DEVICE", "cpu")
    monkeypatch.setattr("solvers.heuristic.rows.DRAW_ON", ("cpu",))
    monkeypatch.setattr(gpu, "replace", lambda solver, device: solver)

    def drawn(stream, first, n, targets, objective):  # type: ignore[no-untyped-def]
        counters = first + np.arange(len(targets) * n).reshape(-1, n)
        rows = SubsetSum(uniform(stream, counters), targets, objective)
        return MeetInTheMiddle(1, "cpu").propose(rows, np.inf)

    monkeypatch.setattr(cuda_launch, "solve_uniform", drawn)
    monkeypatch.setattr(cuda_launch, "rows_at_once", lambda n: 30)
    told: list[tuple[int, int]] = []
    rows = gpu.gpu_rows(100, 0, lambda *done: told.append(done))
    assert told == [(done, 7) for done in range(1, 8)]
    assert len(rows) == 2 * 3 + 4 + 1
    heuristics = [row for row in rows if row.name.endswith("drawn there / copied")]
    assert [row.name.split(",")[0] for row in heuristics] == ["greedy", "swaps", "beam", "tabu"]
    assert all(row.more["same"] and "masks equal" in row.note for row in heuristics)
    assert all(row.more.get("same", True) for row in rows)
    one, two = re.findall(r"mean error ([0-9.e-]+), ([0-9.e-]+)", rows[-1].note)[0]
    assert one == two
