"""The clock of a sandbox in one process, and its own small world."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from accuser import (
    MEMORY,
    SANDBOX,
    Accuser,
    BinaryNotFound,
    Client,
    CommandFailed,
    Daemon,
    EventPipeError,
    EventTimeout,
    Node,
    NodeUnreachable,
    PortTaken,
    Protocol,
    RpcError,
    Sandbox,
    SpawnFailed,
    SSHRunner,
    StatsUnavailable,
    Toolchain,
    open_accuser,
    open_client,
    open_daemon,
    open_node,
    open_sandbox,
)
from accuser._engine.waits import JUMPED
from accuser._mavryk.parameters import write_parameter_file
from accuser.sandbox.chain.parameters import Calendar
from tests.support.in_process import ALONE, START, alone, nothing_of_the_system, sandbox, watched
from tests.support.kept import remove_kept

__all__ = ["sandbox"]  # fixtures of this module

# Its own small world.


async def test_what_another_sandbox_or_process_listens_to_is_not_there(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with alone(sandbox) as (node, _), open_sandbox() as other:
        stranger = Node(toolchain=other.toolchain, rpc_port=node.rpc_port)
        with pytest.raises(NodeUnreachable):
            await stranger.rpc("get", "/version")
        for toolchain in (other.toolchain, SANDBOX):
            with pytest.raises(ValueError, match=r"reach|sandbox"):
                Accuser(Protocol.BOREAS, node, toolchain=toolchain)
            with pytest.raises(ValueError, match=r"reach|sandbox"):
                Client(node, toolchain=toolchain)


@pytest.mark.parametrize("port", ["rpc_port", "net_port"])
async def test_a_port_that_is_taken_is_told(autojump_clock: MockClock, sandbox: Sandbox, port: str) -> None:
    async with alone(sandbox) as (node, _):
        with pytest.raises(PortTaken) as caught:
            async with open_node(toolchain=sandbox.toolchain, **{port: getattr(node, port)}):
                pass
        assert str(getattr(node, port)) in caught.value.address
        remove_kept(caught.value)


async def test_what_cannot_run_here_is_refused(
    autojump_clock: MockClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="sandbox in this process, whose programs cannot run on there"):
        Node(toolchain=sandbox.toolchain, runner=SSHRunner("there"))
    async with alone(sandbox) as (node, client):
        with pytest.raises(SpawnFailed, match="leave the path out"):
            async with open_accuser(Protocol.BOREAS, node, path="/bin/true"):
                pass
        with pytest.raises(BinaryNotFound, match=r"'mavkit-baker'(?s:.)*; the embedded sandbox has none"):
            await client.command("run", binary="mavkit-baker")
        with pytest.raises(StatsUnavailable, match="a task of this process"):
            await node.stats()
        pipe = tmp_path / "pipe"
        async with open_accuser(Protocol.BOREAS, node, event_pipe=pipe):
            assert not pipe.exists()
            with pytest.raises(EventPipeError, match="in use"):
                async with open_accuser(Protocol.BOREAS, node, event_pipe=pipe):
                    pass
        # The path is free again.
        async with open_accuser(Protocol.BOREAS, node, event_pipe=pipe):
            pass


async def test_the_process_id_is_nobodys(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with watched(sandbox) as (node, _, accuser):
        assert node.pid != accuser.pid
        for daemon in (node, accuser):
            assert daemon.pid is not None
            with pytest.raises(ProcessLookupError):
                os.kill(daemon.pid, 0)


async def test_a_command_that_is_cancelled_ends_at_once(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with alone(sandbox) as (node, client):
        now = sandbox.clock()
        with trio.move_on_after(0.5):
            # The next round is later: the chain begins a day ago, and its rounds get longer.
            await client.bake_for("bootstrap1", minimal_timestamp=False)
        assert sandbox.clock() == pytest.approx(now + 0.5)
        assert node.level == 1


async def test_bake_for_refuses_to_bake_nothing(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with alone(sandbox) as (_, client):
        with pytest.raises(ValueError, match="count must be at least 1, and is 0"):
            await client.bake_for("bootstrap1", count=0)


async def timestamp(node: Node, block: str = "head") -> float:
    header = await node.rpc("get", f"/chains/main/blocks/{block}/header")
    return datetime.datetime.fromisoformat(header["timestamp"]).timestamp()


async def test_blocks_and_events_follow_the_clock(autojump_clock: MockClock) -> None:
    def clock() -> float:
        return START + trio.current_time()

    async with open_sandbox(clock=clock) as sandbox, alone(sandbox) as (node, client):
        begun = trio.current_time()
        assert await timestamp(node) == pytest.approx(START - 24 * 3600 + begun, abs=1)
        await trio.sleep(7 * 24 * 3600)
        times: list[float] = []
        node.on_event(lambda event: times.append(event.timestamp))
        await client.bake_for("bootstrap1", "bootstrap2", minimal_timestamp=False)
        # The round of that time began before, the next one was waited for.
        assert await timestamp(node) == pytest.approx(clock(), abs=1.1)
        assert clock() >= START + 7 * 24 * 3600
        assert times
        assert times == pytest.approx([clock()] * len(times), abs=1.1)


async def test_by_default_time_goes_on_from_now_by_trios_clock(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    now = sandbox.clock()
    real = datetime.datetime.now(datetime.UTC).timestamp()
    assert abs(now - real) < 60
    await trio.sleep(10_000)
    assert sandbox.clock() == pytest.approx(now + 10_000)


async def test_a_block_of_the_future_is_refused_until_its_time(autojump_clock: MockClock) -> None:
    at = START

    async with open_sandbox(clock=lambda: at) as sandbox, alone(sandbox) as (node, client):
        at -= 3 * 24 * 3600
        with pytest.raises(CommandFailed, match="Block in the future"):
            await client.bake_for("bootstrap1")
        at = START
        # The watermark says that this level was signed.
        await client.bake_for("bootstrap1", options=("--force",))
        assert await node.wait_for_level(2) == 2


async def times_of_blocks(toolchain: Toolchain) -> list[float]:
    when = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    async with open_node(toolchain=toolchain, arguments=ALONE) as node, open_client(node) as client:
        await client.activate_protocol(Protocol.ALPHA, timestamp=when)
        assert await timestamp(node) == when.timestamp()
        assert await client.bake_for_and_wait(count=10) == 11
        return [await timestamp(node, str(level)) for level in range(1, 12)]


def test_an_activation_sets_the_clock_of_a_chain_in_both_forms() -> None:
    async def inside() -> list[float]:
        async with open_sandbox() as sandbox:
            return await times_of_blocks(sandbox.toolchain)

    ours = trio.run(inside, clock=MockClock(autojump_threshold=0))
    assert ours == trio.run(times_of_blocks, SANDBOX)
    # Every round is the first one that somebody has, and begins a second later.
    assert ours == [ours[0] + number for number in range(11)]


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
async def test_a_clock_that_is_none(autojump_clock: MockClock, wrong: float) -> None:
    with pytest.raises(ValueError, match="seconds since the epoch"):
        async with open_sandbox(clock=lambda: wrong):
            pass


async def test_what_never_comes_fails_at_once(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with watched(sandbox) as (_, _, accuser):
        begun = trio.current_time()
        with pytest.raises(EventTimeout):
            await accuser.wait_for("double_baking_denounced.v0")
        assert trio.current_time() == begun + 60


async def test_that_it_jumps_is_told_of_processes(autojump_clock: MockClock) -> None:
    async with open_node(toolchain=MEMORY, arguments=ALONE) as node:
        with pytest.raises(EventTimeout) as caught:
            await node.wait_for("never.v0", unknown=True)
        assert JUMPED not in caught.value.__notes__
    async with open_daemon(Daemon("sleep", path="/bin/sleep", arguments=("60",))) as daemon:
        with pytest.raises(EventTimeout) as caught:
            await daemon.wait_for("never.v0")
        assert JUMPED in caught.value.__notes__


async def test_many_cycles_with_an_accuser(
    autojump_clock: MockClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    changes = {"blocks_per_cycle": 2, "nonce_revelation_threshold": 1, "blocks_per_commitment": 2}
    file = write_parameter_file(Protocol.BOREAS, tmp_path / "parameters.json", changes)
    async with open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node, open_client(node) as client:
        await client.activate_protocol(Protocol.BOREAS, parameter_file=file)
        async with open_accuser(Protocol.BOREAS, node) as accuser:
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            processed = accuser.expect("accuser_processed_block.v0", count=50)
            await client.bake_for("bootstrap1", count=50)
            assert len(set(await processed)) == 50
            level = await node.rpc("get", "/chains/main/blocks/head/helpers/current_level")
            assert (level["level"], level["cycle"]) == (51, 25)


async def test_without_a_mock_clock_time_is_the_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    with nothing_of_the_system(monkeypatch):
        async with open_sandbox() as sandbox, watched(sandbox) as (_, client, accuser):
            async with accuser.expect("accuser_processed_block.v0"):
                await client.bake_for("bootstrap1")


async def test_what_an_rpc_stumbles_over_is_on_the_nodes_standard_error(
    autojump_clock: MockClock,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("in an RPC")

    async with alone(sandbox) as (node, _):
        lines: list[str] = []
        node.on_stderr(lines.append)
        with monkeypatch.context() as patch:
            patch.setattr(Calendar, "slots", fail)
            with pytest.raises(RpcError, match="in an RPC") as caught:
                await node.rpc("get", "/chains/main/blocks/head/helpers/validators")
        assert caught.value.status == 500
        await node.terminate()
        assert "ZeroDivisionError: in an RPC" in lines
    assert capfd.readouterr() == ("", "")
