"""What one session of a daemon wrote: events and lines in histories, readiness, handlers.

Bytes come in by `take_events` and `take_lines`, from a process or from a recording. Nothing here
waits.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, length_hint
from typing import Any, Final, TypeVar

import attrs
import trio

from .._errors import HandlerFailed, MalformedEvent
from .._logs import log
from .._recording.writer import Recorder
from .._report import error_before_usage
from .._stream.decoding import (
    Mixed,
    byte_steps,
    decode_block,
    decode_lines,
    decode_steps,
    line_steps,
    text_steps,
)
from .._stream.event import Event, Malformed, Record
from .._stream.history import History
from .readiness import Ready, ReadyEvent, ReadyLine, Stream
from .supervise import Restart
from .timekeeper import Timekeeper

EVENTS_LIMIT: Final = 16 * 1024 * 1024
LINES_LIMIT: Final = 1024 * 1024
FEW: Final = 8
"""Waits that may look at all lines of a full read together; of more, others would wait too long."""
TAIL_LINES: Final = 12
TAIL_BYTES: Final = 8192
HEAD_BYTES: Final = 4096
"""Bytes of standard error that hold the error of a program which prints its usage after it."""

_LOGGER: Final = logging.getLogger("accuser")

T = TypeVar("T")


class State(enum.Enum):
    """What a session is doing."""

    NEW = "not started"
    WAITING = "waiting to restart"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


@attrs.define(eq=False, repr=False)
class Handlers:
    """The callbacks of a daemon; they outlive its sessions."""

    events: list[Callable[[Event], object]] = attrs.field(factory=list)
    malformed: list[Callable[[Malformed], object]] = attrs.field(factory=list)
    stdout: list[Callable[[str], object]] = attrs.field(factory=list)
    stderr: list[Callable[[str], object]] = attrs.field(factory=list)
    restarts: list[Callable[[Restart], object]] = attrs.field(factory=list)


@attrs.define(eq=False, repr=False)
class Transcript:
    """The histories of one session, and who is told as they grow."""

    name: str
    color: str
    ready_when: Ready
    handlers: Handlers
    recorder: Recorder = attrs.field(kw_only=True)
    events_limit: int = attrs.field(default=EVENTS_LIMIT, kw_only=True)
    strict: bool = attrs.field(default=False, kw_only=True)
    state: State = attrs.field(default=State.NEW, init=False)
    pid: int | None = attrs.field(default=None, init=False)
    status: int | None = attrs.field(default=None, init=False)
    """Exit status; the negative number of a signal; None while there is none."""
    ready: trio.Event = attrs.field(factory=trio.Event, init=False)
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    settled: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the session is ready or has ended, whichever comes first."""
    events: History[Record] = attrs.field(init=False)
    stdout: History[str] = attrs.field(init=False)
    stderr: History[str] = attrs.field(init=False)
    malformed: int = attrs.field(default=0, init=False)
    """How many pieces of the event stream were no events."""
    failure: BaseException | None = attrs.field(default=None, init=False)
    """The fault of a handler, or of the stream where that is to end the session."""
    keeper: Timekeeper | None = attrs.field(default=None, init=False)
    """Who ends waits in time; None where a wait has to do that itself."""
    _tails: dict[Stream, bytes] = attrs.field(factory=lambda: {"stdout": b"", "stderr": b""}, init=False)

    _head: bytes = attrs.field(default=b"", init=False)
    """The first bytes of standard error."""
    _untold: tuple[History[Any], Iterator[Any]] | None = attrs.field(default=None, init=False)
    """Where handlers are told of what was read, and what they have not been told of."""

    def __attrs_post_init__(self) -> None:
        self.events = History(decode_block, self.events_limit, attrgetter("name"), _names_of)
        self.stdout = _lines_history()
        self.stderr = _lines_history()

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.state not in (State.NEW, State.ENDED)

    def next_index(self, history: History[Any]) -> int:
        """Index of the record that comes next; for a handler, of the one behind that which it is told of."""
        told, left = self._untold or (None, ())
        return history.next_index - (length_hint(left) if told is history else 0)

    def tail(self) -> tuple[str, ...]:
        """The last lines of standard error, or of standard output if there are none."""
        last = self._tails["stderr"] or self._tails["stdout"]
        return tuple(decode_lines(last)[-TAIL_LINES:])

    def last_words(self) -> tuple[str, ...]:
        """What it gave as the error, where its usage follows that; otherwise its last lines."""
        return tuple(error_before_usage(decode_lines(self._head))[:TAIL_LINES]) or self.tail()

    def take_events(self, block: bytes) -> None:
        """Take whole lines of the event stream."""
        for raw, records in decode_steps(block):
            self.take_records(raw, records)

    # Here and in the two others that call what users gave: it may be in an endless loop.
    @trio.lowlevel.disable_ki_protection
    def take_records(self, raw: bytes, records: list[Record]) -> None:
        """Take a step of the event stream: its bytes, and what they decode to, if it has any."""
        if not raw:
            return
        self.events.publish(raw, len(records), records)
        if self.recorder.recording is not None:
            self.recorder.events(raw, records)
        wanted = self.ready_when
        if (
            not self.ready.is_set()
            and isinstance(wanted, ReadyEvent)
            and any(record.name == wanted.name for record in records)
        ):
            self.become_ready()
        handlers = self.handlers.events
        mixed = type(records) is Mixed
        if not (handlers or mixed):
            return
        left = self._to_tell(self.events, records)
        try:
            if mixed:
                handlers = handlers.copy()
                for record in left:
                    if isinstance(record, Malformed):
                        self._report(record)
                    else:
                        for handler in handlers:
                            self.call(handler, record, _event_told(record))
            else:
                self._tell(handlers, left, _event_told)
        finally:
            self._untold = None

    def _to_tell(self, history: History[Any], records: Sequence[Any]) -> Iterator[Any]:
        left = iter(records)
        self._untold = history, left
        return left

    def _tell(
        self, handlers: list[Callable[[Any], object]], items: Iterable[Any], what: Callable[[Any], str]
    ) -> None:
        """Call handlers with each item, unless one has failed; if one fails, so does the session."""
        if self.failure is not None:
            return
        item: Any = None
        # A handler may add another one, which begins with the next step.
        handler, *others = handlers
        try:
            # A step of Python for each item is what throughput is made of.
            if not others:
                for item in items:
                    handler(item)
            else:
                handlers = handlers.copy()
                for item in items:
                    for handler in handlers:
                        handler(item)
        except BaseException as error:  # noqa: ASYNC103 - no checkpoint, no Cancelled
            self._failed(handler, what(item), error)

    @trio.lowlevel.disable_ki_protection
    def take_lines(self, stream: Stream, block: bytes, lines: list[str] | None = None) -> None:
        """Take whole lines of output: their bytes, and what they decode to, if that is known already."""
        history: History[str] = getattr(self, stream)
        if self._listened(stream):
            lines = decode_lines(block) if lines is None else lines
            history.publish(block, len(lines), lines)
            self.recorder.lines(stream, lines)
            left = self._to_tell(history, lines)
            try:
                if self._awaits_line(stream) or _LOGGER.isEnabledFor(logging.DEBUG):
                    self._take_each(stream, left)
                elif handlers := getattr(self.handlers, stream):
                    self._tell(handlers, left, _line_told)
            finally:
                self._untold = None
        else:
            history.publish(block, block.count(b"\n") + (block[-1:] != b"\n"), None)
        if stream == "stderr" and len(self._head) < HEAD_BYTES:
            self._head = (self._head + block[:HEAD_BYTES])[:HEAD_BYTES]
        tail = block[-TAIL_BYTES:]
        self._tails[stream] = tail if len(tail) == TAIL_BYTES else (self._tails[stream] + tail)[-TAIL_BYTES:]

    def _take_each(self, stream: Stream, lines: Iterable[str]) -> None:
        """Log each line, and look whether it says that the daemon is ready, before handlers have it."""
        handlers: list[Callable[[str], object]] = getattr(self.handlers, stream).copy()
        for line in lines:
            log(logging.DEBUG, self.name, self.color, line)
            self.peek_line(stream, line)
            for handler in handlers:
                self.call(handler, line, _line_told(line))

    def line_steps(self, stream: Stream, block: bytes) -> Iterable[tuple[bytes, list[str] | None]]:
        """Cut lines of output into steps, each of which `take_lines` takes in a short time."""
        if not self._listened(stream):
            return ((block, None),)
        # To write a line down takes many times as long as to tell of it, and many waits as long as one.
        if self.recorder.recording is not None or _LOGGER.isEnabledFor(logging.DEBUG):
            return ((part, None) for part in line_steps(block))
        history: History[str] = getattr(self, stream)
        if history.watchers > FEW:
            return ((part, None) for part in byte_steps(block))
        return text_steps(block)

    def _listened(self, stream: Stream) -> bool:
        history: History[str] = getattr(self, stream)
        listened = getattr(self.handlers, stream) or history.watched or self._awaits_line(stream)
        recorded = self.recorder.recording is not None
        return bool(listened) or recorded or _LOGGER.isEnabledFor(logging.DEBUG)

    @trio.lowlevel.disable_ki_protection
    def peek_line(self, stream: Stream, line: str | bytes) -> None:
        """Look whether a line, complete or not, says that the daemon is ready.

        The line that says it may come without its end (peers have waited for ever).
        """
        if line and self._awaits_line(stream):
            text = line if isinstance(line, str) else line.decode("utf-8", "replace")
            assert isinstance(self.ready_when, ReadyLine)
            if self.ready_when.pattern.search(text):
                self.become_ready()

    def become_ready(self) -> None:
        """Say that the daemon is ready."""
        self.recorder.ready()
        self.ready.set()
        self.settled.set()

    def end(self) -> None:
        """Say that nothing more will come, to everybody who waits."""
        if self.ended.is_set():
            return
        self.state = State.ENDED
        for history in (self.events, self.stdout, self.stderr):
            history.close()
        self.settled.set()
        self.ended.set()

    def fail(self, failure: BaseException) -> None:
        """Note that the session is to end with an error."""
        self.failure = failure

    def _awaits_line(self, stream: Stream) -> bool:
        wanted = self.ready_when
        return isinstance(wanted, ReadyLine) and wanted.stream == stream and not self.ready.is_set()

    def _report(self, piece: Malformed) -> None:
        self.malformed += 1
        log(logging.WARNING, self.name, self.color, f"malformed event: {piece.reason}: {piece.raw[:200]!r}")
        for handler in tuple(self.handlers.malformed):
            self.call(handler, piece, "a malformed event")
        if self.strict and self.failure is None:
            self.fail(MalformedEvent(self.name, piece.reason, piece.raw))

    def call(self, handler: Callable[[T], object], item: T, what: str) -> None:
        """Call a handler, unless one has failed; if it fails, so does the session."""
        if self.failure is not None:
            return
        try:
            handler(item)
        except BaseException as error:  # noqa: ASYNC103 - no checkpoint, no Cancelled
            self._failed(handler, what, error)

    def _failed(self, handler: Callable[[T], object], what: str, error: BaseException) -> None:
        if not isinstance(error, Exception):
            # An exit or an interrupt is no fault of the handler; it ends the session as itself.
            self.fail(error)
            return
        failure = HandlerFailed(self.name, getattr(handler, "__qualname__", repr(handler)), what)
        failure.__cause__ = error
        self.fail(failure)


def _lines_history() -> History[str]:
    return History(decode_lines, LINES_LIMIT)


def _event_told(event: Record) -> str:
    return event.name or "an event without a name"


def _line_told(line: str) -> str:
    return f"the line {line[:120]!r}"


def _names_of(records: Sequence[Record]) -> set[str | None]:
    # The keys of all payloads, without a step of Python for each: for an event with a name that is
    # the name, and what other payloads add is no event's name.
    try:
        return set().union(*[record.event for record in records])  # type: ignore[union-attr]  # AttributeError: below
    except (AttributeError, TypeError):
        return {record.name for record in records}
