"""Faults that were found in others' implementations: events, ends, output."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import trio
import trio.testing

from accuser import (
    EventPipeError,
    EventTimeout,
    HandlerFailed,
    TerminatedBeforeEvent,
)
from accuser._hosts.owner.child import Child
from accuser.testing import (
    FaultyDaemon,
    ScriptedDaemon,
    await_sigterm,
    event,
    fork,
    ready,
)
from tests.support.kept import remove_kept
from tests.support.proc import wait_for_end
from tests.support.scripts import FOLLOWS_SIGTERM


async def test_fault_1_an_event_written_before_the_wait_can_be_had(tmp_path: Path) -> None:
    async with ScriptedDaemon("open_pipe(); event('early.v0', '7'); line(READY); until_term()").open(
        folder=tmp_path
    ) as accuser:
        assert await accuser.wait_for("early.v0", since=accuser.start_mark()) == 7


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"], ids=["exit", "kill"])
async def test_fault_2_an_event_written_just_before_the_end_reaches_everybody(
    tmp_path: Path, end: str
) -> None:
    """A hundred times of each."""
    body = f"""
        ready()
        event("begun.v0")
        sys.stdin.read(1)
        event("last.v0", "1"); {end}
    """
    missed = 0
    async with ScriptedDaemon(body).open(folder=tmp_path, may_exit=True) as accuser:
        heard: list[str] = []
        accuser.on_event(lambda event: heard.append(event.name))
        for _ in range(100):
            heard.clear()
            await accuser.wait_for("begun.v0", since=accuser.start_mark())
            got: list[Any] = []

            async def subscribe(got: list[Any] = got) -> None:
                async with accuser.subscribe() as events:
                    got.extend([event.value async for event in events])

            async def wait(got: list[Any] = got) -> None:
                got.append(await accuser.wait_for("last.v0"))

            expected = accuser.expect("last.v0")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(subscribe)
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                process = accuser._session._child
                assert isinstance(process, Child)
                assert process.process.stdin is not None
                await process.process.stdin.send_all(b"x")
            missed += [await expected, *got] != [1, 1, 1] or heard[-1] != "last.v0"
            await accuser.restart()
        await accuser.kill()
    assert missed == 0


async def test_fault_3_terminate_after_an_exit_delivers_what_was_written(tmp_path: Path) -> None:
    body = """
        ready()
        for number in range(150):
            event("last.v0", str(number))
        os._exit(0)
    """
    for _ in range(20):
        seen: list[int] = []
        async with ScriptedDaemon(body).open(folder=tmp_path, may_exit=True) as accuser:
            async with accuser.subscribe(since=accuser.start_mark()) as events:
                await accuser.terminate()
                seen = [event.value async for event in events]
        assert seen == list(range(150))


async def test_fault_4_a_filter_may_wait_for_its_own_name(tmp_path: Path) -> None:
    body = """
        ready()
        until_term()
        event("a.v0", "1")
        event("a.v0", "2")
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        inner: list[Any] = []

        def choose(value: int) -> int:
            inner.append(accuser.expect("a.v0", lambda later: later if later > value else None))
            return value

        outer = accuser.expect("a.v0", choose)
        await accuser.terminate()
        assert await outer == 1
        # The mark of the inner one was taken while the block with both was being read.
        with pytest.raises(TerminatedBeforeEvent):
            await inner[0]


async def test_fault_5_two_handles_of_one_name_have_a_pipe_each(tmp_path: Path) -> None:
    async with (
        ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, name="same") as first,
        ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, name="same") as second,
    ):
        assert first.event_pipe != second.event_pipe
        for accuser in (first, second):
            await accuser.wait_for("started.v0", since=accuser.start_mark())
        with pytest.raises(EventPipeError, match="in use"):
            async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, event_pipe=first.event_pipe):
                pytest.fail("it cannot run")


async def test_fault_6_waits_after_the_death_end_at_once(tmp_path: Path) -> None:
    async with ScriptedDaemon("ready(); sys.exit(1)").open(folder=tmp_path, may_exit=True) as accuser:
        with pytest.raises(TerminatedBeforeEvent):
            await accuser.wait_for("any.v0", timeout=None)
        with pytest.raises(TerminatedBeforeEvent):
            await accuser.wait_for_ready(timeout=None)


async def test_fault_7_a_daemon_that_never_opens_its_pipe_is_told(tmp_path: Path) -> None:
    async with ScriptedDaemon("line(READY); until_term()").open(folder=tmp_path) as accuser:
        with pytest.raises(EventTimeout) as caught:
            await accuser.wait_for("any.v0", timeout=0.05)
        assert "it has written no event at all; is its event sink open?" in caught.value.__notes__[0]


async def test_fault_8_readiness_needs_no_line_end(tmp_path: Path) -> None:
    async with ScriptedDaemon("open_pipe(); os.write(1, READY.encode()); until_term()").open(
        folder=tmp_path
    ) as accuser:
        assert accuser.running


@pytest.mark.parametrize("daemonise", [False, True], ids=["group", "daemonised"])
@pytest.mark.parametrize("holds", ["stdout", "stderr", "pipe"])
async def test_fault_9_a_grandchild_that_holds_something_delays_the_end_by_the_drain_alone(
    holds: Literal["stdout", "stderr", "pipe"], daemonise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grandchild lives until the session has ended, so an end that awaited it would never come."""
    monkeypatch.setattr("accuser._engine.session.DRAIN", 0.1)
    daemon = FaultyDaemon(ready(), fork(holds, daemonise=daemonise), await_sigterm(), event("last.v0", 1))
    async with daemon.open() as accuser:
        start = accuser.start_mark()
        grandchild = int((await accuser.wait_for_line(r"^forked (\d+)$", since=start))[1])
        last = accuser.expect("last.v0")
        with trio.fail_after(60):
            await accuser.terminate()
        assert accuser.exit_status == 127
        assert await last == 1
    await wait_for_end(grandchild)


@pytest.mark.parametrize("bad", [b"{broken\\n", b'{"a":"\\xff"}\\n', b"7\\n"])
async def test_fault_10_a_malformed_line_costs_itself_alone(tmp_path: Path, bad: bytes) -> None:
    body = f"""
        ready()
        raw({bad!r}.decode("unicode_escape").encode("latin-1"))
        event("after.v0", "1")
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        assert await accuser.wait_for("after.v0", since=accuser.start_mark()) == 1
        assert accuser.malformed == 1


async def test_fault_11_an_item_without_a_time_or_an_array_fails_nothing(tmp_path: Path) -> None:
    body = """
        ready()
        raw(b'{"fd-sink-item.v0":{"hostname":"h","section":[],"event":{"a.v0":1}}}\\n[1,2]\\n')
        event("after.v0")
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        await accuser.wait_for("after.v0", since=accuser.start_mark())
        assert accuser.malformed == 2


async def test_fault_12_nothing_is_dropped_silently(tmp_path: Path) -> None:
    body = """
        ready()
        raw(item("two.v0").replace(b'"two.v0":{}', b'"x":1,"y":2'))
        raw(item("first.v0")[:-1] + item("second.v0"))
        raw(item("half.v0")[:40])
        os._exit(0)
    """
    names: list[str] = []
    pieces: list[Any] = []
    async with ScriptedDaemon(body).open(folder=tmp_path, may_exit=True) as accuser:
        async with accuser.subscribe(since=accuser.start_mark()) as events:
            seen = [event async for event in events]
        names = [event.name for event in seen]
        pieces.append(accuser.malformed)
    assert names == ["", "first.v0", "second.v0"]
    assert seen[0].value == {"x": 1, "y": 2}
    assert pieces == [1]


async def test_fault_13_pretty_printed_items_cost_a_record_a_line(tmp_path: Path) -> None:
    body = """
        ready()
        raw(b'{\\n  "fd-sink-item.v0":\\n' * 5000)
        event("after.v0")
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        await accuser.wait_for("after.v0", since=accuser.start_mark())
        assert accuser.malformed == 10_000


async def test_fault_14_a_handler_that_raises_is_named_with_daemon_and_event(tmp_path: Path) -> None:
    def my_handler(event: object) -> None:
        raise ValueError("mine")

    with pytest.raises(HandlerFailed) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, name="guard") as accuser:
            accuser.on_event(my_handler)
            await accuser.restart()
            await accuser.wait_for("never.v0")
    assert "my_handler of guard failed on started.v0: ValueError('mine')" in str(caught.value)
    remove_kept(caught.value)


async def test_faults_15_and_16_output_is_bounded_with_and_without_line_ends(tmp_path: Path) -> None:
    body = """
        ready()
        for _ in range(200):
            os.write(2, b"some words of a daemon\\n" * 1000)
        for _ in range(300):
            os.write(1, b"x" * 100_000)
        event("done.v0")
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        await accuser.wait_for("done.v0", since=accuser.start_mark())
        await accuser.terminate()
        for history in (accuser._session.stdout, accuser._session.stderr):
            assert sum(len(block.raw) for block in history._blocks) <= history.limit + 65536
        # Nearly all of it was dropped.
        assert accuser._session.stderr.next_index == 200_000
        assert accuser._session.stderr.first_index > 100_000
