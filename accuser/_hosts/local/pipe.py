"""The named pipe that a daemon's event sink writes to. Only this module touches its descriptors.

The reader opens first: a sink blocks in open(2) on a FIFO without a reader, and creates a
regular file where there is none. A write end of our own stays open until the daemon has exited,
so that the reader neither sees an end of file too early nor polls for a writer; closing it then
lets the reader get the tail and a true end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from pathlib import Path
from typing import Final

import attrs
import trio

from ..._errors import EventPipeError
from ..owner.guardian import guardian
from ..paths import READ_SIZE, check_expressible

DIRECT: Final = 0.001
"""Seconds in which reads go on without a checkpoint, so that others go on soon."""
MODE: Final = 0o640
"""As upstream's harness makes it (``tezt/lib_tezos/daemon.ml``)."""


@attrs.define(eq=False)
class Reader(trio.abc.ReceiveStream):
    """The read end of a FIFO.

    trio's own stream tries to read before it asks whether there is something. After nearly every
    event that is in vain, and felt in the latency of whoever waits for the event.
    """

    _fd: int
    _direct_until: float = attrs.field(default=0.0, init=False)
    """Until when, by `time.perf_counter`, reads may be made without asking whether there is something."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Give what is there, up to ``max_bytes`` (64 KiB); nothing at the end.

        After a large read others are made at once for a millisecond, without a checkpoint: a daemon that
        writes so fast has filled the pipe again, and a turn of the loop takes as long as a third of a read.
        """
        most = READ_SIZE if max_bytes is None else max_bytes
        while True:
            if not self._direct_until or time.perf_counter() > self._direct_until:
                await trio.lowlevel.wait_readable(self._fd)
                self._direct_until = time.perf_counter() + DIRECT
            elif self._fd < 0:
                raise trio.ClosedResourceError
            try:
                data = os.read(self._fd, most)
            except BlockingIOError:  # somebody else has read it, or there is no more
                self._direct_until = 0.0
                continue
            if len(data) < most // 2:
                self._direct_until = 0.0
            return data

    def close(self) -> None:
        """Close it; whoever reads gets `trio.ClosedResourceError`."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            trio.lowlevel.notify_closing(fd)
            os.close(fd)

    async def aclose(self) -> None:
        """As `close`, and a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class EventPipe:
    """A FIFO that this object made, with its two descriptors."""

    path: Path
    reader: Reader
    _keeper: int | None
    _inode: int
    _key: str

    @classmethod
    def make(cls, path: Path, within: Path | None = None) -> EventPipe:
        """Create the FIFO and open it.

        A FIFO that is there without a reader is what a killed run left, and is replaced. One in the directory
        ``within`` is not told to the guardian, who removes it with the directory.

        Raises:
            EventPipeError: the path is no FIFO, is in use, or cannot be made.
        """
        check_expressible(path)
        try:
            _remove_leftover(path)
            os.mkfifo(path, MODE)
        except OSError as error:
            raise EventPipeError(path, f"cannot be made: {error.strerror}") from error
        reader, key = None, ""
        try:
            if path.parent != within:
                key = guardian.add_path(path)
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            inode = os.fstat(reader).st_ino
            keeper = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if reader is not None:
                os.close(reader)
            path.unlink(missing_ok=True)
            if key:
                guardian.forget(key)
            raise EventPipeError(path, f"cannot be opened: {error.strerror}") from error
        return cls(path, Reader(reader), keeper, inode, key)

    def release(self) -> None:
        """Close our write end: the reader ends when the last other writer has gone."""
        if self._keeper is not None:
            os.close(self._keeper)
            self._keeper = None

    async def aclose(self) -> None:
        """Close everything and remove the FIFO, if it is still ours."""
        self.release()
        self.reader.close()
        # Whatever has become of its folder meanwhile, the daemon has ended, and nothing is made of this.
        with contextlib.suppress(OSError):
            if os.lstat(self.path).st_ino == self._inode:
                self.path.unlink()
        if self._key:
            guardian.forget(self._key)


def _remove_leftover(path: Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISFIFO(mode):
        raise EventPipeError(path, "there is something that is no named pipe; it is left alone")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        path.unlink()
    else:
        raise EventPipeError(path, "is in use: somebody reads from it")
