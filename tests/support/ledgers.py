"""What the tests of the ledger share."""

from __future__ import annotations

from typing import Any

import pytest

from accuser import Protocol
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.operations import Operation
from accuser.sandbox.chain.block import NO_OPERATIONS, Block, Operations
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.ledger import Ledger
from accuser.sandbox.chain.parameters import Calendar
from tests.support.forger import (
    bake,
    double_baking,
    double_consensus,
    header,
    slots,
    vote,
)

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
