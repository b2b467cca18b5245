"""One run of a daemon, from the making of its pipe to the last byte that it wrote.

Invariants:
1. Its outputs are read until they end, or until a bounded time after the exit: a daemon whose
   standard error is not read stops writing events and ignores SIGTERM (recorded events ``9d``).
   So `Reading` is shielded from cancellation, which instead asks the daemon to stop.
2. The histories are closed after the last record is in them; only then do waiters hear of the
   end.
3. Whatever happens, the group is stopped and reaped, the descriptors closed, the FIFO removed.
4. Its tasks are protected from a Ctrl-C at any instruction, which would break the nesting of nurseries and
   cancel scopes; trio gives it to the main task at its next checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import attrs
import trio

from .._errors import AccuserError, DaemonExited, RunnerError
from .._hosts.host import Host, Process, Running, Variables, Workspace, inherited
from .._hosts.usage import Usage
from .._logs import log, log_command
from .._stream.framing import Framer
from .._stream.netstring import NetstringFramer
from .._text import one_line, secrets
from .interrupt import on_interrupt
from .program import Program
from .readiness import ReadySpawned
from .reading import Reading
from .timekeeper import Timekeeper
from .transcript import State, Transcript

DRAIN: Final = 1.0
"""Seconds that the outputs may take to end after the exit, and once more after the rest of the
group was killed: what the daemon wrote is in the pipes already, and is read in far less."""

UNKILLABLE: Final = 10.0
"""Seconds after SIGKILL in which a process ends, unless it is another user's by now, or in a system call that
cannot be interrupted."""

STOP_GRACE: Final = 30.0
"""Seconds between SIGTERM and SIGKILL, as upstream (``[tezt] process.ml``)."""

EVENTS_VARIABLE: Final = "MAVRYK_EVENTS_CONFIG"


@attrs.define(eq=False, repr=False)
class Session(Transcript):
    """One run. `run` is called once; everything else may be asked at any time."""

    program: Program
    protocol_name: str | None
    make_framer: Callable[[], Framer | NetstringFramer]
    spawned: float = attrs.field(default=0.0, init=False)
    """When, by trio's clock."""
    exits_expected: int = attrs.field(default=0, init=False)
    """How many expectations of the exit hold; while any does, it is no error."""
    stop_grace: float = attrs.field(default=STOP_GRACE, kw_only=True)
    """Seconds between SIGTERM and SIGKILL, where nobody says otherwise."""
    exit_reason: str | None = attrs.field(default=None, init=False)
    """Why it ended, where the place it ran in knows more than the status does."""
    _explain: Callable[[int], Awaitable[str | None]] | None = attrs.field(default=None, init=False)
    _child: Process | None = attrs.field(default=None, init=False)
    _preparing: trio.CancelScope | None = attrs.field(default=None, init=False)
    stop_asked: bool = attrs.field(default=False, init=False)
    """Whether somebody has asked it to end, before it had ended."""
    _stop_asked_for: trio.Event = attrs.field(factory=trio.Event, init=False)
    _kill_at: float = attrs.field(default=math.inf, init=False)
    """When SIGKILL is due, by trio's clock."""
    _attending: trio.CancelScope | None = attrs.field(default=None, init=False)
    """That of the nursery. Its deadline is when SIGKILL is due; after the exit, for the rest of the group."""

    def ended_with_error(self, may_exit: bool) -> bool:
        """Whether `run` raises for the way in which the daemon ended."""
        tolerated = self.stop_asked or may_exit or self.exits_expected > 0
        unasked = self.status is not None and not tolerated
        return self.failure is not None or unasked

    @property
    def unheard(self) -> BaseException | None:
        """The failure that is to be told although `run` was cancelled.

        That a place was lost is none: it is logged, and whoever cancels has no more use for the place.
        """
        return None if isinstance(self.failure, RunnerError) else self.failure

    @property
    def uptime(self) -> float:
        """Seconds since it was spawned."""
        return trio.current_time() - self.spawned

    @property
    def alive(self) -> bool:
        """Whether there is a process, which may have exited a moment ago."""
        return self._child is not None

    async def usage(self) -> Usage | None:
        """What the processes of its group use; None if there are none."""
        child = self._child
        usage = None if child is None else await child.usage()
        return usage if self._child is child and usage is not None and usage.processes else None

    # Stopping.

    def stop(self, grace: float) -> None:
        """Ask the daemon to end: SIGTERM now, SIGKILL after ``grace`` seconds.

        Asked again, the earlier time holds. Does nothing once the session has ended.
        """
        if self.state is State.ENDED:
            return
        if self._child is None or not self._child.has_exited():
            self.stop_asked = True
            self._kill_at = min(self._kill_at, trio.current_time() + grace)
            if self._attending is not None:
                # After the exit, which may not be known here yet, it is that for the rest of the group.
                self._attending.deadline = min(self._attending.deadline, self._kill_at)
        if self.state is State.RUNNING:
            self.state = State.STOPPING
            if grace > 0:
                self.signal(signal.SIGTERM)
                # A stopped process would keep the signal for later.
                self.signal(signal.SIGCONT)
        if self.state is State.STARTING and self._preparing is not None:
            self._preparing.cancel(reason=f"{self.name} is to stop")
        self._stop_asked_for.set()

    def signal(self, signum: int) -> bool:
        """Send a signal to the daemon's whole group; return whether there is one."""
        if self._child is None:
            return False
        # First what counts, then what is said about it.
        self._child.send(signum)
        self.recorder.signal(signum)
        return True

    async def _over(
        self, ours: Running, reading: Reading, scope: trio.CancelScope, until_end: contextlib.ExitStack
    ) -> bool:
        """Wait until it has exited and its outputs have ended, and kill what is left when that is due.

        Return whether it has exited, or is to be left. To be cancelled asks for a stop that nothing disturbs.
        """
        child, until = ours.process, math.inf
        try:
            try:
                await child.wait_exited()
            except trio.Cancelled:  # noqa: ASYNC103 - told by `_see_through` after the end
                # First, so that a SIGKILL that is due is not lost by a cancellation at the same time.
                scope.shield = True
                if scope.cancel_called:
                    raise
                # Before the stop can be seen: whoever sees it may interrupt at once.
                until_end.enter_context(on_interrupt(lambda: self.stop(0.0)))
                self.stop(self.stop_grace)
                await child.wait_exited()  # noqa: ASYNC102 - shielded, and its time is that until the kill
            scope.shield = True
            ours.pipe.release()
            # From now on it is the rest of the group that is to be killed.
            scope.deadline = until = trio.current_time() + DRAIN
            await reading.ended.wait()
        except trio.Cancelled:  # noqa: ASYNC103 - SIGKILL is due, and the scope is about to end
            with trio.CancelScope(shield=True):
                exited = await self._by_force(ours, reading, until)
        else:
            # Somebody of the group may simply go on.
            child.send(signal.SIGKILL)
            exited = True
        return exited

    async def _by_force(self, ours: Running, reading: Reading, until: float) -> bool:
        """Kill it; if it has exited in time, its group alone, and its outputs have ``until`` to end."""
        child, exited = ours.process, until < math.inf
        if not exited:
            exited = await self._killed(child)
            ours.pipe.release()
            until = trio.current_time() + DRAIN
        with trio.move_on_at(until):
            await reading.ended.wait()  # also where SIGKILL was due in the turn in which it exited
        # Somebody of the group may still hold the pipes.
        child.send(signal.SIGKILL)
        with trio.move_on_after(DRAIN):
            await reading.ended.wait()
        return exited

    async def _killed(self, child: Process) -> bool:
        self.signal(signal.SIGKILL)
        until, late = time.monotonic() + UNKILLABLE, True
        while late:
            with trio.move_on_after(UNKILLABLE) as limit:
                await child.wait_exited()
            # A clock of trio that jumps says nothing of a process.
            late = limit.cancelled_caught and time.monotonic() < until
        if child.has_exited():
            return True
        why = getattr(child, "refusal", None) or "it has not ended by SIGKILL, as in a system call that hangs"
        text = f"{self.name} (process {child.pid}) cannot be stopped, and is left: {why}"
        log(logging.ERROR, self.name, self.color, text)
        self.fail(AccuserError(text))
        return False

    # Running.

    async def back_off(self, delay: float) -> bool:
        """Wait ``delay`` seconds before `run`; return whether it is still to be run.

        To stop the session ends the wait and the session at once.
        """
        self.state = State.WAITING
        with trio.move_on_after(delay):
            await self._stop_asked_for.wait()
        if self.stop_asked:
            self.end()
        return not self.stop_asked

    @trio.lowlevel.enable_ki_protection
    async def run(
        self,
        host: Host,
        workspace: Workspace,
        command: tuple[str, ...],
        sink_query: str,
        pipe_path: Path,
        *,
        may_exit: bool,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the daemon to its end. ``started`` is called when it has been spawned."""
        self.state = State.STARTING
        recording = self.recorder.recording
        with contextlib.nullcontext() if recording is None else recording.in_use():
            try:
                if await self._prepared():
                    words = (*command, *self.program.words())
                    variables = self._variables(f"file-descriptor-path://{pipe_path}?{sink_query}")
                    start = host.start(words, variables, pipe_path, workspace)
                    await self._see_through(words, start, task_status)
                else:
                    task_status.started()
            finally:
                self.end()
        if self.failure is not None:
            raise self.failure
        if self.ended_with_error(may_exit):
            assert self.status is not None
            error = DaemonExited(
                self.name, self.status, self.last_words(), workspace.made, reason=self.exit_reason
            )
            raise self.program.exited(error)

    async def _prepared(self) -> bool:
        """Do what comes before the start; return whether it is still to be started."""
        if self.program.prepare is not None:
            with trio.CancelScope() as self._preparing:
                await self.program.prepare()
        return not self.stop_asked

    def _variables(self, events: str) -> Variables:
        here = inherited()
        secrets.learn_environment(here)
        secrets.learn_environment(self.program.environment)
        return Variables({**self.program.environment, EVENTS_VARIABLE: events}, here)

    async def _see_through(
        self, command: tuple[str, ...], start: Awaitable[Running], task_status: trio.TaskStatus[None]
    ) -> None:
        log_command(self.name, self.color, command)
        running = await start
        try:
            self._begun(running, command)
            if await self._attend(running, task_status):
                await self._reap(running.process)
        finally:
            try:
                await running.process.aclose()
            finally:
                await running.pipe.aclose()
        # Whoever cancelled is told now, when all is done.
        await trio.lowlevel.checkpoint_if_cancelled()

    def _begun(self, running: Running, command: tuple[str, ...]) -> None:
        child, self._explain = running.process, running.explain
        self._child, self.spawned, self.pid = child, trio.current_time(), child.pid
        self.recorder.started(self.program.kind, self.protocol_name, command, child.pid, running.place)
        self.state = State.RUNNING
        if isinstance(self.ready_when, ReadySpawned):
            self.become_ready()
        if self.stop_asked:
            self.stop(max(0.0, self._kill_at - trio.current_time()))

    async def _attend(self, ours: Running, task_status: trio.TaskStatus[None]) -> bool:
        """Read what it writes until it is over; return whether it has exited, or is left."""
        # It may raise, for one that was called already: while there are no readers yet, who would go on.
        task_status.started()
        async with trio.open_nursery() as tasks:
            reading = Reading(self, self.make_framer())
            tasks.start_soon(reading.run, ours)
            self._attending = scope = tasks.cancel_scope
            if self.stop_asked:
                scope.deadline = self._kill_at
            self.keeper = keeper = Timekeeper()
            try:
                # Bounded: cancellation asks for a stop, and every stop ends in SIGKILL.
                with contextlib.ExitStack() as until_end:
                    exited = await self._over(ours, reading, scope, until_end)
            finally:
                self.keeper = None
                keeper.stop()
                reading.leave(f"{self.name} ended, or is left")
        return exited

    async def _reap(self, child: Process) -> None:
        try:
            self.status = await child.reap()
        except RunnerError as error:
            if tail := self.tail():
                error.add_note("\n  ".join((f"the last output of {self.name}:", *tail)))
            if self.stop_asked:
                # Where it was cancelled, nothing else tells.
                text = f"it could not be stopped in order: {one_line(secrets.hide(str(error)))}"
                log(logging.ERROR, self.name, self.color, text)
            self.fail(error)
        else:
            if self._explain is not None:
                with trio.CancelScope(shield=True):
                    self.exit_reason = await self._explain(self.status)
            self.recorder.exited(self.status)

    def fail(self, failure: BaseException) -> None:
        """Note the error that the session ends with, the first one, and stop the daemon."""
        if self.failure is not None:
            return
        super().fail(failure)
        # The daemon is well; it gets its usual time to end.
        self.stop(self.stop_grace)

    def end(self) -> None:
        """Say that nothing more will come, to everybody who waits."""
        self._child = None
        super().end()
