"""Bytes of an event pipe into records. Pure: no I/O, no trio.

Invariants:
1. A record never depends on how the bytes were cut: framers give whole lines, `decode_steps` looks
   at each line alone.
2. `decode_block` is a function: the history keeps the bytes and decodes them again when asked. The
   bytes of a step decode to the records of that step.
3. No bytes vanish: what is no event is a `Malformed` record. (JSON's own rules hold within an item:
   of a key that is there twice the last counts, and keys that the sink does not have are ignored.)
4. A framer holds no more than ``max_line`` bytes, and looks at each byte a bounded number of times.
5. A step looks at each of its bytes a bounded number of times, and gives no more than some hundred
   records unless all its lines are items. So whoever takes a step at a time is never held up for long.
   Between two looks at a long line there are steps without bytes and records.

Lines end in LF alone; U+0085 and U+2028 occur raw inside items (recorded events ``20-strings``).

What a line with several items or pieces of them gives is every piece that is an item by itself. Where
several processes write to one pipe, lines beyond 4096 bytes (``PIPE_BUF``) get mixed, and a mixture
may by chance be an item that nobody wrote (recorded events ``52-four-writers``); only a length tells:
``format=netstring``, see `NetstringFramer`.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from io import BytesIO
from typing import Final

import msgspec

from .event import Event, Item, Malformed, Record, decode_item
from .framing import _OVERSIZED, STRAY
from .nesting import MAX_DEPTH, MAX_MARKS, too_costly, too_deep

ITEM_START: Final = b'{"fd-sink-item.v0":'

STEP_LINES: Final = 128
"""Lines that are decoded together once one of a block is no item: a malformed one takes some 10 us here,
and about as much again to be told of."""

STEP_BYTES: Final = 16384
"""Bytes of lines that are told together where a line costs little: some thousands of the shortest ones."""

STEP_TEXTS: Final = 1024
"""Lines of output that are told together where each costs little: a full read of lines of usual length."""

LONG: Final = 512 * 1024
"""Bytes of a line from which on each look at it is a step of its own."""

_BREATH: Final[tuple[bytes, list[Record]]] = (b"", [])
_STEP_BYTES: Final = 65536
_OVERSIZED_LINE: Final = re.compile(re.escape(_OVERSIZED) + rb"([0-9]{1,20})\0(.*)", re.DOTALL)
_MALFORMED_JSON: Final = re.compile(r"JSON is malformed: (.*) \(byte ([0-9]+)\)")


_BLANK: Final = b" \t\r"
_NETSTRING: Final = re.compile(rb"[0-9]+:" + re.escape(ITEM_START))
_CUT_NETSTRING: Final = "a netstring that is cut off, or of another length than it says"
_NO_NETSTRING: Final = "not a netstring of an item"
_TOO_DEEP: Final = "nested too deeply"
_TOO_COSTLY: Final = f"more than {MAX_MARKS} quotes, brackets, commas, colons and backslashes"
_CHECKED_FROM: Final = 2 * MAX_DEPTH
"""Bytes from which on a line can have too many levels."""

_json: Final = json.JSONDecoder()


class Mixed(list[Record]):
    """Records some of which may be `Malformed`; any other list of a step has events alone."""


def decode_block(block: bytes) -> list[Record]:
    """Decode whole lines into records, in order. Blank lines give none."""
    steps = list(decode_steps(block))
    return steps[0][1] if len(steps) == 1 else Mixed(record for _, records in steps for record in records)


def decode_steps(block: bytes) -> Iterable[tuple[bytes, list[Record]]]:
    """Decode whole lines a step at a time: the bytes of each step, and their records.

    Nearly always one step has it all, and the answer is a tuple of that step. The bytes of steps are
    those of the block, with line ends in the place of others, where a line with several pieces was
    parted, and without blank lines. Records of which some may be malformed are `Mixed`.
    """
    if block.find(b"\n") == len(block) - 1 < _CHECKED_FROM:
        # A single event, as nearly always unless the daemon writes very fast.
        try:
            return ((block, [decode_item(block).item]),)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # told of below
    # They keep their ends, which JSON does not mind: so they are found six times as fast as by a split.
    items = _items(BytesIO(block).readlines(), len(block))
    return ((block, items),) if items is not None else _in_parts(block)


def _items(lines: Sequence[bytes], size: int = _STEP_BYTES) -> list[Record] | None:
    """Give the events of lines each of which is an item; None if one is not, or is long."""
    if size > LONG:
        return None
    try:
        # Nearly all lines are so short that nothing of them need be looked at.
        longest = max(map(len, lines)) if size > _CHECKED_FROM else size
        if longest > _CHECKED_FROM and any(map(too_deep, lines)):
            return None
        if longest > MAX_MARKS and any(map(too_costly, lines)):
            return None
        return [item.item for item in map(decode_item, lines)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _in_parts(block: bytes) -> Iterator[tuple[bytes, list[Record]]]:
    lines = block.split(b"\n")
    if not lines[-1]:
        del lines[-1]
    for start in range(0, len(lines), STEP_LINES):
        part = lines[start : start + STEP_LINES]
        items = _items(part, sum(map(len, part))) if len(lines) > STEP_LINES else None
        if items is not None:
            yield b"\n".join(part), items
        else:
            yield from _one_by_one(part)


def _one_by_one(lines: Sequence[bytes]) -> Iterator[tuple[bytes, list[Record]]]:
    pieces: list[bytes] = []
    records = Mixed()
    size = 0
    for line in lines:
        for piece, found in _decode_line(line):
            if not piece:
                if pieces:
                    yield b"\n".join(pieces), records
                    pieces, records, size = [], Mixed(), 0
                yield _BREATH
                continue
            pieces.append(piece)
            records += found
            size += len(piece)
            if size >= _STEP_BYTES or len(records) >= STEP_LINES:
                yield b"\n".join(pieces), records
                pieces, records, size = [], Mixed(), 0
    if pieces:
        yield b"\n".join(pieces), records


def with_bytes(step: bytes, records: Sequence[Record]) -> Iterator[tuple[bytes, Record]]:
    """Each record of a step with its bytes: of an event, those of its item and no others."""
    lines = [line for line in step.split(b"\n") if line.strip(_BLANK)]
    if len(lines) == len(records):  # so that each line has one
        yield from zip((line.strip(_BLANK) for line in lines), records, strict=True)
        return
    for line in lines:
        for piece, found in _decode_line(line):
            for record in found:
                yield piece[: _object_end(piece) if len(found) > 1 else None].strip(_BLANK), record


def decode_lines(block: bytes) -> list[str]:
    """Decode lines of output; a line without its LF can only be the last one."""
    text = block.decode("utf-8", "replace")
    return _whole_lines(text, text.split("\n"))


def text_steps(block: bytes) -> Iterable[tuple[bytes, list[str]]]:
    """Decode lines of output a step at a time: the bytes of each step, and its lines.

    Nearly always one step has it all, and the answer is a tuple of that step; only of short lines
    there may be too many for one.
    """
    text = block.decode("utf-8", "replace")
    lines = text.split("\n", STEP_TEXTS)
    if len(lines) > STEP_TEXTS and lines[-1]:
        return ((part, decode_lines(part)) for part in byte_steps(block))
    return ((block, _whole_lines(text, lines)),)


def _whole_lines(text: str, lines: list[str]) -> list[str]:
    if not lines[-1]:
        lines.pop()
    if "\0" not in text:
        return lines
    mark = _OVERSIZED.decode()
    return [_cut_line(line) if line.startswith(mark) else line for line in lines]


def byte_steps(block: bytes, size: int = STEP_BYTES) -> Iterator[bytes]:
    """Cut lines into blocks of at most ``size`` bytes, or of one line."""
    start = 0
    while len(block) - start > size:
        end = block.rfind(b"\n", start, start + size) + 1 or block.find(b"\n", start + size) + 1
        if not end:
            break
        yield block[start:end]
        start = end
    if start < len(block):
        yield block[start:] if start else block


def line_steps(block: bytes, count: int = STEP_LINES) -> Iterator[bytes]:
    """Cut lines of output into blocks of at most ``count``."""
    start = end = 0
    while start < len(block):
        for _ in range(count):
            end = block.find(b"\n", end) + 1
            if not end:
                yield block[start:] if start else block
                return
        yield block[start:end]
        start = end


def _cut_line(line: str) -> str:
    size, _, excerpt = line[len(_OVERSIZED) :].partition("\0")
    return f"{excerpt}... (a line of {size} bytes)"


def _decode_line(line: bytes) -> Iterator[tuple[bytes, list[Record]]]:
    """The pieces of a line, each with its records, which it gives as a line of its own, too.

    Between the looks at one that is long are pieces of no bytes.
    """
    if not line.strip(_BLANK):
        return
    if line.startswith(b"\0"):
        if match := _OVERSIZED_LINE.fullmatch(line):
            size = match[1].decode()
            yield line, [Malformed(match[2], f"a line of {size} bytes, which is more than any item has")]
            return
        if line.startswith(STRAY):
            raw = line[len(STRAY) :]
            yield line, [Malformed(raw, _CUT_NETSTRING if _NETSTRING.match(raw) else _NO_NETSTRING)]
            return
    start = line.find(ITEM_START)
    if len(line) > LONG:
        yield _BREATH
    # The reason why a whole line is no item is told only where it has no pieces.
    if start < 0:
        yield line, (yield from _looks_at(line, parted=False))
        return
    if (event := _event_of(line)) is not None:
        yield line, [event]
        return
    # An item may be glued to the tail of one whose writing was aborted (recorded events
    # 45-reader-died-inside-large-event). Inside a JSON string the quotes of the mark would be
    # escaped, so each mark begins an item.
    if (before := line[:start]).strip(_BLANK):
        yield before, (yield from _looks_at(before, parted=False))
    while start >= 0:
        following = line.find(ITEM_START, start + 1)
        piece = line[start:] if following < 0 else line[start:following]
        if len(piece) > LONG:
            yield _BREATH
        yield piece, (yield from _looks_at(piece, parted=True))
        start = following


def _looks_at(piece: bytes, *, parted: bool) -> Generator[tuple[bytes, list[Record]], None, list[Record]]:
    """Return the records of a piece; if it is long, give something between the looks at it.

    Args:
        parted: whether something else may follow an item in it.
    """
    event = _event_of(piece)
    if event is not None:
        return [event]
    if len(piece) > LONG:
        yield _BREATH
    end = _object_end(piece) if parted else 0
    if end and isinstance(item := _event_of(piece[:end]), Event):
        return [item, Malformed(piece[end:], "not an item, after one on the same line")]
    if len(piece) > LONG:
        yield _BREATH
    return [Malformed(piece.rstrip(b"\r"), _reason(piece))]


def _object_end(piece: bytes) -> int:
    """Where the item that a piece begins with ends; 0 if it begins with none, or has nothing else."""
    if too_costly(piece):
        piece = piece[:_STEP_BYTES]  # whose end is no end of an object
    try:
        decode_item(piece)
    except (msgspec.MsgspecError, ValueError) as error:
        match = _MALFORMED_JSON.fullmatch(str(error))
        if match and match[1] == "trailing characters":
            return len(piece[: int(match[2]) - 1].rstrip())  # it counts from 1 here
        if "out of range" in str(error):
            with contextlib.suppress(ValueError, RecursionError):
                # Latin-1 keeps positions; whether the object is UTF-8 is msgspec's to say.
                return _json.raw_decode(piece.decode("latin-1"))[1]
    except RecursionError:
        pass
    return 0


def is_item(piece: bytes) -> bool:
    """Whether the bytes are exactly one item."""
    return _event_of(piece) is not None


def _event_of(piece: bytes) -> Event | None:
    if too_costly(piece) or too_deep(piece):
        return None
    try:
        return decode_item(piece).item
    except RecursionError:
        return _on_a_fresh_stack(piece)
    except (msgspec.MsgspecError, ValueError) as error:
        return _decode_large_numbers(piece) if "out of range" in str(error) else None


def _on_a_fresh_stack(piece: bytes) -> Event | None:
    """Decode what the caller's stack has no room for: up to Python 3.11 its depth counts, too."""
    found: list[Event] = []

    def decode() -> None:
        try:
            found.append(decode_item(piece).item)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return

    thread = threading.Thread(target=decode, name="accuser decoder")
    thread.start()
    thread.join()
    return found[0] if found else None


def _decode_large_numbers(piece: bytes) -> Event | None:
    """Decode an item with numbers beyond a float, which become infinite.

    The sink writes the largest float so, rounded up to 16 digits (recorded events ``23-numbers``).
    """
    try:
        # Strictly UTF-8, as elsewhere: `json` would let halves of surrogate pairs pass.
        found = json.loads(piece.decode(), parse_constant=_refuse)
        json.dumps(found, ensure_ascii=False).encode()
        item = msgspec.convert(found, Item).item
        return item if math.isfinite(item.timestamp) else None
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None


def _reason(piece: bytes) -> str:
    """Say in words why the bytes are no item: no UTF-8, no JSON, or other JSON."""
    if too_costly(piece):
        return _TOO_COSTLY
    if too_deep(piece):
        return _TOO_DEEP
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
        return _TOO_DEEP
    try:
        decode_item(piece)
    except (msgspec.MsgspecError, ValueError) as error:
        if "matching regex" not in str(error):
            return f"JSON, but not an item: {error}"
    return "not an item: its time_stamp is no number"


def _near(piece: bytes, position: int) -> str:
    around = piece[max(0, position - 8) : position + 8]
    return f", near {around.decode('utf-8', 'backslashreplace')!r}" if len(piece) > 16 else ""


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
