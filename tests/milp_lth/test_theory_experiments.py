"""Phase transition, logarithmic width and lower bound: small, and by the command line."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from milp_lth.cli import main as cli
from milp_lth.report.panels import LAW, Line, Panel, drawn
from milp_lth.report.phase_figures import panels_figure
from milp_lth.reproduce import log_width, lower_bound, phase_transition, theory_page
from milp_lth.reproduce.coverage import (
    covered_length,
    draw_candidates,
    in_units,
    length_bound,
    sums_near,
    twice_farthest,
)
from milp_lth.reproduce.log_width import LogWidth, half_width
from milp_lth.reproduce.log_width_findings import joint_fit, line_fits
from milp_lth.reproduce.lower_bound import LowerBound, crossing
from milp_lth.reproduce.lower_bound_findings import slope
from milp_lth.reproduce.needed_width import first_within, least_widths, needed_picks
from milp_lth.reproduce.phase_transition import PhaseTransition
from milp_lth.reproduce.random_sums import (
    LEVELS,
    TOLERANCES,
    Cell,
    measured,
    quantile,
    resampled_medians,
)


@pytest.fixture(scope="module")
def transition(tmp_path_factory: pytest.TempPathFactory) -> PhaseTransition:
    asked = PhaseTransition(tmp_path_factory.mktemp("transition"), trials=2400, last=16)
    asked.measure()
    return asked


@pytest.fixture(scope="module")
def widths(tmp_path_factory: pytest.TempPathFactory) -> LogWidth:
    asked = LogWidth(tmp_path_factory.mktemp("widths"), trials=16, sizes=(2, 4))
    asked.measure()
    return asked


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> LowerBound:
    folder = tmp_path_factory.mktemp("bound")
    asked = LowerBound(folder, trials=12, most_covered=11, most_solved=14)
    asked.measure()
    return asked


def test_what_is_measured_is_what_the_solver_finds() -> None:
    cell, trials = Cell("products", 9), 25_000  # more than one batch
    found = measured(cell, trials, 3)
    batches = list(cell.batches(trials, 3))
    assert [len(batch) for batch in batches] == [20_000, 5_000]
    assert not np.isin(batches[0].targets[:100], batches[1].targets).any()
    errors = []
    for batch in batches:  # every subset of nine, by matrix
        masks = np.arange(512)[:, None] >> np.arange(9) & 1
        away = np.abs(batch.coefficients @ masks.T - batch.targets[:, None])
        errors.append(away.min(axis=1))
    error = np.concatenate(errors)
    assert found["optimal"] == found["trials"] == trials
    assert found["mean"] == pytest.approx(error.mean(), rel=1e-9)
    assert quantile(found["errors"], 0.5) == pytest.approx(np.median(error), rel=1e-9)
    assert found["errors"] == pytest.approx(np.quantile(error, LEVELS).tolist(), rel=1e-6)
    assert found["within"] == [int((error <= tolerance).sum()) for tolerance in TOLERANCES]


def test_medians_drawn_again_spread_like_those_of_fresh_samples(rng: np.random.Generator) -> None:
    samples = rng.exponential(size=(400, 2001))
    medians = np.median(samples, axis=1)
    again = resampled_medians(np.quantile(samples[0], LEVELS).tolist(), 2001, rng)
    assert np.std(again) == pytest.approx(np.std(medians), rel=0.3)
    assert np.median(again) == pytest.approx(np.median(samples[0]), rel=0.01)


def test_the_error_halves_with_every_candidate(transition: PhaseTransition) -> None:
    rows = [
        row for row in transition.rows()
        if (row["distribution"], row["target_range"], row["size"]) == ("uniform", 0.5, None)
    ]  # fmt: skip
    n = np.array([row["num_candidates"] for row in rows])
    median = np.array([row["median_error"] for row in rows])
    use = (n >= 8) & (n <= 16)
    fitted = np.polyfit(n[use], np.log2(median[use] / np.sqrt(n[use])), 1)[0]
    assert fitted == pytest.approx(-1, abs=0.05)
    for row in rows[8:]:
        assert row["median_error"] == pytest.approx(row["law_median"], rel=0.15)
        assert row["p99_ratio"] > 2.5 * np.log2(100)  # an exponential's
        assert row["given_candidates_p99_ratio"] < 2 * np.log2(100)
    for found in transition.slopes():
        low, high = found["interval"]
        assert low < found["slope"] < high
        assert high - low < 0.1
    assert all(row["optimal"] == row["trials"] for row in transition.rows())


def test_more_is_within_more(transition: PhaseTransition) -> None:
    for cell in transition.cells():
        within = transition.found(cell)["within"]
        assert within == sorted(within, reverse=True)
    binary = transition.found(Cell("binary", 16))
    half = list(TOLERANCES).index(0.5)
    assert binary["within"][half] == binary["trials"]  # whole numbers are half apart from all
    assert binary["within"][half + 2] == pytest.approx(binary["trials"] / 2, rel=0.1)


def test_solutions_are_as_many_as_the_density_says_but_vary_more(
    transition: PhaseTransition,
) -> None:
    for row in transition.count_rows():
        allowed = 4.5 * row["mean_error"] + 0.03 * row["expected"]
        assert row["mean"] == pytest.approx(row["expected"], abs=allowed)
        assert sum(row["histogram"]) == row["trials"] == 600
    some = [row for row in transition.count_rows() if row["expected"] > 7]
    assert all(row["variance"] > 1.5 * row["mean"] for row in some)
    assert [row["variance"] for row in some] == pytest.approx(
        [row["law_variance"] for row in some], rel=0.35
    )


@given(st.lists(st.integers(-40, 40), max_size=6), st.integers(0, 30), st.integers(1, 25))
def test_covered_lengths(candidates: list[int], tolerance: int, reach: int) -> None:
    sums = [0]
    for a in candidates:
        sums += [s + a for s in sums]
    near = sums_near(np.array(candidates, np.int64), reach)
    length = covered_length(near, min(tolerance, reach), reach)
    tolerance = min(tolerance, reach)
    # whole numbers: a unit's middle is covered or not, and so is all of it
    middles = [Fraction(2 * x + 1, 2) for x in range(-reach, reach)]
    assert length == sum(min(abs(m - s) for s in sums) <= tolerance for m in middles)
    assert length <= length_bound(len(sums), tolerance, reach) <= 2 * reach
    places = [Fraction(k, 2) for k in range(-2 * reach, 2 * reach + 1)]
    worst = max(min(abs(place - s) for s in sums) for place in places)
    assert twice_farthest(near, reach) == 2 * worst


@pytest.mark.parametrize("distribution", ["uniform", "products"])
def test_candidates_in_units(distribution: str, rng: np.random.Generator) -> None:
    drawn_ = draw_candidates(distribution, (20_000,), rng) * 2.0**-46
    assert np.abs(drawn_).max() <= 1
    square = 1 / 3 if distribution == "uniform" else 1 / 9
    assert (drawn_**2).mean() == pytest.approx(square, rel=0.05)
    assert in_units(0.25) == 2**44
    with pytest.raises(ValueError, match="multiple"):
        in_units(0.1)


def test_the_bound_is_never_exceeded_and_nearly_met_by_few(bound: LowerBound) -> None:
    above, lengths = bound.above_bound()
    assert (above, lengths) == (0, 2 * 11 * 25 * 12)
    for part in bound.of("covered", "uniform"):
        found = bound.found(part)
        assert np.all(np.array(found["most"]) <= found["bound"])
        assert np.all(np.diff(found["mean"]) <= 0)  # the errors fall
    few, many = bound.of("covered", "uniform")[0], bound.of("covered", "uniform")[-1]
    assert bound.found(few)["at_bound"] > 0
    assert bound.found(many)["mean"][0] == 1


def test_needed_candidates_are_above_the_bound_and_grow_as_it_does(bound: LowerBound) -> None:
    rows = [row for row in bound.rows() if row["needed"]["uniform"] is not None]
    assert len(rows) >= 10
    for row in rows:
        assert row["needed"]["uniform"] >= row["bound"]
        assert row["needed"]["products"] >= row["bound"]
        for share in row["below"].values():
            assert share is None or share < 0.5
        if row["every"]["uniform"] is not None:
            assert row["every"]["uniform"] > row["needed"]["uniform"]
        if row["matrix"]["2x2"] is not None and row["matrix"]["3x3"] is not None:
            assert row["matrix"]["3x3"] > row["matrix"]["2x2"] > row["needed"]["products"]
    assert slope(rows, "uniform")["slope"] == pytest.approx(1.1, abs=0.1)
    assert slope(rows, "uniform")["r2"] > 0.99


def test_shares_cross_one_half() -> None:
    assert crossing([0.2, 0.4, 0.8], 0.1) == pytest.approx(2.25)
    assert crossing([0.7], 0.1) == pytest.approx(2 / 3)
    assert crossing([0.7], 0.5) == 0
    assert crossing([0.1, 0.4], 0.0) is None


def test_first_candidates_that_suffice(rng: np.random.Generator) -> None:
    coefficients = rng.integers(-64, 64, (40, 7)) / 64
    targets, tolerances = rng.integers(-80, 80, 40) / 128, np.array([0.25, 2.0**-5, 0.0])
    first = first_within(coefficients, targets, tolerances)
    for b in range(40):
        sums, errors = np.zeros(1), []
        for a in [0.0, *coefficients[b]]:
            sums = np.concatenate([sums, sums + a])
            errors.append(np.abs(sums - targets[b]).min())
        for t, tolerance in enumerate(tolerances):
            met = [m for m, error in enumerate(errors) if error <= tolerance]
            assert first[b, t] == (met[0] if met else 8)


def test_least_widths_with_shared_units(rng: np.random.Generator) -> None:
    """Every width, weight, half and subset tried, on a coarse grid."""
    layers, size, units = 8, 2, 14
    u = rng.integers(-8, 8, (layers, 1, size, units)) / 8
    v = rng.integers(-8, 8, (layers, size, size, units)) / 8
    targets = rng.integers(-8, 8, (layers, size, size)) / 64
    tolerances = np.array([0.25, 2.0**-4, 2.0**-7])
    found = least_widths(u, v, targets, tolerances)

    def met(layer: int, width: int, tolerance: float) -> bool:
        for j, i in np.ndindex(size, size):
            for sign in (1, -1):
                sums = np.zeros(1)
                for k in range(width):
                    if (u[layer, 0, i, k] > 0) == (sign > 0):
                        a = v[layer, j, i, k] * u[layer, 0, i, k]
                        sums = np.unique(np.concatenate([sums, sums + a]))
                if np.abs(sums - targets[layer, j, i]).min() > tolerance:
                    return False
        return True

    for layer in range(layers):
        for t, tolerance in enumerate(tolerances):
            enough = [n for n in range(units + 1) if met(layer, n, float(tolerance))]
            assert found[layer, t] == (enough[0] if enough else units + 1)
    assert len(np.unique(found)) > 4


def test_picking_waits_as_long_as_the_law_says(rng: np.random.Generator) -> None:
    tolerances = np.array([2.0**-3, 2.0**-6])
    drawn_ = np.array([needed_picks(2, tolerances, rng) for _ in range(400)])
    assert (np.diff(drawn_, axis=1) >= 0).all()
    for t, tolerance in enumerate(tolerances):
        law = log_width.law_of_picks(2, float(tolerance))
        assert np.median(drawn_[:, t]) == pytest.approx(law, rel=0.25)


def test_widths_grow_with_the_logarithm(widths: LogWidth) -> None:
    rows = widths.rows()
    assert {row["kind"] for row in rows} == {"sums", "picks"}
    assert all(row["low"] <= row["width"] <= row["high"] for row in rows if row["networks"] > 20)
    assert not any(row["unmet"] for row in rows)
    fits = {(fit["kind"], fit["size"], fit["depth"]): fit for fit in line_fits(rows)}
    sums, picks = fits["sums", 2, 1], fits["picks", 2, 1]
    assert sums["decades"] > 4
    assert sums["r2"] > 0.97
    assert 1.5 < sums["slope"] < 2.7  # two halves, a little more than one candidate each
    assert picks["exponent"] == pytest.approx(1, abs=0.2)
    assert picks["power_r2"] > picks["r2"]
    joint = joint_fit(rows)
    assert joint["r2"] > 0.95
    assert joint["factors"][1] > joint["factors"][0]  # a doubling of d costs more than of 1/ε


def test_fits_find_what_is_put_in(rng: np.random.Generator) -> None:
    rows: list[dict[str, Any]] = []
    for size in (2, 8, 32):
        for depth in (1, 4):
            for epsilon in 2.0 ** -np.arange(1.0, 9.0):
                n = 3 + 2 * -np.log2(epsilon) + 7 * np.log2(size) + 5 * np.log2(depth)
                again = n + rng.normal(0, 0.1, 100)
                ratio = size * depth / epsilon
                rows.append({"kind": "sums", "size": size, "depth": depth, "epsilon": epsilon,
                             "ratio": ratio, "width": n, "again": again})  # fmt: skip
    joint = joint_fit(rows)
    assert joint["factors"] == pytest.approx([2, 7, 5])
    assert joint["offset"] == pytest.approx(3)
    assert joint["r2"] == pytest.approx(1)
    for (low, high), value in zip(joint["intervals"], (2, 7, 5), strict=True):
        assert low < value < high
    assert all(fit["slope"] == pytest.approx(2) for fit in line_fits(rows))


def test_half_of_the_networks() -> None:
    needed = np.array([[3, 5], [4, 5], [4, 7], [6, 9]])
    assert half_width(needed) == pytest.approx([3.5, 5.0])
    assert half_width(np.array([[10], [12], [11]])) == pytest.approx([10.5])


def test_pictures_are_the_same_bytes() -> None:
    low, high = [0.09, 0.01, 0.003], [0.2, 0.03, 0.005]
    measured_ = Line("measured", [1, 2, 3], [0.1, 0.02, 0.004], low=low, high=high)
    lines = measured_, Line("law", [1, 3], [0.1, 0.004], LAW, law=True)
    panel = Panel("title", "x", "y", lines, "note", log_x=True, log_y=True)
    first, second = panels_figure([panel] * 2), panels_figure([panel] * 2)
    assert first == second
    assert first["svg"].startswith(b"<?xml")
    assert first["pdf"].startswith(b"%PDF")
    figure = drawn(panel)
    assert [trace.name for trace in figure.data] == ["measured", "law"]
    assert figure.data[1].line.dash == "dash"
    assert list(figure.data[0].error_y.array) == pytest.approx([0.1, 0.01, 0.001])


@pytest.mark.parametrize("name", ["transition", "widths", "bound"])
def test_a_page_a_table_and_pictures(name: str, request: pytest.FixtureRequest) -> None:
    asked: PhaseTransition | LogWidth | LowerBound = request.getfixturevalue(name)
    page = asked.write()
    folder = asked.runs.folder
    html = page.read_text(encoding="utf-8")
    assert "Plotly.newPlot" in html
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert table.count("## ") >= 1
    kinds = {path.suffix for path in folder.iterdir()}
    assert kinds == {".html", ".md", ".svg", ".pdf", ".json"}


EXPERIMENTS: dict[str, tuple[Any, str, Callable[[Path], Any]]] = {
    "phase-transition": (phase_transition, "measured",
                         lambda out: PhaseTransition(out, trials=100, last=12)),
    "log-width": (log_width, "needed_widths", lambda out: LogWidth(out, trials=8, sizes=(2, 4))),
    "lower-bound": (lower_bound, "measured",
                    lambda out: LowerBound(out, trials=2, most_covered=5, most_solved=6)),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_was_interrupted_goes_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, step, make = EXPERIMENTS[name]
    whole = make(tmp_path / "whole")
    whole.measure()
    calls: list[Any] = []
    real = getattr(module, step)

    def interrupted(*given: Any) -> Any:
        if calls and len(calls) == limit:
            raise KeyboardInterrupt
        calls.append(given)
        return real(*given)

    monkeypatch.setattr(module, step, interrupted)
    limit = 1
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts").measure()
    limit = 10**6
    parts = make(tmp_path / "parts")
    parts.measure()
    once = len(calls)
    assert (tmp_path / "parts/times.json").read_bytes() == (
        tmp_path / "whole/times.json"
    ).read_bytes()
    make(tmp_path / "parts").measure()
    assert len(calls) == once  # nothing is done twice
    with pytest.raises(ValueError, match="another --out"):
        type(parts)(tmp_path / "parts", trials=500)


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(theory_page, "panels_figure", lambda panels: {"svg": b"", "pdf": b""})
    monkeypatch.setattr(LowerBound.__init__, "__kwdefaults__",
                        {"seed": 0, "trials": 2, "most_covered": 4, "most_solved": 5})  # fmt: skip
    monkeypatch.setattr(LogWidth.__init__, "__kwdefaults__",
                        {"seed": 0, "trials": 8, "sizes": (2, 4)})  # fmt: skip
    monkeypatch.setattr(PhaseTransition.__init__, "__kwdefaults__",
                        {"seed": 0, "trials": 100, "last": 12})  # fmt: skip
    keys = {"phase-transition": ("slopes", "counts"), "log-width": ("fits", "joint_fit"),
            "lower-bound": ("above_bound", "lengths")}  # fmt: skip
    for name, more in keys.items():
        trials = {"phase-transition": "120", "log-width": "8", "lower-bound": "2"}[name]
        arguments = ["reproduce", name, "--out", str(tmp_path / name), "--trials", trials]
        assert cli._run([*arguments, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert set(told) == {"rows", "out", *more}
        assert len(told["rows"]) > 10
        assert cli._run(arguments) == 0
        assert "index.html" in capsys.readouterr().out
        assert cli._run([*arguments, "--seed", "1"]) == 2
        assert "another --out" in capsys.readouterr().err
        for wrong in (["--trials", "1"], ["--seed", "-1"]):
            assert cli._run(["reproduce", name, "--out", str(tmp_path / "new"), *wrong]) == 2
            assert "give" in capsys.readouterr().err
