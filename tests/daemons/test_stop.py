"""How daemons end."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser import (
    Accuser,
    Daemon,
    DaemonExited,
    Node,
    NotRunning,
    Protocol,
    SpawnFailed,
    TerminatedBeforeEvent,
    open_accuser,
    open_daemon,
)
from accuser._hosts.owner.child import Child
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.counting import COUNTS, gone
from tests.support.kept import remove_kept
from tests.support.proc import state_of
from tests.support.scripts import FOLLOWS_SIGTERM

IGNORES_SIGTERM = """
ready()
event("started.v0")
while True:
    time.sleep(100)
"""


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


# Ways to end.


async def test_terminate_and_kill_do_nothing_twice_or_before_the_start(tmp_path: Path) -> None:
    accuser = Accuser(
        Protocol.BOREAS, NO_NODE, path=ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path), unknown_events=True
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
    async with ScriptedDaemon(COUNTS).open(folder=tmp_path) as accuser:
        await accuser.wait_for("count.v0", lambda n: n == 4 or None, since=accuser.start_mark())
        await accuser.kill()
        assert accuser.exit_status == -signal.SIGKILL
        assert gone(accuser.pid)


async def test_a_daemon_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    async with ScriptedDaemon(IGNORES_SIGTERM).open(folder=tmp_path) as accuser:
        await accuser.wait_for("started.v0", since=accuser.start_mark())
        await accuser.terminate(timeout=0.1)
        assert accuser.exit_status == -signal.SIGKILL


@pytest.mark.parametrize("how", ["kill", "deadline", "both deadlines"])
async def test_a_kill_and_a_cancellation_at_once_lose_nothing(tmp_path: Path, how: str) -> None:
    with trio.CancelScope() as scope:
        async with ScriptedDaemon(IGNORES_SIGTERM).open(folder=tmp_path) as accuser:
            await accuser.wait_for("started.v0", since=accuser.start_mark())
            if how == "kill":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(accuser.kill)
                    await trio.lowlevel.checkpoint()
                    scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(accuser.terminate, 0.05)
                await trio.testing.wait_all_tasks_blocked()
                scope.deadline = trio.current_time() + 0.05
                if how == "both deadlines":
                    time.sleep(0.1)  # noqa: ASYNC251 - so that both have passed when the loop looks
    assert scope.cancelled_caught
    assert accuser.exit_status == -signal.SIGKILL


async def test_a_stopped_daemon_terminates(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
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
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
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
        async with ScriptedDaemon(body).open(folder=tmp_path):
            await trio.sleep_forever()
    error = caught.value
    assert (error.daemon, error.status, error.tail) == ("accuser1", 3, ("what went wrong",))
    assert str(error) == "accuser1 ended unasked: exit status 3; its last output:\n  what went wrong"
    remove_kept(error)


async def test_an_exit_before_readiness_says_why(tmp_path: Path) -> None:
    with pytest.raises(DaemonExited) as caught:
        async with ScriptedDaemon("line('bad start', 2); os.kill(os.getpid(), 9)").open(folder=tmp_path):
            pytest.fail("it is not ready")
    assert caught.value.status == -signal.SIGKILL
    assert "killed by SIGKILL" in str(caught.value)
    assert caught.value.tail == ("bad start",)
    remove_kept(caught.value)


@pytest.mark.parametrize("keeps", [True, False], ids=["a daemon with data", "an accuser"])
async def test_a_run_without_a_block_says_where_its_files_are(tmp_path: Path, keeps: bool) -> None:
    path = ScriptedDaemon("open_pipe(); sys.exit(3)").write(tmp_path)
    daemon = Daemon("indexer", path=path, keeps_directory=keeps)
    with pytest.raises(DaemonExited) as caught:
        await daemon.run()
    directory = caught.value.directory
    assert (directory, daemon.kept_directory) == (daemon.directory, daemon.directory)
    # With the last handle to it all else would go.
    del daemon
    gc.collect()
    remove_kept(caught.value)


async def test_a_run_without_a_block_that_never_began_keeps_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpawnFailed) as caught:
        await Daemon("indexer", path=tmp_path / "missing").run()
    assert not hasattr(caught.value, "__notes__")


async def test_a_wait_that_an_exit_ends_has_it_as_its_cause(tmp_path: Path) -> None:
    with pytest.raises(TerminatedBeforeEvent) as caught:
        async with ScriptedDaemon("ready(); sys.exit(3)").open(folder=tmp_path) as accuser:
            await accuser.wait_for("never.v0")
    assert caught.value.status == 3
    assert isinstance(caught.value.__cause__, DaemonExited)
    remove_kept(caught.value)


async def test_an_exit_that_may_be_is_no_error(tmp_path: Path) -> None:
    async with ScriptedDaemon("ready(); sys.exit(3)").open(folder=tmp_path, may_exit=True) as accuser:
        with pytest.raises(TerminatedBeforeEvent):
            await accuser.wait_for("never.v0")
    assert accuser.exit_status == 3


async def test_an_error_in_the_block_stops_the_daemon_and_keeps_its_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine") as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
            raise ValueError("mine")
    assert gone(accuser.pid)
    assert accuser.exit_status == 127
    remove_kept(caught.value)


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.01, 0.02, 0.05, 0.1])
async def test_cancelling_at_any_time_leaves_nothing(tmp_path: Path, delay: float) -> None:
    with trio.move_on_after(delay) as scope:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path):
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_cancelling_at_every_checkpoint_of_a_start_leaves_nothing(tmp_path: Path) -> None:
    """The n-th checkpoint of the task is the one that is cancelled, for every n to the end."""
    path = ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    for count in range(100):
        instrument = _CancelAtStep(count)
        with trio.CancelScope() as scope:
            instrument.scope = scope
            trio.lowlevel.add_instrument(instrument)
            try:
                async with open_accuser(Protocol.BOREAS, NO_NODE, path=path):
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
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        with trio.CancelScope() as scope:
            scope.cancel()
            await accuser.terminate()
        await accuser.terminate(timeout=60)
        assert accuser.exit_status == 127


async def test_what_ends_just_before_it_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """As an accuser whose node is told to stop first; the directory would be left, and nobody told."""
    path = ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    accuser = Accuser(Protocol.BOREAS, NO_NODE, path=path, unknown_events=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(accuser.run)
        assert accuser.pid is not None
        directory = accuser.directory
        os.kill(accuser.pid, signal.SIGKILL)
        while state_of(accuser.pid) != "Z":
            os.sched_yield()
        nursery.cancel_scope.cancel()
    assert accuser.exit_status == -signal.SIGKILL
    assert not directory.exists()


LAST_WORDS_OF_A_CHILD = """
ready()
parent = os.getpid()
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    event("child.v0")
    while os.getppid() == parent:
        time.sleep(0.01)
    time.sleep(0.7)  # so that the loop goes on meanwhile
    event("last.v0")
    os._exit(0)
sys.exit(until_term())
"""


def hold_up_past_exit(pid: int, seconds: float) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    time.sleep(seconds)


async def test_the_rest_of_a_group_has_its_time_although_sigkill_was_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit and the end of the grace are seen in one turn, as where a filter took long."""
    monkeypatch.setattr("accuser._engine.session.DRAIN", 30.0)
    async with ScriptedDaemon(LAST_WORDS_OF_A_CHILD).open(folder=tmp_path) as accuser:
        await accuser.wait_for("child.v0", since=accuser.start_mark())
        last = accuser.expect("last.v0")
        assert accuser.pid is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accuser.terminate, 0.5)
            for _ in range(2):  # until it has begun, and no longer
                await trio.lowlevel.checkpoint()
            hold_up_past_exit(accuser.pid, 0.5)
        assert await last == {}


LEAVES_ITS_OUTPUT_TO_ANOTHER = """
if os.fork() == 0:
    os.setsid()
    line(str(os.getpid()))
    signal.pause()
sys.exit(until_term())
"""


async def test_a_stop_after_the_exit_gives_the_outputs_no_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As it is where a process is traced: its exit is told, and it cannot be reaped yet.
    monkeypatch.setattr(Child, "has_exited", lambda _: False)
    path = ScriptedDaemon(LEAVES_ITS_OUTPUT_TO_ANOTHER).write(tmp_path)
    async with open_daemon(Daemon("leaves", path=path), may_exit=True) as daemon:
        holder = int((await daemon.wait_for_line(r"\d+", since=daemon.start_mark()))[0])
        assert daemon.pid is not None
        os.kill(daemon.pid, signal.SIGTERM)
        await wait_for_end(daemon.pid)
        await trio.testing.wait_all_tasks_blocked()
        try:
            with trio.fail_after(60):
                await daemon.terminate(timeout=1e6)
        finally:
            os.kill(holder, signal.SIGKILL)
    assert daemon.exit_status == 127


@pytest.mark.mavryk(toolchains=["memory", "sandbox"])
async def test_a_node_that_ends_takes_no_notice_of_more_signals(node: Node) -> None:
    exited = node.expect_exit()
    with contextlib.suppress(NotRunning):
        while True:
            node.signal(signal.SIGTERM)
            await trio.lowlevel.checkpoint()
    assert await exited == 127
