"""Other machines, reached with the OpenSSH client.

Facts: ``tezt/lib/runner.ml`` of the Tezt framework, whose fields and addresses these are.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import shlex
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Self

import attrs

from ..._errors import CommandFailed, DirectoryError, RunnerError
from ..._files import safe_name
from ..._logs import log
from ..host import Running, Workspace, running
from ..owner.ports import reserve_port
from ..paths import check_expressible, is_expressible
from .connection import Connection
from .keeper import Keeper
from .process import RemoteProcess
from .script import run_there

if TYPE_CHECKING:
    from ..._http.client import Connect

LOOPBACK: Final = "127.0.0.1"
"""Deliberately no host name (``tezt/lib_tezos/constant.ml``)."""


@attrs.define(eq=False)
class RemoteWorkspace:
    """A temporary directory there: a name, until the runner makes it."""

    name: str
    root: PurePosixPath
    kept: bool = attrs.field(default=False, init=False)
    _path: Path | None = attrs.field(default=None, init=False)
    _tell: Callable[[], object] | None = attrs.field(default=None, init=False)
    """Tells the keeper of the last session, who removes the directory if we are lost."""

    @property
    def path(self) -> Path:
        """The directory, as in ``/tmp/accuser-accuser1-5f0c93aa``; no I/O."""
        if self._path is None:
            self._path = Path(self.root / f"accuser-{safe_name(self.name)}-{secrets.token_hex(4)}")
        return self._path

    @property
    def made(self) -> Path | None:
        """The directory, if anybody has asked for it."""
        return self._path

    def folder(self, name: str) -> Path:
        """A folder in it; no I/O."""
        return self.path / safe_name(name)

    def keep(self) -> Path | None:
        """Never remove the directory; return it, or None if nobody has asked for it."""
        self.kept = True
        if self._tell is not None:
            self._tell()
        return self._path

    def for_pipe(self) -> RemoteWorkspace:
        """Itself: ``temp_dir`` is a path that the sink can take."""
        return self

    def when_kept(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` when it is to be kept, at once if it is already."""
        self._tell = tell
        if self.kept:
            tell()

    def remove(self) -> None:
        """Forget the directory, unless it was kept; the runner has removed it."""
        if not self.kept:
            self._path = None


@attrs.define(eq=False)
class SSHRunner:
    """Another machine for daemons to run on; it needs OpenSSH's server and a POSIX shell.

    Creating a runner opens nothing. The first daemon on it opens one connection, which all
    share, and which closes with the last; ``async with runner:`` holds it open. Host keys,
    jump hosts and everything else are as the user's configuration of ``ssh`` says; no password is
    ever asked for.

    What was started there stops by itself when its owner, or the connection, is gone: at once
    if the connection is closed, within ``lost_after`` seconds if it falls silent; then the daemon
    gets SIGTERM and, 10 s later, SIGKILL, and its temporary files are removed.
    """

    address: str
    """Name or IP address, for ``ssh`` and for whoever talks to servers there."""
    alias: str | None = attrs.field(default=None, kw_only=True)
    """What ``ssh`` is to call in place of the address: a ``Host`` of its configuration."""
    user: str | None = attrs.field(default=None, kw_only=True)
    """User to log in as."""
    port: int | None = attrs.field(default=None, kw_only=True)
    """Port of the SSH server."""
    identity: str | Path | None = attrs.field(default=None, kw_only=True)
    """File of the private key."""
    config: str | Path | None = attrs.field(default=None, kw_only=True)
    """Configuration file of ``ssh``, in place of the user's and the system's."""
    connect_timeout: float = attrs.field(default=10.0, kw_only=True, validator=attrs.validators.gt(0))
    """Seconds that the connection may take to be made, and again to log in."""
    lost_after: float = attrs.field(default=15.0, kw_only=True, validator=attrs.validators.ge(5))
    """Seconds of silence after which the connection counts as lost, here and there; at least 5."""
    temp_dir: str | PurePosixPath = attrs.field(default="/tmp", kw_only=True)
    """Where temporary directories are made there: absolute, of ``A-Za-z0-9._/+-``, for the sink's sake."""
    local_address: str = attrs.field(default=LOOPBACK, kw_only=True)
    """Under which address daemons there reach this machine."""
    _connection: Connection = attrs.field(init=False)
    _holding: list[AbstractAsyncContextManager[None]] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        destination = self.alias or self.address
        if not destination or destination.startswith("-"):
            raise ValueError(f"{destination!r} is no name of a host")
        if not (PurePosixPath(self.temp_dir).is_absolute() and is_expressible(Path(self.temp_dir))):
            raise ValueError(f"temp_dir must be absolute, of A-Za-z0-9._/+-, and is {str(self.temp_dir)!r}")
        words = [
            *(() if self.config is None else ("-F", str(self.config))),
            destination,
            *(() if self.user is None else ("-l", self.user)),
            *(() if self.port is None else ("-p", str(self.port))),
            *(() if self.identity is None else ("-i", str(self.identity))),
        ]
        alive = max(1, int(self.lost_after / 3))
        self._connection = Connection(destination, tuple(words), self.connect_timeout, alive)

    def __str__(self) -> str:
        return self.alias or self.address

    async def __aenter__(self) -> Self:
        held = self.connected()
        await held.__aenter__()
        self._holding.append(held)
        return self

    async def __aexit__(self, *_: object) -> None:
        # Any of them: they only count.
        await self._holding.pop().__aexit__(None, None, None)  # noqa: ASYNC102 - shielded there

    # As `_host.Host` wants it.

    @property
    def listen_address(self) -> str:
        """Everywhere: who talks to servers there is on another machine."""
        return "0.0.0.0"

    def workspace(self, name: str) -> Workspace:
        """A directory in ``temp_dir``."""
        return RemoteWorkspace(name, PurePosixPath(self.temp_dir))

    def now(self) -> float:
        """By the clock here, which the one there is taken to agree with."""
        return time.time()

    def reserve_port(self) -> int:
        """One that is free here, as upstream's harness does."""
        return reserve_port()

    def connect_to(self, url: str) -> Connect | None:
        """None: URLs of servers there are reached by TCP."""
        return None

    def absolute(self, path: str | Path) -> Path:
        """The path. Raises ValueError if it is relative: to what?"""
        if not PurePosixPath(path).is_absolute():
            raise ValueError(f"{path} is relative; a path on {self} must be absolute")
        return Path(path)

    def find(self, binary: str, bin_dir: Path | None) -> tuple[str, ...]:
        """The executable, by its path if there is a folder, else from the PATH there."""
        return (binary if bin_dir is None else str(bin_dir / binary),)

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Stay connected for the length of a block. Raises `RunnerError`."""
        return self._connection.opened()

    async def make_folder(self, path: Path) -> None:
        """Make a folder on the remote machine. Raises `RunnerError`."""
        await self._write('mkdir -p -- "$1"', path)

    async def exists(self, path: Path) -> bool:
        """Whether there is something at ``path`` on the remote machine. Raises `RunnerError`."""
        found = await run_there(self._connection, ("sh", "-c", 'test -e "$1"; echo $?', "sh", str(path)), {})
        return found.strip() == "0"

    async def write_new(self, path: Path, text: str) -> None:
        """Write a file on the remote machine, unless it is there. Raises `RunnerError`."""
        await self._write('test -e "$1" || printf %s "$2" >"$1"', path, text)

    async def run(
        self,
        command: tuple[str, ...],
        *,
        name: str,
        color: str,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command there, and return its output. Raises `CommandFailed`, `RunnerError`."""
        log(logging.DEBUG, name, color, shlex.join(command), bold=True)
        output = await run_there(self._connection, command, environment or {})
        for line in output.splitlines():
            log(logging.DEBUG, name, color, line)
        return output

    async def start(
        self, command: tuple[str, ...], environment: Mapping[str, str], events: Path, workspace: Workspace
    ) -> Running:
        """Start the daemon there, and before it a keeper with its pipe."""
        check_expressible(events)
        doomed = None if workspace.kept else workspace.made
        folder = Path(self.temp_dir) / f"accuser-pipe-{secrets.token_hex(4)}"
        pipe = await Keeper.make(self._connection, events, folder, doomed, self.lost_after)
        workspace.when_kept(lambda: pipe.tell("keep"))
        return await running(pipe, RemoteProcess.start(pipe, command, environment, self.lost_after / 3))

    async def discard(self, workspace: Workspace) -> None:
        """Remove the directory there; without a connection it is removed by the keeper's end."""
        if workspace.made and not workspace.kept:
            with contextlib.suppress(RunnerError, CommandFailed):
                await run_there(self._connection, ("rm", "-rf", "--", str(workspace.path)), {})
            workspace.remove()

    async def _write(self, line: str, path: Path, *more: str) -> None:
        try:
            # What is written may be secret keys, and makes the temporary directory on the way.
            line = f"umask 077; {line}"
            await run_there(self._connection, ("sh", "-c", line, "sh", str(path), *more), {})
        except CommandFailed as error:
            raise DirectoryError(path, error.stderr.strip(), str(self)) from None


def address_from(here: SSHRunner | None, there: SSHRunner | None) -> str:
    """The address of the machine ``there`` for who is ``here``; None is this machine."""
    if there is None:
        return LOOPBACK if here is None else here.local_address
    return LOOPBACK if here is not None and here.address == there.address else there.address
