"""A command on a pseudo-terminal, as its only process."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from tests.support.cli import COMMAND, Typed

SIZE = {"COLUMNS": "100", "LINES": "40", "TERM": "xterm-256color"}

_OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal the one that Ctrl-C comes from, then becomes the command."""


class Screen(Typed):
    """What the command has written to its terminal, escape sequences and all."""

    def __init__(self, process: trio.Process, master: int) -> None:
        self._stream = trio.lowlevel.FdStream(master)
        super().__init__(process, self._stream)
        self._master = master

    def press(self, keys: bytes) -> None:
        """Type keys; ``\\x03`` is Ctrl-C."""
        os.write(self._master, keys)

    async def _read_some(self) -> bool:
        try:
            piece = await self._stream.receive_some()
        except trio.BrokenResourceError as error:
            # Linux says so when the last one who had the terminal is gone.
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO:
                return False
            raise
        self.text += piece.decode("utf-8", "replace")
        return bool(piece)

    async def aclose(self) -> None:
        """Close the terminal."""
        await self._stream.aclose()


@asynccontextmanager
async def on_a_terminal(*words: str, **environment: str) -> AsyncIterator[Screen]:
    """Start a command on a terminal of its own; at the end of the block it is stopped by SIGTERM."""
    master, slave = os.openpty()
    async with trio.open_nursery() as nursery:
        try:
            start = partial(
                trio.run_process,
                [sys.executable, "-c", _OWN_TERMINAL, *COMMAND, *words],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                check=False,
                start_new_session=True,
                env={**os.environ, **SIZE, **environment},
            )
            process: trio.Process = await nursery.start(start)
            screen = Screen(process, master)
        finally:
            os.close(slave)
        try:
            yield screen
        finally:
            if process.returncode is None:
                process.terminate()
            with trio.CancelScope(shield=True):
                try:
                    await screen.end()
                finally:
                    await screen.aclose()
