"""How large a random network must be: its networks, its verdicts, its intervals."""

import json

import numpy as np
import pytest

from milp_lth.cli import main as cli
from milp_lth.reproduce.smallest_source import COLUMNS, TARGETS, SmallestSource, cells
from milp_lth.theory.proportion import proportion_interval
from solvers.solve import solve


@pytest.mark.parametrize(
    ("least", "most", "num", "low", "high"),
    [
        (8, 8, 10, 0.443905, 0.974789),  # Clopper and Pearson 1934, as every table has them
        (0, 0, 10, 0.0, 0.308497),
        (10, 10, 10, 0.691503, 1.0),
        (1, 1, 20, 0.001265, 0.248733),
        (50, 50, 100, 0.398321, 0.601679),
        (0, 0, 1, 0.0, 0.975),
    ],
)
def test_clopper_pearson(least: int, most: int, num: int, low: float, high: float) -> None:
    assert proportion_interval(least, most, num) == pytest.approx((low, high), abs=1e-6)


def test_what_is_open_widens_the_interval() -> None:
    low, _ = proportion_interval(3, 3, 20)
    _, high = proportion_interval(8, 8, 20)
    assert proportion_interval(3, 8, 20) == (low, high)
    wide, narrow = proportion_interval(8, 8, 10, 0.99), proportion_interval(8, 8, 10, 0.5)
    assert wide[0] < narrow[0] < 0.8 < narrow[1] < wide[1]


@pytest.mark.parametrize("numbers", [(-1, 0, 5), (3, 2, 5), (1, 6, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="least <= most"):
        proportion_interval(*numbers)
    with pytest.raises(ValueError, match="level"):
        proportion_interval(1, 1, 2, level=1.0)


def test_the_targets_are_what_they_are_called() -> None:
    for name, function in {
        "abs": abs,
        "and": lambda x, y: float(x == 1 and y == 1),
        "xor": lambda x, y: float(x != y),
        "max": max,
    }.items():
        inputs, outputs = TARGETS[name]
        assert [[float(function(*x))] for x in inputs.tolist()] == outputs.tolist()
    assert [len(TARGETS[name][0]) for name in ("abs", "and", "xor", "max")] == [2, 4, 4, 9]


def test_networks_are_determined_by_their_seeds() -> None:
    sources = SmallestSource("xor", ((3, 2),), num_seeds=2).sources((3, 2))
    assert [w.shape for w in sources.weights] == [(2, 3, 2), (2, 2, 3), (2, 1, 2)]
    more = SmallestSource("xor", ((3, 2),), num_seeds=5).sources((3, 2))
    for few, many in zip(sources.weights, more.weights, strict=True):
        assert (few == many[:2]).all()
        assert (few * 2**23 % 1 == 0).all()
    assert np.abs(sources.weights[0]).max() <= 1
    assert np.abs(more.weights[2]).max() > 1
    assert float(sources.weights[0][0, 0, 0]) == GOLDEN


GOLDEN = 0.7980928421020508  # seed 0, layer 0, entry 0 of the fixed generator


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train scores for a moment only, and walk a little."""
    from solvers.heuristic.flips import Flips
    from solvers.heuristic.popup import Popup

    solvers = {"popup": Popup(starts=1, steps=20), "flips": Flips(walks=8, moves=20)}
    monkeypatch.setattr(
        "milp_lth.reproduce.smallest_source.solve",
        lambda instance, name, **more: solve(instance, solvers.get(name, name), **more),
    )


def test_every_network_gets_its_verdict(quick: None) -> None:
    question = SmallestSource("xor", ((2,), (5,)), num_seeds=6, tolerance=0.4, time_limit=20)
    told: list[tuple[int, int]] = []
    rows = list(question.rows(lambda done, total: told.append((done, total))))
    assert told[-1] == (24, 24)
    assert told == sorted(told)
    for row, sizes in zip(rows, ((2,), (5,)), strict=True):
        sources = question.sources(sizes)
        proved = solve(sources, "enumerate")
        assert (proved.status != 1).all()
        assert row["contained"] == int(proved.feasible.sum())
        assert row["not_contained"] == 6 - row["contained"]
        assert row["undecided"] == 0
        assert row["by_popup"] <= row["contained"]
        assert row["by_flips"] <= row["contained"]
        for b, each in enumerate(row["sources"]):
            assert (each["verdict"] == "contained") == proved.feasible[b]
            assert each["error"] >= proved.objective[b] - 1e-12
        interval = proportion_interval(row["contained"], row["contained"], 6)
        assert (row["low"], row["high"]) == interval
        assert len(cells(row)) == len(COLUMNS)
    assert [row["edges"] for row in rows] == [6, 15]


def test_a_solver_that_proves_nothing_leaves_networks_open(quick: None) -> None:
    (row,) = SmallestSource("abs", ((1,),), num_seeds=2, solver="flips").rows()
    assert (row["contained"], row["not_contained"], row["undecided"]) == (0, 0, 2)
    assert (row["low"], row["high"]) == (0.0, 1.0)


def test_the_command(quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["reproduce", "smallest-source", "--target", "abs", "--hidden", "3,2x2",
                 "--seeds", "3", "--tolerance", "0.3"]  # fmt: skip
    assert cli._run([*arguments, "--json"]) == 0
    stated = json.loads(capsys.readouterr().out)
    assert [row["hidden"] for row in stated["rows"]] == ["3", "2x2"]
    assert [row["edges"] for row in stated["rows"]] == [6, 8]
    for row in stated["rows"]:
        assert row["contained"] + row["not_contained"] + row["undecided"] == row["seeds"] == 3
    assert cli._run(arguments) == 0
    assert "refuted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden", "many"], "give some like"),
        (["--hidden", "0"], "at least one unit"),
        (["--seeds", "0"], "at least one"),
        (["--tolerance", "nan"], "finite"),
        (["--scale", "0"], "above 0"),
        (["--solver", "nobody", "--hidden", "1", "--seeds", "1"], "unknown solver"),
        (["--target", "nothing"], "nothing"),
    ],
)
def test_bad_input_is_one_line(
    quick: None, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(["reproduce", "smallest-source", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
