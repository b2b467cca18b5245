"""Hostile bytes: what a step of decoding may cost, in work and not in time; and how deep items may be.

`HYPOTHESIS_PROFILE=nightly` runs ten thousand examples of the random streams.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import accuser._stream.decoding as decoding
from accuser import Event, HandlerFailed, Malformed
from accuser._engine.readiness import ReadyEvent
from accuser._engine.transcript import FEW, Handlers, Transcript
from accuser._recording.writer import Recorder
from accuser._stream.decoding import (
    decode_block,
    decode_lines,
    decode_steps,
    line_steps,
    text_steps,
    with_bytes,
)
from accuser._stream.framing import Framer
from accuser._stream.nesting import MAX_DEPTH, too_deep
from accuser._stream.netstring import NetstringFramer
from accuser._stream.watch import Watch, event_of

GOOD = b'{"fd-sink-item.v0":{"hostname":"h","time_stamp":1.5,"section":["a","b"],"event":{"x.v0":1}}}'
MARK = b'{"fd-sink-item.v0":'
N = b"%d:%s," % (len(GOOD), GOOD)

hostile = st.one_of(
    st.sampled_from(
        [GOOD, MARK, b"x", b"\n", b"{", b"[", b"]", b'"', b"}", b",", b" ", b"\0", b"\r", b"\\", b"9:", N]
    ),
    st.sampled_from([GOOD.replace(b":1}", b":1e400}"), GOOD[:40], GOOD[40:], N[:-1], b"1:" + MARK, b"\xff"]),
    st.binary(max_size=6),
    st.builds(lambda n: GOOD.replace(b":1}", b":%s1%s}" % (b"[" * n, b"]" * n)), st.integers(240, 270)),
)
streams = st.lists(st.tuples(hostile, st.sampled_from([1, 1, 1, 2, 50, 400])), max_size=12).map(
    lambda parts: b"".join(part * times for part, times in parts)
)


class Work:
    """Counts the bytes that the parts of the decoder are given."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.bytes = self.calls = 0
        for name in ("decode_item", "too_deep", "_reason", "_object_end", "_decode_large_numbers"):
            patch.setattr(decoding, name, self.counted(getattr(decoding, name)))

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(data: bytes) -> Any:
            self.bytes += len(data)
            self.calls += 1
            return function(data)

        return call

    def done(self) -> tuple[int, int]:
        now = (self.bytes, self.calls)
        self.bytes = self.calls = 0
        return now


def check_steps(work: Work, block: bytes) -> None:
    """Each step decodes anew to its records, and costs what its bytes cost, and some calls a line."""
    whole: list[Any] = []
    work.done()
    for before, (raw, records) in enumerate(decode_steps(block)):
        looked, calls = work.done()
        # The first step has the vain look at all lines together, too.
        assert looked <= 16 * (len(raw) + (len(block) if not before else 65536))
        events = sum(isinstance(record, Event) for record in records)
        if events < len(records):
            assert len(records) <= decoding.STEP_LINES + 1
            assert calls <= 16 * (len(records) + decoding.STEP_LINES) + (0 if before else block.count(b"\n"))
        assert decode_block(raw) == records
        assert [record for _, record in with_bytes(raw, records)] == records
        for item, record in with_bytes(raw, records):
            if isinstance(record, Event):
                assert decode_block(item) == [record]
        work.done()
        whole += records
    one_by_one = [record for line in block.split(b"\n") for record in decode_block(line)]
    assert whole == one_by_one


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(streams, st.sampled_from([Framer, NetstringFramer]), st.data())
def test_a_step_costs_little_and_cutting_never_matters(
    stream: bytes, kind: type[Framer] | type[NetstringFramer], data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        work = Work(patch)
        framer = kind()
        blocks = []
        for at in range(0, len(stream), framer.step):
            blocks.append(framer.feed(stream[at : at + framer.step]))
            assert work.done()[0] <= 4 * (len(stream) + framer.step)
        blocks.append(framer.finish())
        for block in blocks:
            check_steps(work, block)
    whole = decode_block(b"".join(blocks))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    cut = kind()
    parts = [cut.feed(stream[a:b]) for a, b in itertools.pairwise([0, *cuts, len(stream)])]
    assert [record for part in [*parts, cut.finish()] for record in decode_block(part)] == whole


def costly(count: int) -> bytes:
    return GOOD.replace(b":1}", b":[" + b",".join([b"1"] * count) + b"]}") + b"\n"


def test_how_much_is_too_much_does_not_depend_on_what_comes_with_it() -> None:
    for count, kinds in ((60_000, [Event]), (70_000, [Malformed]), (300_000, [Malformed])):
        item = costly(count)
        few = GOOD + b"\n"
        for before, behind in (
            (b"", b""),
            (b"", b"x\n"),
            (b"x\n", b""),
            (few * 1000, few * 1000),
            (few, few),
        ):
            block = before + item + behind
            (record,) = decode_block(item)
            assert [type(record)] == kinds
            assert decode_block(block) == [*decode_block(before), record, *decode_block(behind)]
            for raw, records in decode_steps(block):
                assert decode_block(raw) == records


@pytest.mark.parametrize("text", [rb'"\ud800"', b'"\xed\xa0\x80"'])
def test_halves_of_surrogate_pairs_are_no_text_beside_any_number(text: bytes) -> None:
    for number in (b"1", b"1e400"):
        (record,) = decode_block(GOOD.replace(b":1}", b":[%s,%s]}" % (number, text)) + b"\n")
        assert isinstance(record, Malformed)


@pytest.mark.parametrize(
    "block",
    [
        MARK * 20_000,
        b"x\n" * 20_000,
        (GOOD + b"x\n") * 500 + GOOD * 500,
        b'{"a":' * 100_000,
        (b"\0stray\0" + b"5:hello,\n") * 5_000,
        GOOD[:-1] * 2_000,
        (GOOD + b"\n") * 300 + b"[\n" * 300 + (GOOD + b"\n") * 300,
        b'"' * 50_001,
        GOOD.replace(b":1}", b":%s}" % (b"[[],[],[]]," * 20_000)),
    ],
)
def test_hostile_blocks_take_many_cheap_steps(block: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    check_steps(Work(monkeypatch), block)


def test_beginnings_of_netstrings_are_fed_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch)
    for piece in (b"9:" + MARK, b"99999999:" + MARK, N[:-1] + b";", b"5:hello,", b"5:hello,\n", N):
        framer, stream = NetstringFramer(), piece * 4_000
        for at in range(0, len(stream), framer.step):
            framer.feed(stream[at : at + framer.step])
            looked, calls = work.done()
            assert looked <= 8 * framer.step
            assert calls <= framer.step


def test_a_block_with_two_items_on_a_line_and_one_over_two_lines_is_as_its_lines_are() -> None:
    block = GOOD + GOOD + b"\n" + GOOD[:19] + b"\n" + GOOD[19:] + b"\n"
    found = decode_block(block)
    assert found == [record for line in block.split(b"\n") for record in decode_block(line)]
    assert [type(record) for record in found] == [Event, Event, Malformed, Malformed]


def nested(levels: int) -> bytes:
    """An item of so many levels."""
    inner = levels - 3
    return GOOD.replace(b":1}", b":%s%s}" % (b"[" * inner, b"]" * inner))


@pytest.mark.parametrize(
    ("levels", "fits"),
    [(MAX_DEPTH - 1, True), (MAX_DEPTH, True), (MAX_DEPTH + 1, False), (2_000, False), (9_000, False)],
)
def test_the_limit_of_nesting_is_ours(levels: int, fits: bool) -> None:
    for block in (nested(levels), GOOD + b"\n" + nested(levels) + b"\n", nested(levels) + b"tail"):
        found = [record for record in decode_block(block) if record.name == "x.v0"]
        deep = [record for record in found if isinstance(record, Event) and record.value != 1]
        assert len(deep) == fits
    (record,) = decode_block(nested(levels))
    assert fits or (isinstance(record, Malformed) and record.reason == "nested too deeply")


def test_the_limit_does_not_depend_on_who_calls() -> None:
    def deep(frames: int) -> list[Any]:
        return deep(frames - 1) if frames else list(decode_block(nested(MAX_DEPTH)))

    frame, used = sys._getframe(), 0
    while frame is not None:
        frame, used = frame.f_back, used + 1  # type: ignore[assignment]  # there is one, or the loop has ended
    (event,) = deep(sys.getrecursionlimit() - used - 60)
    assert isinstance(event, Event)


@given(
    st.recursive(
        st.sampled_from([0, "[", "{", '"', "\\", '\\"[', "x" * 70_000]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\', max_size=2), inner),
        max_leaves=8,
    ),
    st.integers(0, 300),
)
def test_depth_is_that_of_the_value(value: Any, around: int) -> None:
    def depth(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    text = b"[" * around + json.dumps(value).encode() + b"]" * around
    assert too_deep(text) == (depth(value) + around > MAX_DEPTH)
    padded = b"[%s,%s]" % (b",".join([b"[]"] * 400), text)
    assert too_deep(padded) == (depth(value) + around + 1 > MAX_DEPTH)


@given(st.lists(st.sampled_from([b"\n", b"a\n", b"bc\n"]), max_size=30), st.booleans(), st.integers(1, 5))
def test_lines_of_output_in_steps(lines: list[bytes], cut: bool, count: int) -> None:
    block = b"".join(lines) + (b"end" if cut else b"")
    steps = list(line_steps(block, count))
    assert b"".join(steps) == block
    assert all(step.removesuffix(b"\n").count(b"\n") < count for step in steps)


TEXT = st.lists(
    st.sampled_from(
        [b"\n", b"a\n", "\u2028\x85\u00e9\n".encode(), b"\xff\xc3\n", b"\r\n", b"\0oversized\x009\0x\n"]
    ),
    max_size=30,
)


@given(TEXT, st.booleans(), st.integers(1, 5))
def test_texts_in_steps_are_as_the_lines_are(lines: list[bytes], cut: bool, most: int) -> None:
    block = b"".join(lines) + (b"end" if cut else b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "STEP_TEXTS", most)
        steps = list(text_steps(block))
    assert b"".join(raw for raw, _ in steps) == block
    assert [line for _, found in steps for line in found] == decode_lines(block)
    assert all(found == decode_lines(raw) for raw, found in steps)


def test_a_read_of_lines_of_usual_length_is_one_step_and_one_of_short_lines_is_not() -> None:
    usual = b"a line as long as those that daemons print, or shorter than they are, said a test once\n" * 700
    ((raw, lines),) = text_steps(usual)
    assert (raw, len(lines)) == (usual, 700)
    assert len(list(text_steps(b"\n" * 65536))) >= 4


@pytest.mark.parametrize("waits", [1, FEW + 1])
async def test_lines_reach_waits_and_handlers_in_order(waits: int) -> None:
    heard: list[Any] = []
    handlers = Handlers(
        stdout=[lambda line: heard.append(("a", line)), lambda line: heard.append(("b", line))]
    )
    transcript = Transcript("d", "", ReadyEvent(""), handlers, recorder=Recorder("d", 1, None))
    watches = [Watch(frozenset({""}), event_of, re.compile("9$").search, 2, "") for _ in range(waits)]
    block = b"".join(b"%d\n" % number for number in range(6000))
    async with trio.open_nursery() as nursery:
        for watch in watches:
            nursery.start_soon(transcript.stdout.watch, watch)
        await trio.testing.wait_all_tasks_blocked()
        for step in transcript.line_steps("stdout", block):
            transcript.take_lines("stdout", *step)
    assert [[match[0] for match in watch.taken] for watch in watches] == [["9", "9"]] * waits
    assert {watch.index for watch in watches} == {19}
    assert heard == [(name, str(number)) for number in range(6000) for name in "ab"]
    assert transcript.stdout.next_index == 6000


def test_of_several_handlers_the_first_fault_ends_it() -> None:
    heard: list[Any] = []

    def faulty(line: str) -> None:
        if line == "2":
            raise ValueError("two")

    handlers = Handlers(stdout=[faulty, heard.append])
    transcript = Transcript("d", "", ReadyEvent(""), handlers, recorder=Recorder("d", 1, None))
    transcript.take_lines("stdout", b"1\n2\n3\n")
    transcript.take_lines("stdout", b"4\n")
    assert heard == ["1"]
    assert isinstance(transcript.failure, HandlerFailed)
    assert "faulty" in str(transcript.failure)
    assert "'2'" in str(transcript.failure)


async def test_a_transcript_takes_all_steps() -> None:
    heard: list[Any] = []
    handlers = Handlers(events=[heard.append], malformed=[heard.append])
    transcript = Transcript("d", "", ReadyEvent(""), handlers, recorder=Recorder("d", 1, None))
    block = (GOOD + b"\n") * 3 + b"x\n" * 300 + GOOD + GOOD + b"x\n"
    transcript.take_events(block)
    await trio.lowlevel.checkpoint()
    assert heard == decode_block(block)
    assert [record for _, record in transcript.events.read(0)] == heard
    assert transcript.malformed == 301
