"""What reads the pipes that a daemon writes to: its events, and what it prints."""

from __future__ import annotations

import os
import time
from typing import Final

import attrs
import trio

from ..paths import READ_SIZE

DIRECT: Final = 0.001
"""Seconds in which reads go on without a checkpoint, so that others go on soon."""


@attrs.define(eq=False, repr=False)
class Reader(trio.abc.ReceiveStream):
    """The read end of a pipe, which this object closes.

    trio's own stream tries to read before it asks whether there is something. After nearly every
    event that is in vain, and felt in the latency of whoever waits for the event.
    """

    _fd: int = attrs.field()
    """It does not block."""
    _direct_until: float = attrs.field(default=0.0, init=False)
    """Until when, by `time.perf_counter`, reads may be made without asking whether there is something."""
    _ended: bool = attrs.field(default=False, init=False)
    """Whether nobody waits, since the last read was of the end."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Give what is there, up to ``max_bytes`` (64 KiB); nothing at the end.

        After a large read others are made at once for a millisecond, without a checkpoint: a daemon that
        writes so fast has filled the pipe again, and a turn of the loop takes as long as a third of a read.
        """
        most = READ_SIZE if max_bytes is None else max_bytes
        while self._fd >= 0:
            direct = bool(self._direct_until) and time.perf_counter() <= self._direct_until
            if not direct:
                self._ended = False
                await trio.lowlevel.wait_readable(self._fd)
                if self._fd < 0:
                    break  # by another task, after there was something
            try:
                data = os.read(self._fd, most)
            except BlockingIOError:  # somebody else has read it, or there is no more
                self._direct_until = 0.0
                continue
            if len(data) < most // 2:
                self._direct_until = 0.0
                self._ended = not data
            elif not direct:
                self._direct_until = time.perf_counter() + DIRECT
            return data
        raise trio.ClosedResourceError

    def close(self) -> None:
        """Close it; whoever reads gets `trio.ClosedResourceError`."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            # To look for who waits costs more than to close it, and at its end nobody does.
            if not self._ended:
                trio.lowlevel.notify_closing(fd)
            os.close(fd)

    async def aclose(self) -> None:
        """As `close`, and a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()
