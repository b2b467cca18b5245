"""What waits say and give where several look at the same, or several events are read at once."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import pytest
import trio

from accuser import (
    Event,
    EventTimeout,
    Expectation,
    Lagged,
    RestartPolicy,
    TerminatedBeforeEvent,
    wait_for_any,
)
from accuser.testing import (
    FaultyDaemon,
    await_go,
    event,
    exit_with,
    flood,
    go,
    raw,
    ready,
    truncated_event,
)
from tests.support.kept import remove_kept

ITEM: Final = b'{"fd-sink-item.v0":{"hostname":"h","time_stamp":1.5,"section":[],"event":%s}}\n'
NAMELESS: Final = ITEM % b'"started"'

A, B = (ITEM % b'{"%s":%d}' % (name, number) for name, number in ((b"a.v0", 1), (b"b.v0", 2)))

limit = 10
"""Of `at_the_limit`, which is asked once for all waits that share it."""


def at_the_limit(value: int) -> int | None:
    return value if value >= limit else None


async def failure(wait: Expectation[Any]) -> EventTimeout | TerminatedBeforeEvent:
    try:
        await wait
    except (EventTimeout, TerminatedBeforeEvent) as error:
        return error
    raise AssertionError("it was fulfilled")


def said(error: BaseException) -> list[str]:
    return error.__notes__[0].splitlines()


async def test_each_is_told_how_many_came_since_it_began() -> None:
    script = (ready(), await_go(), event("a.v0", 1), event("a.v0", 2), await_go(), event("a.v0", 3))
    async with FaultyDaemon(*script, exit_with(0)).open(may_exit=True) as daemon:
        seen: dict[str, int] = {}

        async def wait(who: str, leave: trio.CancelScope) -> None:
            one = daemon.expect("a.v0", at_the_limit, timeout=None)
            with leave, contextlib.suppress(TerminatedBeforeEvent):
                await one
            seen[who] = one.report().seen

        leave, stay = trio.CancelScope(), [trio.CancelScope() for _ in range(3)]
        came = daemon.expect("a.v0", count=2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "first", stay[0])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(wait, "second", leave)
            nursery.start_soon(wait, "to the end", stay[1])
            await trio.testing.wait_all_tasks_blocked()
            go(daemon)
            await came
            leave.cancel()
            nursery.start_soon(wait, "later", stay[2])
            await trio.testing.wait_all_tasks_blocked()
            go(daemon)
    assert seen == {"first": 3, "second": 2, "to the end": 3, "later": 1}


async def test_one_that_others_shared_is_awaited_again(monkeypatch: pytest.MonkeyPatch) -> None:
    script = (ready(), await_go(), event("a.v0", 5), await_go(), event("a.v0", 7))
    async with FaultyDaemon(*script).open() as daemon:
        first = daemon.expect("a.v0", at_the_limit)
        others: list[int] = []

        async def alone(leave: trio.CancelScope) -> None:
            with leave:
                await first

        async def other() -> None:
            others.append(await daemon.wait_for("a.v0", at_the_limit))

        leave = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alone, leave)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(other)
            await trio.testing.wait_all_tasks_blocked()
            leave.cancel()
            five = daemon.expect("a.v0")
            go(daemon)
            await five
            monkeypatch.setitem(globals(), "limit", 1)
            assert await first == 5
            go(daemon)
        assert others == [7]
        assert await first == first.value == 5


class Turn:
    """What a filter without a closure does, which all waits share."""

    cancels: trio.CancelScope | None = None
    taken = 2
    raised = -1


def by_turns(value: int) -> int | None:
    if value == 1 and Turn.cancels is not None:
        Turn.cancels.cancel()
    if value == Turn.raised:
        raise ValueError(value)
    return value if value == Turn.taken else None


@pytest.mark.parametrize("leaver", ["speaker", "other"])
@pytest.mark.parametrize(("taken", "raised"), [(2, -1), (9, 2), (7, -1)])
async def test_a_filter_that_cancels_one_of_those_that_share_it(
    monkeypatch: pytest.MonkeyPatch, leaver: str, taken: int, raised: int
) -> None:
    monkeypatch.setattr(Turn, "taken", taken)
    monkeypatch.setattr(Turn, "raised", raised)
    together = raw(b"".join(ITEM % b'{"a.v0":%d}' % number for number in range(4)))
    async with FaultyDaemon(ready(), await_go(), together, await_go(), event("a.v0", 7)).open() as daemon:
        waits = {who: daemon.expect("a.v0", by_turns) for who in ("speaker", "other", "third")}
        results: dict[str, object] = {}

        async def wait(who: str, scope: trio.CancelScope) -> None:
            with scope:
                try:
                    results[who] = await waits[who]
                except ValueError as error:
                    results[who] = str(error)

        last = daemon.expect("a.v0", lambda value: value == 3 or None)
        async with trio.open_nursery() as nursery:
            for who in waits:
                scope = trio.CancelScope()
                if who == leaver:
                    monkeypatch.setattr(Turn, "cancels", scope)
                nursery.start_soon(wait, who, scope)
                await trio.testing.wait_all_tasks_blocked()
            go(daemon)
            await last
            monkeypatch.setattr(Turn, "cancels", None)
            go(daemon)
        given = str(raised) if raised > 0 else taken
        assert results == {who: given for who in waits if who != leaver}
        if raised > 0:
            assert {waits[who].report().seen for who in results} == {3}
            monkeypatch.setattr(Turn, "raised", -1)
            monkeypatch.setattr(Turn, "taken", 3)
            assert [await each for each in waits.values()] == [3, 3, 3]
            assert len({each.end.events for each in waits.values()}) == 1
        else:
            assert await waits[leaver] == taken


async def test_a_filter_that_fails_has_been_asked_so_often() -> None:
    def never_two(value: int) -> None:
        if value == 2:
            raise ValueError("two")

    script = (ready(), await_go(), raw(b"".join(ITEM % b'{"a.v0":%d}' % number for number in range(5))))
    async with FaultyDaemon(*script).open() as daemon:
        wait: Expectation[Any] = daemon.expect("a.v0", never_two)
        go(daemon)
        with pytest.raises(ValueError, match="two"):
            await wait
        assert wait.report().seen == 3
        with trio.move_on_after(0):
            await wait
        assert wait.report().seen == 5


async def test_events_without_a_name_are_waited_for() -> None:
    for data in (NAMELESS, NAMELESS * 2, b"garbage\n" + NAMELESS, b"garbage\n" + A + NAMELESS):
        async with FaultyDaemon(ready(), await_go(), raw(data), event("b.v0")).open() as daemon:
            wait, end = daemon.expect(""), daemon.expect("b.v0")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fulfilled, wait)
                await trio.testing.wait_all_tasks_blocked()
                go(daemon)
            assert wait.value == "started"
            await end
            assert await daemon.wait_for("", since=daemon.start_mark()) == "started"
            error = await failure(daemon.expect("", timeout=0))
            assert str(error).endswith("no (no name) within 0 s")


async def fulfilled(wait: Expectation[Any]) -> None:
    await wait


async def test_a_subscriber_that_begins_between_gets_no_malformed_piece() -> None:
    async with FaultyDaemon(ready(), await_go(), raw(A + b"garbage\n" + B)).open() as daemon:
        first = daemon.expect("a.v0")
        go(daemon)
        await first
        async with daemon.subscribe(since=first.end) as events:
            assert [event.name async for event in first_of(events, 1)] == ["b.v0"]


async def first_of(events: Any, count: int) -> Any:
    for _ in range(count):
        yield await anext(events)


async def test_what_a_handler_begins_sees_what_follows_in_the_same_read() -> None:
    async with FaultyDaemon(
        ready(), await_go(), raw(A + B), await_go(), raw(b"x\n" + A + B)
    ).open() as daemon:
        made: list[Expectation[Any]] = []

        def handler(event: Event) -> None:
            if event.name == "a.v0":
                made.append(daemon.expect("b.v0"))

        daemon.on_event(handler)
        for number in range(2):
            wait = daemon.expect("b.v0")
            go(daemon)
            await wait
            assert await made[number] == 2
        nothing = daemon.expect("b.v0", timeout=0)
        with pytest.raises(EventTimeout):
            await nothing


async def test_what_a_handler_of_lines_begins_sees_what_follows() -> None:
    script = (ready(), await_go(), flood("stdout", 3))
    async with FaultyDaemon(*script).open() as daemon:
        made: list[Expectation[Any]] = []

        def handler(line: str) -> None:
            if not made:
                made.append(daemon.expect_line("", count=2))

        daemon.on_stdout(handler)
        end = daemon.expect_line("", count=3)
        go(daemon)
        await end
        assert len(await made[0]) == 2


async def test_the_first_of_several_fails_as_a_wait_alone() -> None:
    def fails(value: object) -> object:
        raise KeyError(value)

    async with (
        FaultyDaemon(ready()).open(name="one") as one,
        FaultyDaemon(ready(), await_go(), event("b.v0", 2)).open(name="two") as two,
    ):
        with pytest.raises(EventTimeout, match=r"two: no c\.v0 within 0\.1 s"):
            await wait_for_any({one: "a.v0", two: two.expect("c.v0", timeout=0.1)}, timeout=None)
        wait = two.expect("b.v0", fails)
        go(two)
        with pytest.raises(KeyError):
            await wait_for_any({one: "a.v0", two: wait})
        with pytest.raises(EventTimeout, match=r"one / two: no a\.v0 where it is so within 0\.1 s") as caught:
            await wait_for_any({one: one.expect("a.v0", where="it is so"), two: "c.v0"}, timeout=0.1)
        assert said(caught.value)[0].startswith("one is process ")


def never(value: object) -> None:
    if value == 1:
        pytest.fail("of an event before the wait")


async def test_what_explains_a_time_out_is_not_that_of_the_filter() -> None:
    async with FaultyDaemon(ready(), event("a.v0", 1), event("b.v0")).open() as daemon:
        await daemon.wait_for("b.v0", since=daemon.start_mark())
        with pytest.raises(EventTimeout):
            await daemon.wait_for("a.v0", never, timeout=0.1)


async def test_a_step_of_a_sequence_tells_of_the_whole() -> None:
    async with FaultyDaemon(ready(), event("b.v0", 0), await_go(), raw(A + B)).open() as daemon:
        await daemon.wait_for("b.v0", since=daemon.start_mark())
        mark = daemon.mark()
        go(daemon)
        await daemon.wait_for("b.v0", since=mark)
        with pytest.raises(EventTimeout, match=r"step 3 of 3 within 0\.5 s") as caught:
            await daemon.wait_for_sequence(["a.v0", "b.v0", "b.v0"], since=mark, timeout=0.5)
        error = caught.value
        assert error.seconds == 0.5
        assert error.report is not None
        assert (error.report.before, error.report.taken_before, error.report.seen) == (1, "0", 0)
        assert error.report.misses == ()
        assert error.report.met == ("step 1 was met by 1", "step 2 was met by 2")


async def test_a_report_tells_of_what_was_no_event() -> None:
    async with FaultyDaemon(ready(), await_go(), truncated_event("a.v0"), raw(b"\n")).open() as daemon:
        malformed = trio.Event()
        daemon.on_malformed(lambda _: malformed.set())
        go(daemon)
        await malformed.wait()
        error = await failure(daemon.expect("a.v0", timeout=0))
        assert "1 piece of its event stream was no event; `on_malformed` has each" in said(error)
        assert not any("sink" in line for line in said(error))
        assert error.report is not None
        assert error.report.decisive("a.v0") == [
            "no event came at all; 1 piece of its event stream was no event; `on_malformed` has each"
        ]


async def test_a_report_while_a_restart_is_waited_for() -> None:
    script = (ready(), event("a.v0"), await_go(), exit_with(3))
    async with FaultyDaemon(*script).open(restart=RestartPolicy(first_delay=30)) as daemon:
        waits = trio.Event()
        daemon.on_restart(lambda _: waits.set())
        await daemon.wait_for("a.v0", since=daemon.start_mark())
        go(daemon)
        await waits.wait()
        await trio.testing.wait_all_tasks_blocked()
        error = await failure(daemon.expect("b.v0", timeout=0))
        assert said(error)[:2] == [
            f"{daemon.name} is waiting to restart",
            "no b.v0 came since the wait began",
        ]
        assert not any("sink" in line for line in said(error))


async def test_lines_that_left_the_history() -> None:
    async with FaultyDaemon(ready(), flood("stdout", 60_000), event("done.v0")).open(history=10**9) as daemon:
        await daemon.wait_for("done.v0", since=daemon.start_mark())
        with pytest.raises(Lagged, match=r"lines left the history before they were read; read faster$"):
            await daemon.wait_for_line("x", since=daemon.start_mark())


async def test_lines_that_did_not_match() -> None:
    async with FaultyDaemon(ready(), flood("stdout", 3), event("done.v0")).open() as daemon:
        await daemon.wait_for("done.v0", since=daemon.start_mark())
        error = await failure(daemon.expect_line("never", since=daemon.start_mark(), timeout=0.1))
        assert said(error)[1].endswith("none of them was taken; the last:")


async def test_a_group_of_the_block_itself_stays_whole() -> None:
    def raises(error: BaseException) -> None:
        raise error

    with pytest.raises(ExceptionGroup, match="my context") as caught:  # noqa: ASYNC401 - its text is meant
        async with FaultyDaemon(ready()).open():
            raises(ExceptionGroup("my context", [ValueError("x")]))
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
    remove_kept(caught.value)
    with pytest.raises(ValueError, match="y") as bare:
        async with FaultyDaemon(ready()).open(), trio.open_nursery():
            raises(ValueError("y"))
    remove_kept(bare.value)
