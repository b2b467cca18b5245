"""Events and lines a second: a writer without pause, and everything that it writes is read.

A second is one of processor time of the thread that reads. The writer is many times faster and has a core
of its own, so that it is a second by the clock, too, where nothing else runs; and where something does,
what that takes is in neither figure.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio
import trio.testing
from standins import BLOCK_BYTES, ITEMS_IN_BLOCK, NAME, Writer, bare, begin, decode, opened
from table import Row, compared

from accuser import Accuser, Lagged, TerminatedBeforeEvent

ROUNDS = 7
BLOCKS = 1500
SLOW_BLOCKS = 100
"""For the rows that take microseconds an event."""

PEER_WAITS = 6650 / 1.1e6
"""Events a second of the original with 1,000 waits that never match, by its floor. The floor was
1.1 to 1.6 million; this end of it asks most of us."""

LINE = b"Apr 27 08:29:09.000: block BLpcXF8ADJbGuyUKNv7TypXRd5rqnoPn1PpEVZSXPpvF5bEZbJa registered\n"
LINES_IN_BLOCK = BLOCK_BYTES // len(LINE)
LINES_TARGET = 400_000

Waits = Callable[[Accuser, trio.Nursery], None]
Filter = Callable[[Any], bool | None]


def measure_events(writer: Writer) -> list[Row]:
    """One handler and one subscriber; alone, and beside waits that go on waiting."""
    fast, slow = writer.blocks(BLOCKS), writer.blocks(SLOW_BLOCKS)
    floor: list[float] = []
    handled: list[float] = []
    plain: list[float] = []
    others: list[float] = []
    floor_of_slow: list[float] = []
    filtered: list[float] = []
    shared: list[float] = []
    own: list[float] = []
    closures = [_hash_is(f"never{number}") for number in range(1000)]
    for _ in range(ROUNDS):
        floor.append(bare_events(fast, BLOCKS))
        handled.append(trio.run(handled_events, fast, BLOCKS))
        plain.append(trio.run(our_events, fast, BLOCKS, _none))
        others.append(trio.run(our_events, fast, BLOCKS, _on_other_names))
    for _ in range(3):
        floor_of_slow.append(bare_events(fast, BLOCKS))
        filtered.append(bare_events(slow, SLOW_BLOCKS, closures))
        shared.append(trio.run(our_events, slow, SLOW_BLOCKS, _same_filter))
        own.append(trio.run(our_events, slow, SLOW_BLOCKS, _own_filters))
    unit = "events/s"
    ten_times = round(10 * PEER_WAITS, 4)
    return [
        compared("events: a handler", handled, floor, unit, least=0.85),
        compared("events: a handler and a subscriber", plain, floor, unit, least=0.75),
        compared("  10,000 waits on other names", others, plain, unit, least=0.95, of="row above"),
        compared("  1,000 waits, one filter function", shared, floor_of_slow, unit, least=ten_times),
        compared("  1,000 waits, a closure each", own, floor_of_slow, unit, least=ten_times),
        compared("    (floor: that also calls the closures)", own, filtered, unit, least=0.9),
    ]


def bare_events(path: Path, blocks: int, filters: Sequence[Filter] = ()) -> float:
    """Read, split and decode line by line, call filters, keep nothing. Returns events a second."""
    left = blocks * ITEMS_IN_BLOCK
    with bare(path) as child:
        start = time.thread_time()
        begin(child.process.pid)
        rest = b""
        while left:
            *lines, rest = (rest + os.read(child.events, BLOCK_BYTES)).split(b"\n")
            if filters:
                values = [decode(line).item.value for line in lines]
                for choose in filters:
                    deque(map(choose, values), 0)
            else:
                for line in lines:
                    decode(line)
            left -= len(lines)
        return blocks * ITEMS_IN_BLOCK / (time.thread_time() - start)


async def our_events(path: Path, blocks: int, waits: Waits) -> float:
    """Read with a handler, a subscriber and waits. Returns events a second."""
    expected = blocks * ITEMS_IN_BLOCK
    handled = 0

    def handler(_: object) -> None:
        nonlocal handled
        handled += 1

    async with opened(path) as accuser, trio.open_nursery() as nursery:
        accuser.on_event(handler)
        waits(accuser, nursery)
        await trio.testing.wait_all_tasks_blocked()
        async with accuser.subscribe() as events:
            start = time.thread_time()
            begin(accuser.pid)
            left = expected
            async for _ in events:
                left -= 1
                if not left:
                    break
            seconds = time.thread_time() - start
        nursery.cancel_scope.cancel()
    if handled != expected:
        raise RuntimeError(f"{handled} events reached the handler, of {expected}")
    return expected / seconds


async def handled_events(path: Path, blocks: int) -> float:
    """Read with a handler alone. Returns events a second."""
    left = blocks * ITEMS_IN_BLOCK
    done = trio.Event()
    async with opened(path) as accuser:
        accuser.on_event(_countdown(left, done.set))
        await trio.testing.wait_all_tasks_blocked()
        start = time.thread_time()
        begin(accuser.pid)
        await done.wait()
        return left / (time.thread_time() - start)


def _none(accuser: Accuser, nursery: trio.Nursery) -> None:
    pass


def _on_other_names(accuser: Accuser, nursery: trio.Nursery) -> None:
    for number in range(10_000):
        nursery.start_soon(accuser.wait_for, f"other_{number}.v0")


def _same_filter(accuser: Accuser, nursery: trio.Nursery) -> None:
    for _ in range(1000):
        nursery.start_soon(accuser.wait_for, NAME, _never)


def _own_filters(accuser: Accuser, nursery: trio.Nursery) -> None:
    for number in range(1000):
        nursery.start_soon(accuser.wait_for, NAME, _hash_is(f"never{number}"))


def _never(value: Any) -> bool | None:
    return True if value["hash"] == "never" else None


def _hash_is(wanted: str) -> Filter:
    return lambda value: True if value["hash"] == wanted else None


def measure_lines(writer: Writer) -> list[Row]:
    """Lines of standard output that nobody listens to."""
    blocks = 6000
    path = writer.script("lines", LINE * LINES_IN_BLOCK, blocks)
    ours: list[float] = []
    floor: list[float] = []
    for _ in range(5):
        floor.append(_bare_lines(path, blocks))
        ours.append(trio.run(_our_lines, path, blocks))
    row = compared("output lines that nobody listens to", ours, floor, "lines/s")
    rows = [attrs.evolve(row, target=f">= {LINES_TARGET:,}", ok=row.ours >= LINES_TARGET)]
    blocks = 1500
    path = writer.script("lines", LINE * LINES_IN_BLOCK, blocks)
    pattern = re.compile("^never$")
    for label, least, look, listen in (
        ("output lines with a handler", 0.8, None, _with_handler),
        ("output lines to a waiter", 0.85, pattern.search, _with_waiter),
    ):
        ours, floor = [], []
        for _ in range(5):
            floor.append(_bare_told(path, blocks, look))
            ours.append(trio.run(listen, path, blocks))
        rows.append(compared(label, ours, floor, "lines/s", least=least))
    return rows


def _bare_told(path: Path, blocks: int, look: Callable[[str], object] | None) -> float:
    """Read, decode, split, and call something with each line: our handler for None. Returns lines/s."""
    left = blocks * LINES_IN_BLOCK
    look = look or _countdown(left, lambda: None)
    with bare(path) as child:
        start = time.thread_time()
        begin(child.process.pid)
        rest = b""
        while left:
            data = rest + os.read(child.output, BLOCK_BYTES)
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            lines = data[:end].decode("utf-8", "replace").split("\n")
            lines.pop()
            for line in lines:
                look(line)
            left -= len(lines)
        return blocks * LINES_IN_BLOCK / (time.thread_time() - start)


def _countdown(left: int, at_zero: Callable[[], object]) -> Callable[[object], None]:
    def handler(_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            at_zero()

    return handler


async def _with_handler(path: Path, blocks: int) -> float:
    left = blocks * LINES_IN_BLOCK
    done = trio.Event()
    async with opened(path, may_exit=True) as accuser:
        accuser.on_stdout(_countdown(left, done.set))
        start = time.thread_time()
        begin(accuser.pid)
        await done.wait()
        return left / (time.thread_time() - start)


async def _with_waiter(path: Path, blocks: int) -> float:
    async with opened(path, may_exit=True) as accuser:
        waiting = accuser.expect_line("^never$", stream="stdout")
        start = time.thread_time()
        begin(accuser.pid)
        with contextlib.suppress(TerminatedBeforeEvent):
            await waiting
        return blocks * LINES_IN_BLOCK / (time.thread_time() - start)


def _bare_lines(path: Path, blocks: int) -> float:
    left = blocks * LINES_IN_BLOCK
    with bare(path) as child:
        start = time.thread_time()
        begin(child.process.pid)
        while left:
            left -= os.read(child.output, BLOCK_BYTES).count(b"\n")
        return blocks * LINES_IN_BLOCK / (time.thread_time() - start)


async def _our_lines(path: Path, blocks: int) -> float:
    expected = blocks * LINES_IN_BLOCK
    async with opened(path, may_exit=True) as accuser, accuser.subscribe() as events:
        mark = accuser.mark()
        start = time.thread_time()
        begin(accuser.pid)
        async for _ in events:
            pass  # it ends with the session, when everything has been read
        seconds = time.thread_time() - start
        try:
            await accuser.wait_for_line("^never$", since=mark)
        except Lagged as lagged:
            # The newest MiB is kept.
            if not 0 <= expected - lagged.missed <= 2 * 1024 * 1024 / len(LINE):
                raise RuntimeError(f"{lagged.missed} lines left the history, of {expected}") from lagged
    return expected / seconds
