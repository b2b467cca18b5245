"""Recordings, and playing them back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from accuser import (
    Accuser,
    EventTimeout,
    HandlerFailed,
    Protocol,
    Recording,
    RecordingError,
    TerminatedBeforeEvent,
    open_accuser,
    open_replay,
    replay,
)
from accuser.testing import NO_NODE, ScriptedDaemon

BODY = """
ready()
event("a.v0", "1")
raw(b"garbage\\n")
event("a.v0", "2")
line("words", 2)
until_term()
event("end.v0")
os._exit(127)
"""


async def record(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    async with ScriptedDaemon(BODY).open(folder=tmp_path, record=path) as accuser:
        await accuser.wait_for("a.v0", nth=2, where="the second", since=accuser.start_mark())
        with pytest.raises(EventTimeout):
            await accuser.wait_for("never.v0", timeout=0.01)
    return path


async def test_a_recording_has_everything_in_order(tmp_path: Path) -> None:
    entries = [json.loads(line) for line in (await record(tmp_path)).read_text().splitlines()]
    assert entries[0]["type"] == "recording"
    assert entries[0]["version"] == 1
    types = [entry["type"] for entry in entries]
    assert types[1] == "start"
    assert types[-1] == "exit"
    start = entries[1]
    assert (start["daemon"], start["session"], start["kind"], start["protocol"]) == (
        "accuser1",
        1,
        "accuser",
        "002-PtBoreas",
    )
    assert start["command"][-1] == "run"
    events = [entry["item"]["fd-sink-item.v0"]["event"] for entry in entries if entry["type"] == "event"]
    assert events == [{"a.v0": 1}, {"a.v0": 2}, {"end.v0": {}}]
    assert [entry["raw"] for entry in entries if entry["type"] == "malformed"] == [b"garbage".hex()]
    assert ("stderr", "words") in [(e["stream"], e["text"]) for e in entries if e["type"] == "line"]
    waits = [(e["what"], e["where"], e["outcome"]) for e in entries if e["type"] == "wait"]
    assert waits == [("a.v0", "the second", "satisfied"), ("never.v0", None, "timed out")]
    assert [entry["signal"] for entry in entries if entry["type"] == "signal"] == ["SIGTERM", "SIGCONT"]
    assert entries[-1]["status"] == 127
    times = [entry["t"] for entry in entries]
    assert times == sorted(times)


async def test_several_daemons_and_sessions_share_a_recording(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "run.jsonl")
    path = ScriptedDaemon(BODY).write(tmp_path)
    async with (
        open_accuser(Protocol.BOREAS, NO_NODE, path=path, record=recording, unknown_events=True) as first,
        open_accuser(Protocol.BOREAS, NO_NODE, path=path, record=recording, unknown_events=True),
    ):
        await first.restart()
    with pytest.raises(RecordingError, match="it has the daemons accuser1, accuser2; name one"):
        replay(recording.path)
    for daemon, ends in (("accuser1", 2), ("accuser2", 1)):
        heard: list[str] = []
        async with open_replay(recording.path, daemon) as player:
            player.on_event(lambda event: heard.append(event.name))  # noqa: B023 - called in the block
            await player.wait_for_ready()
            with pytest.raises(TerminatedBeforeEvent):
                await player.wait_for("never.v0")
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(ends):
                await trio.testing.wait_all_tasks_blocked()
        assert heard.count("end.v0") >= 1


async def test_a_replay_answers_the_same_waits(tmp_path: Path) -> None:
    path = await record(tmp_path)
    heard: list[object] = []
    async with open_replay(path) as player:
        player.on_event(lambda event: heard.append(event.value))
        player.on_stderr(heard.append)
        ready = player.wait_for_ready()
        assert await player.wait_for("a.v0", lambda n: n if n > 1 else None) == 2
        await ready
        async with player.subscribe() as events:
            assert [event.name async for event in events] == ["end.v0"]
        with pytest.raises(TerminatedBeforeEvent) as caught:
            await player.wait_for("a.v0")
        assert caught.value.status == player.exit_status == 127
        assert player.malformed == 1
    # The order between two pipes is what it was when they were read.
    assert [value for value in heard if value != "words"] == [1, 2, {}]
    assert "words" in heard


async def test_one_wait_after_the_other_misses_nothing(tmp_path: Path) -> None:
    path = await record(tmp_path)
    for _ in range(20):
        async with open_replay(path) as player:
            assert [await player.wait_for("a.v0"), await player.wait_for("a.v0")] == [1, 2]


async def test_a_handler_that_fails_in_a_replay(tmp_path: Path) -> None:
    path = await record(tmp_path)
    with pytest.raises(HandlerFailed, match="failed on"):
        async with open_replay(path) as player:
            player.on_event(lambda event: event.value / 0)
            await player.wait_for("never.v0")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"", "it is empty"),
        (b"words\n", "line 1 is no entry"),
        (b'{"type":"recording","version":99,"t":0}\n', "does not begin as a recording of version 1"),
        (b'{"type":"recording","version":1,"t":0}\nwords\n{"type":"x"}\n', "line 2 is no entry"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError, match=reason):
        replay(path)


async def test_a_recording_that_was_cut_plays_as_far_as_it_goes(tmp_path: Path) -> None:
    path = await record(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b'"end.v0"')])
    async with open_replay(path) as player:
        with pytest.raises(TerminatedBeforeEvent):
            await player.wait_for("end.v0")


async def test_a_recording_that_cannot_be_written(tmp_path: Path) -> None:
    from accuser import DirectoryError

    with pytest.raises(DirectoryError):
        async with ScriptedDaemon(BODY).open(folder=tmp_path, record=tmp_path / "no" / "such" / "file"):
            pytest.fail("it cannot run")
    assert Accuser(Protocol.BOREAS, NO_NODE).exit_status is None
