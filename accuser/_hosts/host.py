"""Where daemons run: what the library asks of a machine, and this machine's answers.

`SSHRunner` gives the answers of another machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import trio

from .owner.workspace import Workspace
from .toolchain import Toolchain
from .usage import Usage

if TYPE_CHECKING:
    from .._http.client import Connect  # h11 costs what many programs never use


class Process(Protocol):
    """A daemon that runs, with its process group."""

    @property
    def pid(self) -> int:
        """Its id, there."""

    @property
    def stdout(self) -> trio.abc.ReceiveStream:
        """Its standard output."""

    @property
    def stderr(self) -> trio.abc.ReceiveStream:
        """Its standard error."""

    async def wait_exited(self) -> None:
        """Wait until it has exited. Cancelling is harmless."""

    def send(self, signum: int) -> None:
        """Signal the whole group; nothing happens when it is gone."""

    def has_exited(self) -> bool:
        """Whether it has exited, as far as is known here."""

    async def usage(self) -> Usage | None:
        """What its group uses; None if it is gone. Raises `OSError` without a ``/proc``."""

    async def reap(self) -> int:
        """Collect an exited process: its status, or the negative number of a signal.

        Raises `RunnerError` if the connection was lost, so that nobody knows.
        """

    async def aclose(self) -> None:
        """Close everything of ours; what still runs is killed."""


class Pipe(Protocol):
    """The named pipe that a daemon writes its events to, and its reading end."""

    path: Path

    @property
    def reader(self) -> trio.abc.ReceiveStream:
        """What comes out of it."""

    def release(self) -> None:
        """Let the reader end when the last writer has gone."""

    async def aclose(self) -> None:
        """Close everything and remove the pipe, if it is still ours."""


class Host(Protocol):
    """A machine that daemons run on."""

    @property
    def listen_address(self) -> str:
        """What servers there bind to."""

    def workspace(self, name: str) -> Workspace:
        """A temporary directory there, for a daemon of this name."""

    def now(self) -> float:
        """The time that goes for programs there, in seconds since the epoch."""

    def reserve_port(self) -> int:
        """A port for a server there. Raises `NoFreePort`."""

    def connect_to(self, url: str) -> Connect | None:
        """What opens connections to a server there; None for TCP."""

    def absolute(self, path: str | Path) -> Path:
        """The path, made absolute."""

    def command(self, toolchain: Toolchain, binary: str) -> tuple[str, ...]:
        """How an executable of ``toolchain`` is called there. Raises `BinaryNotFound`."""

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

    async def make_pipe(self, path: Path, workspace: Workspace) -> Pipe:
        """Make a daemon's event pipe. Raises `EventPipeError`."""

    async def spawn(self, command: tuple[str, ...], environment: Mapping[str, str], pipe: Pipe) -> Process:
        """Start a daemon that writes to ``pipe``, with additions to the environment.

        Raises `SpawnFailed` and `BinaryNotFound`.
        """

    async def discard(self, workspace: Workspace) -> None:
        """Remove a temporary directory, unless it was kept."""
