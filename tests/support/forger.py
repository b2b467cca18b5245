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
from accuser.sandbox.chain.activation import Activation
from accuser.sandbox.chain.block import NO_OPERATIONS, Block, Network, Operations
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.economic_rules import stamp_is_good
from accuser.sandbox.chain.preapply import NO_PAYLOAD, construct, construct_activation

KEYS = {key.pkh: key for key in BOOTSTRAP}
NULL_SIGNATURE = bytes(64)


def parameters(**constants: Any) -> dict[str, object]:
    """Parameters of a protocol with the well-known accounts."""
    return {"bootstrap_accounts": [[key.public_key, "4000000000000"] for key in BOOTSTRAP], **constants}


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
    **changes: Any,
) -> BlockHeader:
    """The header of a block: signed by the round's baker unless ``key`` says otherwise.

    ``vote`` makes two blocks with the same contents differ; ``changes`` are made to the shell header
    before it is signed.
    """
    predecessor = predecessor or chain.head
    calendar = predecessor.state.calendar
    assert calendar is not None
    level = predecessor.level + 1
    before = predecessor.header.shell.timestamp
    time = calendar.parameters.timestamp(before, predecessor.round, round)
    commitment = calendar.level_info(level)["expected_commitment"]
    data = ProtocolData(
        payload_hash=NO_PAYLOAD,
        payload_round=round if payload_round is None else payload_round,
        proof_of_work_nonce=bytes(8),
        seed_nonce_hash=encode(Kind.NONCE, bytes(32)) if commitment else None,
        liquidity_baking_toggle_vote=vote,
        adaptive_issuance_vote="off",
        signature=NULL_SIGNATURE,
    )
    shell = construct(chain, predecessor, data, time, operations).shell
    hashes = [operation.hash for passed in operations[1:] for operation in passed]
    data = attrs.evolve(data, payload_hash=payload_hash(predecessor.hash, data.payload_round, hashes))
    shell = attrs.evolve(shell, **changes)
    baker = calendar.baker(level, round)
    assert baker is not None
    key = key or KEYS[baker.pkh]
    nonce = 0
    while not stamp_is_good(BlockHeader(shell, data.to_bytes()), calendar.parameters):
        nonce += 1
        data = attrs.evolve(data, proof_of_work_nonce=nonce.to_bytes(8, "big"))
    return BlockHeader(shell, signed(shell.to_bytes(), data, key, chain).to_bytes())


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
) -> Block:
    """Add blocks; the last one is returned, and is the head if it is better."""
    block = predecessor or chain.head
    for _ in range(count):
        block = chain.add(header(chain, block, round=round, operations=operations, vote=vote), operations)
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
        kind,  # type: ignore[arg-type]
        slot,
        level,
        about.round if round is None else round,
        payload or about.payload_hash or "",
        dal,
    )
    unsigned = InlinedConsensus(branch or about.predecessor, content, NULL_SIGNATURE)
    mark = watermark(content.watermark, chain.network.chain_id)
    signature = (key or KEYS[owner.pkh]).sign(unsigned.unsigned_bytes(), watermark=mark)
    return Operation(unsigned.branch, (content,), signature)


def double_consensus(one: Operation, other: Operation, branch: str) -> Operation:
    """An evidence with the operations in the right order."""
    votes: Sequence[InlinedConsensus] = [each.inlined for each in (one, other) if each.inlined is not None]
    first, second = sorted(votes, key=lambda each: each.hash)
    preattestation = first.content.kind == "preattestation"
    kind = "double_preattestation_evidence" if preattestation else "double_attestation_evidence"
    return Operation(branch, (DoubleConsensus(kind, first, second),), NULL_SIGNATURE)  # type: ignore[arg-type]


def slots(block: Block, delegate: str, level: int | None = None) -> list[int]:
    """The slots of a delegate at a level, by default the block's own."""
    calendar = block.state.calendar
    assert calendar is not None
    return calendar.slots(block.level if level is None else level)[delegate]
