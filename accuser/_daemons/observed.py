"""What can be asked of a daemon while it runs, and of a recording of one: waits and handlers."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, TypeVar, Unpack, overload

import attrs
import trio

from .._checks import check_options
from .._engine.explain import status_report
from .._engine.transcript import Handlers, State, Transcript
from .._engine.waits import (
    DEFAULT,
    Absence,
    Default,
    Expectation,
    Mark,
    Search,
    events_from,
    terminated,
    time_limit,
    timed_out,
)
from .._errors import EventTimeout, UnknownEvent
from .._logs import log
from .._mavryk.protocol import Protocol
from .._stream.event import Event, Malformed
from .._stream.watch import (
    Filter,
    Watch,
    event_of,
    full_of,
    value_of,
)

if TYPE_CHECKING:
    from ..events import TypedEvent

    What: TypeAlias = str | type[TypedEvent] | Sequence[str | type[TypedEvent]]

WAIT_TIMEOUT: Final = 60.0
"""Seconds that a wait lasts by default: long for any sandbox, short for a test run that hangs."""

T = TypeVar("T")
E = TypeVar("E", bound="TypedEvent")


class WaitOptions(TypedDict, total=False):
    """Options of the waits; `Daemon.wait_for` tells what they mean."""

    nth: int
    where: str | None
    since: Mark | None
    timeout: float | Default | None
    full: bool
    unknown: bool


@attrs.define(eq=False)
class Observed:
    """Events and output lines of the sessions of one daemon."""

    name: str
    """Prefix of log lines and names of temporary files."""
    color: str
    """SGR sequence that colours the log lines."""
    _kind: str
    _protocol: Protocol | None
    _wait_timeout: float | None
    _unknown_events: bool
    _handlers: Handlers = attrs.field(factory=Handlers, init=False)
    _session: Transcript = attrs.field(init=False)
    _catalogue: frozenset[str] | None = attrs.field(default=None, init=False)
    """All names of events that it emits; None for those that `events` knows of its kind."""

    # Waiting.

    async def wait_for_ready(self, *, timeout: float | Default | None = DEFAULT) -> None:
        """Wait until the daemon is ready: at once if it is, after the start if it was not run.

        Raises:
            TerminatedBeforeEvent: it ended before, or has ended.
            EventTimeout: ``timeout`` seconds (by default the daemon's) have passed.
        """
        await self._wait_until_ready(self._session, timeout)

    async def _wait_until_ready(self, session: Transcript, timeout: float | Default | None = DEFAULT) -> None:
        label = session.ready_when.label
        await self._until(session, session.settled.wait, label, None, timeout)
        if not session.ready.is_set() or session.state is State.ENDED:
            raise terminated(session, label, "", None, status_report(session))

    async def _until(
        self,
        session: Transcript,
        wait: Callable[[], Awaitable[object]],
        label: str,
        where: str | None,
        timeout: float | Default | None,
    ) -> None:
        def error(seconds: float) -> EventTimeout:
            return timed_out(session, label, "", where, seconds, status_report(session))

        with time_limit(self._seconds(timeout), error):
            await wait()

    def _seconds(self, timeout: float | Default | None) -> float | None:
        return self._wait_timeout if isinstance(timeout, Default) else timeout

    def mark(self) -> Mark:
        """Remember this moment, for ``since=``: what comes from now on."""
        return Mark.now(self._session)

    def start_mark(self) -> Mark:
        """The start of the current session, or of the last one, for ``since=``."""
        return Mark(self._session)

    def _since(self, mark: Mark | None) -> Mark:
        if mark is None:
            return self.mark()
        # The handlers are what all sessions of one handle have in common.
        if (session := mark._session).handlers is not self._handlers:
            raise ValueError(f"since= was given a mark of {session.name}; {self.name} needs one of its own")
        return mark

    @overload
    async def wait_for(
        self, what: type[E], filter: None = None, *, count: None = None, **options: Unpack[WaitOptions]
    ) -> E: ...
    @overload
    async def wait_for(
        self,
        what: type[E],
        filter: Callable[[E], T | None],
        *,
        count: None = None,
        **options: Unpack[WaitOptions],
    ) -> T: ...
    @overload
    async def wait_for(
        self, what: str, filter: None = None, *, count: None = None, **options: Unpack[WaitOptions]
    ) -> Any: ...
    @overload
    async def wait_for(
        self, what: str, filter: Filter[T], *, count: None = None, **options: Unpack[WaitOptions]
    ) -> T: ...
    @overload
    async def wait_for(
        self,
        what: Sequence[str | type[TypedEvent]],
        filter: None = None,
        *,
        count: None = None,
        **options: Unpack[WaitOptions],
    ) -> Event: ...
    @overload
    async def wait_for(
        self,
        what: Sequence[str | type[TypedEvent]],
        filter: Callable[[Event], T | None],
        *,
        count: None = None,
        **options: Unpack[WaitOptions],
    ) -> T: ...
    @overload
    async def wait_for(
        self, what: What, filter: Filter[Any] | None = None, *, count: int, **options: Unpack[WaitOptions]
    ) -> list[Any]: ...
    async def wait_for(
        self,
        what: What,
        filter: Filter[Any] | None = None,
        *,
        count: int | None = None,
        **options: Unpack[WaitOptions],
    ) -> Any:
        """Wait for an event.

        Args:
            what: its name with the version, as in ``"double_baking_denounced.v0"``; or its class
                in `accuser.events`, and then the filter gets and this returns an object of that
                class; or several of either, of which the first that comes counts, and then it is
                `Event` objects.
            filter: gets the event's value; answers None to go on waiting, or what this call
                returns. Without one, the first event's value is returned.
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
        """
        expectation: Expectation[Any] = self._expect(what, filter, count, options)
        return await expectation

    @overload
    def expect(
        self, what: type[E], filter: None = None, *, count: None = None, **options: Unpack[WaitOptions]
    ) -> Expectation[E]: ...
    @overload
    def expect(
        self,
        what: type[E],
        filter: Callable[[E], T | None],
        *,
        count: None = None,
        **options: Unpack[WaitOptions],
    ) -> Expectation[T]: ...
    @overload
    def expect(
        self, what: str, filter: None = None, *, count: None = None, **options: Unpack[WaitOptions]
    ) -> Expectation[Any]: ...
    @overload
    def expect(
        self, what: str, filter: Filter[T], *, count: None = None, **options: Unpack[WaitOptions]
    ) -> Expectation[T]: ...
    @overload
    def expect(
        self,
        what: Sequence[str | type[TypedEvent]],
        filter: None = None,
        *,
        count: None = None,
        **options: Unpack[WaitOptions],
    ) -> Expectation[Event]: ...
    @overload
    def expect(
        self,
        what: Sequence[str | type[TypedEvent]],
        filter: Callable[[Event], T | None],
        *,
        count: None = None,
        **options: Unpack[WaitOptions],
    ) -> Expectation[T]: ...
    @overload
    def expect(
        self, what: What, filter: Filter[Any] | None = None, *, count: int, **options: Unpack[WaitOptions]
    ) -> Expectation[list[Any]]: ...
    def expect(
        self,
        what: What,
        filter: Filter[Any] | None = None,
        *,
        count: int | None = None,
        **options: Unpack[WaitOptions],
    ) -> Expectation[Any]:
        """As `wait_for`, but the waiting begins with this call, not with the ``await``.

        ``await`` the result later, or put what causes the event into an ``async with`` block of
        it, whose end waits. The time-out counts from the ``await``.
        """
        return self._expect(what, filter, count, options)

    def _expect(
        self, what: What, filter: Filter[Any] | None, count: int | None, options: WaitOptions
    ) -> Expectation[Any]:
        wanted = _wanted(count, options)
        names, convert = self._names(
            what, full=options.get("full", False), unknown=options.get("unknown", False)
        )
        search = self._search(names, convert, filter, wanted, options)
        log(logging.DEBUG, self.name, self.color, f"Waiting for event [{search.label}]{_where(search.where)}")
        return Expectation(search, list if count is not None else _last)

    def _search(
        self,
        names: Sequence[str],
        convert: Callable[[Event], Any],
        filter: Filter[Any] | None,
        count: int,
        options: WaitOptions,
    ) -> Search:
        mark = self._since(options.get("since"))
        label = " / ".join(names)
        watch: Watch[Any] = Watch(
            frozenset(names), convert, filter, count, f"in the filter for event {label} of {self.name}"
        )
        seconds = self._seconds(options.get("timeout", DEFAULT))
        session = mark._session
        return Search(
            session, session.events, mark._events, watch, label, label, options.get("where"), seconds
        )

    def _names(self, what: What, *, full: bool, unknown: bool) -> tuple[list[str], Callable[[Event], Any]]:
        names = [self._name(one, unknown) for one in ((what,) if isinstance(what, str | type) else what)]
        if not names:
            raise ValueError("name at least one event to wait for")
        if full:
            return names, full_of
        if isinstance(what, str):
            return names, value_of
        return names, what.from_event if isinstance(what, type) else event_of

    def _name(self, what: str | type[TypedEvent], unknown: bool) -> str:
        if not isinstance(what, str):
            return what.event_name(self._protocol)
        if not (unknown or self._unknown_events):
            self._check_known(what)
        return what

    def _check_known(self, name: str) -> None:
        from .. import events

        kind = self._kind
        known = self._catalogue
        complete = kind == "accuser" or known is not None
        if known is None:
            known = events.catalogue(kind, self._protocol)
        if not known or name in known:
            return
        suggestions = events.suggest(name, known)
        # The catalogue of the node has what upstream's tests use; nodes emit many more.
        if complete or suggestions or name in events.catalogue("accuser", Protocol.BOREAS):
            raise UnknownEvent(self.name, name, suggestions)

    async def wait_for_sequence(
        self,
        steps: Sequence[str | type[TypedEvent] | tuple[str | type[TypedEvent], Filter[Any]]],
        **options: Unpack[WaitOptions],
    ) -> list[Any]:
        """Wait for events in this order, others in between allowed; return their values.

        Args:
            steps: names or classes, each alone or with its filter.
            options: as of `wait_for`; the time-out is that of all steps together.

        Raises as `wait_for` does; the error names the step.
        """
        seconds = self._seconds(options.get("timeout", DEFAULT))
        deadline = trio.current_time() + (math.inf if seconds is None else seconds)
        mark = self._since(options.get("since"))
        values = []
        for number, step in enumerate(steps, 1):
            what, choose = step if isinstance(step, tuple) else (step, None)
            left = max(0.0, deadline - trio.current_time())
            step_options = options.copy()
            step_options["since"] = mark
            step_options["timeout"] = None if left == math.inf else left
            if "where" not in options:
                step_options["where"] = f"it is step {number} of {len(steps)}"
            expectation = self._expect(what, choose, None, step_options)
            values.append(await expectation)
            mark = attrs.evolve(mark, events=expectation._search.watch.index + 1)
        return values

    def expect_no(
        self,
        what: What,
        filter: Filter[Any] | None = None,
        *,
        within: float,
        **options: Unpack[WaitOptions],
    ) -> Absence:
        """Expect that no such event comes from now on until ``within`` seconds after the ``await``.

        Await the result. It returns when the time is over, or as soon as the session has ended.
        Other arguments are those of `wait_for`.

        Raises:
            UnexpectedEvent: as soon as it came.
        """
        names, convert = self._names(
            what, full=options.get("full", False), unknown=options.get("unknown", False)
        )
        check_options(options, WaitOptions)
        options["timeout"] = None
        return Absence(self._search(names, convert, filter, 1, options), within)

    async def wait_for_line(
        self,
        pattern: str | re.Pattern[str],
        filter: Callable[[re.Match[str]], T | None] | None = None,
        *,
        stream: Literal["stdout", "stderr"] = "stdout",
        count: int | None = None,
        **options: Unpack[WaitOptions],
    ) -> Any:
        """Wait for a line of output in which ``pattern`` is found; return the match.

        Args:
            pattern: a regular expression, searched in each line without its line end.
            filter: gets the match; answers None to go on waiting, or what this call returns.
            stream: where to look.
            count, options: as of `wait_for`; ``full`` and ``unknown`` have no meaning here.

        Raises as `wait_for` does.
        """
        return await self.expect_line(pattern, filter, stream=stream, count=count, **options)

    def expect_line(
        self,
        pattern: str | re.Pattern[str],
        filter: Callable[[re.Match[str]], T | None] | None = None,
        *,
        stream: Literal["stdout", "stderr"] = "stdout",
        count: int | None = None,
        **options: Unpack[WaitOptions],
    ) -> Expectation[Any]:
        """As `wait_for_line`, but the waiting begins with this call."""
        search_in = re.compile(pattern).search

        def found(line: str) -> Any:
            match = search_in(line)
            return match if match is None or filter is None else filter(match)

        mark = self._since(options.get("since"))
        session = mark._session
        history, begin = (
            (session.stdout, mark._stdout) if stream == "stdout" else (session.stderr, mark._stderr)
        )
        label = f"line of {stream} that matches {re.compile(pattern).pattern!r}"
        watch: Watch[Any] = Watch(
            frozenset({""}),
            event_of,
            found,
            _wanted(count, options),
            f"in the filter for a {label} of {self.name}",
        )
        seconds = self._seconds(options.get("timeout", DEFAULT))
        search = Search(
            session, history, begin, watch, label, f"lines of {stream}", options.get("where"), seconds
        )
        return Expectation(search, list if count is not None else _last)

    @asynccontextmanager
    async def subscribe(self, *, since: Mark | None = None) -> AsyncGenerator[AsyncGenerator[Event]]:
        """Iterate over the events from now on, or from ``since`` on, to the session's end.

        Use as ``async with daemon.subscribe() as events: async for event in events: ...``. Any
        number of consumers may, each at its own speed.

        Raises:
            Lagged: from the iteration; this consumer is so slow that events were dropped.
        """
        mark = self._since(since)
        async with contextlib.aclosing(events_from(mark)) as events:
            yield events

    # Handlers.

    def on_event(self, handler: Callable[[Event], object]) -> None:
        """Call ``handler`` with every event, of this session and of later ones.

        It is called as soon as the event was read, before waiters go on. An exception of it
        ends the session with `HandlerFailed`.
        """
        self._handlers.events.append(handler)

    def on_stdout(self, handler: Callable[[str], object]) -> None:
        """Call ``handler`` with every line of standard output, without its line end."""
        self._handlers.stdout.append(handler)

    def on_stderr(self, handler: Callable[[str], object]) -> None:
        """Call ``handler`` with every line of standard error, without its line end."""
        self._handlers.stderr.append(handler)

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
        self._handlers.malformed.append(handler)

    @property
    def malformed(self) -> int:
        """How many pieces of this session's event stream were no events."""
        return self._session.malformed


def _wanted(count: int | None, options: WaitOptions) -> int:
    check_options(options, WaitOptions)
    nth = options.get("nth")
    if count is not None and nth is not None:
        raise ValueError("give count or nth, not both")
    wanted = count if count is not None else 1 if nth is None else nth
    if wanted < 1:
        raise ValueError(f"the number to wait for must be positive, and is {wanted}")
    return wanted


def _last(taken: list[Any]) -> Any:
    return taken[-1]


def _where(where: str | None) -> str:
    return "" if where is None else f" where {where}"
