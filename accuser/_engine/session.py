"""One run of a daemon, from the making of its pipe to the last byte that it wrote.

Invariants:
1. Its outputs are read until they end, or until a bounded time after the exit: a daemon whose
   standard error is not read stops writing events and ignores SIGTERM (recorded events ``9d``).
   So the readers are shielded from cancellation, which instead asks the daemon to stop.
2. The histories are closed after the last record is in them; only then do waiters hear of the
   end.
3. Whatever happens, the group is stopped and reaped, the descriptors closed, the FIFO removed.
4. Its tasks are protected from a Ctrl-C at any instruction, which would break the nesting of nurseries and
   cancel scopes; trio gives it to the main task at its next checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from .._errors import AccuserError, DaemonExited, RunnerError
from .._hosts.host import Host, Process, Running, Variables, Workspace, inherited
from .._hosts.paths import READ_SIZE
from .._hosts.usage import Usage
from .._logs import log, log_command
from .._stream.decoding import decode_steps
from .._stream.framing import Framer
from .._stream.netstring import NetstringFramer
from .._text import one_line, secrets
from .interrupt import on_interrupt
from .program import Program
from .readiness import ReadySpawned, Stream
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

MAX_LINE: Final = 1024 * 1024
EVENTS_VARIABLE: Final = "MAVRYK_EVENTS_CONFIG"


@attrs.define(eq=False)
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
    _until_kill: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Its deadline is when SIGKILL is due, and after the exit, when it is due for the rest of the group."""
    _reading: trio.CancelScope | None = attrs.field(default=None, init=False)
    """That of the readers, once they have begun."""

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
            self._until_kill.deadline = min(self._until_kill.deadline, trio.current_time() + grace)
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
        self, ours: Running, drained: trio.Event, shield: trio.CancelScope, until_end: contextlib.ExitStack
    ) -> bool:
        """Wait until it has exited and its outputs have ended, and kill what is left when that is due.

        Return whether it has exited, or is to be left. To be cancelled asks for a stop that nothing disturbs.
        """
        child, pipe, exited = ours.process, ours.pipe, False
        with self._until_kill:
            try:
                await child.wait_exited()
            except trio.Cancelled:  # noqa: ASYNC103 - the scope around this, or `_see_through` after the end
                # First, so that a SIGKILL that is due is not lost by a cancellation at the same time.
                shield.shield = True
                if self._until_kill.cancel_called:
                    raise
                # Before the stop can be seen: whoever sees it may interrupt at once.
                until_end.enter_context(on_interrupt(lambda: self.stop(0.0)))
                self.stop(self.stop_grace)
                await child.wait_exited()  # noqa: ASYNC102 - shielded, and its time is that until the kill
            shield.shield = exited = True
            pipe.release()
            # From now on it is the rest of the group that is to be killed.
            self._until_kill.deadline = until = trio.current_time() + DRAIN
            await drained.wait()
        if not exited:
            shield.shield = True
            exited = await self._killed(child)
            pipe.release()
            until = trio.current_time() + DRAIN
        if not drained.is_set():
            # Also where SIGKILL was due in the turn in which it exited.
            with trio.move_on_at(until):
                await drained.wait()
        # Somebody of the group may still hold the pipes, or simply go on.
        child.send(signal.SIGKILL)
        if not drained.is_set():
            with trio.move_on_after(DRAIN):
                await drained.wait()
        return exited

    async def _killed(self, child: Process) -> bool:
        self.signal(signal.SIGKILL)
        with trio.move_on_after(UNKILLABLE):
            await child.wait_exited()
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
        with trio.CancelScope() as shield:
            running = await start
            try:
                self._begun(running, command)
                await self._attend(running, shield, task_status)
            finally:
                # This never takes long; a cancelled checkpoint on the way must not leave a part undone.
                shield.shield = True
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
            self.stop(max(0.0, self._until_kill.deadline - trio.current_time()))

    async def _attend(
        self, ours: Running, shield: trio.CancelScope, task_status: trio.TaskStatus[None]
    ) -> None:
        drained = trio.Event()
        # It may raise, for one that was called already: while there are no readers yet, who would go on.
        task_status.started()
        async with trio.open_nursery() as tasks:
            tasks.start_soon(self._read, ours, drained)
            self.keeper = keeper = Timekeeper()
            try:
                # Bounded: cancellation asks for a stop, and every stop ends in SIGKILL.
                with contextlib.ExitStack() as until_end:
                    if await self._over(ours, drained, shield, until_end):
                        await self._reap(ours.process)
            finally:
                self.keeper = None
                keeper.stop()
                if not drained.is_set() and self._reading is not None:
                    self._reading.cancel(reason=f"{self.name} ended, or is left")

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
                self.exit_reason = await self._explain(self.status)
            self.recorder.exited(self.status)

    @trio.lowlevel.enable_ki_protection
    async def _read(self, ours: Running, drained: trio.Event) -> None:
        """Read what the daemon writes, to the end of each of its pipes."""
        async with trio.open_nursery() as outputs:
            self._reading = outputs.cancel_scope
            self._reading.shield = True
            outputs.start_soon(self._read_lines, ours.process.stdout, "stdout")
            outputs.start_soon(self._read_lines, ours.process.stderr, "stderr")
            await self._read_events(ours.pipe.reader)
        drained.set()

    async def _read_events(self, stream: trio.abc.ReceiveStream) -> None:
        framer = self.make_framer()
        try:
            while data := await stream.receive_some(framer.step):
                if block := framer.feed(bytes(data)):
                    steps = decode_steps(block)
                    if type(steps) is tuple:
                        # The one step that nearly always comes; this is felt in the latency of an event.
                        self._guarded(self.take_records, *steps[0])
                    else:
                        await self._take_steps(self.take_records, steps)
                if self.events.followed and len(data) > framer.step // 2:
                    # Who follows gets the records while they are in the processor's caches.
                    await _let_others_go_on()
        finally:
            # Between the steps it is shielded, and each lets others run only once.
            if block := framer.finish():
                await self._take_steps(self.take_records, decode_steps(block))  # noqa: ASYNC102 - shielded

    @trio.lowlevel.enable_ki_protection
    async def _read_lines(self, stream: trio.abc.ReceiveStream, name: Stream) -> None:
        framer, take = Framer(MAX_LINE), partial(self.take_lines, name)
        try:
            while data := await stream.receive_some(READ_SIZE):
                if block := framer.feed(bytes(data)):
                    await self._take_steps(take, self.line_steps(name, block))
                if not self.ready.is_set():
                    self._guarded(self.peek_line, name, framer.pending)
        finally:
            if block := framer.finish():
                await self._take_steps(take, self.line_steps(name, block))  # noqa: ASYNC102 - shielded

    async def _take_steps(self, take: Callable[..., None], steps: Iterable[tuple[object, ...]]) -> None:
        """Take what was read, and let others go on between two steps; cancelled or not, all of it."""
        for number, step in enumerate(steps):
            if number:
                await _let_others_go_on()
            self._guarded(take, *step)

    def _guarded(self, take: Callable[..., None], *arguments: object) -> None:
        # A fault in what is done with the output must not end its reading.
        try:
            take(*arguments)
        except BaseException as error:  # noqa: ASYNC103 - no checkpoint, no Cancelled
            self.fail(error)

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


async def _let_others_go_on() -> None:
    # Not cancellable: what has been read must not get lost.
    await trio.lowlevel.cancel_shielded_checkpoint()
