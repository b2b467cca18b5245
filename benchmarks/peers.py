"""The same work by others: mirakuru, pyln-testing, pytest-xprocess, and asyncio by hand; in turn with ours.

Each is used as its own documents show it. What one does not have is left out: mirakuru and pytest-xprocess
wait for one text, at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
import types
from collections import defaultdict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import trio
from processes import CROWD, bare_crowd, bare_round, crowd, fifo
from resources import allow_descriptors
from standins import BLOCK_BYTES, ITEMS_IN_BLOCK, Writer, bare, begin
from throughput import LINE, bare_events, handled_events

from accuser import Accuser, Daemon, Protocol, open_daemon
from accuser.testing import NO_NODE

STARTS = 15
CROWDS = 3
ROUNDS = 5
EVENT_BLOCKS = 500
LINES = 200_000
READY = "Waiting for protocol"
END = "the end"
VARIABLE = "MAVRYK_EVENTS_CONFIG"

Figures = dict[str, dict[str, list[float]]]
"""By measure and by who did it."""


def measure_peers(writer: Writer) -> list[str]:
    """Give the lines of a table: medians, and from where to where the figures of the rounds reach."""
    allow_descriptors(16 * CROWD)
    figures: Figures = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder, fifo() as environment:
        # mirakuru and pytest-xprocess give their children what this process has.
        os.environ[VARIABLE] = environment[VARIABLE]
        try:
            _starts(figures, writer.idle(), Path(folder))
            _crowds(figures, writer.idle(), Path(folder))
        finally:
            del os.environ[VARIABLE]
    _events(figures, writer.blocks(EVENT_BLOCKS))
    _lines(figures, _text(writer.folder), writer.folder)
    return _table(figures)


# Starts and ends.


def _starts(figures: Figures, path: Path, folder: Path) -> None:
    alone: dict[str, Callable[[], tuple[float, float]]] = {
        "bare": lambda: bare_round(path),
        "accuser": lambda: trio.run(_ours, path),
        "asyncio": lambda: asyncio.run(_by_asyncio(path)),
        "mirakuru": lambda: _by_mirakuru(path),
        "pyln-testing": lambda: _by_pyln(path, folder),
        "pytest-xprocess": lambda: _by_xprocess(path, folder),
    }
    for _ in range(STARTS):
        for who, once in alone.items():
            ready, ended = once()
            figures["start to ready, ms"][who].append(ready)
            figures["terminate, ms"][who].append(ended)


def _crowds(figures: Figures, path: Path, folder: Path) -> None:
    at_once: dict[str, Callable[[], tuple[float, float]]] = {
        "bare": lambda: bare_crowd(path),
        "accuser": lambda: trio.run(crowd, path),
        "asyncio": lambda: asyncio.run(_crowd_by_asyncio(path)),
        "pyln-testing": lambda: _crowd_by_pyln(path, folder),
    }
    for _ in range(CROWDS):
        for who, once in at_once.items():
            ready, ended = once()
            figures[f"{CROWD} at once, ready, ms"][who].append(ready)
            figures[f"{CROWD} at once, terminated, ms"][who].append(ended)


class Watch:
    """Milliseconds from one question to the next."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Since the last time, or the begin."""
        last, self._last = self._last, time.perf_counter()
        return (self._last - last) * 1000


async def _ours(path: Path) -> tuple[float, float]:
    async with trio.open_nursery() as nursery:
        watch = Watch()
        accuser = await Accuser.init(nursery, Protocol.BOREAS, NO_NODE, path=path)
        ready = watch.lap()
        await accuser.terminate()
        return ready, watch.lap()


async def _spawned(path: Path) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(path, "-E", stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    while READY not in (await process.stdout.readline()).decode():
        pass
    return process


async def _by_asyncio(path: Path) -> tuple[float, float]:
    watch = Watch()
    process = await _spawned(path)
    ready = watch.lap()
    process.terminate()
    await process.wait()
    return ready, watch.lap()


async def _crowd_by_asyncio(path: Path) -> tuple[float, float]:
    watch = Watch()
    processes = await asyncio.gather(*[_spawned(path) for _ in range(CROWD)])
    ready = watch.lap()
    for process in processes:
        process.terminate()
    await asyncio.gather(*[process.wait() for process in processes])
    return ready, watch.lap()


def _by_mirakuru(path: Path) -> tuple[float, float]:
    from mirakuru import OutputExecutor

    watch = Watch()
    executor = OutputExecutor([str(path), "-E"], banner=READY, timeout=60)
    executor.start()
    ready = watch.lap()
    executor.stop()
    return ready, watch.lap()


def _tailable(command: list[str], folder: Path, number: int = 0) -> Any:
    from pyln.testing.utils import TailableProc

    process = TailableProc(str(folder / f"pyln{number}"), verbose=False)
    process.cmd_line = command
    process.start()
    return process


def _by_pyln(path: Path, folder: Path) -> tuple[float, float]:
    watch = Watch()
    process = _tailable([str(path), "-E"], folder)
    process.wait_for_log(READY)
    ready = watch.lap()
    process.stop()
    ended = watch.lap()
    process.cleanup_files()
    return ready, ended


def _crowd_by_pyln(path: Path, folder: Path) -> tuple[float, float]:
    watch = Watch()
    processes = [_tailable([str(path), "-E"], folder, number) for number in range(CROWD)]
    for process in processes:
        process.wait_for_log(READY)
    ready = watch.lap()
    for process in processes:
        process.stop()
    ended = watch.lap()
    for process in processes:
        process.cleanup_files()
    return ready, ended


def _by_xprocess(path: Path, folder: Path) -> tuple[float, float]:
    import py
    from xprocess import ProcessStarter
    from xprocess.xprocess import XProcess

    class Starter(ProcessStarter):  # type: ignore[misc] # that package has no types, and so this base is Any
        pattern = READY
        args = (str(path), "-E")

    log = types.SimpleNamespace(debug=lambda *_: None)
    with XProcess(types.SimpleNamespace(), py.path.local(str(folder)), log) as xprocess:
        watch = Watch()
        xprocess.ensure("x", Starter, persist_logs=False)
        ready = watch.lap()
        xprocess.getinfo("x").terminate()
        ended = watch.lap()
        for resource in xprocess.resources:
            resource.release()
    return ready, ended


# Events and lines.


def _events(figures: Figures, path: Path) -> None:
    rows: dict[str, Callable[[], float]] = {
        "bare": lambda: bare_events(path, EVENT_BLOCKS),
        "accuser": lambda: trio.run(handled_events, path, EVENT_BLOCKS),
        "asyncio": lambda: asyncio.run(_events_by_asyncio(path)),
    }
    for _ in range(ROUNDS):
        for who, once in rows.items():
            figures["events/s, a handler"][who].append(once())


async def _events_by_asyncio(path: Path) -> float:
    left = EVENT_BLOCKS * ITEMS_IN_BLOCK

    def handler(_: object) -> None:
        nonlocal left
        left -= 1

    with bare(path) as child:
        reader = asyncio.StreamReader(limit=BLOCK_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(child.events), "rb")
        )
        start = time.thread_time()
        begin(child.process.pid)
        while left:
            handler(json.loads(await reader.readline())["fd-sink-item.v0"])
        seconds = time.thread_time() - start
        transport.close()
    return EVENT_BLOCKS * ITEMS_IN_BLOCK / seconds


def _text(folder: Path) -> Path:
    """An executable that prints lines, then `END`, and stays."""
    content, path = folder / "text", folder / "print-text"
    content.write_bytes(LINE * LINES + END.encode() + b"\n")
    path.write_text(f"#!/bin/sh\ncat {content}\nexec sleep 600\n")
    path.chmod(0o755)
    return path


def _lines(figures: Figures, path: Path, folder: Path) -> None:
    rows: dict[str, Callable[[], object]] = {
        "bare": lambda: _bare_lines(path),
        "accuser": lambda: trio.run(_our_lines, path),
        "asyncio": lambda: asyncio.run(_lines_by_asyncio(path)),
        "mirakuru": lambda: _lines_by_mirakuru(path),
        "pyln-testing": lambda: _lines_by_pyln(path, folder),
    }
    for _ in range(ROUNDS):
        for who, once in rows.items():
            watch = Watch()
            once()
            figures["lines/s to a waiter, start and end included"][who].append(LINES / watch.lap() * 1000)


@contextlib.contextmanager
def _running(path: Path) -> Generator[int]:
    with subprocess.Popen([path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.fileno()
        finally:
            process.terminate()


def _bare_lines(path: Path) -> None:
    search = re.compile(f"^{END}$").search
    rest = b""
    with _running(path) as output:
        while True:
            data = rest + os.read(output, BLOCK_BYTES)
            *lines, rest = data.split(b"\n")
            for line in lines:
                if search(line.decode()):
                    return


async def _our_lines(path: Path) -> None:
    daemon = Daemon("print-text", path=path)
    expected = daemon.expect_line(f"^{END}$")
    async with open_daemon(daemon):
        await expected


async def _lines_by_asyncio(path: Path) -> None:
    search = re.compile(f"^{END}$").search
    process = await asyncio.create_subprocess_exec(path, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async for line in process.stdout:
        if search(line.decode()):
            break
    process.terminate()
    await process.wait()


def _lines_by_mirakuru(path: Path) -> None:
    from mirakuru import OutputExecutor

    executor = OutputExecutor([str(path)], banner=END, timeout=60)
    executor.start()
    executor.stop()


def _lines_by_pyln(path: Path, folder: Path) -> None:
    process = _tailable([str(path)], folder)
    process.wait_for_log(f"^{END}$")
    process.stop()
    process.cleanup_files()


# What is printed.


def _table(figures: Figures) -> list[str]:
    lines = []
    for measure, by_whom in figures.items():
        lines.append(f"{measure}:")
        for who, values in by_whom.items():
            median, least, most = statistics.median(values), min(values), max(values)
            lines.append(f"    {who:16} {_number(median):>10}   ({_number(least)} to {_number(most)})")
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
