"""Writing to a descriptor from trio without ever stopping the event loop.

The descriptors are pipes, terminals and files that other processes may share, so their mode is
left alone: a pipe is written in pieces that fit once it is writable.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from collections.abc import Callable
from typing import Final, Protocol

import attrs
import trio

PIECE: Final = 4096
"""Bytes per write: a pipe that polls writable takes at least ``PIPE_BUF``, so this never blocks."""


class Outlet(Protocol):
    """Where bytes go out."""

    async def write(self, data: bytes) -> None:
        """Write everything; waits while it cannot be taken. Raises ``OSError``."""

    def write_now(self, data: bytes) -> None:
        """Write everything, without the event loop. Raises ``OSError``."""

    def isatty(self) -> bool:
        """Whether people read along."""


class NamedPipe(Outlet, Protocol):
    """The writing end of a named pipe that exists in memory alone."""

    def close(self) -> None: ...


class Descriptor:
    """One descriptor for output. Never closes it."""

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self._lock = trio.Lock()
        self._waits = True

    async def write(self, data: bytes) -> None:
        """Write everything; waits while a pipe is full. Raises ``OSError`` as ``write(2)`` does."""
        async with self._lock:
            view = memoryview(data)
            while view:
                await self._writable()
                view = view[os.write(self.number, view[:PIECE]) :]

    def write_now(self, data: bytes) -> None:
        """Write everything, however long that takes. Raises ``OSError``."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.number, view) :]

    def isatty(self) -> bool:
        return os.isatty(self.number)

    async def _writable(self) -> None:
        if not self._waits:
            await trio.lowlevel.checkpoint()
            return
        try:
            await trio.lowlevel.wait_writable(self.number)
        except OSError:
            # epoll refuses regular files: they are always writable.
            self._waits = False


def no_pipe(path: str) -> NamedPipe | None:
    """None at all: every pipe is the file system's."""
    return None


@attrs.frozen
class Outlets:
    """The ways out of a program."""

    standard: Callable[[int], Outlet] = Descriptor
    """Standard output (1) and standard error (2)."""
    pipe: Callable[[str], NamedPipe | None] = no_pipe
    """The named pipe of that path, where it is one in memory; it is closed by whoever asked."""


async def opened(path: str, flags: int, mode: int) -> int:
    """Open a file to write. A FIFO that nobody reads makes this wait, and no other task.

    Raises ``OSError``.
    """
    try:
        fd = os.open(path, flags | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        fd = await _opened_when_read(path, flags)
    # Our own description of a pipe: no other process sees the mode.
    os.set_blocking(fd, not stat.S_ISFIFO(os.fstat(fd).st_mode))
    return fd


async def _opened_when_read(path: str, flags: int) -> int:
    lock, left, done = threading.Lock(), False, list[int]()

    def wait() -> int:
        fd = os.open(path, flags)
        with lock:
            if left:
                os.close(fd)
            else:
                done.append(fd)
        return fd

    try:
        return await trio.to_thread.run_sync(wait, abandon_on_cancel=True)
    except BaseException:
        # The thread waits on, for a reader of nobody's.
        with lock:
            left = True
            for fd in done:
                os.close(fd)
        raise


def say(number: int, text: str) -> None:
    """Write to a descriptor what goes in at once, and drop the rest: last words of a process."""
    view = memoryview(text.encode("utf-8", "surrogateescape"))
    try:
        while view:
            poll = select.poll()
            poll.register(number, select.POLLOUT)
            if not any(mask & select.POLLOUT for _, mask in poll.poll(0)):
                return
            view = view[os.write(number, view[:PIECE]) :]
    except OSError:
        return
