"""Names out of files stand in every page as they are: none of them is taken for HTML or code."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from instances.files import save_instance
from instances.subset_sum import SubsetSum
from milp_lth.cli import main as cli
from milp_lth.compare.comparison import Asked, Comparison
from milp_lth.compare.page import write_page as write_comparison
from milp_lth.compare.store import FILE
from milp_lth.environment import environment
from milp_lth.reproduce.page import write_page as write_reproduction
from milp_lth.reproduce.table import COLUMNS
from milp_lth.rivals.bench import Rivals
from milp_lth.rivals.page import write_page as write_rivals
from milp_lth.rivals.table import rows

CODE = "ran = alert(1)"  # without a point: names of layers have none
MARKUP = f"</script><script>{CODE}</script><img src=x onerror='{CODE}'><b>\"&amp;"
FILE_NAME = f"<img src=x onerror='{CODE}'>\"&amp;"  # of a file: without a slash


@pytest.fixture
def shown(browser: Any) -> Iterator[Callable[[Path], Any]]:
    """Open a page; whatever it runs, asks or fetches fails the test."""
    context, trouble = browser.new_context(), []

    def opened(path: Path) -> Any:
        page = context.new_page()

        def refuse(dialog: Any) -> None:
            trouble.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("dialog", refuse)
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("request", lambda request: trouble.append(request.url))
        page.goto(path.as_uri())
        trouble.remove(path.as_uri())
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.ran") is None
        assert page.locator("img, a[href^='javascript']").count() == 0
        return page

    yield opened
    context.close()
    assert not trouble


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A perceptron with such names for its layers and its file."""
    torch.manual_seed(0)
    shapes = {f"0{MARKUP}": (4, 5), f"1{MARKUP}": (3, 4)}
    tensors = {f"{name}.weight": torch.randn(shape) for name, shape in shapes.items()}
    path = tmp_path / f"{FILE_NAME}.safetensors"
    safetensors.torch.save_file(tensors, path)
    return path


def drawn(page: Any) -> str:
    """All texts in the pictures of a page."""
    page.wait_for_selector(".js-plotly-plot text", state="attached")
    texts = page.evaluate("[...document.querySelectorAll('svg text')].map((t) => t.textContent)")
    return "\n".join(texts)


def cells(page: Any, kind: str = "td") -> list[str]:
    """The texts of all elements of a kind."""
    return [str(text) for text in page.locator(kind).all_inner_texts()]


@pytest.mark.parametrize("objective", ["closest", "data-aware"])
def test_a_run(shown: Callable[[Path], Any], target: Path, tmp_path: Path, objective: str) -> None:
    out = tmp_path / "run"
    arguments = ["run", "--target", str(target), "--objective", objective, "--width", "6"]
    assert cli._run([*arguments, "--out", str(out)]) == 0
    path = out / "settings.json"
    stated = json.loads(path.read_text())
    stated["environment"] |= {"processor": MARKUP, "versions": {MARKUP: MARKUP}}
    stated["settings"]["target"] = MARKUP
    path.write_text(json.dumps(stated))
    assert cli._run(["report", str(out)]) == 0
    page = shown(out / "report.html")
    assert page.inner_text("h1") == f"A ticket for {MARKUP}"
    assert page.title().endswith(MARKUP)
    assert f"0{MARKUP} (+)" in cells(page)
    for name in (f"0{MARKUP}", f"1{MARKUP}"):
        assert name in drawn(page)
    assert cells(page, "dt").count(MARKUP) == cells(page, "dd").count(MARKUP) / 3 == 1


def test_what_explain_writes(shown: Callable[[Path], Any], target: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert cli._run(["explain", "--target", str(target), "--width", "6", "--out", str(path)]) == 0
    title = shown(path).inner_text("h1")
    assert title == f"Pruning by solving: layer 0{MARKUP} of {target}"


def test_a_comparison(shown: Callable[[Path], Any], tmp_path: Path) -> None:
    file = tmp_path / f"{FILE_NAME}.json"
    save_instance(SubsetSum(np.array([[0.5, 0.25]]), np.array([0.7])), file)
    asked = Asked((str(file),), ("greedy", "mitm"), rows=1)
    Comparison(asked, tmp_path / "out").carry_out()
    with sqlite3.connect(tmp_path / "out" / FILE) as database:
        database.execute("update runs set task = ?, message = ?", (MARKUP, MARKUP))
        database.execute("update runs set solver = ? where solver = 'greedy'", (MARKUP,))
        where = "where name = 'environment'"
        (text,) = database.execute(f"select value from settings {where}").fetchone()
        environment = json.loads(text) | {"processor": MARKUP, "versions": {MARKUP: MARKUP}}
        database.execute(f"update settings set value = ? {where}", (json.dumps(environment),))
    database.close()
    page = shown(write_comparison(Comparison(asked, tmp_path / "out")))
    assert page.inner_text("h2") == MARKUP
    assert FILE_NAME in page.inner_text("section .note >> nth=0")
    assert cells(page, "dd").count(MARKUP) == 2
    assert MARKUP in drawn(page)


def test_rivals(shown: Callable[[Path], Any], tmp_path: Path) -> None:
    def rivals() -> Rivals:
        return Rivals("wine", ("dense",), tmp_path, num_seeds=1, scale=0.03)

    rivals().measure()
    path = tmp_path / "settings.json"
    stated = json.loads(path.read_text())
    stated["environment"] |= {"processor": MARKUP, "versions": {MARKUP: MARKUP}}
    path.write_text(json.dumps(stated))
    changed = rivals()
    page = shown(write_rivals(changed, rows(changed)))
    assert page.inner_text("body").count(MARKUP) == 3


def test_a_reproduction(shown: Callable[[Path], Any], tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, 0.5) | {"row": MARKUP, "verified": True, "published": False}
    row |= {
        "seeds": [
            {"num_weights": 1, "objective": MARKUP, "width": 2, "accuracy": 1, "agreement": 1}
        ]
    }
    row |= {"beyond_tolerance": 0, "beyond_proven": 0, "theory_width": 3}
    records = [
        {"objective": name, "width": 2, "accuracy": 0.5, "agreement": 0.5, "target_accuracy": 0.5}
        for name in ("closest", "sparsest")
    ]
    reproduction: Any = SimpleNamespace(
        folder=tmp_path,
        environment=environment() | {"processor": MARKUP, "versions": {MARKUP: MARKUP}},
        base=SimpleNamespace(target=f"{FILE_NAME}.pt"),
        width_search=lambda: SimpleNamespace(records=records),
    )
    page = shown(write_reproduction(reproduction, [row]))
    assert f"({FILE_NAME}.pt)" in page.inner_text("header")
    assert cells(page).count(MARKUP) == 2
