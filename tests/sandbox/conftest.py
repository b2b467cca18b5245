"""Fixtures of the tests of the sandbox."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from accuser import Sandbox, open_sandbox


@pytest.fixture
async def sandbox() -> AsyncGenerator[Sandbox]:
    async with open_sandbox() as opened:
        yield opened
