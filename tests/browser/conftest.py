"""The playground in a real browser, watched: errors and requests fail the test that causes them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "milp_lth" / "explain" / "playground.html"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's chromium; whoever has none, or no playwright, is told so."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install it")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium on the path")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open the page with an address and settings of the browser; it must cause no trouble."""
    contexts, trouble = [], []

    def opened(
        address: str = "", *, path: Path = PAGE, last: str = "#widths svg", **settings: Any
    ) -> Any:
        contexts.append(
            browser.new_context(**{"viewport": {"width": 1280, "height": 720}} | settings)
        )
        page = contexts[-1].new_page()
        page.on("console", lambda message: trouble.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file://", "data:"))
                else trouble.append(f"request: {request.url}")
            ),
        )
        page.goto(path.as_uri() + address)
        page.wait_for_selector(last, state="attached")  # the last figure to be drawn
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not trouble


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    """The page as it begins."""
    return open_page()
