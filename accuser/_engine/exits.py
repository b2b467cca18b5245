"""Exits that are wanted: the one expectation that is about the process and not about what it writes."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import attrs

from .._errors import EventTimeout
from .explain import status_report
from .session import Session
from .waits import TimeLimit, terminated, timed_out

LABEL = "exit"


@attrs.define(eq=False)
class ExitExpectation:
    """The expectation that a daemon exits; see `Daemon.expect_exit`. Awaiting it again is harmless."""

    _session: Session
    _seconds: float | None
    _open: bool = attrs.field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        self._session.exits_expected += 1

    @property
    def value(self) -> int:
        """The exit status, once it has been awaited."""
        if not self._session.ended.is_set():
            raise RuntimeError("the expectation has not been awaited yet")
        if self._session.status is None:
            raise terminated(self._session, LABEL, "", None, status_report(self._session))
        return self._session.status

    def __await__(self) -> Generator[Any, Any, int]:
        return self._wait().__await__()

    async def __aenter__(self) -> ExitExpectation:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._wait()  # noqa: ASYNC102 - the wait that the caller asked for, no clean-up
        else:
            self._withdraw()

    async def _wait(self) -> int:
        begun, outcome = time.monotonic(), "cancelled"
        try:
            with TimeLimit(self._seconds, self._timed_out):
                await self._session.ended.wait()
            outcome = "terminated" if self._session.status is None else "satisfied"
        except EventTimeout:
            self._withdraw()
            outcome = "timed out"
            raise
        finally:
            self._session.recorder.wait(LABEL, None, begun, outcome)
        return self.value

    def _withdraw(self) -> None:
        # Once: another expectation may still hold.
        if self._open:
            self._open = False
            self._session.exits_expected -= 1

    def _timed_out(self, seconds: float) -> EventTimeout:
        return timed_out(self._session, LABEL, "", None, seconds, status_report(self._session))
