"""Exits that a test wants, and signals."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from accuser import (
    Accuser,
    DaemonExited,
    EventTimeout,
    NotRunning,
    Protocol,
    SpawnFailed,
    TerminatedBeforeEvent,
    open_accuser,
    open_replay,
)
from accuser._hosts.owner.guardian_main import process
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.kept import remove_kept
from tests.support.scripts import FOLLOWS_SIGTERM

EXITS_ON_USR1 = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
ready()
event("started.v0")
signal.sigwait([signal.SIGUSR1])
event("last.v0", '"words"')
sys.exit(3)
"""


# Exits.


async def test_an_expected_exit_is_no_error_and_gives_the_status(tmp_path: Path) -> None:
    async with ScriptedDaemon(EXITS_ON_USR1).open(folder=tmp_path) as accuser:
        async with accuser.expect_exit() as exited:
            with pytest.raises(RuntimeError, match="not been awaited"):
                _ = exited.value
            accuser.signal(signal.SIGUSR1)
        assert exited.value == 3
        assert await exited == 3
        assert await accuser.expect_exit() == 3
        assert not accuser.running
        # What it wrote before was delivered first.
        assert await accuser.wait_for("last.v0", since=accuser.start_mark()) == "words"


async def test_a_killed_daemon_gives_the_negative_signal_and_waits_end(tmp_path: Path) -> None:
    async with ScriptedDaemon(EXITS_ON_USR1).open(folder=tmp_path) as accuser:
        exited = accuser.expect_exit()
        pending = accuser.expect("never.v0")
        accuser.signal(signal.SIGKILL)
        assert await exited == -signal.SIGKILL
        with pytest.raises(TerminatedBeforeEvent):
            await pending


async def test_an_exit_that_was_asked_for_fulfils_it(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        exited = accuser.expect_exit()
        await accuser.terminate()
        assert await exited == 127


async def test_an_expectation_that_timed_out_tolerates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "recorded"
    with pytest.raises(DaemonExited) as caught:
        async with ScriptedDaemon(EXITS_ON_USR1).open(folder=tmp_path, record=path) as accuser:
            with pytest.raises(EventTimeout, match="no exit within 0 s") as timeout:
                await accuser.expect_exit(timeout=0)
            assert timeout.value.report is not None
            assert timeout.value.report.pid == accuser.pid
            accuser.signal(signal.SIGUSR1)
            await trio.sleep_forever()
    assert caught.value.status == 3
    remove_kept(caught.value)
    entries = path.read_text()
    assert '"what":"exit","where":null' in entries
    assert '"outcome":"timed out"' in entries
    assert '"signal":"SIGUSR1"' in entries
    async with open_replay(path) as replay:
        await replay.wait_for("last.v0")


async def test_a_block_that_fails_withdraws_its_expectation(tmp_path: Path) -> None:
    with pytest.raises(DaemonExited) as caught:
        async with ScriptedDaemon(EXITS_ON_USR1).open(folder=tmp_path) as accuser:
            with pytest.raises(KeyError):
                async with accuser.expect_exit():
                    raise KeyError
            accuser.signal(signal.SIGUSR1)
            await trio.sleep_forever()
    remove_kept(caught.value)


async def test_a_cancelled_expectation_holds(tmp_path: Path) -> None:
    async with ScriptedDaemon(EXITS_ON_USR1).open(folder=tmp_path) as accuser:
        exited = accuser.expect_exit()
        with trio.CancelScope() as scope:
            scope.cancel()
            await exited
        assert scope.cancelled_caught
        accuser.signal(signal.SIGUSR1)
        assert await exited == 3


async def test_one_expectation_that_lapses_leaves_the_other(tmp_path: Path) -> None:
    async with ScriptedDaemon(EXITS_ON_USR1).open(folder=tmp_path) as accuser:
        exited = accuser.expect_exit()
        for _ in range(2):
            with pytest.raises(EventTimeout):
                await accuser.expect_exit(timeout=0)
        accuser.signal(signal.SIGUSR1)
        assert await exited == 3


async def test_it_is_about_one_session(tmp_path: Path) -> None:
    with pytest.raises(DaemonExited) as caught:
        async with ScriptedDaemon(EXITS_ON_USR1).open(folder=tmp_path) as accuser:
            async with accuser.expect_exit():
                accuser.signal(signal.SIGUSR1)
            await accuser.restart()
            accuser.signal(signal.SIGUSR1)
            await trio.sleep_forever()
    remove_kept(caught.value)


async def test_an_end_without_a_process_is_no_exit(tmp_path: Path) -> None:
    accuser = Accuser(Protocol.BOREAS, NO_NODE, path=tmp_path / "none")
    exited = accuser.expect_exit()
    with pytest.raises(SpawnFailed):
        await accuser.run()
    with pytest.raises(TerminatedBeforeEvent, match="before event occurred: exit"):
        await exited


# Signals.


async def test_a_signal_reaches_the_whole_group(tmp_path: Path) -> None:
    body = """
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGRTMIN + 1])
        who = "child" if os.fork() == 0 else "leader"
        ready()
        event(who + ".v0")
        for signum in (signal.SIGUSR1, signal.SIGRTMIN + 1):
            signal.sigwait([signum])
            event("%s_got_%d.v0" % (who, signum))
        until_term()
    """
    record = tmp_path / "recorded"
    async with ScriptedDaemon(body).open(folder=tmp_path, record=record) as accuser:
        start = accuser.start_mark()
        for who in ("leader", "child"):
            await accuser.wait_for(f"{who}.v0", since=start)
        for signum in (signal.SIGUSR1, signal.SIGRTMIN + 1):
            accuser.signal(signum)
            for who in ("leader", "child"):
                await accuser.wait_for(f"{who}_got_{int(signum)}.v0", since=start)
        await accuser.terminate()
        number = signal.SIGRTMIN + 1
        assert f'"signal":"signal {number}"' in record.read_text()


async def test_pausing_stops_the_whole_group_until_it_is_resumed(tmp_path: Path) -> None:
    body = """
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        child = os.fork()
        if child:
            ready()
        else:
            open_pipe()
        event("here.v0", "[%d, %d]" % (os.getpid(), child))
        signal.sigwait([signal.SIGUSR1])
        event("on.v0")
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        start = accuser.start_mark()
        here = await accuser.wait_for("here.v0", count=2, since=start)
        pids = [pid for pid, _ in here]
        accuser.pause()
        # Nobody tells when a grandchild stops; a signal takes its time.
        while not all(state_of(pid) == "T" for pid in pids):  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.001)
        on = accuser.expect("on.v0", count=2)
        accuser.signal(signal.SIGUSR1)
        assert [state_of(pid) for pid in pids] == ["T", "T"]
        accuser.resume()
        assert len(await on) == 2


def state_of(pid: int) -> str:
    row = process(pid)
    assert row is not None
    return row[1]


async def test_signals_that_cannot_be_sent(tmp_path: Path) -> None:
    accuser = Accuser(Protocol.BOREAS, NO_NODE, path=ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path))
    for signum in (0, -1, 12345):
        with pytest.raises(ValueError, match=f"there is no signal {signum}"):
            accuser.signal(signum)
    with pytest.raises(NotRunning, match="cannot send SIGUSR1 to accuser1: it is not running"):
        accuser.signal(signal.SIGUSR1)
    async with open_accuser(
        Protocol.BOREAS, NO_NODE, path=ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    ) as accuser:
        await accuser.kill()
        with pytest.raises(NotRunning):
            accuser.signal(signal.SIGCONT)
