"""What misbehaviour costs."""

from __future__ import annotations

import pytest

from accuser import Protocol
from accuser.sandbox.chain.economy import WHOLE
from tests.support.forger import (
    activated,
    attestations,
    bake,
    double_consensus,
    header,
    slots,
    vote,
)
from tests.support.ledgers import (
    BURNED,
    CULPRIT,
    DEPOSITS,
    LATER,
    OTHER,
    REWARD,
    attest_twice,
    bake_by,
    bake_twice,
    baker,
    calendar,
    denounce,
    ledger,
    round_of,
    slashing_updates,
    until_cycle_end,
    with_evidence,
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
    # Whoever is silent for so many cycles has no rights any more.
    for _ in range(13):
        bake(chain, operations=attestations(chain))
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
