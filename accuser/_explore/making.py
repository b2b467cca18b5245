"""Makes blocks and votes: whatever a schedule says that somebody signs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from .._mavryk.codec.base58 import Kind, encode
from .._mavryk.codec.bson import encode as bson
from .._mavryk.codec.crypto import (
    ACTIVATOR,
    BOOTSTRAP,
    GENESIS_TIME,
    Key,
    Watermark,
    blake2b,
    payload_hash,
    watermark,
)
from .._mavryk.codec.forge import BlockHeader, ProtocolData, fitness
from .._mavryk.codec.operations import Consensus, ConsensusKind, InlinedConsensus, Operation
from .._mavryk.protocol import Protocol
from ..sandbox.chain.activation import Activation
from ..sandbox.chain.block import Block, Operations
from ..sandbox.chain.chain import Chain
from ..sandbox.chain.economic_rules import stamp_is_good
from ..sandbox.chain.preapply import NO_PAYLOAD, construct, construct_activation
from ..sandbox.chain.trace import NodeError
from .schedule import Vote

KEYS: Final = {key.pkh: key for key in BOOTSTRAP}
ACTIVATED: Final = GENESIS_TIME + 1000
"""Time of the first block."""
_BALANCE: Final = "4000000000000"
_SIGNATURE: Final = bytes(64)
_VOTES: Final = ("pass", "on", "off")
_ON_ATTESTATION: Final[dict[ConsensusKind, ConsensusKind]] = {"attestation": "attestation_with_dal"}


@attrs.frozen
class Kept:
    """The payload that a block takes over from one of an earlier round."""

    hash: str
    round: int


def activation(chain: Chain, protocol: Protocol, quorum: int = 0) -> BlockHeader:
    """The header of the block that activates a protocol with the well-known accounts.

    Args:
        chain: which one.
        protocol: what is activated.
        quorum: slots whose votes make one.
    """
    accounts: dict[str, Any] = {"bootstrap_accounts": [[key.public_key, _BALANCE] for key in BOOTSTRAP]}
    content = bson({**accounts, "consensus_threshold": quorum} if quorum else accounts)
    command = Activation(protocol.hash, fitness(0, None, 0, 0), len(content).to_bytes(4, "big") + content)
    shell = construct_activation(chain.network, chain.genesis, command, ACTIVATED).shell
    mark = watermark(Watermark.ACTIVATION, chain.network.chain_id)
    signature = ACTIVATOR.sign(command.signed_part(shell), watermark=mark)
    return BlockHeader(shell, attrs.evolve(command, signature=signature).to_bytes())


def block(
    chain: Chain,
    below: Block,
    at_round: int,
    flavour: int,
    operations: Sequence[Operation],
    kept: Kept | None = None,
) -> tuple[BlockHeader, Operations] | None:
    """A block of the owner of a round; None if there can be none, as of who is forbidden.

    Args:
        chain: where the block below is.
        below: its predecessor.
        at_round: its round.
        flavour: what tells it from blocks that are otherwise alike.
        operations: what it includes, as far as that is valid.
        kept: the payload that it takes over, whose operations these are; None for a fresh one.
    """
    calendar = below.state.calendar
    assert calendar is not None
    level = below.level + 1
    baker = calendar.baker(level, at_round)
    if baker is None:
        return None
    passes: list[list[Operation]] = [[], [], [], []]
    for operation in operations:
        passes[operation.validation_pass].append(operation)
    data = ProtocolData(
        payload_hash=NO_PAYLOAD if kept is None else kept.hash,
        payload_round=at_round if kept is None else kept.round,
        proof_of_work_nonce=bytes(8),
        seed_nonce_hash=_commitment(level) if calendar.level_info(level)["expected_commitment"] else None,
        liquidity_baking_toggle_vote=_VOTES[flavour % 3],
        adaptive_issuance_vote=_VOTES[flavour // 3 % 3],
        signature=_SIGNATURE,
    )
    time = calendar.parameters.timestamp(below.header.shell.timestamp, below.round, at_round)
    try:
        made = construct(chain, below, data, time, passes)
    except NodeError:
        return None
    applied = tuple(one.applied for one in made.passes)
    hashes = [operation.hash for passed in applied[1:] for operation in passed]
    data = attrs.evolve(data, payload_hash=payload_hash(below.hash, data.payload_round, hashes))
    nonce = 0
    while not stamp_is_good(BlockHeader(made.shell, data.to_bytes()), calendar.parameters):
        nonce += 1
        data = attrs.evolve(data, proof_of_work_nonce=nonce.to_bytes(8, "big"))
    mark = watermark(Watermark.BLOCK, chain.network.chain_id)
    unsigned = made.shell.to_bytes() + data.unsigned_bytes()
    signed = attrs.evolve(data, signature=KEYS[baker.pkh].sign(unsigned, watermark=mark))
    return BlockHeader(made.shell, signed.to_bytes()), applied


def vote(chain: Chain, head: Block, step: Vote) -> Operation | None:
    """What a delegate signs; None if it owns no slot of that level."""
    calendar = head.state.calendar
    assert calendar is not None
    level = max(1, head.level + step.level)
    slots = calendar.slots(level).get(BOOTSTRAP[step.delegate % len(BOOTSTRAP)].pkh)
    if not slots:
        return None
    at_round = step.round
    if step.payload:
        payload = encode(Kind.PAYLOAD, blake2b(f"payload {step.payload}".encode()))
    else:
        payload = head.payload_hash or encode(Kind.PAYLOAD, bytes(32))
    branch = chain.ancestor(head, min(step.branch, head.level)).hash
    kind: ConsensusKind = step.kind
    dal = step.dal if kind in _ON_ATTESTATION else None
    if dal is not None:
        kind = _ON_ATTESTATION[kind]
    content = Consensus(kind, slots[step.slot % len(slots)], level, at_round, payload, dal)
    return signed(chain, BOOTSTRAP[step.delegate % len(BOOTSTRAP)], branch, content)


def attestations(chain: Chain, about: Block, voters: int) -> list[Operation]:
    """What so many delegates say of a block, as the next one may include it."""
    calendar, payload = about.state.calendar, about.payload_hash
    if calendar is None or payload is None:
        return []
    slots = calendar.slots(about.level)
    return [
        signed(
            chain,
            key,
            about.predecessor,
            Consensus("attestation", min(slots[key.pkh]), about.level, about.round, payload),
        )
        for key in BOOTSTRAP[:voters]
        if key.pkh in slots
    ]


def signed(chain: Chain, key: Key, branch: str, content: Consensus) -> Operation:
    """A vote with its signature."""
    unsigned = InlinedConsensus(branch, content, _SIGNATURE)
    mark = watermark(content.watermark, chain.network.chain_id)
    return Operation(branch, (content,), key.sign(unsigned.unsigned_bytes(), watermark=mark))


def _commitment(level: int) -> str:
    return encode(Kind.NONCE, blake2b(b"nonce of level %d" % level))
