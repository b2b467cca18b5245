"""Bytes into records."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuser import Event, Malformed
from accuser._stream.decoding import decode_lines
from accuser._stream.framing import Framer
from tests.support.decoding import GOOD, names, numbered, records

RECORDED = Path(__file__).parent.parent / "data" / "recorded-events"


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
        (GOOD.replace(b"1.5", b'"soon"'), ["malformed"]),
        (GOOD.replace(b"1.5", b'"1e999"'), ["malformed"]),
        (GOOD.replace(b"1.5", b"1e999"), ["malformed"]),
        (GOOD.replace(b"1.5", b"true"), ["malformed"]),
        (GOOD.replace(b'["a","b"]', b"[]"), ["x.v0"]),
        (GOOD.replace(b'["a","b"]', b'"a"'), ["malformed"]),
        (GOOD.replace(b'["a","b"]', b"null"), ["malformed"]),
        (GOOD.replace(b'{"x.v0":1}', b"null"), [""]),
        (GOOD.replace(b'{"x.v0":1}', b"{}"), [""]),
        (GOOD.replace(b":1}", b':{"invalid_utf8_string":[255,32]}}'), ["x.v0"]),
        (GOOD.replace(b":1}", b":inf}"), ["malformed"]),
        (GOOD.replace(b":1}", b":-inf}"), ["malformed"]),
        (GOOD.replace(b":1}", b":NaN}"), ["malformed"]),
        (GOOD.replace(b":1}", b":1,%s:2}" % b'"x.v0"'), ["x.v0"]),
        (GOOD.replace(b":1}", b":%s}" % (b"9" * 5000)), ["malformed"]),
        (GOOD.replace(b":1}", b":%s%s}" % (b"[" * 5000, b"]" * 5000)), ["malformed"]),
        (GOOD + b"\0", ["x.v0", "malformed"]),
        (b"\0\0" + GOOD, ["malformed", "x.v0"]),
        (b"\x0b" + GOOD, ["malformed", "x.v0"]),
        (b"\xef\xbb\xbf" + GOOD, ["malformed", "x.v0"]),
        (b"\0oversized\0\xff", ["malformed"]),
        (b"\0oversized\0many\0", ["malformed"]),
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


def test_an_item_over_several_lines_is_none_however_it_is_cut() -> None:
    first, second = GOOD[:19] + b"\n", GOOD[19:] + b"\n"
    assert names(records(first + second)) == names(records(first, second)) == ["malformed", "malformed"]


def test_numbers_keep_their_value_or_become_infinite() -> None:
    numbers = b"[123456789012345678901234567890,1.797693134862316e+308,-1e999,0.1]"
    (event,) = records(GOOD.replace(b":1}", b":%s}" % numbers))
    assert isinstance(event, Event)
    assert event.value == [123456789012345678901234567890, math.inf, -math.inf, 0.1]
    # Then, too, what is no JSON is none.
    assert names(records(GOOD.replace(b":1}", b":[1e999,NaN]}"))) == ["malformed"]


@pytest.mark.parametrize("stamp", [b'"1.5"', b"1.5", b'"-2"', b'"1e9"', b"1700000000.123456", b"0"])
def test_every_time_stamp_that_is_let_through_is_a_number(stamp: bytes) -> None:
    (event,) = records(GOOD.replace(b"1.5", stamp))
    assert isinstance(event, Event)
    assert event.timestamp == float(stamp.strip(b'"'))


@pytest.mark.parametrize("stamp", ["", " 1", "1\n", "1_0", "nan", "inf", "٣", "0x1", "1e999", "."])
def test_a_time_stamp_in_other_words_is_malformed(stamp: str) -> None:
    text = stamp.replace("\n", "\\n").encode()
    (piece,) = records(GOOD.replace(b"1.5", b'"%s"' % text))
    assert isinstance(piece, Malformed)
    assert piece.reason == "not an item: its time_stamp is no number"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (GOOD[:60], "cut off: it ends inside of a JSON text"),
        (GOOD[:33] + "é".encode()[:1], "cut off: it ends inside of a JSON text"),
        (GOOD.replace(b'"h"', b'"\xff"'), 'not UTF-8: byte 0xff at 32, near \'tname":"\\\\xff","time\''),
        (GOOD.replace(b":1}", b":inf}"), "not JSON: invalid character at 88, near '{\"x.v0\":inf}}}'"),
        (b"2026-11-22T22:03:07.158-00:00 text", "not JSON: trailing characters at 5, near '2026-11-22T22'"),
        (b"\0\0", "not JSON: invalid character at 0"),
        (b"[1]", "JSON, but not an item: Expected `object`, got `array`"),
        (b'{"a":1}', "JSON, but not an item: Object missing required field `fd-sink-item.v0`"),
        (
            GOOD.replace(b'"time_stamp":1.5,', b""),
            "JSON, but not an item: Object missing required field `time_stamp` - at `$.fd-sink-item.v0`",
        ),
        (
            GOOD.replace(b'["a","b"]', b'"a"'),
            "JSON, but not an item: Expected `array`, got `str` - at `$.fd-sink-item.v0.section`",
        ),
        (b"[" * 60_000, "nested too deeply"),
        (b"[" * 70_000, "more than 65536 quotes, brackets, commas, colons and backslashes"),
    ],
)
def test_the_reason_says_what_is_wrong(line: bytes, reason: str) -> None:
    (piece,) = records(line + b"\n")
    assert isinstance(piece, Malformed)
    assert (piece.raw, piece.reason) == (line, reason)


GARBAGE = st.one_of(
    # Nothing here completes a head: neither a brace, nor a tail without its `nan`.
    st.binary(max_size=20).filter(lambda raw: b"{" not in raw and b"}" not in raw),
    st.integers(1, len(GOOD) - 1).map(lambda size: GOOD[:size]),
    st.integers(20, GOOD.index(b":1}")).map(lambda size: GOOD.replace(b":1}", b":nan}")[size:]),
)


@given(st.lists(st.one_of(st.integers(0, 99), GARBAGE, st.sampled_from([b"\n", b"\r\n"])), max_size=12))
def test_every_byte_is_in_a_record_and_every_item_arrives(parts: list[int | bytes]) -> None:
    # A line end after each item: what follows an item on its line is another test's.
    stream = b"".join(numbered(part) + b"\n" if isinstance(part, int) else part for part in parts)
    found = records(stream)
    expected = [part for part in parts if isinstance(part, int)]
    assert [r.value for r in found if isinstance(r, Event)] == expected
    written = b"".join(numbered(r.value) if isinstance(r, Event) else r.raw for r in found)
    blanks = b" \t\r\n"
    assert written.translate(None, blanks) == stream.translate(None, blanks)
    assert all(r.reason for r in found if isinstance(r, Malformed))
