"""What decoding costs, and netstrings."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuser import Event, Malformed
from accuser._stream.decoding import decode_block
from accuser._stream.event import Record
from accuser._stream.framing import MAX_ITEM, Framer
from accuser._stream.netstring import NetstringFramer
from tests.support.decoding import GOOD, names, numbered, records

# Work and memory.


class Counted(bytearray):
    """A buffer that counts the bytes that are copied into and out of it."""

    copied = 0

    def __iadd__(self, data: Any) -> Counted:  # type: ignore[misc]  # of a stand-in
        Counted.copied += len(data)
        super().__iadd__(data)
        return self

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        Counted.copied += len(part) if isinstance(key, slice) else 1
        return part

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        Counted.copied += (len(self) if end is None else min(end, len(self))) - start
        return super().find(sub, start, len(self) if end is None else end)


@pytest.mark.parametrize("kind", [Framer, NetstringFramer])
def test_a_big_item_in_many_pieces_is_looked_at_a_bounded_number_of_times(
    kind: type[Framer] | type[NetstringFramer],
) -> None:
    item = GOOD.replace(b":1}", b':"%s"}' % (b"v" * 10_000_000))
    data = item + b"\n" if kind is Framer else netstring(item)
    framer = kind()
    framer._held, Counted.copied = Counted(), 0
    blocks = [framer.feed(data[at : at + 100]) for at in range(0, len(data), 100)]
    (event,) = decode_block(b"".join(blocks))
    assert isinstance(event, Event)
    assert len(event.value) == 10_000_000
    assert Counted.copied < 5 * len(data)


def test_reading_what_is_pending_is_not_quadratic() -> None:
    framer = Framer()
    framer._held, Counted.copied = Counted(), 0
    for _ in range(10_000):
        framer.feed(b"v" * 100)
        assert len(framer.pending) <= 4096
    assert Counted.copied < 10_000 * 4300


@pytest.mark.parametrize("kind", [Framer, NetstringFramer])
@pytest.mark.parametrize("letter", [b"v", b"1"])
def test_an_endless_line_fills_no_memory(kind: type[Framer] | type[NetstringFramer], letter: bytes) -> None:
    framer, piece, times = kind(), letter * 100_000, 2_000
    tracemalloc.start()
    try:
        for _ in range(times):
            assert framer.feed(piece) == b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * MAX_ITEM
    (record,) = decode_block(framer.finish())
    assert isinstance(record, Malformed)
    assert record.raw == letter * 256
    assert record.reason == "a line of 200000000 bytes, which is more than any item has"


def test_endless_beginnings_of_netstrings_fill_no_memory() -> None:
    framer, piece = NetstringFramer(100_000), b'9:{"fd-sink-item.v0":' * 500
    tracemalloc.start()
    try:
        for _ in range(30):
            assert framer.feed(piece) == b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * 100_000
    (record,) = decode_block(framer.finish())
    assert isinstance(record, Malformed)
    assert record.reason.startswith(f"a line of {30 * len(piece)} bytes")


def test_a_line_end_in_the_piece_that_exceeds_the_limit_changes_nothing() -> None:
    stream = b"y" * 1_500 + b"\n" + GOOD + b"\n" + b"z" * 1_001 + b"\n" + b"w" * 1_000 + b"\n"
    whole = records(stream, max_line=1_000)
    assert names(whole) == ["malformed", "x.v0", "malformed", "malformed"]
    assert [len(r.raw) for r in whole if isinstance(r, Malformed)] == [256, 256, 1_000]
    for cut in range(len(stream) + 1):
        assert records(stream[:cut], stream[cut:], max_line=1_000) == whole


@pytest.mark.parametrize("limit", [10, 255, 256, 300])
def test_the_excerpt_of_a_line_beyond_the_limit_does_not_depend_on_the_cuts(limit: int) -> None:
    stream = bytes(range(65, 91)) * 12
    (piece,) = records(stream, max_line=limit)
    assert isinstance(piece, Malformed)
    assert (piece.raw, piece.reason[:21]) == (stream[:256], "a line of 312 bytes, ")
    for cut in range(len(stream) + 1):
        assert records(stream[:cut], stream[cut:], max_line=limit) == [piece]


def test_whole_lines_are_decoded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one they take twice the time."""
    monkeypatch.setattr("accuser._stream.decoding._decode_line", None)
    for block in (GOOD + b"\n", GOOD + b"\r\n" + GOOD, (GOOD + b"\n") * 3):
        assert len(decode_block(block)) == block.count(GOOD)


def test_thousands_of_items_in_one_read() -> None:
    found = records(b"".join(numbered(n) + b"\n" for n in range(5_000)))
    assert [r.value for r in found if isinstance(r, Event)] == list(range(5_000))


# Netstrings.


def netstring(item: bytes) -> bytes:
    return b"%d:%s," % (len(item), item)


def from_netstrings(*pieces: bytes, max_line: int = MAX_ITEM) -> list[Record]:
    framer = NetstringFramer(max_line)
    blocks = [framer.feed(piece) for piece in pieces]
    return [record for block in [*blocks, framer.finish()] for record in decode_block(block)]


N = netstring(GOOD)


CUT = "a netstring that is cut off, or of another length than it says"


STRAY = "not a netstring of an item"


TORN = GOOD[:-4]


@pytest.mark.parametrize(
    ("stray", "expected"),
    [
        (b"", []),
        (b"\n", []),
        (N[:-1], [(N[:-1], CUT)]),
        (N[:50], [(N[:50], CUT)]),
        (N[50:], [(N[50:], STRAY)]),
        (N[:-1] + b";", [(N[:-1] + b";", CUT)]),
        (b"1" + N, ["x.v0", (b"1", STRAY)]),
        (b"deadbeef0" + N, ["x.v0", (b"deadbeef0", STRAY)]),
        (b"9" * 100 + N, ["x.v0", (b"9" * 100, STRAY)]),
        (b"0" + N, ["x.v0", (b"0", STRAY)]),
        (b"91" + N[2:], [(b"91" + N[2:], CUT)]),
        (b"93" + N[2:], [(b"93" + N[2:], CUT)]),
        (b"93" + N[2:-1] + b" ,", [(b"93" + N[2:-1] + b" ,", CUT)]),
        (b"99999999" + N[2:], [(b"99999999" + N[2:], CUT)]),
        (b"9" * 30 + N[2:], [(b"9" * 30 + N[2:], CUT)]),
        (GOOD + b"\n", [(GOOD, STRAY)]),
        (b"5:hello,", [(b"5:hello,", STRAY)]),
        (b"0:,", [(b"0:,", STRAY)]),
        (b"one\ntwo", [(b"one", STRAY), (b"two", STRAY)]),
        (b"\xff\0", [(b"\xff\0", STRAY)]),
        (netstring(TORN + b"\n1}}}"), [(b"93:" + TORN, CUT), (b"1}}},", STRAY)]),
    ],
)
def test_what_is_no_netstring_is_a_record_of_its_own(stray: bytes, expected: list[Any]) -> None:
    stream = N + stray + N + N
    found = from_netstrings(stream)
    assert [found[0], *found[-2:]] == [records(GOOD)[0]] * 3
    shown = [r.name if isinstance(r, Event) else (r.raw, r.reason) for r in found[1:-2]]
    assert sorted(shown, key=str) == sorted(expected, key=str)
    for cut in range(len(stream) + 1):
        assert from_netstrings(stream[:cut], stream[cut:]) == found
    assert from_netstrings(*(stream[at : at + 1] for at in range(len(stream)))) == found


def test_a_netstring_whose_item_is_broken_is_that_items_malformed_record() -> None:
    broken = GOOD.replace(b":1}", b":nan}")
    (_, piece, _) = from_netstrings(N + netstring(broken) + N)
    assert isinstance(piece, Malformed)
    assert piece.raw == broken
    assert "near" in piece.reason


def test_an_item_comes_as_soon_as_it_is_whole() -> None:
    framer = NetstringFramer()
    assert framer.feed(N[:-1]) == b""
    assert framer.pending == N[:-1]
    assert framer.feed(N[-1:]) == GOOD + b"\n"
    # A cut one in front is known to be cut when the next one begins.
    assert framer.feed(N[:50]) == b""
    assert decode_block(framer.feed(N))[1:] == records(GOOD)
    # So is one whose last bytes look like more digits of the next one's length.
    assert framer.feed(N[:50] + b"77") == b""
    assert decode_block(framer.feed(N))[1:] == records(GOOD)


def test_items_that_another_writers_interrupts_are_told_by_their_length() -> None:
    long = GOOD.replace(b":1}", b':"%s"}' % (b"a" * 99))
    other = GOOD.replace(b":1}", b':"%s"}' % (b"b" * 77))
    a, b = netstring(long), netstring(other)
    stream = N + a[:120] + b[:120] + a[120:] + b[120:] + N
    # As a line, the middle would be an item that nobody wrote.
    assert isinstance(decode_block(b[:120].partition(b":")[2] + a[120:-1])[0], Event)
    assert names(from_netstrings(stream)) == ["x.v0", "malformed", "x.v0"]


@given(
    st.lists(
        st.one_of(
            st.integers(0, 10**6),
            st.binary(max_size=20),
            st.sampled_from([b"1", b"90:", b",", N[:30], N[30:], N[:-1], b"93" + N[2:], b"\n"]),
        ),
        max_size=8,
    ),
    st.sampled_from([MAX_ITEM, 200, 92]),
    st.data(),
)
def test_cutting_netstrings_never_matters(parts: list[int | bytes], limit: int, data: st.DataObject) -> None:
    stream = b"".join(netstring(numbered(p)) if isinstance(p, int) else p for p in parts)
    whole = from_netstrings(stream, max_line=limit)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    assert from_netstrings(*(stream[a:b] for a, b in itertools.pairwise(edges)), max_line=limit) == whole
    if limit == MAX_ITEM:
        written = b"".join(netstring(numbered(r.value)) if isinstance(r, Event) else r.raw for r in whole)
        blanks = b" \t\r\n\v\f"
        assert written.translate(None, blanks) == stream.translate(None, blanks)
