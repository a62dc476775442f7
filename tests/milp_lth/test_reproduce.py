"""The reproduction of the paper's experiment, on a small target, from first row to page."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from instances.generate import product_family
from milp_lth.cli import main as cli
from milp_lth.finding import find_ticket
from milp_lth.network import Network, read_network
from milp_lth.reproduce import pensia2020, width_search
from milp_lth.reproduce.pensia2020 import Reproduction
from milp_lth.reproduce.table import COLUMNS, markdown
from milp_lth.reproduce.timed_runs import sealed
from milp_lth.reproduce.width_search import CLOSEST, WidthSearch, folded_logits
from milp_lth.run import Run
from milp_lth.targets.files import save_target
from milp_lth.targets.named import load_data, load_named_target
from milp_lth.theory.median_error import median_error, median_error_of_products

JSON_KEYS = {*COLUMNS, "published"}


@pytest.fixture(scope="module")
def network() -> Network:
    return read_network(load_named_target("digits-mlp")[0])


@pytest.fixture(scope="module")
def weights(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("target") / "digits.safetensors"
    save_target(network, path)
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove one row of a run again, not eight; draw fewer widths, and none for a report."""
    monkeypatch.setattr("milp_lth.verification.SAMPLE", 1)
    monkeypatch.setattr("milp_lth.run.narrower_tickets", lambda *given: [])
    monkeypatch.setattr(width_search, "CURVE_WIDTHS", (4, 12))


def test_the_whole_experiment(
    weights: Path, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["reproduce", "pensia2020", "--weights", str(weights), "--data", "digits",
                 "--seeds", "2", "--out", str(tmp_path / "out"), "--json"]  # fmt: skip
    assert cli._run(arguments) == 0
    stated = json.loads(capsys.readouterr().out)
    rows = stated["rows"]
    assert len(rows) == 10
    assert all(row.keys() >= JSON_KEYS for row in rows)
    assert [row["published"] for row in rows] == [True] + 9 * [False]
    assert all(row["verified"] for row in rows[1:])
    assert [len(row["seeds"]) for row in rows[1:]] == [1, 1, 1, 1, 2, 2, 2, 2, 2]
    for row in rows[1:]:
        assert row["beyond_proven"] == row["beyond_tolerance"]
        assert row["accuracy"] == np.mean([seed["accuracy"] for seed in row["seeds"]])
        assert row["worst_error"] == max(seed["worst_error"] for seed in row["seeds"])
        figures = Run(tmp_path / "out" / row["seeds"][0]["run"])
        assert figures.settings.objective == row["row"].split(":")[0].split(", ")[-1].strip()
    assert rows[1]["source_dense"] == rows[2]["source_dense"] == 21 * 2368
    assert rows[5]["per_weight"] < rows[2]["per_weight"] / 4
    widths = stated["widths"]
    smallest = rows[8]["seeds"][0]["width"]
    measured = [r for r in widths if r["objective"] == "closest"]
    close = {(r["width"], r["seed"]): abs(r["accuracy"] - r["target_accuracy"]) <= 0.001
             for r in measured}  # fmt: skip
    assert close[smallest, 0]
    assert close[smallest, 1]
    for width in range(1, smallest):
        assert not (close[width, 0] and close[width, 1])
    page = (tmp_path / "out" / "index.html").read_text()
    assert "the paper (published)" in page
    assert "<script src" not in page
    assert (tmp_path / "out" / "table.md").read_text() == markdown(rows)
    # given again, it does nothing again; a run that is lost is done again
    before = (tmp_path / "out" / "times.json").stat().st_mtime_ns
    assert cli._run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows
    assert (tmp_path / "out" / "times.json").stat().st_mtime_ns == before


def test_a_killed_reproduction_goes_on(weights: Path, tmp_path: Path, quick: None) -> None:
    """A folder without settings, and a run without results, are what kills leave."""
    case = pensia2020.cases(1)[1]
    whole = Reproduction(str(weights), "digits", tmp_path / "a", num_seeds=1)
    row = whole._row(case, lambda what: None)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    name = row["seeds"][0]["run"]
    times = json.loads((tmp_path / "b" / "times.json").read_text())
    del times[name]
    (tmp_path / "b" / "times.json").write_text(json.dumps(sealed(times)))
    os.remove(tmp_path / "b" / name / "settings.json")
    again = Reproduction(str(weights), "digits", tmp_path / "b", num_seeds=1)
    repeated = again._row(case, lambda what: None)
    timed = ("seconds", "core_seconds", "seeds")
    assert {k: v for k, v in repeated.items() if k not in timed} == {
        k: v for k, v in row.items() if k not in timed
    }


def test_bad_input_is_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Reproduction(str(weights), "digits", tmp_path / "out", num_seeds=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(ValueError, match="not empty"):
        Reproduction(str(weights), "digits", tmp_path / "full")
    Reproduction(str(weights), "digits", tmp_path / "out")
    with pytest.raises(ValueError, match="another target"):
        Reproduction(str(weights), "wine", tmp_path / "out")
    (tmp_path / "out" / "times.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        Reproduction(str(weights), "digits", tmp_path / "out")


def test_the_search_reads_the_training_data_alone(network: Network, tmp_path: Path) -> None:
    search = WidthSearch(network, "digits", tmp_path, 1)
    width = search.smallest_width(CLOSEST)
    assert search._data is not None
    assert search._data.digest() == load_data("digits", training=True).digest()
    assert search._data.digest() != load_data("digits").digest()
    assert [record["width"] for record in search.records] == list(range(1, width + 1))
    assert WidthSearch(network, "digits", tmp_path, 1).smallest_width(CLOSEST) == width


def test_a_folded_ticket_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch.nn.Linear(5, 3, bias=False)
    ticket = find_ticket(module, width=8, input_range=(0, 1))
    x = torch.rand(20, 5)
    assert torch.allclose(folded_logits(ticket, x), ticket(x), atol=1e-6)
    other = torch.nn.Linear(5, 3).requires_grad_(False)
    monkeypatch.setattr(type(ticket), "fold", lambda self: other)
    with pytest.raises(ValueError, match="something else"):
        folded_logits(ticket, x)


@pytest.mark.parametrize("n", [10, 16, 20])
def test_the_closed_form_fits_products_that_were_drawn(n: int) -> None:
    instance = product_family(2000, n, seed=n)
    closed = median_error_of_products(instance.targets, n, 1.0)
    assert np.median(closed) == pytest.approx(np.median(median_error(instance)), rel=0.25)
