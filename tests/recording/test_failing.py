"""Recordings that cannot be written: the daemons go on, every stop works, and it is told at the end."""

from __future__ import annotations

import contextlib
import logging
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser import (
    DirectoryError,
    Endpoint,
    EventTimeout,
    Protocol,
    Recording,
    Restart,
    RestartPolicy,
    open_daemon,
)
from accuser._daemons.accuser import Accuser
from accuser.testing import FaultyDaemon, await_go, event, exit_with, go, ready

NODE = Endpoint("http://127.0.0.1:9")


@contextlib.contextmanager
def full_disk(recording: Recording) -> Iterator[None]:
    """Let no file of this process become longer than the recording is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (recording.path.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def accuser_of(folder: Path, recording: Recording, **options: object) -> Accuser:
    steps = (ready(), event("first.v0"), await_go(), event("second.v0"))
    path = FaultyDaemon(*steps).write(folder)
    return Accuser(Protocol.BOREAS, NODE, path=path, record=recording, unknown_events=True, **options)  # type: ignore[arg-type]  # options, whatever they are


async def test_a_cancelled_block_ends_though_its_recording_cannot_be_written(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "run.jsonl")
    daemon = accuser_of(tmp_path, recording)
    with trio.fail_after(60), pytest.raises(DirectoryError, match="File too large"):
        async with open_daemon(daemon):
            await daemon.wait_for("first.v0", since=daemon.start_mark())
            with full_disk(recording):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    with pytest.raises(trio.Cancelled):
                        await daemon.wait_for("never.v0")
                    await trio.lowlevel.checkpoint()
                await daemon.terminate()
    assert daemon.exit_status is not None
    assert recording.lost > 0


async def test_an_outer_cancellation_stops_the_daemon_and_then_tells(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "run.jsonl")
    daemon = accuser_of(tmp_path, recording)
    with trio.fail_after(60), pytest.raises(DirectoryError), trio.CancelScope() as scope:
        async with open_daemon(daemon):
            await daemon.wait_for("first.v0", since=daemon.start_mark())
            resource_limit = full_disk(recording)
            resource_limit.__enter__()
            try:
                go(daemon)
                await daemon.wait_for("second.v0", since=daemon.start_mark())
                scope.cancel()
                await trio.sleep_forever()
            finally:
                resource_limit.__exit__(None, None, None)
    assert not daemon.running


async def test_what_else_the_block_raises_says_more(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "run.jsonl")
    daemon = accuser_of(tmp_path, recording)
    with pytest.raises(KeyError) as caught:
        async with open_daemon(daemon):
            with full_disk(recording):
                await daemon.terminate()
            raise KeyError("of the block")
    assert any("the recording failed" in note for note in caught.value.__notes__)
    shutil.rmtree(daemon.directory)  # kept, as after every failed block


async def test_a_wait_has_its_own_outcome(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "run.jsonl", required=False)
    daemon = accuser_of(tmp_path, recording)
    async with open_daemon(daemon):
        with full_disk(recording), pytest.raises(EventTimeout):
            await daemon.wait_for("never.v0", timeout=0.01)
    assert recording.failure is not None
    assert recording.path.read_bytes().endswith(b"\n")


async def test_restarts_go_on_without_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    recording = Recording(folder / "run.jsonl", required=False)
    path = FaultyDaemon(ready(), exit_with(3)).write(tmp_path)
    policy = RestartPolicy(limit=2, first_delay=0)
    daemon = Accuser(Protocol.BOREAS, NODE, path=path, record=recording, restart=policy)

    def lose(_: Restart) -> None:
        recording.path.unlink(missing_ok=True)
        if folder.exists():
            folder.rmdir()

    daemon.on_restart(lose)
    with caplog.at_level(logging.ERROR, "accuser"), contextlib.suppress(Exception):
        await daemon.run()
    assert daemon.restarts == 2
    shutil.rmtree(daemon.directory)
    assert caplog.text.count("the recording is not continued") == 1


async def test_the_first_start_tells_of_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    daemon = accuser_of(tmp_path, Recording("/no/such/folder/x", required=False))
    with pytest.raises(DirectoryError):
        await daemon.run()
