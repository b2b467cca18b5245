"""The sandbox in this process: node, accuser and client as tasks, over streams in memory.

No process, thread, socket or named pipe is used, so that trio's clock alone says what time it is;
only data directories and wallets are on the disk. The programs are those of `SANDBOX`.
"""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

from ..._errors import (
    BinaryNotFound,
    CommandFailed,
    EventPipeError,
    SpawnFailed,
)
from ..._logs import log_command
from ..._unwrap import plain_errors
from ..disk import OnThisDisk
from ..host import NO_PROCESS_FROM, Pipe, Running, Variables, inherited, running
from ..owner.command import log_output
from ..owner.workspace import Workspace
from ..paths import READ_SIZE, check_expressible
from ..runs import once_a_run
from ..toolchain import Toolchain
from .tasks import MemoryPipe, RunningTask

if TYPE_CHECKING:
    from ..._http.client import Connect
    from ...sandbox.surroundings import memory, task
    from .. import host

PORTS: Final = range(10_000, 49_152)
"""Those that are given to daemons, in turn; from the next one on, who listens on port 0 is."""


class World:
    """What the programs of one sandbox share: a network, a clock, event pipes."""

    def __init__(self, spawn: Callable[..., object], clock: Callable[[], float]) -> None:
        from ...sandbox.surroundings.network import Network  # which takes what most programs never use

        self.spawn = spawn
        """Starts a task, as `trio.Nursery.start_soon` does."""
        self.clock = clock
        self.network = Network()
        self.pipes: dict[str, memory.Pipe] = {}
        self.tasks: set[task.ProgramTask] = set()
        self.closed = False

    @trio.lowlevel.enable_ki_protection
    async def attend(self, started: task.ProgramTask) -> None:
        try:
            await started.run()
        finally:
            self.tasks.discard(started)

    def close(self) -> None:
        """End everything that still runs, as by SIGKILL."""
        self.closed = True
        for each in tuple(self.tasks):
            each.kill()


class InProcess(OnThisDisk):
    """The host whose programs are tasks; ``world`` gives what they share, to whoever asks in a trio task."""

    listen_address: Final = "127.0.0.1"

    def __init__(self, world: Callable[[], World], now: Callable[[], float]) -> None:
        self._world = world
        self._now = now
        self._ports: Iterator[int] = itertools.count()
        self._pids: Iterator[int] = itertools.count(NO_PROCESS_FROM)

    def __str__(self) -> str:
        return "in this process"

    @property
    def world(self) -> object:
        """Itself: its programs reach each other alone."""
        return self

    def workspace(self, name: str) -> Workspace:
        """A directory in TMPDIR."""
        return Workspace(name, guarded=False)

    def now(self) -> float:
        """By the sandbox's clock."""
        return self._now()

    def reserve_port(self) -> int:
        """The next one, of its own network; the first again after the last."""
        return PORTS[next(self._ports) % len(PORTS)]

    def connect_to(self, url: str) -> Connect | None:
        from urllib.parse import urlsplit

        parts = urlsplit(url)

        async def connect() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return self._world().network.connect(parts.hostname or "", parts.port or 80)

        return connect

    def find(self, binary: str, bin_dir: Path | None) -> tuple[str, ...]:
        """The program's name, which alone is needed."""
        from ...sandbox.surroundings.task import knows

        if not knows(binary):
            raise BinaryNotFound(binary, ("the programs of the sandbox",), in_sandbox=False)
        return (binary,)

    async def run(
        self,
        command: tuple[str, ...],
        *,
        name: str,
        color: str,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run it as a task; cancelling ends it at once."""
        log_command(name, color, command)
        running = self._start(command, environment or {})
        outputs: list[bytearray] = [bytearray(), bytearray()]

        async def read(stream: trio.abc.ReceiveStream, output: bytearray) -> None:
            while data := await stream.receive_some(READ_SIZE):
                output += data

        try:
            with plain_errors():
                async with trio.open_nursery() as readers:
                    readers.start_soon(read, running.stdout, outputs[0])
                    await read(running.stderr, outputs[1])
            await running.wait_exited()
            status = await running.reap()
        finally:
            await running.aclose()
        stdout, stderr = (bytes(output).decode("utf-8", "replace") for output in outputs)
        log_output(name, color, stdout, stderr)
        if status:
            raise CommandFailed(command, status, stdout, stderr)
        return stdout

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        yield

    async def start(
        self,
        command: tuple[str, ...],
        environment: Variables,
        events: Path,
        workspace: host.Workspace,
    ) -> Running:
        """Start a program as a task, and its pipe in memory; nothing is at the pipe's path."""
        return await running(self._make_pipe(events), self._started(command, environment.own))

    def _make_pipe(self, path: Path) -> Pipe:
        from ...sandbox.surroundings.memory import Pipe, Reader

        check_expressible(path)
        pipes = self._world().pipes
        if str(path) in pipes:
            raise EventPipeError(path, "is in use: somebody reads from it")
        pipe = pipes[str(path)] = Pipe()
        return MemoryPipe(path, pipe, Reader(pipe), lambda: pipes.pop(str(path), None))

    async def _started(self, command: tuple[str, ...], environment: Mapping[str, str]) -> RunningTask:
        return self._start(command, environment)

    def _start(self, command: tuple[str, ...], environment: Mapping[str, str]) -> RunningTask:
        from ...sandbox.surroundings.task import ProgramTask, knows

        program, *arguments = command
        world = self._world()
        if world.closed:
            raise SpawnFailed(command, "the block of its open_sandbox has ended")
        if not knows(program):
            raise SpawnFailed(
                command, "a sandbox in this process has programs of its own alone: leave the path out"
            )
        started = ProgramTask(
            program,
            tuple(arguments),
            {**inherited(), **environment},
            world.clock,
            world.network,
            world.pipes.get,
            next(self._pids),
        )
        world.tasks.add(started)
        world.spawn(world.attend, started, name=shlex.join(command))
        return RunningTask(started)


@once_a_run
def _world_of_this_run() -> World:
    begun = time.time() - trio.current_time()
    # Tasks of the system: they end with the run, and need no nursery of the user's.
    return World(trio.lowlevel.spawn_system_task, lambda: begun + trio.current_time())


def _time_of_this_run() -> float:
    return _world_of_this_run().clock() if trio.lowlevel.in_trio_run() else time.time()


MEMORY: Final = Toolchain("sandbox", host=InProcess(_world_of_this_run, _time_of_this_run))
"""The programs of `SANDBOX` as tasks of this process: no process, thread, socket or named pipe is used.

What one `trio.run` runs is a world of its own, which ends with it. A wait takes no time under trio's
``MockClock`` with ``autojump_threshold=0``, as in an `open_sandbox`, whose programs these are.
"""


@attrs.frozen(eq=False)
class Sandbox:
    """A sandbox in this process; see `open_sandbox`."""

    toolchain: Toolchain
    """For whatever takes a toolchain: nodes, clients, accusers, scenarios."""
    clock: Callable[[], float] = attrs.field(repr=False)
    """Gives its time, in seconds since the epoch."""


@asynccontextmanager
async def open_sandbox(*, clock: Callable[[], float] | None = None) -> AsyncGenerator[Sandbox]:
    """Give a sandbox whose programs are tasks of this process, for the length of a block.

    Nodes, accusers and clients of its ``toolchain`` are used as any others; they reach each other
    in memory, and nobody else. No process, thread, socket or named pipe is used. So under trio's
    ``MockClock`` with ``autojump_threshold=0`` (pytest-trio's ``autojump_clock``) a wait takes no time,
    and one with a time-out that would never end fails at once. (One without waits for ever, as ever.)

    Signals do to a daemon what they do to a process: SIGTERM and SIGINT end it in upstream's manner
    with status 127, SIGKILL at once with -9; from SIGSTOP to SIGCONT nothing is read or written by it.
    Its process id is a number that no process has. `Daemon.stats` raises `StatsUnavailable`, and a
    ``runner`` or the ``path`` of an executable is refused.

    Args:
        clock: gives the time in seconds since the epoch, for the time-stamps of blocks and events
            and for every question whether something is early or late; it should go as trio's clock
            does, which delays follow. By default the time at the beginning of the block, and on
            from there by trio's clock.

    What still runs at the end of the block is killed. Daemons that are stopped by a cancellation get
    their time to end, as processes do. Temporary directories are removed as ever, but stay if this
    process is killed.

    Raises:
        ValueError: ``clock`` gives no time after the epoch.
    """
    if clock is None:
        begun = time.time() - trio.current_time()

        def clock() -> float:
            return begun + trio.current_time()

    if not clock() > 0:
        raise ValueError(f"the clock must give seconds since the epoch, and gives {clock()!r}")
    with plain_errors():
        async with trio.open_nursery() as nursery:
            world = World(nursery.start_soon, clock)
            try:
                yield Sandbox(Toolchain("sandbox", host=InProcess(lambda: world, clock)), clock)
            finally:
                world.close()
