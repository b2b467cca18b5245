"""Time from the write of an event to whoever waits for it; alone, and beside a flood."""

from __future__ import annotations

import math
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio
import trio.testing
from standins import BLOCK_BYTES, NAME, Bare, Writer, bare, begin, decode, opened
from table import Row, compared

from accuser import Accuser

ROUNDS = 6
EVENTS = 500
"""Latencies in each round, at 1,000 events a second."""
SPARE = 100
"""Events more, so that the daemon still writes when the last latency has been taken."""
MANY = 10_000
"""Latencies of which the worst is told."""
MOST_WORST = 5.0
"""Milliseconds."""
FLOOD_EVENTS = 3000
TICK = 0.010
"""Seconds between two looks at the clock beside the flood."""
MOST_P99 = 4.0
MOST_LATE = 4.0
"""Milliseconds that the other daemon's latency and the clock may have beside a flood."""


@attrs.define(eq=False)
class Samples:
    """Latencies in microseconds."""

    wanted: int
    seen: list[float] = attrs.field(factory=list)
    full: trio.Event = attrs.field(factory=trio.Event)

    def take(self, value: Any) -> None:
        """Take the latency of an event with this value, as of now."""
        if len(self.seen) < self.wanted:
            self.seen.append((time.clock_gettime_ns(time.CLOCK_MONOTONIC) - value["ns"]) / 1000)
        else:
            self.full.set()


def percentile(samples: Iterable[float], share: float) -> float:
    """Give the sample that this share of the samples is not above."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure_latency(writer: Writer) -> list[Row]:
    """At 1,000 events a second: to a handler, and to a task that waits for each event anew."""
    path = writer.paced(EVENTS + SPARE, 1000)
    floor: list[list[float]] = []
    woken: list[list[float]] = []
    handler: list[list[float]] = []
    waiter: list[list[float]] = []
    for _ in range(ROUNDS):
        floor.append(trio.run(_bare_reader, path, False))
        handler.append(trio.run(_to_handler, path))
        waiter.append(trio.run(_to_waiter, path))
        woken.append(trio.run(_bare_reader, path, True))
    rows = []
    for label, ours, base, most in (
        ("latency to a handler", handler, floor, 1.3),
        ("latency to a woken waiter, beside a task that a bare reader wakes", waiter, woken, 1.3),
    ):
        rows.append(compared(f"{label}, median", _each(ours, 0.5), _each(base, 0.5), "us", most=most))
        rows.append(compared("  p99", _each(ours, 0.99), _each(base, 0.99), "us"))
    path = writer.paced(MANY + SPARE, 1000)
    worst = max(trio.run(_to_waiter, path, MANY)) / 1000
    row = Row(
        measure=f"  worst of {MANY:,} events",
        ours=worst,
        floor=max(trio.run(_bare_reader, path, True, MANY)) / 1000,
        unit="ms",
        target=f"<= {MOST_WORST:g} ms",
        ok=worst <= MOST_WORST,
    )
    return [*rows, row]


def _each(rounds: list[list[float]], share: float) -> list[float]:
    return [percentile(samples, share) for samples in rounds]


async def _bare_reader(path: Path, wakes: bool, count: int = EVENTS) -> list[float]:
    samples = Samples(count)
    with bare(path) as child:
        async with trio.open_nursery() as nursery:
            if wakes:
                send, receive = trio.open_memory_channel[Any](math.inf)
                nursery.start_soon(_take_each, receive, samples)
                nursery.start_soon(_read_bare, child, send.send_nowait)
            else:
                nursery.start_soon(_read_bare, child, samples.take)
            await trio.testing.wait_all_tasks_blocked()
            begin(child.process.pid)
            await samples.full.wait()
            nursery.cancel_scope.cancel()
    return samples.seen


async def _take_each(values: trio.MemoryReceiveChannel[Any], samples: Samples) -> None:
    async for value in values:
        samples.take(value)


async def _read_bare(child: Bare, take: Callable[[Any], None]) -> None:
    rest = b""
    async with trio.lowlevel.FdStream(os.dup(child.events)) as stream:
        while True:
            *lines, rest = (rest + await stream.receive_some(BLOCK_BYTES)).split(b"\n")
            for line in lines:
                take(decode(line).item.event[NAME])


async def _to_handler(path: Path) -> list[float]:
    samples = Samples(EVENTS)
    async with opened(path) as accuser:
        accuser.on_event(lambda event: samples.take(event.value))
        begin(accuser.pid)
        await samples.full.wait()
    return samples.seen


async def _to_waiter(path: Path, count: int = EVENTS) -> list[float]:
    samples = Samples(count)
    async with opened(path) as accuser:
        expected = accuser.expect(NAME)
        begin(accuser.pid)
        while not samples.full.is_set():
            value = await expected
            samples.take(value)
            # Those that came with another one are taken too, as from the channel of the floor.
            expected = accuser.expect(NAME, since=expected.end)
    return samples.seen


# Beside a flood.


def measure_flood(writer: Writer) -> list[Row]:
    """One daemon writes without pause, another one 1,000 events a second."""
    flood, paced = writer.blocks(0), writer.paced(FLOOD_EVENTS + SPARE, 1000)
    floor, floor_late = trio.run(_beside_flood, flood, paced, _bare_pair)
    ours, ours_late = trio.run(_beside_flood, flood, paced, _our_pair)
    rows = []
    for measure, figure, base, most in (
        ("beside a flood: latency of another daemon, p99", ours, floor, MOST_P99),
        ("beside a flood: a 10 ms timer late, worst", ours_late, floor_late, MOST_LATE),
    ):
        row = compared(measure, [figure], [base], "ms")
        rows.append(attrs.evolve(row, target=f"<= {most:g} ms", ok=figure <= most))
    return rows


@asynccontextmanager
async def _bare_pair(flood: Path, paced: Path, samples: Samples) -> AsyncGenerator[tuple[int, int]]:
    with bare(flood) as first, bare(paced) as second:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_bare, first, lambda value: None)
            nursery.start_soon(_read_bare, second, samples.take)
            yield first.process.pid, second.process.pid
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _our_pair(flood: Path, paced: Path, samples: Samples) -> AsyncGenerator[tuple[int, int]]:
    async with opened(flood) as first, opened(paced) as second, trio.open_nursery() as nursery:
        nursery.start_soon(_consume, first)
        second.on_event(lambda event: samples.take(event.value))
        assert first.pid is not None
        assert second.pid is not None
        yield first.pid, second.pid
        nursery.cancel_scope.cancel()


async def _consume(accuser: Accuser) -> None:
    accuser.on_event(lambda event: None)
    async with accuser.subscribe() as events:
        async for _ in events:
            pass


async def _beside_flood(flood: Path, paced: Path, pair: Any) -> tuple[float, float]:
    samples = Samples(FLOOD_EVENTS)
    late: list[float] = []
    async with pair(flood, paced, samples) as (first, second), trio.open_nursery() as nursery:
        nursery.start_soon(_tick, late)
        await trio.testing.wait_all_tasks_blocked()
        begin(first)
        begin(second)
        await samples.full.wait()
        nursery.cancel_scope.cancel()
    return percentile(samples.seen, 0.99) / 1000, max(late) * 1000


async def _tick(late: list[float]) -> None:
    while True:
        due = trio.current_time() + TICK
        await trio.sleep_until(due)
        late.append(trio.current_time() - due)
