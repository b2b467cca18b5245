"""The page of a failed test, in a browser: where it opens, and what a stranger finds on it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.support.browser import MISSING, Browser, usable
from tests.support.recordings import Entry, crowded, event, of, start
from tests.timeline.test_timeline_page import chosen, focus, page_of, place_of, shown, text_of

pytestmark = pytest.mark.skipif(not usable(), reason=MISSING)

FIRST: Final = 20.0
"""When the first daemon starts; before it nothing was to be seen."""
SIZES: Final = [(1280, False), (1280, True), (400, False), (400, True)]


def deed(begun: float, t: float, kind: str, **fields: object) -> Entry:
    return {"t": t, "begun": begun, "type": kind, **fields}


def failed() -> list[Entry]:
    """A test whose command fails, among many events."""
    command = ["mavkit-client", "--endpoint", "http://127.0.0.1:1", "bake", "for", "bootstrap9"]
    stderr = "Error:\n  no public key hash alias named bootstrap9\n"
    burst = [event(22 + n / 1e5, "node1", "node.store", f"e{n % 3}.v0", {"n": n}) for n in range(40)]
    return [
        start(FIRST, "node1"),
        of(FIRST + 0.5, "node1", "ready"),
        *burst,
        deed(0.0, 22.5, "phase", what="setup", outcome="passed"),
        deed(22.6, 22.6, "step", what="bake a block", outcome="noted"),
        deed(
            22.7,
            22.8,
            "rpc",
            method="GET",
            url="http://127.0.0.1:1/version",
            body=None,
            status=200,
            answer="{}",
        ),
        deed(23.0, 24.0, "command", name="client1", command=command, status=1, stdout="", stderr=stderr),
        deed(22.6, 24.0, "step", what="bake a block", outcome="failed"),
        deed(
            24.0,
            24.0,
            "failure",
            error="CommandFailed",
            message=f"it failed\n{stderr}",
            place=["test_x.py:7 in test_x"],
        ),
        deed(22.5, 24.0, "phase", what="call", outcome="failed"),
        of(25, "node1", "exit", status=127),
    ]


def seen(browser: Browser, element: str) -> bool:
    """Whether all of an element is within the window."""
    inside: bool = browser.run(
        "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight"
        " && box.width > 0",
        element,
    )
    return inside


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_a_stranger_finds_the_failed_command(
    browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    browser.open(page_of(tmp_path / "run.jsonl", failed()), size=(width, 800), dark=dark)
    # It opens at the failure, which is in sight in the list, not at its edge, once the list is drawn.
    browser.painted()
    assert chosen(browser) == "failure"
    assert seen(browser, "#rows [aria-selected=true]")
    assert "CommandFailed" in text_of(browser, "details")
    assert "test_x.py:7 in test_x" in text_of(browser, "details")
    assert place_of(browser, "--bad") is not None
    focus(browser, "list")
    browser.press("Up", "Up")
    assert chosen(browser) == "command: failed"
    details = text_of(browser, "details")
    for said in (
        "mavkit-client bake for bootstrap9",
        "no public key hash alias named bootstrap9",
        "24.000000 s",
        "1.000 s",
    ):
        assert said in details
    # Nothing is wider than the screen.
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.complaints() == []


def test_time_before_the_first_entry_is_cut_away(browser: Browser, tmp_path: Path) -> None:
    browser.open(page_of(tmp_path / "run.jsonl", failed()))
    x, _ = place_of(browser, "--accent")  # the mark of the start
    assert x < 400


def test_the_selected_entry_stays_in_the_middle(browser: Browser, tmp_path: Path) -> None:
    browser.open(page_of(tmp_path / "many.jsonl", crowded(2_000)))
    focus(browser, "list")
    browser.press("Down", *["Down"] * 60)
    offset = browser.run(
        "const list = document.getElementById('list').getBoundingClientRect();"
        "const row = document.querySelector('#rows [aria-selected=true]').getBoundingClientRect();"
        "return (row.top + row.bottom - list.top - list.bottom) / 2"
    )
    assert abs(offset) < 30


def test_search_and_selection_agree(browser: Browser, tmp_path: Path) -> None:
    browser.open(page_of(tmp_path / "run.jsonl", failed()))
    browser.press("/", *"version")
    assert shown(browser) == 1
    assert chosen(browser) == "rpc"
    assert "/version" in text_of(browser, "details")
    browser.press("Escape")
    assert chosen(browser) == "rpc"


def test_hints_about_keys_are_for_whoever_has_keys(browser: Browser, tmp_path: Path) -> None:
    page = page_of(tmp_path / "run.jsonl", failed())
    hidden = "return getComputedStyle(document.querySelector('.hints')).display === 'none'"
    browser.open(page)
    assert not browser.run(hidden)
    browser.open(page, size=(400, 800))
    assert browser.run(hidden)


def test_a_burst_shows_its_number(browser: Browser, tmp_path: Path) -> None:
    browser.open(page_of(tmp_path / "run.jsonl", failed()))
    # What is written on a canvas is seen where it is written.
    browser.painted()
    written = browser.run(
        "const written = [], proto = CanvasRenderingContext2D.prototype, fill = proto.fillText;"
        "proto.fillText = function (text, ...rest) { written.push(text); fill.call(this, text, ...rest); };"
        "window.dispatchEvent(new Event('resize'));"
        "proto.fillText = fill; return written"
    )
    assert "\u00d740" in written
    assert "failure" in written


@pytest.mark.parametrize("width", [1280, 400])
def test_what_it_failed_with_is_on_the_first_screen(browser: Browser, tmp_path: Path, width: int) -> None:
    browser.open(page_of(tmp_path / "run.jsonl", failed()), size=(width, 800))
    assert seen(browser, "#failed")
    assert (
        text_of(browser, "failed")
        == "CommandFailed: it failed Error: no public key hash alias named bootstrap9"
    )
    # From elsewhere it leads back, also where the failure is not among what is shown.
    browser.press("/", *"version")
    browser.run("document.getElementById('none').click()")
    assert shown(browser) == 0
    browser.run("document.getElementById('failed').click()")
    assert chosen(browser) == "failure"
    assert shown(browser) == 1
    assert browser.complaints() == []


def test_what_passed_says_nothing_of_a_failure(browser: Browser, tmp_path: Path) -> None:
    browser.open(page_of(tmp_path / "run.jsonl", [start(FIRST, "node1")]))
    assert not seen(browser, "#failed")


def test_actions_are_right_below_the_marks_of_the_test(browser: Browser, tmp_path: Path) -> None:
    of_the_test = [entry for entry in failed() if "daemon" not in entry]
    browser.open(page_of(tmp_path / "run.jsonl", of_the_test))
    _, top = place_of(browser, "--bad")  # the line through the lanes
    x, action = place_of(browser, "--good")  # the request, in the third row
    # No room is kept for blocks, events and output.
    assert action - top < 80
    browser.click(x + 1, action)
    assert chosen(browser) == "rpc"
