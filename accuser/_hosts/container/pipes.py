"""Shells that process 1 of a container starts, over named pipes in a folder that both sides have.

To ask the engine for one (``exec``) takes a tenth of a second; process 1 takes a thousandth.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

import attrs
import trio

from ..._files import writing
from ..owner.guardian import guardian
from ..owner.workspace import new_folder

NAMES: Final = ("in", "out", "err")


@attrs.define(eq=False, repr=False)
class PipeShell:
    """A shell there, by our ends of its pipes."""

    stdin: trio.lowlevel.FdStream
    stdout: trio.lowlevel.FdStream
    stderr: trio.lowlevel.FdStream

    async def wait_exited(self) -> None:
        """Wait until nobody there has its standard output any more."""
        with contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            while await self.stdout.receive_some():
                pass

    async def aclose(self) -> None:
        """Close our ends: the script there lives by its standard input. Takes no checkpoint."""
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()


@attrs.define(eq=False, repr=False)
class Pipes:
    """The three pipes of a shell that is about to be started."""

    folder: Path
    _key: str
    _ours: dict[str, int]
    _held: list[int]
    """The other ends, so that the readers see no end before there is a writer."""

    @classmethod
    def make(cls, place: Path) -> Pipes:
        """Make them in a folder of their own. Raises `DirectoryError`."""
        with writing(place):
            pipes = cls(*new_folder(place, "shell-"), {}, [])
        try:
            with writing(pipes.folder):
                pipes._open()
        except BaseException:
            pipes.close()
            raise
        return pipes

    def _open(self) -> None:
        # The user there is another one; who else could come here has no way into the parent folder.
        self.folder.chmod(0o755)
        for name in NAMES:
            path = self.folder / name
            os.mkfifo(path)
            path.chmod(0o666)
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self._held.append(reader)
            writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            if name == "in":
                self._ours[name] = writer
            else:
                self._held[-1] = writer
                self._ours[name] = reader

    def started(self) -> PipeShell:
        """Give our ends, now that the shell has its own."""
        streams = {name: trio.lowlevel.FdStream(fd) for name, fd in self._ours.items()}
        self._ours = {}
        self.close()
        return PipeShell(streams["in"], streams["out"], streams["err"])

    def close(self) -> None:
        """Close what is held, and remove the pipes."""
        for descriptor in (*self._held, *self._ours.values()):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._held, self._ours = [], {}
        shutil.rmtree(self.folder, ignore_errors=True)
        guardian.forget(self._key)
