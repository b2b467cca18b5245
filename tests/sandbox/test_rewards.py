"""Who is paid on the sandbox's chain, for what and how much, and who stops to count as active."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from accuser import Protocol
from accuser._explore.money import issued
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.manager import Delegation
from accuser.sandbox.chain import issuance, views
from accuser.sandbox.chain.block import NO_OPERATIONS, Block, Network, Operations
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.economy import economy
from accuser.sandbox.chain.ledger import Account
from accuser.sandbox.chain.parameters import Calendar
from tests.support.forger import (
    activated,
    attestations,
    bake,
    header,
)
from tests.support.nodes import standing
from tests.support.orders import include, order, revelation, statuses

ONE, TWO = BOOTSTRAP[:2]
EVERY = pytest.mark.parametrize("protocol", list(Protocol), ids=lambda one: one.tag)
FIXED, BONUS, ATTESTING, TIP, SUBSIDY = 333_333, 1302, 2604, 260, 83_333
"""What upstream's recordings show for blocks of one second and a committee of 256."""


def calendar(block: Block) -> Calendar:
    assert block.state.calendar is not None
    return block.state.calendar


def view(block: Block) -> views.View:
    of = calendar(block)
    return views.View(block.state.ledger, of, economy(of.parameters, block.state.protocol), block.level)


def account(block: Block, pkh: str) -> Account:
    return block.state.ledger.accounts[pkh]


def minted(block: Block, category: str) -> int:
    return -sum(int(one["change"]) for one in block.updates if one.get("category") == category)


def lost(block: Block) -> list[tuple[str, bool, bool]]:
    return [
        (one["delegate"], one["participation"], one["revelation"])
        for one in block.updates
        if one.get("category") == "lost attesting rewards"
    ]


def cycle(chain: Chain, *absent: str, nonce: bytes | None = None) -> Block:
    """Bake, with everybody's attestations but those of some, to the end of a cycle."""
    while True:
        block = bake(chain, operations=attestations(chain, *absent), nonce=nonce)
        if calendar(block).ends_cycle(block.level):
            return block


@EVERY
def test_the_amounts_are_those_that_upstream_recorded(protocol: Protocol) -> None:
    head = activated(protocol, issuance=True).head
    rules = economy(calendar(head).parameters, protocol.hash)
    amounts = issuance.rewards(calendar(head).parameters, rules)
    found = (amounts.fixed, amounts.bonus, amounts.attesting, amounts.tip, amounts.subsidy)
    assert found == (FIXED, BONUS, ATTESTING, TIP, SUBSIDY)


@EVERY
def test_a_block_pays_its_baker(protocol: Protocol) -> None:
    chain = activated(protocol, issuance=True)
    assert chain.head.state.ledger.supply == 20_000_001_000_100
    # Nobody attests the block that began the protocol.
    first = bake(chain)
    assert first.baker is not None
    own = "baker" if protocol is Protocol.ATLAS else "baker_own_stake"
    staker = {"category": "deposits", "staker": {own: first.baker.pkh}}
    expected: list[dict[str, Any]] = [
        {"kind": "minted", "category": "baking rewards", "change": "-16667"},
        {"kind": "freezer", **staker, "change": "16667"},
        {"kind": "minted", "category": "baking rewards", "change": "-316666"},
        {"kind": "contract", "contract": first.baker.pkh, "change": "316666"},
    ]
    assert list(first.updates) == [{**one, "origin": "block"} for one in expected]
    assert issued(first) == FIXED + SUBSIDY
    second = bake(chain, operations=attestations(chain))
    assert minted(second, "baking bonuses") == 256 * BONUS
    absent = BOOTSTRAP[2].pkh
    missing = len(calendar(second).slots(second.level)[absent])
    third = bake(chain, operations=attestations(chain, absent))
    assert minted(third, "baking bonuses") == (256 - missing) * BONUS


def test_a_payload_and_a_block_may_be_of_two() -> None:
    chain = activated(issuance=True)
    bake(chain)

    of = calendar(chain.head)
    bakers = [of.baker(chain.head.level + 1, at_round) for at_round in range(20)]
    assert bakers[0] is not None
    again = next(at for at, one in enumerate(bakers) if one is not None and one.pkh != bakers[0].pkh)
    operations = attestations(chain)
    block = chain.add(header(chain, round=again, payload_round=0, operations=operations), operations)
    assert block.baker is not None
    assert block.proposer is not None
    paid = {one["contract"]: int(one["change"]) for one in block.updates if one["kind"] == "contract"}
    assert paid == {
        block.proposer.pkh: FIXED - 16_667,
        block.baker.pkh: 256 * BONUS * 19 // 20,
    }


def test_attesters_are_paid_at_the_end_of_a_cycle() -> None:
    chain = activated(issuance=True, blocks_per_cycle=4, nonce_revelation_threshold=4)
    # The level that needs a commitment is the cycle's last, and nobody had one to reveal yet.
    end = cycle(chain)
    assert minted(end, "attesting rewards") == 5 * (4 * 256 // 5) * ATTESTING
    assert lost(end) == []
    assert issued(end) == FIXED + SUBSIDY + 256 * BONUS + 5 * (4 * 256 // 5) * ATTESTING


def test_who_missed_too_much_is_not_paid() -> None:
    chain = activated(issuance=True, blocks_per_cycle=8, blocks_per_commitment=8)
    end = cycle(chain, ONE.pkh)
    assert lost(end) == [(ONE.pkh, True, False)]
    assert minted(end, "attesting rewards") == 5 * (8 * 256 // 5) * ATTESTING
    assert issued(end) == FIXED + SUBSIDY + sum_of_bonus(end) + 4 * (8 * 256 // 5) * ATTESTING
    # The next cycle begins anew.
    assert lost(cycle(chain, nonce=bytes(32))) == [(of, False, True) for of in forgetful(chain, end.level)]


def sum_of_bonus(block: Block) -> int:
    return minted(block, "baking bonuses")


def forgetful(chain: Chain, level: int) -> list[str]:
    """The baker of a level that had to commit to a nonce, which nobody revealed since."""
    block = chain.on_main_chain(level)
    assert block.baker is not None
    return [block.baker.pkh]


def test_a_nonce_that_was_revealed_is_paid() -> None:
    chain = activated(issuance=True, blocks_per_cycle=4, blocks_per_commitment=4)
    nonce = bytes(range(32))
    end = cycle(chain, nonce=nonce)
    operation = revelation(chain, end.level, nonce)
    anonymous: Operations = (attestations(chain)[0], (), (operation,), ())
    block = bake(chain, operations=anonymous)
    assert issued(block) == FIXED + SUBSIDY + 256 * BONUS + TIP
    assert views.nonce(view(block), end.level) == {"nonce": nonce.hex()}
    assert lost(cycle(chain)) == []


def test_participation_counts_down() -> None:
    chain = activated(issuance=True, blocks_per_cycle=8)
    bake(chain)
    before = views.participation(view(chain.head), account(chain.head, ONE.pkh))
    expected = 8 * 256 // 5
    assert before == {
        "expected_cycle_activity": expected,
        "minimal_cycle_activity": expected * 2 // 3,
        "missed_slots": 0,
        "missed_levels": 0,
        "remaining_allowed_missed_slots": expected - expected * 2 // 3,
        "expected_attesting_rewards": str(expected * ATTESTING),
    }
    missed = len(calendar(chain.head).slots(chain.head.level)[ONE.pkh])
    bake(chain, operations=attestations(chain, ONE.pkh))
    after = views.participation(view(chain.head), account(chain.head, ONE.pkh))
    assert (after["missed_slots"], after["missed_levels"]) == (missed, 1)
    assert after["remaining_allowed_missed_slots"] == before["remaining_allowed_missed_slots"] - missed


# Activity


@EVERY
def test_who_is_silent_is_deactivated_and_may_come_back(protocol: Protocol) -> None:
    chain = activated(protocol, blocks_per_cycle=2, adaptive_issuance_activation_vote_enable=False)
    silent = ONE.pkh
    assert account(chain.head, silent).active_until == 5

    def step() -> Block:
        return bake(chain, operations=attestations(chain, silent), round=round_without(chain, silent))

    while calendar(chain.head).cycle(chain.head.level + 1) < 5 or chain.head.deactivated == ():
        block = step()
        assert block.deactivated in ((), (silent,))
    end = chain.head
    assert calendar(end).cycle(end.level) == 5
    assert calendar(end).ends_cycle(end.level)
    # All that it has frozen is on its way back to it.
    assert (account(end, silent).frozen, account(end, silent).requested > 0) == (0, True)
    for _ in range(5):
        step()
    assert silent in {one.pkh for one in calendar(chain.head).rights(7).delegates}
    assert silent not in {one.pkh for one in calendar(chain.head).rights(8).delegates}
    operation = order(chain, ONE, Delegation(silent))
    assert statuses(include(chain, operation), operation) == ["applied"]
    now = calendar(chain.head).cycle(chain.head.level)
    assert (account(chain.head, silent).inactive, account(chain.head, silent).active_until) == (
        False,
        now + 5,
    )
    for _ in range(10):
        step()
    later = calendar(chain.head).cycle(chain.head.level)
    assert silent in {one.pkh for one in calendar(chain.head).rights(later).delegates}


def round_without(chain: Chain, pkh: str) -> int:
    of = calendar(chain.head)
    return next(
        at_round
        for at_round in range(256)
        if (baker := of.baker(chain.head.level + 1, at_round)) is not None and baker.pkh != pkh
    )


# Adaptive issuance


def test_issuance_adapts_to_what_is_staked() -> None:
    chain = activated(issuance=True, blocks_per_cycle=2, blocks_per_commitment=2)
    assert chain.head.state.ledger.launch_cycle is None
    while calendar(chain.head).cycle(chain.head.level + 1) < 8:
        bake(chain, operations=attestations(chain))
    ledger = chain.head.state.ledger
    assert ledger.launch_cycle == 5
    # Computed at the end of cycle 5, for three cycles later.
    assert min(ledger.coefficients) == 8
    # So little is staked that a year issues the most that may be, 3.5 %, of the supply.
    supply = chain.on_main_chain(12).state.ledger.supply
    assert ledger.coefficients[8] == Fraction(35, 1000) * supply / 525_600 / 80_007_812
    block = bake(chain, operations=attestations(chain))
    coefficient = ledger.coefficients[8]
    assert minted(block, "baking rewards") == int(FIXED * coefficient)
    assert minted(block, "baking bonuses") == 256 * int(BONUS * coefficient)
    assert issued(block) < FIXED


def test_a_bonus_grows_while_too_little_is_staked() -> None:
    parameters = calendar(activated(issuance=True, blocks_per_cycle=8).head).parameters
    rules = economy(parameters, Protocol.BOREAS.hash)
    ledger = activated(issuance=True, adaptive_issuance_force_activation=True).head.state.ledger
    # Three tenths are staked: 1/1600 * (10/3)^2 is less than the least, 2.5 %.
    once = issuance.adapted(ledger, parameters, rules, 1, ledger.supply * 3 // 10)
    distance = Fraction(31, 100) - Fraction(ledger.supply * 3 // 10, ledger.supply)
    grown = distance / 100 * Fraction(8, 86_400)
    assert once.bonuses[3] == Fraction(int(grown * 10**15), 10**15)
    base = Fraction(25, 1000)
    yearly = base + once.bonuses[3]
    assert once.coefficients[3] == yearly * ledger.supply / 525_600 / 80_007_812
    # With more than enough it shrinks again, and never below nothing.
    after = issuance.adapted(once, parameters, rules, 2, ledger.supply // 2)
    assert after.bonuses[4] == 0


def test_atlas_issues_the_same_at_all_times() -> None:
    chain = activated(Protocol.ATLAS, issuance=True, blocks_per_cycle=2, preserved_cycles=1)
    for _ in range(20):
        block = bake(chain, operations=attestations(chain))
    assert block.state.ledger.coefficients == {}
    assert minted(block, "baking rewards") == FIXED


def test_an_upgrade_goes_on_to_pay() -> None:
    chain = activated(
        Protocol.ATLAS,
        network=Network(upgrades={4: Protocol.BOREAS.hash}),
        issuance=True,
        preserved_cycles=2,
        blocks_per_cycle=8,
    )
    for level in range(2, 12):
        before = chain.head.state.ledger.supply
        attested = level not in (2, 5)
        block = bake(chain, operations=attestations(chain) if attested else NO_OPERATIONS)
        assert block.state.ledger.supply - before == issued(block)
        assert block.state.ledger.held() == block.state.ledger.supply
        assert minted(block, "baking rewards") == FIXED
    assert block.protocol == Protocol.BOREAS.hash


async def test_the_metadata_name_who_was_deactivated_and_what_was_minted() -> None:
    async with standing(chain=activated(issuance=True)) as stand:
        for _ in range(2):
            await stand.bake()
        shown = await stand.get("/chains/main/blocks/head/metadata")
        assert shown["deactivated"] == []
        (implicit,) = shown["implicit_operations_results"]
        assert implicit["kind"] == "transaction"
        minted_updates = [one for one in shown["balance_updates"] if one["kind"] == "minted"]
        assert {one["category"] for one in minted_updates} == {"baking rewards"}


async def test_former_names_of_categories_are_those_of_the_first_version() -> None:
    chain = activated(issuance=True)
    cycle(chain, TWO.pkh)
    async with standing(chain=chain) as stand:

        async def told(path: str) -> set[str]:
            value = await stand.get(f"/chains/main/blocks/head{path}")
            updates = value.get("metadata", value)["balance_updates"]
            return {one["category"] for one in updates if "attesting" in str(one) or "endorsing" in str(one)}

        named, former = {"lost attesting rewards"}, {"lost endorsing rewards"}
        for path in ("", "/metadata"):
            assert named <= await told(path) == await told(f"{path}?version=1")
            of_before = await told(f"{path}?version=0")
            assert former <= of_before
            assert not any("attesting" in one for one in of_before)
