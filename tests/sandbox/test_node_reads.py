"""What the node's reads tell of itself, its peers, its streams, and of what there is to ask."""

from __future__ import annotations

import json

from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import CHAIN_ID
from accuser.sandbox.node.points import Point
from tests.support.forger import activated
from tests.support.nodes import (
    BOREAS,
    Stand,
    peer_id,
    standing,
    status,
    until,
)


async def test_streams_of_blocks_in_their_forms() -> None:
    async with standing(chain=activated()) as stand:
        paths = ["applied_blocks", "validated_blocks", f"valid_blocks?next_protocol={BOREAS}&chain=main"]
        shown = []
        for path in (*paths, "received_blocks/main"):
            async with stand.stream(f"/monitor/{path}") as items:
                block = await stand.bake()
                shown.append(json.loads(await anext(items)))
                assert block.hash in (shown[-1], shown[-1]["hash"] if isinstance(shown[-1], dict) else "")
        assert list(shown[0]) == list(shown[1]) == ["chain_id", "hash", "header", "operations"]
        assert list(shown[2])[:4] == ["chain_id", "hash", "level", "proto"]
        async with stand.stream("/monitor/active_chains") as items:
            assert json.loads(await anext(items)) == [{"chain_id": CHAIN_ID}]
        assert await stand.get("/monitor/commit_hash") == "sandbox"
        assert await status(stand, "/monitor/validated_blocks?chain=test") == 404


async def test_a_node_about_itself() -> None:
    async with standing(chain=activated()) as stand:
        genesis = stand.node.chain.genesis.hash
        for name in ("checkpoint", "savepoint", "caboose"):
            assert await stand.get(f"/chains/main/levels/{name}") == {"block_hash": genesis, "level": 0}
        checkpoint = await stand.get("/chains/main/checkpoint")
        assert (checkpoint["block"]["level"], checkpoint["history_mode"]) == (0, "full")
        assert await stand.get("/chains/main/invalid_blocks") == []
        assert await status(stand, f"/chains/main/invalid_blocks/{genesis}") == 404
        assert await stand.get(f"/protocols/{BOREAS}/environment") == 12
        unknown = encode(Kind.PROTOCOL, b"\x01" * 32)
        assert await status(stand, f"/protocols/{unknown}/environment") == 404
        assert await stand.get(f"/fetch_protocol/{BOREAS}") == {}
        assert await status(stand, f"/fetch_protocol/{unknown}") == 500
        memory = await stand.get("/stats/memory")
        assert int(memory["resident"]) > 0
        (worker,) = await stand.get("/workers/prevalidators")
        assert (worker["chain_id"], worker["status"]["phase"]) == (CHAIN_ID, "running")
        assert (await stand.get("/workers/chain_validators/main/ddb"))["active_peers"] == 0


async def test_bootstrapped_by_force() -> None:
    async with standing(chain=activated(), threshold=2) as stand:
        path = "/chains/main/is_bootstrapped"
        assert (await stand.get(path))["bootstrapped"] is False
        async with stand.stream("/monitor/bootstrapped") as items:
            await anext(items)
            response = await stand.send("PATCH", "/chains/main", {"bootstrapped": True})
            assert (response.status, response.json()) == (200, {})
            assert [item async for item in items] == []
        assert (await stand.get(path))["bootstrapped"] is True
        assert (await stand.send("PATCH", "/chains/main", {"bootstrapped": 1})).status == 400


async def test_peers_and_what_is_thought_of_them() -> None:
    others: dict[Point, Stand] = {}
    async with standing(1, others=others) as one, standing(2, others=others) as two:
        await two.send("PUT", "/network/points/127.0.0.1:1", {})
        await until(lambda: bool(one.network.connections))
        peers = await two.get("/network/peers")
        assert [peer for peer, _ in peers] == [peer_id(1)]
        info = await two.get(f"/network/peers/{peer_id(1)}")
        assert (info["state"], info["trusted"]) == ("running", False)
        assert info["reachable_at"] == {"addr": "127.0.0.1", "port": 1}
        assert int((await two.get("/network/stat"))["total_sent"]) > 0
        assert await two.get("/network/peers?filter=disconnected") == []
        assert len(await two.get("/network/points?filter=running&filter=requested")) == 1
        assert await status(two, "/network/peers?filter=idle") == 400
        assert (await two.get("/workers/chain_validators/main/peers_validators"))[0]["peer_id"] == peer_id(1)
        await two.get(f"/network/peers/{peer_id(1)}/ban")
        await until(lambda: not two.network.connections)
        assert await two.get(f"/network/peers/{peer_id(1)}/banned") is True
        assert (await two.get(f"/network/peers/{peer_id(1)}"))["state"] == "disconnected"
        assert int((await two.get("/network/stat"))["total_sent"]) > 0
        refused = await two.send("PUT", "/network/points/127.0.0.1:1", {})
        assert refused.status == 500
        response = await two.send("PATCH", f"/network/peers/{peer_id(1)}", {"acl": "trust"})
        assert response.json()["trusted"] is True
        assert (await two.send("PUT", "/network/points/127.0.0.1:1", {})).status == 200
        assert await status(two, f"/network/peers/{peer_id(7)}") == 404


async def test_what_there_is_to_ask() -> None:
    async with standing() as stand:
        tree = (await stand.get("/describe?recurse=yes"))["static"]["subdirs"]["suffixes"]
        below = {one["name"]: one["tree"]["static"] for one in tree}
        assert {"chains", "monitor", "network", "describe", "version"} <= set(below)
        service = below["version"]["get_service"]
        assert (service["meth"], service["path"], service["query"]) == ("GET", ["version"], [])
        heads = (await stand.get("/describe/chains/main/blocks"))["static"]["get_service"]
        assert heads["path"] == ["chains", {"id": "single", "name": "chain_id"}, "blocks"]
        assert {one["name"]: list(one["kind"]) for one in heads["query"]} == {
            "length": ["single"],
            "head": ["multi"],
            "min_date": ["optional"],
        }
        assert await status(stand, "/describe/nonsense") == 404
