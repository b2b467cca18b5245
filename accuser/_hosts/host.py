"""Where daemons run: what the library asks of a machine."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import attrs
import trio

from .usage import Usage

if TYPE_CHECKING:
    from .._http.client import Connect  # h11 costs what many programs never use

NO_PROCESS_FROM: Final = 2**22 + 1
"""Ids from here on no kernel gives: those of daemons in this process, so that nobody signals a stranger's."""


class Process(Protocol):
    """A daemon that runs, with its process group."""

    @property
    def pid(self) -> int: ...

    @property
    def stdout(self) -> trio.abc.ReceiveStream: ...

    @property
    def stderr(self) -> trio.abc.ReceiveStream: ...

    async def wait_exited(self) -> None:
        """Wait until it has exited. Cancelling is harmless."""

    def send(self, signum: int) -> None:
        """Signal the whole group; nothing happens when it is gone."""

    def has_exited(self) -> bool:
        """Whether it has exited, as far as is known here."""

    async def usage(self) -> Usage | None:
        """What its group uses; None if it is gone. Raises `OSError` without a ``/proc``."""

    async def reap(self) -> int:
        """Collect an exited process, for some seconds whether cancelled or not.

        Returns its status, or the negative number of a signal.

        Raises `RunnerError` if the connection was lost, so that nobody knows.
        """

    async def aclose(self) -> None:
        """Close everything of ours, cancelled or not, in a bounded time; what still runs is killed."""


class Pipe(Protocol):
    """The named pipe that a daemon writes its events to, and its reading end."""

    path: Path

    @property
    def reader(self) -> trio.abc.ReceiveStream: ...

    def release(self) -> None:
        """Let the reader end when the last writer has gone."""

    async def aclose(self) -> None:
        """Close everything, cancelled or not, in a bounded time, and remove the pipe, if it is still ours."""


_read: tuple[object, dict[str, str]] = (None, {})
"""The environment as it was read last: as the interpreter has it, and as text."""


def inherited() -> Mapping[str, str]:
    """The variables that this process has now, which programs inherit; not to be changed."""
    global _read
    # Each name and each value costs several calls of Python to read, and they seldom change. What the
    # interpreter keeps is private, so they are read each time where it is not there, or is somebody else's.
    kept, kind, usual = getattr(os.environ, "_data", None), type(os.environ), type(os.environb)
    if not (issubclass(usual, kind) and isinstance(kept, dict)):
        return dict(os.environ)
    if kept != _read[0]:
        now = kept.copy()
        _read = (now, {os.fsdecode(name): os.fsdecode(value) for name, value in now.items()})
    return _read[1]


@attrs.frozen
class Variables:
    """The environment of a daemon."""

    own: Mapping[str, str]
    """Those that it has beside those that programs have there."""
    here: Mapping[str, str]
    """Those that this process has."""

    def with_ours(self) -> dict[str, str]:
        """All of them, for a program that inherits ours."""
        return {**self.here, **self.own}


@attrs.frozen
class Running:
    """A daemon that was started, and the pipe that it writes its events to."""

    process: Process
    pipe: Pipe
    explain: Callable[[int], Awaitable[str | None]] | None = None
    """Says why it ended with a status, where the place knows more than the status does."""
    place: str | None = None
    """Where it runs, for recordings; None for this machine."""


async def running(pipe: Pipe, start: Awaitable[Process]) -> Running:
    """Start the process of a pipe; if that fails, close the pipe."""
    try:
        return Running(await start, pipe)
    except BaseException:
        await pipe.aclose()
        raise


class Workspace(Protocol):
    """The temporary directory of a daemon on a host."""

    @property
    def path(self) -> Path:
        """The directory, made when first asked for. Raises `DirectoryError`."""

    @property
    def made(self) -> Path | None:
        """The directory, if it was made."""

    @property
    def kept(self) -> bool:
        """Whether it is never to be removed."""

    def folder(self, name: str) -> Path: ...

    def keep(self) -> Path | None:
        """Never remove the directory; return it, or None if there is none."""

    def for_pipe(self) -> Workspace:
        """Where the event pipe goes: here, or elsewhere if the sink cannot take this path."""

    def when_kept(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` when it is to be kept, at once if it is already."""

    def remove(self) -> None:
        """Forget the directory, and remove it where that can be done from here."""


class Host(Protocol):
    """A machine that daemons run on."""

    @property
    def listen_address(self) -> str:
        """What servers there bind to."""

    @property
    def world(self) -> object:
        """What holds all that its programs can reach; None if that is the network."""

    def workspace(self, name: str) -> Workspace:
        """A temporary directory there, for a daemon of this name."""

    def now(self) -> float:
        """The time that goes for programs there, in seconds since the epoch."""

    def reserve_port(self) -> int:
        """A port for a server there. Raises `NoFreePort`."""

    def connect_to(self, url: str) -> Connect | None:
        """What opens connections to a server there; None for TCP."""

    def absolute(self, path: str | Path) -> Path: ...

    def find(self, binary: str, bin_dir: Path | None) -> tuple[str, ...]:
        """The words that start an executable there.

        Args:
            binary: its name.
            bin_dir: the folder that is searched first; None for the usual places alone.

        Raises `BinaryNotFound`.
        """

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Stay connected for the length of a block, which may be nested."""

    async def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, if it is not there. Raises `DirectoryError`."""

    async def exists(self, path: Path) -> bool:
        """Whether there is something at ``path``."""

    async def write_new(self, path: Path, text: str) -> None:
        """Write a file, unless it is there. Raises `DirectoryError`."""

    async def run(
        self,
        command: tuple[str, ...],
        *,
        name: str,
        color: str,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command to its end, as `run_command` does."""

    async def start(
        self, command: tuple[str, ...], environment: Variables, events: Path, workspace: Workspace
    ) -> Running:
        """Start a daemon, with additions to the environment, and its event pipe before it.

        Args:
            command: what is started, with its arguments.
            environment: its variables.
            events: path of the pipe; a URI in the environment tells the daemon.
            workspace: the daemon's directory, to be removed there if we are lost.

        Raises `EventPipeError`, `SpawnFailed` and `BinaryNotFound`; then nothing is left.
        """

    async def discard(self, workspace: Workspace) -> str | None:
        """Remove a temporary directory, unless it was kept; cancelled or not, in a bounded time.

        Returns why it may be left, if so.
        """
