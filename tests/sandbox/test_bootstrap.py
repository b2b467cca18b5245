"""The accounts that the parameters of a protocol begin the sandbox's chain with."""

from __future__ import annotations

from typing import Any

import pytest

from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.keys import hash_of_key
from accuser.sandbox.chain.block import Block
from accuser.sandbox.chain.ledger import Account
from accuser.sandbox.chain.trace import NodeError
from tests.support.forger import activated, attestations, bake
from tests.support.nodes import standing
from tests.support.orders import gift, include, key, order, statuses

ONE, TWO = BOOTSTRAP[:2]
SECP, P256, BAKER = key(31, 1), key(32, 2), key(33)
BALANCE = 4_000_000_000_000


def account(block: Block, pkh: str) -> Account:
    return block.state.ledger.accounts[pkh]


def weights(block: Block) -> dict[str, int]:
    assert block.state.calendar is not None
    return {one.pkh: one.stake for one in block.state.calendar.rights(0).delegates}


def test_keys_of_other_curves_bake_and_attest() -> None:
    entries = [[owner.public_key, str(BALANCE)] for owner in (SECP, P256)]
    chain = activated(bootstrap_accounts=entries, issuance=True)
    assert weights(chain.head) == {SECP.pkh: BALANCE, P256.pkh: BALANCE}
    bakers = set()
    for _ in range(8):
        block = bake(chain, operations=attestations(chain))
        assert block.baker is not None
        bakers.add(block.baker.pkh)
    assert bakers == {SECP.pkh, P256.pkh}
    operation = order(chain, SECP, gift(5, P256.pkh))
    assert statuses(include(chain, operation), operation) == ["applied"]


def test_who_delegates_at_first() -> None:
    entries = [
        [ONE.public_key, str(BALANCE)],
        [TWO.public_key, "1000000000000", ONE.pkh],
        [BAKER.pkh, "7"],
    ]
    chain = activated(bootstrap_accounts=entries)
    delegator = account(chain.head, TWO.pkh)
    assert (delegator.delegate, delegator.is_delegate, delegator.frozen) == (ONE.pkh, False, 0)
    assert account(chain.head, ONE.pkh).delegated == 1_000_000_000_000
    # Of what is delegated no more counts than nineteen times the deposits.
    assert weights(chain.head) == {ONE.pkh: BALANCE // 20 * 20}
    assert account(chain.head, ONE.pkh).listed == BALANCE + 1_000_000_000_000
    assert account(chain.head, BAKER.pkh).public_key is None
    ledger = chain.head.state.ledger
    assert ledger.held() == ledger.supply == BALANCE + 1_000_000_000_000 + 7 + 1_000_100


def test_who_bakes_with_another_key_at_first() -> None:
    chain = activated(bootstrap_accounts=[[ONE.public_key, str(BALANCE), BAKER.public_key]])
    block = bake(chain)
    assert block.baker is not None
    assert (block.baker.pkh, block.baker.public_key) == (ONE.pkh, BAKER.public_key)
    assert block.baker.consensus_pkh == BAKER.pkh
    assert account(block, ONE.pkh).public_key == ONE.public_key
    operation = order(chain, ONE, gift(5, BAKER.pkh))
    assert statuses(include(chain, operation), operation) == ["applied"]


def test_accounts_of_bls_hold_money_and_delegate() -> None:
    key = encode(Kind.BLS_PUBLIC, bytes(range(48)))
    pkh, other = hash_of_key(key), encode(Kind.MV4, bytes(20))
    accounts = [[ONE.public_key, str(BALANCE)], [key, "70", ONE.pkh], [other, "5"]]
    chain = activated(bootstrap_accounts=accounts)
    operation = order(chain, ONE, gift(5, pkh), gift(6, other))
    block = include(chain, operation)
    assert statuses(block, operation) == ["applied", "applied"]
    delegated, plain = account(block, pkh), account(block, other)
    assert (delegated.spendable, delegated.public_key, delegated.delegate) == (75, key, ONE.pkh)
    assert (plain.spendable, plain.public_key, plain.delegate) == (11, None, None)
    held = block.state.ledger
    assert held.held() == held.supply


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ([encode(Kind.BLS_PUBLIC, bytes(48)), "1"], "keys of BLS12-381 cannot bake"),
        ([ONE.public_key, "1", encode(Kind.BLS_PUBLIC, bytes(48))], "keys of BLS12-381 cannot bake"),
        ([ONE.pkh, "1", TWO.pkh], "key is not known"),
        ([ONE.public_key, "1", TWO.pkh, TWO.pkh], "more than three"),
        ([ONE.public_key, "-1"], "-1 mumav"),
        ([ONE.public_key], "bootstrap_accounts has"),
        (["mv1x", "1"], "bootstrap_accounts has"),
        ([TWO.public_key, str(BALANCE), BAKER.pkh], "is no delegate"),
    ],
)
def test_accounts_that_cannot_be(entry: list[Any], reason: str) -> None:
    accounts = [[ONE.public_key, str(BALANCE)]] if entry[0] != ONE.public_key else []
    with pytest.raises(NodeError, match=reason):
        activated(bootstrap_accounts=[*accounts, entry])


async def test_the_first_block_tells_what_the_activation_minted() -> None:
    set_aside = encode(Kind.BLINDED, bytes(20))
    chain = activated(issuance=True, commitments=[[set_aside, "7"]])
    begun = chain.head.state.ledger
    bake(chain)
    async with standing(chain=chain) as stand:
        told = await stand.get("/chains/main/blocks/head/metadata")
        updates = [one for one in told["balance_updates"] if one["origin"] == "migration"]
        assert updates[0] == {
            "kind": "minted",
            "category": "bootstrap",
            "change": "-20000000000000",
            "origin": "migration",
        }
        assert [one["change"] for one in updates[1:]] == ["200000000000"] * 5 + ["3800000000000"] * 5
        owners = [one["contract"] for one in updates[6:]]
        assert owners == sorted((key.pkh for key in BOOTSTRAP), reverse=True)
        made = told["implicit_operations_results"]
        assert [one["kind"] for one in made] == ["origination"] * 4 + ["transaction"]
        every = [*told["balance_updates"], *(each for one in made for each in one.get("balance_updates", []))]
        minted = sum(int(one["change"]) for one in every if one["kind"] == "minted")
        # All money there is comes from somewhere.
        assert -minted == chain.head.state.ledger.supply
        assert begun.supply == 20_000_001_000_100 + 7
        await stand.bake()
        told = await stand.get("/chains/main/blocks/head/metadata")
        assert [one for one in told["balance_updates"] if one["origin"] == "migration"] == []


async def test_rights_name_the_key_that_bakes() -> None:
    accounts = [[ONE.public_key, str(BALANCE), BAKER.public_key], [TWO.public_key, str(BALANCE)]]
    async with standing(chain=activated(bootstrap_accounts=accounts)) as stand:
        head = "/chains/main/blocks/head/helpers"
        for asked, owners in (
            ("", {ONE.pkh: BAKER.pkh, TWO.pkh: TWO.pkh}),
            (f"&consensus_key={BAKER.pkh}", {ONE.pkh: BAKER.pkh}),
            (f"&consensus_key={ONE.pkh}", {}),
            (f"&delegate={TWO.pkh}", {TWO.pkh: TWO.pkh}),
        ):
            rights = {
                "validators": await stand.get(f"{head}/validators?level=2{asked}"),
                "baking_rights": await stand.get(f"{head}/baking_rights?level=2{asked}"),
                "attestation_rights": [
                    each
                    for one in await stand.get(f"{head}/attestation_rights?level=2{asked}")
                    for each in one["delegates"]
                ],
            }
            for name, told in rights.items():
                assert {one["delegate"]: one["consensus_key"] for one in told} == owners, name
