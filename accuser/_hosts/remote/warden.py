"""The warden of the directories elsewhere that no keeper holds: before, between and after sessions.

A script there, one for each runner that is connected. It removes what it holds when it loses us.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

import attrs
import trio

from ..._errors import RunnerError
from .script import Reports, script
from .transport import Shell, Transport, refusal

LEAVE: Final = 5.0
"""Seconds that a script there may take for its last answers: the end of a daemon does not wait longer."""


@attrs.define(eq=False, repr=False)
class Warden:
    """The warden of a runner; it is started when there is something to hold."""

    transport: Transport
    patience: float
    """Seconds of silence after which it ends there if it holds nothing."""
    _shell: Shell | None = attrs.field(default=None, init=False)
    _reports: Reports | None = attrs.field(default=None, init=False)
    _held: set[Path] = attrs.field(factory=set, init=False)
    _asking: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def hold(self, path: Path) -> None:
        """Have a directory removed if we are lost from now on. Raises `RunnerError`."""
        async with self._asking:
            if path in self._held and self._tell("ping"):
                return
            if not await self._is_told(path):
                await self._start()
                if not await self._is_told(path):
                    raise await self.transport.fault()

    async def hold_again(self, path: Path) -> bool:
        """The same, unless that takes long or cannot be; whether it could."""
        with trio.move_on_after(LEAVE), contextlib.suppress(RunnerError):
            await self.hold(path)
            return True
        return False

    def ping(self) -> None:
        """Have it stay, though it may hold nothing."""
        self._tell("ping")

    def drop(self, path: Path) -> None:
        """Have a directory left alone."""
        self._held.discard(path)
        self._tell(f"drop {path}")

    async def aclose(self) -> None:
        """Let it end, with everything left as it is."""
        self._tell("forget")
        if self._shell is not None:
            with trio.move_on_after(LEAVE):
                await self._shell.wait_exited()
        await self._close()

    async def _close(self) -> None:
        shell, self._shell, self._reports = self._shell, None, None
        self._held.clear()
        if shell is not None:
            await shell.aclose()

    async def _start(self) -> None:
        await self._close()
        token = secrets.token_hex(8)
        settings = {"token": token, "patience": round(self.patience)}
        shell = await self.transport.shell(script("warden", settings, {}, ()))
        try:
            reports = Reports(shell.stdout, token)
            if await reports.next() != "ready":
                raise await refusal(self.transport, shell, reports.rest.decode("utf-8", "replace"))
        except BaseException:
            await shell.aclose()
            raise
        self._shell, self._reports = shell, reports

    async def _is_told(self, path: Path) -> bool:
        """Tell it to hold a directory; False if it is not there any more."""
        if self._reports is None or not self._tell(f"hold {path}"):
            return False
        # An answer that nobody waited for comes first.
        while (report := await self._reports.next()) is not None:
            if report == f"held {path}":
                self._held.add(path)
                return True
        return False

    def _tell(self, words: str) -> bool:
        if self._shell is None:
            return False
        # Some bytes at a time: the pipe is full only if who reads it is dead.
        with contextlib.suppress(OSError, trio.ClosedResourceError):
            os.write(self._shell.stdin.fileno(), f"{words}\n".encode())
            return True
        return False
