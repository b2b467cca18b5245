"""A daemon that is a task, and its event pipe in memory, as a session wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

from ..usage import Usage

if TYPE_CHECKING:
    # They are imported by whoever opens a sandbox in this process.
    from ...sandbox.surroundings import memory, task


@attrs.define(eq=False, repr=False)
class MemoryPipe:
    """An event pipe in memory."""

    path: Path
    pipe: memory.Pipe
    reader: memory.Reader
    _forget: Callable[[], object]

    def release(self) -> None:
        """Let the reader come to the end."""
        self.pipe.close_writing()

    async def aclose(self) -> None:
        """Close it; its path is free again."""
        self._forget()
        await self.reader.aclose()


@attrs.define(eq=False, repr=False)
class RunningTask:
    """A daemon that is a task, as a session wants it."""

    task: task.ProgramTask

    @property
    def pid(self) -> int:
        """A number that is no process's."""
        return self.task.pid

    @property
    def stdout(self) -> trio.abc.ReceiveStream:
        return self.task.stdout

    @property
    def stderr(self) -> trio.abc.ReceiveStream:
        return self.task.stderr

    async def wait_exited(self) -> None:
        await self.task.wait_exited()

    def send(self, signum: int) -> None:
        """Do what the signal would do to a process."""
        self.task.send(signum)

    def has_exited(self) -> bool:
        return self.task.has_exited()

    async def usage(self) -> Usage | None:
        """Unknown. Raises `OSError`."""
        await trio.lowlevel.checkpoint()
        raise OSError("it is a task of this process, and has no processor time or memory of its own")

    async def reap(self) -> int:
        await trio.lowlevel.cancel_shielded_checkpoint()
        assert self.task.status is not None
        return self.task.status

    async def aclose(self) -> None:
        """End it, if it still runs, which it does as soon as it is told to."""
        self.task.kill()
        with trio.CancelScope(shield=True):
            await self.task.wait_exited()
        self.task.stdout.close()
        self.task.stderr.close()
