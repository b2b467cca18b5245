"""Consensus operations, and the mempool."""

from __future__ import annotations

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.crypto import BOOTSTRAP, operation_list_list_hash
from accuser._mavryk.codec.forge import (
    BlockHeader,
)
from accuser.sandbox.chain.block import NO_OPERATIONS
from accuser.sandbox.chain.chain import HeadChange
from accuser.sandbox.chain.mempool import Class, Mempool
from tests.support.chains import (
    B1,
    altered,
    classify,
    economic,
    evidence,
    forked,
    identifier,
    refused,
    with_operation,
)
from tests.support.forger import (
    activated,
    bake,
    double_baking,
    double_consensus,
    header,
    slots,
    vote,
)

# Consensus operations


def test_attestations_in_the_mempool() -> None:
    chain = activated()
    bake(chain, count=5)
    head = chain.head
    own = slots(head, B1.pkh)
    assert classify(chain, vote(chain, head, own[1])) == (Class.VALIDATED, None)
    below = chain.ancestor(head, 1)
    assert classify(chain, vote(chain, below, slots(below, B1.pkh)[0]))[0] is Class.VALIDATED
    old = chain.ancestor(head, 2)
    class_, error = classify(chain, vote(chain, old, slots(old, B1.pkh)[0]))
    assert class_ is Class.OUTDATED
    assert error is not None
    assert identifier(error) == "validate.consensus_operation_for_old_level"
    future = vote(chain, head, slots(head, B1.pkh, head.level + 2)[0], level=head.level + 2)
    class_, error = classify(chain, future)
    assert class_ is Class.BRANCH_DELAYED
    assert error is not None
    assert identifier(error) == "validate.consensus_operation_for_future_level"
    stranger = vote(chain, head, own[0], key=BOOTSTRAP[1])
    class_, error = classify(chain, stranger)
    assert class_ is Class.REFUSED
    assert error is not None
    assert identifier(error) == "operation.invalid_signature"


def test_attestations_in_a_block() -> None:
    chain = activated()
    bake(chain, count=2)
    head = chain.head
    good = vote(chain, head, slots(head, B1.pkh)[0])
    block = chain.add(header(chain, operations=with_operation(good)), with_operation(good))
    assert block.operations[0] == (good,)
    for wrong, expected in (
        (vote(chain, head, slots(head, B1.pkh)[1]), "validate.wrong_slot_for_consensus_operation"),
        (
            vote(chain, head, slots(head, B1.pkh)[0], payload=chain.predecessor(head).payload_hash),
            "validate.wrong_payload_hash_for_consensus_operation",
        ),
        (vote(chain, head, slots(head, B1.pkh)[0], round=1), "validate.consensus_operation_for_future_round"),
        (
            vote(chain, head, slots(head, B1.pkh)[0], kind="preattestation"),
            "validate.unexpected_preattestation_in_block",
        ),
    ):
        shell = attrs.evolve(
            header(chain).shell,
            operations_hash=operation_list_list_hash([[wrong.hash], [], [], []]),
        )
        candidate = altered(chain, BlockHeader(shell, header(chain).protocol_data))
        assert identifier(economic(chain, candidate, with_operation(wrong))) == expected


# Mempool


def test_conflicting_denunciation() -> None:
    chain, one, two = forked()
    mempool = Mempool(chain)
    third = chain.add(header(chain, chain.predecessor(one), vote="off"), NO_OPERATIONS)
    first, second = evidence(chain, one, two), evidence(chain, one, third)
    mempool.add(mempool.classify(first))
    entry = mempool.classify(second)
    assert entry.kind is Class.BRANCH_REFUSED
    assert entry.error is not None
    assert entry.error.trace == (
        {
            "kind": "branch",
            "id": "proto.002-PtBoreas.validate.operation.conflicting_denunciation",
            "denunciation_kind": "block",
            "conflict": {"existing": first.hash, "new_operation": second.hash},
        },
    )
    assert mempool.classify(first).kind is Class.VALIDATED


@pytest.mark.parametrize(("protocol", "last"), [(Protocol.BOREAS, 2), (Protocol.ALPHA, 1)])
def test_the_last_cycle_of_an_outdated_evidence(protocol: Protocol, last: int) -> None:
    chain = activated(protocol)
    bake(chain)
    one, two = bake(chain), bake(chain, chain.predecessor(chain.head), vote="on")
    bake(chain, count=16)
    error = classify(chain, double_baking(one.header, two.header, chain.head.hash))[1]
    assert error is not None
    assert str(error["id"]).endswith("outdated_denunciation")
    assert error["last"] == last


def test_conflicting_votes_are_delayed() -> None:
    chain = activated()
    bake(chain, count=5)
    mempool, head = Mempool(chain), chain.head
    slot = slots(head, B1.pkh)[0]
    below = chain.predecessor(head)
    for kind in ("attestation", "preattestation"):
        mempool.add(mempool.classify(vote(chain, head, slot, kind=kind)))
        for other in (
            vote(chain, head, slot, kind=kind, payload=below.payload_hash),
            vote(chain, head, slot, kind=kind, branch=below.predecessor),
        ):
            entry = mempool.classify(other)
            assert entry.kind is Class.BRANCH_DELAYED
            assert entry.error is not None
            assert entry.error.trace == (
                {"kind": "temporary", "id": "prevalidation.operation_conflict", "new_hash": other.hash},
            )


def test_atlas_takes_evidence_of_either_kind_for_the_same() -> None:
    for protocol, expected in (
        (Protocol.ATLAS, Class.BRANCH_REFUSED),
        (Protocol.BOREAS, Class.VALIDATED),
    ):
        chain = activated(protocol)
        bake(chain, count=3)
        mempool, head = Mempool(chain), chain.head
        slot = slots(head, B1.pkh)[0]
        other = chain.predecessor(head).payload_hash
        evidence_ = [
            double_consensus(
                vote(chain, head, slot, kind=kind),
                vote(chain, head, slot, kind=kind, payload=other),
                head.hash,
            )
            for kind in ("attestation", "preattestation")
        ]
        mempool.add(mempool.classify(evidence_[0]))
        assert mempool.classify(evidence_[1]).kind is expected


def test_flush_drops_what_was_included_and_keeps_the_rest() -> None:
    chain, one, two = forked()
    mempool = Mempool(chain)
    operation = evidence(chain, one, two)
    head = chain.head
    attestation = vote(chain, head, slots(head, BOOTSTRAP[1].pkh)[0])
    for each in (operation, attestation):
        mempool.add(mempool.classify(each))
    assert mempool.payload() == ((attestation,), (), (operation,), ())
    bake(chain, operations=with_operation(operation))
    mempool.flush(HeadChange.INCREMENT, [])
    assert [entry.operation for entry in mempool.of(Class.VALIDATED)] == [attestation]
    assert mempool.known(operation.hash)
    bake(chain)
    mempool.flush(HeadChange.INCREMENT, [])
    assert [entry.operation for entry in mempool.of(Class.OUTDATED)] == [attestation]


def test_an_evidence_comes_back_when_its_block_loses() -> None:
    chain, one, two = forked()
    mempool = Mempool(chain)
    fork = chain.head
    operation = evidence(chain, one, two)
    bake(chain, operations=with_operation(operation))
    mempool.flush(HeadChange.INCREMENT, [])
    assert mempool.entries == {}
    better = chain.add(header(chain, fork, round=1), NO_OPERATIONS)
    assert chain.advance(better) is HeadChange.SWITCH
    mempool.flush(HeadChange.SWITCH, [operation])
    assert [entry.operation for entry in mempool.of(Class.VALIDATED)] == [operation]


def test_operations_die_with_their_branch() -> None:
    chain, one, two = forked()
    mempool = Mempool(chain)
    operation = double_baking(one.header, two.header, chain.head.hash)
    mempool.add(mempool.classify(operation))
    bake(chain, count=8)
    mempool.flush(HeadChange.INCREMENT, [])
    assert operation.hash in mempool.entries
    bake(chain)
    mempool.flush(HeadChange.INCREMENT, [])
    assert mempool.entries == {}
    assert "too old (9 blocks in the past)" in mempool.not_live(operation)
    shell = attrs.evolve(
        header(chain).shell,
        operations_hash=operation_list_list_hash([[], [], [operation.hash], []]),
    )
    candidate = BlockHeader(shell, header(chain).protocol_data)
    assert refused(chain, candidate, with_operation(operation))[0]["error"] == {
        "error": "outdated_operation",
        "operation": operation.hash,
        "originating_block": operation.branch,
    }
