"""Nodes on a network of their own: upgrades and overrides of protocols."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accuser import Node, Protocol, Toolchain, open_node
from accuser._mavryk.network_file import network_file

DEMO = "ProtoDemoCounterDemoCounterDemoCounterDemoCou4LSpdT"


def test_the_file_is_what_upstreams_harness_writes() -> None:
    content = network_file({9: Protocol.ALPHA, 4: Protocol.BOREAS}, {DEMO: Protocol.BOREAS})
    assert content is not None
    assert json.loads(content) == {
        "genesis": {
            "timestamp": "2025-08-14T11:18:23Z",
            "block": "BLockGenesisGenesisGenesisGenesisGenesis23a82evMK9F",
            "protocol": "ProtoGenesisGenesisGenesisGenesisGenesisGenesk612im",
        },
        "genesis_parameters": {
            "values": {"genesis_pubkey": "edpkv4NbnxPuHtCwszff3vB7vtwYXmPUsaaM1DBcxuJhvTfGUFsej4"}
        },
        "chain_name": "MAVRYK",
        "sandboxed_chain_name": "SANDBOXED_MAVRYK",
        "user_activated_upgrades": [
            {"level": 4, "replacement_protocol": Protocol.BOREAS.hash},
            {"level": 9, "replacement_protocol": Protocol.ALPHA.hash},
        ],
        "user_activated_protocol_overrides": [
            {"replaced_protocol": DEMO, "replacement_protocol": Protocol.BOREAS.hash}
        ],
    }
    assert network_file({}, {}) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"upgrades": {0: Protocol.BOREAS}}, "by level, a whole number from 1 on, and not by 0$"),
        ({"upgrades": {"4": Protocol.BOREAS}}, "not by '4'$"),
        ({"upgrades": {True: Protocol.BOREAS}}, "not by True$"),
        ({"upgrades": {2**31: Protocol.BOREAS}}, "not by 2147483648$"),
        ({"upgrades": {4: "boreas"}}, r"as in 'PtBoreas\.\.\.', and not 'boreas'$"),
        ({"overrides": {Protocol.ATLAS: None}}, "not None$"),
        ({"upgrades": {4: DEMO}, "arguments": ("--network sandbox",)}, "leave --network out$"),
        ({"upgrades": {4: DEMO}, "arguments": ("--network=basenet",)}, "leave --network out$"),
    ],
)
def test_mistakes_are_told_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Node(**options)


async def test_a_node_tells_what_its_users_want(toolchain: Toolchain) -> None:
    opening = open_node(
        toolchain=toolchain,
        arguments=("--connections 0", "--synchronisation-threshold 0"),
        upgrades={4: Protocol.BOREAS},
        overrides={DEMO: Protocol.ALPHA},
    )
    async with opening as node:
        await tells(node)
        # Of the same network as others, it has the same chain.
        assert await node.rpc("get", "/chains/main/chain_id") == "NetXXAAR1wWQhhe"
        await node.restart()
        await tells(node)
        assert sorted(path.name for path in node.directory.iterdir() if path.suffix == ".json") == [
            "network.json"
        ]


async def tells(node: Node) -> None:
    assert await node.rpc("get", "/config/network/user_activated_upgrades") == [
        {"level": 4, "replacement_protocol": Protocol.BOREAS.hash}
    ]
    assert await node.rpc("get", "/config/network/user_activated_protocol_overrides") == [
        {"replaced_protocol": DEMO, "replacement_protocol": Protocol.ALPHA.hash}
    ]
