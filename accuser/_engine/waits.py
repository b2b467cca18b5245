"""Waiting: expectations, which begin when they are made and are awaited later.

A wait first looks back in the history, as far as its mark, and then watches what is published. It
ends with what it looked for, with the session, or with its time.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Final, Generic, Literal, TypeVar

import attrs
import trio

from .._checks import check_wait
from .._errors import (
    EventTimeout,
    Lagged,
    TerminatedBeforeEvent,
    UnexpectedEvent,
)
from .._hosts.host import NO_PROCESS_FROM
from .._report import WaitReport
from .._stream.decoding import Mixed
from .._stream.event import Event
from .._stream.history import History, Late
from .._stream.watch import Watch, converted
from .explain import explain
from .timekeeper import Timekeeper
from .transcript import Transcript

T = TypeVar("T")
Source = Literal["events", "stdout", "stderr"]


class Default:
    """The type of `DEFAULT`."""

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Final = Default()
"""Stands for the daemon's own time-out."""

JUMPED: Final = (
    "trio's clock jumps to the next deadline (autojump_clock), and a process takes its time: take the "
    "toolchain `memory`, or leave that clock out"
)


@attrs.frozen(eq=False, repr=False)
class Mark:
    """A place in the events and the output of one session; see `Daemon.mark`."""

    session: Transcript
    events: int = 0
    stdout: int = 0
    stderr: int = 0

    @classmethod
    def now(cls, session: Transcript) -> Mark:
        """What comes from now on."""
        come = session.next_index
        return cls(session, come(session.events), come(session.stdout), come(session.stderr))

    def __repr__(self) -> str:
        return f"<Mark in {self.session.name} after {self.events} events>"

    def moved(self, source: Source, index: int) -> Mark:
        """Another place in one of the three."""
        return Mark(
            self.session,
            index if source == "events" else self.events,
            index if source == "stdout" else self.stdout,
            index if source == "stderr" else self.stderr,
        )


@attrs.define(eq=False, repr=False)
class Expectation(Generic[T]):
    """A wait that has begun; see `Daemon.expect`. Awaiting it again gives the same result."""

    _mark: Mark
    """Where to begin."""
    _source: Source
    _watch: Watch[Any]
    _label: str
    """What is waited for, in messages."""
    _noun: str
    """What may come in its stead: the name, or lines."""
    _where: str | None
    _seconds: float | None
    _result: Callable[[list[Any]], T]
    _begun: int | None = None
    """Index of the first event of what it is a step of; None if it is none."""
    _session: Transcript = attrs.field(init=False)
    _history: History[Any] = attrs.field(init=False)
    _next: int = attrs.field(init=False)
    _searching: bool = attrs.field(default=False, init=False)
    _others: trio.lowlevel.ParkingLot | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._session = self._mark.session
        self._history = getattr(self._session, self._source)
        self._next = getattr(self._mark, self._source)

    def __repr__(self) -> str:
        where = "" if self._where is None else f" where {self._where}"
        done = ", fulfilled" if self._watch.complete else ""
        return f"<Expectation of {self._label}{where} from {self._session.name}{done}>"

    @property
    def value(self) -> T:
        """The result, once it has been awaited."""
        if not self._watch.complete:
            raise RuntimeError("the expectation has not been awaited yet")
        return self._result(self._watch.taken)

    @property
    def end(self) -> Mark:
        """The place behind what fulfilled it, for ``since=``, once it has been awaited."""
        if not self._watch.complete:
            raise RuntimeError("the expectation has not been awaited yet")
        return self._mark.moved(self._source, self._watch.index + 1)

    @property
    def label(self) -> str:
        """What is waited for, in messages."""
        return self._label

    def report(self) -> WaitReport:
        """The facts about the wait, up to now."""
        return self._report()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._wait().__await__()

    async def __aenter__(self) -> Expectation[T]:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._wait()  # noqa: ASYNC102 - the wait that the caller asked for, no clean-up

    def _wait(self) -> Coroutine[Any, Any, T]:
        # Each call more is felt in the latency of a wait.
        return self._fulfilled() if self._session.recorder.recording is None else self._recorded()

    async def _recorded(self) -> T:
        with recorded(self._session, self._label, self._where):
            return await self._fulfilled()

    async def _fulfilled(self) -> T:
        deadline = math.inf if self._seconds is None else trio.current_time() + self._seconds
        if not self._searching and self._found():
            await trio.lowlevel.cancel_shielded_checkpoint()
        elif not self._searching and self._session.keeper is not None:
            await self._go_on(self._session.keeper, deadline)
        else:
            with trio.CancelScope(deadline=deadline) as limit:
                # Of several tasks that await one expectation, one searches.
                while self._searching:
                    if self._others is None:
                        self._others = trio.lowlevel.ParkingLot()
                    await self._others.park()
                await self._go_on(None, math.inf)
            if limit.cancelled_caught:
                raise self._late()
        return self._result(self._watch.taken)

    def _late(self) -> EventTimeout:
        assert self._seconds is not None
        return self.timed_out(self._seconds)

    def timed_out(self, seconds: float) -> EventTimeout:
        """The error for that it was not fulfilled within so many seconds."""
        return timed_out(self._session, self._label, self._noun, self._where, seconds, self._report())

    def _found(self) -> bool:
        return self._watch.complete or self._look_back()

    async def _go_on(self, keeper: Timekeeper | None, deadline: float) -> None:
        self._searching = True
        try:
            if self._found():
                return
            if not self._history.closed:
                try:
                    await self._history.watch(self._watch, keeper, deadline)
                except Late:
                    # If a block around it is cancelled, too, that is what counts, as of any scope in another.
                    await trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC120 - the time-out is then none
                    raise self._late() from None
                finally:
                    self._next = self._watch.left
            if not self._watch.complete:
                raise terminated(self._session, self._label, self._noun, self._where, self._report())
        finally:
            self._searching = False
            if self._others is not None:
                self._others.unpark()

    def _look_back(self) -> bool:
        if self._next == self._history.next_index:
            return False  # as of nearly every wait, and felt in its latency
        check_lag(self._session.name, self._history, self._next)
        watch, name_of = self._watch, self._history.name_of
        for index, record in self._history.read(self._next):
            self._next = index + 1
            found = name_of is None or name_of(record) in watch.names
            if found and watch.offer((index,), converted(watch.convert, (record,))):
                return True
        return False

    def _report(self) -> WaitReport:
        start = getattr(self._mark, self._source)
        begun = start if self._begun is None else self._begun
        return explain(self._session, self._history, self._watch, start, begun)

    async def absent(self, within: float) -> None:
        """Wait ``within`` seconds for what must not come.

        Raises:
            UnexpectedEvent: as soon as it comes.
        """
        with trio.move_on_after(within):
            try:
                await self._wait()
            except TerminatedBeforeEvent:
                return  # it cannot happen any more
            raise UnexpectedEvent(self._session.name, self._label, self._where, self._watch.taken[-1])


@attrs.define(eq=False, repr=False)
class Absence:
    """The expectation that something does not happen; see `Daemon.expect_no`."""

    _expectation: Expectation[Any]
    _seconds: float

    def __repr__(self) -> str:
        return repr(self._expectation).replace("<Expectation of ", f"<Absence for {self._seconds:g} s of ")

    async def __aenter__(self) -> Absence:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            # The wait that the caller asked for, no clean-up.
            await self._expectation.absent(self._seconds)  # noqa: ASYNC102 - see the line before

    def __await__(self) -> Generator[Any, Any, None]:
        return self._expectation.absent(self._seconds).__await__()


async def events_from(mark: Mark) -> AsyncGenerator[Event]:
    """Give the events from a mark on, to the end of its session.

    Raises:
        Lagged: events that were not given yet left the history.
    """
    session, index = mark.session, mark.events
    history = session.events
    with history.follow():
        while True:
            for together, before in history.read_blocks(index):
                # The consumer may have been away for long.
                check_lag(session.name, history, index)
                records = together[before:] if before else together
                if type(together) is Mixed:
                    for record in records:
                        if isinstance(record, Event):
                            yield record  # noqa: ASYNC119 - what is left undone is a count
                else:
                    for record in records:
                        yield record  # type: ignore[misc] # noqa: ASYNC119 - as above
                index += len(records)
            check_lag(session.name, history, index)
            if index < history.next_index:
                await trio.lowlevel.checkpoint()
            elif history.closed:
                return
            else:
                await history.park()


def limited(seconds: float | None) -> trio.CancelScope:
    """Make the scope of a wait that lasts so long at most; None for no limit.

    Raises:
        TypeError, ValueError: no wait can last so long.
    """
    checked = check_wait(seconds)
    # It counts from its entry.
    return trio.CancelScope(relative_deadline=math.inf if checked is None else checked)


@attrs.define
class TimeLimit:
    """A block that raises ``error(seconds)`` if it takes longer; None for no limit.

    Not made of a generator: from Python 3.12 on, contextlib keeps the exception that a generator
    swallows in a cycle with the frames of whoever waits, and a forgotten daemon would keep its directory.
    """

    seconds: float | None
    error: Callable[[float], EventTimeout]
    _scope: trio.CancelScope = attrs.field(init=False)

    # Protected as trio's own scopes are: a Ctrl-C in between would break their nesting.
    @trio.lowlevel.enable_ki_protection
    def __enter__(self) -> None:
        self._scope = limited(self.seconds)
        self._scope.__enter__()

    @trio.lowlevel.enable_ki_protection
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, value, where)
        if self.seconds is not None and self._scope.cancelled_caught:
            raise self.error(self.seconds) from None


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
    jumps = getattr(trio.lowlevel.current_clock(), "autojump_threshold", math.inf) < math.inf
    if jumps and report.pid is not None and report.pid < NO_PROCESS_FROM:
        error.add_note(JUMPED)
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
        raise Lagged(daemon, missed, "events" if history.name_of else "lines")
