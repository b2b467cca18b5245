"""Makes blocks and evidence for tests of the sandbox's chain, with no client and no node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from accuser import Protocol
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.bson import encode as bson
from accuser._mavryk.codec.crypto import (
    ACTIVATOR,
    BOOTSTRAP,
    GENESIS_TIME,
    Key,
    Watermark,
    payload_hash,
    watermark,
)
from accuser._mavryk.codec.forge import BlockHeader, ProtocolData, fitness
from accuser._mavryk.codec.operations import (
    Consensus,
    DoubleBaking,
    DoubleConsensus,
    InlinedConsensus,
    Operation,
)
from accuser.sandbox.chain import nonces
from accuser.sandbox.chain.activation import Activation
from accuser.sandbox.chain.block import NO_OPERATIONS, Block, Network, Operations
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.economic_rules import stamp_is_good
from accuser.sandbox.chain.preapply import NO_PAYLOAD, Construction, construct, construct_activation

KEYS = {key.pkh: key for key in BOOTSTRAP}
SIGNERS = {key.public_key: key for key in BOOTSTRAP}
"""Whose keys the blocks and votes are signed with, by public key."""

NULL_SIGNATURE = bytes(64)


NO_ISSUANCE: dict[str, object] = {
    "issuance_weights": {"base_total_issued_per_minute": "0"},
    "liquidity_baking_subsidy": "0",
}
"""Constants by which nobody is paid, so that amounts in tests of other things are plain."""


def parameters(*, issuance: bool = False, **constants: Any) -> dict[str, object]:
    """Parameters of a protocol with the well-known accounts; with ``issuance``, blocks are paid for."""
    accounts = [[key.public_key, "4000000000000"] for key in BOOTSTRAP]
    return {"bootstrap_accounts": accounts, **({} if issuance else NO_ISSUANCE), **constants}


def activation(
    chain: Chain, protocol: Protocol = Protocol.BOREAS, *, key: Key = ACTIVATOR, **constants: Any
) -> BlockHeader:
    """The header of an activation block."""
    content = bson(parameters(**constants))
    command = Activation(protocol.hash, fitness(0, None, 0, 0), len(content).to_bytes(4, "big") + content)
    shell = construct_activation(chain.network, chain.genesis, command, GENESIS_TIME + 1000).shell
    mark = watermark(Watermark.ACTIVATION, chain.network.chain_id)
    signature = key.sign(command.signed_part(shell), watermark=mark)
    return BlockHeader(shell, attrs.evolve(command, signature=signature).to_bytes())


def activated(
    protocol: Protocol = Protocol.BOREAS, *, network: Network | None = None, **constants: Any
) -> Chain:
    """A chain whose head is an activation block."""
    chain = Chain(network or Network())
    chain.advance(chain.add(activation(chain, protocol, **constants), ()))
    return chain


def header(
    chain: Chain,
    predecessor: Block | None = None,
    *,
    round: int = 0,
    payload_round: int | None = None,
    operations: Operations = NO_OPERATIONS,
    key: Key | None = None,
    vote: str = "pass",
    nonce: bytes | None = None,
    **changes: Any,
) -> BlockHeader:
    """The header of a block: signed by the round's baker unless ``key`` says otherwise.

    ``vote`` makes two blocks with the same contents differ; ``nonce`` is what a block that has to commit
    to one commits to; ``changes`` are made to the shell header before it is signed.
    """
    predecessor = predecessor or chain.head
    calendar = predecessor.state.calendar
    assert calendar is not None
    data = protocol_data(predecessor, round=round, payload_round=payload_round, vote=vote, nonce=nonce)
    shell = constructed(chain, predecessor, data, round, operations).shell
    hashes = [operation.hash for passed in operations[1:] for operation in passed]
    data = attrs.evolve(data, payload_hash=payload_hash(predecessor.hash, data.payload_round, hashes))
    shell = attrs.evolve(shell, **changes)
    baker = calendar.baker(predecessor.level + 1, round)
    assert baker is not None
    key = key or SIGNERS[baker.public_key]
    work = 0
    while not stamp_is_good(BlockHeader(shell, data.to_bytes()), calendar.parameters):
        work += 1
        data = attrs.evolve(data, proof_of_work_nonce=work.to_bytes(8, "big"))
    return BlockHeader(shell, signed(shell.to_bytes(), data, key, chain).to_bytes())


def protocol_data(
    predecessor: Block,
    *,
    round: int = 0,
    payload_round: int | None = None,
    vote: str = "pass",
    nonce: bytes | None = None,
) -> ProtocolData:
    """The protocol's part of a header, but for payload, work and signature."""
    calendar = predecessor.state.calendar
    assert calendar is not None
    commitment = calendar.level_info(predecessor.level + 1)["expected_commitment"]
    committed = encode(Kind.NONCE, bytes(32)) if nonce is None else nonces.commitment(nonce)
    return ProtocolData(
        payload_hash=NO_PAYLOAD,
        payload_round=round if payload_round is None else payload_round,
        proof_of_work_nonce=bytes(8),
        seed_nonce_hash=committed if commitment else None,
        liquidity_baking_toggle_vote=vote,
        adaptive_issuance_vote="off",
        signature=NULL_SIGNATURE,
    )


def constructed(
    chain: Chain, predecessor: Block, data: ProtocolData, round: int, operations: Operations
) -> Construction:
    """What a node makes of operations at a round: which are valid, and the shell header."""
    calendar = predecessor.state.calendar
    assert calendar is not None
    before = predecessor.header.shell.timestamp
    time = calendar.parameters.timestamp(before, predecessor.round, round)
    return construct(chain, predecessor, data, time, operations)


def valid(chain: Chain, operations: Operations, round: int) -> Operations:
    """Those of the operations that a block on top of the head can have."""
    data = protocol_data(chain.head, round=round)
    return tuple(one.applied for one in constructed(chain, chain.head, data, round, operations).passes)


def signed(shell: bytes, data: ProtocolData, key: Key, chain: Chain) -> ProtocolData:
    """Protocol data with its signature."""
    mark = watermark(Watermark.BLOCK, chain.network.chain_id)
    return attrs.evolve(data, signature=key.sign(shell + data.unsigned_bytes(), watermark=mark))


def bake(
    chain: Chain,
    predecessor: Block | None = None,
    *,
    count: int = 1,
    round: int = 0,
    operations: Operations = NO_OPERATIONS,
    vote: str = "pass",
    nonce: bytes | None = None,
) -> Block:
    """Add blocks; the last one is returned, and is the head if it is better."""
    block = predecessor or chain.head
    for _ in range(count):
        block = chain.add(
            header(chain, block, round=round, operations=operations, vote=vote, nonce=nonce), operations
        )
        chain.advance(block)
    return block


def double_baking(one: BlockHeader, other: BlockHeader, branch: str) -> Operation:
    """An evidence with the headers in the right order."""
    first, second = sorted((one, other), key=lambda each: each.hash)
    return Operation(branch, (DoubleBaking(first, second),), NULL_SIGNATURE)


def vote(
    chain: Chain,
    about: Block,
    slot: int,
    *,
    kind: str = "attestation",
    payload: str | None = None,
    branch: str | None = None,
    round: int | None = None,
    level: int | None = None,
    key: Key | None = None,
    dal: int | None = None,
) -> Operation:
    """A signed consensus operation about a block."""
    level = about.level if level is None else level
    calendar = about.state.calendar
    assert calendar is not None
    owner = calendar.owner(level, slot)
    assert owner is not None
    content = Consensus(
        kind,  # type: ignore[arg-type]  # a kind, as drawn
        slot,
        level,
        about.round if round is None else round,
        payload or about.payload_hash or "",
        dal,
    )
    unsigned = InlinedConsensus(branch or about.predecessor, content, NULL_SIGNATURE)
    mark = watermark(content.watermark, chain.network.chain_id)
    signature = (key or SIGNERS[owner.public_key]).sign(unsigned.unsigned_bytes(), watermark=mark)
    return Operation(unsigned.branch, (content,), signature)


def double_consensus(one: Operation, other: Operation, branch: str) -> Operation:
    """An evidence with the operations in the right order."""
    votes: Sequence[InlinedConsensus] = [each.inlined for each in (one, other) if each.inlined is not None]
    first, second = sorted(votes, key=lambda each: each.hash)
    preattestation = first.content.kind == "preattestation"
    kind = "double_preattestation_evidence" if preattestation else "double_attestation_evidence"
    return Operation(branch, (DoubleConsensus(kind, first, second),), NULL_SIGNATURE)  # type: ignore[arg-type]  # a kind, as drawn


def slots(block: Block, delegate: str, level: int | None = None) -> list[int]:
    """The slots of a delegate at a level, by default the block's own."""
    calendar = block.state.calendar
    assert calendar is not None
    return calendar.slots(block.level if level is None else level)[delegate]


def attestations(chain: Chain, *absent: str) -> Operations:
    """The attestations of the head by everybody but those named, as the operations of a block."""
    head = chain.head
    calendar = head.state.calendar
    assert calendar is not None
    if head.payload_hash is None:
        # The block that begins a protocol is not attested.
        return NO_OPERATIONS
    owners = calendar.slots(head.level).items()
    present = [(pkh, own[0]) for pkh, own in owners if pkh not in absent and not head.state.is_forbidden(pkh)]
    return (tuple(vote(chain, head, slot) for _, slot in present), (), (), ())
