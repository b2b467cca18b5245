"""The command line, as a user types it: commands that end by themselves, and such that go on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

COMMAND = (sys.executable, "-m", "accuser")


async def accuser(*words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Binaries that are installed here have no say."""
    done = await trio.run_process(
        [*COMMAND, *words],
        stdin=stdin,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env={**os.environ, "MAVKIT_BIN_DIR": "", **environment},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@attrs.define(eq=False)
class Typed:
    """A command that goes on, and what it has written to standard output and standard error."""

    process: trio.Process
    text: str = ""
    _looked: int = 0

    async def until(self, *texts: str) -> str:
        """Read on until each of the texts has come, in this order; return what follows the last on its line.

        What was returned before is not looked at again. Raises `AssertionError` when the output ends.
        """
        for text in texts:
            while (found := self.text.find(text, self._looked)) < 0:
                await self._read()
            self._looked = found + len(text)
        while "\n" not in self.text[self._looked :]:
            await self._read()
        return self.text[self._looked :].partition("\n")[0]

    async def end(self) -> int:
        """Read to the end; return the exit status."""
        assert self.process.stdout is not None
        async for piece in self.process.stdout:
            self.text += piece.decode()
        return await self.process.wait()

    async def aclose(self) -> None:
        """Close what was read from."""
        assert self.process.stdout is not None
        await self.process.stdout.aclose()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        piece = await self.process.stdout.receive_some()
        assert piece, f"the output ended: {self.text}"
        self.text += piece.decode()


@asynccontextmanager
async def typing(*words: str, **environment: str) -> AsyncIterator[Typed]:
    """Start a command that goes on until it is stopped; SIGTERM stops it at the latest here."""
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            [*COMMAND, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            process_group=0,
            env={**os.environ, **environment},
        )
        typed = Typed(await nursery.start(start))
        try:
            yield typed
        finally:
            if typed.process.returncode is None:
                typed.process.terminate()
            # Bounded by the grace that the command gives its daemons.
            with trio.CancelScope(shield=True):
                await typed.end()
                await typed.aclose()
