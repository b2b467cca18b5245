"""A program of the sandbox as a task, in place of a process: outputs, signals, exit status.

Invariants:
1. What it wrote is read before its end, and its end comes once: everything of it is closed and done
   with when `wait_exited` returns.
2. It is shielded from cancellation, as a process is; signals and `kill` end it.
3. Ctrl-C is no business of it, as of a process in a group of its own. trio raises KeyboardInterrupt in
   whatever task runs, but not below a function that is protected from it: the first one of each task that a
   program starts is.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import math
import os
import signal
import traceback
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from ..._http.client import Connect
from ..programs import MODULES
from ..sink.descriptor import NamedPipe, Outlets
from .memory import (
    Connection,
    Gate,
    Pipe,
    Reader,
)
from .network import Listener, Network
from .system import SIGNALLED, STOPPING, Listening

_STOPS: Final = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
_IGNORED: Final = {signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGPIPE, signal.SIGXFSZ}
"""By default, or by Python."""


def knows(program: str) -> bool:
    """Whether there is a program of that name."""
    return program in MODULES


@attrs.define(eq=False, repr=False)
class Outlet:
    """The writing end of a pipe, as a sink or a console wants it."""

    pipe: Pipe
    gate: Gate
    is_named: bool = False
    """Others may open the pipe too, so that to close this end does not end it."""
    _closed: bool = attrs.field(default=False, init=False)

    async def write(self, data: bytes) -> None:
        """Write everything. Raises ``OSError``."""
        await trio.lowlevel.checkpoint_if_cancelled()
        await self.gate.passed()
        self.write_now(data)
        await self.pipe.room()

    def write_now(self, data: bytes) -> None:
        """Write everything, however full it is. Raises ``OSError``."""
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            self.pipe.put(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        self._closed = True
        if not self.is_named:
            self.pipe.close_writing()


@attrs.define(eq=False, repr=False)
class ProgramTask:
    """A program, its surroundings (a `System`), and what its owner holds of it.

    Args:
        program: the name of its executable, which `knows`.
        arguments: its command line.
        environ: the environment variables.
        clock: gives seconds since the epoch.
        network: whom it can reach, and who can reach it.
        pipes: opens the named pipes in memory; None for a path that is none.
        pid: its id.
    """

    program: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    clock: Callable[[], float]
    network: Network
    pipes: Callable[[str], Pipe | None]
    pid: int
    status: int | None = attrs.field(default=None, init=False)
    outlets: Outlets = attrs.field(init=False)
    stdout: Reader = attrs.field(init=False)
    stderr: Reader = attrs.field(init=False)
    _gate: Gate = attrs.field(factory=Gate, init=False)
    _outputs: tuple[Outlet, Outlet] = attrs.field(init=False)
    _ends: weakref.WeakSet[Outlet | Connection | Listener] = attrs.field(factory=weakref.WeakSet, init=False)
    """What it holds, which its end closes."""
    _scope: trio.CancelScope = attrs.field(factory=lambda: trio.CancelScope(shield=True), init=False)
    _exited: trio.Event = attrs.field(factory=trio.Event, init=False)
    _on_signal: Callable[[int], object] | None = attrs.field(default=None, init=False)
    _held: list[int] = attrs.field(factory=list, init=False)
    """Signals that came while it was stopped."""

    def __attrs_post_init__(self) -> None:
        out, err = Pipe(), Pipe()
        self.stdout, self.stderr = Reader(out), Reader(err)
        self._outputs = Outlet(out, self._gate), Outlet(err, self._gate)
        self._ends.update(self._outputs)
        self.outlets = Outlets(lambda number: self._outputs[number - 1], self._named_pipe)

    # What its owner does.

    async def run(self) -> None:
        try:
            with self._scope:
                # A signal may have come before.
                await trio.lowlevel.checkpoint_if_cancelled()
                module = importlib.import_module(f"accuser.sandbox.{MODULES[self.program]}")
                self._end(await module.execute(self.program, list(self.arguments), self))
        except Exception:
            # As of a process: the program has failed, and not who runs it. One that was ended meets
            # closed pipes and connections on its way out, which nobody is to hear of.
            self.say(2, traceback.format_exc())
            self._end(1)
        finally:
            self._end(-signal.SIGKILL)
            self._exited.set()

    async def wait_exited(self) -> None:
        """Wait until it has exited, and nothing of it is left. Cancelling is harmless."""
        await self._exited.wait()

    def has_exited(self) -> bool:
        return self._exited.is_set()

    def send(self, signum: int) -> None:
        """Do what a signal does to a process; nothing when it has exited."""
        if self.status is not None:
            return
        if signum == signal.SIGKILL:
            self.kill()
        elif signum == signal.SIGCONT:
            self._gate.open()
            held, self._held = self._held, []
            for each in held:
                self._deliver(each)
        elif signum in _STOPS:
            self._gate.close()
        elif self._gate.is_closed:
            self._held.append(signum)
        else:
            self._deliver(signum)

    def kill(self) -> None:
        """End it at once, as by SIGKILL."""
        self._abort(-signal.SIGKILL)

    def _deliver(self, signum: int) -> None:
        if signum in STOPPING and self._on_signal is not None:
            self._on_signal(signum)
        elif signum not in _IGNORED:
            self._abort(-signum)

    def _abort(self, status: int) -> None:
        self._scope.cancel(reason=f"{self.program} was ended")
        self._end(status)

    def _end(self, status: int) -> None:
        if self.status is None:
            self.status = status
            for end in tuple(self._ends):
                end.close()

    # What the program finds around it.

    def wall(self) -> float:
        """The time, by the given clock."""
        return self.clock()

    def write(self, number: int, text: str) -> None:
        """Write to an output; what nobody reads any more is lost."""
        with contextlib.suppress(OSError):
            self._outputs[number - 1].write_now(text.encode("utf-8", "surrogateescape"))

    def say(self, number: int, text: str) -> None:
        self.write(number, text)

    def connect_to(self, url: str) -> Connect:
        """Connections to that server in memory."""
        parts = urlsplit(url)

        async def connect() -> trio.abc.Stream:
            return await self.open_stream(parts.hostname or "", parts.port or 80)

        return connect

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        # Others get their turn when an answer is waited for.
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._gate.passed()
        connection = self.network.connect(host, port, self._gate)
        self._ends.add(connection)
        return connection

    async def listen(self, host: str, port: int) -> list[Listening]:
        await trio.lowlevel.checkpoint()
        listener = self.network.listen(host, port, self._gate, self._ends.add)
        self._ends.add(listener)
        return [Listening(listener, *listener.address)]

    @asynccontextmanager
    async def signals(self) -> AsyncGenerator[AsyncIterator[int]]:
        """Those that its owner sends."""
        send, receive = trio.open_memory_channel[int](math.inf)
        self._on_signal = send.send_nowait
        try:
            yield receive
        finally:
            self._on_signal = None

    @contextmanager
    def ended_by_signals(self, last_words: Callable[[int], None]) -> Iterator[None]:
        """Say the last words, and end at once."""

        def end(signum: int) -> None:
            last_words(signum)
            self._abort(SIGNALLED)

        self._on_signal = end
        try:
            yield
        finally:
            self._on_signal = None

    def _named_pipe(self, path: str) -> NamedPipe | None:
        pipe = self.pipes(path)
        if pipe is None:
            return None
        end = Outlet(pipe, self._gate, is_named=True)
        self._ends.add(end)
        return end
