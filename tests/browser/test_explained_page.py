"""Pages that ``milp-lth explain --out`` writes: the library's numbers, for anybody's network."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from instances.objectives import Closest, FixedSize, Objective, Sparsest
from milp_lth.cli import main as cli
from milp_lth.explain.answers import Solved
from milp_lth.explain.page import explanation_page
from milp_lth.explain.weight import WeightHalf, explain_weight
from milp_lth.reduction import Reduction, reduce
from milp_lth.source import Source
from milp_lth.targets.named import load_named_target

FIGURES = ("candidates", "line", "errors")
LAST = "#errors svg"


def rows(page: Any, output: int) -> list[dict[str, Any]]:
    """What the page computes for a neuron."""
    ask = "(j) => playground.rowsOf(playground.layer.neurons.find((n) => n.output === j))"
    return list(page.evaluate(ask, output))


def one(page: Any) -> dict[str, Any]:
    """What the page computes for the weight that is chosen."""
    ask = "(() => { const one = playground.computeOne(); one.sums = 0; return one })()"
    return dict(page.evaluate(ask))


def bits(mask: float) -> list[bool]:
    return [bool(int(mask) >> k & 1) for k in range(64)]


def same(row: dict[str, Any], half: WeightHalf, target: float) -> None:
    """Compare a weight on the page with the library's, bit for bit."""
    assert row["target"] == target
    assert row["sign"] == half.sign
    assert half.u is not None
    assert half.v is not None
    for name, value in (("units", half.units), ("u", half.u), ("v", half.v), ("a", half.products)):
        assert row[name] == value.tolist()
    assert bits(row["mask"])[: len(half.units)] == half.ticket.mask.tolist()
    assert (row["sum"], row["error"]) == (half.ticket.sum, half.ticket.error)
    assert row["kept"] == half.ticket.mask.sum()


def same_one(page: Any, half: WeightHalf) -> None:
    """Compare what the page solves by itself."""
    got, n = one(page), len(half.units)
    assert got["a"] == half.products.tolist()
    for name, choice in (("exact", half.exact), ("greedy", half.greedy)):
        assert choice is not None
        assert bits(got[name]["mask"])[:n] == choice.mask.tolist()
        assert (got[name]["sum"], got[name]["error"]) == (choice.sum, choice.error)
    if half.predicted is not None:
        assert got["theory"][n - 1] == pytest.approx(half.predicted, rel=1e-9)


def test_a_layer_of_the_digit_classifier(open_page: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert cli._run(["explain", "--out", str(path), "--json"]) == 0
    assert path.stat().st_size < 300_000
    page = open_page(path=path, last=LAST)
    reduction = reduce(load_named_target("digits-mlp")[0], Source(), input_range=(0, 1))
    outputs = page.evaluate("playground.layer.neurons.map((n) => n.output)")
    assert len(outputs) == 8
    for output in outputs[::3]:
        found = rows(page, output)
        assert [row["input"] for row in found] == list(range(64))
        for row in found[::9]:
            (half,) = explain_weight(reduction, 0, output, row["input"]).halves
            same(row, half, explain_weight(reduction, 0, output, row["input"]).target)
    assert page.inner_text("h1") == "Pruning by solving: layer 0 of digits-mlp"
    assert "assignment matched" in page.inner_text("footer")
    assert page.locator("section").count() == 3
    assert not page.locator("section:has(#signs)").is_visible()  # inputs are never below 0
    for output, i in ((outputs[0], 20), (outputs[4], 63)):
        page.select_option("#output", str(output))
        page.select_option("#input", str(i))
        weight = explain_weight(reduction, 0, output, i)
        same_one(page, weight.halves[0])
        shown = page.inner_text("#result-one").replace("−", "-")
        (w,) = re.findall(rf"Output {output}, input {i}: w = (\S+)\. Of 24 units", shown)
        assert float(w) == pytest.approx(weight.target, rel=1e-8)
        assert f"keeps {weight.halves[0].ticket.mask.sum()}:" in shown
        assert page.locator("#table tbody tr").count() == len(weight.halves[0].units)


OBJECTIVES: list[Objective] = [Closest(), Sparsest(0.02), FixedSize(4)]


def written(
    path: Path, reduction: Reduction, layer: int, output: int, input_: int | str
) -> WeightHalf | Any:
    weight = explain_weight(reduction, layer, output, input_)
    page = explanation_page(reduction, weight, Solved(reduction), "test")
    path.write_text(page, encoding="utf-8")
    return weight


@pytest.mark.parametrize("assignment", ["matched", "block"])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_single_weights_of_both_signs(
    open_page: Callable[..., Any], tmp_path: Path, assignment: str, objective: Objective
) -> None:
    torch.manual_seed(1)
    target = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    reduction = reduce(
        target, Source(seed=2**32 - 3, width=27), assignment=assignment, objective=objective
    )
    for place, j, i in ((0, 1, 3), (0, 2, "bias"), (1, 1, 0)):
        weight = written(tmp_path / "page.html", reduction, place, j, i)
        page = open_page(path=tmp_path / "page.html", last=LAST)
        found = rows(page, j)
        assert len(found) == len(weight.halves)
        for row, half in zip(found, weight.halves, strict=True):
            same(row, half, weight.target)
            if half.sign < 0:
                page.select_option("#half", "-1")
                assert "u < 0" in page.inner_text("section:has(#candidates)")
            same_one(page, half)
        both = len(weight.halves) == 2
        assert page.is_visible("#signs") == page.is_visible("#half") == both
        assert not page.locator("#weights").count()


def test_many_candidates(open_page: Callable[..., Any], tmp_path: Path) -> None:
    """As many as there may be: masks of more bits than JavaScript shifts, answered at once."""
    reduction = reduce(nn.Linear(2, 2), Source(seed=3, width=40), input_range=(0, 1))
    weight = written(tmp_path / "page.html", reduction, 0, 1, 1)
    assert len(weight.halves[0].units) == 40
    page = open_page(path=tmp_path / "page.html", last=LAST)
    same(rows(page, 1)[0], weight.halves[0], weight.target)
    same_one(page, weight.halves[0])
    page.evaluate("playground.change({w: 0.123})")
    assert one(page)["exact"]["error"] < 1e-8


def test_what_a_heuristic_kept_stands_beside_the_best(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    folder, path = str(tmp_path / "run"), tmp_path / "page.html"
    arguments = ["run", "--target", "wine-mlp", "--width", "12", "--solver", "greedy"]
    assert cli._run([*arguments, "--out", folder]) == 0
    assert cli._run(["explain", folder, "--output", "3", "--out", str(path), "--json"]) == 0
    page = open_page(path=path, last=LAST)
    for i in range(13):  # until there is something better
        page.select_option("#input", str(i))
        found = one(page)
        if found["ticket"] is not None:
            break
    assert found["ticket"]["mask"] == found["greedy"]["mask"] != found["exact"]["mask"]
    assert "The ticket keeps" in page.inner_text("#result-one")
    assert page.locator("#candidates text", has_text="ticket").count() == 1
    page.fill("#n-typed", "3")  # of fewer candidates the ticket says nothing
    assert one(page)["ticket"] is None
    assert "The ticket keeps" not in page.inner_text("#result-one")


@pytest.fixture(scope="module")
def neuron(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a neuron with biases, on inputs of both signs."""
    path = tmp_path_factory.mktemp("explained") / "neuron.html"
    options = ["--target", "wine-mlp", "--output", "2", "--width", "24", "--out", str(path)]
    assert cli._run(["explain", *options, "--json"]) == 0
    return path


def test_weights_are_chosen_by_keyboard_click_and_link(
    open_page: Callable[..., Any], neuron: Path
) -> None:
    page = open_page(path=neuron, last=LAST)
    first = page.evaluate("playground.state.w")
    page.focus("#input")
    page.keyboard.press("End")
    assert page.evaluate("playground.state.input") == "bias"
    assert not page.is_visible("#half")
    assert page.evaluate("playground.state.w") != first
    page.wait_for_timeout(300)
    assert page.url.endswith("#input=bias")
    page.locator("#weights").scroll_into_view_if_needed()
    box = page.locator("#weights").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 100)
    chosen = page.evaluate("playground.state.input")
    assert chosen in {"5", "6", "7", "8"}
    page.select_option("#half", "-1")
    page.fill("#n-typed", "5")
    page.wait_for_timeout(300)
    again = open_page("#" + page.url.split("#")[1], path=neuron, last=LAST)
    assert again.evaluate("playground.state") == page.evaluate("playground.state")
    assert again.inner_text("#result-one") == page.inner_text("#result-one")
    page.click("#reset")
    assert page.evaluate("playground.state.w") == first
    assert page.evaluate("playground.state") == open_page(path=neuron, last=LAST).evaluate(
        "playground.state"
    )


def test_addresses_from_elsewhere_do_no_harm(open_page: Callable[..., Any], neuron: Path) -> None:
    page = open_page("#input=99&output=1&n=99&w=7&half=2&seed=3&at=four", path=neuron, last=LAST)
    state = page.evaluate("playground.state")
    assert state["input"] in {str(i) for i in range(13)}
    assert (state["output"], state["half"], state["w"]) == ("2", "1", 1)
    assert 1 <= state["n"] <= 24


def test_a_weight_that_nothing_serves(open_page: Callable[..., Any], tmp_path: Path) -> None:
    target = nn.Linear(3, 1, bias=False)
    for seed in range(20):
        reduction = reduce(target, Source(seed=seed, width=1), assignment="block")
        weight = explain_weight(reduction, 0, 0, 0)
        if not len(weight.halves[0].units):
            break
    page = explanation_page(reduction, weight, Solved(reduction), "test")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    opened = open_page(path=tmp_path / "page.html", last="#signs svg")
    assert "the sum is 0" in opened.inner_text("#result-one")
    opened.select_option("#half", "-1")
    assert "The exact solver keeps" in opened.inner_text("#result-one")


def test_names_are_shown_as_they_are(open_page: Callable[..., Any], tmp_path: Path) -> None:
    name = "</script><img src=x onerror=alert(1)>"
    torch.save({f"{name}.weight": torch.rand(2, 3)}, tmp_path / "net.pt")
    path = tmp_path / "page.html"
    options = ["--target", str(tmp_path / "net.pt"), "--width", "8", "--out", str(path), "--json"]
    assert cli._run(["explain", *options]) == 0
    page = open_page(path=path, last=LAST)
    assert f"layer {name} of" in page.inner_text("h1")
    assert not page.locator("img").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_figure_is_drawn(
    open_page: Callable[..., Any], neuron: Path, scheme: str, width: int
) -> None:
    viewport = {"width": width, "height": 720}
    page = open_page(path=neuron, last=LAST, viewport=viewport, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("weights", *FIGURES, "signs"):
        figure = page.locator(f"#{name}")
        assert figure.get_attribute("role") == "img"
        assert any(c.isdigit() for c in figure.get_attribute("aria-label"))
        outside = figure.evaluate(
            """(e) => { const f = e.getBoundingClientRect();
            return [...e.querySelectorAll("text")].filter((t) => {
              const b = t.getBoundingClientRect();
              return b.left < f.left - 1 || b.right > f.right + 1 || b.bottom > f.bottom + 1; })
            .map((t) => t.textContent); }"""
        )
        assert outside == [], name
    nameless = page.evaluate(
        """[...document.querySelectorAll('input, select')].filter((e) =>
        !(e.labels.length || e.getAttribute('aria-label'))
        || !document.getElementById(e.getAttribute('aria-describedby'))).map((e) => e.id)"""
    )
    assert nameless == []


def test_it_answers_at_once(open_page: Callable[..., Any], neuron: Path) -> None:
    seconds = open_page(path=neuron, last=LAST).evaluate(
        """(() => { const times = [];
        for (let k = 0; k < 5; k++) { const from = performance.now();
          playground.change({ w: 0.01 * k }); times.push(performance.now() - from); }
        return Math.min(...times); })()"""
    )
    assert seconds < 250


def test_sums_are_counted_and_solved_as_by_trying_all(page: Any) -> None:
    """Tables of halves against all subsets, ties among them: whole numbers collide."""
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 5, 9):
        a = rng.integers(-6, 7, n)
        every = np.array([sum(a[k] for k in range(n) if m >> k & 1) for m in range(2**n)])
        sizes = np.array([m.bit_count() for m in range(2**n)])
        for t in np.arange(-8, 8, 0.5):
            away = np.abs(t - every)
            ask = "([a, t, find, e, s]) => playground.solveExactly(a, t, find, e, undefined, s)"
            got = page.evaluate(ask, [a.tolist(), t, "closest", 0, 0])
            assert got == int(np.flatnonzero(away == away.min())[0])
            if (away <= 1).any():
                fewest = sizes[away <= 1].min()
                of_size = np.where(sizes == fewest, away, np.inf)
                got = page.evaluate(ask, [a.tolist(), t, "sparsest", 1, 0])
                assert got == int(np.flatnonzero(of_size == of_size.min())[0])
            for size in range(n + 1):
                of_size = np.where(sizes == size, away, np.inf)
                got = page.evaluate(ask, [a.tolist(), t, "fixed-size", 0, size])
                assert got == int(np.flatnonzero(of_size == of_size.min())[0])
