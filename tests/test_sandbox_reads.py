"""What the node's reads tell of contracts, money, nonces, participation, peers and itself."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP, CHAIN_ID, blake2b
from accuser._mavryk.codec.operations import Operation
from accuser._mavryk.codec.votes import Proposals
from accuser.sandbox.chain.block import NO_OPERATIONS, Operations
from accuser.sandbox.node import issuance
from accuser.sandbox.node.points import Point
from tests.support.forger import activated, slots, vote
from tests.support.nodes import (
    B1,
    BOREAS,
    Stand,
    peer_id,
    standing,
    until,
)

BLOCK = "/chains/main/blocks/head"
NOBODY = "mv1XLiKa1vywAuPWuLF9WEYB3BPvRRQ8oCsp"
CPMM = "KT1TxqZ8QtKvLu3V3JH7Gx58n7Co8pgtpQU5"
BUFFER = "KT1RfKYjLYpGBQ1YGSKoSoYEYwpJPFZrvmwH"
ELSEWHERE = "KT18vR1HXic9ajAwpDjBWipBqzs4djUe6Lx2"


async def status(stand: Stand, path: str) -> int:
    return (await stand.client.request("GET", path)).status


# Contracts


async def test_everything_about_an_account() -> None:
    async with standing(chain=activated()) as stand:
        root = f"{BLOCK}/context/contracts/{B1.pkh}"
        info = await stand.get(root)
        assert info == {"balance": "3800000000000", "delegate": B1.pkh, "counter": "0"}
        for name, value in info.items():
            assert await stand.get(f"{root}/{name}") == value
        assert await stand.get(f"{root}/full_balance") == "4000000000000"
        assert await stand.get(f"{root}/staked_balance") == "200000000000"
        assert await stand.get(f"{root}/manager_key") == B1.public_key
        assert await stand.get(f"{root}/unstake_requests") is None
        assert await stand.get(f"{root}/storage/used_space") is None
        zero = (
            "frozen_bonds",
            "staking_numerator",
            "unstaked_frozen_balance",
            "unstaked_finalizable_balance",
        )
        for name in (*zero, "estimated_own_pending_slashed_amount"):
            assert await stand.get(f"{root}/{name}") == "0"
        for name in ("script", "storage", "entrypoints", "entrypoints/default", "all_ticket_balances"):
            assert await status(stand, f"{root}/{name}") == 404


async def test_an_account_that_is_not_there() -> None:
    async with standing(chain=activated()) as stand:
        root = f"{BLOCK}/context/contracts/{NOBODY}"
        assert await stand.get(root) == {"balance": "0", "counter": "0"}
        assert await stand.get(f"{root}/manager_key") is None
        assert await stand.get(f"{root}/staked_balance") is None
        assert await status(stand, f"{root}/delegate") == 404
        response = await stand.client.request("GET", f"{root}/full_balance")
        assert response.status == 500
        assert response.json()[0]["id"] == "proto.002-PtBoreas.context.storage_error"


async def test_contracts_that_the_protocol_makes() -> None:
    async with standing(chain=activated()) as stand:
        every = await stand.get(f"{BLOCK}/context/contracts")
        assert [address[:3] for address in every] == ["KT1"] * 4 + ["mv1"] * 5
        root = f"{BLOCK}/context/contracts"
        assert await stand.get(f"{root}/{CPMM}") == {"balance": "100"}
        assert await stand.get(f"{root}/{CPMM}/unstaked_frozen_balance") is None
        assert await status(stand, f"{root}/{CPMM}/counter") == 404
        response = await stand.client.request("GET", f"{root}/{CPMM}/script")
        assert response.status == 500
        assert "does not have the scripts" in response.json()[0]["msg"]
        assert await status(stand, f"{root}/{ELSEWHERE}/balance") == 404
        assert await stand.get(f"{BLOCK}/context/liquidity_baking/cpmm_address") == CPMM
        assert await stand.get(f"{BLOCK}/context/protocol_treasury/address") == ELSEWHERE
        assert await stand.get(f"{BLOCK}/context/protocol_treasury/buffer_address") == BUFFER
        owned = [int(await stand.get(f"{root}/{one}/full_balance")) for one in every]
        assert await stand.get(f"{BLOCK}/context/total_supply") == str(sum(owned))


@pytest.mark.parametrize(
    "path",
    [
        "contracts",
        f"contracts/{B1.pkh}",
        "total_supply",
        "constants/parametric",
        "issuance/expected_issuance",
    ],
)
async def test_before_a_protocol_with_delegates_there_are_none_of_these(path: str) -> None:
    async with standing(chain=activated()) as stand:
        assert await status(stand, f"/chains/main/blocks/genesis/context/{path}") == 404


# Money


async def test_what_is_issued() -> None:
    async with standing(chain=activated()) as stand:
        for _ in range(8):
            await stand.bake()
        assert await stand.get(f"{BLOCK}/context/issuance/issuance_per_minute") == "80007812"
        exact = await stand.get(f"{BLOCK}/context/issuance/current_yearly_rate_exact")
        supply = int(await stand.get(f"{BLOCK}/context/total_supply"))
        rate = Fraction(int(exact["numerator"]), int(exact["denominator"]))
        assert rate == Fraction(80007812 * 60 * 24 * 365 * 100, supply)
        cycles = await stand.get(f"{BLOCK}/context/issuance/expected_issuance")
        assert [one["cycle"] for one in cycles] == [1, 2, 3]
        assert {one["baking_reward_fixed_portion"] for one in cycles} == {"333333"}
        assert await stand.get(f"{BLOCK}/context/adaptive_issuance_launch_cycle") == 5
        stakes = [await stand.get(f"{BLOCK}/context/delegates/{key.pkh}/stakers") for key in BOOTSTRAP]
        total = sum(int(one["frozen_deposits"]) for (one,) in stakes)
        assert await stand.get(f"{BLOCK}/context/total_frozen_stake") == str(total)


def test_rates_are_rounded_down() -> None:
    assert issuance.decimal(Fraction(19999, 10000)) == "1.999"
    assert issuance.decimal(Fraction(1, 2000)) == "0.000"
    assert issuance.decimal(Fraction(5)) == "5.000"


async def test_constants_come_in_two_parts() -> None:
    async with standing(chain=activated()) as stand:
        every = await stand.get(f"{BLOCK}/context/constants")
        parametric = await stand.get(f"{BLOCK}/context/constants/parametric")
        assert {name: every[name] for name in parametric} == parametric
        assert set(every) - set(parametric) >= {"nonce_length", "max_slashing_period"}
        assert "nonce_length" not in parametric


# Cycles


async def test_levels_and_offsets() -> None:
    async with standing(chain=activated()) as stand:
        for _ in range(9):
            await stand.bake()
        levels = f"{BLOCK}/helpers/levels_in_current_cycle"
        assert await stand.get(levels) == {"first": 9, "last": 16}
        assert await stand.get(f"{levels}?offset=-1") == {"first": 1, "last": 8}
        assert await stand.get(f"{levels}?offset=3") == {"first": 33, "last": 40}
        assert await status(stand, f"{levels}?offset=-2") == 404
        level = f"{BLOCK}/helpers/current_level"
        assert (await stand.get(f"{level}?offset=7"))["cycle"] == 2
        response = await stand.client.request("GET", f"{level}?offset=-1")
        assert response.json()[0]["id"] == "proto.002-PtBoreas.negative_level_offset"
        response = await stand.client.request("GET", f"{level}?offset={2**31 - 1}")
        assert response.json()[0]["id"] == "proto.002-PtBoreas.negative_level_and_offset_sum"
        assert await status(stand, f"{level}?offset=x") == 400


async def test_attestation_rights_by_either_filter() -> None:
    async with standing(chain=activated()) as stand:
        await stand.bake()
        path = f"{BLOCK}/helpers/attestation_rights"
        (right,) = await stand.get(path)
        assert (right["level"], "estimated_time" in right) == (2, False)
        assert sum(one["attestation_power"] for one in right["delegates"]) == 256
        assert [one["first_slot"] for one in right["delegates"]] == sorted(
            (one["first_slot"] for one in right["delegates"]), reverse=True
        )
        other = BOOTSTRAP[1].pkh
        (both,) = await stand.get(f"{path}?delegate={B1.pkh}&consensus_key={other}")
        assert {one["delegate"] for one in both["delegates"]} == {B1.pkh, other}
        assert await stand.get(f"{path}?delegate={NOBODY}") == []


async def test_nonces_are_known_until_the_next_cycle_ends() -> None:
    async with standing(chain=activated()) as stand:
        for _ in range(14):
            await stand.bake()
        nonces = f"{BLOCK}/context/nonces"
        committed = stand.node.chain.on_main_chain(4).protocol_data
        assert committed is not None
        assert await stand.get(f"{nonces}/4") == {"hash": committed.seed_nonce_hash}
        for level in (3, 16, 100, -5):
            assert await stand.get(f"{nonces}/{level}") == {}
        await stand.bake()
        assert await stand.get(f"{nonces}/4") == {}
        assert "hash" in await stand.get(f"{nonces}/12")
        assert await status(stand, f"{nonces}/x") == 400


async def test_seeds_follow_each_other() -> None:
    async with standing(chain=activated()) as stand:
        first = await stand.post(f"{BLOCK}/context/seed", {})
        assert bytes.fromhex(first) == blake2b(b"")
        assert await stand.get(f"{BLOCK}/context/seed_computation") == {"nonce_revelation_stage": {}}
        for _ in range(8):
            await stand.bake()
        second = await stand.post(f"{BLOCK}/context/seed", {})
        assert bytes.fromhex(second) == blake2b(bytes.fromhex(first) + bytes(32))
        for _ in range(5):
            await stand.bake()
        stage = await stand.get(f"{BLOCK}/context/seed_computation")
        before, after = bytes.fromhex(stage["seed_discriminant"]), bytes.fromhex(stage["seed_challenge"])
        assert after == blake2b(before + bytes(32))


async def test_participation_counts_what_blocks_lack() -> None:
    async with standing(chain=activated()) as stand:
        path = f"{BLOCK}/context/delegates/{B1.pkh}/participation"
        await stand.bake()
        full = await stand.get(path)
        # A fifth of 8 times 256 slots, of which two thirds are needed.
        assert full == {
            "expected_cycle_activity": 409,
            "minimal_cycle_activity": 272,
            "missed_slots": 0,
            "missed_levels": 0,
            "remaining_allowed_missed_slots": 137,
            "expected_attesting_rewards": str(2604 * 409),
        }
        head = stand.node.chain.head
        own = slots(head, B1.pkh)
        await stand.bake(operations=with_vote(vote(stand.node.chain, head, own[0])))
        assert await stand.get(path) == full
        own = slots(stand.node.chain.head, B1.pkh)
        await stand.bake()
        missed = await stand.get(path)
        assert (missed["missed_slots"], missed["missed_levels"]) == (len(own), 1)
        assert missed["remaining_allowed_missed_slots"] == 137 - len(own)
        while stand.node.chain.head.level < 7:
            await stand.bake()
        late = await stand.get(path)
        assert late["remaining_allowed_missed_slots"] == 0
        assert late["expected_attesting_rewards"] == "0"
        await stand.bake()
        assert (await stand.get(path))["missed_levels"] == 0


def with_vote(operation: Any) -> Operations:
    return ((operation,), *NO_OPERATIONS[1:])


async def test_what_a_delegate_has_proposed() -> None:
    async with standing(chain=activated()) as stand:
        chain = stand.node.chain
        operation = Operation(chain.head.hash, (Proposals(B1.pkh, 0, (Protocol.ALPHA.hash,)),))
        signature = B1.sign(operation.unsigned_bytes(), watermark=b"\x03")
        await stand.bake(operations=((), (attrs.evolve(operation, signature=signature),), (), ()))
        info = await stand.get(f"{BLOCK}/context/delegates/{B1.pkh}/voting_info")
        assert info["current_proposals"] == [Protocol.ALPHA.hash]
        assert info["remaining_proposals"] == 19
        count = f"{BLOCK}/votes/proposal_count"
        assert [await stand.get(f"{count}/{pkh}") for pkh in (B1.pkh, NOBODY)] == [1, 0]


# Blocks


async def test_the_first_blocks_tell_the_limits_of_the_next_protocol() -> None:
    async with standing(chain=activated()) as stand:
        await stand.bake()
        genesis, start, later = [await stand.get(f"/chains/main/blocks/{n}/metadata") for n in (0, 1, 2)]
        assert genesis["protocol"] == encode(Kind.PROTOCOL, bytes(32))
        assert (genesis["max_operation_data_length"], genesis["max_operation_list_length"]) == (0, [])
        for name in ("max_operation_data_length", "max_operation_list_length", "max_block_header_length"):
            assert start[name] == later[name] != genesis[name]
        assert start["next_protocol"] == BOREAS
        assert "balance_updates" not in later


async def test_version_0_has_former_names() -> None:
    async with standing(chain=activated()) as stand:
        head = await stand.bake()
        about = vote(stand.node.chain, head, slots(head, B1.pkh)[0])
        await stand.bake(operations=with_vote(about))
        for path in (f"{BLOCK}/operations/0/0?version=0", f"{BLOCK}?version=0"):
            shown = await stand.get(path)
            operation = shown["operations"][0][0] if "operations" in shown else shown
            (content,) = operation["contents"]
            assert content["kind"] == "endorsement"
            assert list(content["metadata"]) == ["delegate", "endorsement_power", "consensus_key"]
        (content,) = (await stand.get(f"{BLOCK}/operations/0/0"))["contents"]
        assert list(content["metadata"]) == ["delegate", "consensus_power", "consensus_key"]
        assert "metadata" not in (await stand.get(f"{BLOCK}/operations/0/0?metadata=never"))["contents"][0]
        assert await status(stand, f"{BLOCK}/operations/0?metadata=perhaps") == 400


async def test_hashes_of_metadata() -> None:
    async with standing(chain=activated()) as stand:
        head = await stand.bake()
        await stand.bake(operations=with_vote(vote(stand.node.chain, head, slots(head, B1.pkh)[0])))
        ((one,), *others) = await stand.get(f"{BLOCK}/operation_metadata_hashes")
        assert one == await stand.get(f"{BLOCK}/operation_metadata_hashes/0/0")
        assert others == [[], [], []]
        assert (await stand.get(f"{BLOCK}/metadata_hash")).startswith("bm")
        every = await stand.get(f"{BLOCK}/operations_metadata_hash")
        assert every != await stand.get("/chains/main/blocks/head~1/operations_metadata_hash")
        assert await status(stand, "/chains/main/blocks/1/metadata_hash") == 404


# The node


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
