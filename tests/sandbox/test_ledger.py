"""Adaptive issuance, parameters, and the ledger's RPCs."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from accuser import Protocol
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.operations import Operation
from accuser.sandbox.chain.block import Network
from accuser.sandbox.chain.economy import WHOLE, economy
from accuser.sandbox.chain.ledger import EMA_MAX, Ledger, voted
from accuser.sandbox.chain.trace import NodeError
from accuser.sandbox.rpc.error_text import describe
from tests.support.forger import (
    KEYS,
    activated,
    bake,
)
from tests.support.ledgers import (
    BURNED,
    CULPRIT,
    DEPOSITS,
    OTHER,
    REWARD,
    calendar,
    denounce,
    ledger,
    slashing_updates,
    until_cycle_end,
)
from tests.support.nodes import standing

# Adaptive issuance


def test_votes_move_the_average() -> None:
    chain = activated(adaptive_issuance_launch_ema_threshold=11_460)
    assert ledger(bake(chain)).launch_cycle is None
    block = bake(chain)
    rules = economy(calendar(block).parameters, Protocol.BOREAS.hash)
    once = voted(Ledger(), "on", 0, rules)
    # From 0 on: 1 - (1 - 2 * 5730 / 2e9) of a half of the range, and 5730.
    assert (once.ema, once.launch_cycle) == (11_460, 5)
    assert voted(once, "pass", 1, rules).ema == 11_460
    assert voted(Ledger(), "off", 0, rules).ema == 0
    assert voted(Ledger(ema=EMA_MAX // 2), "off", 0, rules).ema == EMA_MAX // 2 - 5_730
    full = Ledger(ema=EMA_MAX)
    assert voted(full, "on", 0, rules).ema == EMA_MAX
    assert voted(full, "off", 0, rules).ema == EMA_MAX - 11_460


@pytest.mark.parametrize(
    ("protocol", "constants", "expected"),
    [
        (Protocol.BOREAS, {}, 5),
        (Protocol.BOREAS, {"adaptive_issuance_force_activation": True}, 0),
        (Protocol.BOREAS, {"adaptive_issuance_launch_ema_threshold": 1}, None),
        (Protocol.ATLAS, {}, None),
    ],
)
def test_when_adaptive_issuance_begins(
    protocol: Protocol, constants: dict[str, Any], expected: int | None
) -> None:
    chain = activated(protocol, **constants)
    bake(chain)
    assert ledger(chain.head).launch_cycle == expected


# Parameters


def test_what_accounts_have_at_first() -> None:
    poor, hashed, owned = KEYS[OTHER].public_key, "mv1XLiKa1vywAuPWuLF9WEYB3BPvRRQ8oCsp", BOOTSTRAP[2]
    accounts = [
        [KEYS[CULPRIT].public_key, "6000000001"],
        [poor, "5999999999"],
        [hashed, "7"],
        [owned.public_key, "9000000000", CULPRIT],
    ]
    chain = activated(bootstrap_accounts=accounts)
    found = ledger(chain.head).accounts
    # As much as baking needs, and no more than there is.
    assert (found[CULPRIT].frozen, found[CULPRIT].spendable) == (6_000_000_000, 1)
    assert (found[OTHER].frozen, found[OTHER].spendable, found[OTHER].listed) == (5_999_999_999, 0, 0)
    assert (found[hashed].is_delegate, found[hashed].total) == (False, 7)
    assert (found[owned.pkh].is_delegate, found[owned.pkh].total) == (False, 9_000_000_000)
    bake(chain, count=12)
    assert [one.pkh for one in calendar(chain.head).rights(3).delegates] == [CULPRIT]


@pytest.mark.parametrize(
    "change",
    [
        {"autostaking_enable": "yes"},
        {"percentage_of_frozen_deposits_slashed_per_double_baking": WHOLE + 1},
        {"max_slashing_threshold": 0},
        {"minimal_frozen_stake": -1},
    ],
)
def test_constants_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(NodeError, match=next(iter(change))):
        activated(**change)


def test_atlas_percentages_are_of_a_hundred() -> None:
    constants = json.loads((resources.files("accuser._mavryk") / "data" / "atlas.json").read_text())
    constants["percentage_of_frozen_deposits_slashed_per_double_baking"] = 10
    first = activated(Protocol.ATLAS, **constants).head
    before, after = (
        economy(calendar(first).parameters, protocol.hash) for protocol in (Protocol.ATLAS, Protocol.BOREAS)
    )
    # An upgrade changes the scale, and not what they mean.
    for rules in (before, after):
        assert (rules.double_baking, rules.double_attestation) == (WHOLE // 10, WHOLE // 2)
    assert (before.delayed, before.issuance_votes, before.issuance_threshold) == (False, False, 1_600_000_000)
    assert (after.delayed, after.issuance_votes, after.issuance_threshold) == (True, True, 0)


def test_an_upgrade_keeps_what_delegates_are_accused_of() -> None:
    chain = activated(
        Protocol.ATLAS,
        network=Network(upgrades={4: Protocol.BOREAS.hash}),
        preserved_cycles=2,
        blocks_per_cycle=8,
        autostaking_enable=False,
    )
    evidence = denounce(chain)
    assert chain.head.state.protocol == Protocol.BOREAS.hash
    assert until_cycle_end(chain).updates == ()
    end = until_cycle_end(chain)
    assert list(end.updates) == slashing_updates(Protocol.BOREAS, evidence)
    assert end.level == 16


# RPCs


async def test_what_is_told_of_a_denounced_delegate() -> None:
    async with standing(
        chain=activated(blocks_per_cycle=4, adaptive_issuance_force_activation=True)
    ) as stand:
        evidence = denounce(stand.node.chain)
        level = stand.node.chain.head.level
        root = "/chains/main/blocks/head/context"
        delegate = f"{root}/delegates/{CULPRIT}"
        assert await stand.get(f"{delegate}/is_forbidden") is True
        assert (
            await stand.get(f"/chains/main/blocks/head~1/context/delegates/{CULPRIT}/is_forbidden") is False
        )
        assert await stand.get(f"{root}/delegates/{OTHER}/is_forbidden") is False
        denunciation = {
            "operation_hash": evidence.hash,
            "rewarded": OTHER,
            "misbehaviour": {"level": 3, "round": round_in(evidence), "kind": "block"},
        }
        assert await stand.get(f"{delegate}/denunciations") == [denunciation]
        assert await stand.get(f"{root}/denunciations") == [{"slashed_delegate": CULPRIT, **denunciation}]
        assert await stand.get(f"{root}/delegates/{OTHER}/denunciations") == []
        assert await stand.get(f"{delegate}/estimated_shared_pending_slashed_amount") == str(BURNED + REWARD)
        assert (await stand.get("/chains/main/blocks/head/helpers/current_level"))["cycle"] == 0
        until_cycle_end(stand.node.chain)
        assert stand.node.chain.head.level == level + 4
        assert await stand.get(f"{delegate}/denunciations") == []
        shown = await stand.get("/chains/main/blocks/head/metadata")
        assert shown["balance_updates"] == slashing_updates(Protocol.BOREAS, evidence)
        assert shown["adaptive_issuance_activation_cycle"] == 0
        assert await stand.get(f"{delegate}/frozen_deposits") == str(DEPOSITS)
        assert await stand.get(f"{delegate}/current_frozen_deposits") == str(DEPOSITS - BURNED - REWARD)
        assert await stand.get(f"{root}/contracts/{CULPRIT}/balance") == str(19 * DEPOSITS)
        assert await stand.get(f"{root}/contracts/{OTHER}/balance") == str(19 * DEPOSITS + REWARD)
        assert await stand.get(f"{root}/contracts/{OTHER}/staked_balance") == str(DEPOSITS)
        least = await stand.get(f"{root}/delegates/{OTHER}/min_delegated_in_current_cycle")
        assert (least["amount"], least["level"]["level"]) == (str(19 * DEPOSITS), 8)


def round_in(evidence: Operation) -> int:
    header_json = evidence.to_json()["contents"][0]["bh1"]
    return int(header_json["payload_round"])


BOREAS_FIELDS = {
    "full_balance": str,
    "current_frozen_deposits": str,
    "frozen_deposits": str,
    "staking_balance": str,
    "delegated_contracts": list,
    "delegated_balance": str,
    "min_delegated_in_current_cycle": dict,
    "deactivated": bool,
    "grace_period": int,
    "pending_denunciations": bool,
    "total_delegated_stake": str,
    "staking_denominator": str,
    "voting_power": str,
    "remaining_proposals": int,
    "active_consensus_key": str,
}
"""``lib_protocol/delegate_services.ml``, ``info_encoding``, without the options that are none."""


@pytest.mark.parametrize("protocol", list(Protocol), ids=lambda one: one.tag)
async def test_everything_about_a_delegate(protocol: Protocol) -> None:
    async with standing(chain=activated(protocol)) as stand:
        root = "/chains/main/blocks/head/context/delegates"
        await stand.bake()
        info = await stand.get(f"{root}/{OTHER}")
        later = {"min_delegated_in_current_cycle", "pending_denunciations"}
        expected = {
            name: kind
            for name, kind in BOREAS_FIELDS.items()
            if protocol is not Protocol.ATLAS or name not in later
        }
        assert {name: type(value) for name, value in info.items()} == expected
        assert (info["full_balance"], info["frozen_deposits"]) == (str(20 * DEPOSITS), str(DEPOSITS))
        assert (info["grace_period"], info["voting_power"]) == (5, str(20 * DEPOSITS))
        for name, value in info.items():
            if name not in ("remaining_proposals", "active_consensus_key", "pending_denunciations"):
                assert await stand.get(f"{root}/{OTHER}/{name}") == value, name
        assert sorted(await stand.get(root)) == sorted(key.pkh for key in BOOTSTRAP)
        assert await stand.get(f"{root}?without_minimal_stake") == []
        status = 404 if protocol is Protocol.ATLAS else 200
        for name in ("is_forbidden", "denunciations", "estimated_shared_pending_slashed_amount"):
            assert (await stand.client.request("GET", f"{root}/{OTHER}/{name}")).status == status
        assert await stand.get("/chains/main/blocks/head/context/denunciations") == []


async def test_what_is_told_of_nobody() -> None:
    async with standing(chain=activated()) as stand:
        nobody = "mv1XLiKa1vywAuPWuLF9WEYB3BPvRRQ8oCsp"
        root = "/chains/main/blocks/head/context"
        answer = await stand.client.request("GET", f"{root}/delegates/{nobody}/full_balance")
        assert answer.status == 500
        assert [error["id"] for error in answer.json()] == [
            "proto.002-PtBoreas.delegate_service.balance_rpc_on_non_delegate",
            "proto.002-PtBoreas.delegate.not_registered",
        ]
        assert describe(answer.json()[1]).startswith("The provided public key hash (mv1XL")
        assert (await stand.client.request("GET", f"{root}/delegates/{nobody}")).status == 500
        # Nobody is asked whether it is a delegate here.
        for name in ("denunciations", "pending_staking_parameters"):
            assert await stand.get(f"{root}/delegates/{nobody}/{name}") == []
        limits = await stand.get(f"{root}/delegates/{nobody}/active_staking_parameters")
        assert limits["limit_of_staking_over_baking_millionth"] == 0
        assert await stand.get(f"{root}/delegates/{nobody}/is_forbidden") is False
        assert await stand.get(f"{root}/contracts/{nobody}/balance") == "0"
        assert (await stand.client.request("GET", f"{root}/delegates/mv1x/is_forbidden")).status == 400
        genesis = "/chains/main/blocks/genesis/context/delegates"
        assert (await stand.client.request("GET", f"{genesis}/{OTHER}/is_forbidden")).status == 404
