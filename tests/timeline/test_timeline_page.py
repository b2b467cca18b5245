"""Pages of recordings, in a browser: what is drawn, said and reached by keys."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from accuser.timeline import timeline_page
from tests.support.browser import MISSING, Browser, usable
from tests.support.recordings import (
    Entry,
    crowded,
    eventful,
    write,
)

pytestmark = pytest.mark.skipif(not usable(), reason=MISSING)

ENTRIES: Final = len(eventful())

# Where on the screen the canvas has a color of the style, as the middle of the first such place.
PLACE_OF: Final = """
const canvas = document.getElementById("lanes"), box = canvas.getBoundingClientRect();
const probe = document.createElement("canvas").getContext("2d");
probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(arguments[0]);
probe.fillRect(0, 0, 1, 1);
const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
for (let at = 0; at < data.length; at += 4) {
  if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) {
    const pixel = at / 4;
    return [box.left + (pixel % width), box.top + Math.floor(pixel / width) + 3];
  }
}
return null;
"""


@pytest.fixture
def eventful_page(tmp_path: Path) -> Path:
    return page_of(tmp_path / "run.jsonl", eventful())


def page_of(path: Path, entries: Iterable[Entry]) -> Path:
    page = path.with_suffix(".html")
    page.write_text(timeline_page(write(path, entries)), "utf-8")
    return page


def text_of(browser: Browser, element: str) -> str:
    text: str = browser.run("return document.getElementById(arguments[0]).textContent", element)
    return text


def place_of(browser: Browser, color: str) -> Any:
    """Where the lanes have a color of the style once they are drawn, as x and y; None if nowhere."""
    browser.painted()
    return browser.run(PLACE_OF, color)


def focus(browser: Browser, element: str) -> None:
    browser.run("document.getElementById(arguments[0]).focus()", element)


def chosen(browser: Browser) -> str:
    """The name of the entry that the list says is selected, as a screen reader hears of it."""
    text: str = browser.run(
        "const id = document.getElementById('list').getAttribute('aria-activedescendant');"
        "return document.getElementById(id).querySelector('.name').textContent"
    )
    return text


def shown(browser: Browser) -> int:
    count: int = browser.run(
        "const row = document.querySelector('#rows [role=option]');"
        "return row === null ? 0 : Number(row.getAttribute('aria-setsize'))"
    )
    return count


def test_a_page_says_what_it_shows(browser: Browser, eventful_page: Path) -> None:
    browser.open(eventful_page)
    assert text_of(browser, "summary") == f"2 daemons, {ENTRIES} entries, 6.900 s"
    assert shown(browser) == ENTRIES
    # What would break out of the page is a text in it.
    assert "</script><script>alert(1)</script>" in text_of(browser, "rows")
    assert browser.run("return document.querySelectorAll('#rows b, #rows script').length") == 0
    assert browser.complaints() == []


def test_a_page_neither_loads_nor_sends(browser: Browser, eventful_page: Path) -> None:
    browser.open(eventful_page)
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    refused = browser.run(
        "return new Promise((done) => {"
        "  document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));"
        "  fetch('http://127.0.0.1:9/').catch(() => {});"
        "})"
    )
    assert refused == "connect-src"


def test_the_list_by_keys(browser: Browser, eventful_page: Path) -> None:
    browser.open(eventful_page)
    focus(browser, "list")
    browser.press("Down")
    assert chosen(browser) == "start"
    browser.press("Down")
    assert chosen(browser) == "ready"
    assert text_of(browser, "live").startswith("node1, 0.450 s, ready")
    browser.press("End")
    assert chosen(browser) == "exit"
    assert "127" in text_of(browser, "details")
    browser.press("Up", "Up", "Up", "Home")
    assert chosen(browser) == "start"


def test_the_lanes_by_keys(browser: Browser, eventful_page: Path) -> None:
    browser.open(eventful_page)
    focus(browser, "lanes")
    browser.press("Home", "Down")
    assert text_of(browser, "live").startswith("accuser1, 0.600 s, start")
    # Within the lane.
    browser.press("Right", "Right")
    assert text_of(browser, "live").startswith("accuser1, 0.950 s, stdout")
    browser.press("Left", "Up")
    assert text_of(browser, "live").startswith("node1, 0.450 s, ready")
    assert chosen(browser) == "ready"
    before = browser.screenshot()
    browser.press("+", "+")
    near = browser.screenshot()
    browser.press("Shift+Right")
    moved = browser.screenshot()
    assert len({before, near, moved}) == 3
    browser.press("0")
    assert browser.screenshot() == before
    browser.press("Enter")
    assert browser.run("return document.activeElement.id") == "details"


def test_a_click_on_what_is_drawn_shows_it(browser: Browser, eventful_page: Path) -> None:
    browser.open(eventful_page)
    browser.click(*place_of(browser, "--notable"))
    assert chosen(browser) == "double_baking_detected.v0"
    browser.click(*place_of(browser, "--bad"))
    assert "never.v0" in text_of(browser, "details") or chosen(browser) in (
        "exit",
        "double_baking_detected.v0",
    )


def test_the_lanes_by_mouse(browser: Browser, eventful_page: Path) -> None:
    browser.open(eventful_page)
    x, y = place_of(browser, "--notable")
    browser.wheel(x, y, -100)
    browser.painted()
    # What is under the pointer stays there, near enough to be clicked on.
    browser.click(x, y)
    assert chosen(browser) == "double_baking_detected.v0"
    near_at = place_of(browser, "--notable")
    browser.drag((x, 200), (x + 40, 200), (x + 80, 200))
    moved_at = place_of(browser, "--notable")
    assert moved_at[0] - near_at[0] == pytest.approx(80, abs=2)
    # Dragging chooses nothing.
    assert chosen(browser) == "double_baking_detected.v0"


def test_all_that_is_used_has_a_name_for_screen_readers(browser: Browser, eventful_page: Path) -> None:
    browser.open(eventful_page)
    focus(browser, "list")
    browser.press("Down")
    nodes = [node for node in browser.cdp("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    names: dict[str, list[str]] = {}
    for node in nodes:
        names.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("button", "searchbox", "listbox", "option", "application"):
        assert names[role]
        assert all(names[role]), role
    assert names["listbox"] == ["Entries in the order of time"]
    (option,) = [
        node
        for node in nodes
        if any(p["name"] == "selected" and p["value"]["value"] for p in node.get("properties", ()))
    ]
    assert option["name"]["value"].startswith("0.100 s node1 start")


def test_search_and_filter(browser: Browser, eventful_page: Path) -> None:
    browser.open(eventful_page)
    browser.press("/", *"double_baking")
    assert text_of(browser, "found") == f"3 of {ENTRIES}"
    assert shown(browser) == 3
    browser.press("Enter")
    assert chosen(browser) == "double_baking_detected.v0"
    browser.press("Escape")
    assert shown(browser) == ENTRIES
    heads = (
        "[...document.querySelectorAll('#kinds label')].find((one) => one.textContent.includes('set_head'))"
    )
    browser.run(f"{heads}.click()")
    assert shown(browser) == ENTRIES - 7
    browser.run("document.getElementById('none').click()")
    assert shown(browser) == 0
    assert place_of(browser, "--notable") is None
    browser.run("document.getElementById('all').click()")
    assert shown(browser) == ENTRIES
    # A hash in the details finds what else has it.
    focus(browser, "list")
    browser.press("Home", *["Down"] * 5)
    browser.run("document.querySelector('#details .hash').click()")
    assert 0 < shown(browser) < 5
    assert browser.complaints() == []


def test_light_and_dark(browser: Browser, eventful_page: Path) -> None:
    colors = []
    corner = "return [...document.getElementById('lanes').getContext('2d').getImageData(5, 40, 1, 1).data]"
    for dark in (False, True):
        browser.open(eventful_page, dark=dark)
        browser.painted()
        colors.append(browser.run(corner))
    assert sum(colors[0][:3]) > 600
    assert sum(colors[1][:3]) < 200
    browser.run("document.getElementById('theme').click()")
    browser.painted()
    assert browser.run(corner) == colors[0]


def test_a_hundred_thousand_entries_take_no_more_elements(browser: Browser, tmp_path: Path) -> None:
    browser.open(page_of(tmp_path / "many.jsonl", crowded(100_000)))
    browser.painted()
    assert shown(browser) == 100_000
    elements = "return document.getElementsByTagName('*').length"
    assert browser.run(elements) < 600
    assert place_of(browser, "--notable") is not None
    focus(browser, "list")
    browser.press("End")
    assert chosen(browser) == "exit"
    assert text_of(browser, "live").startswith("accuser1, 605.50 s, exit")
    browser.run(
        "document.getElementById('list').scrollTop = document.getElementById('list').scrollHeight / 2"
    )
    browser.painted()
    middle = browser.run("return Number(document.querySelector('#rows .row').getAttribute('aria-posinset'))")
    assert 49_000 < middle < 51_000
    browser.press("/", *"attestation_denounced")
    found = shown(browser)
    assert 0 < found < 100
    assert browser.run(elements) < 600
    assert browser.complaints() == []
