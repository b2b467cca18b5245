"""One run of a daemon, from the making of its pipe to the last byte that it wrote.

Invariants:
1. Its outputs are read until they end, or until a bounded time after the exit: a daemon whose
   standard error is not read stops writing events and ignores SIGTERM (recorded events ``9d``).
   So the readers are shielded from cancellation, which instead asks the daemon to stop.
2. The histories are closed after the last record is in them; only then do waiters hear of the
   end.
3. Whatever happens, the group is stopped and reaped, the descriptors closed, the FIFO removed.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import math
import os
import re
import shlex
import signal
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

import attrs
import trio

from ._decode import Event, Framer, Record, decode_block, decode_lines
from ._errors import DaemonExited, HandlerFailed
from ._history import History
from ._logs import log
from ._pipe import EventPipe
from ._process import Child, spawn

DRAIN: Final = 1.0
"""Seconds that the outputs may take to end after the exit, and once more after the rest of the
group was killed: what the daemon wrote is in the pipes already, and is read in far less."""

READ_SIZE: Final = 65536
EVENTS_LIMIT: Final = 16 * 1024 * 1024
LINES_LIMIT: Final = 1024 * 1024
MAX_LINE: Final = 1024 * 1024
TAIL_LINES: Final = 12
EVENTS_VARIABLE: Final = "MAVRYK_EVENTS_CONFIG"

T = TypeVar("T")


class State(enum.Enum):
    """What a session is doing."""

    NEW = "not started"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


@attrs.frozen
class ReadyEvent:
    """Ready when an event of this name was seen."""

    name: str

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.name


@attrs.frozen
class ReadyLine:
    """Ready when a line of standard output matches."""

    pattern: re.Pattern[str]
    label: str


class DaemonSpec(Protocol):
    """What differs between daemons."""

    @property
    def kind(self) -> str:
        """``accuser``: the base of default names, and the word in messages."""

    @property
    def binary(self) -> str:
        """Name of the executable."""

    @property
    def ready(self) -> ReadyEvent | ReadyLine:
        """When the daemon counts as ready."""

    async def prepare(self) -> None:
        """Run what must precede every start."""

    def arguments(self) -> tuple[str, ...]:
        """The arguments of the next start."""


@attrs.define(eq=False)
class Handlers:
    """The callbacks of a daemon; they outlive its sessions."""

    events: list[Callable[[Event], object]] = attrs.field(factory=list)
    stdout: list[Callable[[str], object]] = attrs.field(factory=list)
    stderr: list[Callable[[str], object]] = attrs.field(factory=list)


@attrs.define(eq=False)
class Session:
    """One run. `run` is called once; everything else may be asked at any time."""

    spec: DaemonSpec
    name: str
    color: str
    handlers: Handlers
    events_limit: int = EVENTS_LIMIT
    state: State = attrs.field(default=State.NEW, init=False)
    status: int | None = attrs.field(default=None, init=False)
    """Exit status; the negative number of a signal; None while there is none."""
    pid: int | None = attrs.field(default=None, init=False)
    ready: trio.Event = attrs.field(factory=trio.Event, init=False)
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    settled: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the session is ready or has ended, whichever comes first."""
    events: History[Record] = attrs.field(init=False)
    stdout: History[str] = attrs.field(init=False)
    stderr: History[str] = attrs.field(init=False)
    failure: BaseException | None = attrs.field(default=None, init=False)
    """The fault of a handler, which ends the session."""
    _tails: tuple[deque[bytes], deque[bytes]] = attrs.field(init=False)
    _child: Child | None = attrs.field(default=None, init=False)
    _stop_asked: bool = attrs.field(default=False, init=False)
    _kill_at: float = attrs.field(default=math.inf, init=False)
    _stop_changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.events = History(decode_block, self.events_limit, lambda record: record.name)
        self.stdout = History(decode_lines, LINES_LIMIT)
        self.stderr = History(decode_lines, LINES_LIMIT)
        self._tails = (deque(maxlen=2), deque(maxlen=2))

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.state not in (State.NEW, State.ENDED)

    def ended_with_error(self, may_exit: bool) -> bool:
        """Whether `run` raises for the way in which the daemon ended."""
        unasked = self.status is not None and not self._stop_asked and not may_exit
        return self.failure is not None or unasked

    def tail(self) -> tuple[str, ...]:
        """The last lines of standard error, or of standard output if there are none."""
        for blocks in reversed(self._tails):
            # The last two reads hold the last lines, unless the very last is a long one.
            if lines := decode_lines(b"".join(blocks))[-TAIL_LINES:]:
                return tuple(lines)
        return ()

    # Stopping.

    def stop(self, grace: float) -> None:
        """Ask the daemon to end: SIGTERM now, SIGKILL after ``grace`` seconds.

        Asked again, the earlier time holds. Does nothing once the session has ended.
        """
        if self.state is State.ENDED:
            return
        self._stop_asked = True
        self._kill_at = min(self._kill_at, trio.current_time() + grace)
        if self.state is State.RUNNING:
            self.state = State.STOPPING
            if grace > 0:
                self.signal(signal.SIGTERM)
                # A stopped process would keep the signal for later.
                self.signal(signal.SIGCONT)
        self._stop_changed.set()
        self._stop_changed = trio.Event()

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the daemon's whole group, if there is one."""
        if self._child is not None:
            self._child.send(signum)

    async def _kill_in_time(self, child: Child) -> None:
        while True:
            changed = self._stop_changed
            with trio.move_on_at(self._kill_at):
                await changed.wait()
            if trio.current_time() >= self._kill_at:
                child.send(signal.SIGKILL)
                return

    async def _stop_when_cancelled(self, grace: float) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            if self.status is None:
                self.stop(grace)
            raise

    # Running.

    async def run(
        self,
        command: tuple[str, ...],
        sink_query: str,
        pipe_path: Path,
        *,
        stop_grace: float,
        may_exit: bool,
        directory: Path | None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the daemon to its end. ``started`` is called when it has been spawned."""
        self.state = State.STARTING
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.end)
            await self.spec.prepare()
            pipe = EventPipe.make(pipe_path)
            stack.push_async_callback(_shielded, pipe.aclose)
            command = (*command, *self.spec.arguments())
            log(logging.DEBUG, self.name, self.color, shlex.join(command), bold=True)
            uri = f"file-descriptor-path://{pipe.path}?{sink_query}"
            child = await spawn(command, {**os.environ, EVENTS_VARIABLE: uri})
            stack.push_async_callback(_shielded, child.aclose)
            self._child = child
            self.pid = child.pid
            self.state = State.RUNNING
            if self._stop_asked:
                self.stop(max(0.0, self._kill_at - trio.current_time()))
            await self._attend(child, pipe, stop_grace, task_status)
        if self.failure is not None:
            raise self.failure
        if self.ended_with_error(may_exit):
            assert self.status is not None
            raise DaemonExited(self.name, self.status, self.tail(), directory)

    async def _attend(
        self, child: Child, pipe: EventPipe, grace: float, task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as outer:
            outer.start_soon(self._stop_when_cancelled, grace)
            task_status.started()
            # Bounded: cancellation asks for a stop, and every stop ends in SIGKILL.
            with trio.CancelScope(shield=True):
                await self._read_to_the_end(child, pipe)
            outer.cancel_scope.cancel(reason=f"{self.name} ended")

    async def _read_to_the_end(self, child: Child, pipe: EventPipe) -> None:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(self._kill_in_time, child)
            drained = trio.Event()
            tasks.start_soon(self._read_all, child, pipe, drained)
            await child.wait_exited()
            pipe.release()
            with trio.move_on_after(DRAIN):
                await drained.wait()
            # Somebody of the group may still hold the pipes, or simply go on.
            child.send(signal.SIGKILL)
            with trio.move_on_after(DRAIN):
                await drained.wait()
            self.status = await child.reap()
            tasks.cancel_scope.cancel(reason=f"{self.name} ended")

    async def _read_all(self, child: Child, pipe: EventPipe, drained: trio.Event) -> None:
        try:
            async with trio.open_nursery() as readers:
                readers.start_soon(self._read_events, pipe.reader)
                readers.start_soon(self._read_lines, child.stdout, self.stdout, 0)
                readers.start_soon(self._read_lines, child.stderr, self.stderr, 1)
        finally:
            drained.set()

    async def _read_events(self, stream: trio.abc.ReceiveStream) -> None:
        framer = Framer()
        try:
            while data := await stream.receive_some(READ_SIZE):
                if block := framer.feed(bytes(data)):
                    self._publish_events(block)
        finally:
            if block := framer.finish():
                self._publish_events(block)

    def _publish_events(self, block: bytes) -> None:
        records = decode_block(block)
        self.events.publish(block, len(records), records)
        wanted = self.spec.ready
        if (
            isinstance(wanted, ReadyEvent)
            and not self.ready.is_set()
            and any(record.name == wanted.name for record in records)
        ):
            self._become_ready()
        if self.handlers.events:
            for record in records:
                if isinstance(record, Event):
                    for handler in tuple(self.handlers.events):
                        self._call(handler, record, record.name or "an event without a name")

    async def _read_lines(self, stream: trio.abc.ReceiveStream, history: History[str], which: int) -> None:
        framer = Framer(MAX_LINE)
        tail = self._tails[which]
        handlers = self.handlers.stderr if which else self.handlers.stdout
        wanted = self.spec.ready
        pattern = wanted.pattern if isinstance(wanted, ReadyLine) and which == 0 else None

        def waits_for_ready() -> bool:
            return pattern is not None and not self.ready.is_set()

        def publish(block: bytes) -> None:
            if handlers or waits_for_ready() or _logging_output():
                lines = decode_lines(block)
                history.publish(block, len(lines), lines)
                for line in lines:
                    self._take_line(line, pattern, handlers)
            else:
                history.publish(block, block.count(b"\n") + (block[-1:] != b"\n"), None)
            tail.append(block[-8192:])

        try:
            while data := await stream.receive_some(READ_SIZE):
                if block := framer.feed(bytes(data)):
                    publish(block)
                # The line that says it may come without its end (peers have waited for ever).
                if pattern is not None and waits_for_ready() and _matches(pattern, framer.pending):
                    self._become_ready()
        finally:
            if block := framer.finish():
                publish(block)

    def _take_line(
        self, line: str, pattern: re.Pattern[str] | None, handlers: list[Callable[[str], object]]
    ) -> None:
        log(logging.DEBUG, self.name, self.color, line)
        if pattern is not None and not self.ready.is_set() and pattern.search(line):
            self._become_ready()
        for handler in tuple(handlers):
            self._call(handler, line, f"the line {line[:120]!r}")

    def _call(self, handler: Callable[[T], object], item: T, what: str) -> None:
        if self.failure is not None:
            return
        try:
            handler(item)
        except Exception as error:
            self.failure = HandlerFailed(self.name, getattr(handler, "__qualname__", repr(handler)), what)
            self.failure.__cause__ = error
            # The daemon is well; it gets its usual time to end.
            self.stop(30.0)

    def _become_ready(self) -> None:
        self.ready.set()
        self.settled.set()

    def end(self) -> None:
        """Say that nothing more will come, to everybody who waits."""
        self.state = State.ENDED
        self._child = None
        for history in (self.events, self.stdout, self.stderr):
            history.close()
        self.settled.set()
        self.ended.set()


async def _shielded(close: Callable[[], Awaitable[None]]) -> None:
    # Closing here never blocks; a cancelled checkpoint on the way must not leave a part undone.
    with trio.CancelScope(shield=True):
        await close()


def _matches(pattern: re.Pattern[str], line: bytes) -> bool:
    return bool(line) and pattern.search(line.decode("utf-8", "replace")) is not None


def _logging_output() -> bool:
    return logging.getLogger("accuser").isEnabledFor(logging.DEBUG)
