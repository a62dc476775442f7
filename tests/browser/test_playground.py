"""The playground: controls, keyboard, links, pictures."""

import html
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "milp_lth" / "explain" / "playground.html"
FIGURES = ("candidates", "line", "errors", "signs", "neuron", "regions", "widths")
ONE, TWO, THREE, FOUR = FIGURES[:3], FIGURES[3:4], FIGURES[4:5], FIGURES[5:]
CHANGES = [  # control, what is entered, which figures show it
    ("seed", "95", FIGURES),
    ("find", "sparsest", FIGURES),
    ("tol", "0.1", ("line",)),
    ("w", "-0.5", ONE + TWO),
    ("w-typed", "0.123456789", ONE + TWO),
    ("n", "17", ONE),
    ("n-typed", "3", ONE),
    ("zoom", "20", ("line",)),
    ("zoom-typed", "70", ("line",)),
    ("width", "9", TWO),
    ("d", "3", THREE),
    ("w1", "0.1", THREE),
    ("w2-typed", "0.9", THREE),
    ("units", "20", THREE),
    ("target", "moons", FOUR),
    ("layers", "23", FOUR),
    ("layers-typed", "5", FOUR),
    ("by", "greedy", FOUR),
]


def figures(page: Any) -> dict[str, str]:
    page.wait_for_timeout(250)  # the last figure is drawn after the others, the address after it
    return {name: page.inner_html(f"#{name}") for name in FIGURES}


def enter(page: Any, control: str, value: str) -> None:
    place = page.locator(f"#{control}")
    if place.evaluate("(e) => e.tagName") == "SELECT":
        place.select_option(value)
    else:
        place.fill(value)


def state(page: Any) -> dict[str, Any]:
    return dict(page.evaluate("playground.state"))


def test_it_is_small_quick_and_alone() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(text.encode()) <= 300_000
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert re.search(r'<script type="application/json" id="given">\{\}</script>', text)


def test_it_answers_within_a_second(open_page: Callable[..., Any]) -> None:
    assert min(open_page().evaluate("playground.ready") for _ in range(3)) < 1000


def test_a_weight_of_twenty_candidates_is_solved_at_once(page: Any) -> None:
    page.evaluate("playground.change({n: 20})")
    for find in ("closest", "sparsest"):
        seconds = page.evaluate(
            """(find) => { playground.state.find = find; const times = [];
            for (let k = 0; k < 5; k++) { const from = performance.now(); playground.computeOne();
            times.push(performance.now() - from); } return Math.min(...times); }""",
            find,
        )
        assert seconds < 100


@pytest.mark.parametrize(("control", "value", "shown"), CHANGES)
def test_every_control_changes_what_it_should(
    page: Any, control: str, value: str, shown: tuple[str, ...]
) -> None:
    before, texts = figures(page), page.locator("[aria-live]").all_inner_texts()
    enter(page, control, value)
    after = figures(page)
    changed = {name for name in FIGURES if before[name] != after[name]}
    assert changed <= set(shown)
    assert changed, "nothing happened"
    assert changed == set(shown) or control in ("find", "seed")
    name = control.removesuffix("-typed")
    assert str(state(page)[name]) == value
    assert f"{name}={value}" in page.url
    assert page.input_value(f"#{name}") != "" or control == name
    if control != "zoom" and control != "tol":
        assert texts != page.locator("[aria-live]").all_inner_texts()


def test_all_controls_are_tried(page: Any) -> None:
    tried = {name.removesuffix("-typed") for name, _, _ in CHANGES}
    assert set(page.evaluate("Object.keys(playground.settings)")) == tried | {"big", "w3", "x3"}


def test_the_third_weight_comes_with_the_third_input(page: Any) -> None:
    assert not page.is_visible("#w3")
    enter(page, "d", "3")
    before = figures(page)["neuron"]
    for control, value in (("w3", "-0.8"), ("x3", "-1")):
        enter(page, control, value)
        after = figures(page)["neuron"]
        assert before != after
        before = after


def test_projector_makes_letters_larger(page: Any) -> None:
    size = "parseFloat(getComputedStyle(document.querySelector('svg text')).fontSize)"
    assert page.evaluate(size) >= 18
    page.check("#big")
    assert page.evaluate(size) >= 24
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.uncheck("#big")
    assert page.evaluate(size) == 18


def test_nothing_is_written_small(page: Any) -> None:
    sizes = page.evaluate(
        """[...document.querySelectorAll('body *')].filter((e) => e.textContent.trim())
        .filter((e) => getComputedStyle(e).display !== 'none')
        .map((e) => [parseFloat(getComputedStyle(e).fontSize), e.tagName])"""
    )
    assert [e for e in sizes if e[0] < 18] == []


def test_the_target_can_be_dragged(page: Any) -> None:
    page.locator("#line").scroll_into_view_if_needed()
    box = page.locator("#line").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60)
    page.mouse.down()
    first = state(page)["w"]
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 60, steps=5)
    second = state(page)["w"]
    page.mouse.move(box["x"] - 500, box["y"] + 60)
    page.mouse.up()
    assert 0.2 < first < 0.35
    assert -0.85 < second < -0.7
    assert state(page)["w"] == -1
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60)
    assert state(page)["w"] == -1


def test_the_keyboard_alone_does_everything(page: Any) -> None:
    reached: dict[str, Any] = {}
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """(() => { const e = document.activeElement, s = getComputedStyle(e);
            return [e.id || e.tagName, s.outlineStyle, parseFloat(s.outlineWidth)]; })()"""
        )
        if found[0] in reached:
            break
        reached[found[0]] = found[1:]
    wanted = page.evaluate(
        """[...document.querySelectorAll('input, select, button')]
        .filter((e) => e.offsetParent).map((e) => e.id)"""
    )
    assert set(wanted) <= set(reached)
    assert {"BODY"} >= {
        name for name, (style, width) in reached.items() if style == "none" or width < 2
    }
    page.focus("#w")
    page.keyboard.press("ArrowRight")
    assert state(page)["w"] == pytest.approx(0.301)
    page.focus("#layers")
    page.keyboard.press("End")
    assert state(page)["layers"] == 24
    page.focus("#target")
    page.keyboard.press("ArrowDown")
    assert state(page)["target"] == "moons"
    page.focus("#big")
    page.keyboard.press("Space")
    assert state(page)["big"] == 1
    page.focus("#next")
    page.keyboard.press("Enter")
    assert state(page)["seed"] == 95
    page.focus("#reset")
    page.keyboard.press("Enter")
    assert state(page)["seed"] == 94
    page.focus("summary")
    page.keyboard.press("Enter")
    assert page.locator("#table tbody tr").count() == 12
    assert page.is_visible("#table")


def test_every_control_and_figure_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        """[...document.querySelectorAll('input, select')].filter((e) =>
        !(e.labels.length || e.getAttribute('aria-label'))
        || !document.getElementById(e.getAttribute('aria-describedby'))).map((e) => e.id)"""
    )
    assert nameless == []
    names = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(names) == len(set(names))
    for name in FIGURES:
        assert page.get_attribute(f"#{name}", "role") == "img"
        assert re.search(r"\d", page.get_attribute(f"#{name}", "aria-label"))
        assert page.locator(f"figure:has(#{name}) figcaption").count() == 1
    for section in page.locator("section").all():
        assert re.search(r"\d", section.locator("[aria-live=polite]").first.inner_text())


@pytest.mark.parametrize(
    ("control", "typed", "kept", "shown"),
    [
        ("seed", "-3", 0, "0"),
        ("seed", "9999999999", 2**32 - 1, "4294967295"),
        ("seed", "2.7", 3, "3"),
        ("w-typed", "5", 1, "1"),
        ("w-typed", "", 0.3, "0.3"),
        ("n-typed", "99", 20, "20"),
        ("tol", "-1", 0, "0"),
    ],
)
def test_what_cannot_be_is_put_right(
    page: Any, control: str, typed: str, kept: float, shown: str
) -> None:
    enter(page, control, typed)
    page.keyboard.press("Tab")
    assert state(page)[control.removesuffix("-typed")] == kept
    assert page.input_value(f"#{control}") == shown


def test_the_address_brings_everything_back(page: Any, open_page: Callable[..., Any]) -> None:
    for control, value, _ in CHANGES[:-1]:
        enter(page, control, value)
    drawn, held = figures(page), state(page)
    again = open_page("#" + page.url.split("#")[1])
    assert state(again) == held
    assert figures(again) == drawn
    assert again.input_value("#w-typed") == "0.123456789"
    page.click("#reset")
    fresh = open_page()
    assert state(page) == state(fresh)
    assert figures(page) == figures(fresh)
    assert page.get_attribute("#link", "href") == "#"
    page.evaluate("location.hash = 'n=7&w=0.5'")  # a link followed from the page itself
    page.wait_for_function("playground.state.n === 7")
    assert page.input_value("#w") == "0.5"


def test_addresses_from_elsewhere_do_no_harm(open_page: Callable[..., Any]) -> None:
    page = open_page("#n=abc&w=7&target=<b>&d=9&seed=-1&find=toString&nothing=1&at=nowhere&zoom=")
    wanted = {
        "n": 12,
        "w": 1,
        "target": "disc",
        "d": "2",
        "seed": 0,
        "find": "closest",
        "zoom": 100,
    }
    assert wanted.items() <= state(page).items()


def test_a_link_leads_to_its_section(open_page: Callable[..., Any]) -> None:
    page = open_page("#layers=20&at=four")
    assert page.evaluate("scrollY") > 500
    figures(page)
    assert page.url.endswith("#layers=20&at=four")


def test_the_links_of_the_docs_show_what_is_said(open_page: Callable[..., Any]) -> None:
    text = (PAGE.parents[2] / "docs" / "playground.md").read_text(encoding="utf-8")
    many, unlucky, greedily = (
        open_page(html.unescape(link)) for link in re.findall(r'playground\.html(#[^"]+)"', text)
    )
    errors = many.evaluate(
        "(({exact, greedy}) => [exact.error, greedy.error])(playground.computeOne())"
    )
    assert [f"{error:.0e}" for error in errors] == ["3e-06", "3e-01"]
    assert "became 0.2230 (11 candidates)" in unlucky.inner_text("#result-three")
    assert "on 89.4 % of the plane" in greedily.inner_text("#result-four")
    enter(greedily, "by", "exact")
    assert "on 99.6 % of the plane" in greedily.inner_text("#result-four")


def test_it_begins_with_what_it_is_given(open_page: Callable[..., Any], tmp_path: Path) -> None:
    stripe = [{"weight": [[1.0, 0.0]], "bias": [0.0]}, {"weight": [[1.0]], "bias": [-0.5]}]
    begin = {"w": -0.25, "n": 15, "target": "stripe"}
    given = {"state": begin, "networks": {"stripe": stripe}}
    start = '<script type="application/json" id="given">'
    text = PAGE.read_text(encoding="utf-8").replace(start + "{}", start + json.dumps(given))
    (tmp_path / "given.html").write_text(text, encoding="utf-8")
    page = open_page(path=tmp_path / "given.html")
    assert begin.items() <= state(page).items()
    assert page.locator("#target option").count() == 3
    page.click("#next")
    figures(page)
    assert "w=-0.25" in page.url
    page.click("#reset")
    assert state(page)["w"] == -0.25
    assert state(open_page("#seed=5", path=tmp_path / "given.html"))["w"] == 0.3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("address", ["", "#n=20&w=-1&width=24&w1=1&d=3&big=1&find=sparsest&tol=0"])
def test_every_figure_is_drawn(
    open_page: Callable[..., Any], tmp_path: Path, scheme: str, width: int, address: str
) -> None:
    page = open_page(address, viewport={"width": width, "height": 720}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in FIGURES:
        figure = page.locator(f"#{name}")
        picture = figure.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png")
        pixels = matplotlib.image.imread(io.BytesIO(picture))[:, :, :3]
        ground = pixels[2, 2].mean()
        assert ground > 0.9 if scheme == "light" else ground < 0.2
        colours, counts = np.unique((pixels * 255).reshape(-1, 3), axis=0, return_counts=True)
        assert len(colours) > 20
        assert counts.max() < 0.98 * counts.sum()
        box = figure.evaluate(
            "(e) => { const b = e.querySelector('svg').getBBox(); return [b.width, b.height]; }"
        )
        assert min(box) > 100
        for words in figure.locator("text").all():  # no word leaves its figure
            inside = words.evaluate(
                """(e) => { const b = e.getBoundingClientRect();
                const f = e.closest('.plot').getBoundingClientRect();
                return b.left >= f.left - 1 && b.right <= f.right + 1
                && b.top >= f.top - 1 && b.bottom <= f.bottom + 1; }"""
            )
            assert inside, (name, words.text_content())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_stand_out(open_page: Callable[..., Any], scheme: str) -> None:
    page = open_page(color_scheme=scheme)

    def luminance(name: str) -> float:
        colour = page.evaluate(
            "(n) => getComputedStyle(document.documentElement).getPropertyValue(n).trim()", name
        )
        colour = (
            "".join(c * (7 - len(colour)) for c in colour[1:]) if len(colour) == 4 else colour[1:]
        )
        parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)])
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for name, least in [
        ("ink", 7), ("soft", 4.5), ("kept", 4.5), ("greedy", 4.5), ("theory", 4.5), ("limit", 4.5),
        ("edge", 3),
    ]:  # fmt: skip
        high, low = sorted((luminance(f"--{name}"), luminance("--card")), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= least, name
