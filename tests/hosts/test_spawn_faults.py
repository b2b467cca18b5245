"""What fails between the start of a process and the moment at which somebody owns it: no process is lost."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from accuser import (
    AccuserError,
    CommandFailed,
    Daemon,
    EventPipeError,
    SpawnFailed,
    StatsUnavailable,
    open_daemon,
)
from accuser._hosts.local.pipe import EventPipe
from accuser._hosts.owner.child import Child, spawn
from accuser._hosts.owner.command import run_command
from accuser._hosts.owner.guardian import Guard
from tests.support.proc import children, state_of
from tests.support.scripts import SLEEPS


def refused(number: int) -> Callable[..., Any]:
    def refuse(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return refuse


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def interrupted(call: Callable[..., Any]) -> Callable[..., Any]:
    """As ``call``, and just after it a Ctrl-C."""

    def interrupt(*arguments: Any, **options: Any) -> Any:
        result = call(*arguments, **options)
        signal.raise_signal(signal.SIGINT)
        return result

    return interrupt


def sleeper(folder: Path, event_pipe: Path | None = None) -> Daemon:
    path = folder / "sleeps"
    path.write_text(f"#!{sys.executable} -IS\nimport time\nprint('up', flush=True)\ntime.sleep(600)\n")
    path.chmod(0o755)
    return Daemon("sleeps", path=path, event_pipe=event_pipe)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSYS, errno.EPERM, errno.ENODEV])
async def test_a_system_without_descriptors_of_processes_has_its_fallback(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "pidfd_open", refused(number))
    child = await spawn(SLEEPS, os.environ)
    assert not child.has_exited()
    with trio.move_on_after(0.05) as scope:
        await child.wait_exited()
    assert scope.cancelled_caught
    child.send(signal.SIGTERM)
    await child.wait_exited()
    # Not reaped by the waiting: the rest of its group can still be reached.
    assert state_of(child.pid) == "Z"
    assert child.pid in children()
    assert await child.reap() == -signal.SIGTERM
    await child.aclose()


async def test_a_python_without_pidfd_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    assert await run_command(("true",), name="x", color="") == ""
    with pytest.raises(CommandFailed):
        await run_command(("false",), name="x", color="")


async def test_a_python_without_waitid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.delattr(os, "waitid")
    child = await spawn((sys.executable, "-IS", "-c", "raise SystemExit(3)"), os.environ)
    await child.wait_exited()
    assert child.has_exited()
    assert await child.reap() == 3
    await child.aclose()


async def test_a_whole_daemon_without_descriptors_of_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "pidfd_open", refused(errno.ENOSYS))
    async with open_daemon(sleeper(tmp_path)) as daemon:
        await daemon.wait_for_line("up", since=daemon.start_mark())
        assert (await daemon.stats()).processes == 1
    assert daemon.exit_status == -signal.SIGTERM


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        RuntimeError("can't start new thread"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("place", [(Guard, "started"), (Child, "watch")], ids=lambda place: place[1])
async def test_a_failure_after_the_start_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, place: tuple[type, str]
) -> None:
    monkeypatch.setattr(*place, raising(error))
    daemon = sleeper(tmp_path)
    with pytest.raises(SpawnFailed) as caught:
        async with open_daemon(daemon):
            pytest.fail("it was started")
    assert caught.value.__cause__ is error
    assert children() == []


async def test_another_error_after_the_start_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guard, "started", raising(KeyError("x")))
    with pytest.raises(KeyError):
        await spawn(SLEEPS, os.environ)
    assert children() == []


async def test_where_no_thread_can_be_started_programs_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As where a limit on processes is nearly reached.
    monkeypatch.setattr(trio.to_thread, "run_sync", raising(RuntimeError("can't start new thread")))
    assert await run_command(("true",), name="x", color="") == ""
    async with open_daemon(sleeper(tmp_path)):
        pass
    assert children() == []


async def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("accuser._hosts.owner.executed.subprocess.Popen", refused(errno.EAGAIN))
        for start in (
            lambda: spawn(SLEEPS, os.environ),
            lambda: run_command(SLEEPS, name="x", color=""),
            lambda: open_daemon(sleeper(tmp_path)).__aenter__(),
        ):
            with pytest.raises(SpawnFailed, match="temporarily unavailable"):
                await start()
    assert children() == []


async def test_others_have_a_turn_between_starts() -> None:
    turns: list[int] = []
    started: list[Child] = []

    async def start() -> None:
        started.append(await spawn(("true",), os.environ))

    async def look() -> None:
        while len(started) < 5:
            turns.append(len(started))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(start)
        nursery.start_soon(look)
    # Of a turn's tasks any may be the first: the other one's start may lie before the look, or behind.
    assert all(after - before <= 2 for before, after in itertools.pairwise([*turns, len(started)]))
    for child in started:
        await child.reap()
        await child.aclose()


async def test_statistics_without_a_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with open_daemon(sleeper(tmp_path)) as daemon:
        with monkeypatch.context() as patch:
            patch.setattr(trio.to_thread, "run_sync", raising(RuntimeError("can't start new thread")))
            with pytest.raises(StatsUnavailable, match="can't start new thread"):
                await daemon.stats()


async def test_descriptors_run_out_at_every_step(tmp_path: Path) -> None:
    # A limit that is one higher each time meets every statement of the start that takes a descriptor.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with open_daemon(sleeper(tmp_path)):
        pass  # the guardian is there
    pipe = tmp_path / "pipe"
    lowest = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest)
    steps: list[object] = [EventPipeError, SpawnFailed, None]
    kinds: list[object] = []
    for more in range(60):
        daemon = sleeper(tmp_path, event_pipe=pipe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, hard))
        try:
            async with open_daemon(daemon):
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                kinds.append(None)
        except AccuserError as error:
            kinds.append(type(error))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert children() == []
        assert not pipe.exists()
    # First the pipe has none, then the program, then it starts.
    assert set(kinds) == set(steps)
    assert kinds == sorted(kinds, key=steps.index)


@pytest.mark.parametrize(
    "place",
    [(os, "pidfd_open"), (Guard, "started"), (EventPipe, "make")],
    ids=["pidfd_open", "started", "make"],
)
def test_an_interrupt_loses_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: tuple[Any, str]
) -> None:
    # Not the functions themselves, which are where the signal comes: what calls them must bear it.
    monkeypatch.setattr(*place, interrupted(getattr(*place)))
    daemon = sleeper(tmp_path)

    async def main() -> None:
        async with open_daemon(daemon):
            await trio.sleep_forever()

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - alone or in a group
        trio.run(main)
    assert "KeyboardInterrupt" in repr(caught.value)
    assert children() == []


def test_an_interrupt_loses_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Child, "watch", interrupted(Child.watch))
    with pytest.raises(KeyboardInterrupt):
        trio.run(lambda: run_command(SLEEPS, name="x", color=""))
    assert children() == []


async def test_a_cancelled_command_is_stopped() -> None:
    with trio.move_on_after(0.2) as scope:
        await run_command(SLEEPS, name="x", color="")
    assert scope.cancelled_caught
    assert children() == []
