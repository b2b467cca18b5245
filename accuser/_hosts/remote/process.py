"""One daemon elsewhere: a launcher there becomes its parent, and the keeper attends to it.

Both are shell scripts, each started by the transport. The launcher becomes the daemon's
parent, in the process group that was made for it; the daemon starts once the keeper guards that
group.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from ..._errors import BinaryNotFound, CommandFailed, RunnerError
from ..._report import RunnerFault, signal_name
from ..usage import Machine, Usage, usage_of
from .keeper import Keeper
from .script import Remainder, Reports, run_there, script
from .transport import Shell, refusal
from .warden import LEAVE

KILLED_WITH_ITS_GROUP: Final = "killed"

UNANSWERED: Final = 4
"""Pings that a keeper may leave unanswered; a connection may outlive the shell that it serves."""


@attrs.define(eq=False, repr=False)
class Measured:
    """The keeper's answer to one question for what the daemon uses."""

    asked: bool = False
    lines: list[str] = attrs.field(factory=list)
    descriptors: dict[int, int] = attrs.field(factory=dict)
    machine: Machine | None = None
    problem: OSError | None = None
    done: trio.Event = attrs.field(factory=trio.Event)

    def finish(self, machine: Machine | None) -> None:
        """Take the answer's end; None if there is none to come."""
        self.machine = machine
        self.done.set()


@attrs.define(eq=False, repr=False)
class RemoteProcess:
    """A daemon there. What is asked of it goes to the keeper; its streams are the launcher's."""

    pid: int
    stdout: trio.abc.ReceiveStream
    stderr: trio.abc.ReceiveStream
    _group: int
    _keeper: Keeper
    _launcher: Shell
    _heartbeat: float
    _status: str | None = attrs.field(default=None, init=False)
    _lost: RunnerError | None = attrs.field(default=None, init=False)
    _measured: Measured = attrs.field(factory=Measured, init=False)
    _unanswered: int = attrs.field(default=0, init=False)
    _told_to_end: bool = attrs.field(default=False, init=False)
    _next_ping: float = attrs.field(factory=trio.current_time, init=False)

    @classmethod
    async def start(
        cls, keeper: Keeper, command: tuple[str, ...], environment: Mapping[str, str], heartbeat: float
    ) -> RemoteProcess:
        """Start a launcher, have its group guarded, and let it start the daemon.

        Raises:
            BinaryNotFound: the executable is not there.
            RunnerError: the way there, or the shell, fails.
        """
        token = secrets.token_hex(8)
        score = keeper.transport.oom_score
        settings = {"token": token, "folder": keeper.folder, "oom_score": score or ""}
        launcher = await keeper.transport.shell(script("launcher", settings, environment, command))
        try:
            reports = Reports(launcher.stdout, token)
            match ((await reports.next()) or "").split():
                case ["group", number]:
                    group = int(number)
                    errors = Reports(launcher.stderr, token)
                    await errors.next()
                    pid = await _launch(keeper, launcher, reports, group)
                case ["missing"]:
                    raise BinaryNotFound(command[0], (f"{command[0]} (on {keeper.transport.label})",))
                case ["nogroup"]:
                    detail = "no process group for each session"
                    raise RunnerError(keeper.transport.label, RunnerFault.UNUSABLE, detail)
                case _:
                    raise await refusal(keeper.transport, launcher, reports.rest.decode("utf-8", "replace"))
        except BaseException:
            await launcher.aclose()
            raise
        stdout = Remainder(reports.rest, launcher.stdout)
        stderr = Remainder(errors.rest, launcher.stderr)
        return cls(pid, stdout, stderr, group, keeper, launcher, heartbeat)

    async def wait_exited(self) -> None:
        """Wait until the keeper tells the exit, or is lost; meanwhile tell it that we live."""
        while not self.has_exited():
            with trio.move_on_at(self._next_ping) as scope:
                await self._take(await self._keeper.reports.next())
            if scope.cancelled_caught:
                if self._unanswered == UNANSWERED or await self._is_frozen():
                    await self._take(None)
                    return
                self._unanswered += 1
                self._keeper.ping()
                self._next_ping = trio.current_time() + self._heartbeat

    async def _is_frozen(self) -> bool:
        # Who only waits for it may let it go on in time; who has told it to end would wait in vain.
        return self._told_to_end and self._unanswered > 0 and await self._keeper.transport.is_frozen()

    async def _take(self, report: str | None) -> None:
        self._unanswered = 0
        match (report or "").split():
            case ["exit", status]:
                self._status = status
                self._measured.finish(None)
            case ["process", descriptors, pid, *_]:
                assert report is not None
                self._measured.lines.append(report.split(" ", 2)[2])
                self._measured.descriptors[int(pid)] = int(descriptors)
            case ["stats", ticks, page]:
                self._measured.finish(Machine(int(ticks), int(page)))
            case ["nostats"]:
                self._measured.problem = OSError("there is no /proc")
                self._measured.finish(None)
            case []:
                self._lost = await self._keeper.transport.fault()
                self._measured.finish(None)

    def has_exited(self) -> bool:
        """Whether the keeper has told the exit, or is lost."""
        return self._status is not None or self._lost is not None

    def send(self, signum: int) -> None:
        """Have the keeper signal the group."""
        self._told_to_end = self._told_to_end or signum in (signal.SIGTERM, signal.SIGKILL)
        self._keeper.tell("signal", signal_name(signum).removeprefix("SIG").removeprefix("signal "))

    async def usage(self) -> Usage | None:
        """What the keeper reads in the ``/proc`` there; cancelling is harmless."""
        if self.has_exited():
            return None
        measured = self._measured
        if not measured.asked:
            measured.asked = True
            self._keeper.tell("stats")
        await measured.done.wait()
        if measured is self._measured:
            self._measured = Measured()
        if measured.problem is not None:
            raise measured.problem
        if measured.machine is None:
            return None
        return usage_of(self._group, "\n".join(measured.lines), measured.descriptors, measured.machine)

    async def reap(self) -> int:
        """The status that the launcher told; a shell tells the signal n as 128 + n."""
        await trio.lowlevel.cancel_shielded_checkpoint()
        if self._lost is not None:
            raise self._lost
        if self._status in (None, KILLED_WITH_ITS_GROUP):
            return -signal.SIGKILL
        status = int(self._status)
        return 128 - status if status - 128 in set(signal.Signals) else status

    async def aclose(self) -> None:
        """Kill what still runs there, and close the session; cancelled or not."""
        with trio.CancelScope(shield=True):
            if not self.has_exited():
                self.send(signal.SIGKILL)
            elif self._lost is not None and self._keeper.transport.alive:
                # The keeper alone is gone, and with it who would stop the daemon.
                kill = ("sh", "-c", 'kill -KILL "-$1"', "sh", str(self._group))
                with trio.move_on_after(LEAVE), contextlib.suppress(RunnerError, CommandFailed):
                    await run_there(self._keeper.transport, kill, {})
            await self._launcher.aclose()


async def _launch(keeper: Keeper, launcher: Shell, reports: Reports, group: int) -> int:
    keeper.tell("guard", str(group))
    if await keeper.reports.next() != "guarded":
        raise await keeper.transport.fault()
    # If the session is gone already, there is no answer.
    with contextlib.suppress(trio.BrokenResourceError):
        await launcher.stdin.send_all(b"go\n")
    match ((await reports.next()) or "").split():
        case ["pid", pid]:
            return int(pid)
        case _:
            raise await keeper.transport.fault()
