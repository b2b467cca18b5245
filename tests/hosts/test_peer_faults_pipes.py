"""Faults that were found in others' implementations: pipes, places, early ends."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser import (
    Accuser,
    DaemonExited,
    EventPipeError,
    EventTimeout,
    Protocol,
)
from accuser.testing import (
    NO_NODE,
    FaultyDaemon,
    ScriptedDaemon,
    die_by,
    event,
    ignore_sigterm,
    ready,
)
from tests.support.kept import remove_kept
from tests.support.proc import descriptors
from tests.support.scripts import FOLLOWS_SIGTERM


async def test_fault_17_a_wait_that_timed_out_is_forgotten(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:

        async def wait() -> None:
            with pytest.raises(EventTimeout):
                await accuser.wait_for("never.v0", lambda value: None, timeout=0.01)

        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(wait)
        assert not accuser._session.events.watched


async def test_fault_18_a_hundred_crashes_leave_nothing_and_nothing_turns(tmp_path: Path) -> None:
    path = FaultyDaemon(ready(), die_by(signal.SIGKILL)).write(tmp_path)
    accuser = Accuser(Protocol.BOREAS, NO_NODE, path=path)
    await accuser.run(may_exit=True)
    before, tasks = descriptors(), trio.lowlevel.current_statistics().tasks_living
    for _ in range(100):
        await accuser.run(may_exit=True)
        assert accuser.exit_status == -signal.SIGKILL
    assert descriptors() == before
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    turns = _Turns()
    trio.lowlevel.add_instrument(turns)
    await trio.sleep(0.2)
    trio.lowlevel.remove_instrument(turns)
    # The sleep itself, and worker threads that retire; a descriptor that stays ready makes thousands.
    assert turns.count < 20


class _Turns(trio.abc.Instrument):
    count = 0

    def after_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_fault_19_a_daemon_inherits_no_pipe() -> None:
    """Else it would hold the reading end of its own, or another's, and block when its owner has died."""
    daemon = FaultyDaemon(ready(), event("up.v0"))
    async with daemon.open() as first, daemon.open() as second:
        for accuser in (first, second):
            await accuser.wait_for("up.v0", since=accuser.start_mark())
        for accuser in (first, second):
            opened = dict(descriptors(accuser.pid or 0))
            own = [number for number, target in opened.items() if target == str(accuser.event_pipe)]
            # Its three standard streams, and what it opened itself.
            assert sorted(opened) == sorted([0, 1, 2, *own])
            (line,) = [
                line
                for line in Path(f"/proc/{accuser.pid}/fdinfo/{own[0]}").read_text().splitlines()
                if line.startswith("flags:")
            ]
            assert int(line.split()[1], 8) & os.O_ACCMODE == os.O_WRONLY


async def test_fault_20_early_ends_are_told_apart(tmp_path: Path) -> None:
    for body, status in (("sys.exit(7)", 7), ("os.kill(os.getpid(), 15)", None)):
        with pytest.raises(DaemonExited) as caught:
            async with ScriptedDaemon(f"line('why', 2); os._exit(7) or {body}").open(folder=tmp_path):
                pytest.fail("it is not ready")
        assert caught.value.status == (status or 7)
        assert caught.value.tail == ("why",)
        remove_kept(caught.value)


async def test_fault_21_a_regular_file_in_place_of_the_pipe_is_left_alone() -> None:
    path = Path(os.environ["TMPDIR"]) / "precious"
    path.write_text("data")
    with pytest.raises(EventPipeError, match="no named pipe"):
        async with FaultyDaemon(ready()).open(event_pipe=path):
            pytest.fail("it cannot run")
    assert path.read_text() == "data"
    path.unlink()


@pytest.mark.parametrize("given", [False, True])
async def test_fault_21_the_pipe_goes_with_the_session(given: bool) -> None:
    path = Path(os.environ["TMPDIR"]) / "pipe" if given else None
    async with FaultyDaemon(ready()).open(event_pipe=path) as accuser:
        for end in (accuser.terminate, accuser.kill):
            assert accuser.event_pipe.is_fifo()
            await end()
            assert not accuser.event_pipe.exists()
            await accuser.restart()


AWKWARD = (
    "?a=b&c",
    "per%20cent",
    "with blank",
    "a/b",
    "..",
    "#!",
    "caf\u00e9",
    "\n",
    "\U0001f511",
    "x" * 300,
)


@pytest.mark.parametrize("name", AWKWARD)
async def test_fault_22_any_name_will_do(name: str) -> None:
    async with FaultyDaemon(ready(), event("up.v0", 1)).open(name=name) as accuser:
        assert await accuser.wait_for("up.v0", since=accuser.start_mark()) == 1
        assert accuser.event_pipe.parent == accuser.directory


@pytest.mark.parametrize("folder", ["?a=b&c", "per%20cent", "with blank", "caf\u00e9", b"\xff"])
async def test_fault_22_any_folder_for_temporary_files_will_do(
    folder: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(os.environ["TMPDIR"]) / os.fsdecode(folder)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    async with FaultyDaemon(ready(), event("up.v0", 1)).open() as accuser:
        assert await accuser.wait_for("up.v0", since=accuser.start_mark()) == 1
        assert accuser.directory.parent == place
        pipe = accuser.event_pipe
        assert pipe.is_fifo()
        assert pipe.parent.stat().st_mode & 0o777 == 0o700
        await accuser.restart()
        assert await accuser.wait_for("up.v0", since=accuser.start_mark()) == 1
    assert not pipe.parent.exists()
    place.rmdir()


async def test_fault_22_without_a_place_for_the_pipe_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(os.environ["TMPDIR"]) / "with blank"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setattr("accuser._hosts.paths.PLACES", (tmp_path / "missing",))
    with pytest.raises(EventPipeError, match=r"needs a folder in one of .*missing, or another TMPDIR"):
        async with FaultyDaemon(ready()).open():
            pytest.fail("it cannot run")
    place.rmdir()


@pytest.mark.parametrize("name", ["?a=b&c", "per%20cent", "with blank"])
async def test_fault_22_a_pipe_that_was_asked_for_is_refused_in_words(name: str) -> None:
    path = Path(os.environ["TMPDIR"]) / name
    with pytest.raises(EventPipeError, match=r"other characters than .* choose another path") as caught:
        async with FaultyDaemon(ready()).open(event_pipe=path):
            pytest.fail("it cannot run")
    assert caught.value.path == path


async def test_fault_23_restart_has_a_time_out_of_its_own() -> None:
    async with FaultyDaemon(ignore_sigterm(), ready()).open() as accuser:
        first = accuser._session
        # The usual grace is longer than this.
        with trio.fail_after(25):
            await accuser.restart(timeout=0.01)
        assert first.status == -signal.SIGKILL
        assert accuser.running
        await accuser.kill()
