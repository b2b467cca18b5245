"""The handle of a daemon: what users hold, over one session after the other."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar, Unpack, get_args

import attrs
import trio

from .._checks import check_grace, check_options, check_sections
from .._engine.exits import ExitExpectation
from .._engine.readiness import ReadyEvent, ReadyLine
from .._engine.session import STOP_GRACE, DaemonSpec, Session
from .._engine.supervise import Restart, RestartPolicy, Supervisor
from .._engine.transcript import EVENTS_LIMIT, State
from .._engine.waits import DEFAULT, Default
from .._errors import (
    AccuserError,
    AlreadyRunning,
    DaemonExited,
    DirectoryError,
    EventPipeError,
    NotRunning,
    RunnerError,
    RunnerFault,
    SpawnFailed,
    StatsUnavailable,
    TerminatedBeforeEvent,
)
from .._files import safe_name
from .._hosts.host import Host, Workspace
from .._hosts.places import host_of
from .._hosts.ssh.runner import SSHRunner
from .._hosts.toolchain import Toolchain, installed
from .._hosts.usage import Stats
from .._logs import fresh_name, log, next_color
from .._mavryk.protocol import Protocol
from .._recording.failure import failure_told
from .._recording.writer import Recorder, Recording
from .._report import describe_status, signal_name
from .._stream.framing import Framer
from .._stream.netstring import NetstringFramer
from .._unwrap import plain_errors
from .observed import WAIT_TIMEOUT, Observed
from .options import DaemonOptions, EventFormat, EventLevel
from .spec import program_spec

if TYPE_CHECKING:
    from ..events import TypedEvent


@attrs.define(eq=False, init=False)
class Daemon(Observed):
    """A daemon that is spawned with an event pipe and controlled.

    `Accuser`, `Node` and `Baker` are daemons. Any other program becomes one by what is given here,
    directly or by a subclass that calls ``super().__init__``; `open_daemon` runs it for a block.

    Creating a handle spawns nothing and touches no file. `run` belongs into a nursery:
    ``await nursery.start(daemon.run)`` returns when the process has been spawned, and goes on
    in the nursery until it has ended.

    Args:
        binary: name of the executable, which the toolchain finds; ``path=`` gives a file instead.
        kind: what it is, in one word: the base of default names, and the word in messages.
        arguments: its arguments; or a function without arguments that gives them, which is called
            at each start, when `directory` may be used.
        ready: when it is ready: a `ReadyLine` or a `ReadyEvent`; by default as soon as it runs.
        environment: variables that it has beside those of this process.
        prepare: an asynchronous function that is called before each start. What it raises ends
            the start.
        protocol: gives the classes of `accuser.events` their names, where a protocol is part of them.
        events: the names or classes of all events that it emits, so that a wait for another one is
            refused; by default any name can be waited for.
        options: those of all daemons, `DaemonOptions`; the default toolchain is what is installed.

    Raises:
        ValueError: ``arguments`` is one text, or ``kind`` cannot begin a name.
    """

    _spec: DaemonSpec
    toolchain: Toolchain
    """Where the executable comes from, unless a path was given."""
    runner: SSHRunner | None
    """The machine that it runs on; None for this one."""
    _path: Path | None
    _event_pipe: Path | None
    _workspace: Workspace
    _format: EventFormat
    _strict: bool
    _history: int
    _record: Recording | None
    _stop_grace: float
    _policy: RestartPolicy | None
    _pipe_workspace: Workspace | None = attrs.field(default=None, init=False)
    _session: Session = attrs.field(init=False)
    _restarts: int = attrs.field(default=0, init=False)
    _sessions: int = attrs.field(default=0, init=False)
    _next_session: Session | None = attrs.field(default=None, init=False)
    _revived: Session | None = attrs.field(default=None, init=False)
    """The session that a restart began where none ran."""
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    _in_block: bool = attrs.field(default=False, init=False)
    _may_exit: bool = attrs.field(default=False, init=False)
    _event_level: EventLevel = attrs.field(default="info", init=False)
    _sections: tuple[tuple[str, str], ...] = attrs.field(default=(), init=False)

    def __init__(
        self,
        binary: str,
        *,
        kind: str = "daemon",
        arguments: Sequence[str] | Callable[[], Sequence[str]] = (),
        ready: ReadyLine | ReadyEvent | None = None,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], Awaitable[object]] | None = None,
        protocol: Protocol | None = None,
        events: Iterable[str | type[TypedEvent]] | None = None,
        **options: Unpack[DaemonOptions],
    ) -> None:
        spec = program_spec(binary, kind, arguments, ready, environment, prepare)
        name, toolchain = options.get("name"), options.get("toolchain")
        self._init(spec, name or fresh_name(kind), toolchain or installed(), protocol, options)
        if events is not None:
            self._catalogue = frozenset(self._name(event, unknown=True) for event in events)

    def __attrs_post_init__(self) -> None:
        self._session = self._new_session()

    def _init(
        self,
        spec: DaemonSpec,
        name: str,
        toolchain: Toolchain,
        protocol: Protocol | None,
        options: DaemonOptions,
    ) -> None:
        check_options(options, DaemonOptions)
        path, pipe, color = options.get("path"), options.get("event_pipe"), options.get("color")
        record = options.get("record")
        runner = options.get("runner")
        host = host_of(toolchain, runner)
        self.__attrs_init__(
            name=name,
            color=next_color(spec.kind) if color is None else color,
            kind=spec.kind,
            protocol=protocol,
            wait_timeout=options.get("wait_timeout", WAIT_TIMEOUT),
            unknown_events=options.get("unknown_events", False),
            spec=spec,
            toolchain=toolchain,
            runner=runner,
            path=None if path is None else host.absolute(path),
            event_pipe=None if pipe is None else Path(pipe),
            workspace=host.workspace(name),
            format=options.get("format", "one-per-line"),
            strict=options.get("strict", False),
            history=options.get("history", EVENTS_LIMIT),
            record=Recording(record) if isinstance(record, str | Path) else record,
            stop_grace=check_grace(options.get("stop_grace", STOP_GRACE), "stop_grace"),
            policy=options.get("restart"),
        )

    # State.

    @property
    def running(self) -> bool:
        """Whether a process runs, is being started or is being stopped."""
        return self._session.running

    @property
    def state(self) -> str:
        """In words: not started, starting, running, stopping, ended, waiting to restart."""
        return self._session.state.value

    @property
    def ready(self) -> bool:
        """Whether there is a process that has said that it is of use; see `wait_for_ready`."""
        return self._session.alive and self._session.ready.is_set()

    @property
    def pid(self) -> int | None:
        """Process id of the current or last session; None while there is none."""
        return self._session.pid

    @property
    def restarts(self) -> int:
        """How often the handle's `RestartPolicy` has restarted it; `restart` does not count."""
        return self._restarts

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
        """Path of the named pipe for the events.

        By default it is in the temporary directory; where that one's path has characters that the
        daemon's sink cannot take, in a directory of its own elsewhere.
        """
        if self._event_pipe is not None:
            return self._event_pipe
        if self._pipe_workspace is None:
            self._pipe_workspace = self._workspace.for_pipe()
        return self._pipe_workspace.path / f"{safe_name(self.name)}-event-pipe"

    @property
    def _host(self) -> Host:
        return host_of(self.toolchain, self.runner)

    # Running.

    async def run(
        self,
        *,
        event_level: EventLevel | None = None,
        event_sections_levels: tuple[tuple[str, str], ...] | None = None,
        may_exit: bool | None = None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Spawn the daemon and attend to it until it has ended.

        Args:
            event_level: least level of the events that arrive: ``debug``, ``info`` (at first)
                or ``notice``; by default that of the last run.
            event_sections_levels: levels for sections, as in ``(("prevalidator", "debug"),)``;
                the last one that matches an event decides. A level is ``debug``, ``info``,
                ``notice``, ``warning``, ``error``, ``fatal``, or ``none`` for no event at all.
            may_exit: whether the daemon may end unasked without that being an error; by default
                as in the last run, at first not.

        Raises:
            AlreadyRunning: it is running.
            BinaryNotFound, SpawnFailed, EventPipeError: it could not be started.
            DaemonExited: it ended unasked, and is not to be restarted, or not once more.
            HandlerFailed: a handler raised.
            ValueError: an unknown level, or a section that the sink's URI cannot carry.

        Cancelling stops the daemon: SIGTERM, ``stop_grace`` seconds, SIGKILL, each for its whole
        process group; what it still writes is delivered. A Ctrl-C meanwhile kills it at once.
        """
        if self.running:
            raise AlreadyRunning(self.name, self._spec.kind)
        if event_level is not None and event_level not in get_args(EventLevel):
            raise ValueError(f"event_level must be one of {get_args(EventLevel)}, not {event_level!r}")
        if event_sections_levels is not None:
            self._sections = check_sections(event_sections_levels)
        if event_level is not None:
            self._event_level = event_level
        if may_exit is not None:
            self._may_exit = may_exit
        self._claim()
        await self._run_claimed(task_status)

    def _claim(self) -> Session:
        """Make a session that counts as running from now on, whoever else is about to start one."""
        if self._session.state is State.ENDED:
            self._session = self._new_session()
        self._session.state = State.STARTING
        return self._session

    async def _run_claimed(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with contextlib.nullcontext() if self._in_block else failure_told(self._record):
            await self._run_to_the_end(task_status)

    async def _run_to_the_end(self, task_status: trio.TaskStatus[None]) -> None:
        try:
            async with self._host.connected():
                try:
                    await self._run_sessions(task_status)
                finally:
                    with trio.CancelScope(shield=True):
                        await self._after_run()
        finally:
            self._session.end()
            self._drop_next()
            if self._pipe_workspace not in (None, self._workspace):
                self._pipe_workspace.remove()

    async def _run_sessions(self, task_status: trio.TaskStatus[None]) -> None:
        supervisor = None if self._policy is None else Supervisor(self._policy)
        while True:
            session, restart = self._session, None
            try:
                await self._run_session(task_status)
            except (DaemonExited, RunnerError, DirectoryError, EventPipeError, SpawnFailed) as error:
                if supervisor is None or not _may_pass(error, supervisor):
                    raise
                if self._next_session is None:
                    status = None
                    if isinstance(error, DaemonExited):
                        status = error.status
                    elif isinstance(error, RunnerError):
                        # The keeper there removes the directory of the session that lost us.
                        self._workspace.remove()
                    uptime = session.uptime if session.pid is not None else 0.0
                    restart = supervisor.next(status, uptime, session.tail())
                    if restart is None and not self._may_exit:
                        if isinstance(error, DaemonExited):
                            error.restarts = supervisor.attempt
                        raise
            task_status = trio.TASK_STATUS_IGNORED
            if restart is not None:
                # No checkpoint since the session's end: who hears of it finds the next one here.
                self._session = self._new_session()
                await self._back_off(restart)
            if self._session.state is State.ENDED:
                if self._next_session is None:
                    return
                self._session, self._next_session = self._next_session, None

    async def _back_off(self, restart: Restart) -> None:
        session = self._session
        with contextlib.nullcontext() if self._record is None else self._record.in_use():
            session.recorder.restart(restart.status, restart.attempt, restart.delay)
        how = "it could not be run" if restart.status is None else describe_status(restart.status)
        text = f"ended unasked: {how}; restart {restart.attempt} in"
        log(logging.WARNING, self.name, self.color, f"{text} {restart.delay:.3g} s")
        for handler in tuple(self._handlers.restarts):
            session.call(handler, restart, "a restart")
        if await session.back_off(restart.delay):
            self._restarts += 1
        elif session.failure is not None:
            raise session.failure

    async def _run_session(self, task_status: trio.TaskStatus[None]) -> None:
        session = self._session
        self._begin()
        session.state = State.STARTING
        await session.run(
            self._host,
            self._workspace,
            self._command(),
            self._sink_query(),
            self.event_pipe,
            may_exit=self._may_exit and self._policy is None,
            task_status=task_status,
        )

    def _command(self) -> tuple[str, ...]:
        return (str(self._path),) if self._path else self.toolchain.command(self._spec.binary, self._host)

    def _sink_query(self) -> str:
        # Upstream reverses the list, and the sink takes the first prefix that matches
        # (tezt/lib_tezos/daemon.ml), so the last one given wins.
        sections = (*reversed(self._sections), ("", self._event_level))
        query = "&".join(f"section-prefix={section}:{level}" for section, level in sections)
        return query if self._format == "one-per-line" else f"{query}&format={self._format}"

    def _new_session(self) -> Session:
        self._sessions += 1
        return Session(
            self.name,
            self.color,
            self._spec.ready,
            self._handlers,
            self._spec,
            None if self._protocol is None else self._protocol.long_name,
            NetstringFramer if self._format == "netstring" else Framer,
            recorder=Recorder(self.name, self._sessions, self._record),
            events_limit=self._history,
            strict=self._strict,
            stop_grace=self._stop_grace,
        )

    def _begin(self) -> None:
        """What a new session begins with."""

    async def _after_run(self) -> None:
        """What remains to be done when `run` returns."""

    async def _discard(self) -> None:
        """Remove the temporary directory after a run, unless a block may still want to look at it."""
        if not self._in_block:
            if self._session.ended_with_error(self._may_exit):
                self._workspace.keep()
            await self._host.discard(self._workspace)

    async def terminate(self, timeout: float | Default = DEFAULT) -> None:
        """Send SIGTERM, after ``timeout`` seconds (by default ``stop_grace``) SIGKILL, and wait for the end.

        Returns when the process is gone and everything that it wrote has been delivered.
        Returns at once if it is not running. Cancelling leaves the stop going on.

        Raises:
            TypeError, ValueError: ``timeout`` is no number >= 0; nothing was done.
        """
        await self._stop(self._grace(timeout))

    async def kill(self) -> None:
        """Send SIGKILL, and wait for the end as `terminate` does."""
        await self._stop(0.0)

    async def _stop(self, grace: float) -> None:
        self._drop_next()
        session = self._session
        if not session.running:
            await trio.lowlevel.checkpoint()
            return
        session.stop(grace)
        await session.ended.wait()

    def _grace(self, timeout: float | Default) -> float:
        return self._stop_grace if isinstance(timeout, Default) else check_grace(timeout)

    def _drop_next(self) -> None:
        self._revived = None
        following, self._next_session = self._next_session, None
        if following is not None:
            following.end()

    async def restart(self, timeout: float | Default = DEFAULT) -> None:
        """Terminate the daemon if it runs, run it again and wait until it is ready.

        ``timeout`` is that of `terminate`.

        Handlers and the event level stay; pending waits end with `TerminatedBeforeEvent`; the
        directory is the same. A daemon that has ended is run again in the nursery that it was
        opened in. Restarts that overlap are one. Cancelling leaves the restart going on, until
        `terminate` or `kill` is called.

        Raises:
            NotRunning: it is not running, and was not opened by ``open_...`` or ``init``.
            TerminatedBeforeEvent: it ended before it was ready again, or was to stop for good.
            EventTimeout: it was not ready again within the time that waits last.
            TypeError, ValueError: ``timeout`` is no number >= 0; nothing was done.
        """
        grace = self._grace(timeout)
        if self._revived is self._session and not self._session.settled.is_set():
            await self._wait_until_ready(self._session)
            return
        if self._session.running:
            following = self._next_session
            if following is None:
                following = self._next_session = self._new_session()
            self._session.stop(grace)
            await self._wait_until_ready(following)
            return
        hint = f"start it with `await nursery.start({self._spec.kind}.run)`"
        if self._nursery is None:
            raise NotRunning(self.name, "restart", hint)
        revived = self._revived = self._claim()
        try:
            await self._nursery.start(self._run_claimed)
        except RuntimeError:
            # The nursery that it was opened in may have closed.
            revived.end()
            raise NotRunning(self.name, "restart", hint) from None
        await self._wait_until_ready(revived)

    async def stats(self) -> Stats:
        """Tell what the daemon's whole process group uses, and what the session has brought.

        All processes of the machine are looked at, here in another thread. Cancelling is noticed
        afterwards.

        Raises:
            NotRunning: there is no process, or not any more.
            StatsUnavailable: the system there has no ``/proc``.
        """
        session = self._session
        try:
            usage = await session.usage()
        except OSError as error:
            raise StatsUnavailable(self.name, str(error)) from error
        if usage is None:
            await trio.lowlevel.checkpoint()
            raise NotRunning(self.name, "measure")
        return Stats(
            **attrs.asdict(usage),
            uptime=session.uptime,
            events=session.events.next_index - session.malformed,
            lines=session.stdout.next_index + session.stderr.next_index,
            restarts=self._restarts,
        )

    def on_restart(self, handler: Callable[[Restart], object]) -> None:
        """Call ``handler`` when the daemon has exited unasked and the wait for its restart begins.

        An exception of it ends the run with `HandlerFailed`.
        """
        self._handlers.restarts.append(handler)

    def expect_exit(self, *, timeout: float | Default | None = DEFAULT) -> ExitExpectation:
        """Expect that the daemon exits: from now on that is no error, and does not end its block.

        Await the result, or put what causes the exit into an ``async with`` block of it. Either
        gives the exit status, the negative number of a signal, when everything that the daemon
        wrote has been delivered. It is about the current session, or the last one, and holds
        until it times out or its block fails. Any exit fulfils it, also one by `terminate`. Of a
        session that has ended it gives the status at once. Cancelling the wait is harmless.

        Where ``may_exit=True`` tolerates every exit of a run, this tolerates one, and says when.

        Raises:
            EventTimeout: when awaited; it has not exited ``timeout`` seconds (by default the daemon's) after
                the ``await``; from then on an exit is an error again.
            TerminatedBeforeEvent: when awaited; it ended before there was a process.
        """
        return ExitExpectation(self._session, self._seconds(timeout))

    def signal(self, signum: int) -> None:
        """Send a signal, as in ``signal.SIGUSR1``, to the whole process group.

        An exit that it causes is one that nobody asked for: `terminate` and `kill` ask, and
        `expect_exit` allows it.

        Raises:
            ValueError: there is no such signal.
            NotRunning: there is no process.
        """
        if signum not in signal.valid_signals():
            raise ValueError(f"there is no signal {signum!r}")
        if not self._session.signal(signum):
            raise NotRunning(self.name, f"send {signal_name(signum)} to")

    def pause(self) -> None:
        """Stop the whole process group with SIGSTOP. Does nothing if it is not running."""
        self._session.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on with SIGCONT. Does nothing if it is not running."""
        self._session.signal(signal.SIGCONT)

    # Opening.

    async def _start(self, nursery: trio.Nursery, event_level: EventLevel | None, may_exit: bool) -> None:
        self._nursery = nursery
        await nursery.start(partial(self.run, event_level=event_level, may_exit=may_exit))
        try:
            await self._wait_for_first_ready()
        except BaseException:
            # Nobody else has the handle yet.
            self._drop_next()
            self._session.stop(self._stop_grace)
            raise

    async def _wait_for_first_ready(self) -> None:
        while True:
            session = self._session
            try:
                return await self.wait_for_ready()
            except TerminatedBeforeEvent:
                if self._session is session:
                    raise  # no restart follows

    @asynccontextmanager
    async def _opened(self, event_level: EventLevel | None, may_exit: bool) -> AsyncGenerator[Self]:
        self._in_block = True
        with failure_told(self._record):
            async with self._opened_here(event_level, may_exit):
                yield self

    @asynccontextmanager
    async def _opened_here(self, event_level: EventLevel | None, may_exit: bool) -> AsyncGenerator[None]:
        async with self._host.connected():
            try:
                with plain_errors():
                    async with trio.open_nursery() as nursery:
                        try:
                            await self._start(nursery, event_level, may_exit)
                        except TerminatedBeforeEvent:
                            if not self._session.ended_with_error(may_exit):
                                raise
                            # `run` is about to raise, in this very nursery, and says more.
                            await trio.sleep_forever()
                        yield
                        await self.terminate()
            except BaseException as error:
                # What never ran left nothing to look at; a cancelled block did not fail; and
                # nobody can look at a machine that is out of reach, which cleans up itself.
                failed = isinstance(error, Exception) and not isinstance(error, RunnerError)
                ran = self.pid is not None or self._sessions > 1
                if failed and ran and (kept := self._workspace.keep()):
                    error.add_note(f"the files of {self.name} are kept in {kept}")
                raise
            finally:
                self._nursery = None
                self._in_block = False
                with trio.CancelScope(shield=True):
                    await self._host.discard(self._workspace)


D = TypeVar("D", bound=Daemon)


@asynccontextmanager
async def open_daemon(
    daemon: D, *, event_level: EventLevel | None = None, may_exit: bool = False
) -> AsyncGenerator[D]:
    """Run ``daemon`` for the length of a block; it is ready when the block begins.

    Args:
        daemon: a handle that does not run.
        event_level: least level of its events: ``debug``, ``info`` or ``notice``.
        may_exit: whether it may end unasked without ending the block.

    Raises:
        AlreadyRunning: it runs.
        BinaryNotFound, SpawnFailed, EventPipeError: it could not be started.
        EventTimeout: it was not ready within the time that its waits last.
        DaemonExited: it ended unasked; the block was cancelled.

    The end of the block stops it, whatever the block ends with.
    """
    if daemon.running:
        raise AlreadyRunning(daemon.name, daemon._spec.kind)
    async with daemon._opened(event_level, may_exit) as opened:
        yield opened


def _may_pass(error: AccuserError, supervisor: Supervisor) -> bool:
    # What could be done once may be possible again: a machine that was reached, a program that was
    # started on a disk that was not full. What never could be is a mistake of the user.
    return (
        isinstance(error, DaemonExited)
        or (isinstance(error, RunnerError) and error.reason is RunnerFault.LOST)
        or supervisor.attempt > 0
    )
