"""Bytes of a file of events into entries: a recording, or what a sink wrote. Pure.

What kind of file it is, its first byte that is no white space tells: a recording's lines and a sink's
are objects, told apart by their first key, and netstrings begin with a digit.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from .._errors import RecordingError
from .._recording.entries import Entry as Recorded
from .._recording.entries import Happened, Piece
from .._recording.reader import Parser
from .._stream.decoding import ITEM_START, decode_block
from .._stream.event import Malformed, Record
from .._stream.framing import Framer
from .._stream.netstring import NetstringFramer

_PEEK: Final = 64


class Kind(enum.Enum):
    """What a file of events can be."""

    RECORDING = "recording"
    LINES = "one-per-line"
    NETSTRINGS = "netstring"


@attrs.frozen
class Entry:
    """An event, or a piece that is none, and which daemon of a recording wrote it."""

    record: Record
    daemon: str | None = None


@attrs.define(eq=False, repr=False)
class Reader:
    """Takes the bytes as they come, cut anywhere."""

    path: Path = Path("-")
    """What errors name."""
    kind: Kind | None = attrs.field(default=None, init=False)
    """None until enough has come."""
    _framer: Framer | NetstringFramer = attrs.field(factory=Framer, init=False)
    _held: bytes = attrs.field(default=b"", init=False)
    """What came before the kind was known."""
    _parser: Parser = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._parser = Parser(self.path)

    def feed(self, data: bytes) -> list[Entry]:
        """Give the entries that the bytes complete.

        Raises:
            RecordingError: a line of a recording is no entry.
        """
        if self.kind is None:
            data, self._held = self._held + data, b""
            self.kind = _kind(data)
            if self.kind is None:
                self._held = data
                return []
            if self.kind is Kind.NETSTRINGS:
                self._framer = NetstringFramer()
        return self._entries(self._framer.feed(data))

    def finish(self) -> list[Entry]:
        """Give the entries that the end of the file leaves."""
        entries = self.feed(b"\n") if self.kind is None and self._held.strip() else []
        block = self._framer.finish()
        try:
            return entries + self._entries(block)
        except RecordingError:
            if self._parser.line == 1:
                raise
            # The recording process was killed while it wrote.
            return [*entries, Entry(Malformed(block, "cut off: no entry of a recording"))]

    def _entries(self, block: bytes) -> list[Entry]:
        if not block:
            return []
        if self.kind is Kind.RECORDING:
            lines = block.removesuffix(b"\n").split(b"\n")
            return [entry for line in lines for entry in _shown(self._parser.parse(line))]
        return [Entry(record) for record in decode_block(block)]


def _kind(data: bytes) -> Kind | None:
    start = data.lstrip()
    if not start or (b"\n" not in start and len(start) < _PEEK):
        return None
    if start[:1].isdigit():
        return Kind.NETSTRINGS
    line = start.partition(b"\n")[0]
    if line.startswith(b"{") and not line.startswith(ITEM_START) and b'"type":' in line:
        return Kind.RECORDING
    return Kind.LINES


def _shown(entry: Recorded | None) -> Iterator[Entry]:
    match entry:
        case Happened(event=event, daemon=daemon):
            yield Entry(event, daemon)
        case Piece(data=data, reason=reason, daemon=daemon):
            yield Entry(Malformed(data, reason), daemon)
