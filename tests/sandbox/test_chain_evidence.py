"""Evidence on the chain."""

from __future__ import annotations

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.crypto import BOOTSTRAP, operation_list_list_hash
from accuser._mavryk.codec.forge import (
    BlockHeader,
    fitness,
)
from accuser._mavryk.codec.operations import DoubleBaking, DoubleConsensus, Operation
from accuser.sandbox.chain.block import NO_OPERATIONS, Operations
from accuser.sandbox.chain.mempool import Class
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
    NULL_SIGNATURE,
    activated,
    bake,
    double_baking,
    double_consensus,
    header,
    slots,
    vote,
)


def test_double_baking_evidence_is_validated_and_included() -> None:
    chain, one, two = forked()
    operation = evidence(chain, one, two)
    assert classify(chain, operation) == (Class.VALIDATED, None)
    block = bake(chain, operations=with_operation(operation))
    assert block.operations[2] == (operation,)
    assert [(m.delegate, m.level, m.round, m.kind) for m in block.state.denounced] == [
        (B1.pkh, 3, 0, "block")
    ]
    assert chain.predecessor(block).state.denounced == frozenset()


def test_already_denounced_on_this_branch_only() -> None:
    chain, one, two = forked()
    before = chain.head
    operation = evidence(chain, one, two)
    third = chain.add(header(chain, chain.predecessor(one), vote="off"), NO_OPERATIONS)
    other = evidence(chain, one, third)
    bake(chain, operations=with_operation(operation))
    kind, error = classify(chain, other)
    assert kind is Class.BRANCH_REFUSED
    assert error == {
        "kind": "branch",
        "id": "proto.002-PtBoreas.validate.operation.already_denounced",
        "denunciation_kind": "block",
        "delegate": B1.pkh,
        "level": {
            "level": 3,
            "level_position": 2,
            "cycle": 0,
            "cycle_position": 2,
            "expected_commitment": False,
        },
    }
    chain.head = before
    assert classify(chain, other) == (Class.VALIDATED, None)


def test_a_block_cannot_repeat_an_evidence() -> None:
    chain, one, two = forked()
    operation = evidence(chain, one, two)
    third = chain.add(header(chain, chain.predecessor(one), vote="off"), NO_OPERATIONS)
    passes: Operations = ((), (), (operation, evidence(chain, one, third)), ())
    good = header(chain, operations=with_operation(operation))
    hashes = [[one_.hash for one_ in passed] for passed in passes]
    shell = attrs.evolve(good.shell, operations_hash=operation_list_list_hash(hashes))
    error = economic(chain, altered(chain, BlockHeader(shell, good.protocol_data)), passes)
    assert identifier(error) == "validate.operation.conflicting_denunciation"
    bake(chain, operations=with_operation(operation))
    shell = header(chain).shell
    again = attrs.evolve(shell, operations_hash=operation_list_list_hash([[], [], [operation.hash], []]))
    candidate = altered(chain, BlockHeader(again, header(chain).protocol_data))
    assert refused(chain, candidate, with_operation(operation))[0]["error"] == {
        "error": "replayed_operation",
        "operation": operation.hash,
    }


def swapped(operation: Operation) -> Operation:
    (content,) = operation.contents
    assert isinstance(content, DoubleBaking)
    return attrs.evolve(operation, contents=(DoubleBaking(content.bh2, content.bh1),))


def test_tampered_double_baking_evidence() -> None:
    chain, one, two = forked()
    branch = chain.ancestor(chain.head, 2).hash
    invalid = "validate.block.invalid_double_baking_evidence"
    good = evidence(chain, one, two)
    (content,) = good.contents
    assert isinstance(content, DoubleBaking)
    bh1, bh2 = content.bh1, content.bh2

    kind, error = classify(chain, swapped(good))
    assert kind is Class.REFUSED
    assert error == {
        "kind": "permanent",
        "id": f"proto.002-PtBoreas.{invalid}",
        "hash1": bh2.hash,
        "level1": 3,
        "round1": 0,
        "hash2": bh1.hash,
        "level2": 3,
        "round2": 0,
    }
    same = Operation(branch, (DoubleBaking(bh1, bh1),), NULL_SIGNATURE)
    other_level = double_baking(one.header, chain.head.header, branch)
    round_1 = chain.add(header(chain, chain.predecessor(one), round=1), NO_OPERATIONS)
    other_round = double_baking(one.header, round_1.header, branch)
    for operation in (same, other_level, other_round):
        kind, error = classify(chain, operation)
        assert kind is Class.REFUSED
        assert error is not None
        assert identifier(error) == invalid

    flipped = bytearray(bh1.protocol_data)
    flipped[-1] ^= 1
    forged = double_baking(BlockHeader(bh1.shell, bytes(flipped)), bh2, branch)
    kind, error = classify(chain, forged)
    assert kind is Class.REFUSED
    assert error is not None
    assert identifier(error) == "block_header.invalid_block_signature"
    assert error["expected"] == B1.pkh

    odd = BlockHeader(attrs.evolve(bh1.shell, fitness=()), bh1.protocol_data)
    _, error = classify(chain, double_baking(odd, bh2, branch))
    assert error is not None
    assert identifier(error) == "invalid_fitness"


def test_evidence_too_early_and_outdated() -> None:
    chain, one, two = forked()
    early = [
        BlockHeader(
            attrs.evolve(one.header.shell, level=17, timestamp=time_, fitness=fitness(17, None, 0, 0)),
            one.header.protocol_data,
        )
        for time_ in (1, 2)
    ]
    kind, error = classify(chain, double_baking(early[0], early[1], chain.head.hash))
    assert kind is Class.BRANCH_DELAYED
    assert error is not None
    assert identifier(error) == "validate.operation.block.too_early_denunciation"
    assert [(str(name), value) for name, value in error.items()][2:] == [
        ("kind", "block"),
        ("level", 17),
        ("current", 5),
    ]
    bake(chain, count=16 - chain.head.level - 1)
    late = double_baking(one.header, two.header, chain.head.hash)
    assert chain.head.level + 1 == 16
    assert classify(chain, late) == (Class.VALIDATED, None)
    bake(chain)
    kind, error = classify(chain, late)
    assert kind is Class.REFUSED
    assert error is not None
    assert identifier(error) == "validate.operation.block.outdated_denunciation"
    assert [(str(name), value) for name, value in error.items()][2:] == [
        ("kind", "block"),
        ("level", 3),
        ("last", 2),
    ]


@pytest.mark.parametrize("kind", ["attestation", "preattestation"])
def test_double_consensus_evidence(kind: str) -> None:
    chain = activated()
    bake(chain, count=3)
    head = chain.head
    own = slots(head, B1.pkh)
    first = vote(chain, head, own[0], kind=kind)
    by_slot = vote(chain, head, own[1], kind=kind)
    by_payload = vote(chain, head, own[0], kind=kind, payload=chain.predecessor(head).payload_hash)
    by_branch = vote(chain, head, own[0], kind=kind, branch=head.hash)
    for other in (by_slot, by_payload, by_branch):
        operation = double_consensus(first, other, head.hash)
        assert classify(chain, operation) == (Class.VALIDATED, None)
    operation = double_consensus(first, by_slot, head.hash)
    (content,) = operation.contents
    assert isinstance(content, DoubleConsensus)
    crooked = attrs.evolve(operation, contents=(attrs.evolve(content, op1=content.op2, op2=content.op1),))
    other_round = double_consensus(first, vote(chain, head, own[1], kind=kind, round=1), head.hash)
    for wrong in (crooked, other_round):
        class_, error = classify(chain, wrong)
        assert class_ is Class.REFUSED
        assert error is not None
        assert identifier(error) == "validate.operation.block.invalid_denunciation"
        assert [value for name, value in error.items() if name == "kind" or str(name) == "kind"] == [
            "permanent",
            kind,
        ]
    stranger = next(key for key in BOOTSTRAP if key.pkh != B1.pkh)
    elsewhere = vote(chain, head, slots(head, stranger.pkh)[0], kind=kind)
    _, error = classify(chain, double_consensus(first, elsewhere, head.hash))
    assert error is not None
    assert identifier(error) == "validate.operation.block.inconsistent_denunciation"
    badly_signed = vote(chain, head, own[1], kind=kind, key=stranger)
    _, error = classify(chain, double_consensus(first, badly_signed, head.hash))
    assert error is not None
    assert identifier(error) == "operation.invalid_signature"
    block = bake(chain, operations=with_operation(operation))
    _, error = classify(chain, double_consensus(first, by_payload, block.hash))
    assert error is not None
    assert identifier(error) == "validate.operation.already_denounced"


def test_atlas_remembers_less() -> None:
    chain = activated(Protocol.ATLAS)
    bake(chain, count=3)
    head = chain.head
    own = slots(head, B1.pkh)
    pair = [vote(chain, head, slot) for slot in own[:2]]
    bake(chain, operations=with_operation(double_consensus(pair[0], pair[1], head.hash)))
    other = [vote(chain, head, slot, kind="preattestation", round=1) for slot in own[:2]]
    class_, error = classify(chain, double_consensus(other[0], other[1], head.hash))
    assert class_ is Class.BRANCH_REFUSED
    assert error is not None
    assert error["id"] == "proto.001-PtAtLas.validate.operation.already_denounced"
