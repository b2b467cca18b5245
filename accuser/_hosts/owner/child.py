"""One child process in a process group of its own: spawned, signalled and reaped as a group.

Invariants:
1. A group is signalled only while its leader is not reaped, so that the id cannot have been reused.
2. The guardian knows of it from before the start until after the reaping.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from ..._errors import SpawnFailed
from ..usage import Usage, read_usage
from .forks import CannotFork, Forked, forks
from .guardian import Guard, guardian

HAS_PIDFD: Final = sys.platform == "linux"

KILLED: Final = 5.0
"""Seconds that a process may take to vanish after SIGKILL."""


@attrs.define(eq=False)
class Child:
    """A running child; its three standard streams are pipes."""

    process: trio.Process | Forked
    _pidfd: int | None
    _guard: Guard
    _reaped: bool = False
    refusal: str | None = None
    """Why it could not be signalled, if that was so."""

    @property
    def pid(self) -> int:
        """Process id, which is the id of the group too."""
        return self.process.pid

    @property
    def stdout(self) -> trio.abc.ReceiveStream:
        """Our end of the child's standard output."""
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def stderr(self) -> trio.abc.ReceiveStream:
        """Our end of the child's standard error."""
        assert self.process.stderr is not None
        return self.process.stderr

    async def wait_exited(self) -> None:
        """Wait until the process has exited, without reaping it. Cancelling is harmless."""
        if self._pidfd is not None:
            await trio.lowlevel.wait_readable(self._pidfd)
        else:
            # Without pidfds the wait reaps: what is left of the group is out of reach then.
            await self.process.wait()
            self._reaped = True

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
        """Whether the process has exited; it is not reaped by the question."""
        if self._reaped:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    async def usage(self) -> Usage | None:
        """What the group uses; read in another thread, since it looks at every process."""
        return await trio.to_thread.run_sync(read_usage, self.pid)

    async def reap(self) -> int:
        """Collect an exited process. Returns the status, or the negative number of a signal."""
        status = await self.process.wait()
        self._reaped = True
        self._guard.forget()
        return status

    async def aclose(self) -> None:
        """Close every descriptor of ours; what still runs is killed and reaped."""
        if not self._reaped:
            self.send(signal.SIGKILL)
            # One that cannot be killed is left; whoever waits for it here would wait for ever.
            with trio.move_on_after(KILLED):
                await self.reap()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                await trio.aclose_forcefully(stream)


async def spawn(
    command: tuple[str, ...], environment: Mapping[str, str], forked: tuple[str, ...] | None = None
) -> Child:
    """Start ``command``; its standard input is a pipe that stays open and empty.

    Args:
        command: the words that execute it.
        environment: all its variables.
        forked: its ``sys.argv``, if it is a program of the sandbox, which can be forked as well.

    Raises:
        SpawnFailed: the operating system refused, this process or a guardian.

    Cancelling is noticed before the start or after it, and leaves no process.
    """
    try:
        with guardian.announced() as guard:
            if forked is not None:
                with contextlib.suppress(CannotFork):
                    child = await forks.start(forked, guard.environment(environment), guard)
                    return Child(child, child.pidfd, guard)
            process = await trio.lowlevel.open_process(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=guard.environment(environment),
                process_group=0,
            )
    except (OSError, ValueError) as error:
        raise SpawnFailed(command, str(error)) from error
    guard.started(process)
    pidfd = os.pidfd_open(process.pid) if HAS_PIDFD else None
    return Child(process, pidfd, guard)
