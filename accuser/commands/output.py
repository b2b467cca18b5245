"""Standard output for commands that must go on, whoever reads it.

Invariant: `Output.write` never waits and never raises. What nobody takes in time is dropped and counted.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections import deque
from typing import Final, TextIO

import attrs
import click

LIMIT: Final = 1024 * 1024
"""Bytes that wait to be written; a terminal or pipe that is read never has so many."""

PATIENCE: Final = 1.0
"""Seconds that the end of a command waits for its last lines to be taken."""


@attrs.define(eq=False, repr=False)
class Output:
    """A text stream in front of a descriptor, which a thread of its own writes to.

    Args:
        stream: whose descriptor, encoding and terminal it has.
        limit: bytes that may wait; a text that does not find room is dropped as a whole.
    """

    stream: TextIO
    limit: int = LIMIT
    dropped: int = attrs.field(default=0, init=False)
    """How many texts were dropped, as a rule a line each."""
    _queue: deque[bytes] = attrs.field(factory=deque, init=False)
    _size: int = attrs.field(default=0, init=False)
    _gone: bool = attrs.field(default=False, init=False)
    """Whether the stream was closed, after which nothing can be written."""
    _torn: bool = attrs.field(default=False, init=False)
    """Whether the last text was written in part."""
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)

    @property
    def encoding(self) -> str:
        return self.stream.encoding or "utf-8"

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Have a text written, some time later; what cannot be encoded is escaped."""
        data = text.encode(self.encoding, "backslashreplace")
        with self._changed:
            if self._gone or self._size + len(data) > self.limit:
                self.dropped += 1
                return len(text)
            if self._thread is None:
                # A daemon, so that one that waits for a reader does not keep the process.
                thread = threading.Thread(target=self._run, name="output", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads
                    self.dropped += 1
                    return len(text)
                self._thread = thread
            self._queue.append(data)
            self._size += len(data)
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Does nothing: the thread writes as soon as it can."""

    def settle(self, seconds: float = PATIENCE) -> None:
        """Wait until everything is written, at most so many seconds."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._size and not self._gone and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                data = self._queue.popleft()
            written = self._write(data)
            with self._changed:
                self._size -= len(data)
                if not written:
                    self.dropped += 1
                if self._gone:
                    self.dropped += len(self._queue)
                    self._queue.clear()
                    self._size = 0
                self._changed.notify_all()
            if self._gone:
                return

    def _write(self, data: bytes) -> bool:
        """Write a text; whether it could be. The next one may find a disk with room, or a new reader."""
        rest = memoryview(b"\n" + data if self._torn else data)
        whole = len(rest)
        while rest:
            try:
                rest = rest[os.write(self.stream.fileno(), rest) :]
            except BlockingIOError:
                # Somebody who shares the descriptor made it non-blocking.
                time.sleep(0.05)
            except OSError:
                self._torn = self._torn or len(rest) < whole
                return False
            except ValueError:
                self._gone = True
                return False
        self._torn = False
        return True


def echo(text: object, *, err: bool = False) -> None:
    """Print a line on standard output, or on standard error, with what its encoding lacks escaped.

    Of its own accord click writes UTF-8 where the encoding is ASCII.
    """
    click.echo(text, file=sys.stderr if err else sys.stdout)


def hold_standard_streams() -> None:
    """Let those of the three standard descriptors that are closed, as by ``>&-``, lead to nothing.

    Else the next file that is opened would be taken for one of them, and daemons would write into it.
    """
    for name, descriptor, mode in (
        ("stdin", 0, os.O_RDONLY),
        ("stdout", 1, os.O_WRONLY),
        ("stderr", 2, os.O_WRONLY),
    ):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free one is taken, and those below are open by now.
            os.open(os.devnull, mode)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, "r" if descriptor == 0 else "w", closefd=False))


def escape_what_cannot_be_written() -> None:
    """Let standard output and standard error write ``\\xNN`` for what their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")
