"""One daemon on another machine: a keeper there, which stays, and a launcher, which is the daemon's.

Both are shell scripts in the folder ``remote``, each in a session of its own of the connection. The
keeper makes the event pipe, copies it to us, passes signals on, and stops the daemon when it
loses us. The launcher becomes the daemon's parent, in the process group that the server made for
it; the daemon starts once the keeper guards that group.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import trio

from ..._errors import (
    BinaryNotFound,
    CommandFailed,
    DirectoryError,
    EventPipeError,
    RunnerError,
    RunnerFault,
)
from ..._report import signal_name
from ..owner.child import Child
from ..usage import Machine, Usage, usage_of
from .connection import Connection

KILLED_WITH_ITS_GROUP: Final = "killed"
GRACE: Final = 10
"""Seconds between SIGTERM and SIGKILL for a daemon that lost its owner."""

UNANSWERED: Final = 4
"""Pings that a keeper may leave unanswered; a connection may outlive the shell that it serves."""

LEAVE: Final = 5.0
"""Seconds that the keeper may take to clean up and take its leave."""

_SCRIPTS: Final = Path(__file__).parent
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def script(
    name: str, settings: Mapping[str, object], environment: Mapping[str, str], words: tuple[str, ...]
) -> str:
    """Write a script with its settings, the environment of what it runs, and its arguments.

    Raises:
        ValueError: a variable has a name that no shell takes, or something contains a NUL.
    """
    for variable in environment:
        if not _VARIABLE.fullmatch(variable):
            raise ValueError(f"{variable!r} cannot be a variable of the environment")
    lines = [
        *(f"{key}={shlex.quote(str(value))}" for key, value in settings.items()),
        *(f"export {key}={shlex.quote(value)}" for key, value in environment.items()),
        f"set -- {shlex.join(words)}" if words else "",
        (_SCRIPTS / f"{name}.sh").read_text(),
    ]
    text = "\n".join(lines)
    if "\0" in text:
        raise ValueError("arguments and the environment cannot contain NUL")
    return text


@attrs.define(eq=False)
class Reports:
    """The lines that a script writes for us, which begin with its token.

    Login shells may write other things before.
    """

    _stream: trio.abc.ReceiveStream
    _token: str
    rest: bytes = b""
    """What has come after the last line."""

    async def next(self) -> str | None:
        """The next line without its token; None at the end. Cancelling loses nothing."""
        while True:
            line, found, rest = self.rest.partition(b"\n")
            if found:
                self.rest = rest
                _, ours, text = line.decode("utf-8", "replace").partition(f"{self._token} ")
                if ours:
                    return text
            elif data := await self._stream.receive_some():
                self.rest += data
            else:
                return None


@attrs.define(eq=False)
class Remainder(trio.abc.ReceiveStream):
    """A stream some of whose bytes have been read already."""

    _begin: bytes
    _stream: trio.abc.ReceiveStream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As trio's; the bytes that were there come first."""
        if self._begin:
            await trio.lowlevel.checkpoint()
            begin, self._begin = self._begin, b""
            return begin
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


@attrs.define(eq=False)
class RemotePipe:
    """The event pipe of a daemon there, and the keeper that holds it."""

    path: Path
    folder: Path
    connection: Connection
    reports: Reports
    reader: trio.abc.ReceiveStream
    """The events, which the keeper copies to its standard error."""
    _keeper: Child

    @classmethod
    async def make(
        cls, connection: Connection, path: Path, folder: Path, workspace: Path | None, patience: float
    ) -> RemotePipe:
        """Start a keeper, which makes the pipe.

        Args:
            connection: to the machine.
            path: of the pipe.
            folder: for what the keeper needs; it makes and removes it.
            workspace: what else to remove if the owner is lost.
            patience: seconds of silence that mean the loss of the owner.

        Raises:
            EventPipeError, DirectoryError: it could not be made.
            RunnerError: the connection or the shell there fails.
        """
        token = secrets.token_hex(8)
        settings = {
            "token": token,
            "folder": folder,
            "pipe": path,
            "workspace": workspace or "",
            "grace": GRACE,
            "patience": round(patience),
        }
        keeper = await connection.shell(script("keeper", settings, {}, ()))
        try:
            reports = Reports(keeper.stdout, token)
            await _ready(reports, connection, path, folder)
            # What a login shell may print, as a warning about its locale, is no event.
            events = Reports(keeper.stderr, token)
            if await events.next() is None:
                raise connection.fault()
        except BaseException:
            with trio.CancelScope(shield=True):
                await keeper.aclose()
            raise
        return cls(path, folder, connection, reports, Remainder(events.rest, keeper.stderr), keeper)

    def tell(self, *words: str) -> None:
        """Tell the keeper something; it may be gone."""
        stream = self._keeper.process.stdin
        assert isinstance(stream, trio.lowlevel.FdStream)
        # Some bytes at a time: the pipe to `ssh` is full only if the connection is dead.
        with contextlib.suppress(OSError, trio.ClosedResourceError):
            os.write(stream.fileno(), f"{' '.join(words)}\n".encode())

    def release(self) -> None:
        """Let the keeper end with the last of the other writers."""
        self.tell("release")

    async def aclose(self) -> None:
        """Let the keeper remove the pipe, for a while, and close everything here."""
        self.tell("forget")
        with trio.move_on_after(LEAVE):
            await self._keeper.wait_exited()
        await self._keeper.aclose()


async def _ready(reports: Reports, connection: Connection, path: Path, folder: Path) -> None:
    match ((await reports.next()) or "").split(" ", 2):
        case ["ready"]:
            return
        case ["failed", "pipe", detail]:
            raise EventPipeError(path, f"cannot be made on {connection.label}: {detail}")
        case ["failed", "folder", detail]:
            raise DirectoryError(folder, detail, connection.label)
        case ["failed", *_]:
            raise RunnerError(connection.label, RunnerFault.UNUSABLE, "no process group for each session")
        case _:
            raise connection.fault(reports.rest.decode("utf-8", "replace"))


@attrs.define(eq=False)
class Measured:
    """The keeper's answer to one question for what the daemon uses."""

    asked: bool = False
    lines: list[str] = attrs.field(factory=list)
    descriptors: dict[int, int] = attrs.field(factory=dict)
    machine: Machine | None = None
    problem: OSError | None = None
    done: trio.Event = attrs.field(factory=trio.Event)

    def finish(self, machine: Machine | None) -> None:
        """Take the answer's end; None if there is none to come."""
        self.machine = machine
        self.done.set()


@attrs.define(eq=False)
class RemoteProcess:
    """A daemon there. What is asked of it goes to the keeper; its streams are the launcher's."""

    pid: int
    stdout: trio.abc.ReceiveStream
    stderr: trio.abc.ReceiveStream
    _group: int
    _pipe: RemotePipe
    _launcher: Child
    _heartbeat: float
    _status: str | None = attrs.field(default=None, init=False)
    _lost: RunnerError | None = attrs.field(default=None, init=False)
    _measured: Measured = attrs.field(factory=Measured, init=False)
    _unanswered: int = attrs.field(default=0, init=False)
    _next_ping: float = attrs.field(factory=trio.current_time, init=False)

    @classmethod
    async def start(
        cls, pipe: RemotePipe, command: tuple[str, ...], environment: Mapping[str, str], heartbeat: float
    ) -> RemoteProcess:
        """Start a launcher, have its group guarded, and let it start the daemon.

        Raises:
            BinaryNotFound: the executable is not there.
            RunnerError: the connection or the shell there fails.
        """
        token = secrets.token_hex(8)
        settings = {"token": token, "folder": pipe.folder}
        launcher = await pipe.connection.shell(script("launcher", settings, environment, command))
        try:
            reports = Reports(launcher.stdout, token)
            match ((await reports.next()) or "").split():
                case ["group", number]:
                    group = int(number)
                    errors = Reports(launcher.stderr, token)
                    await errors.next()
                    pid = await _launch(pipe, launcher, reports, group)
                case ["missing"]:
                    raise BinaryNotFound(command[0], (f"{command[0]} (on {pipe.connection.label})",))
                case ["nogroup"]:
                    detail = "no process group for each session"
                    raise RunnerError(pipe.connection.label, RunnerFault.UNUSABLE, detail)
                case _:
                    raise pipe.connection.fault(reports.rest.decode("utf-8", "replace"))
        except BaseException:
            with trio.CancelScope(shield=True):
                await launcher.aclose()
            raise
        stdout = Remainder(reports.rest, launcher.stdout)
        stderr = Remainder(errors.rest, launcher.stderr)
        return cls(pid, stdout, stderr, group, pipe, launcher, heartbeat)

    async def wait_exited(self) -> None:
        """Wait until the keeper tells the exit, or is lost; meanwhile tell it that we live."""
        while not self.has_exited():
            with trio.move_on_at(self._next_ping) as scope:
                self._take(await self._pipe.reports.next())
            if scope.cancelled_caught:
                if self._unanswered == UNANSWERED:
                    self._take(None)
                    return
                self._unanswered += 1
                self._pipe.tell("ping")
                self._next_ping = trio.current_time() + self._heartbeat

    def _take(self, report: str | None) -> None:
        self._unanswered = 0
        match (report or "").split():
            case ["exit", status]:
                self._status = status
                self._measured.finish(None)
            case ["process", descriptors, pid, *_]:
                assert report is not None
                self._measured.lines.append(report.split(" ", 2)[2])
                self._measured.descriptors[int(pid)] = int(descriptors)
            case ["stats", ticks, page]:
                self._measured.finish(Machine(int(ticks), int(page)))
            case ["nostats"]:
                self._measured.problem = OSError("there is no /proc")
                self._measured.finish(None)
            case []:
                self._lost = self._pipe.connection.fault()
                self._measured.finish(None)

    def has_exited(self) -> bool:
        """Whether the keeper has told the exit, or is lost."""
        return self._status is not None or self._lost is not None

    def send(self, signum: int) -> None:
        """Have the keeper signal the group."""
        self._pipe.tell("signal", signal_name(signum).removeprefix("SIG").removeprefix("signal "))

    async def usage(self) -> Usage | None:
        """What the keeper reads in the ``/proc`` there; cancelling is harmless."""
        if self.has_exited():
            return None
        measured = self._measured
        if not measured.asked:
            measured.asked = True
            self._pipe.tell("stats")
        await measured.done.wait()
        if measured is self._measured:
            self._measured = Measured()
        if measured.problem is not None:
            raise measured.problem
        if measured.machine is None:
            return None
        return usage_of(self._group, "\n".join(measured.lines), measured.descriptors, measured.machine)

    async def reap(self) -> int:
        """The status that the launcher told; a shell tells the signal n as 128 + n."""
        await trio.lowlevel.checkpoint()
        if self._lost is not None:
            raise self._lost
        if self._status in (None, KILLED_WITH_ITS_GROUP):
            return -signal.SIGKILL
        status = int(self._status)
        return 128 - status if status - 128 in set(signal.Signals) else status

    async def aclose(self) -> None:
        """Kill what still runs there, and close the session."""
        if not self.has_exited():
            self.send(signal.SIGKILL)
        elif self._lost is not None and self._pipe.connection.alive:
            # The keeper alone is gone, and with it who would stop the daemon.
            kill = ("sh", "-c", 'kill -KILL "-$1"', "sh", str(self._group))
            with trio.move_on_after(LEAVE), contextlib.suppress(RunnerError, CommandFailed):
                await run_there(self._pipe.connection, kill, {})
        await self._launcher.aclose()


async def _launch(pipe: RemotePipe, launcher: Child, reports: Reports, group: int) -> int:
    pipe.tell("guard", str(group))
    if await pipe.reports.next() != "guarded":
        raise pipe.connection.fault()
    assert launcher.process.stdin is not None
    # If the session is gone already, there is no answer.
    with contextlib.suppress(trio.BrokenResourceError):
        await launcher.process.stdin.send_all(b"go\n")
    match ((await reports.next()) or "").split():
        case ["pid", pid]:
            return int(pid)
        case _:
            raise pipe.connection.fault()


async def run_there(connection: Connection, command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Run a command there to its end; return its standard output.

    Raises:
        BinaryNotFound: the executable is not there.
        CommandFailed: it ended with another status than 0.
        RunnerError: the connection fails.

    Cancelling stops it.
    """
    token = secrets.token_hex(8)
    outputs: dict[str, bytes] = {}

    async def read(name: str, stream: trio.abc.ReceiveStream) -> None:
        parts = [bytes(data) async for data in stream]
        outputs[name] = b"".join(parts)

    child = await connection.shell(script("command", {"token": token}, environment, command))
    try:
        async with trio.open_nursery() as readers:
            readers.start_soon(read, "stdout", child.stdout)
            readers.start_soon(read, "stderr", child.stderr)
    finally:
        with trio.CancelScope(shield=True):
            await child.aclose()
    stdout, stderr = (outputs[name].decode("utf-8", "replace") for name in ("stdout", "stderr"))
    _, begun, rest = stdout.partition(f"{token} ")
    if rest == "missing\n":
        raise BinaryNotFound(command[0], (f"{command[0]} (on {connection.label})",))
    said, ended, status = rest.removeprefix("begin\n").rpartition(f"{token} status ")
    if not (begun and ended):
        raise connection.fault(stderr)
    if int(status):
        raise CommandFailed(command, int(status), said, stderr)
    return said
