"""Daemons that are restarted."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser import (
    Accuser,
    DaemonExited,
    NotRunning,
    Protocol,
    TerminatedBeforeEvent,
)
from accuser._hosts.local.machine import ThisMachine
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.kept import remove_kept
from tests.support.scripts import FOLLOWS_SIGTERM

# Restart.


async def test_restart_keeps_handlers_and_ends_waits(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
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
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        await accuser.terminate()
        await accuser.restart()
        assert accuser.running


async def test_restarts_of_an_ended_daemon_that_overlap_are_one(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
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
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
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
    accuser = Accuser(Protocol.BOREAS, NO_NODE)
    with pytest.raises(NotRunning, match=r"nursery\.start\(accuser\.run\)"):
        await accuser.restart()
    assert accuser.state == "not started"


async def test_restart_after_the_nursery_has_closed_says_how_to_start_it(tmp_path: Path) -> None:
    path = ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    async with trio.open_nursery() as nursery:
        accuser = await Accuser.init(nursery, Protocol.BOREAS, NO_NODE, path=path)
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
        async with ScriptedDaemon(SLOW_TO_STOP).open(folder=tmp_path) as accuser:
            with trio.move_on_after(0.05) as scope:
                await accuser.restart()
            assert scope.cancelled_caught
    assert not accuser.running


async def test_terminate_wins_over_a_restart(tmp_path: Path) -> None:
    async with ScriptedDaemon(SLOW_TO_STOP).open(folder=tmp_path) as accuser:
        async with trio.open_nursery() as nursery:

            async def restart() -> None:
                with pytest.raises(TerminatedBeforeEvent):
                    await accuser.restart()

            nursery.start_soon(restart)
            await trio.testing.wait_all_tasks_blocked()
            await accuser.terminate()
            assert not accuser.running


async def test_restarts_that_overlap_are_one(tmp_path: Path) -> None:
    async with ScriptedDaemon(SLOW_TO_STOP).open(folder=tmp_path) as accuser:
        starts: list[str] = []
        accuser.on_event(lambda event: starts.append(event.name))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accuser.restart)
            nursery.start_soon(accuser.restart)
        await accuser.terminate()
        assert starts.count("stopping.v0") == 2


async def test_an_init_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    path = ScriptedDaemon("open_pipe(); until_term()").write(tmp_path)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.1) as scope:
                await Accuser.init(nursery, Protocol.BOREAS, NO_NODE, path=path)
            assert scope.cancelled_caught


async def test_an_exit_just_before_the_end_of_the_block_is_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(DaemonExited) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
            assert accuser.pid is not None
            os.kill(accuser.pid, signal.SIGKILL)
            os.waitid(os.P_PID, accuser.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - nobody may notice
    assert caught.value.status == -signal.SIGKILL
    remove_kept(caught.value)


@asynccontextmanager
async def left_slowly(leaves: trio.Event, may_leave: trio.Event) -> AsyncGenerator[None]:
    """A connection whose end takes its time, as that of a container."""
    yield
    leaves.set()
    with trio.CancelScope(shield=True):
        await may_leave.wait()


@pytest.mark.parametrize("way", ["restart", "run"])
async def test_the_next_run_waits_until_the_place_is_left(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves, may_leave = trio.Event(), trio.Event()
    monkeypatch.setattr(ThisMachine, "connected", lambda _: left_slowly(leaves, may_leave))
    path = ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    async with trio.open_nursery() as nursery:
        accuser = await Accuser.init(nursery, Protocol.BOREAS, NO_NODE, path=path)
        await accuser.terminate()

        async def again() -> None:
            if way == "run":
                await nursery.start(accuser.run)
                await accuser.wait_for_ready()
            else:
                await accuser.restart()

        async with trio.open_nursery() as waiting:
            waiting.start_soon(again)
            await leaves.wait()
            await trio.testing.wait_all_tasks_blocked()
            assert (accuser.state, accuser.pid) == ("starting", None)
            may_leave.set()
        assert accuser.state == "running"
        assert accuser.base_dir.is_dir()
        await accuser.terminate()
