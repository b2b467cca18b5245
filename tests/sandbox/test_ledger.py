"""What a denounced delegate loses in the sandbox, when, and what it may do meanwhile."""

from __future__ import annotations

import copy
import json
from importlib import resources
from typing import Any

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.operations import Operation
from accuser.sandbox.chain.block import NO_OPERATIONS, Block, Network, Operations
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.economy import WHOLE, economy
from accuser.sandbox.chain.ledger import EMA_MAX, Ledger, voted
from accuser.sandbox.chain.mempool import Class, Mempool
from accuser.sandbox.chain.parameters import Calendar
from accuser.sandbox.chain.trace import NodeError
from accuser.sandbox.rpc.error_text import describe
from tests.support.forger import (
    KEYS,
    activated,
    bake,
    double_baking,
    double_consensus,
    header,
    slots,
    vote,
)
from tests.support.nodes import standing

DEPOSITS = 200_000_000_000
"""A twentieth of what each of them has."""

BURNED, REWARD = 8_571_428_572, 1_428_571_428
"""Of a twentieth of those, one seventh is the reward, rounded down."""

CULPRIT, OTHER = BOOTSTRAP[0].pkh, BOOTSTRAP[1].pkh
LATER = pytest.mark.parametrize("protocol", [Protocol.BOREAS, Protocol.ALPHA], ids=lambda one: one.tag)


def ledger(block: Block) -> Ledger:
    return block.state.ledger


def calendar(block: Block) -> Calendar:
    assert block.state.calendar is not None
    return block.state.calendar


def round_of(block: Block, pkh: str) -> int:
    """The first round of the next level that is a delegate's."""
    return next(one for one in range(256) if baker(block, one) == pkh)


def baker(block: Block, round: int) -> str:
    delegate = calendar(block).baker(block.level + 1, round)
    assert delegate is not None
    return delegate.pkh


def with_evidence(*evidence: Operation) -> Operations:
    return ((), (), evidence, ())


def bake_by(chain: Chain, pkh: str, operations: Operations = NO_OPERATIONS) -> Block:
    return bake(chain, round=round_of(chain.head, pkh), operations=operations)


def bake_twice(chain: Chain, level: int = 3) -> Operation:
    """Let the culprit bake two blocks of a level; the evidence."""
    while chain.head.level < level - 1:
        bake_by(chain, OTHER)
    fork = chain.head
    second = header(chain, fork, round=round_of(fork, CULPRIT), vote="on")
    return double_baking(bake_by(chain, CULPRIT).header, second, fork.hash)


def denounce(chain: Chain, level: int = 3) -> Operation:
    """Let the culprit bake twice, and the next block have the evidence."""
    evidence = bake_twice(chain, level)
    bake_by(chain, OTHER, with_evidence(evidence))
    return evidence


def attest_twice(chain: Chain) -> Operation:
    """Evidence of two attestations of the head by the culprit."""
    head = chain.head
    slot = slots(head, CULPRIT)[0]
    payload = chain.predecessor(head).payload_hash
    return double_consensus(
        vote(chain, head, slot), vote(chain, head, slot, payload=payload), head.predecessor
    )


def until_cycle_end(chain: Chain) -> Block:
    """Bake to the end of a cycle, at least one block."""
    while not calendar(bake_by(chain, OTHER)).ends_cycle(chain.head.level):
        pass
    return chain.head


def slashing_updates(protocol: Protocol, evidence: Operation) -> list[dict[str, Any]]:
    origin = {"origin": "delayed_operation", "delayed_operation_hash": evidence.hash}
    staker = {"baker" if protocol is Protocol.ATLAS else "baker_own_stake": CULPRIT}
    frozen = {"kind": "freezer", "category": "deposits", "staker": staker}
    return [
        {**frozen, "change": str(-BURNED), **origin},
        {"kind": "burned", "category": "punishments", "change": str(BURNED), **origin},
        {**frozen, "change": str(-REWARD), **origin},
        {"kind": "contract", "contract": OTHER, "change": str(REWARD), **origin},
    ]


# Forbidden


@LATER
def test_a_misbehaviour_forbids_at_once(protocol: Protocol) -> None:
    chain = activated(protocol)
    evidence = bake_twice(chain)
    before = chain.head
    assert not before.state.is_forbidden(CULPRIT)
    block = bake_by(chain, OTHER, with_evidence(evidence))
    assert block.state.is_forbidden(CULPRIT)
    assert not before.state.is_forbidden(CULPRIT)
    assert block.forbids == {evidence.hash: CULPRIT}
    assert block.updates == ()


@LATER
def test_a_forbidden_delegate_neither_bakes_nor_votes(protocol: Protocol) -> None:
    chain = activated(protocol)
    denounce(chain)
    expected: dict[str, object] = {
        "kind": "permanent",
        "id": f"proto.{protocol.long_name}.validate.temporarily_forbidden_delegate",
        "delegate": CULPRIT,
    }
    assert describe(expected).startswith(f"Delegate {CULPRIT} has committed too many misbehaviours; it is")
    at_round = round_of(chain.head, CULPRIT)
    with pytest.raises(NodeError) as constructed:
        header(chain, round=at_round)
    assert constructed.value.trace == (expected,)

    mempool, head = Mempool(chain), chain.head
    for kind in ("attestation", "preattestation"):
        entry = mempool.classify(vote(chain, head, slots(head, CULPRIT)[0], kind=kind))
        assert entry.kind is Class.REFUSED
        assert entry.error is not None
        assert entry.error.trace == (expected,)
    assert mempool.classify(vote(chain, head, slots(head, OTHER)[0])).kind is Class.VALIDATED


def test_a_block_of_a_forbidden_delegate_is_refused() -> None:
    chain = activated()
    denounce(chain)
    # What its own node would not construct, a delegate can still sign.
    allowing = forbidding_nobody(chain)
    block = header(allowing, round=round_of(chain.head, CULPRIT))
    with pytest.raises(NodeError) as caught:
        chain.add(block, NO_OPERATIONS)
    assert [str(error["id"]).rpartition(".")[2] for error in caught.value.trace] == [
        "invalid_block",
        "temporarily_forbidden_delegate",
    ]
    # On a branch without the evidence nothing is forbidden.
    fork = chain.predecessor(chain.head)
    assert bake(chain, fork, round=round_of(fork, CULPRIT)).level == chain.head.level


def test_a_vote_of_a_forbidden_delegate_is_refused_in_a_block() -> None:
    chain = activated()
    denounce(chain)
    operations: Operations = ((vote(chain, chain.head, slots(chain.head, CULPRIT)[0]),), (), (), ())
    block = header(forbidding_nobody(chain), round=round_of(chain.head, OTHER), operations=operations)
    with pytest.raises(NodeError) as caught:
        chain.add(block, operations)
    assert str(caught.value.trace[-1]["id"]).endswith("temporarily_forbidden_delegate")


def forbidding_nobody(chain: Chain) -> Chain:
    """The same chain, but that its head forbids nobody."""
    other = copy.copy(chain)
    state = attrs.evolve(chain.head.state, ledger=attrs.evolve(ledger(chain.head), forbidden=frozenset()))
    other.head = attrs.evolve(chain.head, state=state)
    other.blocks = {**chain.blocks, chain.head.hash: other.head}
    return other


@LATER
def test_who_has_too_little_for_its_rights_stays_forbidden(protocol: Protocol) -> None:
    chain = activated(protocol, blocks_per_cycle=4, adaptive_issuance_force_activation=True)
    denounce(chain)
    # Slashed at the end of cycle 1, which is also when the rights of cycle 4 are chosen.
    forbidden = []
    for _ in range(5):
        forbidden.append(ledger(until_cycle_end(chain)).forbidden)
    assert chain.head.level == 24
    assert [bool(one) for one in forbidden] == [True, True, False, False, False]
    assert forbidden[0] == {CULPRIT}
    assert bake_by(chain, CULPRIT).baker is not None


def test_atlas_forbids_who_loses_more_than_half() -> None:
    chain = activated(Protocol.ATLAS, blocks_per_cycle=16)
    evidence = bake_twice(chain)
    block = bake_by(chain, OTHER, with_evidence(evidence))
    assert (block.forbids, block.state.is_forbidden(CULPRIT)) == ({}, False)
    second = attest_twice(chain)
    block = bake_by(chain, OTHER, with_evidence(second))
    # A twentieth and a half.
    assert block.forbids == {second.hash: CULPRIT}
    assert block.state.is_forbidden(CULPRIT)
    end = until_cycle_end(chain)
    assert ledger(end).pending == ()
    assert ledger(end).accounts[CULPRIT].frozen == 200_000_000_000 - 110_000_000_000 + staked(end)
    assert end.state.is_forbidden(CULPRIT)
    # The cycle after the next one counts no more, and half of the deposits are there.
    assert until_cycle_end(chain).state.is_forbidden(CULPRIT) is False


def staked(block: Block) -> int:
    return sum(
        int(update["change"])
        for update in block.updates
        if update["origin"] == "block" and update.get("staker") == {"baker": CULPRIT}
    )


# Slashing


@LATER
def test_slashing_comes_at_the_end_of_the_next_cycle(protocol: Protocol) -> None:
    chain = activated(protocol, blocks_per_cycle=4, adaptive_issuance_force_activation=True)
    evidence = denounce(chain)
    assert chain.head.level == 4
    assert chain.head.updates == ()
    for level in (5, 6, 7):
        assert (bake_by(chain, OTHER).level, chain.head.updates) == (level, ())
    assert ledger(chain.head).is_accused(CULPRIT)
    end = bake_by(chain, OTHER)
    assert list(end.updates) == slashing_updates(protocol, evidence)
    accounts = ledger(end).accounts
    assert accounts[CULPRIT].frozen == DEPOSITS - BURNED - REWARD
    assert accounts[CULPRIT].spendable == 19 * DEPOSITS
    assert accounts[OTHER].spendable == 19 * DEPOSITS + REWARD
    assert not ledger(end).is_accused(CULPRIT)
    assert until_cycle_end(chain).updates == ()


def test_atlas_slashes_at_the_end_of_the_cycle_of_the_evidence() -> None:
    chain = activated(Protocol.ATLAS, blocks_per_cycle=4, autostaking_enable=False)
    evidence = bake_twice(chain)
    end = bake_by(chain, OTHER, with_evidence(evidence))
    assert end.level == 4
    assert list(end.updates) == slashing_updates(Protocol.ATLAS, evidence)
    assert not end.state.is_forbidden(CULPRIT)


def test_without_delay_boreas_slashes_at_the_end_of_the_cycle_of_the_evidence() -> None:
    chain = activated(blocks_per_cycle=4, ns_enable=False, autostaking_enable=False)
    evidence = denounce(chain)
    assert list(chain.head.updates) == slashing_updates(Protocol.BOREAS, evidence)


def test_the_reward_is_the_proposers() -> None:
    chain = activated(blocks_per_cycle=4, ns_enable=False, autostaking_enable=False)
    operations = with_evidence(bake_twice(chain))
    # The payload of the first round of one is baked at a later round by another.
    first = round_of(chain.head, OTHER)
    again = next(one for one in range(first + 1, 256) if baker(chain.head, one) not in (OTHER, CULPRIT))
    made = header(chain, round=again, payload_round=first, operations=operations)
    end = chain.add(made, operations)
    assert end.baker is not None
    assert end.baker.pkh != OTHER
    assert end.updates[-1]["contract"] == OTHER
    assert ledger(end).accounts[OTHER].spendable == 19 * DEPOSITS + REWARD


def test_staking_is_automatic_before_adaptive_issuance() -> None:
    chain = activated(blocks_per_cycle=4)
    denounce(chain)
    end = until_cycle_end(chain)
    accounts = ledger(end).accounts
    # Each has a twentieth of what it owns frozen, and of that the denounced one owns less now.
    for pkh, total in ((CULPRIT, 20 * DEPOSITS - BURNED - REWARD), (OTHER, 20 * DEPOSITS + REWARD)):
        assert accounts[pkh].total == total
        assert accounts[pkh].frozen == -(-total // 20)
    moved = [update for update in end.updates if update["origin"] == "block"]
    assert {(update.get("contract") or update["staker"]["baker_own_stake"]) for update in moved} == {
        CULPRIT,
        OTHER,
    }
    assert sum(int(update["change"]) for update in end.updates) == 0


def test_every_later_end_of_a_cycle_draws_rights_by_what_is_left() -> None:
    chain = activated(blocks_per_cycle=4, adaptive_issuance_force_activation=True)
    denounce(chain)
    end = until_cycle_end(chain)
    weights = {one.pkh: one.stake for one in calendar(end).rights(4).delegates}
    # With adaptive issuance, what is not frozen counts half.
    assert weights[CULPRIT] == (DEPOSITS - BURNED - REWARD) + (DEPOSITS - BURNED - REWARD) * 19 // 2
    # Of what comes at the end of a cycle nothing was there for all of it.
    assert weights[OTHER] == DEPOSITS + 19 * DEPOSITS // 2
    assert calendar(end).rights(2) is calendar(end).parameters.rights


@pytest.mark.parametrize("protocol", list(Protocol), ids=lambda one: one.tag)
def test_rights_stay_as_they_are_while_stakes_do(protocol: Protocol) -> None:
    chain = activated(protocol, blocks_per_cycle=2, adaptive_issuance_activation_vote_enable=False)
    bake(chain, count=13)
    assert calendar(chain.head).cycle(14) == 6
    assert calendar(chain.head).drawn == ()
    assert set(ledger(chain.head).selections) == {6, 7, 8, 9}


@pytest.mark.parametrize(
    ("protocol", "threshold"), [(Protocol.BOREAS, 86), (Protocol.ALPHA, 101)], ids=lambda one: str(one)
)
def test_attesting_twice_costs_more_the_more_slots(protocol: Protocol, threshold: int) -> None:
    chain = activated(protocol, blocks_per_cycle=4, adaptive_issuance_force_activation=True)
    bake_by(chain, OTHER)
    bake_by(chain, OTHER)
    evidence = attest_twice(chain)
    count = len(slots(chain.head, CULPRIT))
    assert 0 < count < threshold
    bake_by(chain, OTHER, with_evidence(evidence))
    end = until_cycle_end(chain)
    percentage = -(-WHOLE * count**2 // threshold**2)
    assert ledger(end).slashed == {(CULPRIT, 0): percentage}
    assert ledger(end).accounts[CULPRIT].frozen == DEPOSITS - DEPOSITS * percentage // WHOLE


def test_nobody_loses_more_than_everything() -> None:
    chain = activated(blocks_per_cycle=16, adaptive_issuance_activation_vote_enable=False)
    bake_by(chain, OTHER)
    proofs = []
    for _ in range(3):
        bake_by(chain, OTHER)
        proofs.append(attest_twice(chain))
    bake_by(chain, OTHER, with_evidence(*proofs))
    until_cycle_end(chain)
    end = until_cycle_end(chain)
    assert ledger(end).slashed == {(CULPRIT, 0): WHOLE}
    changes = [int(update["change"]) for update in end.updates if update["kind"] == "burned"]
    # Half, half, and nothing.
    assert len(changes) == 2
    assert 7 * changes[0] // 6 in range(DEPOSITS // 2 - 2, DEPOSITS // 2 + 2)


def test_atlas_takes_no_more_than_there_is() -> None:
    chain = activated(Protocol.ATLAS, blocks_per_cycle=16, autostaking_enable=False)
    proofs = [bake_twice(chain)]
    for _ in range(3):
        bake_by(chain, OTHER)
        proofs.append(attest_twice(chain))
    block = bake_by(chain, OTHER, with_evidence(*proofs))
    # A twentieth and two halves are everything already.
    assert [one.operation for one in ledger(block).pending] == [one.hash for one in proofs[:3]]
    end = until_cycle_end(chain)
    assert ledger(end).accounts[CULPRIT].frozen == 0
    taken = -sum(int(update["change"]) for update in end.updates if update["kind"] == "freezer")
    assert taken == DEPOSITS


def test_the_cost_of_attesting_twice_is_limited() -> None:
    chain = activated(
        blocks_per_cycle=4,
        adaptive_issuance_force_activation=True,
        max_slashing_per_block=3_000,
        max_slashing_threshold=10,
    )
    bake_by(chain, OTHER)
    bake_by(chain, OTHER)
    assert len(slots(chain.head, CULPRIT)) > 10
    bake_by(chain, OTHER, with_evidence(attest_twice(chain)))
    assert ledger(until_cycle_end(chain)).slashed == {(CULPRIT, 0): 3_000}


def test_a_reward_gives_rights_a_cycle_later() -> None:
    # So much is frozen that the limit of delegation does not matter.
    chain = activated(
        blocks_per_cycle=4, adaptive_issuance_force_activation=True, minimal_stake=str(2 * DEPOSITS)
    )
    denounce(chain)
    until_cycle_end(chain)
    until_cycle_end(chain)
    weights = [
        next(one.stake for one in calendar(chain.head).rights(cycle).delegates if one.pkh == OTHER)
        for cycle in (4, 5)
    ]
    assert weights == [
        2 * DEPOSITS + 18 * DEPOSITS // 2,
        2 * DEPOSITS + (18 * DEPOSITS + 2 * REWARD + 1) // 2,
    ]


def test_the_weight_of_a_vote_is_that_of_the_periods_beginning() -> None:
    chain = activated(blocks_per_cycle=4, cycles_per_voting_period=3, adaptive_issuance_force_activation=True)
    denounce(chain)
    listed = [ledger(until_cycle_end(chain)).accounts[CULPRIT].listed for _ in range(2)]
    assert listed == [20 * DEPOSITS, 20 * DEPOSITS - BURNED - REWARD]


def test_nothing_is_staked_for_who_is_accused() -> None:
    chain = activated(blocks_per_cycle=4)
    denounce(chain)
    bake_by(chain, OTHER)
    second = attest_twice(chain)
    bake_by(chain, OTHER, with_evidence(second))
    end = until_cycle_end(chain)
    assert ledger(end).is_accused(CULPRIT)
    assert ledger(end).accounts[CULPRIT].frozen == DEPOSITS - BURNED - REWARD
    assert CULPRIT not in {update.get("contract") for update in end.updates}


def test_two_evidences_of_one_misbehaviour_count_once() -> None:
    chain = activated(blocks_per_cycle=4)
    bake_by(chain, OTHER)
    bake_by(chain, OTHER)
    head = chain.head
    own = slots(head, CULPRIT)
    pair = [
        double_consensus(
            vote(chain, head, slot),
            vote(chain, head, slot, payload=chain.predecessor(head).payload_hash),
            head.predecessor,
        )
        for slot in (own[1], own[2])
    ]
    block = bake_by(chain, OTHER, with_evidence(*pair))
    assert set(block.forbids) == {one.hash for one in pair}
    assert len(ledger(block).pending) == 1


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
