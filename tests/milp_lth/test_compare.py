"""Comparisons: every number against its definition, and solvers that misbehave."""

import csv
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from misbehaving import Misbehaving
from pyarrow import parquet

from instances.files import save_instance
from instances.generate import uniform_family
from instances.objectives import Closest, FixedSize, Sparsest
from instances.subset_sum import SubsetSum
from milp_lth.cli import main as cli
from milp_lth.compare import summary as s
from milp_lth.compare.comparison import Asked, Comparison
from milp_lth.compare.measuring import Run
from milp_lth.compare.page import stated, write_page
from milp_lth.compare.problems import STANDARD, load_problems, reordered
from milp_lth.compare.store import Store
from milp_lth.compare.tables import seconds
from milp_lth.compare.yardstick import Yardstick, claimed, disagrees
from solvers.registry import get_solver
from solvers.solve import solve

RUN = Run(
    set_name="set", row=0, solver="a", seed=0, task="closest", num_candidates=9, outcome="finished",
    message="", optimum=math.nan, reported_status="", reported_objective=math.nan,
    reported_bound=math.nan, status="FEASIBLE", objective=1.0, violation=0.0, bound=0.0,
    seconds=1.0, build_seconds=0.0, start_seconds=0.0, mask=[], trace=[],
)  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Three rows with targets −0.4, 0.3 and 0.45: misbehaving solvers fail on the first."""
    base = uniform_family(3, 10, seed=1)
    path = tmp_path / "rows.npz"
    save_instance(SubsetSum(base.coefficients, np.array([-0.4, 0.3, 0.45])), path)
    return path


def runs_of(folder: Path) -> list[Run]:
    with Store(folder) as store:
        return store.runs()


def test_what_is_recorded_is_true(rows: Path, tmp_path: Path) -> None:
    asked = Asked((str(rows),), time_limit=20.0, seeds=2)
    names = ("mitm", "cp-sat", "greedy", "cbc-default")
    comparison = Comparison(asked, tmp_path / "out", {name: get_solver(name) for name in names})
    comparison.carry_out()
    runs = runs_of(tmp_path / "out")
    assert len(runs) == comparison.num_runs() == 3 * 4 * 2
    problems = {p.row: p.instance for p in load_problems([str(rows)], 5)}
    for run in runs:
        mask = np.zeros((1, 10), bool)
        mask[0, run.mask] = True
        objective, violation = problems[run.row].evaluate(mask)
        assert (run.objective, run.violation) == (objective[0], violation[0])
        assert run.outcome == "finished"
        assert 0 < run.seconds < 20
        assert 0 <= run.build_seconds <= run.seconds
        assert run.num_candidates == 10
        optimum = solve(problems[run.row], "mitm").objective[0]
        if run.solver in ("mitm", "cp-sat"):
            assert (run.status, run.objective) == ("OPTIMAL", optimum)
        assert run.objective >= optimum
        assert run.trace[-1][1] == run.objective
    assert all(run.build_seconds > 0 for run in runs if run.solver in ("cp-sat", "cbc-default"))
    with Store(tmp_path / "out") as store:
        assert {key for key, rate in store.batches().items() if rate} == {
            (str(rows), "mitm"), (str(rows), "greedy")
        }  # fmt: skip
        assert store.settings()["environment"]["versions"]["ortools"]


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("crash", "crashed"),
        ("hang", "time limit"),
        ("hog", "memory"),
        ("raise", "error"),
        ("garbage", "finished"),
    ],
)
def test_whoever_misbehaves_loses_its_own_row(
    how: str, outcome: str, rows: Path, tmp_path: Path
) -> None:
    limits = {"time_limit": 60.0, "memory_limit": 400.0} if how == "hog" else {"time_limit": 1.5}
    asked = Asked((str(rows),), **limits)
    solvers = {"bad": Misbehaving(how), "mitm": get_solver("mitm")}
    Comparison(asked, tmp_path / "out", solvers).carry_out()
    runs = {(run.solver, run.row): run for run in runs_of(tmp_path / "out")}
    assert [runs["bad", row].outcome for row in range(3)] == [outcome, "finished", "finished"]
    assert all(runs["mitm", row].status == "OPTIMAL" for row in range(3))
    assert runs["bad", 0].status in ("NO_SOLUTION", "FEASIBLE")
    assert runs["bad", 0].seconds <= 1.1 * limits["time_limit"] + 1.5
    assert bool(runs["bad", 0].message) == (outcome in ("crashed", "memory", "error"))


def test_lies_are_counted(rows: Path, tmp_path: Path) -> None:
    asked = Asked((str(rows),), time_limit=5.0)
    solvers = {"liar": Misbehaving("lie"), "mitm": get_solver("mitm")}
    comparison = Comparison(asked, tmp_path / "out", solvers)
    comparison.carry_out()
    found = {row["solver"]: row for row in stated(comparison)["rows"]}
    liar, honest = found["liar"], found["mitm"]
    assert (liar["claimed"], liar["falsely_claimed"], liar["disagreements"]) == (1, 1, 1)
    assert (liar["proven"], liar["solved"]) == (0, 0)
    assert (honest["solved"], honest["proven"], honest["falsely_claimed"]) == (3, 3, 0)
    assert honest["gap"] == 0
    assert liar["gap"] > 1
    page = write_page(comparison).read_text()
    assert "liar" in page
    assert "<script src" not in page


def test_seeds_are_orders_of_the_candidates() -> None:
    instance = uniform_family(1, 12, seed=3)
    same, order = reordered(instance, 0)
    assert (order == np.arange(12)).all()
    assert (same.coefficients == instance.coefficients).all()
    other, order = reordered(instance, 1)
    assert sorted(order) == list(range(12))
    assert (other.coefficients == instance.coefficients[:, order]).all()
    assert solve(other, "mitm").objective == solve(instance, "mitm").objective


def test_tasks_are_never_mixed(tmp_path: Path) -> None:
    for name, objective in (("c", Closest()), ("e", Closest(0.1)), ("s", Sparsest(0.1)),
                            ("f", FixedSize(2))):  # fmt: skip
        save_instance(uniform_family(1, 8, objective=objective), tmp_path / f"{name}.npz")
    names = [str(tmp_path / f"{name}.npz") for name in "cesf"]
    tasks = [problem.task for problem in load_problems(names, 1)]
    assert tasks == ["closest", "closest within 0.1", "sparsest within 0.1",
                     "fixed-size(2)"]  # fmt: skip
    runs = [RUN._replace(task=task) for task in tasks]
    assert list(s.by_task(runs)) == tasks


def test_the_standard_sets_are_there_with_their_optima() -> None:
    problems = load_problems(STANDARD, 2)
    assert {problem.set_name for problem in problems} == set(STANDARD)
    assert {problem.task for problem in problems} == {"closest", "sparsest within 0.001"}
    for problem in problems:
        assert solve(problem.instance, "mitm").objective[0] == problem.optimum


def test_means_count_failures() -> None:
    assert s.shifted_geometric_mean([1.0, 4.0], 0.0) == pytest.approx(2.0)
    assert s.shifted_geometric_mean([1.0, 7.0], 1.0) == pytest.approx(3.0)
    runs = [
        RUN._replace(row=0, optimum=1.0, seconds=2.0),
        RUN._replace(row=1, optimum=0.5, seconds=2.0),
    ]
    (row,) = s.summary(runs, {}, Yardstick.of(runs, time_limit=10.0))
    assert (row["runs"], row["solved"]) == (2, 1)
    assert row["par2"] == pytest.approx((2 + 20) / 2)
    shift = s.shift_for(runs)
    assert shift == 1.0
    assert row["mean_seconds"] == pytest.approx(s.shifted_geometric_mean([2.0, 10.0], shift))
    low, high = row["mean_interval"]
    assert low <= row["mean_seconds"] <= high
    assert row["gap"] == pytest.approx(math.sqrt(1 * 2) - 1)


def test_claims() -> None:
    yardstick = Yardstick(10.0, 0.0, {("set", 0): 1.0, ("set", 1): math.inf})
    said = RUN._replace(reported_status="Optimal", objective=1.0)
    assert claimed(said)
    assert not yardstick.falsely_claimed(said)
    assert yardstick.falsely_claimed(said._replace(objective=1.1))
    assert yardstick.falsely_claimed(said._replace(violation=0.1))
    assert yardstick.falsely_claimed(said._replace(reported_status="INFEASIBLE"))
    assert not yardstick.falsely_claimed(said._replace(reported_status="Infeasible", row=1))
    assert not claimed(said._replace(reported_status="done"))
    assert yardstick.solved(RUN._replace(row=1, status="INFEASIBLE", violation=1.0))
    assert not yardstick.solved(RUN._replace(row=1, status="NO_SOLUTION", violation=1.0))
    assert disagrees(RUN._replace(reported_objective=0.9))
    assert not disagrees(RUN._replace(reported_objective=1.0))


def test_everything_is_measured_at_the_gap() -> None:
    near = RUN._replace(reported_status="Optimal", objective=1.01, bound=0.995)
    exact, loose = (Yardstick(10.0, gap, {("set", 0): 1.0}) for gap in (0.0, 0.02))
    assert (exact.solved(near), exact.proven(near), exact.falsely_claimed(near)) == (0, 0, 1)
    assert (loose.solved(near), loose.proven(near), loose.falsely_claimed(near)) == (1, 1, 0)
    with pytest.raises(ValueError, match="abs-gap"):
        Yardstick.of([], time_limit=1.0, abs_gap=-1.0)


def test_gaps_to_an_optimum_of_zero_are_finite_and_seen() -> None:
    yardstick = Yardstick(10.0, 0.0, {("set", 0): 0.0})
    assert yardstick.log_excess(RUN._replace(objective=1e-3)) == pytest.approx(12 * math.log(10))
    assert yardstick.log_excess(RUN._replace(objective=0.0)) == 0
    assert yardstick.log_excess(RUN._replace(violation=0.1)) is None
    counts = RUN._replace(task="sparsest within 0.1", objective=2.0)
    assert yardstick.log_excess(counts) == pytest.approx(math.log(3))


def test_rows_that_a_solver_does_not_take_are_failures(tmp_path: Path) -> None:
    short, long = uniform_family(2, 10, seed=1), uniform_family(1, 60, seed=1)
    save_instance(short, tmp_path / "short.npz")
    save_instance(long, tmp_path / "long.npz")
    asked = Asked((str(tmp_path / "short.npz"), str(tmp_path / "long.npz")), time_limit=5.0)
    solvers = {name: get_solver(name) for name in ("mitm", "greedy")}
    comparison = Comparison(asked, tmp_path / "out", solvers)
    comparison.carry_out()
    found = {row["solver"]: row for row in stated(comparison)["rows"]}
    assert (found["mitm"]["runs"], found["mitm"]["unsupported"]) == (3, 1)
    assert (found["mitm"]["solved"], found["mitm"]["failures"]) == (2, 0)
    assert found["greedy"]["unsupported"] == 0
    assert found["mitm"]["par2"] > 10 / 3
    assert "1 not taken" in write_page(comparison).read_text()


def test_profiles_rise_as_dolan_and_more_say() -> None:
    runs = [
        RUN._replace(solver="a", row=0, seconds=1.0), RUN._replace(solver="b", row=0, seconds=2.0),
        RUN._replace(solver="a", row=1, seconds=6.0), RUN._replace(solver="b", row=1, seconds=2.0),
        RUN._replace(solver="a", row=2, seconds=1.0),
        RUN._replace(solver="b", row=2, seconds=1.0, objective=2.0),
    ]  # fmt: skip
    curves = s.profile(runs, Yardstick.of(runs, time_limit=10.0))
    assert curves["a"] == [(1.0, 1 / 3), (1.0, 2 / 3), (3.0, 1.0)]
    assert curves["b"] == [(1.0, 1 / 3), (2.0, 2 / 3)]


def test_pairs_and_targets_and_traces() -> None:
    trace = [(0.1, 0.05, 0.0), (0.5, 0.005, 0.0)]
    fast = RUN._replace(solver="a", objective=0.005, seconds=1.0, trace=trace)
    slow = RUN._replace(solver="b", objective=0.005, seconds=4.0)
    runs = [run._replace(row=k) for run in (fast, slow) for k in range(4)]
    (pair,) = s.pairs(runs, Yardstick.of(runs, time_limit=10.0))
    assert pair["solvers"] == ["a", "b"]
    assert pair["better"] == [4, 0]
    assert pair["ratio"] == pytest.approx(0.25)
    assert pair["interval"] == pytest.approx([0.25, 0.25])
    table = s.times_to_targets(runs)
    assert [cell["seconds"] for cell in table["a"]][:3] == [0.1, 0.5, None]
    assert [cell["share"] for cell in table["b"]][:3] == [1.0, 1.0, 0.0]
    assert s.anytime(runs, [0.01, 0.2, 2.0])["a"] == [math.inf, 0.05, 0.005]


def test_bad_questions_are_refused(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Asked(time_limit=0)
    with pytest.raises(ValueError, match="unknown"):
        Comparison(Asked((str(rows),), ("nobody",)), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(ValueError, match="not empty"):
        Comparison(Asked((str(rows),), ("mitm",)), tmp_path / "mine")
    Comparison(Asked((str(rows),), ("mitm",)), tmp_path / "out")
    with pytest.raises(ValueError, match="another comparison"):
        Comparison(Asked((str(rows),), ("greedy",)), tmp_path / "out")


def test_the_command(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", "--instances", str(rows), "--solvers", "mitm,greedy", "--out",
                 str(tmp_path / "out"), "--csv", str(tmp_path / "runs.csv"),
                 "--parquet", str(tmp_path / "runs.parquet")]  # fmt: skip
    assert cli._run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["solver"] for row in found["rows"]} == {"mitm", "greedy"}
    assert (tmp_path / "out" / "index.html").is_file()
    with (tmp_path / "runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6
    columns = parquet.read_table(tmp_path / "runs.parquet").to_pydict()
    for k, run in enumerate(runs_of(tmp_path / "out")):
        read = Run(**{name: column[k] for name, column in columns.items()})
        assert repr(read._replace(trace=[tuple(point) for point in read.trace])) == repr(run)
    assert cli._run(arguments) == 0
    assert "closest" in capsys.readouterr().out
    assert cli._run(["compare", "--instances", "nothing-such", "--out", str(tmp_path / "x")]) == 2


def test_killed_it_goes_on_where_it_stood(rows: Path, tmp_path: Path) -> None:
    arguments = ["compare", "--instances", str(rows), "--solvers", "cp-sat,mitm", "--seeds", "12",
                 "--out", "out"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", "from milp_lth.cli.main import main; main()", *arguments],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    store = tmp_path / "out" / "comparison.sqlite"
    for _ in range(600):
        time.sleep(0.1)
        if store.exists() and count(store) >= 3:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {(run.solver, run.row, run.seed): run for run in runs_of(tmp_path / "out")}
    assert 3 <= len(before) < 72
    asked = Asked((str(rows),), ("cp-sat", "mitm"), seeds=12)
    Comparison(asked, tmp_path / "out").carry_out()
    after = {(run.solver, run.row, run.seed): run for run in runs_of(tmp_path / "out")}
    assert len(after) == 72
    assert all(repr(after[key]) == repr(run) for key, run in before.items())  # NaN is not NaN


def test_without_pyarrow_it_says_so_before_the_work(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    arguments = ["compare", "--instances", str(rows), "--out", str(tmp_path / "out"),
                 "--parquet", str(tmp_path / "runs.parquet")]  # fmt: skip
    assert cli._run(arguments) == 4
    assert "milp_lth[parquet]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def count(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        try:
            found: int = connection.execute("select count(*) from runs").fetchone()[0]
        except sqlite3.OperationalError:
            return 0
    return found


def test_times_for_people() -> None:
    assert [seconds(x) for x in (0.0, 2e-7, 3.14e-6, 0.0123, 61.0)] == [
        "0 s", "0.2 µs", "3.14 µs", "12.3 ms", "61 s"
    ]  # fmt: skip
