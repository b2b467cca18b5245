"""What strangers found that the two forms of the sandbox did differently."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from accuser import (
    MEMORY,
    SANDBOX,
    CommandFailed,
    EventPipeError,
    NodeUnreachable,
    Protocol,
    Toolchain,
    open_accuser,
    open_client,
    open_node,
    open_sandbox,
)

BOTH = pytest.mark.parametrize("toolchain", [SANDBOX, MEMORY], ids=str)
ALONE = ("--connections 0", "--synchronisation-threshold 0")


@BOTH
async def test_a_signal_that_nobody_handles_ends_an_accuser(toolchain: Toolchain) -> None:
    async with open_node(toolchain=toolchain, arguments=ALONE) as node:
        async with open_accuser(Protocol.BOREAS, node, may_exit=True) as accuser:
            accuser.signal(signal.SIGUSR1)
            assert await accuser.expect_exit() == -signal.SIGUSR1


@BOTH
async def test_who_connected_has_a_port(toolchain: Toolchain) -> None:
    async with open_node(toolchain=toolchain) as one, open_node(toolchain=toolchain) as other:
        async with open_client(one) as client:
            said = await client.admin("connect", "address", f"0.0.0.0:{other.net_port}")
        assert said == f"Connection to 0.0.0.0:{other.net_port} established.\n"
        (theirs,) = await other.rpc("get", "/network/connections")
        assert theirs["remote_socket_port"] > 1023


async def test_nodes_of_two_worlds_are_not_connected() -> None:
    async with (
        open_node(toolchain=MEMORY) as node,
        open_client(node) as client,
        open_sandbox() as elsewhere,
        open_node(toolchain=elsewhere.toolchain) as other,
    ):
        for connect in (client.connect_address, client.trust_address):
            with pytest.raises(ValueError, match="is a world of its own"):
                await connect(other)


@BOTH
async def test_a_node_that_is_gone_refuses(toolchain: Toolchain) -> None:
    async with open_node(toolchain=toolchain) as node:
        await node.terminate()
        with pytest.raises(NodeUnreachable) as caught:
            await node.rpc("get", "/version")
        assert caught.value.reason == "[Errno 111] Connection refused"


@BOTH
async def test_a_pipe_is_of_one_daemon(toolchain: Toolchain, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    async with open_node(toolchain=toolchain, event_pipe=pipe) as node:
        with pytest.raises(EventPipeError) as caught:
            async with open_accuser(Protocol.BOREAS, node, event_pipe=pipe):
                await trio.sleep_forever()
        assert caught.value.reason == "is in use: somebody reads from it"


@BOTH
async def test_a_file_that_cannot_be_written_is_told(toolchain: Toolchain) -> None:
    async with open_node(toolchain=toolchain) as node, open_client(node) as client:
        with pytest.raises(CommandFailed) as caught:
            await client.admin("list", "heads", "-o", "/nowhere/x")
        assert caught.value.stderr.endswith("Error:\n  /nowhere/x: No such file or directory\n")


@BOTH
async def test_a_client_writes_utf_8_in_any_locale(
    toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    async with open_node(toolchain=toolchain, arguments=ALONE) as node, open_client(node) as client:
        await client.activate_protocol(Protocol.BOREAS)
        assert await client.command("get", "balance", "for", "bootstrap1") == "3800000 ṁ\n"
