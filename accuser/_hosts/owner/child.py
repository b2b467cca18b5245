"""One child process in a process group of its own: spawned, signalled and reaped as a group.

Invariants:
1. A group is signalled only while its leader is not reaped, so that the id cannot have been reused.
2. The guardian knows of it from before the start until after the reaping.
3. `spawn` gives a child or leaves none. It is protected from a Ctrl-C, and so must be whatever calls it, up
   to the statement that takes care of the child.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from ..._errors import SpawnFailed
from ..runs import once_a_run
from ..usage import Usage, read_usage
from .executed import Executed, execute
from .forks import CannotFork, Forked, Forks, forks
from .guardian import Guard, guardian

EXHAUSTED: Final = (OSError, ValueError, RuntimeError, MemoryError)
"""What a system without descriptors, processes, threads or memory raises."""

LOOK: Final = 1.0
"""Seconds between two looks at the guardian while children run."""

POLL: Final = 0.02
"""Seconds between two looks whether a child has exited, where the system gives no descriptor for it."""

KILLED: Final = 5.0
"""Seconds that a process may take to vanish after SIGKILL."""


@attrs.define(eq=False, repr=False)
class Looks:
    """Looks after the guardian while there are children of one run of trio, for all of them together."""

    _children: set[Child] = attrs.field(factory=set, init=False)
    _looking: trio.CancelScope | None = attrs.field(default=None, init=False)

    def begin(self, child: Child) -> None:
        """Look from now on, at the latest until the run ends."""
        self._children.add(child)
        if self._looking is None:
            self._looking = trio.CancelScope()
            name = "accuser: looks after the guardian"
            trio.lowlevel.spawn_system_task(self._look, self._looking, name=name)

    def end(self, child: Child) -> None:
        """Look no longer, unless there are others."""
        self._children.discard(child)
        if not self._children and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await trio.sleep(LOOK)
                # What it may raise is about processes and memory, and may have gone with the next look.
                with contextlib.suppress(Exception):
                    guardian.look_after()


@once_a_run
def _looks() -> Looks:
    return Looks()


@attrs.define(eq=False, repr=False)
class Child:
    """A running child; its three standard streams are pipes."""

    process: Executed | Forked
    _pidfd: int | None
    _guard: Guard
    _looks: Looks
    unforked: str | None = None
    """Why it was executed, if it was to be forked."""
    _reaped: bool = False
    refusal: str | None = None
    """Why it could not be signalled, if that was so."""
    _waiting: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def watch(self) -> None:
        """Have the exit told by a descriptor, where the system has such and gives one more."""
        # A kernel or C library without it, a container that refuses it, no more descriptors.
        with contextlib.suppress(AttributeError, OSError):
            self._pidfd = os.pidfd_open(self.pid)

    @property
    def pid(self) -> int:
        """Process id, which is the id of the group too."""
        return self.process.pid

    @property
    def stdin(self) -> trio.lowlevel.FdStream:
        """Our end of the child's standard input."""
        return self.process.stdin

    @property
    def stdout(self) -> trio.abc.ReceiveStream:
        """Our end of the child's standard output."""
        return self.process.stdout

    @property
    def stderr(self) -> trio.abc.ReceiveStream:
        """Our end of the child's standard error."""
        return self.process.stderr

    def end_input(self) -> None:
        """Close its standard input."""
        self.stdin.close()

    async def wait_exited(self) -> None:
        """Wait until the process has exited, without reaping it. Cancelling is harmless."""
        if self._pidfd is not None:
            # A descriptor has one waiter at a time, and several may wait for the same end.
            try:
                self._waiting.acquire_nowait()
            except trio.WouldBlock:
                await self._waiting.acquire()
            try:
                if self._pidfd is not None:
                    with contextlib.suppress(trio.ClosedResourceError):
                        await trio.lowlevel.wait_readable(self._pidfd)
                        # Now, so that the task for it has ended when whoever runs this child goes on.
                        self._looks.end(self)
                        return
            finally:
                self._waiting.release()
        # Not trio's fallback: it reaps, so that the rest of the group is out of reach, and needs a thread.
        await trio.lowlevel.checkpoint()
        while not self.has_exited():  # noqa: ASYNC110 - nobody could set an event
            await trio.sleep(POLL)

    def send(self, signum: int) -> None:
        """Signal the whole group; nothing happens when it is gone."""
        if self._reaped:
            return
        try:
            os.killpg(self.pid, signum)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            # macOS answers so for a group of zombies, too.
            self.refusal = (
                f"it cannot be signalled: {error.strerror or error}; it may have become another user"
            )

    def has_exited(self) -> bool:
        """Whether the process has exited; it is not reaped by the question, where the system can tell."""
        if self._reaped:
            return True
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True  # somebody else has reaped it
        except AttributeError:
            # macOS, up to Python 3.12. What is left of the group is out of reach then.
            self._reaped = self.process.returncode is not None
            return self._reaped

    async def usage(self) -> Usage | None:
        """What the group uses; read in another thread, since it looks at every process."""
        try:
            return await trio.to_thread.run_sync(read_usage, self.pid)
        except RuntimeError as error:
            raise OSError(str(error)) from error  # there can be no thread

    async def reap(self) -> int:
        """Collect an exited process. Returns the status, or the negative number of a signal.

        A process that is traced, as by a debugger, is there until who traces it has collected it: the wait
        for that can be cancelled after some seconds.
        """
        if (status := self.process.returncode) is None:
            with trio.move_on_after(KILLED, shield=True):
                await self._collect()
            await self._collect()
            status = self.process.returncode
            assert status is not None
        self._collected()
        return status

    async def _collect(self) -> None:
        if self.process.returncode is None:
            await self.wait_exited()
        # A moment may pass between the exit and the possibility to reap it.
        while self.process.returncode is None:  # noqa: ASYNC110 - nobody could set an event
            await trio.sleep(POLL)

    def _collected(self) -> None:
        self._reaped = True
        self._guard.reaped()
        self._looks.end(self)

    async def aclose(self) -> None:
        """Close every descriptor of ours, cancelled or not; what still runs is killed and reaped."""
        if not self._reaped:
            self.send(signal.SIGKILL)
            # One that cannot be killed is left; whoever waits for it here would wait for ever.
            with trio.move_on_after(KILLED, shield=True):
                await self._collect()
                self._collected()
        self._looks.end(self)
        if self._pidfd is not None:
            if self._waiting.locked():
                trio.lowlevel.notify_closing(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


@trio.lowlevel.enable_ki_protection
async def spawn(
    command: tuple[str, ...],
    environment: Mapping[str, str],
    forked: tuple[str, ...] | None = None,
    *,
    by: Forks | None = None,
    patient: bool = False,
) -> Child:
    """Start ``command``; its standard input is a pipe that stays open and empty.

    Args:
        command: the words that execute it.
        environment: all its variables.
        forked: its ``sys.argv`` for what forks it; None if it can only be executed.
        by: what forks it; by default, what forks programs of the sandbox.
        patient: it clears up by itself when we are gone, and is to have the time for that.

    Raises:
        SpawnFailed: the operating system refused this process, what is needed to control it, or a
            guardian; also where it has no more descriptors, threads or memory.

    Cancelling is noticed before the start or after it, and leaves no process.
    """
    try:
        with guardian.announced(patient) as guard:
            variables = guard.environment(environment)
            process, unforked = await _start(command, variables, forked, by or forks, guard)
    except EXHAUSTED as error:
        raise _spawn_failed(command, error) from error
    looks = _looks()
    child = Child(process, None, guard, looks, unforked)
    try:
        guard.started(process)
        child.watch()
        looks.begin(child)
    except EXHAUSTED as error:
        await child.aclose()
        raise _spawn_failed(command, error) from error
    except BaseException:
        await child.aclose()
        raise
    return child


def _spawn_failed(command: tuple[str, ...], error: Exception) -> SpawnFailed:
    # Its text says all; where in `subprocess` it was raised would fill a report of pytest with that.
    error.__traceback__ = None
    return SpawnFailed(command, str(error) or type(error).__name__)


async def _start(
    command: tuple[str, ...],
    environment: Mapping[str, str],
    forked: tuple[str, ...] | None,
    by: Forks,
    guard: Guard,
) -> tuple[Executed | Forked, str | None]:
    unforked = None
    if forked is not None:
        try:
            return await by.start(forked, environment, guard), None
        except CannotFork as error:
            unforked = str(error)
    return await execute(command, environment), unforked
