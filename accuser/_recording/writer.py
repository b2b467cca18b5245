"""Writes recordings: one JSON object a line, in the order in which things happened.

The schema is described in ``docs/recording.md``.

Invariant: once a recording has begun, nothing here raises. What cannot be written is counted and left,
so that no fault of a disk decides over a process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import attrs
import msgspec

from .._errors import DirectoryError
from .._files import writing
from .._logs import logger
from .._report import signal_name
from .._stream.decoding import with_bytes
from .._stream.event import Malformed, Record
from .._text import secrets
from .entries import (
    STRUCTURE,
    VERSION,
    EventLine,
    Exit,
    Head,
    Line,
    OnFile,
    Piece,
    Ready,
    Restart,
    Signal,
    Start,
    Wait,
)

_encode: Final = msgspec.json.Encoder().encode


@attrs.define(eq=False, repr=False)
class Recording:
    """A file that one or more daemons are recorded in, given to them as ``record=``.

    It is made, or emptied, when the first of their sessions starts, is open while one runs, and
    is complete after each line.

    A recording that cannot be written any more is left as it is, while the daemons go on. It is an
    error when they have been stopped, unless it is not ``required``; see `failure`.
    """

    path: Path = attrs.field(converter=Path)
    required: bool = attrs.field(default=True, kw_only=True)
    """Whether a failure ends the daemons' blocks and runs, once they are stopped, with that failure."""
    failure: DirectoryError | None = attrs.field(default=None, init=False)
    """Why it is not written any more, if that is so."""
    lost: int = attrs.field(default=0, init=False)
    """How many entries were not written, since it failed."""
    _start: float = attrs.field(default=0.0, init=False)
    _file: int | None = attrs.field(default=None, init=False)
    _users: int = attrs.field(default=0, init=False)

    def __repr__(self) -> str:
        return f"<Recording {self.path}{', failed' if self.failure is not None else ''}>"

    @property
    def is_open(self) -> bool:
        """Whether it is written at present."""
        return self._file is not None

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Keep the file open. Raises `DirectoryError` if it cannot be made, or cannot be begun."""
        if self._users == 0:
            self._open()
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self._close()

    def _open(self) -> None:
        secrets.learn_environment(os.environ)
        self._open_file()
        opened.append(self)

    def _open_file(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND
        if self._start > 0:
            # Daemons were run already, and the next one is not to fail for this.
            with self._failing(), writing(self.path):
                self._file = os.open(self.path, flags, 0o600)
            return
        with writing(self.path):
            self._file = os.open(self.path, flags | os.O_TRUNC, 0o600)
            # What daemons write is nobody else's business, also if the file was there before.
            if stat.S_ISREG(os.fstat(self._file).st_mode):
                with contextlib.suppress(OSError):
                    os.fchmod(self._file, 0o600)
        try:
            self._write([Head(version=VERSION, started=time.time())])
        except BaseException:
            self._close()
            raise
        self._start = time.monotonic()

    def _close(self) -> None:
        file, self._file = self._file, None
        if self in opened:
            opened.remove(self)
        if file is not None:
            # Some file systems tell only here that the disk is full.
            with self._failing(), writing(self.path):
                os.close(file)

    @contextmanager
    def _failing(self, entries: int = 0) -> Generator[None]:
        """Note what fails in the block, which is about to write so many entries, and go on."""
        try:
            yield
        except Exception as error:
            self.lost += entries
            if self.failure is None:
                reason = f"{type(error).__name__}: {error}"
                self.failure = (
                    error if isinstance(error, DirectoryError) else DirectoryError(self.path, reason)
                )
                # A handler of log lines may be as full as the disk.
                with contextlib.suppress(Exception):
                    logger.log(logging.ERROR, "the recording is not continued: %s", self.failure)

    @property
    def now(self) -> float:
        """Seconds since the recording began."""
        return self.since_begin(time.monotonic())

    def since_begin(self, moment: float) -> float:
        """Seconds from the begin of the recording to a moment of `time.monotonic`."""
        return round(moment - self._start, 6)

    def write(self, entries: Sequence[OnFile]) -> None:
        """Append entries. Nothing is written while no session runs, or after a failure."""
        if self.failure is not None:
            self.lost += len(entries)
            return
        with self._failing(len(entries)):
            self._write(entries)

    def _write(self, entries: Sequence[OnFile]) -> None:
        if self._file is None:
            return
        lines = b"".join(_encode(entry) + b"\n" for entry in entries)
        data = memoryview(secrets.hide_in_json(lines, STRUCTURE))
        with writing(self.path):
            while data:
                data = data[os.write(self._file, data) :]


opened: Final[list[Recording]] = []
"""The recordings of this process that are open."""


@attrs.define(eq=False, repr=False)
class Recorder:
    """Writes down one session of one daemon; does nothing without a recording."""

    daemon: str
    session: int
    recording: Recording | None

    def _write(self, entry: Callable[..., OnFile], /, **fields: object) -> None:
        if self.recording is not None:
            where = {"t": self.recording.now, "daemon": self.daemon, "session": self.session}
            self.recording.write([entry(**where, **fields)])

    def started(
        self, kind: str, protocol: str | None, command: Sequence[str], pid: int, place: str | None = None
    ) -> None:
        """The process was spawned. Credentials in URLs are not written down."""
        if self.recording is not None:
            shown = tuple(map(secrets.hide, command))
            self._write(Start, kind=kind, protocol=protocol, command=shown, pid=pid, place=place)

    def events(self, raw: bytes, records: Sequence[Record]) -> None:
        """Events and malformed pieces were read: a step of the stream, and what it decodes to."""
        if self.recording is not None and records:
            now = self.recording.now
            self.recording.write(
                [self._entry(now, item, record) for item, record in with_bytes(raw, records)]
            )

    def _entry(self, now: float, item: bytes, record: Record) -> OnFile:
        daemon, session = self.daemon, self.session
        if isinstance(record, Malformed):
            # Its digits would hide a secret from who looks for it, and from nobody else.
            said = secrets.hide(record.raw.decode("utf-8", "surrogateescape"))
            raw = said.encode("utf-8", "surrogateescape").hex()
            return Piece(t=now, daemon=daemon, session=session, reason=record.reason, raw=raw)
        return EventLine(t=now, daemon=daemon, session=session, item=msgspec.Raw(item))

    def lines(self, stream: Literal["stdout", "stderr"], lines: Sequence[str]) -> None:
        """Lines of output were read."""
        if self.recording is not None and lines:
            now, daemon, session = self.recording.now, self.daemon, self.session
            self.recording.write(
                [Line(t=now, daemon=daemon, session=session, stream=stream, text=line) for line in lines]
            )

    def ready(self) -> None:
        """The daemon is ready."""
        self._write(Ready)

    def signal(self, number: int) -> None:
        """A signal was sent to its group."""
        if self.recording is not None:
            self._write(Signal, signal=signal_name(number))

    def wait(self, what: str, where: str | None, begun: float, outcome: str) -> None:
        """A wait has ended: satisfied, timed out, terminated, cancelled or failed."""
        if self.recording is not None:
            start = self.recording.since_begin(begun)
            self._write(Wait, what=what, where=where, begun=start, outcome=outcome)

    def restart(self, status: int | None, attempt: int, delay: float, reason: str | None = None) -> None:
        """The session before has ended unasked, and this one is to come after ``delay`` seconds."""
        self._write(Restart, status=status, attempt=attempt, delay=delay, reason=reason)

    def exited(self, status: int) -> None:
        """The process has ended."""
        self._write(Exit, status=status)
