"""A node that is asked for binary answers, and an accuser that asks for them by default."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from trio.testing import MockClock

from accuser import Node, Protocol, Sandbox, open_accuser, open_client, open_node
from accuser._http.client import HttpClient
from accuser._mavryk.codec.binary import frames
from accuser._mavryk.codec.binary.services import service
from accuser._mavryk.codec.crypto import BOOTSTRAP
from tests.tools.openapi import ALONE

JSON: Final = (("accept", "application/json"),)
BINARY: Final = (("accept", "application/octet-stream;q=0.200"),)
BLOCK: Final = "/chains/main/blocks/head"
DELEGATE: Final = BOOTSTRAP[0].pkh
READS: Final = (
    *("/version", "/protocols", "/network/self", "/network/connections", "/network/points"),
    *("/chains/main/chain_id", "/chains/main/is_bootstrapped", "/chains/main/blocks"),
    *("/chains/main/levels/caboose", "/chains/main/levels/checkpoint", "/chains/main/levels/savepoint"),
    "/chains/main/mempool/pending_operations",
    *(BLOCK, f"{BLOCK}/hash", f"{BLOCK}/header", f"{BLOCK}/header/shell", f"{BLOCK}/header/raw"),
    *(f"{BLOCK}/header/protocol_data", f"{BLOCK}/header/protocol_data/raw", f"{BLOCK}/metadata"),
    *(f"{BLOCK}/operations", f"{BLOCK}/operations/0", f"{BLOCK}/operations/0/0"),
    *(f"{BLOCK}/operation_hashes", f"{BLOCK}/operation_hashes/0", f"{BLOCK}/operation_hashes/0/0"),
    *(f"{BLOCK}/protocols", f"{BLOCK}/resulting_context_hash", f"{BLOCK}/live_blocks"),
    *(f"{BLOCK}/helpers/baking_rights", f"{BLOCK}/helpers/current_level", f"{BLOCK}/helpers/round"),
    f"{BLOCK}/helpers/validators",
    *(f"{BLOCK}/votes/{name}" for name in ("ballot_list", "ballots", "current_period", "current_proposal")),
    *(f"{BLOCK}/votes/{name}" for name in ("current_quorum", "listings", "proposals", "successor_period")),
    *(f"{BLOCK}/votes/total_voting_power", f"{BLOCK}/context/denunciations", f"{BLOCK}/context/delegates"),
    *(f"{BLOCK}/context/contracts/{DELEGATE}/{name}" for name in ("balance", "full_balance")),
)
OF_BOREAS: Final = (f"{BLOCK}/context/constants", f"{BLOCK}/context/delegates/{DELEGATE}")
PROTOCOLS: Final = pytest.mark.parametrize(
    "protocol", [Protocol.ATLAS, Protocol.BOREAS, Protocol.ALPHA], ids=lambda one: one.tag
)


@asynccontextmanager
async def living(sandbox: Sandbox, protocol: Protocol) -> AsyncIterator[tuple[Node, HttpClient]]:
    """A node whose head has a vote, attestations and a receipt of each."""
    async with (
        open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node,
        open_client(node) as client,
    ):
        await client.activate_protocol(protocol)
        await client.bake_for(count=2)
        await client.submit_proposals(Protocol.ALPHA.hash)
        await client.attest_for("bootstrap1", force=True)
        await client.bake_for()
        yield node, HttpClient(node.rpc_endpoint, connect=node._host.connect_to(node.rpc_endpoint))


@PROTOCOLS
async def test_binary_answers_say_what_json_does(
    sandbox: Sandbox, protocol: Protocol, autojump_clock: MockClock
) -> None:
    later = () if protocol is Protocol.ATLAS else OF_BOREAS
    async with living(sandbox, protocol) as (_, http):
        for path in (*READS, *later):
            told = await http.request("GET", path, headers=JSON)
            binary = await http.request("GET", path, headers=BINARY)
            assert (told.status, binary.status) == (200, 200), path
            assert binary.media_type == frames.MEDIA_TYPE
            found = service("GET", path)
            assert found is not None
            assert frames.unframed(found.answer, binary.body, protocol.hash) == json.loads(told.body), path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/chains/main/blocks/BLbad/hash", 400),
        ("/chains/elsewhere/blocks/head", 400),
        ("/chains/main/blocks/head/context/delegates/mv1bad", 400),
        ("/chains/main/blocks/head/helpers/baking_rights?level=x", 400),
        ("/chains/main/blocks/999", 404),
        ("/nothing", 404),
        ("/config/logging", 405),
    ],
)
async def test_refusals_of_who_asks_for_binary(
    sandbox: Sandbox, path: str, status: int, autojump_clock: MockClock
) -> None:
    """What has a text has it as a text, what has none names the media type only where an RPC is."""
    async with living(sandbox, Protocol.BOREAS) as (_, http):
        answer = await http.request("GET", path, headers=BINARY)
        assert answer.status == status
        if status == 400:
            assert answer.media_type == "text/plain"
            assert answer.body.startswith(b"Failed to pars")
        else:
            assert answer.body == b""
            assert answer.media_type == (frames.MEDIA_TYPE if path.endswith("999") else "")


@PROTOCOLS
async def test_an_accuser_asks_for_binary_answers(
    sandbox: Sandbox, protocol: Protocol, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: list[tuple[str, str]] = []
    request, stream = HttpClient.request, HttpClient.stream

    def noted(of: Any) -> Any:
        def call(self: HttpClient, method: str, path: str, **options: Any) -> Any:
            headers = dict(options.get("headers", ()))
            if "mavkit-sandbox" in headers.get("user-agent", ""):
                accepted.append((path, headers["accept"]))
            return of(self, method, path, **options)

        return call

    async with (
        open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node,
        open_client(node) as client,
    ):
        await client.activate_protocol(protocol)
        monkeypatch.setattr(HttpClient, "request", noted(request))
        monkeypatch.setattr(HttpClient, "stream", noted(stream))
        async with open_accuser(protocol, node) as accuser:
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            monkeypatch.undo()
            assert {accept for _, accept in accepted} == {BINARY[0][1]}
            await client.bake_for(count=3)
            mark = accuser.mark()
            await client.attest_for("bootstrap1", force=True)
            await client.bake_for()
            await accuser.wait_for("accuser_processed_block.v0", since=mark)


async def test_an_accuser_that_is_kept_alive_survives_its_node(
    sandbox: Sandbox, autojump_clock: MockClock
) -> None:
    async with (
        open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node,
        open_client(node) as client,
    ):
        await client.activate_protocol(Protocol.BOREAS)
        await client.bake_for(count=2)
        async with open_accuser(Protocol.BOREAS, node, arguments=["--keep-alive"]) as accuser:
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            for _ in range(3):
                mark = accuser.mark()
                await node.kill()
                await accuser.wait_for_line("Retrying to establish connection", stream="stderr", since=mark)
                await node.restart()
                await accuser.wait_for("daemon_start.v0", since=mark, timeout=600)
            mark = accuser.mark()
            await client.bake_for()
            await accuser.wait_for("accuser_processed_block.v0", since=mark)
