"""The browser of the tests of pages: one, since to start it takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, open_browser


@pytest.fixture(scope="package")
def opened_browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def browser(opened_browser: Browser) -> Browser:
    """The browser, which has nothing to complain of yet."""
    opened_browser.complaints()
    return opened_browser
