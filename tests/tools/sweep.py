"""Interrupt or kill the owner of a daemon at each line that starts and stops it, and look at what is left.

``python -m tests.tools.sweep [--tries 500] [--signal SIGINT|SIGKILL|both] [--seed N]``

A forked child runs a daemon to its end under a trace function, which counts the lines of `_engine` and
`_hosts` that are run, and sends its own process the signal at one of them. After each try no process and no
directory may be left, and no error of trio's own may have come.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

import attrs
import trio

import accuser
from accuser import Accuser, Endpoint, Protocol, open_daemon
from accuser._hosts.owner.guardian import GRACE_VARIABLE
from accuser.testing import FaultyDaemon, ready

KEY: Final = "ACCUSER_SWEEP"
"""Environment variable by which what a try started is found."""
SWEPT: Final = tuple(f"{Path(accuser.__file__).parent}/{package}/" for package in ("_engine", "_hosts"))
PATIENCE: Final = 30.0
"""Seconds until what is left counts as left: more than every grace of a try."""
TROUBLE: Final = ("TrioInternalError", "stack corrupted", "RuntimeError", "AssertionError", "BrokenResource")
"""What an error of trio's own, or of broken invariants, has in its text."""


@attrs.frozen
class Try:
    """What one try showed."""

    line: int
    where: str
    status: int
    said: str
    left: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """What is wrong with it."""
        faults = [f"left: {one}" for one in self.left]
        if any(word in self.said for word in TROUBLE):
            faults.append(self.said)
        return faults


def tracer(reached: Callable[[FrameType, int], None]) -> Callable[..., Any]:
    """A trace function that calls ``reached`` with the number of each line of the swept packages."""
    lines = 0

    def local(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            reached(frame, lines)
        return local

    def of_call(frame: FrameType, event: str, argument: object) -> Any:
        return local if frame.f_code.co_filename.startswith(SWEPT) else None

    return of_call


def lines_of_a_life(folder: Path) -> int:
    """How many lines a life of a daemon runs through."""
    count = 0

    def note(_: FrameType, line: int) -> None:
        nonlocal count
        count = line

    reader, writer = os.pipe()
    if not (pid := os.fork()):
        _live(folder, tracer(note), lambda: os.write(writer, f"{count}".encode()))
    os.close(writer)
    with open(reader) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return int(text)


def attempt(folder: Path, line: int, signum: signal.Signals) -> Try:
    """Send the signal at a line, and look at what is left."""
    key = f"{os.getpid()}-{line}-{signum.name}"
    place = Path(tempfile.mkdtemp(dir=folder))
    log = folder / f"{key}.txt"

    def strike(frame: FrameType, number: int) -> None:
        if number == line:
            at = f"{frame.f_code.co_filename.rpartition('accuser/')[2]}:{frame.f_lineno}"
            log.write_text(f"{at}\n")
            os.kill(os.getpid(), signum)

    def tell() -> None:
        if (error := sys.exc_info()[1]) is not None:
            with log.open("a") as file:
                file.write("".join(traceback.format_exception(error)))

    if not (pid := os.fork()):
        os.environ[KEY], os.environ["TMPDIR"], os.environ[GRACE_VARIABLE] = key, str(place), "2"
        tempfile.tempdir = None
        _live(folder, tracer(strike), tell)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    where, _, said = (log.read_text() if log.exists() else "").partition("\n")
    left = _what_is_left(key, place)
    shutil.rmtree(place, ignore_errors=True)
    log.unlink(missing_ok=True)
    return Try(line, where, status, said, tuple(left))


def _live(folder: Path, trace: Callable[..., Any], tell: Callable[[], object]) -> NoReturn:
    """Be the owner of a daemon, from its start to its end, and exit as an interpreter does."""
    status = 0
    try:
        path = folder / Protocol.BOREAS.accuser_binary

        async def main() -> None:
            daemon = Accuser(Protocol.BOREAS, Endpoint("http://127.0.0.1:9"), path=path, stop_grace=5.0)
            async with open_daemon(daemon):
                await trio.lowlevel.checkpoint()

        sys.settrace(trace)
        try:
            trio.run(main)
        finally:
            sys.settrace(None)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            tell()
    except BaseException:  # noqa: ASYNC103 - told by the status
        status = 1
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        os._exit(status)


def _what_is_left(key: str, place: Path) -> list[str]:
    deadline = time.monotonic() + PATIENCE
    while left := [*_processes(key), *(f"directory {path.name}" for path in place.iterdir())]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.01)
    return []


def _processes(key: str) -> Iterator[str]:
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdecimal() and f"{KEY}={key}".encode() in (folder / "environ").read_bytes():
                yield f"process {folder.name} {(folder / 'cmdline').read_bytes()!r}"


def sweep(tries: int, signum: signal.Signals, seed: int) -> list[Try]:
    """Try so many lines, spread over a daemon's life; return those with faults."""
    faulty = []
    # No TemporaryDirectory, which the exits of the forked owners would remove.
    folder = Path(tempfile.mkdtemp(prefix="accuser-sweep-"))
    try:
        FaultyDaemon(ready()).write(folder)
        total = lines_of_a_life(folder)
        chosen = sorted(random.Random(seed).sample(range(1, total + 1), min(tries, total)))
        for line in chosen:
            if (tried := attempt(folder, line, signum)).faults:
                faulty.append(tried)
                where = f"{signum.name} at line {line} of {total}, {tried.where}:"
                print(where, *tried.faults, sep="\n  ", flush=True)
    finally:
        shutil.rmtree(folder)
    print(f"{signum.name}: {len(chosen)} of {total} lines tried, {len(faulty)} with faults, seed {seed}")
    return faulty


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=500)
    parser.add_argument("--signal", choices=["SIGINT", "SIGKILL", "both"], default="both")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = ["SIGINT", "SIGKILL"] if options.signal == "both" else [options.signal]
    faulty = [one for name in names for one in sweep(options.tries, signal.Signals[name], options.seed)]
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
