"""The fault kit: every step does what it says, in a real daemon."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path
from typing import Literal

import pytest
import trio

from accuser import (
    Accuser,
    EventTimeout,
    NotRunning,
    PortTaken,
    Protocol,
    TerminatedBeforeEvent,
    installed,
    open_accuser,
)
from accuser.testing import (
    NO_NODE,
    READY_LINE,
    FaultyDaemon,
    ScriptedDaemon,
    Step,
    await_go,
    await_sigterm,
    big_event,
    close_pipe,
    delay,
    die_by,
    event,
    exit_with,
    flood,
    fork,
    go,
    ignore_sigterm,
    line,
    open_pipe,
    port_taken,
    raw,
    ready,
    stop_itself,
    truncated_event,
)
from tests.support.kept import remove_kept
from tests.support.proc import wait_for_end, wait_for_state

PRINTS_READY = line(READY_LINE.format(protocol="002-PtBoreas"))


async def status_of(*steps: Step) -> int | None:
    """Run a daemon that becomes ready, and wait until it has ended by itself."""
    return await status_of_daemon(FaultyDaemon(*steps))


async def status_of_daemon(daemon: FaultyDaemon | ScriptedDaemon) -> int | None:
    async with daemon.open(may_exit=True) as accuser:
        await accuser._session.ended.wait()
    return accuser.exit_status


async def seen(*steps: Step) -> tuple[list[str], int]:
    """The names of the events of a daemon that ends by itself, and how much was malformed."""
    async with FaultyDaemon(*steps).open(may_exit=True) as accuser:
        async with accuser.subscribe(since=accuser.start_mark()) as events:
            names = [event.name async for event in events]
        return names, accuser.malformed


async def test_by_default_it_is_a_well_behaved_accuser() -> None:
    async with FaultyDaemon(ready(), event("a.v0", {"b": 1})).open() as accuser:
        assert await accuser.wait_for("a.v0", since=accuser.start_mark()) == {"b": 1}
    assert accuser.exit_status == 127


async def test_it_is_an_executable_for_a_path_and_for_a_toolchain(tmp_path: Path) -> None:
    folder = tmp_path / "with blanks 'and' quotes"
    folder.mkdir()
    path = FaultyDaemon(ready(protocol=Protocol.ALPHA)).write(folder, protocol=Protocol.ALPHA)
    assert path == folder / "mavkit-accuser-alpha"
    for accuser in (
        open_accuser(Protocol.ALPHA, NO_NODE, path=path),
        open_accuser(Protocol.ALPHA, NO_NODE, toolchain=installed(folder)),
    ):
        async with accuser as opened:
            assert opened.running


async def test_truncated_big_broken_and_garbage() -> None:
    garbage = raw(b"\0\xff garbage\n"), raw(b'{"fd-sink-item.v0":{"event"\n')
    names, malformed = await seen(
        ready(), *garbage, big_event("big.v0"), truncated_event("half.v0"), exit_with(0)
    )
    assert (names, malformed) == (["big.v0"], 3)
    async with FaultyDaemon(ready(), big_event("big.v0", 10_000_000)).open() as accuser:
        assert len(await accuser.wait_for("big.v0", since=accuser.start_mark())) == 10_000_000


async def test_events_are_framed_as_the_sink_was_told() -> None:
    async with FaultyDaemon(ready(), event("a.v0", 1)).open(format="netstring") as accuser:
        assert await accuser.wait_for("a.v0", since=accuser.start_mark()) == 1


async def test_a_pipe_that_is_opened_late_or_never() -> None:
    async with FaultyDaemon(PRINTS_READY, await_go(), open_pipe(), event("a.v0")).open() as accuser:
        with pytest.raises(EventTimeout):
            await accuser.wait_for("a.v0", timeout=0.01)
        async with accuser.expect("a.v0"):
            go(accuser)


async def test_a_pipe_that_is_closed_while_it_goes_on() -> None:
    steps = ready(), event("a.v0"), close_pipe(), await_go(), line("alive", "stderr")
    async with FaultyDaemon(*steps).open() as accuser:
        await accuser.wait_for("a.v0", since=accuser.start_mark())
        async with accuser.expect_line("^alive$", stream="stderr"):
            go(accuser)


async def test_a_slow_start_by_trigger(tmp_path: Path) -> None:
    path = FaultyDaemon(line("awake"), await_go(), ready()).write(tmp_path)
    accuser = Accuser(Protocol.BOREAS, NO_NODE, path=path)
    async with trio.open_nursery() as nursery:
        await nursery.start(accuser.run)
        await accuser.wait_for_line("^awake$", since=accuser.start_mark())
        with pytest.raises(EventTimeout):
            await accuser.wait_for_ready(timeout=0.01)
        go(accuser)
        await accuser.wait_for_ready()
        await accuser.terminate()


async def test_a_slow_start_by_delay_and_readiness_without_a_line_end() -> None:
    async with FaultyDaemon(delay(0.01), ready(end="")).open() as accuser:
        assert accuser.running


@pytest.mark.parametrize("waiting", [await_go(), delay(1000)], ids=["go", "delay"])
async def test_sigterm_ends_it_where_it_waits(waiting: Step) -> None:
    async with FaultyDaemon(ready(), waiting, line("never")).open() as accuser:
        await accuser.terminate(timeout=60)
    assert accuser.exit_status == 127


async def test_sigterm_may_be_ignored() -> None:
    async with FaultyDaemon(
        ignore_sigterm(), ready(), delay(0.01), await_go(), event("a.v0")
    ).open() as accuser:
        os.kill(accuser.pid or 0, signal.SIGTERM)
        async with accuser.expect("a.v0"):
            go(accuser)
        await accuser.terminate(timeout=0.01)
    assert accuser.exit_status == -signal.SIGKILL


@pytest.mark.parametrize("what", ["events", "stdout", "stderr"])
async def test_floods(what: Literal["events", "stdout", "stderr"]) -> None:
    daemon = FaultyDaemon(ready(), flood(what), await_sigterm(), flood(what, 1234), exit_with(5))
    async with daemon.open() as accuser:
        if what == "events":
            await accuser.wait_for("flood.v0")
        else:
            await accuser.wait_for_line("^words without end$", stream=what)
        await accuser.terminate(timeout=60)
        assert getattr(accuser._session, what).next_index >= 1234
    assert accuser.exit_status == 5


@pytest.mark.parametrize("daemonise", [False, True])
@pytest.mark.parametrize("holds", [(), ("stdout",), ("stderr",), ("pipe",), ("stdout", "stderr", "pipe")])
async def test_a_child_that_is_left_behind_holds_what_it_was_told(
    holds: tuple[Literal["stdout", "stderr", "pipe"], ...],
    daemonise: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("accuser._engine.session.DRAIN", 0.05)
    steps = ready(), fork(*holds, daemonise=daemonise), event("forked.v0")
    async with FaultyDaemon(*steps).open() as accuser:
        await accuser.wait_for("forked.v0", since=accuser.start_mark())
        child = int((await accuser.wait_for_line(r"^forked (\d+)$", since=accuser.start_mark()))[1])
        await wait_for_state(child, "S")
        assert (os.getpgid(child) == accuser.pid) == (not daemonise)
        own = {"stdout": 1, "stderr": 2, "pipe": 3}
        held = [name for name, fd in own.items() if _is_pipe(child, fd)]
        assert held == list(holds)
    await wait_for_end(child)


def _is_pipe(pid: int, descriptor: int) -> bool:
    return stat.S_ISFIFO(os.stat(f"/proc/{pid}/fd/{descriptor}").st_mode)


async def test_ends() -> None:
    assert await status_of(ready(), exit_with(7)) == 7
    assert await status_of(ready(), die_by()) == -signal.SIGKILL
    assert await status_of(ready(), die_by(signal.SIGTERM)) == -signal.SIGTERM
    assert await status_of(ready(), die_by(signal.SIGSEGV)) == -signal.SIGSEGV


async def test_a_daemon_that_stops_itself() -> None:
    async with FaultyDaemon(ready(), stop_itself(), event("a.v0")).open() as accuser:
        await wait_for_state(accuser.pid, "T")
        async with accuser.expect("a.v0"):
            accuser.resume()


async def test_a_port_that_is_taken() -> None:
    with pytest.raises(PortTaken, match=r"127\.0\.0\.1:18731 is taken") as caught:
        async with FaultyDaemon(port_taken("127.0.0.1:18731")).open():
            pytest.fail("it is not ready")
    assert caught.value.status == 1
    remove_kept(caught.value)


async def test_go_needs_a_process(tmp_path: Path) -> None:
    accuser = Accuser(Protocol.BOREAS, NO_NODE, path=FaultyDaemon(ready(), exit_with(0)).write(tmp_path))
    with pytest.raises(NotRunning, match="cannot go accuser1: it is not running"):
        go(accuser)
    await accuser.run(may_exit=True)
    with pytest.raises(TerminatedBeforeEvent):
        await accuser.wait_for_ready()
    with pytest.raises(NotRunning):
        go(accuser)


# Scripts.


async def test_a_script_has_what_it_needs(tmp_path: Path) -> None:
    script = """
        import math
        open_pipe()
        event("early.v0", json.dumps([os.path.basename(sys.argv[0]), len(sys.argv) > 2, math.pi]))
        assert item("x.v0", "7") == item("x.v0", "7")
        raw(item("raw.v0", "[]"))
        os.write(PIPE, item("pipe.v0"))
        line("to stdout")
        line("to stderr", 2)
        line(READY)
        sys.exit(until_term(7))
    """
    async with ScriptedDaemon(script).open(folder=tmp_path) as accuser:
        since = accuser.start_mark()
        name = Protocol.BOREAS.accuser_binary
        assert await accuser.wait_for("early.v0", since=since) == [name, True, 3.141592653589793]
        assert await accuser.wait_for("raw.v0", since=since) == []
        assert await accuser.wait_for("pipe.v0", since=since) == {}
        await accuser.wait_for_line("^to stdout$", stream="stdout", since=since)
        await accuser.wait_for_line("^to stderr$", stream="stderr", since=since)
        assert (tmp_path / name).is_file()
        await accuser.terminate()
        assert accuser.exit_status == 7


@pytest.mark.parametrize(
    ("script", "status"), [("ready()", 0), ("ready(); sys.exit(3)", 3), ("ready(); 1 / 0", 1)]
)
async def test_the_end_of_a_script_is_that_of_the_daemon(script: str, status: int) -> None:
    assert await status_of_daemon(ScriptedDaemon(script)) == status


async def test_events_of_scripts_are_framed_as_the_sink_was_told() -> None:
    script = "ready(); event('a.v0', '1'); until_term()"
    async with ScriptedDaemon(script).open(format="netstring", strict=True) as accuser:
        assert await accuser.wait_for("a.v0", since=accuser.start_mark()) == 1


def test_an_executable_may_have_any_name(tmp_path: Path) -> None:
    assert FaultyDaemon(ready()).write(tmp_path, name="other") == tmp_path / "other"
    path = ScriptedDaemon("print('words')").write(tmp_path, protocol=Protocol.ALPHA)
    assert path == tmp_path / "mavkit-accuser-alpha"
    assert subprocess.run([path], capture_output=True, check=True).stdout == b"words\n"
