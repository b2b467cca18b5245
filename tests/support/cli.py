"""The command line, as a user types it: commands that end by themselves, and such that go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import attrs
import trio

from accuser._hosts.owner.child import Child

from .forked import COMMAND_LINE, ended, started

COMMAND: Final = (sys.executable, "-m", "accuser")
LIMIT: Final = 120.0
"""Seconds in which what a test waits for comes, on the busiest machine; else it would hang for ever."""


async def accuser(*words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Binaries that are installed here have no say."""
    async with _command(words, {"MAVKIT_BIN_DIR": "", **environment}) as child:
        return subprocess.CompletedProcess(words, *await ended(child, stdin))


class Process(Protocol):
    """What `Typed` needs of a process."""

    def send_signal(self, sig: signal.Signals, /) -> None: ...
    async def wait(self) -> int: ...


@attrs.define(eq=False)
class Typed:
    """A command that goes on, and what it has written to standard output and standard error."""

    process: Process
    _output: trio.abc.ReceiveStream
    text: str = ""
    _looked: int = 0

    async def until(self, *texts: str) -> str:
        """Read on until each of the texts has come, in this order; return what follows the last on its line.

        What was returned before is not looked at again. Raises `AssertionError` when the output ends.
        """
        with trio.fail_after(LIMIT):
            for text in texts:
                while (found := self.text.find(text, self._looked)) < 0:
                    await self._read()
                self._looked = found + len(text)
            while "\n" not in self.text[self._looked :]:
                await self._read()
        return self.text[self._looked :].partition("\n")[0]

    async def end(self) -> int:
        """Read to the end; return the exit status."""
        with trio.fail_after(LIMIT):
            while await self._read_some():
                pass
            return await self.process.wait()

    async def _read(self) -> None:
        assert await self._read_some(), f"the output ended: {self.text}"

    async def _read_some(self) -> bool:
        piece = await self._output.receive_some()
        self.text += piece.decode()
        return bool(piece)


@asynccontextmanager
async def typing(*words: str, **environment: str) -> AsyncIterator[Typed]:
    """Start a command that goes on until it is stopped; SIGTERM stops it at the latest here."""
    async with _command(words, environment, both_streams=True) as child:
        typed = Typed(_Started(child), child.stdout)
        try:
            yield typed
        finally:
            typed.process.send_signal(signal.SIGTERM)
            with trio.CancelScope(shield=True):
                try:
                    await typed.end()
                except trio.TooSlowError:
                    # Its guardian stops what it leaves.
                    typed.process.send_signal(signal.SIGKILL)
                    await typed.end()
                    raise


@attrs.define(eq=False)
class _Started:
    """A command that was started here."""

    _child: Child
    _status: int | None = None

    def send_signal(self, sig: signal.Signals, /) -> None:
        if self._status is None:
            os.kill(self._child.pid, sig)

    async def wait(self) -> int:
        if self._status is None:
            self._status = await self._child.reap()
        return self._status


def _command(
    words: tuple[str, ...], environment: Mapping[str, str], *, both_streams: bool = False
) -> AbstractAsyncContextManager[Child]:
    forked = (COMMAND_LINE, "accuser", *words)
    return started((*COMMAND, *words), forked, {**os.environ, **environment}, both_streams=both_streams)
