"""What can be asked of a daemon while it runs, and of a recording of one: waits and handlers."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, Unpack, overload

import attrs

from .._checks import check_plain
from .._engine.transcript import Handlers, Transcript
from .._engine.waits import DEFAULT, Absence, Default, Expectation, Mark, events_from
from .._logs import log
from .._mavryk.protocol import Protocol
from .._stream.event import Event, Malformed
from .._stream.watch import Filter
from .waits import AbsenceOptions, EventOptions, LineOptions, WaitOptions, Waits, awaited

if TYPE_CHECKING:
    from ..events import TypedEvent

    Name: TypeAlias = str | type[TypedEvent]

T = TypeVar("T")
"""What a filter answers."""
U = TypeVar("U")
E = TypeVar("E", bound="TypedEvent")

Step: TypeAlias = "type[T] | tuple[Name, Filter[T]]"


# Fields are those that say so: the annotated methods are none.
@attrs.define(eq=False, repr=False, auto_attribs=False)
class Observed:
    """Events and output lines of the sessions of one daemon."""

    name: str = attrs.field()
    """Prefix of log lines and names of temporary files."""
    color: str = attrs.field()
    """SGR sequence that colours the log lines."""
    _kind: str = attrs.field()
    _protocol: Protocol | None = attrs.field()
    _wait_timeout: float | None = attrs.field()
    _unknown_events: bool = attrs.field()
    _handlers: Handlers = attrs.field(factory=Handlers, init=False)
    _waits: Waits = attrs.field(init=False)

    def _waits_on(self, current: Callable[[], Transcript]) -> Waits:
        # ``current`` gives the session of now, and does not hold this handle: a temporary directory lives as
        # long as the handle, which a circle of references would keep.
        return Waits(
            self.name,
            self.color,
            self._kind,
            self._protocol,
            self._wait_timeout,
            self._unknown_events,
            self._handlers,
            current,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    # Waiting.

    async def wait_for_ready(self, *, timeout: float | Default | None = DEFAULT) -> None:
        """Wait until the daemon is ready: at once if it is, after the start if it was not run.

        Raises:
            TerminatedBeforeEvent: it ended before, or has ended.
            EventTimeout: ``timeout`` seconds (by default the daemon's) have passed.
        """
        await self._waits.until_ready(self._waits.current(), timeout)

    def mark(self) -> Mark:
        """Remember this moment, for ``since=``: what comes from now on."""
        return Mark.now(self._waits.current())

    def start_mark(self) -> Mark:
        """The start of the current session, or of the last one, for ``since=``."""
        return Mark(self._waits.current())

    @overload
    def expect(
        self,
        what: type[E],
        filter: None = None,
        *,
        count: None = None,
        full: Literal[False] = False,
        **options: Unpack[EventOptions],
    ) -> Expectation[E]: ...
    @overload
    def expect(
        self,
        what: type[E],
        filter: None = None,
        *,
        count: int,
        full: Literal[False] = False,
        **options: Unpack[EventOptions],
    ) -> Expectation[list[E]]: ...
    @overload
    def expect(
        self,
        what: type[E],
        filter: Callable[[E], T | None],
        *,
        count: None = None,
        full: Literal[False] = False,
        **options: Unpack[EventOptions],
    ) -> Expectation[T]: ...
    @overload
    def expect(
        self,
        what: type[TypedEvent],
        filter: Filter[T],
        *,
        count: None = None,
        full: Literal[True],
        **options: Unpack[EventOptions],
    ) -> Expectation[T]: ...
    @overload
    def expect(
        self,
        what: str | Sequence[Name],
        filter: Filter[T],
        *,
        count: None = None,
        full: bool = False,
        **options: Unpack[EventOptions],
    ) -> Expectation[T]: ...
    @overload
    def expect(
        self,
        what: str,
        filter: None = None,
        *,
        count: None = None,
        full: Literal[False] = False,
        **options: Unpack[EventOptions],
    ) -> Expectation[Any]: ...
    @overload
    def expect(
        self,
        what: Sequence[Name],
        filter: None = None,
        *,
        count: None = None,
        full: Literal[False] = False,
        **options: Unpack[EventOptions],
    ) -> Expectation[Event]: ...
    @overload
    def expect(
        self,
        what: Name | Sequence[Name],
        filter: None = None,
        *,
        count: None = None,
        full: Literal[True],
        **options: Unpack[EventOptions],
    ) -> Expectation[dict[str, Any]]: ...
    @overload
    def expect(
        self,
        what: Name | Sequence[Name],
        filter: Filter[Any] | None = None,
        *,
        count: int,
        full: bool = False,
        **options: Unpack[EventOptions],
    ) -> Expectation[list[Any]]: ...
    def expect(
        self,
        what: Any,
        filter: Filter[Any] | None = None,
        *,
        count: int | None = None,
        full: bool = False,
        **options: Unpack[EventOptions],
    ) -> Expectation[Any]:
        """As `wait_for`, but the waiting begins with this call, not with the ``await``.

        ``await`` the result later, or put what causes the event into an ``async with`` block of
        it, whose end waits. The time-out counts from the ``await``.
        """
        return self._waits.expect(what, filter, count, WaitOptions(full=full, **options))

    wait_for: Final = awaited(expect)
    wait_for.__doc__ = """Wait for an event.

        Args:
            what: its name with the version, as in ``"double_baking_denounced.v0"``; or its class
                in `accuser.events`, and then the filter gets and this returns an object of that
                class; or several of either, of which the first that comes counts, and then it is
                `Event` objects.
            filter: a plain function that gets the event's value; answers None to go on waiting, or
                what this call returns. Without one, the first event's value is returned.
            count: wait for so many, and return them as a list.
            nth: wait for so many, and return the last.
            where: the filter in words, for messages.
            since: where to begin, a mark of this daemon; by default now, so that an event before
                the call is not seen.
            timeout: seconds, or None for no limit; by default the daemon's own.
            full: give the filter the whole item, and return it, in place of the value.
            unknown: wait even for a name that this kind of daemon never emits.

        Before the first run, waits for it. An exception of the filter reaches the caller, and
        nobody else. A filter that is a plain function without a closure may be asked once for
        several waits that share it. Cancelling is harmless.

        Raises:
            TerminatedBeforeEvent: the daemon ended, or has ended, and no such event had come.
            EventTimeout: no such event in time.
            UnknownEvent: this kind of daemon never emits it.
            UnexpectedValue: a value that does not fit the class.
            Lagged: ``since`` is so long ago that the history does not hold it any more.
            ValueError: ``since`` is a mark of another daemon.
            TypeError: an option that there is not, or a filter that is asynchronous.
        """

    @overload
    async def wait_for_sequence(
        self, steps: tuple[Step[T], Step[U]], **options: Unpack[WaitOptions]
    ) -> tuple[T, U]: ...
    @overload
    async def wait_for_sequence(
        self, steps: Sequence[Name | tuple[Name, Filter[Any]]], **options: Unpack[WaitOptions]
    ) -> tuple[Any, ...]: ...
    async def wait_for_sequence(
        self, steps: Sequence[Any], **options: Unpack[WaitOptions]
    ) -> tuple[Any, ...]:
        """Wait for events in this order, others in between allowed; return a tuple of their values.

        Args:
            steps: names or classes, each alone or with its filter. Of two classes in a tuple, type
                checkers know what comes back.
            options: as of `wait_for`; the time-out is that of all steps together.

        Raises as `wait_for` does; the error names the step, and what met the steps before.
        """
        return await self._waits.sequence(steps, options)

    def expect_no(
        self,
        what: Name | Sequence[Name],
        filter: Filter[Any] | None = None,
        *,
        within: float,
        **options: Unpack[AbsenceOptions],
    ) -> Absence:
        """Expect that no such event comes from now on until ``within`` seconds after the ``await``.

        Await the result, or put what must not cause it into an ``async with`` block of it, whose end
        waits. It returns when the time is over, or as soon as the session has ended.
        ``where``, ``since``, ``full`` and ``unknown`` are those of `wait_for`.

        Raises:
            UnexpectedEvent: as soon as it came.
            TypeError: another option, as ``timeout`` or ``nth``.
        """
        return self._waits.expect_no(what, filter, within, options)

    @overload
    def expect_line(
        self,
        pattern: str | re.Pattern[str],
        filter: None = None,
        *,
        stream: Literal["stdout", "stderr"] = "stdout",
        count: None = None,
        **options: Unpack[LineOptions],
    ) -> Expectation[re.Match[str]]: ...
    @overload
    def expect_line(
        self,
        pattern: str | re.Pattern[str],
        filter: Callable[[re.Match[str]], Any] | None = None,
        *,
        stream: Literal["stdout", "stderr"] = "stdout",
        count: int | None = None,
        **options: Unpack[LineOptions],
    ) -> Expectation[Any]: ...
    def expect_line(
        self,
        pattern: str | re.Pattern[str],
        filter: Callable[[re.Match[str]], Any] | None = None,
        *,
        stream: Literal["stdout", "stderr"] = "stdout",
        count: int | None = None,
        **options: Unpack[LineOptions],
    ) -> Expectation[Any]:
        """As `wait_for_line`, but the waiting begins with this call."""
        return self._waits.expect_line(pattern, filter, stream, count, options)

    wait_for_line: Final = awaited(expect_line)
    wait_for_line.__doc__ = """Wait for a line of output in which ``pattern`` is found; return the match.

        Args:
            pattern: a regular expression, searched in each line without its line end.
            filter: gets the match; answers None to go on waiting, or what this call returns.
            stream: where to look.
            count, nth, where, since, timeout: as of `wait_for`.

        Raises as `wait_for` does.
        """

    @asynccontextmanager
    async def subscribe(self, *, since: Mark | None = None) -> AsyncGenerator[AsyncGenerator[Event]]:
        """Iterate over the events from now on, or from ``since`` on, to the session's end.

        Use as ``async with daemon.subscribe() as events: async for event in events: ...``. Any
        number of consumers may, each at its own speed.

        Raises:
            Lagged: from the iteration; this consumer is so slow that events were dropped.
        """
        mark = self._waits.since(since)
        async with contextlib.aclosing(events_from(mark)) as events:
            yield events

    # Handlers.

    def on_event(self, handler: Callable[[Event], object]) -> None:
        """Call ``handler``, a plain function, with every event, of this session and of later ones.

        It is called as soon as the event was read, before waiters go on. A wait that it begins sees the
        events behind that one; a handler that it adds is told from the next read on. An exception of it
        ends the session with `HandlerFailed`.
        """
        self._handlers.events.append(_plain(handler))

    def on_stdout(self, handler: Callable[[str], object]) -> None:
        """Call ``handler`` with every line of standard output, without its line end."""
        self._handlers.stdout.append(_plain(handler))

    def on_stderr(self, handler: Callable[[str], object]) -> None:
        """Call ``handler`` with every line of standard error, without its line end."""
        self._handlers.stderr.append(_plain(handler))

    def log_events(self, max_length: int | None = None) -> None:
        """Log every event at level INFO, its value cut after ``max_length`` characters."""

        def show(event: Event) -> None:
            value = json.dumps(event.value, indent=2, ensure_ascii=False)
            if max_length is not None and len(value) > max_length:
                value = value[:max_length] + "[...]"
            log(logging.INFO, self.name, self.color, f"Received event: {event.name} = {value}")

        self.on_event(show)

    def on_malformed(self, handler: Callable[[Malformed], object]) -> None:
        """Call ``handler`` with every piece of the event stream that is no event."""
        self._handlers.malformed.append(_plain(handler))

    @property
    def malformed(self) -> int:
        """How many pieces of this session's event stream were no events."""
        return self._waits.current().malformed


def _plain(handler: Callable[[T], object]) -> Callable[[T], object]:
    check_plain(handler, "a handler")
    return handler
