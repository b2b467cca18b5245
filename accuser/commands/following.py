"""``accuser events --follow``: a file that goes on, or is replaced."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

import attrs
import trio

from .ending import until_stopped
from .event_files import Reader
from .showing import READ_SIZE, Show

LOOK: Final = 0.25
"""Seconds between two looks at a file that may have grown, which nothing in Python tells of."""


def follow_until_stopped(show: Show) -> None:
    """Show everything in the file, which need not be there yet, and what is added, until a signal."""
    until_stopped(_Following(show).run)


@attrs.define(eq=False, repr=False)
class _Following:
    _show: Show

    async def run(self) -> None:
        while True:
            try:
                descriptor = _open(self._show.path)
                break
            except FileNotFoundError:
                await trio.sleep(LOOK)
        try:
            await self._follow(descriptor)
        finally:
            os.close(descriptor)

    async def _follow(self, descriptor: int) -> None:
        """Show everything, and go on with what is added, until cancelled.

        A file that has become shorter is read again from its start; so is another one that has taken its
        place, after the rest of the old one.
        """
        show, position = self._show, 0
        while True:
            try:
                data = os.read(descriptor, READ_SIZE)
            except BlockingIOError:
                data = b""  # a pipe whose writer has nothing to say
            if data:
                position += len(data)
                show.write(show.reader.feed(data))
                await trio.lowlevel.checkpoint()
                continue
            opened = os.fstat(descriptor)
            if stat.S_ISREG(opened.st_mode) and opened.st_size < position:
                position, show.reader = os.lseek(descriptor, 0, os.SEEK_SET), Reader(show.path)
            elif self._was_replaced(opened):
                show.write(show.reader.finish())
                position, show.reader = 0, Reader(show.path)
                # One that cannot be read yet is looked at again.
                with contextlib.suppress(OSError):
                    following = _open(show.path)
                    os.dup2(following, descriptor, inheritable=False)
                    os.close(following)
            await trio.sleep(LOOK)

    def _was_replaced(self, opened: os.stat_result) -> bool:
        try:
            found = os.stat(self._show.path)
        except OSError:
            return False  # it was moved away, and the next one is not there yet
        if stat.S_ISDIR(found.st_mode):
            return False
        return (found.st_dev, found.st_ino) != (opened.st_dev, opened.st_ino)


def _open(path: Path) -> int:
    # Not to wait for the writer of a named pipe, which may never come.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
