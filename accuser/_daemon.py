"""The handle of a daemon: what users hold, over one session after the other."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar, overload

import attrs
import trio

from ._decode import Event
from ._errors import AlreadyRunning, NotRunning, TerminatedBeforeEvent
from ._groups import plain_errors
from ._logs import log
from ._session import DaemonSpec, Handlers, Session, State
from ._temp import Workspace, safe_name
from ._toolchain import Toolchain
from ._waits import DEFAULT, Default, Expectation, Filter, Mark, events_from, terminated, time_limit

STOP_GRACE: Final = 30.0
"""Seconds between SIGTERM and SIGKILL, as upstream (``[tezt] process.ml``)."""

WAIT_TIMEOUT: Final = 60.0
"""Seconds that a wait lasts by default: long for any sandbox, short for a test run that hangs."""

EventLevel = Literal["debug", "info", "notice"]

T = TypeVar("T")
S = TypeVar("S")
D = TypeVar("D", bound="Daemon")


@attrs.define(eq=False)
class Daemon:
    """A daemon that is spawned with an event pipe and controlled.

    `Accuser` and `Node` are daemons; they say with a spec what differs.

    Creating a handle spawns nothing and touches no file. `run` belongs into a nursery:
    ``await nursery.start(daemon.run)`` returns when the process has been spawned, and goes on
    in the nursery until it has ended.
    """

    _spec: DaemonSpec
    name: str
    """Prefix of log lines and names of temporary files."""
    color: str
    """SGR sequence that colours the log lines."""
    toolchain: Toolchain
    """Where the executable comes from, unless a path was given."""
    _path: Path | None
    _event_pipe: Path | None
    _wait_timeout: float | None
    _workspace: Workspace
    _handlers: Handlers = attrs.field(factory=Handlers, init=False)
    _session: Session = attrs.field(init=False)
    _next_session: Session | None = attrs.field(default=None, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    _event_level: EventLevel = attrs.field(default="info", init=False)
    _sections: tuple[tuple[str, str], ...] = attrs.field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        self._session = self._new_session()

    # State.

    @property
    def running(self) -> bool:
        """Whether a process runs, is being started or is being stopped."""
        return self._session.running

    @property
    def state(self) -> str:
        """In words: not started, starting, running, stopping, ended."""
        return self._session.state.value

    @property
    def pid(self) -> int | None:
        """Process id of the current or last session; None before the first."""
        return self._session.pid

    @property
    def exit_status(self) -> int | None:
        """Exit status of the last session, negative for a signal; None while there is none.

        127 is an accuser's or node's clean end by SIGTERM or SIGINT (recorded events ``90``).
        """
        return self._session.status

    @property
    def directory(self) -> Path:
        """The temporary directory of this handle, made when first asked for."""
        return self._workspace.path

    def keep_directory(self) -> Path:
        """Never remove the temporary directory; return it."""
        path = self._workspace.path
        self._workspace.keep()
        return path

    @property
    def event_pipe(self) -> Path:
        """Path of the named pipe for the events."""
        if self._event_pipe is not None:
            return self._event_pipe
        return self._workspace.path / f"{safe_name(self.name)}-event-pipe"

    # Running.

    async def run(
        self,
        *,
        event_level: EventLevel | None = None,
        event_sections_levels: tuple[tuple[str, str], ...] | None = None,
        may_exit: bool = False,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Spawn the daemon and attend to it until it has ended.

        Args:
            event_level: least level of the events that arrive: ``debug``, ``info`` (at first)
                or ``notice``; by default that of the last run.
            event_sections_levels: levels for sections, as in ``(("prevalidator", "debug"),)``;
                the last one that matches an event decides.
            may_exit: whether the daemon may end unasked without that being an error.

        Raises:
            AlreadyRunning: it is running.
            BinaryNotFound, SpawnFailed, EventPipeError: it could not be started.
            DaemonExited: it ended unasked.
            HandlerFailed: a handler raised.

        Cancelling stops the daemon: SIGTERM, 30 s of grace, SIGKILL, each for its whole process
        group; what it still writes is delivered.
        """
        if self.running:
            raise AlreadyRunning(self.name, self._spec.kind)
        if event_level is not None:
            self._event_level = event_level
        if event_sections_levels is not None:
            self._sections = event_sections_levels
        if self._session.state is State.ENDED:
            self._session = self._new_session()
        try:
            await self._run_session(may_exit, task_status)
            while self._next_session is not None:
                self._session, self._next_session = self._next_session, None
                await self._run_session(may_exit, trio.TASK_STATUS_IGNORED)
        finally:
            self._session.end()
            self._after_run()

    async def _run_session(self, may_exit: bool, task_status: trio.TaskStatus[None]) -> None:
        session = self._session
        session.state = State.STARTING
        command = (str(self._path),) if self._path else self.toolchain.command(self._spec.binary)
        await session.run(
            command,
            self._sink_query(),
            self.event_pipe,
            stop_grace=STOP_GRACE,
            may_exit=may_exit,
            directory=self._workspace.path,
            task_status=task_status,
        )

    def _sink_query(self) -> str:
        # Upstream reverses the list, and the sink takes the first prefix that matches
        # (tezt/lib_tezos/daemon.ml), so the last one given wins.
        sections = (*reversed(self._sections), ("", self._event_level))
        return "&".join(f"section-prefix={section}:{level}" for section, level in sections)

    def _new_session(self) -> Session:
        return Session(self._spec, self.name, self.color, self._handlers)

    def _after_run(self) -> None:
        """What remains to be done when `run` returns."""

    async def terminate(self, timeout: float = STOP_GRACE) -> None:
        """Send SIGTERM, after ``timeout`` seconds SIGKILL, and wait for the end.

        Returns when the process is gone and everything that it wrote has been delivered.
        Returns at once if it is not running. Cancelling leaves the stop going on.
        """
        await self._stop(timeout)

    async def kill(self) -> None:
        """Send SIGKILL, and wait for the end as `terminate` does."""
        await self._stop(0.0)

    async def _stop(self, grace: float) -> None:
        session = self._session
        if not session.running:
            await trio.lowlevel.checkpoint()
            return
        session.stop(grace)
        await session.ended.wait()

    async def restart(self, timeout: float = STOP_GRACE) -> None:
        """Terminate the daemon if it runs, run it again and wait until it is ready.

        Handlers and the event level stay; pending waits end with `TerminatedBeforeEvent`; the
        directory is the same. A daemon that has ended is run again in the nursery that it was
        opened in.

        Raises:
            NotRunning: it is not running, and was not opened by ``open_...`` or ``init``.
            TerminatedBeforeEvent: it ended before it was ready again.
        """
        session = self._session
        if session.running:
            following = self._next_session = self._new_session()
            session.stop(timeout)
            await session.ended.wait()
            await self._wait_until_ready(following)
        elif self._nursery is not None:
            await self._nursery.start(self.run)
            await self.wait_for_ready()
        else:
            hint = f"start it with `await nursery.start({self._spec.kind}.run)`"
            raise NotRunning(self.name, "restart", hint)

    def pause(self) -> None:
        """Stop the whole process group with SIGSTOP. Does nothing if it is not running."""
        self._session.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on with SIGCONT. Does nothing if it is not running."""
        self._session.signal(signal.SIGCONT)

    # Waiting.

    async def wait_for_ready(self, *, timeout: float | Default | None = DEFAULT) -> None:
        """Wait until the daemon is ready: at once if it is, after the start if it was not run.

        Raises:
            TerminatedBeforeEvent: it ended before, or has ended.
            EventTimeout: ``timeout`` seconds (by default the daemon's) have passed.
        """
        await self._wait_until_ready(self._session, timeout)

    async def _wait_until_ready(self, session: Session, timeout: float | Default | None = DEFAULT) -> None:
        label = self._spec.ready.label
        with time_limit(session, self._seconds(timeout), label, None, lambda: 0):
            await session.settled.wait()
        if not session.ready.is_set() or session.state is State.ENDED:
            raise terminated(session, label, None)

    def _seconds(self, timeout: float | Default | None) -> float | None:
        return self._wait_timeout if isinstance(timeout, Default) else timeout

    def mark(self) -> Mark:
        """Remember this moment, for ``since=``: what comes from now on."""
        return Mark(self._session, self._session.events.next_index)

    def start_mark(self) -> Mark:
        """The start of the current session, or of the last one, for ``since=``."""
        return Mark(self._session, 0)

    @overload
    async def wait_for(
        self,
        name: str,
        filter: None = None,
        *,
        where: str | None = None,
        since: Mark | None = None,
        timeout: float | Default | None = DEFAULT,
        full: bool = False,
    ) -> Any: ...
    @overload
    async def wait_for(
        self,
        name: str,
        filter: Filter[T],
        *,
        where: str | None = None,
        since: Mark | None = None,
        timeout: float | Default | None = DEFAULT,
        full: bool = False,
    ) -> T: ...
    async def wait_for(
        self,
        name: str,
        filter: Filter[Any] | None = None,
        *,
        where: str | None = None,
        since: Mark | None = None,
        timeout: float | Default | None = DEFAULT,
        full: bool = False,
    ) -> Any:
        """Wait for an event.

        Args:
            name: its name with the version, as in ``double_baking_denounced.v0``.
            filter: gets the event's value; answers None to go on waiting, or what this call
                returns. Without one, the first event's value is returned.
            where: the filter in words, for messages.
            since: where to begin; by default now, so that an event before the call is not seen.
            timeout: seconds, or None for no limit; by default the daemon's own.
            full: give the filter the whole item, and return it, in place of the value.

        Before the first run, waits for it. An exception of the filter reaches the caller, and
        nobody else. Cancelling is harmless.

        Raises:
            TerminatedBeforeEvent: the daemon ended, or has ended, and no such event had come.
            EventTimeout: no such event in time.
            Lagged: ``since`` is so long ago that the history does not hold it any more.
        """
        return await self.expect(name, filter, where=where, since=since, timeout=timeout, full=full)

    @overload
    def expect(
        self,
        name: str,
        filter: None = None,
        *,
        where: str | None = None,
        since: Mark | None = None,
        timeout: float | Default | None = DEFAULT,
        full: bool = False,
    ) -> Expectation[Any]: ...
    @overload
    def expect(
        self,
        name: str,
        filter: Filter[T],
        *,
        where: str | None = None,
        since: Mark | None = None,
        timeout: float | Default | None = DEFAULT,
        full: bool = False,
    ) -> Expectation[T]: ...
    def expect(
        self,
        name: str,
        filter: Filter[Any] | None = None,
        *,
        where: str | None = None,
        since: Mark | None = None,
        timeout: float | Default | None = DEFAULT,
        full: bool = False,
    ) -> Expectation[Any]:
        """As `wait_for`, but the waiting begins with this call, not with the ``await``.

        ``await`` the result later, or put what causes the event into an ``async with`` block of
        it, whose end waits. The time-out counts from the ``await``.
        """
        condition = "" if where is None else f" where {where}"
        log(logging.DEBUG, self.name, self.color, f"Waiting for event [{name}]{condition}")
        mark = self.mark() if since is None else since
        return Expectation(mark, name, filter, where, self._seconds(timeout), full)

    @asynccontextmanager
    async def subscribe(self, *, since: Mark | None = None) -> AsyncGenerator[AsyncGenerator[Event]]:
        """Iterate over the events from now on, or from ``since`` on, to the session's end.

        Use as ``async with daemon.subscribe() as events: async for event in events: ...``. Any
        number of consumers may, each at its own speed.

        Raises:
            Lagged: from the iteration; this consumer is so slow that events were dropped.
        """
        mark = self.mark() if since is None else since
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

    # Opening.

    async def _start(self, nursery: trio.Nursery, event_level: EventLevel | None, may_exit: bool) -> None:
        self._nursery = nursery
        await nursery.start(partial(self.run, event_level=event_level, may_exit=may_exit))
        try:
            await self.wait_for_ready()
        except TerminatedBeforeEvent:
            if not self._session.ended_with_error(may_exit):
                raise
            # `run` is about to raise, in this very nursery, and says more.
            await trio.sleep_forever()

    @asynccontextmanager
    async def _opened(self, event_level: EventLevel | None, may_exit: bool) -> AsyncGenerator[Self]:
        try:
            with plain_errors():
                async with trio.open_nursery() as nursery:
                    await self._start(nursery, event_level, may_exit)
                    yield self
                    await self.terminate()
        except BaseException as error:
            # What never ran left nothing to look at; a cancelled block did not fail.
            if isinstance(error, Exception) and self.pid is not None:
                error.add_note(f"the files of {self.name} are kept in {self.keep_directory()}")
            raise
        finally:
            self._nursery = None
            self._workspace.remove()
