"""The built documentation in a real browser: nothing is missing or fetched, and dark is dark."""

from pathlib import Path
from typing import Any

import pytest

HTML = Path(__file__).parents[2] / "docs" / "_build" / "html"


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    found = sorted([*HTML.glob("*.html"), *HTML.glob("notebooks/*.html")])
    if not found:
        pytest.skip("the documentation is not built: make docs")
    return found


def test_pages_need_nothing_but_their_folder(browser: Any, pages: list[Path]) -> None:
    trouble = []
    context = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True)
    page = context.new_page()
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("requestfailed", lambda request: trouble.append(f"missing: {request.url}"))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file://", "data:", "blob:"))
            else trouble.append(f"request: {request.url}")
        ),
    )
    for path in pages:
        page.goto(path.as_uri())
        if page.locator("div.math, span.math").count():
            page.wait_for_selector("mjx-container svg", state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280, path.name
        assert not trouble, path.name
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_are_turned_over_on_dark_pages_alone(
    browser: Any, pages: list[Path], scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    num_pictures = 0
    for path in pages:
        page.goto(path.as_uri())
        filters = page.evaluate(
            "[...document.querySelectorAll('article img')].map(i => getComputedStyle(i).filter)"
        )
        num_pictures += len(filters)
        turned = "none" if scheme == "light" else "invert(1) hue-rotate(180deg)"
        assert set(filters) <= {turned}, path.name
    assert num_pictures > 0
    context.close()
