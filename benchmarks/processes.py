"""What the package adds to starting and stopping a process."""

from __future__ import annotations

import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio
from cycles import files_in_memory
from resources import allow_descriptors, resident
from standins import Writer
from table import Row, compared

from accuser import SANDBOX, Accuser, Protocol, open_node
from accuser.testing import NO_NODE

ROUNDS = 60
MOST_START = 2.0
"""Times the floor."""
MOST_TERMINATE = 1.0
"""Milliseconds over the floor."""

CROWD = 100
CROWDS = 11
MOST_READY = 2.0
MOST_ENDED = 3.0
"""Times the floor, for a crowd."""


def measure_processes(writer: Writer) -> list[Row]:
    """Start and stop one stand-in, many at once, and many accusers of the sandbox."""
    allow_descriptors(16 * CROWD)
    path = writer.idle()
    # What a disk takes to make and remove directories is neither ours nor in the floor.
    with files_in_memory():
        rows = [*trio.run(_alone, path), *trio.run(_crowds, path)]
    return [*rows, *_measure_sandbox()]


# One at a time.


async def _alone(path: Path) -> list[Row]:
    starts: list[tuple[float, float]] = []
    ends: list[tuple[float, float]] = []
    async with trio.open_nursery() as nursery:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            accuser = await Accuser.init(nursery, Protocol.BOREAS, NO_NODE, path=path)
            ready = time.perf_counter()
            await accuser.terminate()
            ended = time.perf_counter()
            floor_start, floor_end = bare_round(path)
            starts.append(((ready - started) * 1000, floor_start))
            ends.append(((ended - ready) * 1000, floor_end))
    return [
        _times("start to ready", starts, MOST_START),
        _over("terminate", ends, MOST_TERMINATE),
    ]


def bare_round(path: Path) -> tuple[float, float]:
    with fifo() as environment:
        started = time.perf_counter()
        process = _popen(path, environment)
        _read_ready(process)
        ready = time.perf_counter()
        process.terminate()
        process.wait()
        ended = time.perf_counter()
        _close(process)
    return (ready - started) * 1000, (ended - ready) * 1000


def _times(measure: str, figures: list[tuple[float, float]], most: float) -> Row:
    ours, floor = [ours for ours, _ in figures], [floor for _, floor in figures]
    return compared(measure, ours, floor, "ms", most=most)


def _over(measure: str, figures: list[tuple[float, float]], most: float) -> Row:
    over = statistics.median(ours - floor for ours, floor in figures)
    return Row(
        measure=measure,
        ours=statistics.median(ours for ours, _ in figures),
        floor=statistics.median(floor for _, floor in figures),
        over=over,
        unit="ms",
        target=f"<= {most:g} ms over",
        ok=over <= most,
    )


# Many at once.


async def _crowds(path: Path) -> list[Row]:
    rounds = [(await crowd(path), await crowd_by_trio(path), bare_crowd(path)) for _ in range(CROWDS)]
    rows: list[Row] = []
    for index, (what, most) in enumerate((("ready", MOST_READY), ("terminated", MOST_ENDED))):
        ours, trios, floor = ([one[index] / CROWD for one in each] for each in zip(*rounds, strict=True))
        rows.append(compared(f"{CROWD} at once: all {what}, for each", ours, floor, "ms", most=most))
        rows.append(compared("  trio alone, with a task for each pipe", trios, floor, "ms"))
    return rows


async def crowd(path: Path) -> tuple[float, float]:
    return await _timed(lambda: Accuser(Protocol.BOREAS, NO_NODE, path=path))


async def _timed(make: Callable[[], Accuser | ByTrio]) -> tuple[float, float]:
    async with trio.open_nursery() as nursery:
        started = time.perf_counter()
        daemons = await _start_all(nursery, make)
        ready = time.perf_counter()
        await _terminate_all(daemons)
        ended = time.perf_counter()
    return (ready - started) * 1000, (ended - ready) * 1000


async def _start_all(nursery: trio.Nursery, make: Callable[[], Accuser | ByTrio]) -> list[Accuser | ByTrio]:
    daemons = [make() for _ in range(CROWD)]
    for daemon in daemons:
        nursery.start_soon(daemon.run)
    for daemon in daemons:
        await daemon.wait_for_ready()
    return daemons


async def _terminate_all(daemons: list[Accuser | ByTrio]) -> None:
    async with trio.open_nursery() as ends:
        for daemon in daemons:
            ends.start_soon(daemon.terminate)


def bare_crowd(path: Path) -> tuple[float, float]:
    with fifo() as environment:
        started = time.perf_counter()
        processes = [_popen(path, environment) for _ in range(CROWD)]
        for process in processes:
            _read_ready(process)
        ready = time.perf_counter()
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        ended = time.perf_counter()
        for process in processes:
            _close(process)
    return (ready - started) * 1000, (ended - ready) * 1000


# By trio alone: a FIFO, two pipes and a pidfd for each, as ours.


@attrs.define(eq=False)
class ByTrio:
    path: Path
    folder: Path
    _pid: int = attrs.field(default=0, init=False)
    _ready: trio.Event = attrs.field(factory=trio.Event, init=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> None:
        fifo = self.folder / "event-pipe"
        self.folder.mkdir()
        os.mkfifo(fifo)
        events = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        process = _popen(self.path, _environment(fifo), subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        self._pid = process.pid
        exits = os.pidfd_open(process.pid)
        async with trio.open_nursery() as tasks:
            for descriptor in (events, process.stdout.fileno(), process.stderr.fileno()):
                os.set_blocking(descriptor, False)
                tasks.start_soon(self._read, descriptor)
            await trio.lowlevel.wait_readable(exits)
            process.wait()
        os.close(exits)
        os.close(events)
        _close(process)
        process.stderr.close()
        fifo.unlink()
        self.folder.rmdir()
        self._ended.set()

    async def _read(self, descriptor: int) -> None:
        while True:
            await trio.lowlevel.wait_readable(descriptor)
            if not os.read(descriptor, 65536):
                return
            self._ready.set()

    async def wait_for_ready(self) -> None:
        await self._ready.wait()

    async def terminate(self) -> None:
        os.kill(self._pid, signal.SIGTERM)
        await self._ended.wait()


async def crowd_by_trio(path: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        numbers = itertools.count()
        return await _timed(lambda: ByTrio(path, Path(folder) / str(next(numbers))))


# Accusers of the sandbox.


def _measure_sandbox() -> list[Row]:
    """In a process of its own, whose heap is fresh."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        subprocess.run([sys.executable, __file__, str(answer)], check=True)
        figures: dict[str, float] = json.loads(answer.read_text())
    label = f"{CROWD} sandbox accusers at once"
    return [
        Row(measure=f"{label}: all ready", ours=figures["ready"], unit="s"),
        Row(measure=f"{label}: all terminated", ours=figures["terminated"], unit="s"),
        Row(measure="our processor time to start each", ours=figures["start_cpu"], unit="ms"),
        Row(measure="our processor time to terminate each", ours=figures["terminate_cpu"], unit="ms"),
        Row(measure="our memory for each", ours=figures["memory"], unit="KiB"),
    ]


async def _sandbox() -> dict[str, float]:
    async with (
        open_node(toolchain=SANDBOX, arguments=("--synchronisation-threshold 0",)) as node,
        trio.open_nursery() as nursery,
    ):
        before, memory = _now(), resident()
        accusers = await _start_all(nursery, lambda: Accuser(Protocol.BOREAS, node, wait_timeout=None))
        ready, grown = _now(), resident() - memory
        await _terminate_all(accusers)
        ended = _now()
    return {
        "ready": ready[0] - before[0],
        "terminated": ended[0] - ready[0],
        "start_cpu": (ready[1] - before[1]) * 1000 / CROWD,
        "terminate_cpu": (ended[1] - ready[1]) * 1000 / CROWD,
        "memory": grown / 1024 / CROWD,
    }


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


# Without the package.


@contextmanager
def fifo() -> Generator[dict[str, str]]:
    """The environment of a stand-in whose event pipe is open for reading."""
    with tempfile.TemporaryDirectory() as folder:
        fifo = Path(folder) / "event-pipe"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            yield _environment(fifo)
        finally:
            os.close(reader)


def _environment(fifo: Path) -> dict[str, str]:
    return {**os.environ, "MAVRYK_EVENTS_CONFIG": f"file-descriptor-path://{fifo}?x"}


def _popen(path: Path, environment: dict[str, str], stderr: int | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen([path, "-E"], env=environment, stdout=subprocess.PIPE, stderr=stderr)


def _read_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    os.read(process.stdout.fileno(), 4096)


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    process.stdout.close()


if __name__ == "__main__":
    allow_descriptors(16 * CROWD)
    Path(sys.argv[1]).write_text(json.dumps(trio.run(_sandbox)))
