"""Bytes of the pipe into records."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuser import Event, Malformed
from accuser._decode import Framer, Record, decode_block, decode_lines

RECORDED = Path(__file__).parent / "data" / "recorded-events"
GOOD = b'{"fd-sink-item.v0":{"hostname":"h","time_stamp":1.5,"section":["a","b"],"event":{"x.v0":1}}}'


def records(*pieces: bytes, max_line: int = 10_000_000) -> list[Record]:
    """Everything that a stream gives which arrives in these pieces."""
    framer = Framer(max_line)
    blocks = [framer.feed(piece) for piece in pieces]
    return [record for block in [*blocks, framer.finish()] for record in decode_block(block)]


def names(found: list[Record]) -> list[str]:
    return [record.name if isinstance(record, Event) else "malformed" for record in found]


def test_an_item() -> None:
    (event,) = records(GOOD + b"\n")
    assert isinstance(event, Event)
    assert (event.name, event.value, event.timestamp, event.section, event.hostname) == (
        "x.v0",
        1,
        1.5,
        ("a", "b"),
        "h",
    )


def test_a_recording_of_the_real_sink_is_cut_anywhere() -> None:
    data = (RECORDED / "90-accuser-sigterm.events").read_bytes()
    whole = records(data)
    assert names(whole)[:3] == ["uri_loaded_from_env.v0", "daemon_setup.v0", "daemon_start.v0"]
    assert "malformed" not in names(whole)
    for cut in range(len(data) + 1):
        assert records(data[:cut], data[cut:]) == whole


@given(
    st.lists(st.sampled_from([GOOD, b"", b"garbage", GOOD + GOOD, GOOD[:40] + GOOD]), max_size=6), st.data()
)
def test_cutting_never_matters(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"\n".join(lines)
    whole = records(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    edges = [0, *cuts, len(stream)]
    assert records(*(stream[a:b] for a, b in itertools.pairwise(edges))) == whole


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (GOOD + b"\r", ["x.v0"]),
        (b"  " + GOOD, ["x.v0"]),
        (b"", []),
        (b" \t\r", []),
        (b"null", ["malformed"]),
        (b"[1]", ["malformed"]),
        (b'{"other":1}', ["malformed"]),
        (b"\0\0", ["malformed"]),
        (b'{"fd-sink-item.v0":{"section":[],"event":{"x.v0":1}}}', ["malformed"]),
        (GOOD.replace(b":1}", b":nan}"), ["malformed"]),
        (GOOD.replace(b'"h"', b'"\xff"'), ["malformed"]),
        (GOOD.replace(b"1.5", b'"1.5"'), ["x.v0"]),
        (GOOD.replace(b'{"x.v0":1}', b'"started"'), [""]),
        (GOOD.replace(b'{"x.v0":1}', b'{"attempt":1,"of":2}'), [""]),
        (GOOD + GOOD, ["x.v0", "x.v0"]),
        (GOOD[:60] + GOOD, ["malformed", "x.v0"]),
        (GOOD[30:] + GOOD, ["malformed", "x.v0"]),
        (GOOD + b"tail", ["x.v0", "malformed"]),
        (b"head" + GOOD + b"tail", ["malformed", "x.v0", "malformed"]),
        (b"[" * 100_000, ["malformed"]),
    ],
)
def test_what_a_line_gives_and_that_its_neighbours_survive(line: bytes, expected: list[str]) -> None:
    found = names(records(GOOD + b"\n" + line + b"\n" + GOOD + b"\n"))
    assert found == ["x.v0", *expected, "x.v0"]


def test_an_event_without_a_name_shows_its_payload() -> None:
    (event,) = records(GOOD.replace(b'{"x.v0":1}', b'{"attempt":1,"of":2}'))
    assert isinstance(event, Event)
    assert event.value == {"attempt": 1, "of": 2}


def test_a_line_beyond_the_limit_is_one_record_and_no_memory() -> None:
    long = b"y" * 5_000
    found = records(GOOD + b"\n", long[:2_000], long[2_000:], b"end\n" + GOOD + b"\n", max_line=1_000)
    assert names(found) == ["x.v0", "malformed", "x.v0"]
    assert isinstance(found[1], Malformed)
    assert found[1].reason.startswith("a line of 5003 bytes")
    assert found[1].raw == b"y" * 256


def test_lines_of_output_are_cut_at_line_feeds_alone() -> None:
    assert decode_lines("a\u2028b\x85c\n\nlast".encode()) == ["a\u2028b\x85c", "", "last"]
    framer = Framer(10)
    block = framer.feed(b"z" * 300) + framer.feed(b"z\nnext\n")
    assert decode_lines(block) == [f"{'z' * 256}... (a line of 301 bytes)", "next"]
