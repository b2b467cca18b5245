"""Signals that were ignored when a command started stay ignored, as by nohup."""

from __future__ import annotations

import signal
from pathlib import Path

from accuser.testing import FaultyDaemon, event, ready
from tests.support.cli import typing


async def test_what_nohup_ignores_ends_nothing(tmp_path: Path) -> None:
    path = FaultyDaemon(ready(), event("first.v0")).write(tmp_path)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with typing(
            "run", "--accuser", str(path), "--endpoint", "http://127.0.0.1:9", "--verbose"
        ) as typed:
            await typed.until("first.v0")
            typed.process.send_signal(signal.SIGHUP)
            typed.process.send_signal(signal.SIGTERM)
            assert await typed.end() == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "stopped by SIGTERM" in typed.text
