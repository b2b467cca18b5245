"""``accuser run`` as processes that are to be abused: some that are kept, many that are soon ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import attrs
import trio
from prometheus_client.parser import text_string_to_metric_families

from accuser import AccuserError
from accuser._hosts.proc import read_stats
from accuser._http.client import HttpClient
from tests.support.cli import COMMAND
from tests.support.clock_steps import SteppedClock

GRACE: Final = 10.0
PIPE: Final = 4096
"""Bytes of the pipes that it writes to, so that they are full soon."""
ANSWER: Final = 60.0
"""Seconds in which `/metrics` must answer: the first time its start takes some of it."""
MARK: Final = "ACCUSER_ABUSE"
ENDS: Final = (0, -signal.SIGTERM)
"""How it ends by SIGTERM: in order, or by the signal, before it listens for it and has made anything."""


@attrs.frozen
class Place:
    """Where all of it happens."""

    folder: Path
    disk: Path
    """A small file system."""
    clock: SteppedClock
    endpoint: str

    def words(self, name: str) -> list[str]:
        """The command, whose recording is on the small disk."""
        return [
            *(*COMMAND, "run", "--toolchain", "sandbox", "--endpoint", self.endpoint, "--verbose"),
            *("--grace", f"{GRACE}", "--restart-delay", "0.1", "--restart-max-delay", "1"),
            *("--record", str(self.disk / f"{name}.jsonl"), "--name", name),
        ]

    def environment(self, name: str, mark: str) -> dict[str, str]:
        """With a temporary directory of its own, and a mark by which all its processes are found."""
        (self.folder / name).mkdir()
        return {**os.environ, **self.clock.environment, "TMPDIR": str(self.folder / name), MARK: mark}


def marked(mark: str) -> list[int]:
    """The processes that were started with a mark in their environment."""
    word, found = f"{MARK}={mark}".encode(), []
    for stat in read_stats():
        with contextlib.suppress(OSError):
            if word in Path(f"/proc/{stat.pid}/environ").read_bytes().split(b"\0"):
                found.append(stat.pid)
    return found


def children(parent: int, word: bytes) -> list[int]:
    """The children of a process with a word in their command line."""
    found = []
    for stat in read_stats():
        with contextlib.suppress(OSError):
            if stat.parent == parent and word in Path(f"/proc/{stat.pid}/cmdline").read_bytes():
                found.append(stat.pid)
    return found


def kill(pids: list[int], signum: int) -> None:
    """Signal those of them that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


async def nothing_is_left(folder: Path, mark: str) -> None:
    """Wait until the guardian has cleared up as well. Raises `AssertionError`."""
    deadline = time.monotonic() + 2 * GRACE
    while (paths := list(folder.iterdir())) or (pids := marked(mark)):
        assert time.monotonic() < deadline, f"left: {paths or pids}"
        await trio.sleep(0.1)


@attrs.define(eq=False)
class Kept:
    """One that is kept for the whole time.

    Its standard output is a file on the small disk, or a FIFO with a reader that comes and goes.
    """

    name: str
    process: trio.Process
    url: str
    folder: Path
    mark: str
    log: Path
    fifo: Path | None
    reader: subprocess.Popen[bytes] | None = None
    processed: int = 0
    explained: int = 0
    """Blocks that a restart explains that they were not processed."""

    @classmethod
    async def start(cls, place: Place, name: str, *, piped: bool) -> Kept:
        """Start it, and wait until it answers."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        mark, fifo = secrets.token_hex(8), place.folder / f"{name}.fifo"
        log = (place.folder if piped else place.disk) / f"{name}.log"
        if piped:
            os.mkfifo(fifo)
            holder = os.open(fifo, os.O_RDWR)  # so that to open it for writing does not wait
            fcntl.fcntl(holder, fcntl.F_SETPIPE_SZ, PIPE)
            output = os.open(fifo, os.O_WRONLY)
        else:
            holder, output = -1, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        process = await trio.lowlevel.open_process(
            [*place.words(name), "--metrics", address],
            stdout=output,
            stderr=(place.folder / f"{name}.err").open("wb"),
            env=place.environment(name, mark),
            process_group=0,
        )
        os.close(output)
        url, folder = f"http://{address}", place.folder / name
        kept = cls(name, process, url, folder, mark, log, fifo if piped else None)
        if piped:
            kept.read()
            os.close(holder)
        while (await kept.numbers()).get("accuser_up") != 1:  # noqa: ASYNC110 - another program
            await trio.sleep(0.1)
        return kept

    def read(self) -> None:
        """Have a new reader of its output."""
        assert self.fifo is not None
        with self.log.open("ab") as log:
            self.reader = subprocess.Popen(["cat", str(self.fifo)], stdout=log)

    def stop_reading(self) -> None:
        """Kill the reader."""
        if self.reader is not None:
            self.reader.kill()
            self.reader.wait()

    async def numbers(self) -> dict[str, float]:
        """Its metrics, but for those with labels. Raises `trio.TooSlowError` if nobody answers."""
        with trio.fail_after(ANSWER):
            while True:
                try:
                    response = await HttpClient(self.url).request("GET", "/metrics")
                    break
                except AccuserError:  # as long as it does not listen
                    assert self.process.poll() is None, f"{self.name} has ended: {self.process.returncode}"
                    await trio.sleep(0.1)
        families = text_string_to_metric_families(response.body.decode())
        return {s.name: s.value for family in families for s in family.samples if not s.labels}

    async def end(self) -> float:
        """Stop it by SIGTERM, and return in how many seconds it ended. Raises `AssertionError`."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        with trio.fail_after(GRACE):
            assert await self.process.wait() == 0
        took = time.monotonic() - begun
        self.stop_reading()
        await nothing_is_left(self.folder, self.mark)
        return took


OUTPUTS: Final = ("disk", "unread", "full", "left", "closed")
"""What the standard output of a run that is soon ended is: a file on the small disk, a pipe that nobody
reads, a device that is always full, a pipe whose reader has left, and nothing."""


@contextlib.contextmanager
def output_called(what: str, place: Place, name: str) -> Iterator[int | None]:
    """A descriptor for the standard output; None for none."""
    if what == "closed":
        yield None
        return
    reader = -1
    if what == "disk":
        output = os.open(place.disk / "soon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    elif what == "full":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, output = os.pipe()
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, PIPE)
    if what == "left":
        os.close(reader)
    try:
        yield output
    finally:
        os.close(output)
        if what == "unread":
            os.close(reader)


async def soon_ended(place: Place, number: int, dice: Random) -> tuple[str, float] | None:
    """Start one, end it by SIGTERM at some moment, and see that nothing is left.

    Returns what its output was, and in how many seconds it ended; None if it could not begin, as on a full
    disk. Raises `AssertionError`.
    """
    name, what, mark = f"soon{number}", dice.choice(OUTPUTS), secrets.token_hex(8)
    words, errors = place.words(name), place.folder / f"{name}.err"
    fault = dice.choice((None, None, b"mavkit-accuser", b"guardian_main"))
    # Half of them while it starts.
    moment = dice.uniform(0, 1.5) if dice.random() < 0.5 else dice.uniform(1.5, 6)
    if dice.random() < 0.5:
        words += ["--metrics", "127.0.0.1:0"]
    with output_called(what, place, name) as output, errors.open("wb") as told:
        process = await trio.lowlevel.open_process(
            words if output is not None else ["sh", "-c", 'exec "$@" >&-', "sh", *words],
            stdout=subprocess.DEVNULL if output is None else output,
            stderr=told,
            env=place.environment(name, mark),
            process_group=0,
        )
        try:
            with trio.move_on_after(moment):
                await process.wait()
            if fault is not None:
                kill(children(process.pid, fault), signal.SIGSTOP)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            with trio.move_on_after(GRACE):
                await process.wait()
        finally:
            if process.returncode is None:
                kill(marked(mark), signal.SIGKILL)
        status = process.returncode
    took, said = time.monotonic() - begun, errors.read_text()
    await nothing_is_left(place.folder / name, mark)
    (place.disk / f"{name}.jsonl").unlink(missing_ok=True)
    if status == 1 and "cannot write the recording" in said:
        return None
    assert status in ENDS, f"{what}, {fault!r}, {moment}: status {status}: {said}"
    assert "Traceback" not in said, said
    return what, took
