"""A recording keeps the bytes of each item as they came."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from accuser import Event, Recording, replay
from accuser._engine.readiness import ReadyEvent
from accuser._engine.transcript import Handlers, Transcript
from accuser._recording.entries import Entry, Happened, Piece
from accuser._recording.reader import read_entries
from accuser._recording.writer import Recorder
from accuser._stream.decoding import decode_block
from accuser._stream.framing import Framer
from accuser._stream.netstring import NetstringFramer

GOOD = b'{"fd-sink-item.v0":{"hostname":"h","time_stamp":1.5,"section":["a","b"],"event":{"x.v0":1}}}'
ITEMS = (
    GOOD,
    GOOD.replace(b":1}", b":[1e400,-1e999,1.797693134862316e+308]}"),
    GOOD.replace(b":1}", b":[123456789012345678901234567890,-0,1.0,1E2,0.10]}"),
    b'{"fd-sink-item.v0":{"event":{"x.v0":{"b":1,"a":2,"b":3}},"new":[{}],"time_stamp":"1.5"},"more":null}',
    GOOD.replace(b'"h"', '"\\u00e9é\u2028\x7f\\/"'.encode()),
    GOOD.replace(b":1}", b' : {\t"a" : [ 1 , 2 ]\r } }'),
    GOOD.replace(b'{"x.v0":1}', b'"started"'),
)


def recorded(tmp_path: Path, *blocks: bytes) -> list[Entry]:
    """What a recording has of these blocks, behind the start of the daemon."""
    recording = Recording(tmp_path / "run.jsonl")
    recorder = Recorder("d", 1, recording)
    transcript = Transcript("d", "", ReadyEvent("never"), Handlers(), recorder=recorder)
    with recording.in_use():
        recorder.started("accuser", None, ["run"], 7)
        for block in blocks:
            transcript.take_events(block)
    return list(read_entries(recording.path))[2:]


def kept(entries: list[Entry]) -> list[bytes]:
    return [entry.item for entry in entries if isinstance(entry, Happened)]


@pytest.mark.parametrize("kind", [Framer, NetstringFramer])
def test_items_are_kept_as_they_came(tmp_path: Path, kind: type[Framer] | type[NetstringFramer]) -> None:
    written = [b"%d:%s," % (len(item), item) if kind is NetstringFramer else item + b"\n" for item in ITEMS]
    framer = kind()
    entries = recorded(tmp_path, framer.feed(b"".join(written)), framer.finish())
    assert kept(entries) == list(ITEMS)
    assert len(entries) == len(ITEMS)
    for entry, item in zip(entries, ITEMS, strict=True):
        assert isinstance(entry, Happened)
        assert [entry.event] == decode_block(item)


def test_what_is_glued_torn_or_too_long_is_kept_too(tmp_path: Path) -> None:
    large = ITEMS[1]
    framer = Framer(1_000)
    stream = (
        GOOD[:40] + large + GOOD + b"tail\n\n \r\n" + b"  " + GOOD + b" \r\n" + large + b"x\n" + b"y" * 2_000
    )
    block = framer.feed(stream) + framer.finish()
    entries = recorded(tmp_path, block)
    assert kept(entries) == [large, GOOD, GOOD, large]
    pieces = [entry.data for entry in entries if isinstance(entry, Piece)]
    assert pieces == [GOOD[:40], b"tail", b"x", b"y" * 256]
    # Played back, it says the same.
    player = replay(tmp_path / "run.jsonl")
    for entry in player._entries:
        player._take(entry)
    played = [record for _, record in player._session.events.read(0)]
    assert [record for record in played if isinstance(record, Event)] == [
        record for record in decode_block(block) if isinstance(record, Event)
    ]


def test_names_can_be_imported_in_any_order() -> None:
    code = "from accuser import Event, Malformed; import accuser._stream.decoding, accuser._recording.reader"
    subprocess.run([sys.executable, "-c", code], check=True)
