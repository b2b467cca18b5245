"""The sessions of one daemon: the loop that runs one after the other, and what asks for the next one.

Invariants:
1. `current` is the session that all questions are about; it is replaced without a checkpoint after the end
   of the one before, so that whoever hears of an end finds the next session here.
2. A session object exists before it runs, so that its events can already be waited for.
3. What follows an end (leaving the place it ran in, removing the directory) is over before the next run
   begins, though the next session may be claimed before.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Final

import attrs
import trio

from .._engine.program import Program
from .._engine.session import Session
from .._engine.supervise import Restart, RestartPolicy, Supervisor
from .._engine.transcript import Handlers, State
from .._errors import (
    AccuserError,
    DaemonExited,
    DirectoryError,
    EventPipeError,
    NotRunning,
    RunnerError,
    SpawnFailed,
)
from .._files import safe_name
from .._hosts.host import Host, Workspace
from .._hosts.toolchain import Toolchain
from .._logs import log
from .._recording.failure import failure_told
from .._recording.writer import Recorder, Recording
from .._report import RunnerFault, describe_status
from .._stream.framing import Framer
from .._stream.netstring import NetstringFramer
from .._text import one_line, secrets
from .._unwrap import is_cancellation
from .options import EventFormat, EventLevel

MAY_PASS: Final = (DaemonExited, RunnerError, DirectoryError, EventPipeError, SpawnFailed)
"""What ends a session that a restart may follow."""


@attrs.frozen(kw_only=True)
class Settings:
    """What is the same for all sessions of a daemon."""

    name: str
    color: str
    program: Program
    protocol_name: str | None
    toolchain: Toolchain
    host: Host
    workspace: Workspace
    path: Path | None
    """The executable, in place of the toolchain's."""
    event_pipe: Path | None
    format: EventFormat
    strict: bool
    history: int
    recording: Recording | None
    stop_grace: float
    policy: RestartPolicy | None
    handlers: Handlers


@attrs.define(eq=False, repr=False)
class Sessions:
    settings: Settings
    event_level: EventLevel = attrs.field(default="info", init=False)
    section_levels: tuple[tuple[str, str], ...] = attrs.field(default=(), init=False)
    may_exit: bool = attrs.field(default=False, init=False)
    in_block: bool = attrs.field(default=False, init=False)
    """Whether a block holds the daemon, at whose end the temporary directory is removed."""
    nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    """Where it was opened, and can be run again."""
    current: Session = attrs.field(init=False)
    restarts: int = attrs.field(default=0, init=False)
    """How often the policy has restarted it."""
    count: int = attrs.field(default=0, init=False)
    """How many sessions were made."""
    _following: Session | None = attrs.field(default=None, init=False)
    """The session of a restart, while the one before is being stopped."""
    _revived: Session | None = attrs.field(default=None, init=False)
    """The session that a restart began where none ran."""
    _last: Session | None = attrs.field(default=None, init=False)
    """The session that somebody has stopped, so that none is to follow it."""
    _pipe_workspace: Workspace | None = attrs.field(default=None, init=False)
    _left: trio.Event | None = attrs.field(default=None, init=False)
    """Set when the last run has left nothing to be done; None before the first one."""

    def __attrs_post_init__(self) -> None:
        self.current = self._new()

    @property
    def event_pipe(self) -> Path:
        """Path of the named pipe."""
        ours = self.settings
        if ours.event_pipe is not None:
            return ours.event_pipe
        if self._pipe_workspace is None:
            self._pipe_workspace = ours.workspace.for_pipe()
        return self._pipe_workspace.path / f"{safe_name(ours.name)}-event-pipe"

    # Running.

    def claim(self) -> Session:
        """Make a session that counts as running from now on, whoever else is about to start one."""
        if self.current.state is State.ENDED:
            self.current = self._new()
        self.current.state = State.STARTING
        return self.current

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the session that was claimed, and those that follow."""
        recording = None if self.in_block else self.settings.recording
        left = trio.Event()
        before, self._left = self._left, left
        try:
            if before is not None:
                # Bounded by what leaving a place takes, which a cancellation does not hurry.
                with trio.CancelScope(shield=True):
                    await before.wait()
            with failure_told(recording):
                await self._run_to_the_end(task_status)
        finally:
            left.set()

    async def _run_to_the_end(self, task_status: trio.TaskStatus[None]) -> None:
        ended = False
        try:
            async with self.settings.host.connected():
                try:
                    await self._run_all(task_status)
                except BaseException as error:
                    # What a handler raised is an answer of the test, whoever cancels the run meanwhile.
                    unheard = self.current.unheard if is_cancellation(error) else None
                    # A block may still want to look at it, and says so itself.
                    if not self.in_block:
                        self.keep_files(unheard or error)
                    if unheard is not None:
                        raise unheard from unheard.__cause__  # noqa: ASYNC104 - what was cancelled has ended
                    raise
                finally:
                    self._end()
                    ended = True
                    ours = self.settings
                    # Unless the next run needs it.
                    if not ours.program.keeps_directory and not self.in_block:
                        await ours.host.discard(ours.workspace)  # noqa: ASYNC102 - shielded there
        finally:
            if not ended:
                self._end()
            if self._pipe_workspace not in (None, self.settings.workspace):
                self._pipe_workspace.remove()

    def _end(self) -> None:
        """End the last session of a run, if it has not ended.

        Before any checkpoint: after its end the next session may be claimed, which is then the current one.
        """
        self.current.end()
        self.drop_following()

    async def _run_all(self, task_status: trio.TaskStatus[None]) -> None:
        policy = self.settings.policy
        supervisor = None if policy is None else Supervisor(policy)
        while True:
            restart = None
            try:
                await self._run_one(task_status)
            except MAY_PASS as error:
                if supervisor is None:
                    raise
                supervisor.begun = supervisor.begun or self.current.pid is not None
                if not _may_pass(error, supervisor):
                    raise
                if self._following is None:
                    if self.current.stop_asked:
                        raise
                    restart = self._restart_after(error, supervisor)
                    if restart is None and not self.may_exit:
                        if isinstance(error, DaemonExited):
                            error.restarts = supervisor.attempt
                        raise
                    if self._last is self.current:
                        restart = None  # the stop was too late for the process, but not for the next one
            task_status = trio.TASK_STATUS_IGNORED
            if restart is not None:
                self.current = self._new()
                await self._back_off(restart)
            if self.current.state is State.ENDED:
                if self._following is None:
                    return
                self.current, self._following = self._following, None

    async def _run_one(self, task_status: trio.TaskStatus[None]) -> None:
        ours, session = self.settings, self.current
        session.state = State.STARTING
        await session.run(
            ours.host,
            ours.workspace,
            self.command(),
            self._sink_query(),
            self.event_pipe,
            may_exit=self.may_exit and ours.policy is None,
            task_status=task_status,
        )

    def _restart_after(self, error: AccuserError, supervisor: Supervisor) -> Restart | None:
        status = None
        if isinstance(error, DaemonExited):
            status = error.status
        elif isinstance(error, RunnerError):
            # The keeper there removes the directory of the session that lost us.
            self.settings.workspace.remove()
        uptime = self.current.uptime if self.current.pid is not None else 0.0
        return supervisor.next(status, uptime, self.current.tail(), reason_of(error))

    async def _back_off(self, restart: Restart) -> None:
        ours, session = self.settings, self.current
        with contextlib.nullcontext() if ours.recording is None else ours.recording.in_use():
            session.recorder.restart(restart.status, restart.attempt, restart.delay, restart.reason)
        if restart.status is None:
            how = f"is down: {restart.reason}"
        else:
            how = f"ended unasked: {restart.reason or describe_status(restart.status)}"
        text = f"{how}; restart {restart.attempt} in {restart.delay:.3g} s"
        log(logging.WARNING, ours.name, ours.color, text)
        for handler in tuple(ours.handlers.restarts):
            session.call(handler, restart, "a restart")
        if await session.back_off(restart.delay):
            self.restarts += 1
        elif session.failure is not None:
            raise session.failure

    def command(self) -> tuple[str, ...]:
        """The words that start the program, to be followed by its arguments."""
        ours = self.settings
        if ours.path is not None:
            return (str(ours.path),)
        return ours.toolchain.command(ours.program.binary, ours.host)

    def _sink_query(self) -> str:
        # Upstream reverses the list, and the sink takes the first prefix that matches
        # (tezt/lib_tezos/daemon.ml), so the last one given wins.
        sections = (*reversed(self.section_levels), ("", self.event_level))
        query = "&".join(f"section-prefix={section}:{level}" for section, level in sections)
        wanted = self.settings.format
        return query if wanted == "one-per-line" else f"{query}&format={wanted}"

    def _new(self) -> Session:
        self.count += 1
        ours = self.settings
        return Session(
            ours.name,
            ours.color,
            ours.program.ready,
            ours.handlers,
            ours.program,
            ours.protocol_name,
            NetstringFramer if ours.format == "netstring" else Framer,
            recorder=Recorder(ours.name, self.count, ours.recording),
            events_limit=ours.history,
            strict=ours.strict,
            stop_grace=ours.stop_grace,
        )

    def keep_files(self, error: BaseException) -> None:
        """Keep what this error is to be looked at with, and say in a note where it is.

        What never ran left nothing to look at. What was cancelled did not fail, and nobody would read the
        note. Nobody can look at a machine that is out of reach, which cleans up itself.
        """
        ours = self.settings
        ran = self.current.pid is not None or self.count > 1
        failed = isinstance(error, Exception) and not isinstance(error, RunnerError)
        if ran and failed and (kept := ours.workspace.keep()):
            error.add_note(f"the files of {ours.name} are kept in {kept}")

    # Stopping and restarting.

    async def stop(self, grace: float) -> None:
        """Stop for good, and wait for the end."""
        self.drop_following()
        session = self.current
        if not session.running:
            await trio.lowlevel.checkpoint()
            return
        self._last = session
        session.stop(grace)
        await session.ended.wait()

    def drop_following(self) -> None:
        """Have no session follow the current one."""
        self._revived = None
        following, self._following = self._following, None
        if following is not None:
            following.end()

    async def restart(self, grace: float) -> Session:
        """Have a new session follow the current one, which is stopped; return it.

        Raises:
            NotRunning: there is none to stop, and no nursery to run one in.
        """
        if self._revived is self.current and not self.current.settled.is_set():
            return self.current
        if self.current.running:
            following = self._following
            if following is None:
                following = self._following = self._new()
            self.current.stop(grace)
            return following
        return await self._revive()

    async def _revive(self) -> Session:
        hint = f"start it with `await nursery.start({self.settings.program.kind}.run)`"
        if self.nursery is None:
            raise NotRunning(self.settings.name, "restart", hint)
        revived = self._revived = self.claim()
        entered = False

        async def run(task_status: trio.TaskStatus[None]) -> None:
            nonlocal entered
            entered = True
            await self.run(task_status)

        try:
            await self.nursery.start(run)
        except RuntimeError:
            if entered:
                raise  # what the start itself raised
            # The nursery that it was opened in has closed.
            revived.end()
            raise NotRunning(self.settings.name, "restart", hint) from None
        return revived


def _may_pass(error: AccuserError, supervisor: Supervisor) -> bool:
    # What could be done once may be possible again: a machine that was reached, a container that was
    # opened, a disk that was not full. What never could be is a mistake of the user.
    lost = isinstance(error, RunnerError) and error.reason is RunnerFault.LOST
    return supervisor.begun or lost or supervisor.attempt > 0


def reason_of(error: AccuserError) -> str | None:
    """What a session failed by, in one line; None if its status says all that is known."""
    if isinstance(error, DaemonExited):
        return error.reason
    return one_line(secrets.hide(str(error)))
