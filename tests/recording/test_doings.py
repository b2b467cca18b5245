"""What a test does beside daemons, in recordings: commands, requests, steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from accuser import (
    CommandFailed,
    NodeUnreachable,
    Recording,
    RpcError,
    compare,
    open_client,
    open_node,
    open_replay,
    open_sandbox,
    step,
)
from accuser._recording.entries import Command, OfTest, Rpc, Step
from accuser._recording.reader import read_entries
from accuser.timeline import timeline_trace


async def record(path: Path, *, with_steps: bool) -> None:
    async with (
        open_sandbox() as sandbox,
        open_node(toolchain=sandbox.toolchain, record=Recording(path), name="node1") as node,
        open_client(node, name="alice") as client,
    ):
        if not with_steps:
            return
        step("look around")
        with pytest.raises(CommandFailed):
            await client.bake_for("nobody")
        with pytest.raises(RpcError):
            await node.rpc("post", "/nowhere", {"a": "b" * 5000})
        assert await node.rpc("get", "/chains/main/blocks/head/hash")
        with pytest.raises(ZeroDivisionError):
            async with step("divide"):
                1 / 0  # noqa: B018 - the error is wanted
        with step("think"):
            pass
        with trio.CancelScope() as scope:
            async with step("wait"):
                scope.cancel()
                await trio.sleep_forever()


async def test_everything_that_was_done_is_written_down(tmp_path: Path) -> None:
    await record(tmp_path / "a.jsonl", with_steps=True)
    done = [entry for entry in read_entries(tmp_path / "a.jsonl") if isinstance(entry, OfTest)]
    assert all(0 <= entry.begun <= entry.t for entry in done)
    commands = [entry for entry in done if isinstance(entry, Command)]
    assert [(one.name, one.status) for one in commands] == [("node1", 0), ("node1", 0), ("alice", 1)]
    assert commands[-1].command[-4:] == ("bake", "for", "nobody", "--minimal-timestamp")
    assert "Unrecognized command." in commands[-1].stderr
    requests = [entry for entry in done if isinstance(entry, Rpc)]
    assert [(one.method, one.status) for one in requests] == [("POST", 404), ("GET", 200)]
    assert requests[0].url.endswith("/nowhere")
    assert requests[0].body is not None
    assert len(requests[0].body) < 2100
    assert requests[1].answer.startswith('"BL')
    assert [(one.what, one.outcome) for one in done if isinstance(one, Step)] == [
        ("look around", "noted"),
        *(("divide", "noted"), ("divide", "failed")),
        *(("think", "noted"), ("think", "done")),
        *(("wait", "noted"), ("wait", "cancelled")),
    ]


async def test_it_is_not_compared_and_not_played(tmp_path: Path) -> None:
    for name in ("a", "b"):
        await record(tmp_path / f"{name}.jsonl", with_steps=name == "a")
    comparison = compare(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert [track for track in comparison.tracks if track.differences and "rpc" not in track.part] == []
    async with open_replay(tmp_path / "a.jsonl") as player:
        await player.wait_for("node_is_ready.v0")
    assert "mavkit-client bake for nobody" in timeline_trace(tmp_path / "a.jsonl")


async def test_requests_and_commands_without_an_answer(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "run.jsonl")
    async with open_sandbox() as sandbox:
        async with open_node(toolchain=sandbox.toolchain) as node:
            pass
        with recording.in_use(), pytest.raises(NodeUnreachable):
            await node.rpc("get", "/version")
    (entry,) = [entry for entry in read_entries(recording.path) if isinstance(entry, Rpc)]
    assert (entry.status, entry.answer.partition(":")[0]) == (None, "NodeUnreachable")


def test_a_step_without_a_recording_does_nothing() -> None:
    with step("nothing"):
        pass
