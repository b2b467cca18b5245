"""The keeper of a daemon elsewhere: a script there that stays, whatever the daemon does.

It makes the event pipe, copies it to us, passes signals on, and stops the daemon when it loses us.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import attrs
import trio

from ..._errors import DirectoryError, EventPipeError, RunnerError
from ..._report import RunnerFault
from .script import Remainder, Reports, script
from .transport import Shell, Transport, refusal
from .warden import LEAVE, Warden

GRACE: Final = 10
"""Seconds between SIGTERM and SIGKILL for a daemon that lost its owner."""


@attrs.define(eq=False, repr=False)
class Keeper:
    """The keeper of a daemon there, which holds its event pipe."""

    path: Path
    folder: Path
    transport: Transport
    reports: Reports
    reader: trio.abc.ReceiveStream
    """The events, which the keeper copies to its standard error."""
    _shell: Shell
    before_leaving: Callable[[], Awaitable[object]] | None = attrs.field(default=None, init=False)
    """Has somebody else hold the temporary directory, as long as the connection stands."""
    beside: Warden | None = attrs.field(default=None, init=False)
    """Who is to hold it then."""

    @classmethod
    async def make(
        cls, transport: Transport, path: Path, folder: Path, workspace: Path | None, patience: float
    ) -> Keeper:
        """Start a keeper, which makes the pipe.

        Args:
            transport: the way there.
            path: of the pipe.
            folder: for what the keeper needs; it makes and removes it.
            workspace: what else to remove if the owner is lost.
            patience: seconds of silence that mean the loss of the owner.

        Raises:
            EventPipeError, DirectoryError: it could not be made.
            RunnerError: the way there, or the shell, fails.
        """
        token = secrets.token_hex(8)
        settings = {
            "token": token,
            "folder": folder,
            "pipe": path,
            "workspace": workspace or "",
            "grace": GRACE,
            "patience": round(patience),
        }
        shell = await transport.shell(script("keeper", settings, {}, ()))
        try:
            reports = Reports(shell.stdout, token)
            await _ready(reports, transport, shell, path, folder)
            # What a login shell may print, as a warning about its locale, is no event.
            events = Reports(shell.stderr, token)
            if await events.next() is None:
                raise await transport.fault()
        except BaseException:
            await shell.aclose()
            raise
        return cls(path, folder, transport, reports, Remainder(events.rest, shell.stderr), shell)

    def ping(self) -> None:
        """Ask for an answer; silence would be taken for our loss."""
        self.tell("ping")
        if self.beside is not None:
            self.beside.ping()

    def tell(self, *words: str) -> None:
        """Tell the keeper something; it may be gone."""
        # Some bytes at a time: the pipe is full only if who reads it is dead.
        with contextlib.suppress(OSError, trio.ClosedResourceError):
            os.write(self._shell.stdin.fileno(), f"{' '.join(words)}\n".encode())

    def release(self) -> None:
        """Let the keeper end with the last of the other writers."""
        self.tell("release")

    async def aclose(self) -> None:
        """Let the keeper remove the pipe, for a while, and close everything here; cancelled or not."""
        with trio.CancelScope(shield=True):
            if self.before_leaving is not None and self.transport.alive:
                await self.before_leaving()
            self.tell("forget")
            if self.transport.answers:
                with trio.move_on_after(LEAVE):
                    await self._shell.wait_exited()
            await self._shell.aclose()


async def _ready(reports: Reports, transport: Transport, shell: Shell, path: Path, folder: Path) -> None:
    match ((await reports.next()) or "").split(" ", 2):
        case ["ready"]:
            return
        case ["failed", "pipe", detail]:
            raise EventPipeError(path, f"cannot be made on {transport.label}: {detail}")
        case ["failed", "folder", detail]:
            raise DirectoryError(folder, detail, transport.label)
        case ["failed", *_]:
            raise RunnerError(transport.label, RunnerFault.UNUSABLE, "no process group for each session")
        case _:
            raise await refusal(transport, shell, reports.rest.decode("utf-8", "replace"))
