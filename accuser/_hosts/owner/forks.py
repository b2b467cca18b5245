"""Programs of the sandbox as children that were forked, not executed, so that they need not import.

One small process, `accuser.sandbox.forks`, imports what they need, and clones itself into a child
of this process. Where that cannot be, who asked is told so, and executes the program.

Invariants:
1. What comes from `Forks.start` is a child of this process like any other: its group, status,
   descriptors and guard are ours alone.
2. The guardian knows of it before it runs anything; should we be gone first, it ends by itself.
3. The server is replaced when it is gone, does not answer, or was started under other circumstances
   (user, privileges, namespaces, locale, Python's variables) than a program is to have.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import trio

from ...sandbox.forks import GO, REPLY, REQUEST, STOP
from ..host import inherited
from ..runs import once_a_run
from .circumstances import circumstances_for, early, facts_for, working_directory
from .executed import Pipes
from .guardian import Guard, guardian, passable
from .reader import Reader

VARIABLE: Final = "ACCUSER_SANDBOX_FORKS"
"""Set to ``no`` it has every program of the sandbox executed."""

PATIENCE: Final = 10.0
"""Seconds that the server of the sandbox may take: many times what it takes."""

CANCELLED: Final = 1.0
"""Seconds of those for a program that nobody wants any more: as long as it may take to import."""

ROOM: Final = 4096
"""Bytes of the command line that ``ps`` shows of a forked program."""

_PROGRAM: Final = Path(__file__).resolve().parents[2] / "sandbox" / "forks.py"


PENDING: Final = 16
"""Programs that one run of trio has asked for at a time. The socket has room for some 270, of all runs."""

POLL: Final = 0.01
"""Seconds between two tries to ask, where there is no room."""

_FULL: Final = (errno.EAGAIN, errno.ETOOMANYREFS)
"""Errors where others, of this process or this user, have asked for so much that is not yet taken."""

_GONE: Final = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF)
_SCARCE: Final = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
"""Errors of a process or system that has no more of something, which execution needs as well."""


class CannotFork(Exception):
    """Programs cannot be forked here; ``str()`` says why."""


@attrs.define(eq=False, repr=False)
class Forked:
    """A child that was forked, with the parts of `trio.Process` that are needed."""

    pid: int
    stdin: trio.lowlevel.FdStream
    stdout: Reader
    stderr: Reader
    _status: int | None = attrs.field(default=None, init=False)

    @property
    def returncode(self) -> int | None:
        """The exit status, or the negative number of a signal; None as long as it runs. Reaps it."""
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self._status = 0  # somebody else has reaped it: as `subprocess` says then
            else:
                self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status


@once_a_run
def _pending() -> trio.CapacityLimiter:
    return trio.CapacityLimiter(PENDING)


@attrs.define(eq=False, repr=False)
class _Server:
    socket: socket.socket
    pid: int
    guard: Guard
    circumstances: object
    has_answered: bool = False

    async def ask_for(self, wanted: bytes, descriptors: list[int], patience: float) -> bool:
        """Ask for a program; False if it is gone, or does not read. Raises `OSError` if that is refused."""
        file = os.memfd_create("program")
        try:
            os.pwrite(file, wanted, 0)  # who reads it begins where it stands
            with trio.move_on_after(patience):
                while True:
                    try:
                        socket.send_fds(self.socket, [REQUEST], [file, *descriptors])
                        return True
                    except OSError as error:
                        if error.errno in _GONE:
                            return False
                        if error.errno not in _FULL:
                            raise
                    await trio.sleep(POLL)  # nothing tells of what other runs and processes do
        finally:
            os.close(file)
        return False

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def end(self) -> None:
        """End it; what it has forked goes on."""
        self.socket.close()
        # Not our child any more if somebody else has reaped it.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            with contextlib.suppress(PermissionError):  # we are another user now; it reads the end
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.guard.forget()


class Forks:
    """A server of this process, started when the first program is.

    Args:
        program: of the server; it is `accuser.sandbox.forks`, or calls its ``main``.
        arguments: of that program, after the descriptor.
        patience: seconds that it may take to import, and then to fork.
    """

    def __init__(
        self, program: Path = _PROGRAM, arguments: tuple[str, ...] = (), patience: float = PATIENCE
    ) -> None:
        self._program = (str(program), arguments)
        self._patience = patience
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._refusal: str | None = None
        self._registered = False

    @property
    def pid(self) -> int | None:
        """Process id of the server, a child of this process; None while there is none."""
        return None if self._server is None else self._server.pid

    @property
    def descriptor(self) -> int | None:
        """Descriptor of the socket to it; None while there is none."""
        return None if self._server is None else self._server.socket.fileno()

    @property
    def refusal(self) -> str | None:
        """Why programs cannot be forked here, as far as is known; None if they can."""
        if os.environ.get(VARIABLE) == "no":
            return f"the environment variable {VARIABLE} says no"
        if not sys.platform.startswith("linux"):
            return "only Linux makes a process the child of another one than its maker"
        return self._refusal

    async def start(
        self,
        words: tuple[str, ...],
        environment: Mapping[str, str],
        guard: Guard,
    ) -> Forked:
        """Start a program; it leads a process group of its own.

        Args:
            words: its ``sys.argv``: the path of the sandbox's entry, the name of the executable, arguments.
            environment: all its variables.
            guard: is told of it before it goes on.

        Raises:
            CannotFork: it has to be executed; nothing was started.
            OSError: there is no descriptor, memory or process for it.

        Cancelling is noticed before the program begins, and leaves no process.
        """
        self._look_for_refusal()
        try:
            folder = working_directory()
        except OSError as error:
            if error.errno in _SCARCE:
                raise
            raise CannotFork(f"the working directory cannot be opened: {error.strerror}") from error
        try:
            async with _pending():
                return await self._start(facts_for(words, environment), folder, environment, guard)
        except OSError as error:
            if error.errno in _SCARCE:
                raise
            self._refusal = f"the system refuses what it takes: {error}"
            self.end()
            raise CannotFork(self._refusal) from error
        finally:
            os.close(folder)

    def _look_for_refusal(self) -> None:
        if (refusal := self.refusal) is not None:
            raise CannotFork(refusal)

    async def _start(
        self, wanted: bytes, folder: int, environment: Mapping[str, str], guard: Guard
    ) -> Forked:
        for _ in range(2):
            await trio.lowlevel.checkpoint_if_cancelled()
            self._look_for_refusal()  # by what others have met meanwhile
            server = self._current(circumstances_for(environment), environment)
            pipes = Pipes.make()
            try:
                child = await self._fork(server, wanted, folder, pipes, guard)
            except BaseException:
                pipes.close()
                raise
            if child is not None:
                return child
            pipes.close()
        self._look_for_refusal()
        raise CannotFork("two servers in a row forked nothing")

    async def _fork(
        self, server: _Server, wanted: bytes, folder: int, pipes: Pipes, guard: Guard
    ) -> Forked | None:
        """Have one program forked; None if the server is gone, or cannot make it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                asked = await server.ask_for(wanted, [theirs.fileno(), folder, *pipes.theirs], self._patience)
            pipes.given()
            if not asked or (pid := await self._reply(server, ours)) is None:
                _stop(ours)  # one that is late
                self._drop(server)
                return None
            try:
                await trio.lowlevel.checkpoint_if_cancelled()
                child = _adopted(pid, pipes)
                guard.started(child)
                with contextlib.suppress(OSError):  # it was killed just now, as its status tells
                    ours.send(GO)
            except ChildProcessError:
                _stop(ours)
                self._refusal = "a clone with the parent's parent is not our child here"
                raise CannotFork(self._refusal) from None
            except BaseException:
                _stop(ours)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)  # noqa: ASYNC222 - it is told to end, and has nothing to do
                raise
            return child

    async def _reply(self, server: _Server, ours: socket.socket) -> int | None:
        """The id of what was forked; None if nothing was, and the server is gone."""
        ours.setblocking(False)
        await self._wait_for_reply(server, ours)
        try:
            answer = ours.recv(REPLY.size)
        except OSError:
            answer = b""
        if not answer:
            return None
        server.has_answered = True
        pid: int
        pid, number = REPLY.unpack(answer)
        if not number:
            return pid
        if pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)  # noqa: ASYNC222 - it ends, and has nothing else to do
            if number not in _SCARCE:
                # This server cannot make what is wanted, and another one may.
                self._drop(server)
                return None
        raise OSError(number, os.strerror(number), "clone")

    async def _wait_for_reply(self, server: _Server, ours: socket.socket) -> None:
        """Wait for an answer, or for the end of the server. One that does not answer in time is ended."""
        begun = time.monotonic()
        try:
            with trio.move_on_after(self._patience) as scope:
                await trio.lowlevel.wait_readable(ours)
            # A clock of trio that jumps says nothing of the server.
            late = scope.cancelled_caught and time.monotonic() - begun >= self._patience
            if late and not server.has_answered:
                # Another one would take as long.
                self._refusal = f"what forks them takes longer than {self._patience:g} s to load"
        except trio.Cancelled:  # noqa: ASYNC103 - `_fork` looks for it when there is an answer
            # An answer that nobody takes would be a child that nobody reaps.
            with trio.move_on_after(CANCELLED, shield=True) as scope:
                await trio.lowlevel.wait_readable(ours)
        if scope.cancelled_caught:
            self._drop(server)
            # Its copy of the other end is closed now: there is an end, or a program that answers, unless a
            # fork of this process has a copy.
            with trio.move_on_after(self._patience, shield=True):
                await trio.lowlevel.wait_readable(ours)

    def _current(self, circumstances: object, environment: Mapping[str, str]) -> _Server:
        with self._lock:
            server = self._server
            if server is not None and (server.circumstances != circumstances or not server.is_alive()):
                self._server = None
                server.end()
                server = None
            if server is None:
                if not self._registered:
                    self._registered = True
                    atexit.register(self.end)
                    os.register_at_fork(after_in_child=self._disown)
                server = self._server = _started(*self._program, circumstances, environment)
            return server

    def _drop(self, server: _Server) -> None:
        with self._lock:
            if self._server is server:
                self._server = None
                server.end()

    def end(self) -> None:
        """End the server; the next program starts another one."""
        server = self._server
        if server is not None:
            self._drop(server)

    def _disown(self) -> None:
        self._lock = threading.Lock()
        server, self._server = self._server, None
        if server is not None:
            server.socket.close()


def _stop(ours: socket.socket) -> None:
    """Have a program end that waits to be told, though a fork of ours may have a copy of the socket."""
    with contextlib.suppress(OSError):
        ours.send(STOP)


def _adopted(pid: int, pipes: Pipes) -> Forked:
    """Take a child over, with our ends of its pipes. Raises ChildProcessError if it is not ours."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return Forked(pid, *pipes.taken())


def _started(
    program: str, arguments: tuple[str, ...], circumstances: object, environment: Mapping[str, str]
) -> _Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            with guardian.announced() as guard, passable(theirs.fileno()) as passed:
                base = {**inherited(), **early(environment)}
                process = subprocess.Popen(
                    [sys.executable, "-P", program, str(passed), *arguments, "-" * ROOM],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(passed,),
                    env=guard.environment(base),
                    process_group=0,
                )
        except BaseException:
            ours.close()
            raise
    guard.started(process)
    ours.setblocking(False)
    # It outlives this object on purpose, which Popen would warn of; `_Server.end` reaps it.
    process.returncode = 0
    return _Server(ours, process.pid, guard, circumstances)


forks: Final = Forks()
"""The one of this process that forks programs of the sandbox."""
