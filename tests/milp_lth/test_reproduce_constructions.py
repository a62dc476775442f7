"""The same target through several constructions: table, picture, and going on where it stopped."""

import json
import re
from pathlib import Path

import pytest

from milp_lth.cli import main as cli
from milp_lth.reproduce import constructions
from milp_lth.reproduce.constructions import COLUMNS, Constructions, Point, slope

NAMES = "two-layer", "nearest-product", "quantised"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove one row of a run again, not eight; few widths, of which the last are enough."""
    monkeypatch.setattr("milp_lth.verification.SAMPLE", 1)
    monkeypatch.setattr("milp_lth.run.narrower_tickets", lambda *given: [])
    monkeypatch.setattr(constructions, "USUAL_WIDTHS", (8, 16, 24))
    monkeypatch.setitem(constructions.WIDTHS, "nearest-product", (64, 256, 1024))


def test_the_table_the_picture_and_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["reproduce", "constructions", "--names", ",".join(NAMES), "--seeds", "1",
                 "--out", str(out), "--json"]  # fmt: skip
    assert cli._run(arguments) == 0
    stated = json.loads(capsys.readouterr().out)
    rows = {row["row"]: row for row in stated["rows"]}
    assert tuple(rows) == NAMES
    assert all(
        row.keys() >= {*COLUMNS, "accuracy", "alive", "core_seconds"} for row in rows.values()
    )
    assert all(row["verified"] and row["agreement"] >= 0.99 for row in rows.values())
    assert all(row["optimal_share"] == 1 for row in rows.values())
    assert rows["quantised"]["worst_error"] == 0
    assert {row["depth"] for row in rows.values()} == {4}
    assert rows["nearest-product"]["kept_v"] == 2368
    assert rows["two-layer"]["needed_width"] in (16, 24)
    curves = {curve["construction"]: curve for curve in stated["curves"]}
    assert curves["nearest-product"]["slope"] == pytest.approx(-1, abs=0.2)  # a power of the width
    assert curves["two-layer"]["slope"] < -5  # and no power
    assert curves["quantised"]["slope"] is None
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "Not drawn, its error is 0: quantised" in page
    assert not re.search(r"<script|(src|href)\s*=\s*[\"']?(https?:)?//", page)  # fetches nothing
    assert (out / "constructions.svg").stat().st_size > 1000
    assert (out / "table.md").read_text(encoding="utf-8").count("\n") == 2 + len(NAMES)

    def refuse(self: Constructions, point: Point) -> None:
        raise AssertionError(f"{point} is there already")

    monkeypatch.setattr(Constructions, "_measured", refuse)
    assert cli._run(arguments) == 0
    again = json.loads(capsys.readouterr().out)
    assert again == stated
    other = ["reproduce", "constructions", "--target", "wine-mlp", "--out", str(out)]
    assert cli._run(other) == 2
    assert "another target" in capsys.readouterr().err


def test_an_unknown_construction_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "reproduce",
        "constructions",
        "--names",
        "three-layer",
        "--out",
        str(tmp_path / "o"),
    ]
    assert cli._run(arguments) == 2
    assert "choose among two-layer" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_slope_needs_three_points_that_are_not_zero() -> None:
    points = [{"source_dense": 10.0**k, "median_error": 0.5 * 10.0**-k} for k in range(1, 4)]
    assert slope(points) == pytest.approx(-1)
    assert slope(points[:2]) is None
    assert slope([*points, {"source_dense": 1e4, "median_error": 0.0}]) is None
