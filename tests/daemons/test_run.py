"""What daemons say while they run: waits, handlers, logs, output."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from accuser import (
    Accuser,
    Event,
    EventTimeout,
    HandlerFailed,
    Protocol,
    TerminatedBeforeEvent,
)
from accuser._logs import unlogged
from accuser._unwrap import plain_errors
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.counting import COUNTS, gone
from tests.support.kept import remove_kept
from tests.support.scripts import FOLLOWS_SIGTERM

# Waiting.


async def test_a_filter_chooses_and_converts(tmp_path: Path) -> None:
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        start = accuser.start_mark()
        doubled = await accuser.wait_for("count.v0", lambda n: n * 2 if n > 2 else None, since=start)
        assert doubled == 6


async def test_full_gives_the_whole_item(tmp_path: Path) -> None:
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        item = await accuser.wait_for("count.v0", since=accuser.start_mark(), full=True)
    assert item == {
        "fd-sink-item.v0": {"hostname": "h", "time_stamp": 1.5, "section": ["s"], "event": {"count.v0": 0}}
    }


async def test_a_wait_registered_before_the_run_is_honoured(tmp_path: Path) -> None:
    accuser = Accuser(
        Protocol.BOREAS, NO_NODE, path=ScriptedDaemon(COUNTS).write(tmp_path), unknown_events=True
    )
    early = accuser.expect("count.v0")
    async with trio.open_nursery() as nursery:
        await nursery.start(accuser.run)
        assert await early == 0
        await accuser.terminate()


async def test_what_has_happened_is_in_time_however_short_that_is(tmp_path: Path) -> None:
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        await accuser.wait_for_ready(timeout=0)
        first = accuser.expect("count.v0", since=accuser.start_mark(), timeout=0)
        await accuser.wait_for("count.v0", since=accuser.start_mark())
        assert await first == 0
    with pytest.raises(TerminatedBeforeEvent):
        await accuser.wait_for_ready(timeout=0)


async def test_an_expectation_begins_with_the_call(tmp_path: Path) -> None:
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        last = accuser.expect("last.v0")
        await accuser.terminate()
        assert await last == "words"
        assert await last == "words"
        assert last.value == "words"


async def test_an_expectation_around_a_block_waits_at_its_end(tmp_path: Path) -> None:
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        async with accuser.expect("last.v0") as last:
            await accuser.terminate()
        assert last.value == "words"


def test_the_value_of_an_expectation_before_its_end_is_an_error() -> None:
    accuser = Accuser(Protocol.BOREAS, NO_NODE, unknown_events=True)
    with pytest.raises(RuntimeError, match="not been awaited"):
        _ = accuser.expect("any.v0").value


async def test_a_filter_that_raises_hurts_its_own_wait_alone(tmp_path: Path) -> None:
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        start = accuser.start_mark()
        with pytest.raises(ZeroDivisionError) as caught:
            await accuser.wait_for("count.v0", lambda n: 1 // n, since=start)
        assert caught.value.__notes__ == ["in the filter for event count.v0 of accuser1"]
        assert await accuser.wait_for("count.v0", lambda n: n == 4 or None, since=start) is True


async def test_a_wait_that_times_out_tells_the_facts(tmp_path: Path) -> None:
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        with pytest.raises(EventTimeout) as caught:
            await accuser.wait_for(
                "count.v0", lambda n: None, where="never", since=accuser.start_mark(), timeout=0.05
            )
        error = caught.value
        assert (error.daemon, error.event, error.where) == ("accuser1", "count.v0", "never")
        assert error.seconds == 0.05
        assert error.report is not None
        assert (error.report.seen, error.report.pid, error.report.state) == (5, accuser.pid, "running")
        assert f"process {accuser.pid}" in error.__notes__[0]


async def test_waits_end_with_the_daemon_after_its_last_event(tmp_path: Path) -> None:
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser, trio.open_nursery() as nursery:
        order: list[str] = []

        async def wait_for_last() -> None:
            order.append(await accuser.wait_for("last.v0"))

        async def wait_for_more() -> None:
            with pytest.raises(TerminatedBeforeEvent) as caught:
                await accuser.wait_for("more.v0", where="it comes")
            order.append("ended")
            assert str(caught.value) == "accuser1 terminated before event occurred: more.v0 where it comes"
            assert caught.value.status == 127

        nursery.start_soon(wait_for_more)
        nursery.start_soon(wait_for_last)
        await trio.testing.wait_all_tasks_blocked()
        await accuser.terminate()
        nursery.cancel_scope.deadline = trio.current_time() + 30
    assert order == ["words", "ended"]


async def test_a_wait_on_a_daemon_that_has_ended_fails_at_once(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        await accuser.terminate()
        for wait in (accuser.wait_for("any.v0", timeout=None), accuser.wait_for_ready(timeout=None)):
            with pytest.raises(TerminatedBeforeEvent) as caught:
                await wait
            assert caught.value.status == 127


async def test_subscribers_see_everything_and_the_end(tmp_path: Path) -> None:
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        async with accuser.subscribe(since=accuser.start_mark()) as events:
            await accuser.wait_for("count.v0", lambda n: n == 4 or None, since=accuser.start_mark())
            await accuser.terminate()
            seen = [(event.name, event.value) async for event in events]
    assert seen == [*(("count.v0", number) for number in range(5)), ("last.v0", "words")]


# Handlers and logs.


async def test_handlers_hear_of_events_and_lines_over_restarts(tmp_path: Path) -> None:
    body = """
        ready()
        line("to the error stream", 2)
        event("started.v0", "7")
        until_term()
    """
    heard: list[Any] = []
    accuser = Accuser(
        Protocol.BOREAS, NO_NODE, path=ScriptedDaemon(body).write(tmp_path), unknown_events=True
    )
    accuser.on_event(lambda event: heard.append((event.name, event.value, event.timestamp, event.section)))
    accuser.on_stdout(heard.append)
    accuser.on_stderr(heard.append)
    async with trio.open_nursery() as nursery:
        await nursery.start(accuser.run)
        await accuser.wait_for_ready()
        await accuser.restart()
        await accuser.terminate()
    once = {
        ("started.v0", 7, 1.5, ("s",)),
        "Waiting for protocol 002-PtBoreas to start...",
        "to the error stream",
    }
    assert len(heard) == 6
    assert set(heard) == once


async def test_a_handler_that_raises_ends_the_block_and_is_named(tmp_path: Path) -> None:
    def broken(event: object) -> None:
        raise KeyError("oh")

    with pytest.raises(HandlerFailed) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
            accuser.on_event(broken)
            await accuser.restart()
            await trio.sleep_forever()
    error = caught.value
    assert (error.daemon, error.what) == ("accuser1", "started.v0")
    assert "broken" in error.handler
    assert isinstance(error.__cause__, KeyError)
    assert gone(accuser.pid)
    remove_kept(error)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_handler_that_raises_is_told_where_the_run_is_cancelled(tmp_path: Path, when: str) -> None:
    def checks(event: Event) -> None:
        assert event.name != "last.v0", "a check of the test"

    body = 'ready()\nevent("first.v0")\n'
    body += 'event("last.v0")\nuntil_term()' if when == "before" else 'until_term()\nevent("last.v0")'
    path = ScriptedDaemon(body).write(tmp_path)
    with pytest.raises(HandlerFailed) as caught, plain_errors():
        async with trio.open_nursery() as nursery:
            accuser = Accuser(Protocol.BOREAS, NO_NODE, path=path)
            accuser.on_event(checks)
            await nursery.start(accuser.run)
            await accuser.wait_for("first.v0", unknown=True, since=accuser.start_mark())
            if when == "before":
                with contextlib.suppress(TerminatedBeforeEvent):
                    await accuser.wait_for("last.v0", unknown=True, since=accuser.start_mark())
            nursery.cancel_scope.cancel()
    assert "a check of the test" in str(caught.value.__cause__)
    remove_kept(caught.value)


async def test_an_exit_in_a_handler_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
            accuser.on_event(lambda event: sys.exit(3))
            await accuser.restart()
            await trio.sleep_forever()
    assert gone(accuser.pid)


async def test_a_fault_of_a_logging_handler_is_counted_and_the_daemon_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "to be logged" in record.getMessage():
                raise OSError("the log is full")

    logger = logging.getLogger("accuser")
    handler = Broken()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    unlogged.lines = 0
    try:
        script = "ready(); line('to be logged'); line('to be logged'); event('after.v0'); until_term()"
        async with ScriptedDaemon(script).open(folder=tmp_path) as accuser:
            await accuser.wait_for("after.v0", since=accuser.start_mark())
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert unlogged.lines == 2
    assert capsys.readouterr().err.count("a log line was lost: OSError('the log is full')") == 1


async def test_events_are_logged_and_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "accuser")
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        accuser.log_events(max_length=3)
        await accuser.terminate()
    assert '[accuser1] Received event: last.v0 = "wo[...]' in caplog.messages


async def test_output_is_logged_with_the_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "accuser")
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, name="guard") as accuser:
        path = accuser.event_pipe.parent / "guard"
    lines = caplog.messages
    assert "[guard] Waiting for protocol 002-PtBoreas to start..." in lines
    assert any(line.endswith(f"-E {NO_NODE.url} --base-dir {path} run") for line in lines)


# Output that nobody asked for.


async def test_a_flood_on_both_streams_does_not_stop_the_daemon(tmp_path: Path) -> None:
    body = """
        ready()
        for _ in range(300):
            os.write(1, b"x" * 10_000 + b"\\n")
            os.write(2, b"y" * 10_000 + b"\\n")
        event("done.v0")
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        await accuser.wait_for("done.v0", since=accuser.start_mark())


async def test_readiness_without_a_line_end_counts(tmp_path: Path) -> None:
    body = """
        open_pipe()
        os.write(1, READY.encode())
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        assert accuser.state == "running"
