"""What the node's reads tell of contracts, money, cycles, nonces, participation and blocks."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP, blake2b
from accuser._mavryk.codec.operations import Operation
from accuser._mavryk.codec.votes import Proposals
from accuser.sandbox.chain.block import NO_OPERATIONS, Operations
from accuser.sandbox.node import issuance
from tests.support.forger import activated, slots, vote
from tests.support.nodes import (
    B1,
    BOREAS,
    standing,
    status,
)

BLOCK = "/chains/main/blocks/head"
NOBODY = "mv1XLiKa1vywAuPWuLF9WEYB3BPvRRQ8oCsp"
CPMM = "KT1TxqZ8QtKvLu3V3JH7Gx58n7Co8pgtpQU5"
BUFFER = "KT1RfKYjLYpGBQ1YGSKoSoYEYwpJPFZrvmwH"
ELSEWHERE = "KT18vR1HXic9ajAwpDjBWipBqzs4djUe6Lx2"


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
    async with standing(chain=activated(issuance=True)) as stand:
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
        # What gave rights in the cycle, without the rewards that came since.
        stakes = [
            int(await stand.get(f"{BLOCK}/context/delegates/{key.pkh}/frozen_deposits")) for key in BOOTSTRAP
        ]
        total = sum(stakes)
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
    async with standing(chain=activated(issuance=True)) as stand:
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
        await stand.bake()
        # The block above the activation tells of that, and where nobody is paid, later ones of nothing.
        assert "balance_updates" in later
        assert "balance_updates" not in await stand.get(f"{BLOCK}/metadata")


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
