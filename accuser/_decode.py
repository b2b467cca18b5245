"""Bytes of an event pipe into records. Pure: no I/O, no trio.

Invariants:
1. A record never depends on how the bytes were cut: `Framer` gives whole lines, `decode_block`
   looks at whole lines only.
2. `decode_block` is a function: the history keeps the bytes and decodes them again when asked.
3. No bytes vanish: what is no event is a `Malformed` record.

Lines end in LF alone; U+0085 and U+2028 occur raw inside items (recorded events ``20-strings``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import attrs
import msgspec

MAX_ITEM: Final = 64 * 1024 * 1024
"""A line beyond this is no item of any daemon; it would only fill the memory."""

_OVERSIZED: Final = b"\0oversized\0"
"""Begins the excerpt that stands for a line beyond the limit; NUL begins no JSON text."""

_EXCERPT: Final = 256
_ITEM_START: Final = b'{"fd-sink-item.v0":'


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of a daemon, as the sink wrote it (``fd-sink-item.v0``).

    A msgspec struct out of the garbage collector's sight: a history of many thousand containers
    that it must scan halves the throughput.
    """

    event: Any
    """The payload as decoded JSON: normally an object of one field, name to value."""
    time_stamp: float | str
    """As written; `timestamp` is the number."""
    section: tuple[str, ...] = ()
    """Path of the section, as in ``("002-PtBoreas", "delegate", "denunciation")``."""
    hostname: str = ""

    @property
    def name(self) -> str:
        """Name with its version, as in ``double_baking_denounced.v0``.

        Empty for the few events that have none, whose payload is not an object of one field
        (recorded events ``30-node``: ``"event":"started"``).
        """
        event = self.event
        if type(event) is dict and len(event) == 1:
            for name in event:
                return str(name)
        return ""

    @property
    def value(self) -> Any:
        """The event's own data; for an event without a name, the whole payload."""
        event = self.event
        if type(event) is dict and len(event) == 1:
            for value in event.values():
                return value
        return event

    @property
    def timestamp(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        return float(self.time_stamp)

    def full(self) -> dict[str, Any]:
        """The whole item as decoded JSON, in the sink's order of fields."""
        return {
            "fd-sink-item.v0": {
                "hostname": self.hostname,
                "time_stamp": self.time_stamp,
                "section": list(self.section),
                "event": self.event,
            }
        }


@attrs.frozen
class Malformed:
    """A piece of the stream that is no event."""

    raw: bytes
    """The bytes, without the line end; an excerpt if the line was beyond the limit."""
    reason: str

    @property
    def name(self) -> str:
        """Empty: it names no event."""
        return ""


Record = Event | Malformed


class _Item(msgspec.Struct, gc=False, rename={"item": "fd-sink-item.v0"}):
    item: Event


_decoder: Final = msgspec.json.Decoder(_Item)
_json: Final = json.JSONDecoder()


@attrs.define(eq=False)
class Framer:
    """Cuts a stream into blocks of whole lines, each line at most ``max_line`` bytes long."""

    max_line: int = MAX_ITEM
    _parts: list[bytes] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)
    _skipped: int = attrs.field(default=0, init=False)

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return the lines that they complete, each with its LF, or nothing."""
        end = data.rfind(b"\n") + 1
        if end == 0:
            self._keep(data)
            return b""
        if self._parts:
            self._parts.append(data[:end])
            block = b"".join(self._parts)
            self._parts.clear()
        else:
            block = data[:end] if end < len(data) else data
        self._size = 0
        if self._skipped:
            block = self._marked(block)
        if end < len(data):
            self._keep(data[end:])
        return block

    def finish(self) -> bytes:
        """Return the line that the end of the stream left without its LF, or nothing."""
        block = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return self._marked(block) if self._skipped else block

    @property
    def pending(self) -> bytes:
        """The beginning of a line that is not complete yet."""
        return b"".join(self._parts)

    def _keep(self, data: bytes) -> None:
        if self._skipped:
            self._skipped += len(data)
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self.max_line:
            excerpt = b"".join(self._parts)[:_EXCERPT]
            self._skipped = self._size
            self._parts = [excerpt]

    def _marked(self, block: bytes) -> bytes:
        # The excerpt was put in front of the end of the same line.
        excerpt, rest = block[:_EXCERPT], block[_EXCERPT:]
        end, line_end, lines = rest.partition(b"\n")
        size = self._skipped + len(end)
        self._skipped = 0
        return _OVERSIZED + str(size).encode() + b"\0" + excerpt + line_end + lines


def decode_block(block: bytes) -> list[Record]:
    """Decode whole lines into records, in order. Blank lines give none."""
    try:
        return [line.item for line in _decoder.decode_lines(block)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        records: list[Record] = []
        for line in block.split(b"\n"):
            _decode_line(line, records.append)
        return records


def decode_lines(block: bytes) -> list[str]:
    """Decode lines of output; a line without its LF can only be the last one."""
    lines = block.decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    mark = _OVERSIZED.decode()
    return [_cut_line(line) if line.startswith(mark) else line for line in lines]


def _cut_line(line: str) -> str:
    size, _, excerpt = line[len(_OVERSIZED) :].partition("\0")
    return f"{excerpt}... (a line of {size} bytes)"


def _decode_line(line: bytes, found: Callable[[Record], None]) -> None:
    if not line.strip(b" \t\r"):
        return
    if line.startswith(_OVERSIZED):
        size, _, excerpt = line[len(_OVERSIZED) :].partition(b"\0")
        found(Malformed(excerpt, f"a line of {size.decode()} bytes, which is more than any item has"))
        return
    first = _decode_piece(line)
    starts = [] if isinstance(first, Event) else _item_starts(line)
    if not starts:
        found(first)
        return
    # An item may be glued to the tail of one whose writing was aborted (recorded events
    # 45-reader-died-inside-large-event). Inside a JSON string the quotes of the mark would be
    # escaped, so each mark begins an item.
    if line[: starts[0]].strip():
        found(_decode_piece(line[: starts[0]]))
    for start, end in zip(starts, [*starts[1:], len(line)], strict=True):
        _decode_item(line[start:end], found)


def _decode_item(piece: bytes, found: Callable[[Record], None]) -> None:
    record = _decode_piece(piece)
    end = 0 if isinstance(record, Event) else _object_end(piece)
    if end and isinstance(item := _decode_piece(piece[:end]), Event):
        found(item)
        found(Malformed(piece[end:], "not an item, after one on the same line"))
    else:
        found(record)


def _object_end(piece: bytes) -> int:
    """Where the JSON object that a piece begins with ends; 0 if it does not."""
    try:
        # Latin-1 keeps positions; whether the object is UTF-8 is msgspec's to say.
        return _json.raw_decode(piece.decode("latin-1"))[1]
    except (ValueError, RecursionError):
        return 0


def _item_starts(line: bytes) -> list[int]:
    starts = []
    position = line.find(_ITEM_START)
    while position >= 0:
        starts.append(position)
        position = line.find(_ITEM_START, position + 1)
    return starts


def _decode_piece(piece: bytes) -> Record:
    try:
        return _decoder.decode(piece).item
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return Malformed(piece.rstrip(b"\r"), str(error) or type(error).__name__)
