"""``milp-lth instances``: the library on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from instances.arrays import FloatArray
from instances.files import load_instance
from instances.generate import normal_family, planted_family
from instances.library import known_optima, list_sets, load_set
from instances.library import sets as sets_module
from instances.objectives import Closest, FixedSize, Sparsest
from milp_lth import library_check
from milp_lth.cli import main as cli


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run ``milp-lth instances`` in this process; return exit code, standard output and error."""
    capsys.readouterr()
    code = cli._run(["instances", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "list", "--json")
    rows = json.loads(out)["rows"]
    assert (code, err) == (0, "")
    assert [row["name"] for row in rows] == list_sets()
    row = next(row for row in rows if row["name"] == "uniform-21-sparsest-1e-3")
    assert (row["num_rows"], row["num_candidates"], row["version"]) == (20, 21, 1)
    assert (row["objective"], row["tolerance"], row["size"]) == ("sparsest", 1e-3, None)


def test_the_docs_show_the_list_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs" / "library.md"
    shown = {" ".join(line.split()) for line in page.read_text("utf-8").splitlines()}
    lines = [" ".join(line.split()) for line in run(capsys, "list")[1].splitlines()]
    assert len(lines) == len(list_sets()) + 1
    assert not [line for line in lines if line not in shown]


@pytest.mark.parametrize("name", ["uniform-8", "degenerate-few-fixed-3", "huge-range-ends-12"])
def test_show(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    instance, optima = load_set(name), known_optima(name)
    stated = json.loads(run(capsys, "show", name, "--json")[1])
    assert [row["coefficients"] for row in stated["rows"]] == instance.coefficients.tolist()
    assert [row["target"] for row in stated["rows"]] == instance.targets.tolist()
    found = [np.inf if row["optimum"] is None else row["optimum"] for row in stated["rows"]]
    assert found == optima.tolist()
    assert all("mitm" in row["proved_by"] for row in stated["rows"])
    code, out, _ = run(capsys, "show", name)
    assert code == 0
    assert stated["sha256"] in out
    assert f"… and {len(instance) - 5} more rows" in out
    assert ("infeasible" in out) == bool(np.isinf(optima[:5]).any())


@pytest.mark.parametrize("name", ["neurons-inf-48", "budget-edges-100", "shared-units-4-20-whole"])
def test_show_a_coupled_set(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    instance, optima = load_set(name), known_optima(name)
    stated = json.loads(run(capsys, "show", name, "--json")[1])
    rebuilt = type(instance).from_fields(stated["rows"][1])
    assert (rebuilt.coefficients[0] == instance.coefficients[1]).all()
    found = [np.inf if row["optimum"] is None else row["optimum"] for row in stated["rows"]]
    assert found == optima.tolist()
    code, out, _ = run(capsys, "show", name)
    assert code == 0
    assert instance.task in out
    assert f"proved by {', '.join(stated['rows'][0]['proved_by'])}" in out


def test_generate(capsys: pytest.CaptureFixture[str]) -> None:
    shape = ["--rows", 3, "--candidates", 9, "--seed", 7]
    code, out, _ = run(capsys, "generate", "planted", *shape, "--out", "p.npz")
    assert (code, out) == (0, "p.npz: 3 rows of 9 candidates, closest\n")
    expected, _ = planted_family(3, 9, seed=7)
    assert (load_instance("p.npz").coefficients == expected.coefficients).all()
    assert (load_instance("p.npz").targets == expected.targets).all()
    options = ["--objective", "fixed-size", "--size", 4, "--tolerance", 0.1, "--out", "n.json"]
    stated = json.loads(run(capsys, "generate", "normal", *shape, *options, "--json")[1])
    assert (stated["num_rows"], stated["size"], stated["out"]) == (3, 4, "n.json")
    assert (load_instance("n.json").targets == normal_family(3, 9, seed=7).targets).all()
    assert load_instance("n.json").objective == FixedSize(4, 0.1)
    for family in ("uniform", "product"):
        sparsest = ["--objective", "sparsest", "--tolerance", 0.5, "--out", "s.npz"]
        assert run(capsys, "generate", family, *sparsest)[0] == 0
        assert load_instance("s.npz").objective == Sparsest(0.5)
        assert load_instance("s.npz").coefficients.shape == (20, 21)


def test_verify_the_whole_library(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "verify", "--json")
    stated = json.loads(out)
    assert (code, err) == (0, "")
    assert (stated["verified"], stated["problems"]) == (True, [])
    quick = [name for name in list_sets() if not sets_module.SETS[name].slow]
    assert [row["name"] for row in stated["rows"]] == quick
    assert all(row["verified"] for row in stated["rows"])


def test_verify_some(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "verify", "uniform-8", "degenerate-far", "--solver", "cp-sat")
    assert code == 0
    assert out.startswith("2 sets, 28 rows, cp-sat: verified in ")
    code, out, _ = run(capsys, "verify", "uniform-48", "degenerate-one", "--quick")
    assert (code, out.split(" in ")[0]) == (0, "1 set, 5 rows, mitm: verified")
    code, out, _ = run(capsys, "verify", "neurons-inf-24", "source-1-16", "budget-max-100")
    assert (code, out.split(" in ")[0]) == (
        0, "3 sets, 15 rows, interval-tree, enumerate, budget: verified"
    )  # fmt: skip
    stated = json.loads(run(capsys, "verify", "--solver", "sphere", "--json")[1])
    assert stated["verified"]
    assert {row["name"][:10] for row in stated["rows"]} == {"neurons-2-"}


def test_verify_finds_what_differs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(name: str) -> FloatArray:
        optima = known_optima(name).copy()
        optima[1] = 2.0 if np.isinf(optima[1]) else np.nextafter(optima[1], 1)
        optima[2] = np.inf
        return optima

    monkeypatch.setattr(library_check, "known_optima", wrong)
    code, out, _ = run(capsys, "verify", "uniform-8", "degenerate-far-sparsest", "--json")
    stated = json.loads(out)
    assert (code, stated["verified"], len(stated["problems"])) == (1, False, 4)
    assert [row["verified"] for row in stated["rows"]] == [False, False]
    code, out, _ = run(capsys, "verify", "degenerate-far-sparsest")
    assert code == 1
    assert (
        "not verified: set degenerate-far-sparsest, row 1: 2 is recorded, but mitm proves that no "
        "mask is feasible\n"
    ) in out
    monkeypatch.setattr(library_check, "known_optima", lambda name: known_optima(name)[1:])
    assert "20 rows, but 19 are recorded" in run(capsys, "verify", "uniform-8")[1]


def test_verify_finds_what_rounding_does_not_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "neurons-2-24"
    optima, slack = known_optima(name), load_set(name).slack
    for factor, number in ((1, 0), (3, len(optima))):
        moved = optima + factor * slack
        monkeypatch.setattr(library_check, "known_optima", lambda _, moved=moved: moved)
        assert len(library_check.check_set(name)) == number


def test_verify_finds_other_bits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sets_module, "checksum", lambda instance: "0" * 64)
    code, out, _ = run(capsys, "verify", "uniform-8")
    assert code == 1
    assert "not verified: set uniform-8 has the checksum 000000000000…, but" in out


BAD = {
    "an unknown set": (["show", "uniform-22"], "did you mean uniform-"),
    "an unknown set to verify": (["verify", "uniform-8", "nothing"], "unknown set 'nothing'"),
    "no set": (["show"], "NAME"),
    "a heuristic": (["verify", "--solver", "greedy"], "take mitm or cp-sat"),
    "a solver with a tolerance": (["verify", "--solver", "cbc"], "take mitm or cp-sat"),
    "an unknown solver": (["verify", "--solver", "x"], "unknown solver"),
    "only wide sets": (["verify", "uniform-48", "--quick"], "leave out --quick"),
    "an unknown family": (["generate", "cauchy", "--out", "x.npz"], "uniform"),
    "no file": (["generate", "uniform"], "--out"),
    "another kind of file": (["generate", "uniform", "--out", "x.csv"], ".npz"),
    "no such folder": (["generate", "uniform", "--out", "no/x.npz"], "No such file"),
    "no rows": (["generate", "uniform", "--rows", "0", "--out", "x.npz"], "at least one row"),
    "too much": (["generate", "uniform", "--rows", "99999999", "--out", "x.npz"], "at most"),
    "no tolerance": (
        ["generate", "uniform", "--objective", "sparsest", "--out", "x.npz"],
        "needs a tolerance",
    ),
    "a seed out of range": (["generate", "uniform", "--seed", "-1", "--out", "x.npz"], "seed -1"),
    "an unknown command": (["fetch"], "fetch"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, message = BAD[case]
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("milp-lth: ")
    assert message in err
    assert not list(Path().iterdir())


def test_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    assert library_check.check_set("uniform-24", on_rows=told.append) == []
    assert told[-1] == 20
    assert load_set("uniform-24").objective == Closest()
