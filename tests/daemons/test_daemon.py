"""The life of a daemon: start, waits, handlers, every way to end."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trio

from accuser import (
    SANDBOX,
    Accuser,
    AlreadyRunning,
    BinaryNotFound,
    Client,
    DaemonExited,
    DirectoryError,
    Endpoint,
    EventPipeError,
    EventTimeout,
    HandlerFailed,
    NodeUnreachable,
    NotRunning,
    PortTaken,
    Protocol,
    SpawnFailed,
    TerminatedBeforeEvent,
    installed,
    open_accuser,
    open_node,
)
from accuser._logs import unlogged
from tests.support.kept import remove_kept
from tests.support.standin import (
    FOLLOWS_SIGTERM,
    NODE,
    open_standin,
    write_standin,
)

COUNTS = """
ready()
for number in range(5):
    event("count.v0", str(number))
until_term()
event("last.v0", '"words"')
os._exit(127)
"""

IGNORES_SIGTERM = """
ready()
event("started.v0")
while True:
    time.sleep(100)
"""


def gone(pid: int | None) -> bool:
    assert pid is not None
    return not Path(f"/proc/{pid}").exists()


async def wait_for_end(pid: int) -> None:
    """Wait for the end of a process that is no child of this one."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        await trio.lowlevel.checkpoint()
        return
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


# Command line and environment.


async def test_the_command_line_and_environment_are_upstreams(tmp_path: Path) -> None:
    body = """
        import json
        ready()
        event("seen.v0", json.dumps([sys.argv[1:], os.environ["MAVRYK_EVENTS_CONFIG"], os.environ["KEPT"]]))
        until_term()
    """
    os.environ["KEPT"] = "yes"
    try:
        async with open_standin(tmp_path, body, preserved_levels=3) as accuser:
            argv, sink, kept = await accuser.wait_for("seen.v0", since=accuser.start_mark())
            base_dir = str(accuser.base_dir)
            assert argv == ["-E", NODE.url, "--base-dir", base_dir, "run", "--preserved-levels", "3"]
            assert sink == f"file-descriptor-path://{accuser.event_pipe}?section-prefix=:info"
            assert kept == "yes"
            assert accuser.event_pipe.name == "accuser1-event-pipe"
            assert accuser.base_dir.name == "accuser1"
            assert accuser.node_rpc_port == 9
    finally:
        del os.environ["KEPT"]


async def test_the_event_level_of_a_run_holds_for_a_restart(tmp_path: Path) -> None:
    body = """
        import json
        ready()
        event("seen.v0", json.dumps(os.environ["MAVRYK_EVENTS_CONFIG"].partition("?")[2]))
        until_term()
    """
    path = write_standin(tmp_path, body)
    async with open_accuser(
        Protocol.BOREAS, NODE, path=path, event_level="debug", unknown_events=True
    ) as accuser:
        for _ in range(2):
            assert await accuser.wait_for("seen.v0", since=accuser.start_mark()) == "section-prefix=:debug"
            await accuser.restart()


async def test_the_last_section_level_given_comes_first_in_the_query(tmp_path: Path) -> None:
    body = """
        import json
        ready()
        event("seen.v0", json.dumps(os.environ["MAVRYK_EVENTS_CONFIG"].partition("?")[2]))
        until_term()
    """
    accuser = Accuser(Protocol.BOREAS, NODE, path=write_standin(tmp_path, body), unknown_events=True)

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await accuser.run(event_sections_levels=(("s1", "debug"), ("s2", "none")), task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        query = await accuser.wait_for("seen.v0", since=accuser.start_mark())
        assert query == "section-prefix=s2:none&section-prefix=s1:debug&section-prefix=:info"
        await accuser.terminate()


def test_names_and_colors_cycle_and_given_ones_take_no_place() -> None:
    accusers = [Accuser(Protocol.BOREAS, NODE, name=name) for name in (None, "mine", None, None)]
    assert [accuser.name for accuser in accusers] == ["accuser1", "mine", "accuser2", "accuser3"]
    assert [accuser.color for accuser in accusers] == [
        "\033[43m\033[30m",
        "\033[43m\033[37m",
        "\033[43m\033[34m",
        "\033[43m\033[30m",
    ]


async def test_standard_input_stays_open(tmp_path: Path) -> None:
    body = """
        import select
        ready()
        event("input.v0", "true" if select.select([0], [], [], 0)[0] else "false")
        until_term()
    """
    async with open_standin(tmp_path, body) as accuser:
        assert await accuser.wait_for("input.v0", since=accuser.start_mark()) is False


# Waiting.


async def test_a_filter_chooses_and_converts(tmp_path: Path) -> None:
    async with open_standin(tmp_path, COUNTS) as accuser:
        start = accuser.start_mark()
        doubled = await accuser.wait_for("count.v0", lambda n: n * 2 if n > 2 else None, since=start)
        assert doubled == 6


async def test_full_gives_the_whole_item(tmp_path: Path) -> None:
    async with open_standin(tmp_path, COUNTS) as accuser:
        item = await accuser.wait_for("count.v0", since=accuser.start_mark(), full=True)
    assert item == {
        "fd-sink-item.v0": {"hostname": "h", "time_stamp": 1.5, "section": ["s"], "event": {"count.v0": 0}}
    }


async def test_a_wait_registered_before_the_run_is_honoured(tmp_path: Path) -> None:
    accuser = Accuser(Protocol.BOREAS, NODE, path=write_standin(tmp_path, COUNTS), unknown_events=True)
    early = accuser.expect("count.v0")
    async with trio.open_nursery() as nursery:
        await nursery.start(accuser.run)
        assert await early == 0
        await accuser.terminate()


async def test_an_expectation_begins_with_the_call(tmp_path: Path) -> None:
    async with open_standin(tmp_path, COUNTS) as accuser:
        last = accuser.expect("last.v0")
        await accuser.terminate()
        assert await last == "words"
        assert await last == "words"
        assert last.value == "words"


async def test_an_expectation_around_a_block_waits_at_its_end(tmp_path: Path) -> None:
    async with open_standin(tmp_path, COUNTS) as accuser:
        async with accuser.expect("last.v0") as last:
            await accuser.terminate()
        assert last.value == "words"


def test_the_value_of_an_expectation_before_its_end_is_an_error() -> None:
    accuser = Accuser(Protocol.BOREAS, NODE, unknown_events=True)
    with pytest.raises(RuntimeError, match="not been awaited"):
        _ = accuser.expect("any.v0").value


async def test_a_filter_that_raises_hurts_its_own_wait_alone(tmp_path: Path) -> None:
    async with open_standin(tmp_path, COUNTS) as accuser:
        start = accuser.start_mark()
        with pytest.raises(ZeroDivisionError) as caught:
            await accuser.wait_for("count.v0", lambda n: 1 // n, since=start)
        assert caught.value.__notes__ == ["in the filter for event count.v0 of accuser1"]
        assert await accuser.wait_for("count.v0", lambda n: n == 4 or None, since=start) is True


async def test_a_wait_that_times_out_tells_the_facts(tmp_path: Path) -> None:
    async with open_standin(tmp_path, COUNTS) as accuser:
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
    async with open_standin(tmp_path, COUNTS) as accuser, trio.open_nursery() as nursery:
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
    async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
        await accuser.terminate()
        for wait in (accuser.wait_for("any.v0", timeout=None), accuser.wait_for_ready(timeout=None)):
            with pytest.raises(TerminatedBeforeEvent) as caught:
                await wait
            assert caught.value.status == 127


async def test_subscribers_see_everything_and_the_end(tmp_path: Path) -> None:
    async with open_standin(tmp_path, COUNTS) as accuser:
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
    accuser = Accuser(Protocol.BOREAS, NODE, path=write_standin(tmp_path, body), unknown_events=True)
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
        async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
            accuser.on_event(broken)
            await accuser.restart()
            await trio.sleep_forever()
    error = caught.value
    assert (error.daemon, error.what) == ("accuser1", "started.v0")
    assert "broken" in error.handler
    assert isinstance(error.__cause__, KeyError)
    assert gone(accuser.pid)
    remove_kept(error)


async def test_an_exit_in_a_handler_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
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
        async with open_standin(
            tmp_path, "ready(); line('to be logged'); line('to be logged'); event('after.v0'); until_term()"
        ) as accuser:
            await accuser.wait_for("after.v0", since=accuser.start_mark())
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert unlogged.lines == 2
    assert capsys.readouterr().err.count("a log line was lost: OSError('the log is full')") == 1


async def test_events_are_logged_and_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "accuser")
    async with open_standin(tmp_path, COUNTS) as accuser:
        accuser.log_events(max_length=3)
        await accuser.terminate()
    assert '[accuser1] Received event: last.v0 = "wo[...]' in caplog.messages


async def test_output_is_logged_with_the_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "accuser")
    async with open_standin(tmp_path, FOLLOWS_SIGTERM, name="guard") as accuser:
        path = accuser.event_pipe.parent / "guard"
    lines = caplog.messages
    assert "[guard] Waiting for protocol 002-PtBoreas to start..." in lines
    assert any(line.endswith(f"-E {NODE.url} --base-dir {path} run") for line in lines)


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
    async with open_standin(tmp_path, body) as accuser:
        await accuser.wait_for("done.v0", since=accuser.start_mark())


async def test_readiness_without_a_line_end_counts(tmp_path: Path) -> None:
    body = """
        opened()
        os.write(1, READY.encode())
        until_term()
    """
    async with open_standin(tmp_path, body) as accuser:
        assert accuser.state == "running"


# Ways to end.


async def test_terminate_and_kill_do_nothing_twice_or_before_the_start(tmp_path: Path) -> None:
    accuser = Accuser(
        Protocol.BOREAS, NODE, path=write_standin(tmp_path, FOLLOWS_SIGTERM), unknown_events=True
    )
    await accuser.terminate()
    await accuser.kill()
    assert accuser.exit_status is None
    async with trio.open_nursery() as nursery:
        await nursery.start(accuser.run)
        await accuser.wait_for_ready()
        async with trio.open_nursery() as both:
            both.start_soon(accuser.terminate)
            both.start_soon(accuser.terminate)
        assert accuser.exit_status == 127
        await accuser.terminate()
        await accuser.kill()
    assert not accuser.running


async def test_kill_delivers_what_was_written(tmp_path: Path) -> None:
    async with open_standin(tmp_path, COUNTS) as accuser:
        await accuser.wait_for("count.v0", lambda n: n == 4 or None, since=accuser.start_mark())
        await accuser.kill()
        assert accuser.exit_status == -signal.SIGKILL
        assert gone(accuser.pid)


async def test_a_daemon_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    async with open_standin(tmp_path, IGNORES_SIGTERM) as accuser:
        await accuser.wait_for("started.v0", since=accuser.start_mark())
        await accuser.terminate(timeout=0.1)
        assert accuser.exit_status == -signal.SIGKILL


async def test_a_stopped_daemon_terminates(tmp_path: Path) -> None:
    async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
        await accuser.wait_for("started.v0", since=accuser.start_mark())
        accuser.pause()
        await accuser.terminate()
        assert accuser.exit_status == 127


async def test_the_whole_group_ends(tmp_path: Path) -> None:
    body = """
        ready()
        child = os.fork()
        if child == 0:
            while True:
                time.sleep(100)
        event("child.v0", str(child))
        until_term()
        os._exit(127)
    """
    async with open_standin(tmp_path, body) as accuser:
        grandchild = await accuser.wait_for("child.v0", since=accuser.start_mark())
        await accuser.terminate()
        assert accuser.exit_status == 127
        with trio.fail_after(30):
            await wait_for_end(grandchild)


async def test_an_exit_that_nobody_asked_for_ends_the_block(tmp_path: Path) -> None:
    body = """
        ready()
        line("what went wrong", 2)
        sys.exit(3)
    """
    with pytest.raises(DaemonExited) as caught:
        async with open_standin(tmp_path, body):
            await trio.sleep_forever()
    error = caught.value
    assert (error.daemon, error.status, error.tail) == ("accuser1", 3, ("what went wrong",))
    assert str(error) == "accuser1 ended unasked: exit status 3; its last output:\n  what went wrong"
    remove_kept(error)


async def test_an_exit_before_readiness_says_why(tmp_path: Path) -> None:
    with pytest.raises(DaemonExited) as caught:
        async with open_standin(tmp_path, "line('bad start', 2); os.kill(os.getpid(), 9)"):
            pytest.fail("it is not ready")
    assert caught.value.status == -signal.SIGKILL
    assert "killed by SIGKILL" in str(caught.value)
    assert caught.value.tail == ("bad start",)
    remove_kept(caught.value)


async def test_a_wait_that_an_exit_ends_has_it_as_its_cause(tmp_path: Path) -> None:
    with pytest.raises(TerminatedBeforeEvent) as caught:
        async with open_standin(tmp_path, "ready(); sys.exit(3)") as accuser:
            await accuser.wait_for("never.v0")
    assert caught.value.status == 3
    assert isinstance(caught.value.__cause__, DaemonExited)
    remove_kept(caught.value)


async def test_an_exit_that_may_be_is_no_error(tmp_path: Path) -> None:
    async with open_standin(tmp_path, "ready(); sys.exit(3)", may_exit=True) as accuser:
        with pytest.raises(TerminatedBeforeEvent):
            await accuser.wait_for("never.v0")
    assert accuser.exit_status == 3


async def test_an_error_in_the_block_stops_the_daemon_and_keeps_its_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine") as caught:
        async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
            raise ValueError("mine")
    assert gone(accuser.pid)
    assert accuser.exit_status == 127
    remove_kept(caught.value)


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.01, 0.02, 0.05, 0.1])
async def test_cancelling_at_any_time_leaves_nothing(tmp_path: Path, delay: float) -> None:
    with trio.move_on_after(delay) as scope:
        async with open_standin(tmp_path, FOLLOWS_SIGTERM):
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_cancelling_at_every_checkpoint_of_a_start_leaves_nothing(tmp_path: Path) -> None:
    """The n-th checkpoint of the task is the one that is cancelled, for every n to the end."""
    path = write_standin(tmp_path, FOLLOWS_SIGTERM)
    for count in range(100):
        instrument = _CancelAtStep(count)
        with trio.CancelScope() as scope:
            instrument.scope = scope
            trio.lowlevel.add_instrument(instrument)
            try:
                async with open_accuser(Protocol.BOREAS, NODE, path=path):
                    pass
            finally:
                instrument.stop()
        if not instrument.fired:
            break
    else:
        pytest.fail("the start has more steps than expected")
    assert count > 10


class _CancelAtStep(trio.abc.Instrument):
    def __init__(self, count: int) -> None:
        self.left = count
        self.fired = False
        self.scope: trio.CancelScope | None = None

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.left == 0 and not self.fired and self.scope is not None:
            self.fired = True
            self.scope.cancel()
        self.left -= 1

    def stop(self) -> None:
        self.scope = None
        trio.lowlevel.remove_instrument(self)


async def test_cancelling_terminate_lets_the_stop_go_on(tmp_path: Path) -> None:
    async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
        with trio.CancelScope() as scope:
            scope.cancel()
            await accuser.terminate()
        await accuser.terminate(timeout=60)
        assert accuser.exit_status == 127


# Restart.


async def test_restart_keeps_handlers_and_ends_waits(tmp_path: Path) -> None:
    async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
        names: list[str] = []
        accuser.on_event(lambda event: names.append(event.name))
        first, pending = accuser.pid, accuser.expect("never.v0")
        directory = accuser.base_dir
        await accuser.restart()
        assert accuser.pid != first
        assert accuser.base_dir == directory
        with pytest.raises(TerminatedBeforeEvent):
            await pending
        await accuser.wait_for("started.v0", since=accuser.start_mark())
        assert names.count("started.v0") >= 1


async def test_restart_of_an_ended_daemon_runs_it_in_its_block(tmp_path: Path) -> None:
    async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
        await accuser.terminate()
        await accuser.restart()
        assert accuser.running


async def test_restarts_of_an_ended_daemon_that_overlap_are_one(tmp_path: Path) -> None:
    async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
        await accuser.terminate()
        pids: list[int | None] = []

        async def restart() -> None:
            await accuser.restart()
            pids.append(accuser.pid)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(restart)
        assert pids == [accuser.pid] * 3
        assert accuser.state == "running"
        await accuser.restart()
        assert accuser.pid != pids[0]


async def test_terminate_wins_over_the_restart_of_an_ended_daemon(tmp_path: Path) -> None:
    async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
        await accuser.terminate()
        async with trio.open_nursery() as nursery:

            async def restart() -> None:
                with pytest.raises(TerminatedBeforeEvent):
                    await accuser.restart()

            nursery.start_soon(restart)
            nursery.start_soon(restart)
            for _ in range(2):  # both have begun
                await trio.lowlevel.checkpoint()
            assert accuser.running
            await accuser.terminate()
            assert not accuser.running


async def test_restart_of_a_daemon_without_a_nursery_says_how_to_start_it() -> None:
    accuser = Accuser(Protocol.BOREAS, NODE)
    with pytest.raises(NotRunning, match=r"nursery\.start\(accuser\.run\)"):
        await accuser.restart()
    assert accuser.state == "not started"


async def test_restart_after_the_nursery_has_closed_says_how_to_start_it(tmp_path: Path) -> None:
    path = write_standin(tmp_path, FOLLOWS_SIGTERM)
    async with trio.open_nursery() as nursery:
        accuser = await Accuser.init(nursery, Protocol.BOREAS, NODE, path=path)
        await accuser.terminate()
    with pytest.raises(NotRunning, match=r"nursery\.start\(accuser\.run\)"):
        await accuser.restart()
    assert accuser.state == "ended"


SLOW_TO_STOP = """
ready()
event("started.v0")
until_term()
time.sleep(0.3)
event("stopping.v0")
os._exit(127)
"""


async def test_a_cancelled_restart_does_not_outlive_its_block(tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with open_standin(tmp_path, SLOW_TO_STOP) as accuser:
            with trio.move_on_after(0.05) as scope:
                await accuser.restart()
            assert scope.cancelled_caught
    assert not accuser.running


async def test_terminate_wins_over_a_restart(tmp_path: Path) -> None:
    async with open_standin(tmp_path, SLOW_TO_STOP) as accuser:
        async with trio.open_nursery() as nursery:

            async def restart() -> None:
                with pytest.raises(TerminatedBeforeEvent):
                    await accuser.restart()

            nursery.start_soon(restart)
            await trio.testing.wait_all_tasks_blocked()
            await accuser.terminate()
            assert not accuser.running


async def test_restarts_that_overlap_are_one(tmp_path: Path) -> None:
    async with open_standin(tmp_path, SLOW_TO_STOP) as accuser:
        starts: list[str] = []
        accuser.on_event(lambda event: starts.append(event.name))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accuser.restart)
            nursery.start_soon(accuser.restart)
        await accuser.terminate()
        assert starts.count("stopping.v0") == 2


async def test_an_init_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    path = write_standin(tmp_path, "opened(); until_term()")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.1) as scope:
                await Accuser.init(nursery, Protocol.BOREAS, NODE, path=path)
            assert scope.cancelled_caught


async def test_an_exit_just_before_the_end_of_the_block_is_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(DaemonExited) as caught:
        async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
            assert accuser.pid is not None
            os.kill(accuser.pid, signal.SIGKILL)
            os.waitid(os.P_PID, accuser.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - nobody may notice
    assert caught.value.status == -signal.SIGKILL
    remove_kept(caught.value)


# Mistakes.


async def test_run_while_running(tmp_path: Path) -> None:
    async with open_standin(tmp_path, FOLLOWS_SIGTERM) as accuser:
        with pytest.raises(AlreadyRunning, match="accuser accuser1 is already running"):
            await accuser.run()
        assert accuser.running


async def test_a_missing_binary_tells_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAVKIT_BIN_DIR", "/nowhere/by/variable")
    monkeypatch.setenv("PATH", "/nowhere/on/path")
    with pytest.raises(BinaryNotFound) as caught:
        async with open_accuser(Protocol.ALPHA, NODE, toolchain=installed(tmp_path)):
            pytest.fail("it cannot run")
    assert caught.value.binary == "mavkit-accuser-alpha"
    assert caught.value.searched == (
        f"{tmp_path} (the argument bin_dir)",
        "/nowhere/by/variable (the environment variable MAVKIT_BIN_DIR)",
        "/nowhere/on/path (PATH)",
    )
    assert "SANDBOX" in str(caught.value)


async def test_a_file_that_cannot_be_executed(tmp_path: Path) -> None:
    path = tmp_path / "mavkit-accuser-PtBoreas"
    path.write_text("no program")
    with pytest.raises(SpawnFailed, match="Permission denied") as caught:
        async with open_accuser(Protocol.BOREAS, NODE, path=path):
            pytest.fail("it cannot run")
    assert caught.value.command[0] == str(path)


@pytest.mark.parametrize(
    ("pipe", "reason"),
    [
        ("/proc/pipe", "cannot be made"),
        ("/tmp/no/such/folder/pipe", "cannot be made: No such file or directory"),
        ("relative", "must be absolute"),
        ("/tmp/with blank", "other characters"),
        ("/tmp/café", "other characters"),
    ],
)
async def test_an_event_pipe_that_cannot_be(tmp_path: Path, pipe: str, reason: str) -> None:
    with pytest.raises(EventPipeError, match=reason) as caught:
        async with open_standin(tmp_path, FOLLOWS_SIGTERM, event_pipe=pipe):
            pytest.fail("it cannot run")
    assert caught.value.path == Path(pipe)


async def test_an_event_pipe_in_use_is_not_shared(tmp_path: Path) -> None:
    path = Path(os.environ["TMPDIR"]) / "pipe"
    async with open_standin(tmp_path, FOLLOWS_SIGTERM, event_pipe=path) as first:
        with pytest.raises(EventPipeError, match="in use"):
            async with open_standin(tmp_path, FOLLOWS_SIGTERM, event_pipe=path):
                pytest.fail("it cannot run")
        assert first.running
    assert not path.exists()


async def test_a_pipe_that_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    path = Path(os.environ["TMPDIR"]) / "pipe"
    os.mkfifo(path)
    async with open_standin(tmp_path, FOLLOWS_SIGTERM, event_pipe=path):
        pass
    assert not path.exists()


async def test_a_temporary_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("/proc", str(tmp_path / "missing")):
        monkeypatch.setattr(tempfile, "tempdir", place)
        with pytest.raises(DirectoryError, match="TMPDIR"):
            async with open_standin(tmp_path, FOLLOWS_SIGTERM):
                pytest.fail("it cannot run")


async def test_a_node_that_is_not_there() -> None:
    endpoint = Endpoint("http://127.0.0.1:1")
    with pytest.raises(NodeUnreachable) as caught:
        async with open_accuser(Protocol.BOREAS, endpoint):
            pytest.fail("there is no node")
    assert caught.value.url == "http://127.0.0.1:1"


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'wait_timout'; did you mean 'wait_timeout'"):
        Accuser(Protocol.BOREAS, NODE, wait_timout=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'colour'"):
        Client(NODE, colour="")  # type: ignore[call-arg]
    accuser = Accuser(Protocol.BOREAS, NODE)
    with pytest.raises(TypeError, match="'timout'; did you mean 'timeout'"):
        accuser.expect("started.v0", timout=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="'stderr'"):
        accuser.expect_line("x", stderr=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'foo'"):
        accuser.expect_no("started.v0", within=1, foo=1, unknown=True)  # type: ignore[call-arg]


def test_preserved_levels_are_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        Accuser(Protocol.BOREAS, NODE, preserved_levels=-1)


def test_an_endpoint_is_a_url() -> None:
    with pytest.raises(ValueError, match="no URL"):
        Endpoint("localhost:8732")


@pytest.mark.parametrize("port", ["rpc_port", "net_port"])
async def test_a_port_that_is_taken_is_told_from_a_crash(port: str) -> None:
    async with open_node(toolchain=SANDBOX) as first:
        with pytest.raises(PortTaken) as caught:
            async with open_node(toolchain=SANDBOX, **{port: getattr(first, port)}):
                pytest.fail("it runs")
    assert caught.value.address == f"127.0.0.1:{getattr(first, port)}"
    assert caught.value.status == 1
    remove_kept(caught.value)
