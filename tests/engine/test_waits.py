"""What can be waited for, and what a wait that fails says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from accuser import (
    Accuser,
    Event,
    EventTimeout,
    Lagged,
    MalformedEvent,
    Protocol,
    TerminatedBeforeEvent,
    UnexpectedEvent,
    UnknownEvent,
)
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.kept import remove_kept

STEPS = """
ready()
for number in range(4):
    event("a.v0", str(number))
    event("b.v0", str(number * 10))
    line("line %d" % number)
    line("error %d" % number, 2)
event("done.v0")
until_term()
event("end.v0")
"""


async def test_the_first_of_several_names(tmp_path: Path) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path) as accuser:
        event = await accuser.wait_for(("b.v0", "a.v0"), since=accuser.start_mark())
        assert (event.name, event.value) == ("a.v0", 0)
        name = await accuser.wait_for(
            ["b.v0", "a.v0"],
            lambda event: event.name if event.value > 9 else None,
            since=accuser.start_mark(),
        )
        assert name == "b.v0"


async def test_count_gives_all_and_nth_the_last(tmp_path: Path) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path) as accuser:
        start = accuser.start_mark()
        assert await accuser.wait_for("b.v0", count=3, since=start) == [0, 10, 20]
        assert await accuser.wait_for("b.v0", nth=3, since=start) == 20
        odd = await accuser.wait_for("a.v0", lambda n: n if n % 2 else None, count=2, since=start)
        assert odd == [1, 3]
        assert await accuser.wait_for(("a.v0", "b.v0"), count=2, since=start) == [
            Event({"a.v0": 0}, 1.5, ("s",), "h"),
            Event({"b.v0": 0}, 1.5, ("s",), "h"),
        ]
        for wrong in ({"count": 0}, {"nth": -1}, {"count": 1, "nth": 1}):
            with pytest.raises(ValueError, match="nth" if len(wrong) == 2 else "positive"):
                accuser.expect("a.v0", **wrong)  # type: ignore[call-overload]  # wrong on purpose


async def test_a_count_goes_on_over_what_was_and_what_comes(tmp_path: Path) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path) as accuser:
        await accuser.wait_for("done.v0", since=accuser.start_mark())
        both = accuser.expect(("done.v0", "end.v0"), count=2, since=accuser.start_mark())
        with trio.move_on_after(0.01):
            await both
        await accuser.terminate()
        assert [event.name for event in await both] == ["done.v0", "end.v0"]


async def test_a_sequence_allows_others_in_between(tmp_path: Path) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path) as accuser:
        start = accuser.start_mark()
        values = await accuser.wait_for_sequence(
            ["a.v0", ("b.v0", lambda n: n if n > 9 else None), "a.v0", "done.v0"], since=start
        )
        assert values == (0, 10, 2, {})
        with pytest.raises(EventTimeout, match=r"no a\.v0 where it is step 2 of 2"):
            await accuser.wait_for_sequence(["done.v0", "a.v0"], since=start, timeout=0.05)


async def test_what_is_not_to_happen(tmp_path: Path) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path, may_exit=True) as accuser:
        await accuser.wait_for("done.v0", since=accuser.start_mark())
        await accuser.expect_no("a.v0", within=0.01)
        with pytest.raises(UnexpectedEvent) as caught:
            await accuser.expect_no("a.v0", lambda n: n or None, within=60, since=accuser.start_mark())
        assert (caught.value.event, caught.value.value) == ("a.v0", 1)
        absence = accuser.expect_no("never.v0", within=math.inf)
        await accuser.terminate()
        await absence


async def test_lines_of_output(tmp_path: Path) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path) as accuser:
        start = accuser.start_mark()
        match = await accuser.wait_for_line(r"^line (\d)$", since=start)
        assert match[1] == "0"
        number = await accuser.wait_for_line(
            r"error (\d)", lambda match: int(match[1]) or None, stream="stderr", since=start
        )
        assert number == 1
        matches = await accuser.wait_for_line(r"\d", count=3, since=start)
        assert [match.string for match in matches] == [
            "Waiting for protocol 002-PtBoreas to start...",
            "line 0",
            "line 1",
        ]
        with pytest.raises(EventTimeout, match="no line of stdout that matches 'never'") as caught:
            await accuser.wait_for_line("never", since=start, timeout=0.01)
        assert "5 lines of stdout came" in caught.value.__notes__[0]


async def test_a_line_that_comes_later(tmp_path: Path) -> None:
    body = """
        ready()
        until_term()
        line("goodbye")
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        goodbye = accuser.expect_line("^good(bye)$")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(goodbye.__aexit__, None)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(accuser.terminate)
        assert goodbye.value[1] == "bye"


def test_a_name_that_an_accuser_never_emits_is_refused_at_once() -> None:
    accuser = Accuser(Protocol.BOREAS, NO_NODE)
    for name, meant in (
        ("double_baking_denonced.v0", "double_baking_denounced.v0"),
        ("double_baking_denounced", "double_baking_denounced.v0"),
        ("block-seen-001-PtAtLas.v0", "block-seen-002-PtBoreas.v0"),
    ):
        with pytest.raises(UnknownEvent, match=f"did you mean {meant}") as caught:
            accuser.expect(name)
        assert caught.value.suggestions[0] == meant
        accuser.expect(name, unknown=True)


async def test_a_time_out_explains_itself(tmp_path: Path) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path) as accuser:
        await accuser.wait_for("done.v0", since=accuser.start_mark())
        await accuser.wait_for_line("error 3", stream="stderr", since=accuser.start_mark())
        with pytest.raises(EventTimeout) as caught:
            await accuser.wait_for("b.v0", lambda n: n if n == 30 else None, where="it is 30", timeout=0.01)
        assert str(caught.value) == "accuser1: no b.v0 where it is 30 within 0.01 s"
        (note,) = caught.value.__notes__
        assert note.splitlines() == [
            f"accuser1 is process {accuser.pid}, running",
            "no b.v0 came since the wait began",
            "it happened before the wait began: 30",
            "  call expect() before the step that causes the event, or pass since= to look back",
            "the last events:",
            "  b.v0 0",
            "  a.v0 1",
            "  b.v0 10",
            "  a.v0 2",
            "  b.v0 20",
            "  a.v0 3",
            "  b.v0 30",
            "  done.v0 {}",
            "the last output:",
            "  error 0",
            "  error 1",
            "  error 2",
            "  error 3",
        ]
        with pytest.raises(EventTimeout) as caught:
            await accuser.wait_for("b.v0", lambda n: None, since=accuser.start_mark(), timeout=0.01)
        report = caught.value.report
        assert report is not None
        assert (report.seen, report.misses, report.before) == (4, ("10", "20", "30"), 0)


@pytest.mark.parametrize(
    ("name", "count", "shown", "decisive"),
    [
        ("b.v0", 1, "4 b.v0 events came since the wait began; the filter returned None for each; the last:",
         "4 came, but the filter returned None for each; the last was 30"),
        ("done.v0", 1, "1 done.v0 event came since the wait began; the filter returned None for it:",
         "1 came, but the filter returned None for it; it was {}"),
        ("b.v0", 2, "4 b.v0 events came since the wait began; the filter took 1 of them; the last:",
         "4 came, but the filter took 1 of them; the last was 30"),
    ],
)  # fmt: skip
async def test_a_time_out_says_what_the_filter_did(
    tmp_path: Path, name: str, count: int, shown: str, decisive: str
) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path) as accuser:
        start = accuser.start_mark()
        await accuser.wait_for("done.v0", since=start)
        wanted = 20 if count > 1 else None
        with pytest.raises(EventTimeout) as caught:
            await accuser.wait_for(
                name, lambda n: True if n == wanted else None, count=count, since=start, timeout=0.01
            )
        assert shown in caught.value.__notes__[0].splitlines()
        assert caught.value.report is not None
        assert caught.value.report.decisive(name) == [decisive]


async def test_the_end_of_the_daemon_explains_itself_too(tmp_path: Path) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path) as accuser:
        await accuser.wait_for("done.v0", since=accuser.start_mark())
        wait = accuser.expect("never.v0")
        await accuser.terminate()
        with pytest.raises(TerminatedBeforeEvent) as caught:
            await wait
        (note,) = caught.value.__notes__
        assert note.startswith(f"accuser1 is process {accuser.pid}, ended, exit status 0\nno never.v0 came")
        assert "  end.v0 {}" in note.splitlines()


async def test_what_the_history_does_not_hold_any_more(tmp_path: Path) -> None:
    body = """
        ready()
        event("first.v0")
        for number in range(3000):
            event("a.v0", '"%s"' % ("x" * 1000))
        event("done.v0")
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path, history=1_000_000) as accuser:
        start = accuser.start_mark()
        await accuser.wait_for("done.v0")
        with pytest.raises(Lagged) as caught:
            await accuser.wait_for("first.v0", since=start)
        assert 1_900 < caught.value.missed < 2_300
        async with accuser.subscribe(since=start) as events:
            with pytest.raises(Lagged):
                await anext(events)


MALFORMED = """
ready()
event("before.v0")
raw(b"garbage\\n")
event("after.v0")
until_term()
"""


async def test_malformed_pieces_are_counted_and_told(tmp_path: Path) -> None:
    pieces: list[Any] = []
    accuser = Accuser(Protocol.BOREAS, NO_NODE, unknown_events=True)
    accuser.on_malformed(pieces.append)
    async with ScriptedDaemon(MALFORMED).open(folder=tmp_path) as accuser:
        accuser.on_malformed(pieces.append)
        await accuser.wait_for("after.v0", since=accuser.start_mark())
        await accuser.restart()
        await accuser.wait_for("after.v0", since=accuser.start_mark())
        assert accuser.malformed == 1
    assert pieces
    assert {piece.raw for piece in pieces} == {b"garbage"}


async def test_a_strict_daemon_ends_with_the_first_malformed_piece(tmp_path: Path) -> None:
    with pytest.raises(MalformedEvent) as caught:
        async with ScriptedDaemon(MALFORMED).open(folder=tmp_path, strict=True) as accuser:
            await trio.sleep_forever()
    assert (caught.value.daemon, caught.value.raw) == ("accuser1", b"garbage")
    assert accuser.exit_status == 0
    remove_kept(caught.value)


async def test_a_time_out_of_nothing_still_looks_back(tmp_path: Path) -> None:
    async with ScriptedDaemon(STEPS).open(folder=tmp_path) as accuser:
        await accuser.wait_for("done.v0", since=accuser.start_mark())
        assert await accuser.wait_for("b.v0", since=accuser.start_mark(), timeout=0) == 0
        with pytest.raises(UnexpectedEvent):
            await accuser.expect_no("b.v0", since=accuser.start_mark(), within=0)


async def test_two_tasks_may_await_one_expectation(tmp_path: Path) -> None:
    async with ScriptedDaemon("ready(); until_term(); event('a.v0', '1'); event('a.v0', '2')").open(
        folder=tmp_path
    ) as accuser:
        both = accuser.expect("a.v0", count=2)
        results: list[list[int]] = []

        async def wait() -> None:
            results.append(await both)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await accuser.terminate()
        assert results == [[1, 2], [1, 2]]


async def test_of_tasks_that_await_one_expectation_another_goes_on_for_a_cancelled_one(
    tmp_path: Path,
) -> None:
    async with ScriptedDaemon("ready(); until_term(); event('a.v0', '1')").open(folder=tmp_path) as accuser:
        one = accuser.expect("a.v0")
        results: list[int] = []

        async def wait(scope: trio.CancelScope) -> None:
            with scope:
                results.append(await one)

        async with trio.open_nursery() as nursery:
            scopes = [trio.CancelScope() for _ in range(3)]
            for scope in scopes:
                nursery.start_soon(wait, scope)
                await trio.testing.wait_all_tasks_blocked()
            scopes[0].cancel()
            await trio.testing.wait_all_tasks_blocked()
            await accuser.terminate()
        assert results == [1, 1]


def test_waits_for_nothing_are_mistakes() -> None:
    accuser = Accuser(Protocol.BOREAS, NO_NODE)
    with pytest.raises(ValueError, match="at least one"):
        accuser.expect(())
    with pytest.raises(ValueError, match="positive"):
        accuser.expect_line("x", count=0)
