"""What the tests of decoding share."""

from __future__ import annotations

from accuser import Event
from accuser._stream.decoding import decode_block
from accuser._stream.event import Record
from accuser._stream.framing import Framer

GOOD = b'{"fd-sink-item.v0":{"hostname":"h","time_stamp":1.5,"section":["a","b"],"event":{"x.v0":1}}}'


def records(*pieces: bytes, max_line: int = 10_000_000) -> list[Record]:
    """Everything that a stream gives which arrives in these pieces."""
    framer = Framer(max_line)
    blocks = [framer.feed(piece) for piece in pieces]
    return [record for block in [*blocks, framer.finish()] for record in decode_block(block)]


def names(found: list[Record]) -> list[str]:
    return [record.name if isinstance(record, Event) else "malformed" for record in found]


# Of any stream of items and other bytes every byte is in a record.


def numbered(number: int) -> bytes:
    return GOOD.replace(b":1}", b":%d}" % number)
