"""What the harness spends: processor time while nothing happens, memory while much does."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import trio
from standins import ITEMS_IN_BLOCK, Writer, begin, opened
from table import Row

IDLE_SECONDS = 10.0
IDLE_DAEMONS = 100
"""Of each kind."""
MOST_IDLE = 10.0
"""Milliseconds of processor time."""
THREADS_RETIRE = 11.0
"""Seconds after which the worker threads that trio spawned the daemons in are gone."""

HISTORY = 16 * 1024 * 1024
"""Bytes: the default of a daemon."""
MEMORY_BLOCKS = 1_000_000 // ITEMS_IN_BLOCK + 1


def measure_idle(writer: Writer) -> list[Row]:
    """Daemons that write nothing, and daemons that never open their pipe, side by side."""
    allow_descriptors(16 * IDLE_DAEMONS)
    ours, wakeups = trio.run(_idle, writer)
    floor, floor_wakeups = trio.run(_idle_floor)
    label = f"{2 * IDLE_DAEMONS} idle daemons, {IDLE_SECONDS:g} s"
    return [
        Row(
            measure=f"{label}: processor time",
            ours=ours,
            floor=floor,
            unit="ms",
            target=f"<= {MOST_IDLE:g} ms",
            ok=ours <= MOST_IDLE,
        ),
        Row(measure=f"{label}: wake-ups", ours=wakeups, floor=floor_wakeups, unit="times"),
    ]


def allow_descriptors(wanted: int) -> None:
    """Raise the limit of open descriptors to ``wanted``, if it is lower and may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _idle(writer: Writer) -> tuple[float, float]:
    paths = [writer.script(mode) for mode in ("idle", "closed")]
    async with AsyncExitStack() as daemons:
        for _ in range(IDLE_DAEMONS):
            for path in paths:
                await daemons.enter_async_context(opened(path))
        await trio.sleep(THREADS_RETIRE)
        return await _idle_floor()


async def _idle_floor() -> tuple[float, float]:
    before, switches = time.process_time(), _switches()
    await trio.sleep(IDLE_SECONDS)
    return (time.process_time() - before) * 1000, _switches() - switches


def _switches() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def measure_memory(writer: Writer) -> list[Row]:
    """A million events through the history; in a process of its own, whose heap is fresh."""
    path = writer.blocks(MEMORY_BLOCKS)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        subprocess.run([sys.executable, __file__, str(path), str(answer)], check=True)
        grown = json.loads(answer.read_text())
    bound = HISTORY / 2**20
    return [
        Row(
            measure="memory that a million events take (floor: bound)",
            ours=grown,
            floor=bound,
            ratio=grown / bound,
            unit="MiB",
            target="<= 1.2 x bound",
            ok=grown <= 1.2 * bound,
        )
    ]


async def _memory(path: Path) -> float:
    expected = MEMORY_BLOCKS * ITEMS_IN_BLOCK
    peak = handled = 0

    def handler(_: object) -> None:
        nonlocal handled, peak
        handled += 1
        if handled % 1000 == 0:
            peak = max(peak, resident())

    async with opened(path) as accuser:
        accuser.on_event(handler)
        async with accuser.subscribe() as events:
            before = resident()
            begin(accuser.pid)
            left = expected
            async for _ in events:
                left -= 1
                if not left:
                    break
    return (peak - before) / 2**20


def resident() -> int:
    """Bytes of this process in memory."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    # No file tells; the peak so far does as well, since the history only grows to its bound.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(trio.run(_memory, Path(sys.argv[1]))))
