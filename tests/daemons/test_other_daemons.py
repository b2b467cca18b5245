"""Daemons that users describe, and the baker, which is described in the same way."""

from __future__ import annotations

import contextlib
import gc
import tempfile
from pathlib import Path

import pytest
import trio

from accuser import (
    SANDBOX,
    AlreadyRunning,
    Baker,
    BinaryNotFound,
    Client,
    Daemon,
    DaemonExited,
    Endpoint,
    EventTimeout,
    Node,
    Protocol,
    ReadyEvent,
    ReadyLine,
    SSHRunner,
    UnknownEvent,
    installed,
    open_baker,
    open_daemon,
    open_replay,
)
from accuser.events import AccuserProcessedBlock, BlockSeen
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.kept import remove_kept
from tests.support.sshd import SSHD, serve

SERVES = """
open_pipe()
event("args.v0", __import__("json").dumps(sys.argv[1:]))
line("indexing from level 7", stream=2)
sys.exit(until_term(0))
"""


def indexer(folder: Path, body: str = SERVES) -> Path:
    return ScriptedDaemon(body).write(folder, name="indexer")


async def test_a_program_that_is_ready_by_a_line_of_stderr(tmp_path: Path) -> None:
    indexer(tmp_path)
    daemon = Daemon(
        "indexer",
        kind="indexer",
        toolchain=installed(tmp_path),
        arguments=("--from", "7"),
        ready=ReadyLine(r"^indexing from level (\d+)$", stream="stderr"),
    )
    async with open_daemon(daemon) as same:
        assert same is daemon
        assert daemon.name == "indexer1"
        assert await daemon.wait_for("args.v0", since=daemon.start_mark()) == ["--from", "7"]
    assert daemon.exit_status == 0


async def test_a_line_of_the_other_stream_does_not_make_it_ready(tmp_path: Path) -> None:
    body = (
        'open_pipe()\nline("up")\nline("up", 2)\nevent("b.v0")\nline("really up", 2)\nsys.exit(until_term(0))'
    )
    daemon = Daemon("indexer", path=indexer(tmp_path, body), ready=ReadyLine("^really", stream="stdout"))
    async with trio.open_nursery() as nursery:
        await nursery.start(daemon.run)
        await daemon.wait_for_line("^really", stream="stderr", since=daemon.start_mark())
        waiting = ReadyLine("^really").label
        assert waiting == "line of stdout that matches '^really'"
        with pytest.raises(Exception, match="no line of stdout that matches '\\^really' within 0 s"):
            await daemon.wait_for_ready(timeout=0)
        await daemon.terminate()


async def test_ready_by_an_event(tmp_path: Path) -> None:
    body = 'open_pipe()\nevent("up.v0")\nsys.exit(until_term(0))'
    daemon = Daemon("indexer", path=indexer(tmp_path, body), ready=ReadyEvent("up.v0"))
    async with open_daemon(daemon):
        assert await daemon.wait_for("up.v0", since=daemon.start_mark()) == {}


async def test_ready_as_soon_as_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "silent"
    path.write_text("#!/bin/sh\nread line\n")
    path.chmod(0o755)
    async with open_daemon(Daemon("silent", path=path)) as daemon:
        assert daemon.name == "daemon1"
        assert daemon.state == "running"
    assert daemon.exit_status == -15


async def test_each_start_is_prepared_and_has_its_own_arguments_and_environment(tmp_path: Path) -> None:
    body = """
    open_pipe()
    event("start.v0", '"%s %s"' % (os.environ["INDEX"], open(sys.argv[1]).read()))
    sys.exit(until_term(0))
    """
    starts = 0

    async def prepare() -> None:
        nonlocal starts
        starts += 1
        await trio.Path(daemon.directory / "config").write_text(f"start {starts}")

    daemon = Daemon(
        "indexer",
        path=indexer(tmp_path, body),
        arguments=lambda: (str(daemon.directory / "config"),),
        environment={"INDEX": "blocks"},
        prepare=prepare,
    )
    async with open_daemon(daemon):
        assert await daemon.wait_for("start.v0", since=daemon.start_mark()) == "blocks start 1"
        await daemon.restart()
        assert await daemon.wait_for("start.v0", since=daemon.start_mark()) == "blocks start 2"


async def test_what_the_preparation_raises_ends_the_start(tmp_path: Path) -> None:
    async def prepare() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError("no database")

    daemon = Daemon("indexer", path=indexer(tmp_path), prepare=prepare)
    with pytest.raises(LookupError, match="no database"):
        async with open_daemon(daemon):
            pytest.fail("it began")
    assert daemon.pid is None


def test_names_of_events_are_refused_only_where_all_are_known(tmp_path: Path) -> None:
    path = indexer(tmp_path)
    anything = Daemon("indexer", path=path)
    anything.expect("whatever.v0")
    known = Daemon(
        "indexer",
        path=path,
        protocol=Protocol.ATLAS,
        events=("indexed.v0", AccuserProcessedBlock, BlockSeen),
    )
    known.expect("indexed.v0")
    known.expect(AccuserProcessedBlock)
    known.expect("block-seen-001-PtAtLas.v0")
    with pytest.raises(UnknownEvent, match=r"never emits 'indexd\.v0'; did you mean indexed\.v0\?"):
        known.expect("indexd.v0")
    with pytest.raises(UnknownEvent, match=r"never emits 'whatever\.v0'"):
        known.expect("whatever.v0")


async def test_a_daemon_that_runs_is_not_opened_again(tmp_path: Path) -> None:
    async with open_daemon(Daemon("indexer", kind="indexer", path=indexer(tmp_path))) as daemon:
        with pytest.raises(AlreadyRunning, match="indexer indexer1 is already running"):
            async with open_daemon(daemon):
                pytest.fail("it began")
        await daemon.restart()  # it is still in its own block
    assert not list(Path(tempfile.gettempdir()).glob("accuser-indexer*"))


async def test_an_unasked_end_is_told_as_that_of_any_daemon(tmp_path: Path) -> None:
    path = indexer(tmp_path, 'open_pipe()\nline("out of blocks", 2)\nsys.exit(4)')
    with pytest.raises(DaemonExited, match="out of blocks") as caught:
        async with open_daemon(Daemon("indexer", path=path, ready=ReadyLine("never"))):
            pytest.fail("it began")
    assert caught.value.status == 4
    remove_kept(caught.value)


def test_arguments_and_kinds_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="a sequence of words"):
        Daemon("indexer", arguments="--from 7")
    with pytest.raises(ValueError, match="kind begins names"):
        Daemon("indexer", kind="my indexer")
    with pytest.raises(TypeError, match="did you mean 'history'"):
        Daemon("indexer", histroy=5)  # type: ignore[call-arg]  # wrong on purpose


async def test_a_binary_that_is_nowhere_and_that_the_sandbox_has_not(tmp_path: Path) -> None:
    with pytest.raises(BinaryNotFound, match="Give its path") as caught:
        async with open_daemon(Daemon("no-such-indexer", toolchain=installed(tmp_path))):
            pytest.fail("it began")
    assert not caught.value.in_sandbox
    assert "toolchain=SANDBOX" not in str(caught.value)


async def test_a_program_that_ends_by_itself_is_ready_all_the_same(tmp_path: Path) -> None:
    path = indexer(tmp_path, "sys.exit(0)")
    async with open_daemon(Daemon("indexer", path=path), may_exit=True) as daemon:
        assert await daemon.expect_exit() == 0


async def test_it_is_recorded_and_played_back(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    daemon = Daemon("indexer", kind="indexer", path=indexer(tmp_path), arguments=("a",), record=file)
    async with open_daemon(daemon):
        await daemon.wait_for("args.v0", since=daemon.start_mark())
    async with open_replay(file) as player:
        assert await player.wait_for("args.v0") == ["a"]
        assert await player.wait_for_line("^indexing", stream="stderr", since=player.start_mark())


@pytest.mark.skipif(SSHD is None, reason="needs OpenSSH's server: install openssh-server")
async def test_it_runs_on_another_machine(tmp_path: Path) -> None:
    body = 'open_pipe()\nevent("up.v0", \'"%s"\' % os.environ["INDEX"])\nsys.exit(until_term(0))'
    for folder in ("ssh", "there"):
        (tmp_path / folder).mkdir()
    with serve(tmp_path / "ssh") as server:
        runner = server.runner(temp_dir=str(tmp_path / "there"))
        daemon = Daemon(
            "indexer",
            path=indexer(tmp_path, body),
            runner=runner,
            ready=ReadyEvent("up.v0"),
            environment={"INDEX": "it's blocks"},
        )
        async with open_daemon(daemon):
            assert await daemon.wait_for("up.v0", since=daemon.start_mark()) == "it's blocks"
        server.wait_for_the_end()
    assert daemon.exit_status == 0
    assert list((tmp_path / "there").iterdir()) == []


# The baker.

BAKES = """
line("Node is bootstrapped.")
line("Baker 0.0+dev (601d8a4a) for PtBoreasK2KP started.")
open_pipe()
event("args.v0", __import__("json").dumps(sys.argv[1:]))
sys.exit(until_term())
"""


@pytest.fixture
def node() -> Node:
    return Node(toolchain=SANDBOX)


async def arguments_of(baker: Baker) -> list[str]:
    async with open_daemon(baker):
        arguments: list[str] = await baker.wait_for("args.v0", since=baker.start_mark())
    assert baker.exit_status == 127
    return arguments


async def test_the_command_line_of_a_baker_is_upstreams(tmp_path: Path) -> None:
    path = ScriptedDaemon(BAKES).write(tmp_path, name="mavkit-baker-PtBoreas")
    node = Node(toolchain=SANDBOX, data_dir=tmp_path / "node", rpc_port=1, net_port=2, metrics_port=3)
    client = Client(node, base_dir=tmp_path / "wallet")
    common = ["--endpoint", "http://127.0.0.1:1", "--base-dir", str(tmp_path / "wallet"), "run"]
    local = [*common, "with", "local", "node", str(tmp_path / "node")]

    baker = Baker(Protocol.BOREAS, node, client, path=path)
    assert (baker.name, baker.color) == ("baker1", "\033[32m")
    assert await arguments_of(baker) == [*local, "--liquidity-baking-toggle-vote", "pass"]

    baker = Baker(
        Protocol.BOREAS,
        node,
        client,
        path=path,
        delegates=("bootstrap1", "bootstrap2"),
        liquidity_baking_toggle_vote="on",
        votefile="votes.json",
        force_apply=True,
        operations_pool="pool.json",
        dal_node="http://127.0.0.1:4",
        minimal_nanomav_per_gas_unit=100,
        record_state=True,
    )
    assert await arguments_of(baker) == [
        *local,
        *("--liquidity-baking-toggle-vote", "on"),
        *("--votefile", "votes.json"),
        "--force-apply",
        *("--operations-pool", "pool.json"),
        *("--dal-node", "http://127.0.0.1:4"),
        *("bootstrap1", "bootstrap2"),
        *("--minimal-nanomav-per-gas-unit", "100"),
        "--record-state",
    ]

    baker = Baker(Protocol.BOREAS, node, client, path=path, remotely=True, liquidity_baking_toggle_vote=None)
    assert await arguments_of(baker) == [*common, "remotely"]


async def test_open_and_init_a_baker(tmp_path: Path) -> None:
    path = ScriptedDaemon(BAKES).write(tmp_path, name="mavkit-baker-PtBoreas")
    client = Client(NO_NODE, base_dir=tmp_path / "wallet")
    async with open_baker(Protocol.BOREAS, NO_NODE, client, path=path, remotely=True) as baker:
        assert baker.state == "running"
        assert baker.protocol is Protocol.BOREAS
    async with trio.open_nursery() as nursery:
        second = await Baker.init(nursery, Protocol.BOREAS, NO_NODE, client, path=path, remotely=True)
        assert second.name == "baker2"
        await second.restart()
        await second.terminate()


def test_what_a_baker_needs_of_a_node_and_a_wallet_elsewhere(tmp_path: Path, node: Node) -> None:
    client = Client(node, base_dir=tmp_path)
    with pytest.raises(ValueError, match="remotely=True"):
        Baker(Protocol.BOREAS, Endpoint("http://127.0.0.1:1"), client)
    runner = SSHRunner("there")
    with pytest.raises(ValueError, match="remotely=True"):
        Baker(Protocol.BOREAS, node, client, runner=runner)
    with pytest.raises(ValueError, match="the client's wallet is on this machine"):
        Baker(Protocol.BOREAS, node, client, runner=runner, remotely=True)
    with pytest.raises(ValueError, match="sequence of aliases"):
        Baker(Protocol.BOREAS, node, client, delegates="bootstrap1")


async def test_a_wait_that_timed_out_does_not_keep_a_forgotten_daemon(tmp_path: Path) -> None:
    async def run_one() -> Path:
        path = indexer(tmp_path, "open_pipe()\nsys.exit(until_term(0))")
        daemon = Daemon("indexer", path=path, ready=ReadyLine("^never$"))
        async with trio.open_nursery() as nursery:
            await nursery.start(daemon.run)
            for wait in (daemon.wait_for_ready, daemon.expect_exit):
                with contextlib.suppress(EventTimeout):
                    await wait(timeout=0)
            await daemon.terminate()
        return daemon.event_pipe.parent

    gc.collect()
    gc.disable()
    try:
        directory = await run_one()
        assert not directory.exists()
    finally:
        gc.enable()
