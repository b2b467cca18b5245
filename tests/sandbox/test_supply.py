"""Whatever happens on the sandbox's chain, its money adds up."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accuser import Protocol
from accuser._explore.money import issued
from accuser._mavryk.codec.binary.blocks import BLOCK_INFO
from accuser._mavryk.codec.binary.frames import framed, unframed
from accuser._mavryk.codec.crypto import BOOTSTRAP, Key
from accuser._mavryk.codec.manager import (
    Body,
    Call,
    Delegation,
    Reveal,
    SetDepositsLimit,
    Transaction,
    UpdateConsensusKey,
)
from accuser._mavryk.codec.micheline import to_bytes
from accuser._mavryk.codec.operations import Operation
from accuser.sandbox.chain.block import Block, Operations
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.ledger import Ledger
from accuser.sandbox.node import render
from tests.support.forger import (
    KEYS,
    activated,
    attestations,
    bake,
    double_baking,
    header,
    valid,
)
from tests.support.orders import key, order, revelation

PEOPLE = (*BOOTSTRAP, *(key(7 + number, number % 3) for number in range(6)))
"""The delegates at first, and accounts that are empty at first."""

NAMES = [one.pkh for one in PEOPLE]
CALLS = ("stake", "unstake", "finalize_unstake", "unknown")


class World:
    """A chain on which everything happens at random."""

    def __init__(self, chance: random.Random, chain: Chain) -> None:
        self.chance, self.chain = chance, chain
        self.nonces: dict[int, bytes] = {}
        self.evidence: list[Operation] = []
        self.applied: set[str] = set()
        self.seen: set[str] = set()

    @property
    def ledger(self) -> Ledger:
        return self.chain.head.state.ledger

    def amount(self, owner: Key) -> int:
        account = self.ledger.accounts.get(owner.pkh)
        most = 0 if account is None else account.spendable
        return self.chance.choice((0, 1, most // 3, most, most + 1, self.chance.randint(0, 10**10)))

    def body(self, owner: Key) -> Body:
        chance, some = self.chance, self.chance.choice(NAMES)
        terms = {"prim": "Pair", "args": [{"int": "5000000"}, {"int": "100000000"}, {"prim": "Unit"}]}
        kinds: list[Callable[[], Body]] = [
            lambda: Transaction(self.amount(owner), some),
            lambda: Transaction(self.amount(owner), owner.pkh, Call(chance.choice(CALLS))),
            lambda: Transaction(0, owner.pkh, Call("set_delegate_parameters", to_bytes(terms))),
            # Who once is a delegate stays one, so that few may want it.
            lambda: Delegation(chance.choice((None, *NAMES[:5], some if chance.random() < 0.1 else None))),
            lambda: SetDepositsLimit(chance.choice((None, self.amount(owner)))),
            lambda: UpdateConsensusKey(chance.choice(PEOPLE).public_key),
            lambda: Reveal(owner.public_key),
        ]
        return chance.choice(kinds)()

    def order(self) -> Operation:
        owner, chance = self.chance.choice(PEOPLE), self.chance
        account = self.ledger.accounts.get(owner.pkh)
        bodies = [self.body(owner) for _ in range(chance.choice((1, 1, 1, 2, 4)))]
        if account is not None and account.public_key is None:
            bodies.insert(0, Reveal(owner.public_key))
        return order(
            self.chain,
            owner,
            *bodies,
            fee=chance.choice((0, 1000, 12_345)),
            gas_limit=chance.choice((1000, 8000)),
            storage_limit=chance.choice((0, 257)),
        )

    def step(self, at_round: int) -> Block:
        chance, head = self.chance, self.chain.head
        absent = [pkh for pkh in NAMES[:5] if chance.random() < 0.2]
        anonymous = (*self.evidence, *(revelation(self.chain, *one) for one in self.nonces.items()))
        orders = tuple(self.order() for _ in range(chance.randrange(4)))
        wanted: Operations = (attestations(self.chain, *absent)[0], (), anonymous, orders)
        operations = valid(self.chain, wanted, at_round)
        nonce = chance.randbytes(32)
        block = bake(self.chain, operations=operations, nonce=nonce, round=at_round)
        calendar = block.state.calendar
        assert calendar is not None
        self.nonces = {level: one for level, one in self.nonces.items() if level > block.level - 9}
        if calendar.level_info(block.level)["expected_commitment"]:
            self.nonces[block.level] = nonce
        self.evidence = []
        free = {one.pkh for one in calendar.rights(calendar.cycle(block.level) + 2).delegates}
        if chance.random() < 0.1 and len(free - block.state.ledger.forbidden) > 2:
            other = header(self.chain, head, round=block.round, vote="on", key=None)
            self.evidence = [double_baking(block.header, other, head.hash)]
        for results in block.results.values():
            for metadata in results:
                result = metadata.get("operation_result", {"status": "paid"})
                self.applied.add(result["status"])
                self.seen |= {
                    str(one.get("category", one["kind"])) for one in result.get("balance_updates", ())
                }
        self.seen |= {str(one.get("category", one["kind"])) for one in block.updates}
        return block

    def round(self) -> int | None:
        """The first round of somebody who may bake; None if a chain has come to its end."""
        state = self.chain.head.state
        assert state.calendar is not None
        for at_round in range(256):
            baker = state.calendar.baker(self.chain.head.level + 1, at_round)
            if baker is not None and not state.is_forbidden(baker.pkh):
                return at_round
        return None


def check(ledger: Ledger, protocol: str) -> None:
    """See that what the ledger keeps about sums is their sums."""
    assert ledger.held() == ledger.supply
    for one in ledger.accounts.values():
        amounts = (one.spendable, one.frozen, one.staked, one.delegated, one.shares, one.all_shares)
        assert min(amounts) >= 0, one
        if not one.is_delegate:
            assert (one.frozen, one.delegated, one.staked, one.all_shares) == (0, 0, 0, 0), one
            assert one.delegate is None or ledger.accounts[one.delegate].is_delegate
            continue
        others = [each for each in ledger.delegators(one.pkh) if each.pkh != one.pkh]
        unstaked = sum(left for (pkh, _), (_, left) in ledger.unstaked.items() if pkh == one.pkh)
        assert one.delegated == sum(each.spendable for each in others) + unstaked, one
        assert one.all_shares == sum(each.shares for each in others), one
        assert one.least <= one.free or one.least_at is None
    assert min(left for _, left in ledger.unstaked.values()) >= 0 if ledger.unstaked else True


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.sampled_from(list(Protocol)), st.booleans())
def test_money_adds_up_and_blocks_have_both_forms(
    chance: random.Random, protocol: Protocol, adaptive: bool
) -> None:
    delay = "preserved_cycles" if protocol is Protocol.ATLAS else "consensus_rights_delay"
    constants: dict[str, Any] = {delay: 1}
    chain = activated(
        protocol,
        issuance=True,
        blocks_per_cycle=4,
        blocks_per_commitment=2,
        nonce_revelation_threshold=3,
        adaptive_issuance_force_activation=adaptive,
        **constants,
    )
    world = World(chance, chain)
    check(world.ledger, protocol.hash)
    for _ in range(34):
        before, at_round = world.ledger.supply, world.round()
        if at_round is None:
            break
        block = world.step(at_round)
        check(world.ledger, protocol.hash)
        told = render.full_block(chain, block)
        assert unframed(BLOCK_INFO, framed(BLOCK_INFO, told), protocol.hash) == told
        assert world.ledger.supply - before == issued(block)


def test_a_thousand_blocks_in_which_everything_happens() -> None:
    chain = activated(
        issuance=True,
        blocks_per_cycle=8,
        blocks_per_commitment=2,
        consensus_rights_delay=1,
    )
    world = World(random.Random(29), chain)
    for _ in range(1000):
        before, at_round = world.ledger.supply, world.round()
        assert at_round is not None
        block = world.step(at_round)
        assert world.ledger.supply - before == issued(block)
        check(world.ledger, Protocol.BOREAS.hash)
    assert world.applied == {"applied", "failed", "backtracked", "skipped", "paid"}
    assert world.seen == {
        "contract",
        "deposits",
        "unstaked_deposits",
        "block fees",
        "storage fees",
        "punishments",
        "baking rewards",
        "baking bonuses",
        "attesting rewards",
        "lost attesting rewards",
        "delegator_numerator",
        "delegate_denominator",
    }
    assert world.ledger.launch_cycle is not None
    assert KEYS.keys() <= world.ledger.accounts.keys()
