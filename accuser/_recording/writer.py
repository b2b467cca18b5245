"""Recordings: one JSON object a line, in the order in which things happened.

The schema is described in ``docs/recording.md``; `VERSION` is raised when a reader of it would
have to change.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from .._files import writing
from .._stream.event import Malformed, Record

VERSION: Final = 1

_encode: Final = msgspec.json.Encoder().encode


@attrs.define(eq=False)
class Recording:
    """A file that one or more daemons are recorded in, given to them as ``record=``.

    It is made, or emptied, when the first of their sessions starts, is open while one runs, and
    is complete after each line.
    """

    path: Path = attrs.field(converter=Path)
    _start: float = attrs.field(default=0.0, init=False)
    _file: int | None = attrs.field(default=None, init=False)
    _users: int = attrs.field(default=0, init=False)

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Keep the file open. Raises `DirectoryError` if it cannot be made."""
        if self._users == 0:
            begun = self._start > 0
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND | (0 if begun else os.O_TRUNC)
            with writing(self.path):
                self._file = os.open(self.path, flags, 0o644)
            if not begun:
                self._start = time.monotonic()
                self.write([{"type": "recording", "version": VERSION, "started": time.time()}])
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                assert self._file is not None
                os.close(self._file)
                self._file = None

    def write(self, entries: Sequence[dict[str, Any]]) -> None:
        """Append entries, all with the time of now. Nothing is written while no session runs.

        Raises:
            DirectoryError: the disk is full, or the file cannot be written for another reason.
        """
        if self._file is None:
            return
        now = round(time.monotonic() - self._start, 6)
        data = memoryview(b"".join(_encode({"t": now, **entry}) + b"\n" for entry in entries))
        with writing(self.path):
            while data:
                data = data[os.write(self._file, data) :]


@attrs.define(eq=False)
class Recorder:
    """Writes down one session of one daemon; does nothing without a recording."""

    daemon: str
    session: int
    recording: Recording | None

    def _write(self, *entries: dict[str, Any]) -> None:
        if self.recording is not None and entries:
            where = {"daemon": self.daemon, "session": self.session}
            self.recording.write([{**where, **entry} for entry in entries])

    def started(self, kind: str, protocol: str | None, command: Sequence[str], pid: int) -> None:
        """The process was spawned."""
        self._write({"type": "start", "kind": kind, "protocol": protocol, "command": command, "pid": pid})

    def events(self, records: Sequence[Record]) -> None:
        """Events and malformed pieces were read."""
        if self.recording is not None:
            self._write(*map(_entry, records))

    def lines(self, stream: str, lines: Sequence[str]) -> None:
        """Lines of output were read."""
        if self.recording is not None:
            self._write(*({"type": "line", "stream": stream, "text": line} for line in lines))

    def ready(self) -> None:
        """The daemon is ready."""
        self._write({"type": "ready"})

    def signal(self, name: str) -> None:
        """A signal was sent to its group."""
        self._write({"type": "signal", "signal": name})

    def wait(self, what: str, where: str | None, begun: float, outcome: str) -> None:
        """A wait has ended: satisfied, timed out, terminated, cancelled or failed."""
        if self.recording is not None:
            start = round(begun - self.recording._start, 6)
            self._write({"type": "wait", "what": what, "where": where, "begun": start, "outcome": outcome})

    def restart(self, status: int | None, attempt: int, delay: float) -> None:
        """The session before has ended unasked, and this one is to come after ``delay`` seconds."""
        self._write({"type": "restart", "status": status, "attempt": attempt, "delay": delay})

    def exited(self, status: int) -> None:
        """The process has ended."""
        self._write({"type": "exit", "status": status})


def _entry(record: Record) -> dict[str, Any]:
    if isinstance(record, Malformed):
        return {"type": "malformed", "reason": record.reason, "raw": record.raw.hex()}
    return {"type": "event", "item": record.full()}
