"""Daemons that are restarted when they exit unasked."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser import (
    Accuser,
    AlreadyRunning,
    BinaryNotFound,
    DaemonExited,
    HandlerFailed,
    NotRunning,
    Protocol,
    Restart,
    RestartPolicy,
    RunnerError,
    RunnerFault,
    SpawnFailed,
    TerminatedBeforeEvent,
    open_replay,
)
from accuser._daemons.sessions import reason_of
from accuser._engine.supervise import Supervisor
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.kept import remove_kept
from tests.support.scripts import FOLLOWS_SIGTERM

AT_ONCE = RestartPolicy(first_delay=0)
NEVER = RestartPolicy(first_delay=1000, max_delay=1000)
"""The wait for the restart outlasts any test."""

READY = "Waiting for protocol 002-PtBoreas to start..."

RUNS = """
runs = os.path.join(os.path.dirname(sys.argv[0]), "runs")
with open(runs, "a") as file:
    file.write("x")
    run = file.tell()
"""


# The policy.


def test_delays_grow_to_a_bound() -> None:
    policy = RestartPolicy(first_delay=0.5, factor=3, max_delay=10, jitter=0)
    assert [policy.delay(attempt) for attempt in range(1, 6)] == [0.5, 1.5, 4.5, 10, 10]
    assert policy.delay(10_000) == 10
    assert RestartPolicy(first_delay=0).delay(10_000) == 0


def test_jitter_makes_delays_shorter_by_up_to_its_part() -> None:
    chances = iter([0.0, 0.5, 1.0])
    policy = RestartPolicy(first_delay=8, jitter=0.25, random=lambda: next(chances))
    assert [policy.delay(1) for _ in range(3)] == [8, 7, 6]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": -1}, "limit must not be negative, and is -1"),
        ({"first_delay": -0.1}, "first_delay must be a number from 0 on, and is -0.1"),
        ({"max_delay": math.inf}, "max_delay must be a number from 0 on, and is inf"),
        ({"reset_after": math.nan}, "reset_after must be a number from 0 on, and is nan"),
        ({"factor": 0.5}, "factor must be at least 1, and is 0.5"),
        ({"jitter": 1.5}, "jitter must be from 0 to 1, and is 1.5"),
    ],
)
def test_policies_that_make_no_sense(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RestartPolicy(**options)  # type: ignore[arg-type]  # options, by a parameter


def test_restarts_in_a_row_are_counted_until_one_runs_long() -> None:
    supervisor = Supervisor(RestartPolicy(limit=2, jitter=0, reset_after=60))
    assert supervisor.next(1, 0.1, ("said",)) == Restart(1, 1, 1.0, ("said",))
    assert supervisor.next(1, 59.9, ()) == Restart(1, 2, 2.0, ())
    assert supervisor.next(1, 60.0, ()) == Restart(1, 1, 1.0, ())
    assert supervisor.next(1, 0.1, ()) == Restart(1, 2, 2.0, ())
    assert supervisor.next(1, 0.1, ()) is None
    endless = Supervisor(RestartPolicy(limit=None))
    assert all(endless.next(1, 0.1, ()) for _ in range(2000))


# Daemons.


async def test_a_daemon_that_exits_unasked_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Restart] = []
    seen: list[object] = []
    record = tmp_path / "recorded"
    body = RUNS + 'ready()\nevent("run.v0", str(run))\nuntil_term()'
    async with ScriptedDaemon(body).open(folder=tmp_path, restart=AT_ONCE, record=record) as accuser:
        accuser.on_restart(heard.append)
        accuser.on_event(lambda event: seen.append(event.value))
        assert await accuser.wait_for("run.v0", since=accuser.start_mark()) == 1
        first = accuser.pid
        pending = accuser.expect("never.v0")
        accuser.signal(signal.SIGKILL)
        # Waits are about a session; when one has ended, the next can be waited for at once.
        with pytest.raises(TerminatedBeforeEvent):
            await pending
        await accuser.wait_for_ready()
        assert await accuser.wait_for("run.v0", since=accuser.start_mark()) == 2
        assert accuser.pid != first
        assert heard == [Restart(-signal.SIGKILL, 1, 0.0, (READY,))]
        assert accuser.restarts == 1
        assert (await accuser.stats()).restarts == 1
        assert seen[-1] == 2  # the first may have come before there was a handler
        await accuser.terminate()
        assert accuser.restarts == 1
    (message,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert message == "[accuser1] ended unasked: killed by SIGKILL; restart 1 in 0 s"
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    (entry,) = [entry for entry in entries if entry["type"] == "restart"]
    assert (entry["session"], entry["status"], entry["attempt"], entry["delay"]) == (2, -9, 1, 0.0)
    async with open_replay(record) as replay:
        assert await replay.wait_for("run.v0") == 1


async def test_when_the_limit_is_reached_the_exit_ends_the_block(tmp_path: Path) -> None:
    policy = RestartPolicy(limit=2, first_delay=0)
    with pytest.raises(
        DaemonExited, match="accuser1 ended unasked after 2 restarts: exit status 3"
    ) as caught:
        async with ScriptedDaemon(RUNS + "ready()\nwhile run < 3: signal.pause()\nsys.exit(3)").open(
            folder=tmp_path, restart=policy
        ) as accuser:
            for _ in range(2):
                accuser.signal(signal.SIGKILL)
                with pytest.raises(TerminatedBeforeEvent):
                    await accuser.wait_for("never.v0")
                await accuser.wait_for_ready()
            await trio.sleep_forever()
    assert caught.value.restarts == 2
    assert (tmp_path / "runs").read_text() == "xxx"
    remove_kept(caught.value)


async def test_a_daemon_that_dies_before_it_is_ready_is_tried_again(tmp_path: Path) -> None:
    body = RUNS + "if run < 3: sys.exit(run)\nready()\nuntil_term()"
    async with ScriptedDaemon(body).open(folder=tmp_path, restart=AT_ONCE) as accuser:
        assert accuser.restarts == 2
        await accuser.kill()
    with pytest.raises(DaemonExited, match="after 1 restart: exit status 4") as caught:
        async with ScriptedDaemon("sys.exit(4)").open(
            folder=tmp_path, restart=RestartPolicy(limit=1, first_delay=0)
        ):
            raise AssertionError
    remove_kept(caught.value)


async def test_a_restart_that_fails_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Restart] = []
    path, record = (
        ScriptedDaemon("ready()\nos.unlink(sys.argv[0])\nsys.exit(3)").write(tmp_path),
        tmp_path / "r",
    )
    policy = RestartPolicy(limit=2, first_delay=0)
    accuser = Accuser(Protocol.BOREAS, NO_NODE, path=path, restart=policy, record=record)
    accuser.on_restart(heard.append)
    with pytest.raises(SpawnFailed) as caught:
        await accuser.run()
    assert [(restart.status, restart.reason) for restart in heard] == [(3, None), (None, str(caught.value))]
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert said[1] == f"[{accuser.name}] is down: {caught.value}; restart 2 in 0 s"
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    told = [entry.get("reason") for entry in entries if entry["type"] == "restart"]
    assert told == [None, str(caught.value)]
    remove_kept(caught.value)


def test_a_reason_is_one_line() -> None:
    error = BinaryNotFound("mavkit-node", ("/here", "/there"), image="x:1")
    assert reason_of(error) == (
        "no executable 'mavkit-node' was found; searched: /here; /there; "
        "Take an image that has it, or give its path there: path="
    )
    lost = RunnerError("there", RunnerFault.LOST, "ssh: said this\nand that")
    assert reason_of(lost) == (
        "there: connection lost; the daemon there stops by itself (ssh: said this; and that)"
    )
    assert reason_of(DaemonExited("accuser1", 1, ())) is None


async def test_with_may_exit_the_last_exit_is_no_error(tmp_path: Path) -> None:
    policy = RestartPolicy(limit=1, first_delay=0)
    accuser = Accuser(
        Protocol.BOREAS,
        NO_NODE,
        path=ScriptedDaemon(RUNS + "ready()\nsys.exit(3)").write(tmp_path),
        restart=policy,
    )
    await accuser.run(may_exit=True)
    assert (accuser.restarts, accuser.exit_status) == (1, 3)
    assert (tmp_path / "runs").read_text() == "xx"


async def test_an_expected_exit_is_not_followed_by_a_restart(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, restart=AT_ONCE) as accuser:
        async with accuser.expect_exit() as exited:
            accuser.signal(signal.SIGTERM)
        assert exited.value == 127
        assert (accuser.state, accuser.restarts) == ("ended", 0)


@pytest.mark.parametrize("way", ["terminate", "kill", "leave", "cancel"])
async def test_a_wait_for_the_restart_ends_at_once(tmp_path: Path, way: str) -> None:
    with trio.CancelScope() as scope:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, restart=NEVER) as accuser:
            accuser.signal(signal.SIGKILL)
            with pytest.raises(TerminatedBeforeEvent):
                await accuser.wait_for("never.v0")
            assert accuser.state == "waiting to restart"
            assert accuser.running
            pending = accuser.expect("never.v0")
            with pytest.raises(AlreadyRunning):
                await accuser.run()
            with pytest.raises(NotRunning):
                accuser.signal(signal.SIGUSR1)
            with pytest.raises(NotRunning):
                await accuser.stats()
            if way == "terminate":
                await accuser.terminate()
            if way == "kill":
                await accuser.kill()
            if way == "cancel":
                scope.cancel()
    assert (accuser.state, accuser.restarts) == ("ended", 0)
    with pytest.raises(TerminatedBeforeEvent):
        await pending


@pytest.mark.parametrize("way", ["terminate", "kill", "leave"])
async def test_who_stops_it_just_after_its_exit_stops_it_for_good(tmp_path: Path, way: str) -> None:
    async with ScriptedDaemon(RUNS + FOLLOWS_SIGTERM).open(folder=tmp_path, restart=AT_ONCE) as accuser:
        exits(accuser)
        if way == "terminate":
            await accuser.terminate()
        if way == "kill":
            await accuser.kill()
    assert (accuser.state, accuser.restarts, accuser.exit_status) == ("ended", 0, -signal.SIGKILL)
    assert (tmp_path / "runs").read_text() == "x"


async def test_a_restart_just_after_the_exit_is_one_that_was_asked_for(tmp_path: Path) -> None:
    async with ScriptedDaemon(RUNS + FOLLOWS_SIGTERM).open(folder=tmp_path, restart=NEVER) as accuser:
        exits(accuser)
        await accuser.restart()
        assert (accuser.state, accuser.restarts) == ("running", 0)


async def test_the_exit_after_the_last_restart_is_told_however_it_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(DaemonExited) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(
            folder=tmp_path, restart=RestartPolicy(limit=0)
        ) as accuser:
            exits(accuser)
            await accuser.terminate()
    assert caught.value.status == -signal.SIGKILL
    remove_kept(caught.value)


def exits(accuser: Accuser) -> None:
    """Kill it, in a moment in which nobody here notices."""
    assert accuser.pid is not None
    os.kill(accuser.pid, signal.SIGKILL)
    os.waitid(os.P_PID, accuser.pid, os.WEXITED | os.WNOWAIT)


async def test_a_restart_that_is_asked_for_does_not_wait(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, restart=NEVER) as accuser:
        accuser.signal(signal.SIGKILL)
        with pytest.raises(TerminatedBeforeEvent):
            await accuser.wait_for("never.v0")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raises_terminated, accuser)
            await trio.testing.wait_all_tasks_blocked()
            await accuser.restart()
        assert (accuser.state, accuser.restarts) == ("running", 0)


async def raises_terminated(accuser: Accuser) -> None:
    with pytest.raises(TerminatedBeforeEvent):
        await accuser.wait_for("never.v0")


async def test_a_handler_of_restarts_that_fails_ends_the_block(tmp_path: Path) -> None:
    def fails(_: Restart) -> None:
        raise KeyError("why")

    with pytest.raises(HandlerFailed, match="failed on a restart: KeyError") as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, restart=NEVER) as accuser:
            accuser.on_restart(fails)
            accuser.signal(signal.SIGKILL)
            await trio.sleep_forever()
    remove_kept(caught.value)


async def test_a_restart_that_cannot_be_made_ends_the_block(tmp_path: Path) -> None:
    with pytest.raises(SpawnFailed) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, restart=AT_ONCE) as accuser:
            (tmp_path / "mavkit-accuser-PtBoreas").unlink()
            accuser.signal(signal.SIGKILL)
            await trio.sleep_forever()
    remove_kept(caught.value)


async def test_a_block_that_fails_during_the_wait_keeps_its_files(tmp_path: Path) -> None:
    with pytest.raises(KeyError) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, restart=NEVER) as accuser:
            accuser.signal(signal.SIGKILL)
            with pytest.raises(TerminatedBeforeEvent):
                await accuser.wait_for("never.v0")
            raise KeyError
    remove_kept(caught.value)
