"""The sandbox's chain: blocks, heads, mempool, evidence; no input or output."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accuser import Protocol
from accuser._mavryk.codec import bson
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP, operation_list_list_hash
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
    fitness,
)
from accuser._mavryk.codec.operations import DoubleBaking, DoubleConsensus, Operation
from accuser.sandbox.chain import block_rules, economic_rules
from accuser.sandbox.chain.activation import Activation
from accuser.sandbox.chain.block import NO_OPERATIONS, Block, Operations
from accuser.sandbox.chain.chain import Chain, HeadChange, UnknownBlock
from accuser.sandbox.chain.mempool import Class, Mempool
from accuser.sandbox.chain.parameters import Parameters, ParametersError
from accuser.sandbox.chain.preapply import NO_PAYLOAD, construct
from accuser.sandbox.chain.state import Fitness
from accuser.sandbox.chain.trace import NodeError
from tests.support.forger import (
    KEYS,
    NULL_SIGNATURE,
    activated,
    activation,
    bake,
    double_baking,
    double_consensus,
    header,
    parameters,
    signed,
    slots,
    vote,
)

B1 = BOOTSTRAP[0]


def refused(
    chain: Chain, candidate: BlockHeader, operations: Operations = NO_OPERATIONS
) -> tuple[dict[str, object], ...]:
    with pytest.raises(NodeError) as caught:
        chain.add(candidate, operations)
    return caught.value.trace


def identifier(error: dict[str, object]) -> str:
    return str(error["id"]).removeprefix("proto.002-PtBoreas.")


def with_operation(operation: Operation) -> Operations:
    passes: list[tuple[Operation, ...]] = [(), (), (), ()]
    passes[operation.validation_pass] = (operation,)
    return tuple(passes)


# Activation


@pytest.mark.parametrize("protocol", list(Protocol))
def test_activation_changes_the_protocol_of_the_next_block(protocol: Protocol) -> None:
    chain = activated(protocol)
    first = chain.head
    assert (first.level, first.header.shell.proto, first.header.shell.validation_pass) == (1, 1, 0)
    assert first.protocol == chain.genesis.protocol
    assert first.state.protocol == protocol.hash
    second = bake(chain)
    assert (second.protocol, second.state.protocol) == (protocol.hash, protocol.hash)
    assert (second.header.shell.proto, second.header.shell.validation_pass) == (1, 4)


def test_activation_needs_the_activators_signature() -> None:
    chain = Chain()
    trace = refused(chain, activation(chain, key=B1), ())
    assert [error["id"] for error in trace] == ["validator.invalid_block", "proto.genesis.invalid_signature"]


def test_activation_of_an_unknown_protocol() -> None:
    chain = Chain()
    command = Activation(chain.network.genesis_protocol, fitness(0, None, 0, 0), b"")
    with pytest.raises(NodeError) as caught:
        block_rules.activated(chain.network, command, 1, chain.genesis.hash)
    assert caught.value.trace[0]["id"] == "validator.unavailable_protocol"


def test_activation_data_round_trip() -> None:
    command = Activation.from_bytes(activation(Chain()).protocol_data)
    assert Activation.from_json(command.to_json()) == command
    assert (
        Activation.from_json({**command.to_json()["content"], "protocol": "P"}).protocol == command.protocol
    )
    assert command.parameters_json()["bootstrap_accounts"][0] == [B1.public_key, "4000000000000"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda t: "\0" not in t), inner),
)


@given(st.dictionaries(st.text().filter(lambda t: "\0" not in t), json_values))
def test_bson_round_trip(value: dict[str, object]) -> None:
    assert bson.decode(bson.encode(value)) == value


@given(st.binary(max_size=40), st.integers(0, 200))
def test_bson_never_fails_otherwise(noise: bytes, cut: int) -> None:
    good = bson.encode(parameters(blocks_per_cycle=8))
    for data in (noise, good[:cut] + noise, good[: len(good) - 1]):
        with contextlib.suppress(bson.BsonError):
            bson.decode(data)


# Parameters and rights


@pytest.mark.parametrize(
    "change",
    [
        {"blocks_per_cycle": 0},
        {"minimal_block_delay": "x"},
        {"consensus_committee_size": True},
        {"bootstrap_accounts": []},
        {"bootstrap_accounts": [[B1.public_key]]},
        {"bootstrap_accounts": None},
    ],
)
def test_parameters_that_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(ParametersError, match=next(iter(change))):
        Parameters.from_json({**parameters(), **change})


def test_bootstrap1_bakes_round_0_of_level_3() -> None:
    calendar = activated().head.state.calendar
    assert calendar is not None
    baker = calendar.baker(3, 0)
    assert baker is not None
    assert baker.pkh == B1.pkh
    assert len({owner.pkh for level in range(2, 12) if (owner := calendar.baker(level, 0))}) > 2
    assert sorted(slot for own in calendar.slots(7).values() for slot in own) == list(range(256))


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 60), st.integers(0, 30))
def test_rounds_and_times_agree(delay: int, increment: int, round: int, before: int) -> None:
    constants = Parameters.from_json(
        parameters(minimal_block_delay=str(delay), delay_increment_per_round=str(increment))
    )
    start = constants.timestamp(1000, before, round)
    end = constants.timestamp(1000, before, round + 1)
    assert end - start == constants.round_duration(round)
    assert constants.round_at(1000, before, start) == round
    assert constants.round_at(1000, before, end - 1) == round
    assert constants.round_at(1000, before, constants.timestamp(1000, before, 0) - 1) is None


def test_level_info_is_that_of_the_recorded_level_9() -> None:
    state = activated().head.state
    calendar = state.calendar
    assert calendar is not None
    assert calendar.level_info(9) == {
        "level": 9,
        "level_position": 8,
        "cycle": 1,
        "cycle_position": 0,
        "expected_commitment": False,
    }
    assert state.amendment.info(9, calendar) == {
        "voting_period": {"index": 0, "kind": "proposal", "start_position": 0},
        "position": 8,
        "remaining": 55,
    }
    assert calendar.level_info(4)["expected_commitment"] is True


# Blocks


def test_an_honest_chain_grows() -> None:
    chain = activated()
    blocks = [bake(chain) for _ in range(20)]
    assert chain.head is blocks[-1]
    assert chain.head.level == 21
    assert [block.hash for block in chain.branch(chain.head)][-1] == chain.genesis.hash
    for block in blocks:
        assert block.hash == block.header.hash
        parsed = Fitness.parse(block.header.shell.fitness)
        assert parsed == Fitness(block.level, None, 0, 0)
    assert len({block.header.shell.context for block in blocks}) == 20


def test_every_node_finds_the_same() -> None:
    one, other = activated(), Chain()
    bake(one, count=5)
    for block in list(one.branch(one.head))[-2::-1]:
        other.advance(other.add(block.header, block.operations))
    assert other.head.hash == one.head.hash
    assert other.head.resulting_context == one.head.resulting_context


def test_forks_and_heads_by_fitness() -> None:
    chain = activated()
    root = bake(chain)
    one = bake(chain)
    sibling = chain.add(header(chain, root, vote="on"), NO_OPERATIONS)
    assert chain.advance(sibling) is HeadChange.IGNORED
    assert chain.head is one
    later = chain.add(header(chain, root, round=1), NO_OPERATIONS)
    assert chain.advance(later) is HeadChange.SWITCH
    again = chain.add(header(chain, one), NO_OPERATIONS)
    assert chain.advance(again) is HeadChange.SWITCH
    assert chain.advance(chain.add(header(chain, again), NO_OPERATIONS)) is HeadChange.INCREMENT


def test_a_known_block_is_no_news() -> None:
    chain = activated()
    block = bake(chain)
    assert chain.add(block.header, block.operations) is block


def test_unknown_predecessor() -> None:
    other = activated(Protocol.ATLAS)
    (error,) = refused(activated(), header(other))
    assert "Unknown predecessor" in str(error["msg"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"level": 9}, {"error": "invalid_level", "expected": 2, "found": 9}),
        ({"timestamp": 0}, {"error": "non_increasing_timestamp"}),
        ({"fitness": ()}, {"error": "non_increasing_fitness"}),
        ({"validation_pass": 3}, {"error": "unexpected_number_of_passes", "found": 3}),
        ({"proto": 2}, {"error": "invalid_proto_level", "expected": 1, "found": 2}),
    ],
)
def test_shell_checks(changes: dict[str, Any], reason: dict[str, object]) -> None:
    chain = activated()
    candidate = header(chain, **changes)
    assert refused(chain, candidate) == (
        {
            "kind": "permanent",
            "id": "validator.invalid_block",
            "invalid_block": candidate.hash,
            "error": reason,
        },
    )


def test_operations_hash_and_context_are_checked() -> None:
    chain = activated()
    wrong = header(chain, operations_hash=chain.genesis.header.shell.operations_hash)
    assert refused(chain, wrong)[0]["id"] == "validator.inconsistent_operations_hash"
    wrong = header(chain, context=chain.genesis.header.shell.context)
    assert refused(chain, wrong)[0]["id"] == "node.state.block.inconsistent_context_hash"


def economic(
    chain: Chain, candidate: BlockHeader, operations: Operations = NO_OPERATIONS
) -> dict[str, object]:
    outer, inner = refused(chain, candidate, operations)
    assert outer["id"] == "validator.invalid_block"
    assert outer["error"] == {"error": "economic_protocol_error"}
    return inner


def test_only_the_rounds_baker_may_bake() -> None:
    chain = activated()
    calendar = chain.head.state.calendar
    assert calendar is not None
    baker = calendar.baker(2, 0)
    assert baker is not None
    thief = next(key for key in BOOTSTRAP if key.pkh != baker.pkh)
    candidate = header(chain, key=thief)
    error = economic(chain, candidate)
    assert identifier(error) == "block_header.invalid_block_signature"
    assert (error["block"], error["expected"]) == (candidate.hash, baker.pkh)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fitness": fitness(3, None, 0, 0)}, "wrong_fitness"),
        ({"fitness": fitness(2, None, 1, 0)}, "wrong_fitness"),
        ({"fitness": (b"\x02", *fitness(2, None, 0, 0))}, "invalid_fitness"),
        ({"fitness": fitness(2, 0, 0, 1)}, "block_header.wrong_timestamp"),
    ],
)
def test_fitness_is_checked(changes: dict[str, Any], expected: str) -> None:
    chain = activated()
    at_round = 1 if expected == "block_header.wrong_timestamp" else 0
    calendar = chain.head.state.calendar
    assert calendar is not None
    baker = calendar.baker(2, at_round)
    assert baker is not None
    candidate = header(chain, key=KEYS[baker.pkh], **changes)
    assert identifier(economic(chain, candidate)) == expected


def altered(chain: Chain, candidate: BlockHeader, **changes: Any) -> BlockHeader:
    """The same block with other protocol data, mined and signed anew by the same baker."""
    data = attrs.evolve(ProtocolData.from_bytes(candidate.protocol_data), **changes)
    calendar = chain.head.state.calendar
    assert calendar is not None
    baker = calendar.baker(candidate.shell.level, 0)
    assert baker is not None
    nonce = 0
    constants = calendar.parameters
    while not economic_rules.stamp_is_good(BlockHeader(candidate.shell, data.to_bytes()), constants):
        nonce += 1
        data = attrs.evolve(data, proof_of_work_nonce=nonce.to_bytes(8, "big"))
    return BlockHeader(
        candidate.shell, signed(candidate.shell.to_bytes(), data, KEYS[baker.pkh], chain).to_bytes()
    )


def test_protocol_data_is_checked() -> None:
    chain = activated()
    good = header(chain)
    payload = encode(Kind.PAYLOAD, bytes(32))
    for changes, expected in (
        ({"payload_hash": payload}, "validate.block.invalid_payload_hash"),
        ({"payload_round": 1}, "block_header.invalid_payload_round"),
        ({"seed_nonce_hash": encode(Kind.NONCE, bytes(32))}, "block_header.invalid_commitment"),
    ):
        assert identifier(economic(chain, altered(chain, good, **changes))) == expected
    assert chain.add(altered(chain, good), NO_OPERATIONS).level == 2


def test_missing_commitment_and_missing_work() -> None:
    chain = activated()
    bake(chain, count=2)
    wrong = altered(chain, header(chain), seed_nonce_hash=None)
    assert identifier(economic(chain, wrong)) == "block_header.invalid_commitment"
    chain = activated(proof_of_work_threshold="0")
    other = activated()
    data = ProtocolData.from_bytes(header(other).protocol_data)
    candidate = BlockHeader(header_shell(chain), data.to_bytes())
    assert identifier(economic(chain, candidate)) == "block_header.invalid_stamp"


def header_shell(chain: Chain) -> ShellHeader:
    """The shell header of the next block, which nobody can sign here."""
    data = ProtocolData(NO_PAYLOAD, 0, bytes(8), None, "pass", "off", NULL_SIGNATURE)
    calendar = chain.head.state.calendar
    assert calendar is not None
    at = calendar.parameters.timestamp(chain.head.header.shell.timestamp, 0, 0)
    return construct(chain, chain.head, data, at, ()).shell


def test_protocol_data_that_is_none() -> None:
    chain = activated()
    candidate = BlockHeader(header(chain).shell, b"nothing")
    assert refused(chain, candidate)[-1]["error"] == {"error": "cannot_parse_block_header"}


def test_user_activated_upgrade() -> None:
    chain = Chain(attrs.evolve(Chain().network, upgrades={4: Protocol.BOREAS.hash}))
    chain.advance(chain.add(activation(chain, Protocol.ATLAS), ()))
    bake(chain, count=2)
    migration = bake(chain)
    assert (migration.protocol, migration.state.protocol) == (Protocol.ATLAS.hash, Protocol.BOREAS.hash)
    assert migration.header.shell.proto == 2
    after = bake(chain)
    assert (after.protocol, after.header.shell.proto) == (Protocol.BOREAS.hash, 2)


# Finding blocks


def test_block_specifiers() -> None:
    chain = activated()
    bake(chain, count=4)
    head, second = chain.head, chain.ancestor(chain.head, 3)
    for text, block in (
        ("head", head),
        ("head~0", head),
        ("head~3", second),
        ("head-3", second),
        ("2", second),
        ("5", head),
        ("genesis", chain.genesis),
        ("genesis+2", second),
        (head.hash, head),
        (f"{head.hash}~3", second),
        (f"{second.hash}+3", head),
        ("4~2", second),
    ):
        assert chain.resolve(text) is block, text
    unknown = encode(Kind.BLOCK, bytes(32))
    for text in ("6", "head~6", unknown, f"{second.hash}+9", "4~9"):
        with pytest.raises(UnknownBlock):
            chain.resolve(text)
    for text in ("", "nonsense", "head~", "head~x", "head+1", "-1", "head~1~1", "9" * 30):
        with pytest.raises(ValueError, match=r".*"):
            chain.resolve(text)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(0, 60))
def test_locators_find_the_common_ancestor(long: int, common: int) -> None:
    common = min(common, long)
    one, other = LONG_CHAIN, activated()
    for block in list(one.branch(one.ancestor(one.head, one.head.level - 1 - common)))[-3::-1]:
        other.advance(other.add(block.header, block.operations))
    target = one.ancestor(one.head, one.head.level - 1 - long)
    missing = one.since(other.locator(), target)
    assert [block.level for block in missing][-1:] == [target.level][: len(missing)]
    for block in missing:
        other.add(block.header, block.operations)
    assert target.hash in other.blocks


LONG_CHAIN = activated()
bake(LONG_CHAIN, count=60)


# Evidence


def forked() -> tuple[Chain, Block, Block]:
    """Two blocks of level 3, round 0, by bootstrap1, and a head of level 4."""
    chain = activated()
    root = bake(chain)
    one = bake(chain)
    two = bake(chain, root, vote="on")
    bake(chain, one)
    return chain, one, two


def classify(chain: Chain, operation: Operation) -> tuple[Class, dict[str, object] | None]:
    entry = Mempool(chain).classify(operation)
    return entry.kind, None if entry.error is None else entry.error.trace[0]


def evidence(chain: Chain, one: Block, two: Block) -> Operation:
    return double_baking(one.header, two.header, chain.ancestor(chain.head, 2).hash)


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
