"""The handle of a daemon: what users hold, over one session after the other."""

from __future__ import annotations

import re
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Unpack, get_args

import attrs
import trio

from .._checks import check_grace, check_options, check_plain, check_sections, check_wait
from .._engine.exits import ExitExpectation
from .._engine.program import Program, checked_arguments
from .._engine.readiness import ReadyEvent, ReadyLine, ReadySpawned
from .._engine.session import STOP_GRACE, Session
from .._engine.supervise import Restart
from .._engine.transcript import EVENTS_LIMIT
from .._engine.waits import DEFAULT, Default
from .._errors import AlreadyRunning, DaemonExited, NotRunning, StatsUnavailable
from .._hosts.host import Host, Workspace
from .._hosts.places import host_of, runner_of
from .._hosts.remote.runner import Runner
from .._hosts.selection import toolchain_of
from .._hosts.toolchain import Toolchain, installed
from .._hosts.usage import Stats
from .._logs import fresh_name, next_color
from .._mavryk.protocol import Protocol
from .._recording.writer import Recording
from .._report import signal_name
from .observed import Observed
from .options import AT_START, DaemonOptions, EventLevel
from .sessions import Sessions, Settings
from .waits import WAIT_TIMEOUT

if TYPE_CHECKING:
    from ..events import TypedEvent

_KIND: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


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
        explain_exit: gets the `DaemonExited` of an exit that nobody asked for, and returns the error
            that is raised: the same one, or a subclass that says more.
        keeps_directory: whether the next run needs what is in the temporary directory. Otherwise it
            is removed when `run` returns, unless the daemon failed or a block holds it.
        options: those of all daemons, `DaemonOptions`; the default toolchain is what is installed.

    Raises:
        ValueError: ``arguments`` is one text, or ``kind`` cannot begin a name.
    """

    toolchain: Toolchain
    """Where the executable comes from, unless a path was given."""
    runner: Runner | None
    """The machine that it runs on; None for this one."""
    options_known: ClassVar[type] = DaemonOptions
    """All that may be given by name, for the complaint about what may not."""
    _sessions: Sessions

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
        explain_exit: Callable[[DaemonExited], DaemonExited] | None = None,
        keeps_directory: bool = True,
        **options: Unpack[DaemonOptions],
    ) -> None:
        if not _KIND.fullmatch(kind):
            raise ValueError(f"kind begins names such as indexer1: A-Z a-z 0-9 . _ and -, not {kind!r}")
        program = Program(
            kind=kind,
            binary=binary,
            arguments=arguments if callable(arguments) else checked_arguments(arguments),
            ready=ReadySpawned() if ready is None else ready,
            environment=environment or {},
            prepare=prepare,
            explain_exit=explain_exit,
            keeps_directory=keeps_directory,
        )
        check_options(options, type(self).options_known, AT_START)
        name = options.get("name") or fresh_name(kind)
        toolchain = toolchain_of(options.get("toolchain")) or installed()
        color = options.get("color")
        super().__init__(
            name=name,
            color=next_color(kind) if color is None else color,
            kind=kind,
            protocol=protocol,
            wait_timeout=check_wait(options.get("wait_timeout", WAIT_TIMEOUT), "wait_timeout"),
            unknown_events=options.get("unknown_events", False),
        )
        self.toolchain = toolchain
        self.runner = runner_of(toolchain, options.get("runner"))
        self._sessions = sessions = Sessions(self._settings(program, options))
        self._waits = self._waits_on(lambda: sessions.current)
        if events is not None:
            self._waits.catalogue = frozenset(self._waits.event_name(event, unknown=True) for event in events)

    def _settings(self, program: Program, options: DaemonOptions) -> Settings:
        host = host_of(self.toolchain, options.get("runner"))
        path, pipe, record = options.get("path"), options.get("event_pipe"), options.get("record")
        return Settings(
            name=self.name,
            color=self.color,
            program=program,
            protocol_name=None if self._protocol is None else self._protocol.long_name,
            toolchain=self.toolchain,
            host=host,
            workspace=host.workspace(self.name),
            path=None if path is None else host.absolute(path),
            event_pipe=None if pipe is None else Path(pipe),
            format=options.get("format", "one-per-line"),
            strict=options.get("strict", False),
            history=options.get("history", EVENTS_LIMIT),
            recording=Recording(record) if isinstance(record, str | Path) else record,
            stop_grace=check_grace(options.get("stop_grace", STOP_GRACE), "stop_grace"),
            policy=options.get("restart"),
            handlers=self._handlers,
        )

    def __repr__(self) -> str:
        session = self._session
        process = "" if session.pid is None else f", pid {session.pid}"
        return f"<{type(self).__name__} {self.name} {session.state.value}{process}>"

    # State.

    @property
    def _session(self) -> Session:
        return self._sessions.current

    @property
    def _host(self) -> Host:
        return self._sessions.settings.host

    @property
    def _workspace(self) -> Workspace:
        return self._sessions.settings.workspace

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
        return self._sessions.restarts

    @property
    def exit_status(self) -> int | None:
        """Exit status of the last session, negative for a signal; None while there is none.

        127 is an accuser's or node's clean end by SIGTERM or SIGINT (recorded events ``90``).
        """
        return self._session.status

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines that the last session printed: on standard error, or on standard output if none."""
        return self._session.tail()

    @property
    def exit_is_expected(self) -> bool:
        """Whether an exit that nobody asks for is no error now: ``may_exit``, or an `expect_exit`."""
        return self._sessions.may_exit or self._session.exits_expected > 0

    @property
    def directory(self) -> Path:
        """The temporary directory of this handle, made when first asked for."""
        return self._workspace.path

    @property
    def kept_directory(self) -> Path | None:
        """The temporary directory as it is now; None if it was not made, or is removed."""
        return self._workspace.made

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
        return self._sessions.event_pipe

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
            HandlerFailed: a handler raised, also while the run was being cancelled.
            ValueError: an unknown level, or a section that the sink's URI cannot carry.

        Cancelling stops the daemon: SIGTERM, ``stop_grace`` seconds, SIGKILL, each for its whole
        process group; what it still writes is delivered. A Ctrl-C meanwhile kills it at once.
        """
        sessions = self._sessions
        if self.running:
            raise AlreadyRunning(self.name, sessions.settings.program.kind)
        if event_level is not None and event_level not in get_args(EventLevel):
            raise ValueError(f"event_level must be one of {get_args(EventLevel)}, not {event_level!r}")
        if event_sections_levels is not None:
            sessions.section_levels = check_sections(event_sections_levels)
        if event_level is not None:
            sessions.event_level = event_level
        if may_exit is not None:
            sessions.may_exit = may_exit
        sessions.claim()
        await sessions.run(task_status)

    async def terminate(self, timeout: float | Default = DEFAULT) -> None:
        """Send SIGTERM, after ``timeout`` seconds (by default ``stop_grace``) SIGKILL, and wait for the end.

        Returns when the process is gone and everything that it wrote has been delivered.
        Returns at once if it is not running. Cancelling leaves the stop going on.

        Raises:
            TypeError, ValueError: ``timeout`` is no number >= 0; nothing was done.
        """
        await self._sessions.stop(self._grace(timeout))

    async def kill(self) -> None:
        """Send SIGKILL, and wait for the end as `terminate` does."""
        await self._sessions.stop(0.0)

    def _grace(self, timeout: float | Default) -> float:
        if isinstance(timeout, Default):
            return self._sessions.settings.stop_grace
        return check_grace(timeout)

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

        Where it had ended, also what its start raises, as `run` does.
        """
        following = await self._sessions.restart(self._grace(timeout))
        await self._waits.until_ready(following)

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
            restarts=self._sessions.restarts,
        )

    def on_restart(self, handler: Callable[[Restart], object]) -> None:
        """Call ``handler`` when the daemon has exited unasked and the wait for its restart begins.

        An exception of it ends the run with `HandlerFailed`.
        """
        check_plain(handler, "a handler")
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
        return ExitExpectation(self._session, self._waits.seconds(timeout))

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
