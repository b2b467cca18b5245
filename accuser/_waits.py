"""Waiting for events: cursors into the history of a session.

A wait scans, and parks when there is nothing; it ends with a value, with the session, or with its
time. Filters run here, in the task of whoever waits.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final, Generic, TypeVar

import attrs
import trio

from ._decode import Event
from ._errors import EventTimeout, Lagged, TerminatedBeforeEvent, describe_status
from ._history import History
from ._session import Session

T = TypeVar("T")

Filter = Callable[[Any], T | None]
"""Gets an event's value, or the whole item; answers None to go on waiting."""


class Default:
    """The type of `DEFAULT`."""

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Final = Default()
"""Stands for the daemon's own time-out."""


@attrs.frozen(eq=False)
class Mark:
    """A place in the events of one session; see `Daemon.mark`."""

    _session: Session
    _index: int


@attrs.define(eq=False)
class Expectation(Generic[T]):
    """A wait that has begun; see `Daemon.expect`. Awaiting it again gives the same result."""

    _mark: Mark
    _name: str
    _filter: Filter[T] | None
    _where: str | None
    _seconds: float | None
    _full: bool
    _result: list[T] = attrs.field(factory=list, init=False)
    _seen: int = attrs.field(default=0, init=False)

    @property
    def value(self) -> T:
        """The result, once it has been awaited."""
        if not self._result:
            raise RuntimeError("the expectation has not been awaited yet")
        return self._result[0]

    def __await__(self) -> Generator[Any, Any, T]:
        return self._wait().__await__()

    async def __aenter__(self) -> Expectation[T]:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            # The end of the block is where the caller asked to wait, not a clean-up.
            await self._wait()  # noqa: ASYNC102

    async def _wait(self) -> T:
        if not self._result:
            session = self._mark._session
            with time_limit(session, self._seconds, self._name, self._where, lambda: self._seen):
                self._result.append(await self._search(session, self._mark._index))
        return self._result[0]

    async def _search(self, session: Session, index: int) -> T:
        history = session.events
        self._seen = 0
        await trio.lowlevel.checkpoint()
        while True:
            _check_lag(session.name, history, index)
            for position, record in history.read(index):
                index = position + 1
                if record.name == self._name and isinstance(record, Event):
                    self._seen += 1
                    if (found := self._ask(session.name, record)) is not None:
                        return found[0]
            if history.closed:
                raise terminated(session, self._name, self._where)
            index = await history.more(self._name, index)

    def _ask(self, daemon: str, event: Event) -> tuple[T] | None:
        item: Any = event.full() if self._full else event.value
        if self._filter is None:
            return (item,)
        try:
            answer = self._filter(item)
        except Exception as error:
            error.add_note(f"in the filter for event {self._name} of {daemon}")
            raise
        return None if answer is None else (answer,)


async def events_from(mark: Mark) -> AsyncGenerator[Event]:
    """Give the events from a mark on, to the end of its session.

    Raises:
        Lagged: events that were not given yet left the history.
    """
    session, index = mark._session, mark._index
    history = session.events
    while True:
        _check_lag(session.name, history, index)
        for position, record in history.read(index):
            index = position + 1
            if isinstance(record, Event):
                yield record
                # The consumer may have been away for long.
                _check_lag(session.name, history, index)
        if index == history.next_index and history.closed:
            return
        index = await history.more(None, index)


@contextlib.contextmanager
def time_limit(
    session: Session, seconds: float | None, event: str, where: str | None, seen: Callable[[], int]
) -> Generator[None]:
    """Raise `EventTimeout` if the block takes longer; None for no limit."""
    if seconds is None:
        yield
        return
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        error = EventTimeout(session.name, event, where, seconds, seen())
        error.add_note(f"{session.name} is {session.state.value}, process {session.pid}")
        _note_tail(error, session)
        raise error


def terminated(session: Session, event: str, where: str | None) -> TerminatedBeforeEvent:
    """Build the error of a wait that the end of its session ended."""
    error = TerminatedBeforeEvent(session.name, event, where, session.status)
    if session.status is not None:
        error.add_note(f"{session.name}: {describe_status(session.status)}")
    _note_tail(error, session)
    return error


def _check_lag(daemon: str, history: History[Any], index: int) -> None:
    if (missed := history.first_index - index) > 0:
        raise Lagged(daemon, missed)


def _note_tail(error: BaseException, session: Session) -> None:
    if tail := session.tail():
        error.add_note("its last output:\n" + "\n".join(f"  {line}" for line in tail))
