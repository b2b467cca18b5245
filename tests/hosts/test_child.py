"""A child process, while several tasks have to do with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from accuser._hosts.owner.child import KILLED, Child, spawn
from accuser._hosts.owner.reader import Reader
from accuser.testing import ScriptedDaemon
from tests.support.scripts import FOLLOWS_SIGTERM, SLEEPS


def looking() -> int:
    """How many tasks look after the guardian."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    tasks = (task for nursery in root.child_nurseries for task in nursery.child_tasks)
    return sum(task.name == "accuser: looks after the guardian" for task in tasks)


async def test_all_daemons_are_looked_after_by_one_task_which_ends_with_them(tmp_path: Path) -> None:
    daemon = ScriptedDaemon(FOLLOWS_SIGTERM)
    before = trio.lowlevel.current_statistics().tasks_living
    async with daemon.open(folder=tmp_path) as first:
        async with daemon.open(folder=tmp_path) as second:
            assert first.running
            assert second.running
            assert looking() == 1
        assert looking() == 1
    assert trio.lowlevel.current_statistics().tasks_living == before
    async with daemon.open(folder=tmp_path):
        assert looking() == 1
    assert looking() == 0


@pytest.mark.parametrize("closed", [False, True])
async def test_several_tasks_hear_of_one_exit(closed: bool) -> None:
    child = await spawn(SLEEPS, os.environ)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(child.wait_exited)
        await trio.testing.wait_all_tasks_blocked()
        child.send(signal.SIGKILL)
        if closed:
            # Reaped before any of them has its turn.
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it is killed
            await child.aclose()
    assert await child.reap() == -signal.SIGKILL
    await child.aclose()


@pytest.mark.parametrize("something", [b"a line\n", b""])
async def test_a_reader_that_is_closed_when_there_is_something_says_so(something: bytes) -> None:
    theirs, ours = os.pipe()
    os.set_blocking(theirs, False)
    reader = Reader(theirs)
    outcomes: list[object] = []

    async def read() -> None:
        try:
            outcomes.append(await reader.receive_some())
        except trio.ClosedResourceError as error:
            outcomes.append(type(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        os.write(ours, something) if something else os.close(ours)
        # Whichever of the two tasks has its turn first.
        nursery.start_soon(reader.aclose)
    assert outcomes in ([something], [trio.ClosedResourceError])
    with pytest.raises(trio.ClosedResourceError):
        await reader.receive_some()
    if something:
        os.close(ours)


@attrs.define(eq=False)
class Zombie:
    """A process that has exited, and that can be collected from some time on, as one that is traced."""

    pid: int
    collected_at: float

    @property
    def returncode(self) -> int | None:
        return None if trio.current_time() < self.collected_at else 7


async def checkpoint(_: Child) -> None:
    await trio.lowlevel.checkpoint()


async def reaped(monkeypatch: pytest.MonkeyPatch, seconds: float) -> tuple[int | None, float]:
    """What a task that is cancelled gets when it reaps a zombie, and after which time."""
    child = await spawn(("true",), os.environ)
    await child.wait_exited()
    status: int | None = None
    with monkeypatch.context() as patch:
        patch.setattr(child, "process", Zombie(child.pid, trio.current_time() + seconds))
        patch.setattr(Child, "wait_exited", checkpoint)
        begun = trio.current_time()
        with trio.CancelScope() as scope:
            scope.cancel()
            status = await child.reap()
        taken = trio.current_time() - begun
        child._reaped = False
    await child.aclose()
    return status, taken


async def test_a_status_is_waited_for_although_cancelled(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    status, taken = await reaped(monkeypatch, 2)
    assert status == 7
    assert taken == pytest.approx(2, abs=0.1)


async def test_a_status_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    status, taken = await reaped(monkeypatch, 100)
    assert status is None
    assert taken == pytest.approx(KILLED)
