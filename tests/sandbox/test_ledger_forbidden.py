"""Delegates that are forbidden."""

from __future__ import annotations

import copy

import attrs
import pytest

from accuser import Protocol
from accuser.sandbox.chain.block import NO_OPERATIONS, Block, Operations
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.mempool import Class, Mempool
from accuser.sandbox.chain.trace import NodeError
from accuser.sandbox.rpc.error_text import describe
from tests.support.forger import (
    activated,
    bake,
    header,
    slots,
    vote,
)
from tests.support.ledgers import (
    CULPRIT,
    LATER,
    OTHER,
    attest_twice,
    bake_by,
    bake_twice,
    denounce,
    ledger,
    round_of,
    until_cycle_end,
    with_evidence,
)

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
