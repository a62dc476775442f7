"""The report, in a real browser without network."""

import re
import shutil
from pathlib import Path

import networkx as nx
import pytest

from milp_lth.ledger import Ledger
from milp_lth.report.plots import gadget_drawing
from milp_lth.report.render import render
from milp_lth.run import REPORT, Run


def test_the_same_run_gives_the_same_bytes(finished_run: Path) -> None:
    run = Run(finished_run)
    with Ledger(finished_run) as ledger:
        assert render(run, ledger, run.assemble(ledger)) == (finished_run / REPORT).read_text(
            encoding="utf-8"
        )


def test_units_are_drawn_in_order() -> None:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for k in range(20):
        graph.add_node(f"h{k}", floor=1, product=0.1, kept=True)
    heights = [note.y for note in gadget_drawing(graph).layout.annotations]
    assert heights == sorted(heights)  # in sets, their order would be another in every process


def test_nothing_is_fetched(finished_run: Path) -> None:
    text = (finished_run / REPORT).read_text(encoding="utf-8")
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(?:src|href)=[\"']?https?:", own)


def test_names_from_files_are_escaped(run_copy: Path) -> None:
    run = Run(run_copy)
    run.network = run.network.renamed(["<script>alert(1)</script>", "b"])
    object.__setattr__(run.settings, "target", "<img src=x onerror=alert(2)>")
    with Ledger(run_copy) as ledger:
        text = render(run, ledger, run.assemble(ledger))
    assert "<img src=x" not in text
    assert "<script>alert(1)" not in text


def test_it_shows_in_a_browser_without_network(finished_run: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium")
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install it")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        errors: list[str] = []
        asked: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto((finished_run / REPORT).as_uri())
        page.wait_for_selector("#gadget .main-svg")
        assert page.locator("h1").inner_text() == "A ticket for wine-mlp"
        assert page.locator("#errors .bars path").count() > 3
        assert page.locator("#edges .bars path").count() >= 8
        assert page.locator("#gadget .annotation").count() > 5
        assert "100.00 %" in page.locator(".headline").inner_text()
        browser.close()
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
