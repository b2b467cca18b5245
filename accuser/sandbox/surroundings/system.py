"""What a program of the sandbox finds around it, and how a process answers.

A program takes its environment, outputs, clock, connections and signals from a `System` alone. So it
runs as a process of its own, and as a task of another one just as well (`task.ProgramTask`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Final, Protocol

import attrs
import trio

from ..._http.client import Connect
from ..sink.descriptor import Outlets
from ..sink.descriptor import say as say_at_once
from ..sink.sink import Sink

SIGNALLED: Final = 127
"""Exit status of what is ended by SIGTERM or SIGINT, as of every program of upstream's that uses
``Lwt_exit``."""

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_DONE: Final = signal.SIGUSR1
"""Sent to the thread that waits for signals when it is not needed any more."""


@attrs.frozen
class Listening:
    """A listener, and the address that it has."""

    listener: trio.abc.Listener[trio.abc.Stream]
    host: str
    port: int


class System(Protocol):
    """The surroundings of one running program."""

    @property
    def environ(self) -> Mapping[str, str]: ...

    @property
    def pid(self) -> int:
        """The program's id."""

    @property
    def outlets(self) -> Outlets:
        """Where output goes, for whoever can wait until it is taken."""

    def wall(self) -> float:
        """The time, in seconds since the epoch. Delays follow trio's clock."""

    def write(self, number: int, text: str) -> None:
        """Write all of a text to standard output (1) or error (2), however long that takes."""

    def say(self, number: int, text: str) -> None:
        """Write what goes in at once, and drop the rest: last words."""

    def connect_to(self, url: str) -> Connect | None:
        """What opens connections to the server at ``url``; None for TCP."""

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream: ...

    async def listen(self, host: str, port: int) -> list[Listening]: ...

    def signals(self) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        """SIGTERM and SIGINT as they come, in place of what they do by default.

        With the block the program ends, in its own way: what comes later does nothing.
        """

    def ended_by_signals(self, last_words: Callable[[int], None]) -> AbstractContextManager[None]:
        """At SIGTERM or SIGINT say the last words, and end at once with status 127."""


async def open_sink(system: System, program: str, default: tuple[str, ...]) -> Sink:
    """The sink of a program in its surroundings; ``default`` and errors as of `Sink.from_environment`."""
    return await Sink.from_environment(
        system.environ, program, default=default, clock=system.wall, outlets=system.outlets, pid=system.pid
    )


@attrs.define(eq=False, repr=False)
class OwnProcess:
    """The system of a program that has a process to itself."""

    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ)
    outlets: Outlets = attrs.field(factory=Outlets)

    @property
    def pid(self) -> int:
        return os.getpid()

    def wall(self) -> float:
        """The machine's clock."""
        return time.time()

    def write(self, number: int, text: str) -> None:
        """Write to a descriptor; what nobody reads any more is lost."""
        with contextlib.suppress(OSError):
            self.outlets.standard(number).write_now(text.encode("utf-8", "surrogateescape"))

    def say(self, number: int, text: str) -> None:
        """Write to a descriptor what it takes."""
        say_at_once(number, text)

    def connect_to(self, url: str) -> Connect | None:
        return None

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        return await trio.open_tcp_stream(host, port)

    async def listen(self, host: str, port: int) -> list[Listening]:
        listeners = await trio.open_tcp_listeners(port, host=host)
        return [Listening(one, *one.socket.getsockname()[:2]) for one in listeners]

    @asynccontextmanager
    async def signals(self) -> AsyncGenerator[AsyncIterator[int]]:
        try:
            with trio.open_signal_receiver(*STOPPING) as signals:
                try:
                    yield signals
                finally:
                    # Trio raises again what was not taken, when the default is back.
                    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        finally:
            for number in STOPPING:
                signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def ended_by_signals(self, last_words: Callable[[int], None]) -> Iterator[None]:
        """End the process at once.

        A thread waits for the signals: a handler would miss one that comes just before the main
        thread blocks in opening a pipe that nobody reads.
        """

        over, told = threading.Event(), threading.Event()

        def wait() -> None:
            while not over.is_set():
                number = signal.sigwait({*STOPPING, _DONE})
                if number != _DONE:
                    last_words(number)
                    os._exit(SIGNALLED)
                if not over.is_set():
                    # Somebody else's: let it do what it does by default.
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {_DONE})
                    os.kill(os.getpid(), _DONE)
                    signal.pthread_sigmask(signal.SIG_BLOCK, {_DONE})
            told.wait()  # who has ended cannot be sent a signal

        before = signal.pthread_sigmask(signal.SIG_BLOCK, {*STOPPING, _DONE})
        # The thread has the mask of this moment.
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        try:
            yield
        finally:
            assert thread.ident is not None
            over.set()
            signal.pthread_kill(thread.ident, _DONE)
            told.set()
            thread.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
