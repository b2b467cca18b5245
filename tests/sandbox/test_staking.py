"""How accounts of the sandbox's chain become delegates, delegate and stake."""

from __future__ import annotations

from typing import Any

from accuser._mavryk.codec.crypto import BOOTSTRAP, Key
from accuser._mavryk.codec.manager import (
    Call,
    Delegation,
    Reveal,
    SetDepositsLimit,
    Transaction,
    UpdateConsensusKey,
)
from accuser._mavryk.codec.micheline import to_bytes
from accuser.sandbox.chain.block import Block
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.ledger import Account
from accuser.sandbox.chain.mempool import Class, Mempool
from tests.support.forger import (
    activated,
    attestations,
    bake,
    vote,
)
from tests.support.orders import errors, gift, include, key, order, results, stake, statuses

ONE, TWO, THREE = BOOTSTRAP[:3]
NEW = key(11)
MAV = 1_000_000


def account(block: Block, owner: Key) -> Account:
    return block.state.ledger.accounts[owner.pkh]


# Delegates


def test_a_delegate_is_made_and_bakes() -> None:
    chain = activated(blocks_per_cycle=2, consensus_rights_delay=1)
    include(chain, order(chain, ONE, gift(10**12, NEW.pkh)))
    operation = order(chain, NEW, Reveal(NEW.public_key), Delegation(NEW.pkh))
    assert statuses(include(chain, operation), operation) == ["applied", "applied"]
    assert account(chain.head, NEW).is_delegate
    for _ in range(8):
        bake(chain, operations=attestations(chain))
    calendar = chain.head.state.calendar
    assert calendar is not None
    weights = {one.pkh: one.stake for one in calendar.rights(calendar.cycle(chain.head.level)).delegates}
    assert weights[NEW.pkh] in range(10**12 - MAV, 10**12)
    # Autostaking has frozen its twentieth.
    assert account(chain.head, NEW).frozen == -(-account(chain.head, NEW).total // 20)


def test_delegations_count_for_the_delegate() -> None:
    chain = activated(blocks_per_cycle=2, consensus_rights_delay=1)
    include(chain, order(chain, ONE, gift(10**12, NEW.pkh)))
    operation = order(chain, NEW, Reveal(NEW.public_key), Delegation(TWO.pkh))
    assert statuses(include(chain, operation), operation) == ["applied", "applied"]
    assert account(chain.head, TWO).delegated == account(chain.head, NEW).spendable
    again = order(chain, NEW, Delegation(TWO.pkh))
    assert errors(include(chain, again), again) == ["delegate.unchanged"]
    nobody = order(chain, NEW, Delegation(key(99).pkh))
    assert errors(include(chain, nobody), nobody) == ["contract.manager.unregistered_delegate"]
    emptied = order(chain, NEW, gift(account(chain.head, NEW).spendable - 10_000, TWO.pkh))
    assert errors(include(chain, emptied), emptied) == ["implicit.empty_implicit_delegated_contract"]
    for _ in range(6):
        bake(chain, operations=attestations(chain))
    weights = {one.pkh: one.stake for one in rights(chain)}
    assert weights[TWO.pkh] > weights[THREE.pkh] + 10**12 - MAV
    back = order(chain, NEW, Delegation(None))
    assert statuses(include(chain, back), back) == ["applied"]
    assert account(chain.head, TWO).delegated == account(chain.head, TWO).requested


def rights(chain: Chain) -> tuple[Any, ...]:
    calendar = chain.head.state.calendar
    assert calendar is not None
    return calendar.rights(calendar.cycle(chain.head.level)).delegates


def test_another_key_bakes() -> None:
    chain, other = activated(blocks_per_cycle=2, consensus_rights_delay=1), key(21, 2)
    operation = order(chain, ONE, UpdateConsensusKey(other.public_key))
    assert statuses(include(chain, operation), operation) == ["applied"]
    calendar = chain.head.state.calendar
    assert calendar is not None
    since = calendar.cycle(chain.head.level) + 2
    assert account(chain.head, ONE).pending_keys == ((since, other.public_key),)
    while (level := chain.head.level + 1) and calendar.cycle(level) < since:
        keys = {one.pkh: one.public_key for one in rights(chain)}
        assert keys[ONE.pkh] == ONE.public_key
        bake(chain, operations=attestations(chain))
    block = bake(chain, operations=attestations(chain))
    keys = {one.pkh: one.public_key for one in rights(chain)}
    assert keys[ONE.pkh] == other.public_key
    assert account(block, ONE).consensus_key == other.public_key
    slot = next(slot for slot in range(256) if owner(chain, slot) == ONE.pkh)
    mempool = Mempool(chain)
    assert mempool.classify(vote(chain, block, slot)).kind is Class.VALIDATED
    assert mempool.classify(vote(chain, block, slot, key=ONE)).kind is Class.REFUSED


def owner(chain: Chain, slot: int) -> str:
    calendar = chain.head.state.calendar
    assert calendar is not None
    found = calendar.owner(chain.head.level, slot)
    assert found is not None
    return found.pkh


def test_a_limit_on_deposits_frees_what_is_above() -> None:
    chain = activated(blocks_per_cycle=2, consensus_rights_delay=1)
    limit = 10**10
    operation = order(chain, ONE, SetDepositsLimit(limit))
    assert statuses(include(chain, operation), operation) == ["applied"]
    end = bake(chain) if chain.head.level % 2 else chain.head
    assert account(end, ONE).frozen == limit
    asked = account(end, ONE).requested
    assert asked == 2 * 10**11 - limit
    for _ in range(6):
        bake(chain, operations=attestations(chain))
    # Given back three cycles later.
    assert account(chain.head, ONE).requested == 0
    assert account(chain.head, ONE).total > 4 * 10**12 - MAV


# Staking


def adaptive(**constants: Any) -> Chain:
    return activated(
        blocks_per_cycle=2, consensus_rights_delay=1, adaptive_issuance_force_activation=True, **constants
    )


def test_a_delegate_stakes_and_gets_it_back() -> None:
    chain = adaptive()
    operation = order(chain, ONE, stake(ONE, 10**9))
    block = include(chain, operation)
    (result,) = results(block, operation)
    shown = [(one["kind"], one["change"]) for one in result["balance_updates"]]
    assert shown == [("contract", str(-(10**9))), ("freezer", str(10**9))]
    size = len(operation.unsigned_bytes())
    assert int(result["consumed_milligas"]) == 165_840 + size + size // 8 + 32 * size + 3_460_000
    assert account(block, ONE).frozen == 2 * 10**11 + 10**9
    operation = order(chain, ONE, stake(ONE, 3 * 10**9, "unstake"))
    block = include(chain, operation)
    (_, received) = results(block, operation)[0]["balance_updates"]
    assert received["category"] == "unstaked_deposits"
    assert received["staker"] == {"contract": ONE.pkh, "delegate": ONE.pkh}
    cycle = received["cycle"]
    assert account(block, ONE).requests == ((cycle, 3 * 10**9),)
    # What waits can be staked again.
    operation = order(chain, ONE, stake(ONE, 10**9))
    block = include(chain, operation)
    taken = results(block, operation)[0]["balance_updates"]
    assert [one["category"] for one in taken] == ["unstaked_deposits", "deposits"]
    early = order(chain, ONE, stake(ONE, 0, "finalize_unstake"))
    assert "balance_updates" not in results(include(chain, early), early)[0]
    calendar = chain.head.state.calendar
    assert calendar is not None
    while calendar.cycle(chain.head.level + 1) < cycle + 3:
        bake(chain, operations=attestations(chain))
    operation = order(chain, ONE, stake(ONE, 0, "finalize_unstake"))
    given = results(include(chain, operation), operation)[0]["balance_updates"]
    assert [one["change"] for one in given] == [str(-2 * 10**9), str(2 * 10**9)]
    assert account(chain.head, ONE).requests == ()


def test_others_stake_with_a_delegate_that_lets_them() -> None:
    chain = adaptive()
    include(chain, order(chain, THREE, gift(10**11, NEW.pkh)))
    joined = order(chain, NEW, Reveal(NEW.public_key), Delegation(ONE.pkh))
    include(chain, joined)
    early = order(chain, NEW, stake(NEW, 10**10))
    name = "operations.staking_to_delegate_that_refuses_external_staking"
    assert errors(include(chain, early), early) == [name]
    terms = {
        "prim": "Pair",
        "args": [{"int": "1000000"}, {"prim": "Pair", "args": [{"int": "0"}, {"prim": "Unit"}]}],
    }
    allow = order(chain, ONE, Transaction(0, ONE.pkh, Call("set_delegate_parameters", to_bytes(terms))))
    assert statuses(include(chain, allow), allow) == ["applied"]
    while account(chain.head, ONE).terms == (0, 10**9):
        bake(chain, operations=attestations(chain))
    operation = order(chain, NEW, stake(NEW, 10**10))
    block = include(chain, operation)
    kinds = [one.get("category", "contract") for one in results(block, operation)[0]["balance_updates"]]
    assert kinds == ["delegator_numerator", "delegate_denominator", "contract", "deposits"]
    assert block.state.ledger.staked_balance(account(block, NEW)) == 10**10
    assert account(block, ONE).staked == 10**10
    # To leave a delegate is to unstake everything.
    leave = order(chain, NEW, Delegation(TWO.pkh))
    block = include(chain, leave)
    assert statuses(block, leave) == ["applied"]
    assert (account(block, ONE).staked, account(block, NEW).requested) == (0, 10**10)
    wait = order(chain, NEW, stake(NEW, 1))
    assert errors(include(chain, wait), wait) == [
        "operations.staking_to_delegate_that_refuses_external_staking"
    ]
