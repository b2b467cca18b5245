"""The recorded streams."""

from __future__ import annotations

from pathlib import Path

from accuser import Event, Malformed
from accuser._stream.decoding import decode_block
from accuser._stream.event import Record
from accuser._stream.framing import Framer
from accuser._stream.netstring import NetstringFramer

RECORDED = Path(__file__).parent.parent / "data" / "recorded-events"

NETSTRINGS = {
    "03-netstring-debug",
    "21-strings-netstring",
    "31-node-netstring",
    "53-two-writers-netstring-5000-bytes-slow-reader",
    "64-big-event-66-kilobytes-netstring",
    "96-accuser-netstring",
}


def stream(name: str) -> bytes:
    return (RECORDED / f"{name}.events").read_bytes()


def decoded(name: str, data: bytes | None = None, step: int = 65536) -> list[Record]:
    """The records of a stream that is read ``step`` bytes at a time."""
    data = stream(name) if data is None else data
    framer = NetstringFramer() if name in NETSTRINGS else Framer()
    blocks = [framer.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return [record for block in [*blocks, framer.finish()] for record in decode_block(block)]


def events(name: str) -> list[Event]:
    return [record for record in decoded(name) if isinstance(record, Event)]


def malformed(name: str) -> list[Malformed]:
    return [record for record in decoded(name) if isinstance(record, Malformed)]


def words(found: list[Record]) -> list[str]:
    return ["!" if isinstance(r, Malformed) else r.name.removesuffix(".v0") or "-" for r in found]
