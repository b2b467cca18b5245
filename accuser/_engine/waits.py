"""Waiting: expectations, which begin when they are made and are awaited later.

A wait first looks back in the history, as far as its mark, and then watches what is published. It
ends with what it looked for, with the session, or with its time.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final, Generic, TypeVar

import attrs
import trio

from .._errors import (
    EventTimeout,
    Lagged,
    TerminatedBeforeEvent,
    UnexpectedEvent,
)
from .._report import WaitReport
from .._stream.event import Event
from .._stream.history import History
from .._stream.watch import Watch, converted
from .explain import explain
from .transcript import Transcript

T = TypeVar("T")


class Default:
    """The type of `DEFAULT`."""

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Final = Default()
"""Stands for the daemon's own time-out."""


@attrs.frozen(eq=False)
class Mark:
    """A place in the events and the output of one session; see `Daemon.mark`."""

    _session: Transcript
    _events: int = 0
    _stdout: int = 0
    _stderr: int = 0

    @classmethod
    def now(cls, session: Transcript) -> Mark:
        """What comes from now on."""
        return cls(session, session.events.next_index, session.stdout.next_index, session.stderr.next_index)


@attrs.define(eq=False)
class Search:
    """One history of a session, one watch, and where to begin."""

    session: Transcript
    history: History[Any]
    begin: int
    watch: Watch[Any]
    label: str
    """What is waited for, in messages."""
    noun: str
    """What may come in its stead: the name, or lines."""
    where: str | None
    seconds: float | None
    _next: int = attrs.field(init=False)
    _searching: bool = attrs.field(default=False, init=False)
    _others: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.begin

    async def run(self) -> None:
        """Wait until the watch is complete; cancelled, it can be run again.

        Raises:
            EventTimeout, TerminatedBeforeEvent, Lagged; and what the filter raises.
        """
        begun, outcome = time.monotonic(), "failed"
        try:
            if not self._searching and self._found():
                await trio.lowlevel.cancel_shielded_checkpoint()
            else:
                # Not `time_limit`, whose generator is felt in the latency of a wait.
                seconds = math.inf if self.seconds is None else self.seconds
                with trio.move_on_after(seconds) as limit:
                    await self._go_on()
                if limit.cancelled_caught:
                    raise self._timed_out(seconds)
            outcome = "satisfied"
        except BaseException as error:
            outcome = _outcome(error)
            raise
        finally:
            self.session.recorder.wait(self.label, self.where, begun, outcome)

    def _found(self) -> bool:
        return self.watch.complete or self._look_back()

    async def _go_on(self) -> None:
        # Of several tasks that await one expectation, one searches.
        while self._searching:
            await self._others.park()
        self._searching = True
        try:
            if not self._found() and not await self._watch():
                raise terminated(self.session, self.label, self.noun, self.where, self._report())
        finally:
            self._searching = False
            if self._others:
                self._others.unpark()

    def _look_back(self) -> bool:
        check_lag(self.session.name, self.history, self._next)
        names, name_of = self.watch.names, self.history.name_of
        for index, record in self.history.read(self._next):
            self._next = index + 1
            if name_of(record) in names and self._offer(index, record):
                return True
        return False

    def _offer(self, index: int, record: Any) -> bool:
        return self.watch.offer((index,), converted(self.watch.convert, (record,)))

    async def _watch(self) -> bool:
        if self.history.closed:
            return False
        try:
            return await self.history.watch(self.watch)
        finally:
            self._next = self.history.next_index

    def _report(self) -> WaitReport:
        return explain(self.session, self.history, self.watch, self.begin)

    def _timed_out(self, seconds: float) -> EventTimeout:
        return timed_out(self.session, self.label, self.noun, self.where, seconds, self._report())


@attrs.define(eq=False)
class Expectation(Generic[T]):
    """A wait that has begun; see `Daemon.expect`. Awaiting it again gives the same result."""

    _search: Search
    _result: Callable[[list[Any]], T]

    @property
    def value(self) -> T:
        """The result, once it has been awaited."""
        if not self._search.watch.complete:
            raise RuntimeError("the expectation has not been awaited yet")
        return self._result(self._search.watch.taken)

    def __await__(self) -> Generator[Any, Any, T]:
        return self._wait().__await__()

    async def __aenter__(self) -> Expectation[T]:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            # The end of the block is where the caller asked to wait, not a clean-up.
            await self._search.run()  # noqa: ASYNC102

    async def _wait(self) -> T:
        await self._search.run()
        return self.value


@attrs.define(eq=False)
class Absence:
    """The expectation that something does not happen; see `Daemon.expect_no`."""

    _search: Search
    _seconds: float

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        search = self._search
        with trio.move_on_after(self._seconds):
            try:
                await search.run()
            except TerminatedBeforeEvent:
                return  # it cannot happen any more
            raise UnexpectedEvent(search.session.name, search.label, search.where, search.watch.taken[-1])


async def events_from(mark: Mark) -> AsyncGenerator[Event]:
    """Give the events from a mark on, to the end of its session.

    Raises:
        Lagged: events that were not given yet left the history.
    """
    session, index = mark._session, mark._events
    history = session.events
    while True:
        for records in history.read_blocks(index):
            # The consumer may have been away for long.
            check_lag(session.name, history, index)
            for record in records:
                if isinstance(record, Event):
                    yield record
            index += len(records)
        check_lag(session.name, history, index)
        if index < history.next_index:
            await trio.lowlevel.checkpoint()
        elif history.closed:
            return
        else:
            await history.park()


@contextlib.contextmanager
def time_limit(seconds: float | None, error: Callable[[float], EventTimeout]) -> Generator[None]:
    """Raise ``error(seconds)`` if the block takes longer; None for no limit."""
    if seconds is None:
        yield
        return
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise error(seconds)


@contextlib.contextmanager
def recorded(session: Transcript, label: str, where: str | None) -> Generator[None]:
    """Write down the wait that the block is."""
    begun, outcome = time.monotonic(), "failed"
    try:
        yield
        outcome = "satisfied"
    except BaseException as error:
        outcome = _outcome(error)
        raise
    finally:
        session.recorder.wait(label, where, begun, outcome)


def _outcome(error: BaseException) -> str:
    match error:
        case EventTimeout():
            return "timed out"
        case TerminatedBeforeEvent():
            return "terminated"
        case trio.Cancelled():
            return "cancelled"
    return "failed"


def timed_out(
    session: Transcript, event: str, noun: str, where: str | None, seconds: float, report: WaitReport
) -> EventTimeout:
    """Build the error of a wait whose time is over."""
    error = EventTimeout(session.name, event, where, seconds, report)
    error.add_note("\n".join(report.lines(session.name, noun)))
    return error


def terminated(
    session: Transcript, event: str, noun: str, where: str | None, report: WaitReport
) -> TerminatedBeforeEvent:
    """Build the error of a wait that the end of its session ended."""
    error = TerminatedBeforeEvent(session.name, event, where, session.status, report)
    error.add_note("\n".join(report.lines(session.name, noun)))
    return error


def check_lag(daemon: str, history: History[Any], index: int) -> None:
    """Raise `Lagged` if records from ``index`` on have left the history."""
    if (missed := history.first_index - index) > 0:
        raise Lagged(daemon, missed)
