"""Recorded streams of readers that come and go, and of several writers."""

from __future__ import annotations

import itertools
import re

import pytest

from accuser import Event, Malformed
from accuser._stream.decoding import decode_block
from accuser._stream.netstring import NetstringFramer
from tests.support.recorded_events import events, malformed, stream, words

# What comes when readers and writers go.


def counters(name: str) -> list[tuple[str, int]]:
    return [(e.value["writer"], e.value["n"]) for e in events(name) if e.name == "counter.v0"]


def test_a_reader_that_takes_over_begins_inside_a_record() -> None:
    for case, rest in (("41-reader-replaced-with-unread-bytes", [3, 4, 5, 6]), ("42-reader-gap", [3, 7, 8])):
        (head,), (tail,) = malformed(f"{case}-first"), malformed(f"{case}-second")
        assert head.reason == "cut off: it ends inside of a JSON text"
        assert tail.reason.startswith("not JSON: invalid character at 0")
        (event,) = decode_block(head.raw + tail.raw)
        assert isinstance(event, Event)
        assert event.value["n"] == 2
        assert counters(f"{case}-first") == [("w", 1)]
        assert counters(f"{case}-second") == [("w", n) for n in rest]


def test_a_record_that_the_writers_end_cut() -> None:
    for name, size in (
        ("43-writer-killed-mid-event", 61440),
        ("44-writer-exits-with-event-pending", 61440),
        ("45-reader-died-inside-large-event-first", 32768),
    ):
        (piece,) = malformed(name)
        assert (len(piece.raw), piece.reason) == (size, "cut off: it ends inside of a JSON text")


def test_the_item_glued_to_the_tail_of_an_aborted_one_is_recovered() -> None:
    name = "45-reader-died-inside-large-event-second"
    (tail,) = malformed(name)
    assert len(tail.raw) == 65536
    assert stream(name)[65536:].startswith(b'{"fd-sink-item.v0":')
    assert counters(name) == [("w", n) for n in range(6, 11)]


def test_a_stalled_reader_loses_nothing() -> None:
    assert counters("49-reader-stalled-3-seconds") == [("w", n) for n in range(1, 61)]


def test_big_items_come_whole() -> None:
    for name, size in (
        ("61-big-event-4-kilobytes", 4 * 1024),
        ("62-big-event-66-kilobytes", 66 * 1000),
        ("63-big-event-300-kilobytes", 300 * 1000),
        ("64-big-event-66-kilobytes-netstring", 66 * 1000),
    ):
        assert abs(len(events(name)[1].value["bytes"]) - size) < size // 20
        bytes.fromhex(events(name)[1].value["bytes"])


# Several writers.


def genuine(event: Event, size: int) -> bool:
    """Whether all of it is one writer's: ``size`` letters of padding, all the one of its number."""
    return bool(event.value["pad"] == chr(ord("a") + event.value["n"]) * size)


def mixed(name: str, size: int) -> list[tuple[str, int]]:
    found = [event for event in events(name) if event.name == "counter.v0"]
    return [(event.value["writer"], event.value["n"]) for event in found if not genuine(event, size)]


def test_lines_up_to_4096_bytes_stay_whole() -> None:
    for name, count in (("50-four-writers-small", 40), ("54-four-writers-3500-bytes-slow-reader", 20)):
        found = counters(name)
        for writer in ("w0", "w1", "w2", "w3"):
            assert [n for w, n in found if w == writer] == list(range(1, count + 1))


@pytest.mark.parametrize(
    ("name", "size", "good", "bad"),
    [
        ("51-four-writers-5000-bytes-slow-reader", 5000, 43, [("w2", 6)]),
        ("52-four-writers-20000-bytes", 20000, 15, [("w1", 4), ("w3", 1), ("w3", 4), ("w2", 4)]),
    ],
)
def test_longer_lines_of_several_writers_get_mixed(
    name: str, size: int, good: int, bad: list[tuple[str, int]]
) -> None:
    """Whatever was not torn comes, and a few mixtures that look like items: no byte tells these."""
    whole = re.findall(rb'"pad":"([a-z])\1{%d}"}}}}\n' % (size - 1), stream(name))
    assert len(counters(name)) - len(bad) == good == len(whole)
    assert mixed(name, size) == bad


def test_what_is_mixed_in_lines_is_told_in_netstrings() -> None:
    """The same mixture with a length before each item: what is left is what was written."""
    mark = b'{"fd-sink-item.v0":'
    ends = stream("52-four-writers-20000-bytes").replace(b"}}}}\n", b"}}}},")
    data = b"".join(
        b"%d:%s%s" % (length_of(mark + rest), mark, rest) if at else rest
        for at, rest in enumerate(ends.split(mark))
    )
    framer = NetstringFramer()
    found = decode_block(framer.feed(data) + framer.finish())
    good = [r for r in found if isinstance(r, Event) and r.name == "counter.v0"]
    in_lines = [e for e in events("52-four-writers-20000-bytes") if e.name == "counter.v0"]
    assert good == [event for event in in_lines if genuine(event, 20000)]
    assert len(good) == 15
    assert {r.reason for r in found if isinstance(r, Malformed)} <= {
        "a netstring that is cut off, or of another length than it says",
        "not a netstring of an item",
    }


def length_of(item: bytes) -> int:
    """Its length before it was mixed: the padding had 20000 bytes."""
    head, pad, _ = item.partition(b'"pad":"')
    return len(head + pad) + 20000 + len(b'"}}}}') if pad else len(head.partition(b"}}}},")[0]) + 4


def test_two_writers_of_netstrings() -> None:
    name = "53-two-writers-netstring-5000-bytes-slow-reader"
    assert counters(name) == [*(("w1", n) for n in range(1, 11)), *(("w0", n) for n in range(1, 11))]
    assert all(genuine(event, 5000) for event in events(name) if event.name == "counter.v0")


def test_two_sinks_of_both_formats_read_as_netstrings() -> None:
    framer = NetstringFramer()
    found = decode_block(framer.feed(stream("70-two-sinks-same-fifo")) + framer.finish())
    pairs = [(word, len(list(group))) for word, group in itertools.groupby(words(found))]
    assert pairs == [
        ("uri_loaded_from_env", 1),
        ("!", 3),
        ("accuser_processed_block", 1),
        ("!", 1),
        ("double_attestation_detected", 1),
        ("!", 1),
    ]
