"""What a wait is made of: names of events, filters, marks and time-outs, as callers give them."""

from __future__ import annotations

import functools
import inspect
import logging
import math
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeAlias, TypedDict, TypeVar

import attrs
import trio

from .._checks import check_options, check_plain, check_seconds, check_wait
from .._engine.explain import short, status_report
from .._engine.readiness import Stream
from .._engine.transcript import Handlers, State, Transcript
from .._engine.waits import DEFAULT, Absence, Default, Expectation, Mark, TimeLimit, terminated, timed_out
from .._errors import EventTimeout, TerminatedBeforeEvent, UnknownEvent
from .._logs import log
from .._mavryk.protocol import Protocol
from .._stream.event import Event
from .._stream.watch import Filter, Watch, event_of, full_of, value_of

if TYPE_CHECKING:
    from ..events import TypedEvent

    Name: TypeAlias = str | type[TypedEvent]
    What: TypeAlias = Name | Sequence[Name]

WAIT_TIMEOUT: Final = 60.0
"""Seconds that a wait lasts by default: long for any sandbox, short for a test run that hangs."""

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


class LineOptions(TypedDict, total=False):
    """Options of the waits for lines; `Daemon.wait_for` tells what they mean."""

    nth: int
    where: str | None
    since: Mark | None
    timeout: float | Default | None


class EventOptions(LineOptions, total=False):
    """Options of the waits for events, beside those that decide what comes back."""

    unknown: bool


class WaitOptions(EventOptions, total=False):
    """Options of the waits; `Daemon.wait_for` tells what they mean."""

    full: bool


class AbsenceOptions(TypedDict, total=False):
    """Options of `Daemon.expect_no`; `Daemon.wait_for` tells what they mean."""

    where: str | None
    since: Mark | None
    unknown: bool
    full: bool


def awaited(
    expect: Callable[Concatenate[S, P], Expectation[T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make the method that awaits what ``expect`` returns.

    It has the parameters of ``expect``, and its result for each overload: they are declared once. This is
    the only argument: mypy follows overloads through no call with a second one.
    """

    async def wait_for(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await expect(self, *args, **kwargs)

    signature = inspect.signature(expect).replace(return_annotation=Any)
    wait_for.__name__ = expect.__name__.replace("expect", "wait_for")
    wait_for.__qualname__ = expect.__qualname__.replace(expect.__name__, wait_for.__name__)
    wait_for.__module__ = expect.__module__
    wait_for.__signature__ = signature  # type: ignore[attr-defined]  # read by inspect.signature
    return wait_for


@attrs.define(eq=False, repr=False)
class Waits:
    """The waits for what one daemon writes."""

    name: str
    color: str
    kind: str
    protocol: Protocol | None
    timeout: float | None
    """Seconds that waits last by default; None for no limit."""
    any_name: bool
    """Whether any name of event can be waited for."""
    handlers: Handlers
    current: Callable[[], Transcript]
    """Gives the session of now."""
    catalogue: frozenset[str] | None = attrs.field(default=None, init=False)
    """All names of events that it emits; None for those that `events` knows of its kind."""

    def seconds(self, timeout: float | Default | None) -> float | None:
        """How long a wait lasts."""
        return self.timeout if isinstance(timeout, Default) else check_wait(timeout)

    def since(self, mark: Mark | None) -> Mark:
        """Where a wait begins.

        Raises:
            ValueError: it is a mark of another daemon.
        """
        if mark is None:
            return Mark.now(self.current())
        # The handlers are what all sessions of one handle have in common.
        if (session := mark.session).handlers is not self.handlers:
            raise ValueError(f"since= was given a mark of {session.name}; {self.name} needs one of its own")
        return mark

    def event_name(self, what: str | type[TypedEvent], unknown: bool) -> str:
        """The name of an event, or of the event of a class.

        Raises:
            UnknownEvent: this kind of daemon never emits it.
        """
        if not isinstance(what, str):
            return what.event_name(self.protocol)
        if not (unknown or self.any_name):
            self._check_known(what)
        return what

    def _check_known(self, name: str) -> None:
        from .. import events

        known = self.catalogue
        complete = self.kind == "accuser" or known is not None
        if known is None:
            known = events.catalogue(self.kind, self.protocol)
        if not known or name in known:
            return
        suggestions = events.suggest(name, known)
        # The catalogue of the node has what upstream's tests use; nodes emit many more.
        if complete or suggestions or name in events.catalogue("accuser", Protocol.BOREAS):
            raise UnknownEvent(self.name, name, suggestions)

    def _names(self, what: What, *, full: bool, unknown: bool) -> tuple[list[str], Callable[[Event], Any]]:
        given: Sequence[Name] = (what,) if isinstance(what, str | type) else what
        names = [self.event_name(one, unknown) for one in given]
        if not names:
            raise ValueError("name at least one event to wait for")
        if full:
            return names, full_of
        if isinstance(what, str):
            return names, value_of
        return names, what.from_event if isinstance(what, type) else event_of

    def expect(
        self, what: What, filter: Filter[Any] | None, count: int | None, options: WaitOptions
    ) -> Expectation[Any]:
        """Begin to wait for events."""
        check_options(options, WaitOptions)
        seconds = self.seconds(options.get("timeout", DEFAULT))
        return self._expect(what, filter, count, options, seconds)

    def expect_no(
        self, what: What, filter: Filter[Any] | None, within: float, options: AbsenceOptions
    ) -> Absence:
        """Begin to watch that an event does not come."""
        check_options(options, AbsenceOptions)
        wait_options = WaitOptions(
            where=options.get("where"),
            since=options.get("since"),
            unknown=options.get("unknown", False),
            full=options.get("full", False),
        )
        return Absence(self._expect(what, filter, None, wait_options, None), check_seconds(within, "within"))

    def _expect(
        self,
        what: What,
        filter: Filter[Any] | None,
        count: int | None,
        options: WaitOptions,
        seconds: float | None,
        begun: int | None = None,
    ) -> Expectation[Any]:
        wanted = _wanted(count, options.get("nth"))
        if filter is not None:
            check_plain(filter, "a filter")
        names, convert = self._names(
            what, full=options.get("full", False), unknown=options.get("unknown", False)
        )
        mark = self.since(options.get("since"))
        label, where = " / ".join(name or "(no name)" for name in names), options.get("where")
        note = f"in the filter for event {label} of {self.name}"
        watch: Watch[Any] = Watch(_set_of(tuple(names)), convert, filter, wanted, note)
        shown = "" if where is None else f" where {where}"
        log(logging.DEBUG, self.name, self.color, f"Waiting for event [{label}]{shown}")
        result = _last if count is None else list
        return Expectation(mark, "events", watch, label, label, where, seconds, result, begun)

    def expect_line(
        self,
        pattern: str | re.Pattern[str],
        filter: Callable[[re.Match[str]], Any] | None,
        stream: Stream,
        count: int | None,
        options: LineOptions,
    ) -> Expectation[Any]:
        """Begin to wait for lines."""
        check_options(options, LineOptions)
        wanted = _wanted(count, options.get("nth"))
        if filter is not None:
            check_plain(filter, "a filter")
        compiled = re.compile(pattern)
        mark = self.since(options.get("since"))
        label = f"line of {stream} that matches {compiled.pattern!r}"
        note = f"in the filter for a {label} of {self.name}"
        watch: Watch[Any] = Watch(frozenset({""}), event_of, _line_filter(compiled, filter), wanted, note)
        seconds = self.seconds(options.get("timeout", DEFAULT))
        result = _last if count is None else list
        return Expectation(
            mark, stream, watch, label, f"lines of {stream}", options.get("where"), seconds, result
        )

    async def sequence(
        self, steps: Sequence[Name | tuple[Name, Filter[Any]]], options: WaitOptions
    ) -> tuple[Any, ...]:
        """Wait for one event after the other."""
        check_options(options, WaitOptions)
        seconds = self.seconds(options.get("timeout", DEFAULT))
        deadline = trio.current_time() + (math.inf if seconds is None else seconds)
        mark = self.since(options.get("since"))
        first, values = mark.events, []
        for number, step in enumerate(steps, 1):
            what, choose = step if isinstance(step, tuple) else (step, None)
            left = max(0.0, deadline - trio.current_time())
            step_options = options.copy()
            step_options["since"] = mark
            if "where" not in options:
                step_options["where"] = f"it is step {number} of {len(steps)}"
            expectation = self._expect(
                what, choose, None, step_options, None if left == math.inf else left, first
            )
            try:
                values.append(await expectation)
            except (EventTimeout, TerminatedBeforeEvent) as error:
                if isinstance(error, EventTimeout) and seconds is not None:
                    error.seconds = seconds
                _tell_steps(error, values)
                raise
            mark = expectation.end
        return tuple(values)

    async def until_ready(self, session: Transcript, timeout: float | Default | None = DEFAULT) -> None:
        """Wait until a session is ready."""
        label = session.ready_when.label
        seconds = self.seconds(timeout)
        if session.settled.is_set():
            await trio.lowlevel.checkpoint()  # in time, however short that is
        else:
            await self.until(session, session.settled.wait, label, None, seconds)
        if not session.ready.is_set() or session.state is State.ENDED:
            raise terminated(session, label, "", None, status_report(session))

    async def until(
        self,
        session: Transcript,
        wait: Callable[[], Awaitable[object]],
        label: str,
        where: str | None,
        timeout: float | Default | None,
    ) -> None:
        """Do what waits for something that is no record, within the time."""

        def error(seconds: float) -> EventTimeout:
            return timed_out(session, label, "", where, seconds, status_report(session))

        with TimeLimit(self.seconds(timeout), error):
            await wait()


def _tell_steps(error: EventTimeout | TerminatedBeforeEvent, values: Sequence[object]) -> None:
    """Say what met the steps before the one that was not met."""
    met = tuple(f"step {number} was met by {short(value)}" for number, value in enumerate(values, 1))
    if error.report is not None and met:
        error.report = attrs.evolve(error.report, met=met)
        error.add_note("\n".join(met))


def _wanted(count: int | None, nth: int | None) -> int:
    if count is not None and nth is not None:
        raise ValueError("give count or nth, not both")
    wanted = count if count is not None else 1 if nth is None else nth
    if wanted < 1:
        raise ValueError(f"the number to wait for must be positive, and is {wanted}")
    return wanted


@functools.lru_cache(maxsize=1024)
def _set_of(names: tuple[str, ...]) -> frozenset[str]:
    # The same for equal names, so that a thousand waits for one event are seen to look at the same.
    return frozenset(names)


def _line_filter(
    pattern: re.Pattern[str], choose: Callable[[re.Match[str]], Any] | None
) -> Callable[[str], Any]:
    search = pattern.search
    if choose is None:
        return search  # itself: each line pays for a call around it

    def found(line: str) -> Any:
        match = search(line)
        return None if match is None else choose(match)

    return found


_last: Final = itemgetter(-1)
