"""The named pipe that a daemon's event sink writes to. Only this module opens and closes its descriptors.

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
from pathlib import Path
from typing import Final

import attrs

from ..._errors import EventPipeError
from ..owner.guardian import guardian
from ..owner.reader import Reader
from ..paths import check_expressible

MODE: Final = 0o640
"""As upstream's harness makes it (``tezt/lib_tezos/daemon.ml``)."""


@attrs.define(eq=False, repr=False)
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
        """Close everything and remove the FIFO; outside our directory only if it is still ours."""
        self.release()
        self.reader.close()
        # Whatever has become of its folder meanwhile, the daemon has ended, and nothing is made of this.
        with contextlib.suppress(OSError):
            # In our own directory nobody else makes any.
            if not self._key or os.lstat(self.path).st_ino == self._inode:
                os.unlink(self.path)
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
