"""What every place behind a `Transport` has in common, as a host of daemons."""

from __future__ import annotations

import logging
import secrets
import time
import weakref
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

import attrs
import trio

from ..._errors import CommandFailed, DirectoryError, RunnerError
from ..._logs import log, log_command
from ..host import Running, Variables, Workspace, running
from ..owner.ports import reserve_port
from ..paths import check_expressible, is_expressible
from .keeper import Keeper
from .process import RemoteProcess
from .script import run_there
from .transport import LOOPBACK, Transport
from .warden import LEAVE, Warden
from .workspace import RemoteWorkspace

if TYPE_CHECKING:
    from ..._http.client import Connect


@attrs.define(eq=False, kw_only=True)
class Runner:
    """A place for daemons behind a shell: `SSHRunner`, `ContainerRunner`, or a `TransportRunner` of your own.

    What was started there stops by itself when its owner, or the way to it, is gone: at once if that is
    closed, within ``lost_after`` seconds if it falls silent; then the daemon gets SIGTERM and, 10 s later,
    SIGKILL, and its temporary files are removed.
    """

    lost_after: float = attrs.field(default=15.0, kw_only=True, validator=attrs.validators.ge(5))
    """Seconds of silence after which the connection counts as lost, here and there; at least 5."""
    temp_dir: str | PurePosixPath = attrs.field(default="/tmp", kw_only=True)
    """Where temporary directories are made there: absolute, of ``A-Za-z0-9._/+-``, for the sink's sake."""
    local_address: str = attrs.field(default=LOOPBACK, kw_only=True)
    """Under which address daemons there reach this machine."""
    transport: Transport = attrs.field(init=False)
    """The way there."""
    _holding: list[AbstractAsyncContextManager[None]] = attrs.field(factory=list, init=False)
    _connected: int = attrs.field(default=0, init=False)
    _warden: Warden | None = attrs.field(default=None, init=False)
    _workspaces: weakref.WeakSet[RemoteWorkspace] = attrs.field(factory=weakref.WeakSet, init=False)

    def check_folder(self) -> None:
        """Raise `ValueError` for a ``temp_dir`` that is not absolute, or that the sink cannot take."""
        if not (PurePosixPath(self.temp_dir).is_absolute() and is_expressible(Path(self.temp_dir))):
            raise ValueError(f"temp_dir must be absolute, of A-Za-z0-9._/+-, and is {str(self.temp_dir)!r}")

    def __str__(self) -> str:
        return self.transport.label

    def address_for(self, other: Runner | None) -> str:
        """The address under which another place reaches servers of this one; None is this machine."""
        theirs = self.transport.address
        return LOOPBACK if other is not None and other.address_for(None) == theirs else theirs

    async def __aenter__(self) -> Self:
        held = self.connected()
        await held.__aenter__()
        self._holding.append(held)
        return self

    async def __aexit__(self, *_: object) -> None:
        # Any of them: they only count.
        await self._holding.pop().__aexit__(None, None, None)  # noqa: ASYNC102 - shielded there

    # As `host.Host` wants it.

    @property
    def listen_address(self) -> str:
        """Everywhere, as a rule: who talks to servers there is elsewhere."""
        return self.transport.listen_address

    @property
    def has_files_here(self) -> bool:
        """Whether what is in directories of daemons there can be read and written here."""
        return False

    @property
    def world(self) -> None:
        """None: the network."""
        return None

    def workspace(self, name: str) -> Workspace:
        """A directory in ``temp_dir``."""
        workspace = RemoteWorkspace(name, PurePosixPath(self.temp_dir))
        self._workspaces.add(workspace)
        return workspace

    def now(self) -> float:
        """By the clock here, which the one there is taken to agree with."""
        return time.time()

    def reserve_port(self) -> int:
        """One that is free here, as upstream's harness does."""
        return reserve_port()

    def connect_to(self, url: str) -> Connect | None:
        """By TCP, unless the transport has another way."""
        return self.transport.connect_to(url)

    def absolute(self, path: str | Path) -> Path:
        """The path. Raises ValueError if it is relative: to what?"""
        if not PurePosixPath(path).is_absolute():
            raise ValueError(f"{path} is relative; a path on {self} must be absolute")
        return Path(path)

    def find(self, binary: str, bin_dir: Path | None) -> tuple[str, ...]:
        """The executable, by its path if there is a folder, else from the PATH there."""
        return (binary if bin_dir is None else str(bin_dir / binary),)

    def _scratch(self) -> Path:
        """Where keepers have what they need."""
        return Path(self.temp_dir)

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Stay connected for the length of a block. Raises `RunnerError`."""
        async with self.transport.opened():
            self._connected += 1
            try:
                yield
            finally:
                self._connected -= 1
                if self._warden is not None and not self._connected:
                    warden, self._warden = self._warden, None
                    with trio.CancelScope(shield=True):
                        await warden.aclose()

    async def _hold_all(self) -> None:
        """Have the temporary directories that may be made now removed there if we are lost."""
        for workspace in tuple(self._workspaces):
            path = workspace.made
            if path is not None and workspace.loose and not workspace.kept:
                warden = self._warden = self._warden or Warden(self.transport, self.lost_after)
                await warden.hold(path)
                # Meanwhile a session may have begun, whose keeper has it now, or somebody removed it.
                if workspace.loose and workspace.made == path:
                    workspace.when_dropped(partial(warden.drop, path))
                else:
                    warden.drop(path)

    async def _relieve(self, workspace: Workspace) -> None:
        """Have the warden hold the directory of a session that is about to end."""
        path, warden = workspace.made, self._warden
        if not isinstance(workspace, RemoteWorkspace) or path is None or workspace.kept:
            return
        if warden is not None and await warden.hold_again(path):
            workspace.when_dropped(partial(warden.drop, path))

    async def make_folder(self, path: Path) -> None:
        """Make a folder and its parents there. Raises `DirectoryError`."""
        await self._write('mkdir -p -- "$1"', path)

    async def exists(self, path: Path) -> bool:
        """Whether there is something at ``path`` there."""
        found = await run_there(self.transport, ("sh", "-c", 'test -e "$1"; echo $?', "sh", str(path)), {})
        return found.strip() == "0"

    async def write_new(self, path: Path, text: str) -> None:
        """Write a file there, unless it is there already. Raises `DirectoryError`."""
        await self._write('test -e "$1" || printf %s "$ACCUSER_TEXT" >"$1"', path, text)

    async def write(self, path: Path, text: str) -> None:
        """Write a file there, also if there is one; its name leads to the old text or to the new one."""
        await self._write('printf %s "$ACCUSER_TEXT" >"$1.new" && mv -f -- "$1.new" "$1"', path, text)

    async def read(self, path: Path) -> str:
        """Read a file there. Raises `CommandFailed`."""
        return await run_there(self.transport, ("cat", "--", str(path)), {})

    async def run(
        self,
        command: tuple[str, ...],
        *,
        name: str,
        color: str,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command there to its end; return its output, which is logged. Raises `CommandFailed`."""
        log_command(name, color, command)
        await self._hold_all()
        output = await run_there(self.transport, command, environment or {})
        for line in output.splitlines():
            log(logging.DEBUG, name, color, line)
        return output

    async def start(
        self, command: tuple[str, ...], environment: Variables, events: Path, workspace: Workspace
    ) -> Running:
        """Start the daemon there, and before it a keeper with its pipe."""
        check_expressible(events)
        await self._hold_all()
        doomed = None if workspace.kept else workspace.made
        folder = self._scratch() / f"accuser-pipe-{secrets.token_hex(4)}"
        pipe = await Keeper.make(self.transport, events, folder, doomed, self.lost_after)
        pipe.before_leaving = partial(self._relieve, workspace)
        pipe.beside = self._warden
        workspace.when_kept(partial(pipe.tell, "keep"))
        started = await running(
            pipe, RemoteProcess.start(pipe, command, environment.own, self.lost_after / 3)
        )
        return attrs.evolve(started, place=str(self))

    async def discard(self, workspace: Workspace) -> str | None:
        """Remove the directory there; without a connection it is removed by the keeper's end."""
        if not workspace.made or workspace.kept:
            return None
        left: str | None = f"no answer within {LEAVE:g} s"
        with trio.move_on_after(LEAVE, shield=True):
            try:
                await run_there(self.transport, ("rm", "-rf", "--", str(workspace.path)), {})
                left = None
            except (RunnerError, CommandFailed) as error:
                left = str(error)
        workspace.remove()
        return left

    async def _write(self, line: str, path: Path, text: str | None = None) -> None:
        try:
            # What is written may be secret keys, which command lines tell to everybody there, and makes the
            # temporary directory on the way.
            line = f"umask 077; {line}"
            await self._hold_all()
            environment = {} if text is None else {"ACCUSER_TEXT": text}
            await run_there(self.transport, ("sh", "-c", line, "sh", str(path)), environment)
        except CommandFailed as error:
            raise DirectoryError(path, error.stderr.strip(), str(self)) from None


@attrs.define(eq=False)
class TransportRunner(Runner):
    """The place that a `Transport` leads to."""

    transport: Transport
    """The way there, which may be shared."""

    def __attrs_post_init__(self) -> None:
        self.check_folder()


def address_from(here: Runner | None, there: Runner | None) -> str:
    """The address of the place ``there`` for who is ``here``; None is this machine."""
    if there is None:
        return LOOPBACK if here is None else here.local_address
    return there.address_for(here)
