"""Bytes of an event pipe into records. Pure: no I/O, no trio.

Invariants:
1. A record never depends on how the bytes were cut: framers give whole lines, `decode_block` looks
   at each line alone.
2. `decode_block` is a function: the history keeps the bytes and decodes them again when asked.
3. No bytes vanish: what is no event is a `Malformed` record. (JSON's own rules hold within an item:
   of a key that is there twice the last counts, and keys that the sink does not have are ignored.)
4. A framer holds no more than ``max_line`` bytes, and looks at each byte a bounded number of times.

Lines end in LF alone; U+0085 and U+2028 occur raw inside items (recorded events ``20-strings``).

What a line with several items or pieces of them gives is every piece that is an item by itself. Where
several processes write to one pipe, lines beyond 4096 bytes (``PIPE_BUF``) get mixed, and a mixture
may by chance be an item that nobody wrote (recorded events ``52-four-writers``); only a length tells:
``format=netstring``, see `NetstringFramer`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Final

import msgspec

from .event import Event, Malformed, Record
from .framing import _OVERSIZED, STRAY

ITEM_START: Final = b'{"fd-sink-item.v0":'

_OVERSIZED_LINE: Final = re.compile(re.escape(_OVERSIZED) + rb"([0-9]{1,20})\0(.*)", re.DOTALL)
_MALFORMED_JSON: Final = re.compile(r"JSON is malformed: (.*) \(byte ([0-9]+)\)")


class _Item(msgspec.Struct, gc=False, rename={"item": "fd-sink-item.v0"}):
    item: Event


_BLANK: Final = b" \t\r"
_NETSTRING: Final = re.compile(rb"[0-9]+:" + re.escape(ITEM_START))
_CUT_NETSTRING: Final = "a netstring that is cut off, or of another length than it says"
_NO_NETSTRING: Final = "not a netstring of an item"

_decoder: Final = msgspec.json.Decoder(_Item)
_json: Final = json.JSONDecoder()


def decode_block(block: bytes) -> list[Record]:
    """Decode whole lines into records, in order. Blank lines give none."""
    try:
        items: list[Record] = [line.item for line in _decoder.decode_lines(block)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    else:
        # msgspec lets an item go on over several lines, which cutting between them would undo.
        if len(items) == block.count(b"\n") + (block[-1:] not in (b"\n", b"")):
            return items
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
    if not line.strip(_BLANK):
        return
    if line.startswith(b"\0"):
        if match := _OVERSIZED_LINE.fullmatch(line):
            size = match[1].decode()
            found(Malformed(match[2], f"a line of {size} bytes, which is more than any item has"))
            return
        if line.startswith(STRAY):
            raw = line[len(STRAY) :]
            found(Malformed(raw, _CUT_NETSTRING if _NETSTRING.match(raw) else _NO_NETSTRING))
            return
    first = _decode_piece(line)
    starts = [] if isinstance(first, Event) else _item_starts(line)
    if not starts:
        found(first)
        return
    # An item may be glued to the tail of one whose writing was aborted (recorded events
    # 45-reader-died-inside-large-event). Inside a JSON string the quotes of the mark would be
    # escaped, so each mark begins an item.
    if line[: starts[0]].strip(_BLANK):
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
    position = line.find(ITEM_START)
    while position >= 0:
        starts.append(position)
        position = line.find(ITEM_START, position + 1)
    return starts


def is_item(piece: bytes) -> bool:
    """Whether the bytes are exactly one item."""
    return isinstance(_decode_piece(piece), Event)


def _decode_piece(piece: bytes) -> Record:
    try:
        return _decoder.decode(piece).item
    except RecursionError:
        return Malformed(piece.rstrip(b"\r"), "nested too deeply")
    except (msgspec.MsgspecError, ValueError) as error:
        if "out of range" in str(error) and (item := _decode_large_numbers(piece)):
            return item
        return Malformed(piece.rstrip(b"\r"), _reason(piece, error))


def _decode_large_numbers(piece: bytes) -> Event | None:
    """Decode an item with numbers beyond a float, which become infinite.

    The sink writes the largest float so, rounded up to 16 digits (recorded events ``23-numbers``).
    """
    try:
        item = msgspec.convert(json.loads(piece, parse_constant=_refuse), _Item).item
        return item if math.isfinite(item.timestamp) else None
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None


def _reason(piece: bytes, error: Exception) -> str:
    """Say in words why the bytes are no item: no UTF-8, no JSON, or other JSON."""
    try:
        piece.decode()
    except UnicodeDecodeError as bad:
        # At the very end it is a character that was cut, like the rest.
        if bad.end < len(piece) or not bad.reason.startswith("unexpected end"):
            return f"not UTF-8: byte 0x{piece[bad.start]:02x} at {bad.start}{_near(piece, bad.start)}"
    try:
        msgspec.json.decode(piece)
    except msgspec.ValidationError as other:
        return f"not an item: {other}"
    except (msgspec.DecodeError, ValueError) as broken:
        if match := _MALFORMED_JSON.fullmatch(str(broken)):
            return f"not JSON: {match[1]} at {match[2]}{_near(piece, int(match[2]))}"
        cut = str(broken) == "Input data was truncated"
        return "cut off: it ends inside of a JSON text" if cut else f"not JSON: {broken}"
    except RecursionError:
        return "nested too deeply"
    if "matching regex" in str(error):
        return "not an item: its time_stamp is no number"
    return f"JSON, but not an item: {error}"


def _near(piece: bytes, position: int) -> str:
    around = piece[max(0, position - 8) : position + 8]
    return f", near {around.decode('utf-8', 'backslashreplace')!r}" if len(piece) > 16 else ""


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
