"""The client's requests, and the admin client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import (
    CHAIN_ID,
)
from accuser._mavryk.protocol import Protocol
from accuser.sandbox.cli.json_text import pretty
from accuser.sandbox.node.node import Node
from accuser.sandbox.node.p2p import PeerNetwork
from tests.support.clients import (
    PEER_ID,
    Outcome,
    world,
)

# Requests


async def test_rpc(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        printed = await w.ok("rpc", "get", "/chains/main/blocks/head/header")
        assert json.loads(printed)["hash"] == w.head.hash
        assert printed == pretty(json.loads(printed)) + "\n"
        assert await w.ok("rpc", "get", "chains/main/chain_id") == f'"{CHAIN_ID}"\n'
        body = json.dumps({"acl": "trust"})
        point = "/network/points/127.0.0.1:1000"
        assert json.loads(await w.ok("rpc", "patch", point, "with", body))["trusted"] is True
        (tmp_path / "body.json").write_text('{"acl": "open"}')
        printed = await w.ok("rpc", "patch", point, "with", f"file:{tmp_path}/body.json")
        assert json.loads(printed)["trusted"] is False


@pytest.mark.parametrize(
    ("words", "stderr"),
    [
        (("get", "/no/such/path"), "Fatal error:\n  No service found at this URL\n  \n"),
        (("get", "/chains/main/blocks/head~9/hash"), "Fatal error:\n  No service found at this URL\n  \n"),
        (("post", "/injection/block", "with", "{"), "Fatal error:\n  Failed to parse the provided json: "),
        (("post", "/injection/operation", "with", '"00"'), "Fatal error:\n  Command failed: "),
        (("post", "/injection/operation", "with", "3"), "Error:\n  Rpc request failed:\n     - meth: POST\n"),
        (("post", "/x", "with", "file:/no/such/file"), "Error:\n  cannot read file ("),
    ],
)
async def test_rpc_failures(tmp_path: Path, words: tuple[str, ...], stderr: str) -> None:
    async with world(tmp_path) as w:
        outcome = await w.run("rpc", *words)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(stderr)


async def test_a_node_that_is_not_there(tmp_path: Path) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    await listener.aclose()
    async with world(tmp_path) as w:
        w.connect = None  # type: ignore[assignment]  # of a stand-in
        reason = (
            "  Rpc request failed:\n     - meth: GET\n     - uri: {}\n"
            "     - error: Unable to connect to the node: "
            '"Unix.Unix_error(Unix.ECONNREFUSED, "connect", "")"\n'
        )
        outcome = await w.run("--endpoint", url, "rpc", "get", "/version")
        warning = "Warning:\n  Failed to acquire the protocol version from the node\n"
        warning += reason.format(f"{url}/chains/main/blocks/head/protocols") + "\n"
        assert outcome == Outcome(1, "", f"{warning}Error:\n" + reason.format(f"{url}/version"))
        outcome = await w.run("--endpoint", url, "bake", "for", "bootstrap1")
        assert outcome.status == 1
        head = "Warning:\n  Failed to acquire the protocol version from the node\n"
        assert outcome.stderr.startswith(head + reason.format(f"{url}/chains/main/blocks/head/protocols"))
        assert "\nError:\n  Unrecognized command.\n" in outcome.stderr


@pytest.mark.parametrize("path", ["header", "helpers/validators", "context/constants"])
async def test_a_node_that_talks_nonsense(tmp_path: Path, path: str) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        honest = w.connect

        async def connect() -> trio.abc.Stream:
            return _Distorted(await honest(), path.encode())

        w.connect = connect
        outcome = await w.run("bake", "for", "bootstrap1", "--minimal-timestamp")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(f"Fatal error:\n  The node's answer to {path.split('/')[-1]} cannot be")


class _Distorted(trio.abc.Stream):
    """A connection that gives another answer where the path of the request has some words."""

    def __init__(self, inner: trio.abc.Stream, words: bytes) -> None:
        self._inner = inner
        self._words = words
        self._distort = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._distort = self._words in bytes(data).partition(b"\r\n")[0]
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._distort:
            self._distort = False
            return b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n["odd"]'
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_requests_are_logged_on_demand(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        words = ("rpc", "get", "/chains/main/chain_id")
        outcome = await w.run("-l", *words)
        assert outcome.stdout == f'"{CHAIN_ID}"\n'
        url = "http://localhost:8732"
        first, second = outcome.stderr.split(">>>>1: ")
        assert first.startswith(f">>>>0: {url}/version\n<<<<0: 200 OK\n  {{ ")
        assert second.startswith(f"{url}/chains/main/blocks/head/protocols\n<<<<1: 200 OK\n  {{ ")
        # What rpc asks itself is its own output.
        assert "chain_id" not in outcome.stderr
        outcome = await w.run("--timings", *words)
        assert outcome.stderr.startswith(f"Request to {url}/version succeeded in ")
        assert ">>>>" not in outcome.stderr


# The admin client


async def test_addresses(tmp_path: Path) -> None:
    async with world(tmp_path) as w:

        async def admin(*words: str) -> str:
            return await w.ok(*words, program="./mavkit-admin-client")

        async def trusted() -> bool:
            answer = json.loads(await w.ok("rpc", "get", "/network/points/127.0.0.1:1234"))
            return bool(answer["trusted"])

        assert await admin("trust", "address", "127.0.0.1:1234") == "Address 127.0.0.1:1234 is now trusted.\n"
        assert await trusted()
        printed = await admin("untrust", "address", "127.0.0.1:1234")
        assert printed == "Address 127.0.0.1:1234 is now untrusted.\n"
        assert not await trusted()
        assert await admin("ban", "address", "127.0.0.1:1234") == "Address 127.0.0.1:* is now banned.\n"
        assert await admin("unban", "address", "127.0.0.1") == "Address 127.0.0.1:* is now unbanned.\n"
        printed = await admin("is", "address", "banned", "127.0.0.1:1234")
        assert printed == "The given ip address is not banned\n"
        assert await admin("kick", "peer", PEER_ID) == f"Connection to {PEER_ID} interrupted.\n"
        assert Protocol.ALPHA.hash in (await admin("list", "protocols")).splitlines()


async def test_connect(tmp_path: Path) -> None:
    async with world(tmp_path) as w, trio.open_nursery() as nursery:
        other = Node(encode(Kind.PEER, bytes(16)), clock=w.wall)
        network = PeerNetwork(other, nursery, 9733, False)
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        nursery.start_soon(trio.serve_listeners, network.accept, [listener])
        point = f"127.0.0.1:{listener.socket.getsockname()[1]}"
        words = ("connect", "address", point)
        assert await w.ok(*words, program="mavkit-admin-client") == f"Connection to {point} established.\n"
        assert list(w.node.peers) == [other.peer_id]
        outcome = await w.run(*words, program="mavkit-admin-client")
        assert outcome == Outcome(0, "", "Already connected to peer 127.0.0.1\n")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("address", ["", ":1", "a:b", "127.0.0.1:99999", "[::1", "::1:2"])
async def test_no_address(tmp_path: Path, address: str) -> None:
    async with world(tmp_path) as w:
        outcome = await w.run("trust", "address", address, program="mavkit-admin-client")
    assert outcome.status == 1
    lines = outcome.stderr.splitlines()
    assert lines[:2] == ["Error:", f"  Erroneous command line argument 3 ({address})."]
    assert lines[2].startswith(("  Ipaddr.Parse_error(", "  Invalid_argument(", "  Failure("))
